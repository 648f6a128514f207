"""The whole review model at random, against a real gate: whatever people do in whatever order, the rules of S7 hold.

A naive model of reviews, verdicts, leases, delegations and grants says before every step what must come of it; after
every step the gate must be in the state that the model is in. At the end the ledger must tell the same story.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import demur
from demur.adapters.clock import ManualClock
from demur.core.intake import Caller
from demur.core.ledger import chain
from demur.core.policy.document import Narrowing
from demur.core.review import ReviewState
from demur.core.task import Problem
from demur.core.terms import Entity, parse_timestamp
from demur.errors import RulingError
from demur.steps import assigning
from demur.steps import ruling as rulings
from demur.steps.session import Session
from demur.wiring import Settings, open_gate, reload_policies

START = parse_timestamp("2026-11-20T09:00:00Z")
HOUR = 3_600
POLICY = """
demur: 1
namespace: shop
sources:
  account: {kind: python, key: [resource.type, resource.id]}
facts:
  account.frozen: {type: bool, source: account}
actions:
  refund: {arguments: {amount: {type: int, change: true}}}
rules:
  - {id: small, effect: permit, actions: [refund], when: [{name: s, expr: action.amount <= 500, explain: small}]}
  - id: large
    effect: review
    actions: [refund]
    when: [{name: l, expr: action.amount > 500, explain: large}]
    review: {role: manager, quorum: 2, within: 1h, risk: RISK}
  - id: huge
    effect: review
    actions: [refund]
    when: [{name: h, expr: action.amount > 1000, explain: huge}]
    review: {role: director, quorum: 1, within: 1h, risk: high}
  - id: odd
    effect: forbid
    category: policy_violation
    actions: [refund]
    when: [{name: o, expr: action.amount == 777, explain: odd}]
  - id: frozen
    effect: forbid
    category: state_conflict
    actions: [refund]
    when: [{name: f, expr: account.frozen, explain: frozen}]
