"""Whoever follows the advice is never counted, nobody can quarantine another, and re-wording hides nothing (S8).

The first play is against the whole gate in memory, over the random policies of the remedies, with dispositions that
authors chose at random, facts that drift between attempts, and one fact that may be confidential. The limit is one
repeat, so that a single attempt that was wrongly counted ends in quarantine.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import demur
from demur.adapters.clock import ManualClock
from demur.adapters.keys import KeyVault
from demur.adapters.memory import MemoryStore
from demur.core.desk.routing import Colleague
from demur.core.intake import Caller
from demur.core.policy.index import PolicySet
from demur.core.resolution import Learned
from demur.core.review import Reviewer
from demur.core.terms import Audience, Disposition, Effect, Missing, Request, State, Timestamp, to_json
from demur.gateway import Gateway
from demur.observability.events import Events
from demur.steps.world import Active, World
from demur.wiring import Settings, open_gate
from tests.properties.remedy_cases import ABSENT, ARGUMENTS, FIXED, NOW, PLACES, VALUES, WEIGHTS, ZONES, Case
from tests.properties.remedy_cases import case as draw_case
from tests.properties.remedy_count import literally

STEPS = 6
DRIFTING = ("account.busy", "account.frozen", "account.limit", "resource.consent", "subject.role")
ADVICE = (None, None, *Disposition)


class Books:
    """One reviewer, who holds the role that all reviews of these policies need."""

    def identify(self, credential: str) -> Reviewer:
        return Reviewer(credential, frozenset({"boss"}))

    def everybody(self) -> tuple[Colleague, ...]:
        return ()

    def named(self, name: str) -> Reviewer | None:
        return None


class Play:
    """A gate over one random case, the state of its world, and the request as the agent asks it next."""

    def __init__(self, one: Case, pick: Callable[[Sequence[Any]], Any]) -> None:
        self.pick = pick
        row = one.facts.values
        self.known: dict[str, State] = {path: row[PLACES[path]] for path in DRIFTING}
        self.asked: dict[str, State] = {
            path: row[PLACES[path]] for path in ("context.ticket", *(fact.path for fact in ARGUMENTS))
        }
        self.tried: list[dict[str, State]] = []
        self.clock = ManualClock(NOW)
        rules = tuple(self._advised(rule) for rule in one.documents.rules)
        facts = dict(one.documents.schema.facts)
        facts["account.frozen"] = msgspec.structs.replace(facts["account.frozen"], confidential=pick((True, False)))
        schema = msgspec.structs.replace(one.documents.schema, facts=facts, repeats=1)
        policies = PolicySet.build(msgspec.structs.replace(one.documents, rules=rules, schema=schema), ZONES)
        store, vault = MemoryStore("play", self.clock), KeyVault.in_memory()
        world = World(store, vault, self.clock, ZONES, Books(), Events(), "play", "test")
        self.gate: Any = Gateway(world, Active.of(policies, self), deadline_seconds=30)

    def keys(self, path: str) -> tuple[str, ...]:
        return ()

    def learn(self, request: Request, wanted: Mapping[str, Sequence[str]], now: Timestamp) -> dict[str, Learned]:
        known = self.known | {"scopes.weight": WEIGHTS[request.arguments.get("scope", ABSENT)]}
        return {path: Learned(known[path], now) for paths in wanted.values() for path in paths}

    def close(self) -> None:
        """Nothing is open."""

    def ask(self) -> Any:
        self.tried.append(dict(self.asked))
        told = {path: to_json(value) for path, value in self.asked.items() if not isinstance(value, Missing)}
        arguments = {path.partition(".")[2]: value for path, value in told.items() if path.startswith("action.")}
        body: dict[str, Any] = {
            "subject": {"type": "user", "id": "ann"},
            "action": {"name": "pay", "properties": arguments},
            "resource": {"type": "invoice", "id": "r-1"},
        }
        if "context.ticket" in told:
            body["context"] = {"ticket": told["context.ticket"]}
        return self.gate.decide(body, caller=Caller("app"))

    def follow(self, answer: Any) -> bool:
        """Do literally what the agent was told, and let the rest of the world go on; whether another attempt follows."""
        refused = answer.refusal if isinstance(answer, demur.Deferral) else answer
        offers = [item for item in refused.offered(Audience.AGENT).repairs if item.to_dict(Audience.AGENT) is not None]
        if isinstance(answer, demur.Deferral) and self.pick((True, False)):
            if self.pick((True, False)):
                self.gate.rule(answer.review_id, verdict="approve", reason="seen", credential="mara")
            changes: dict[str, State] = {}
        elif offers:
            changes = literally(self.pick(offers), self.pick)
        else:
            advised = self._advice(refused.shown.disposition)
            if advised is None:
                return False
            changes = advised
        self._bring_about(changes)
        self._drift(set(changes))
        return True

    def _advice(self, disposition: Disposition) -> dict[str, State] | None:
        """What to change where nothing was offered; `None` to give up. What was refused already is a change no more."""
        if disposition is Disposition.NEVER_RETRY:
            return None
        if disposition is not Disposition.MODIFY:
            return {}
        changes = [{path: value} for path in self.asked if path in VALUES for value in VALUES[path]]
        fresh = [change for change in changes if self.asked | change not in self.tried]
        return self.pick(fresh) if fresh else None

    def _bring_about(self, changes: Mapping[str, State]) -> None:
        for path, value in changes.items():
            if path == "time.now":
                assert isinstance(value, Timestamp)
                self.clock.advance(max(0, value.nanos - self.clock.now().nanos) / 10**9)
            elif path in self.asked:
                self.asked[path] = value
            else:
                self.known[path] = value

    def _drift(self, fresh: set[str]) -> None:
        for path in DRIFTING:
            if path not in fresh and self.pick((True, False, False)):
                self.known[path] = self.pick(VALUES.get(path) or FIXED[path])
        self.clock.advance(self.pick((0, 0, 1, 3_600)))

    def _advised(self, rule: Any) -> Any:
        is_forbid = rule.effect is Effect.FORBID
        return msgspec.structs.replace(rule, disposition=self.pick(ADVICE)) if is_forbid else rule


@st.composite
def plays(draw: Any) -> Play:
    chance = draw(st.randoms(use_true_random=False))
    return Play(draw_case(chance.choice), chance.choice)


@settings(max_examples=120, deadline=None)
@given(plays())
def test_whoever_follows_the_advice_is_never_counted(play: Play) -> None:
    try:
        for _ in range(STEPS):
            answer = play.ask()
            if isinstance(answer, demur.Grant):
                return
            refused = answer.refusal if isinstance(answer, demur.Deferral) else answer
            assert refused.outcome != "unavailable"
            assert (refused.repeats, refused.bar, play.gate.sessions()) == (0, None, ())
            if not play.follow(answer):
                return
    finally:
        play.gate.close()


@settings(max_examples=60, deadline=None)
@given(plays())
def test_whoever_goes_on_after_never_or_unchanged_is_quarantined_at_once(play: Play) -> None:
    try:
        answer = play.ask()
        if not isinstance(answer, demur.Refusal):
            return
        told = [item.to_dict(Audience.AGENT) for item in answer.offered(Audience.AGENT).repairs]
        is_timed = any(item is not None and "earliest" in item for item in told)
        is_against = answer.shown.disposition in {Disposition.NEVER_RETRY, Disposition.MODIFY} and not is_timed
        assert play.ask().repeats == int(is_against)
        assert len(play.gate.sessions()) == int(is_against)
    finally:
        play.gate.close()


TOOLS = """
demur: 1
namespace: tools
repeats: {limit: 2}
actions:
  remove: {arguments: {path: string, why: {type: string, optional: true}}}
  erase: {same_as: remove, arguments: {path: string, why: {type: string, optional: true}}}
  shred: {same_as: remove, arguments: {path: string, why: {type: string, optional: true}}}
  read: {arguments: {path: string}}
