"""An attacker who sees only the low views learns no hidden limit from one refusal; probing is on record and counted.

The gate is played as the attacker plays it: requests in, the end user's or the agent's view out, nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.adapters.clock import ManualClock
from demur.core.ledger import chain
from demur.core.terms import Audience, Bar, parse_timestamp
from demur.wiring import Parts, Settings, open_gate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLICY = """
demur: 1
namespace: bank
sources: {limits: {kind: python}}
facts:
  account.limit: {type: int, source: limits, visible: {end_user: hide, agent: hide}}
  account.examined: {type: bool, source: limits, confidential: true}
  account.closed: {type: bool, source: limits}
actions:
  transfer:
    arguments: {amount: {type: int, change: true}}
  letter: {}
rules:
  - {id: transfer, effect: permit, actions: [transfer, letter]}
  - id: limit
    effect: forbid
    actions: [transfer]
    when: [{name: over, expr: action.amount > account.limit, explain: the amount is above the limit}]
  - id: closed
    effect: forbid
    category: state_conflict
    actions: [transfer]
    when: [{name: closed, expr: account.closed, explain: the account is closed}]
    alternatives: [{action: letter}]
  - id: examined
    effect: forbid
    actions: [transfer]
    stands_for: closed
    when: [{name: examined, expr: account.examined, explain: the account is examined}]