"""
ROLES = {
    "mara": {"manager"},
    "noa": {"manager"},
    "ann": {"manager"},
    "dan": {"director"},
    "zoe": {"manager", "director"},
    "gil": {"guest"},
    "opa": {"operator"},
}
CALLERS = {"": Caller(), "zoe": Caller("agent", actor=Entity(type="user", id="zoe"))}
AMOUNTS = (400, 800, 900, 2_000)
LEASE, GRANT = 600, 30
BOUNDS = (0, 0, 0, 300, 600, 777, 850, 5_000)
people = st.sampled_from(sorted(ROLES))


@dataclass
class Case:
    """One review as the model knows it. Times are seconds from the start."""

    id: str
    key: tuple[str, str, int]
    asked: dict[str, str]
    """Rule to its version."""
    opened: int
    panels: dict[str, tuple[str, int]]
    verdicts: list[tuple[str, str, set[str]]] = field(default_factory=list)
    """Who ruled, in whose place, with which roles."""
    end: str = ""
    holder: tuple[str, int] = ("", 0)
    level: int = 0
    approved: int = 0
    bound: int = 10**9
    seconds: int = GRANT
    grant: str = ""
    grant_end: int = 0

    @property
    def deadline(self) -> int:
        return self.opened + HOUR

    def barred(self) -> set[str]:
        return {self.key[0], self.key[1] or self.key[0], "agent" if self.key[1] else "local"}

    def state(self, now: int) -> str:
        if self.end == "approved":
            return (
                "expired"
                if now >= self.approved + HOUR and not self.grant
                else "reserved"
                if self.grant
                else "approved"
            )
        if self.end:
            return self.end
        if now >= self.deadline:
            return "expired"
        return "assigned" if self.holder[0] and now < self.holder[1] else "pending_review"

    def is_open(self, now: int) -> bool:
        return self.state(now) in {"assigned", "pending_review"}

    def is_free(self, now: int) -> bool:
        """Whether a grant may stand on it."""
        return self.end == "approved" and now < self.approved + HOUR and (not self.grant or now >= self.grant_end)

    def verdict_of(self, name: str) -> bool:
        return any(name in (who, whose) for who, whose, _ in self.verdicts)

    def has_quorum(self) -> bool:
        return all(
            sum(role in roles for _, _, roles in self.verdicts) >= quorum for role, quorum in self.panels.values()
        )


@dataclass
class Loan:
    id: str
    lender: str
    to: str
    roles: set[str]
    end: int


class Desk(RuleBasedStateMachine):
    """Random people at a random desk."""

    is_kept = False

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="demur-desk-")
        root = Path(self.folder.name)
        self.policies, self.home = root / "policies", root / "home" if self.is_kept else None
        self.policies.mkdir()
        self.now, self.version, self.is_frozen = 0, "high", False
        self.cases: list[Case] = []
        self.loans: list[Loan] = []
        self.grants: dict[str, tuple[str, int, int, list[Case], str]] = {}
        """Token to id, end, amount, what it stands on, policy version."""
        self.count: Counter[str] = Counter()
        self.clock = ManualClock(START)
        self.write()
        self.parts = self.opened()
        self.keys = {name: self.parts.book.add(name, sorted(roles)) for name, roles in ROLES.items()}
        self.put("bob", "", 800)
        self.put("ann", "zoe", 2_000)

    def opened(self) -> Any:
        frozen = lambda _: {"account.frozen": self.is_frozen}  # noqa: E731
        return open_gate(Settings(self.policies, self.home, sources={"account": frozen}, clock=self.clock))

    def write(self) -> None:
        (self.policies / "shop.yaml").write_text(POLICY.replace("RISK", self.version))

    @property
    def gate(self) -> Any:
        return self.parts.gate

    def must(self, act: Any, *, succeed: bool) -> Any:
        """What the act gives; it must succeed exactly where the model says so."""
        if succeed:
            return act()
        with pytest.raises(RulingError):
            act()
        return None

    def some(self, data: st.DataObject) -> Case:
        return data.draw(st.sampled_from(self.cases))

    # ------------------------------------------------------------------ the requester

    @rule(subject=st.sampled_from(["ann", "bob"]), actor=st.sampled_from(["", "zoe"]), amount=st.sampled_from(AMOUNTS))
    def ask(self, subject: str, actor: str, amount: int) -> None:
        self.put(subject, actor, amount)

    @precondition(lambda self: self.cases)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        self.put(*self.some(data).key)

    @precondition(lambda self: any(case.end == "approved" for case in self.cases))
    @rule(data=st.data(), is_used=st.booleans())
    def use(self, data: st.DataObject, is_used: bool) -> None:
        case = data.draw(st.sampled_from([one for one in self.cases if one.end == "approved"]))
        self.put(*case.key)
        tokens = [token for token, found in self.grants.items() if case in found[3]]
        if tokens and is_used:
            self.spend(tokens[-1], 0)

    def put(self, subject: str, actor: str, amount: int) -> None:
        key = (subject, actor, amount)
        answer = self.gate.decide(
            {
                "subject": {"type": "user", "id": subject},
                "action": {"name": "refund", "properties": {"amount": amount}},
                "resource": {"type": "invoice", "id": "i"},
            },
            caller=CALLERS[actor],
        )
        mine = [case for case in self.cases if case.key == key]
        if self.is_frozen:
            assert answer.outcome == "deny"
            return self.supersede(case for case in mine if amount > 500)
        needed = self.needed(amount)
        free = [case for case in mine if case.is_free(self.now)]
        met = {rule for case in free for rule, version in case.asked.items() if needed.get(rule) == version}
        if met == set(needed):
            return self.granted(answer, needed, mine, free, amount)
        assert isinstance(answer, demur.Deferral)
        left = {rule: version for rule, version in needed.items() if rule not in met}
        fitting = [case for case in mine if case.is_open(self.now) and left.items() <= case.asked.items()]
        if fitting:
            assert answer.review_id == fitting[0].id
        else:
            assert answer.review_id not in {case.id for case in self.cases}
            asked = {"large": ("manager", 2), "huge": ("director", 1)}
            panels = {rule: asked[rule] for rule in left}
            self.cases.append(Case(answer.review_id, key, left, self.now, panels))
        return self.supersede(case for case in mine if case.id != answer.review_id)

    def needed(self, amount: int) -> dict[str, str]:
        """The review rules that ask about an amount, with their versions."""
        return ({"large": self.version} if amount > 500 else {}) | ({"huge": "high"} if amount > 1_000 else {})

    def granted(self, answer: Any, needed: dict[str, str], mine: list[Case], free: list[Case], amount: int) -> None:
        assert isinstance(answer, demur.Grant)
        used: list[Case] = []
        left = set(needed)
        for case in free:
            if left & set(case.asked):
                left -= set(case.asked)
                used.append(case)
        bound = min([amount, *(case.bound for case in used)])
        seconds = min([GRANT, *(case.seconds for case in used)])
        assert (answer.arguments["amount"], answer.expires_at) == (bound, START.plus(self.now + seconds))
        for case in used:
            case.grant, case.grant_end = answer.id, self.now + seconds
        self.grants[answer.token] = (answer.id, self.now + seconds, bound, used, self.version)
        if needed:
            self.supersede(case for case in mine if not needed.items() <= case.asked.items())

    def supersede(self, cases: Any) -> None:
        for case in cases:
            if case.is_open(self.now):
                case.end = "superseded"
                self.count["review_superseded"] += 1

    @precondition(lambda self: self.grants)
    @rule(data=st.data(), less=st.sampled_from([0, 0, 1]))
    def redeem(self, data: st.DataObject, less: int) -> None:
        self.spend(data.draw(st.sampled_from(list(self.grants))), less)

    def spend(self, token: str, less: int) -> None:
        _, end, amount, used, version = self.grants[token]
        found = self.gate.redeem(token, {"amount": amount - less})
        is_good = self.now < end and not less and version == self.version
        assert isinstance(found, demur.Redemption) == is_good
        if is_good:
            del self.grants[token]
            for case in used:
                case.end = "executed"

    @precondition(lambda self: len(self.cases) > 3)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        case = self.some(data)
        was_open = case.is_open(self.now)
        ended = self.gate.cancel_request(case.id, caller=CALLERS[case.key[1]].id)
        assert isinstance(ended, Problem) != was_open
        if was_open:
            case.end = "cancelled"
            self.count["review_cancelled"] += 1

    # ------------------------------------------------------------------ reviewers

    def stances(self, case: Case, who: str) -> list[tuple[str, set[str]]]:
        """In whose place this person could speak on the case, with which roles."""
        wanted = {role for role, _ in case.panels.values()}
        lent = [(loan.lender, loan.roles) for loan in self.loans if loan.to == who and self.now < loan.end]
        return [(whose, set(roles)) for whose, roles in [("", ROLES[who]), *lent] if wanted & roles]

    def may(self, case: Case, who: str, *, holding: bool) -> tuple[str, set[str]] | None:
        if not case.is_open(self.now):
            return None
        holder = case.holder[0] if case.state(self.now) == "assigned" else ""
        for whose, roles in self.stances(case, who):
            names = {who, whose} - {""}
            is_held = bool(holder) and holder not in ({who} if holding else names)
            if not names & case.barred() and not any(case.verdict_of(name) for name in names) and not is_held:
                return whose, roles
        return None

    @precondition(lambda self: self.cases)
    @rule(
        data=st.data(),
        who=people,
        verdict=st.sampled_from(["approve"] * 5 + ["reject"]),
        bound=st.sampled_from(BOUNDS),
        seconds=st.sampled_from([None, None, 5]),
    )
    def speak(self, data: st.DataObject, who: str, verdict: str, bound: int, seconds: int | None) -> None:
        self.say(self.some(data), who, verdict, bound, seconds)

    @precondition(lambda self: self.rightful())
    @rule(data=st.data(), bound=st.sampled_from(BOUNDS), seconds=st.sampled_from([None, 5]))
    def approve_rightly(self, data: st.DataObject, bound: int, seconds: int | None) -> None:
        case, who = data.draw(st.sampled_from(self.rightful()))
        self.say(case, who, "approve", bound, seconds)

    @precondition(lambda self: self.rightful())
    @rule(data=st.data(), bounds=st.lists(st.sampled_from(BOUNDS), min_size=3, max_size=3))
    def approve_wholly(self, data: st.DataObject, bounds: list[int]) -> None:
        case, _ = data.draw(st.sampled_from(self.rightful()))
        for who in data.draw(st.permutations(sorted(ROLES))):
            if self.may(case, who, holding=False) is not None:
                self.say(case, who, "approve", bounds[len(case.verdicts) % 3], None)
        if case.end == "approved":
            self.put(*case.key)

    @precondition(lambda self: self.rightful())
    @rule(data=st.data(), to=st.sampled_from(["gil", "opa", "noa"]), is_first=st.booleans())
    def approve_in_a_place(self, data: st.DataObject, to: str, is_first: bool) -> None:
        """Lender and delegate both try, in either order."""
        case, lender = data.draw(st.sampled_from(self.rightful()))
        if lender in {to, "opa"}:
            return
        if not any((loan.lender, loan.to) == (lender, to) for loan in self.loans):
            self.lent(lender, to, 4_000)
        for who in (lender, to) if is_first else (to, lender):
            self.say(case, who, "approve", 0, None)

    def rightful(self) -> list[tuple[Case, str]]:
        """Who may speak on what."""
        return [(case, who) for case in self.cases for who in ROLES if self.may(case, who, holding=False) is not None]

    def say(self, case: Case, who: str, verdict: str, bound: int, seconds: int | None) -> None:
        stance = self.may(case, who, holding=False)
        left = min(bound or 10**9, case.bound, case.key[2])
        standing = [one for one in self.cases if one.key == case.key and one.is_free(self.now)]
        met = {
            rule
            for one in [case, *standing]
            for rule, version in one.asked.items()
            if self.needed(left).get(rule) == version
        }
        is_allowed = left != 777 and not self.is_frozen and met == set(self.needed(left))
        is_sound = not bound or (bound < case.key[2] and is_allowed)
        is_plain = not bound and seconds is None
        is_right = stance is not None and (is_sound if verdict == "approve" else is_plain)
        found = self.must(
            lambda: self.gate.rule(
                case.id,
                verdict=verdict,
                reason="seen",
                credential=self.keys[who],
                narrows=[Narrowing(argument="amount", at_most=bound)] if bound else (),
                grant_seconds=seconds,
            ),
            succeed=is_right,
        )
        if found is None or stance is None:
            return
        case.verdicts.append((who, *stance))
        case.holder = ("", 0)
        self.count["review_ruled"] += 1
        if verdict == "reject":
            case.end = "denied"
            return
        case.bound = left if bound else case.bound
        case.seconds = min(case.seconds, seconds or GRANT)
        if case.has_quorum():
            case.end, case.approved = "approved", self.now

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), who=people)
    def take(self, data: st.DataObject, who: str) -> None:
        case = self.some(data)
        is_right = self.may(case, who, holding=True) is not None
        found = self.must(lambda: self.gate.take(case.id, credential=self.keys[who], seconds=LEASE), succeed=is_right)
        if found is not None:
            self.hold(case, who)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), by=people, to=people)
    def assign(self, data: st.DataObject, by: str, to: str) -> None:
        case = self.some(data)
        holder = case.holder[0] if case.state(self.now) == "assigned" else ""
        free = Case(**{**case.__dict__, "holder": ("", 0)})
        is_operator = by == "opa" and by not in case.barred()
        may_give = is_operator or (self.may(free, by, holding=True) is not None and holder in {"", by, to})
        is_right = may_give and self.may(free, to, holding=True) is not None
        found = self.must(
            lambda: self.gate.assign(case.id, to=to, credential=self.keys[by], seconds=LEASE), succeed=is_right
        )
        if found is not None:
            self.hold(case, to)

    def hold(self, case: Case, who: str) -> None:
        case.holder = (who, min(self.now + LEASE, case.deadline))
        self.count["review_assigned"] += 1

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), who=people)
    def give_back(self, data: st.DataObject, who: str) -> None:
        case = self.some(data)
        is_right = case.state(self.now) == "assigned" and who in {case.holder[0], "opa"}
        found = self.must(lambda: self.gate.give_back(case.id, credential=self.keys[who]), succeed=is_right)
        if found is not None:
            case.holder = ("", 0)
            self.count["given back"] += 1

    @precondition(lambda self: any(case.is_open(self.now) for case in self.cases))
    @rule(data=st.data())
    def escalate(self, data: st.DataObject) -> None:
        case = data.draw(st.sampled_from([one for one in self.cases if one.is_open(self.now)]))
        case.panels = {rule: ("director", quorum) for rule, (_, quorum) in case.panels.items()}
        case.level += 1

        def work(tx: Any) -> None:
            session = Session(self.parts.world, self.parts.gate._active, tx)
            row = tx.find_review(case.id)
            asked = rulings.decode(row).panels
            changed = [type(one)(one.rule, one.digest, "director", one.quorum) for one in asked]
            assigning.escalate(session, row, changed, case.level, "test")

        self.parts.world.store.submit(work).result(10)
        case.holder = ("", 0)
        self.count["review_escalated"] += 1

    @precondition(lambda self: len(self.loans) < 4)
    @rule(lender=people, to=people, seconds=st.sampled_from([100, 4_000]))
    def lend(self, lender: str, to: str, seconds: int) -> None:
        self.lent(lender, to, seconds)

    def lent(self, lender: str, to: str, seconds: int) -> None:
        lent = self.must(
            lambda: self.gate.delegate(
                to=to, until=START.plus(self.now + seconds), credential=self.keys[lender], reason="away"
            ),
            succeed=lender not in {to, "opa"},
        )
        if lent is not None:
            self.loans.append(Loan(lent.id, lender, to, ROLES[lender], self.now + seconds))
            self.count["delegation_opened"] += 1

    @precondition(lambda self: self.loans)
    @rule(data=st.data(), who=people)
    def end_loan(self, data: st.DataObject, who: str) -> None:
        loan = data.draw(st.sampled_from(self.loans))
        is_right = self.now < loan.end and who in {loan.lender, loan.to, "opa"}
        act = lambda: self.gate.end_delegation(loan.id, credential=self.keys[who], reason="back") or True  # noqa: E731
        if self.must(act, succeed=is_right):
            self.loans.remove(loan)

    # ------------------------------------------------------------------ the world

    @rule(seconds=st.sampled_from([1, 4, 29, 30, 599, 600, 3_000, 3_600]))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.clock.advance(seconds)

    @rule(what=st.sampled_from(["freeze", "policies", "nothing", "nothing", "nothing"]))
    def change(self, what: str) -> None:
        if what == "freeze" or self.is_frozen:
            self.is_frozen = not self.is_frozen
        elif what == "policies":
            self.version = "critical" if self.version == "high" else "high"
            self.write()
            reload_policies(self.parts)
            current = {"large": self.version, "huge": "high"}
            self.supersede(case for case in self.cases if not case.asked.items() & current.items())

    @precondition(lambda self: self.is_kept)
    @rule()
    def restart(self) -> None:
        self.gate.close()
        self.parts = self.opened()

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def the_gate_is_where_the_model_is(self) -> None:
        for case in getattr(self, "cases", ()):
            found = self.gate.review(case.id)
            assert found.state.value == case.state(self.now)
            assert len(found.review.rulings) == len(case.verdicts)
            holder = case.holder[0] if found.state is ReviewState.ASSIGNED else ""
            assert (found.to_dict()["holder"], found.review.level) == (holder, case.level)

    def teardown(self) -> None:
        if not hasattr(self, "parts"):
            return
        try:
            self.check_ledger()
        finally:
            self.gate.close()
            self.folder.cleanup()

    def check_ledger(self) -> None:
        """Every transition is a record, once, and the ledger is whole."""
        self.gate.reviews()
        records = list(self.parts.world.store.records())
        assert chain.check(iter(records), log="default").end.size == len(records)
        leaves = [json.loads(record.leaf) for record in records]
        told = Counter(leaf["type"] for leaf in leaves)
        expired = [leaf["review"] for leaf in leaves if leaf["type"] == "review_expired"]
        silent = [case.id for case in self.cases if not case.end and self.now >= case.deadline]
        assert sorted(expired) == sorted(silent)
        told["given back"] = sum(leaf["type"] == "review_released" and leaf["cause"] != "time" for leaf in leaves)
        for kind in ("review_ruled", "review_assigned", "review_escalated", "review_superseded", "review_cancelled"):
            assert told[kind] == self.count[kind], kind
        assert (told["given back"], told["delegation_opened"]) == (
            self.count["given back"],
            self.count["delegation_opened"],
        )
        assert told["delegation_closed"] == told["delegation_opened"] - sum(self.now < loan.end for loan in self.loans)
        redeemed = [leaf["grant"] for leaf in leaves if leaf["type"] == "grant_redeemed"]
        assert len(redeemed) == len(set(redeemed))


class KeptDesk(Desk):
    """The same on SQLite, closed and opened again now and then."""

    is_kept = True


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def play(desk: type[Desk], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        desk,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET),
    )


def test_the_desk_keeps_the_rules_whatever_people_do() -> None:
    play(Desk, 8, 25)


@pytest.mark.slow
def test_the_desk_keeps_them_however_long_it_goes_on() -> None:
    play(Desk, 60, 50)


@pytest.mark.slow
def test_the_desk_on_sqlite_keeps_them_through_restarts() -> None:
    play(KeptDesk, 10, 30)