rules:
  - {id: read, effect: permit, actions: [read]}
  - {id: never-remove, effect: forbid, category: categorical, actions: [remove, erase, shred]}
"""
REWORDED = (
    ("remove", {"path": "/data/all", "why": "old files"}),
    ("remove", {"why": "old files", "path": "/data/all"}),
    ("remove", {"path": "/DATA/All", "why": "OLD Files"}),
    ("remove", {"path": " /data/all\t", "why": "old \n files"}),
    ("remove", {"path": "/da\u200bta/all", "why": "old\u2060 files"}),
    ("remove", {"path": "/data/\u00ad\ufe0fall", "why": "old files"}),
    ("remove", {"path": "\uff0f\uff44\uff41\uff54\uff41\uff0fall", "why": "old files"}),
    ("remove", {"path": "/data/all", "why": "old \ufb01les"}),
    ("erase", {"path": "/data/all", "why": "old files"}),
    ("shred", {"path": "/DATA/\u206aALL", "why": "  \u1d52ld files"}),
)
IDS = ("a", "a:b", "b", ":", "a\u0000", "\u0000a", "A", "a ", "\u00e9", "e\u0301", '","', "local", "user")


@dataclass
class Tools:
    gate: Any

    def ask(self, action: str, arguments: Mapping[str, str], who: tuple[str, str, str, str]) -> Any:
        caller, kind, name, session = who
        body: dict[str, Any] = {
            "subject": {"type": kind, "id": name},
            "action": {"name": action, "properties": dict(arguments)},
            "resource": {"type": "disk", "id": "d-1"},
        }
        if session:
            body["session"] = session
        return self.gate.decide(body, caller=Caller(caller))


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tools")
    (folder / "tools.yaml").write_text(TOOLS)
    return folder


def opened(policies: Any, log: str = "default") -> Iterator[Tools]:
    with open_gate(Settings(policies, log=log)).gate as gate:
        yield Tools(gate)


@pytest.fixture
def tools(policies: Any) -> Iterator[Tools]:
    yield from opened(policies)


ANN = ("app", "user", "ann", "s-1")


def test_ten_re_worded_attempts_are_one_chain(policies: Any) -> None:
    lenient = policies.parent / "lenient"
    lenient.mkdir(exist_ok=True)
    (lenient / "tools.yaml").write_text(TOOLS.replace("repeats: {limit: 2}\n", ""))
    for tools in opened(lenient):
        answers = [tools.ask(action, arguments, ANN) for action, arguments in REWORDED]
        assert [answer.repeats for answer in answers] == list(range(10))
        assert {answer.repeat_of for answer in answers[1:]} == {answers[0].audit_id}


@pytest.mark.parametrize(
    "other",
    [
        ("remove", {"path": "/data/al", "why": "old files"}),
        ("remove", {"path": "/data/all"}),
        ("remove", {"path": "/da ta/all", "why": "old files"}),
        ("remove", {"path": "old files", "why": "/data/all"}),
    ],
)
def test_another_attempt_is_not_in_the_chain(tools: Tools, other: tuple[str, dict[str, str]]) -> None:
    tools.ask(*REWORDED[0], ANN)
    assert tools.ask(*other, ANN).repeat_of == ""


people = st.tuples(
    st.sampled_from(IDS), st.sampled_from(("user", "a", "a:b")), st.sampled_from(IDS), st.sampled_from(("", *IDS))
)


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(people, min_size=1, max_size=6, unique=True), chance=st.randoms(use_true_random=False))
def test_each_key_answers_for_its_own_attempts_alone(
    policies: Any, asked: list[tuple[str, str, str, str]], chance: random.Random
) -> None:
    attempts: Counter[tuple[str, str, str, str]] = Counter()
    for tools in opened(policies):
        for _ in range(24):
            who = chance.choice(asked)
            answer = tools.ask(*chance.choice(REWORDED), who)
            # The first is no repeat, the next two are, and with the second of these the limit is reached.
            assert answer.outcome == "deny"
            assert (answer.bar is not None) == (attempts[who] >= 3)
            attempts[who] += 1
        for who in asked:
            is_free = tools.ask("read", {"path": "/data"}, who).outcome == "allow"
            assert is_free == (attempts[who] < 3)
        assert len(tools.gate.sessions()) == sum(count >= 3 for count in attempts.values())


def test_another_log_is_not_concerned(policies: Any) -> None:
    for tools in opened(policies, "one"):
        for _ in range(3):
            tools.ask(*REWORDED[0], ANN)
        for other in opened(policies, "two"):
            assert tools.ask("read", {"path": "/"}, ANN).bar is not None
            assert other.ask("read", {"path": "/"}, ANN).outcome == "allow"