"""
MOST = 1 << 17
BELOW = [Audience.END_USER, Audience.AGENT]


class Bank:
    """The gate and what only the bank knows."""

    def __init__(self, folder: Path, policy: str = POLICY) -> None:
        policies = folder / "policies"
        policies.mkdir()
        (policies / "bank.yaml").write_text(policy)
        self.known: dict[str, Any] = {"account.limit": 0, "account.examined": False, "account.closed": False}
        clock = ManualClock(parse_timestamp("2026-11-20T09:00:00Z"))
        self.parts: Parts = open_gate(Settings(policies, None, sources={"limits": lambda _: self.known}, clock=clock))

    def ask(self, amount: int, subject: str = "eve") -> Any:
        body = {
            "subject": {"type": "user", "id": subject},
            "action": {"name": "transfer", "properties": {"amount": amount}},
            "resource": {"type": "account", "id": "a-1"},
        }
        return self.parts.gate.decide(body)

    def outcomes(self) -> list[str]:
        leaves = [chain.read_leaf(record.leaf) for record in self.parts.world.store.records()]
        return [str(leaf["outcome"]) for leaf in leaves if leaf["type"] == "decision"]


@pytest.fixture
def bank(tmp_path: Path) -> Any:
    opened = Bank(tmp_path)
    yield opened
    opened.parts.gate.close()


def view(answer: Any, audience: Audience) -> str:
    """All that the attacker sees, but for the number of the record."""
    seen = answer.to_dict(audience=audience)
    del seen["context"]["audit_id"]
    return json.dumps([seen, answer.explain(audience=audience), answer.next_step(audience=audience)])


@pytest.mark.parametrize("audience", BELOW)
def test_one_refusal_is_the_same_to_the_byte_whatever_the_limit(bank: Bank, audience: Audience) -> None:
    views = set()
    for number, limit in enumerate((0, 1, 4_999, 73_412, 99_999)):
        bank.known["account.limit"] = limit
        views.add(view(bank.ask(100_000, f"eve-{number}"), audience).replace(f"eve-{number}", "eve"))
    assert len(views) == 1


@pytest.mark.parametrize("audience", BELOW)
def test_only_probing_finds_the_limit_and_every_probe_is_on_record(bank: Bank, audience: Audience) -> None:
    bank.known["account.limit"] = 73_412
    below, above, probes = 0, MOST, []
    while above - below > 1:
        middle = (below + above) // 2
        answer = bank.ask(middle)
        if not isinstance(answer, demur.Grant):
            assert "73412" not in view(answer, audience).replace(f'"amount": {middle}', "")
        probes.append("allow" if isinstance(answer, demur.Grant) else "deny")
        below, above = (middle, above) if probes[-1] == "allow" else (below, middle)
    # The search halves what is open with each answer, so nothing but the outcome itself told anything.
    assert (below, len(probes)) == (73_412, 17)
    assert bank.outcomes() == probes


@pytest.fixture
def strict(tmp_path: Path) -> Any:
    """The bank with a limit of repeats."""
    opened = Bank(tmp_path, POLICY + "repeats: {limit: 3}\n")
    yield opened
    opened.parts.gate.close()


def test_probing_one_amount_while_the_limit_does_not_move_ends_in_quarantine(strict: Bank) -> None:
    strict.known["account.limit"] = 73_412
    answers = [strict.ask(80_000) for _ in range(6)]
    assert [answer.repeats for answer in answers[:4]] == [0, 1, 2, 3]
    assert [answer.bar for answer in answers] == [None] * 4 + [Bar.QUARANTINED] * 2
    assert strict.ask(1).bar is not None


def test_a_second_search_for_the_same_limit_is_counted_step_by_step(strict: Bank) -> None:
    """A search never asks the same amount twice; to search again, to see whether the limit moved, is to repeat."""
    strict.known["account.limit"] = 73_412
    repeats: list[int] = []
    for _ in range(2):
        below, above = 0, MOST
        while above - below > 1 and not strict.parts.gate.sessions():
            middle = (below + above) // 2
            answer = strict.ask(middle)
            is_granted = isinstance(answer, demur.Grant)
            below, above = (middle, above) if is_granted else (below, middle)
            if not is_granted:
                repeats.append(answer.repeats)
    first = repeats.index(1)
    assert repeats == [0] * first + [1, 1, 1]
    assert strict.ask(1).bar is not None


@pytest.mark.parametrize("audience", BELOW)
def test_that_a_confidential_fact_changed_is_not_told_by_the_count(tmp_path: Path, audience: Audience) -> None:
    final = POLICY.replace("category: state_conflict", "category: state_conflict\n    disposition: never_retry")
    bank = Bank(tmp_path, final)
    told = []
    for subject, examined in (("ann", (True, False, True)), ("bob", (False, False, False))):
        for is_examined in examined:
            bank.known.update({"account.limit": MOST, "account.examined": is_examined, "account.closed": True})
            told.append(json.loads(view(bank.ask(5, subject), audience))[0]["context"]["refusal"]["repeats"])
    bank.parts.gate.close()
    assert told == [0, 1, 2, 0, 1, 2]


def test_a_confidential_refusal_takes_the_same_steps_in_the_store(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.known["account.limit"] = MOST
    calls: list[str] = []

    class Counted:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(self._inner, name)

    store: Any = bank.parts.world.store
    submit = store.submit

    def counted(work: Callable[[Any], object], into: Any = None) -> Any:
        return submit(lambda tx: work(Counted(tx)), into)

    monkeypatch.setattr(store, "submit", counted)
    taken = []
    for subject, fact in (("ann", "account.closed"), ("bob", "account.examined")):
        calls.clear()
        bank.known.update({"account.closed": False, "account.examined": False, fact: True})
        answer = bank.ask(5, subject)
        taken.append(
            (list(calls), len(view(answer, Audience.AGENT)), view(answer, Audience.END_USER).replace("bob", "ann"))
        )
    assert "append" in taken[0][0]
    assert taken[0] == taken[1]


@pytest.mark.parametrize("fact", ["account.closed", "account.examined"])
def test_what_would_tell_the_two_apart_is_offered_to_neither(bank: Bank, fact: str) -> None:
    bank.known.update({"account.limit": MOST, fact: True})
    answer = bank.ask(5)
    offered = {
        audience: answer.to_dict(audience=audience)["context"]["refusal"]["remediation"] for audience in Audience
    }
    alternatives = {audience: bool(told["compliant_alternatives"]) for audience, told in offered.items()}
    is_closed = fact == "account.closed"
    assert alternatives == dict.fromkeys(BELOW, False) | dict.fromkeys((Audience.OPERATOR, Audience.AUDITOR), is_closed)
