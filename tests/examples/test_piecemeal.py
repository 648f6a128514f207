"""A bulk deletion taken apart: hundreds of single deletions meet the rule that refuses to delete all (S8.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import demur
from demur.adapters.clock import ManualClock
from demur.core.terms import Request, parse_timestamp
from demur.wiring import Settings, open_gate

CLINIC = Path(__file__).resolve().parents[2] / "examples" / "clinic"
RULE = "clinic/never-delete-in-bulk"
DAILY = 25


def long_past(request: Request) -> Mapping[str, object]:
    del request
    facts = {"under_review": False, "retention_ends": "2019-12-31T23:00:00Z", "treating": [], "consent": demur.ABSENT}
    return {f"resource.{name}": value for name, value in facts.items()}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(parse_timestamp("2026-11-20T09:00:00Z"))


@pytest.fixture
def gate(clock: ManualClock) -> Iterator[demur.Gateway]:
    with open_gate(Settings(CLINIC, sources={"records": long_past}, clock=clock)).gate as opened:
        yield opened


def delete(gate: demur.Gateway, record: int, *, scope: str = "one", person: str = "officer-haas") -> str:
    """Ask for one deletion and carry it out where it is granted; the outcome and, of a refusal, its rule."""
    answer = gate.decide(
        {
            "subject": {"type": "user", "id": person},
            "action": {"name": "delete_records", "properties": {"scope": scope}},
            "resource": {"type": "record", "id": f"r-{record}"},
        }
    )
    if isinstance(answer, demur.Grant):
        assert isinstance(gate.redeem(answer.token, answer.arguments), demur.Redemption)
        gate.complete(answer.id, "success")
        return "allow"
    assert isinstance(answer, demur.Refusal)
    return answer.reason.policy_reference


def test_five_hundred_single_deletions_meet_the_rule_against_deleting_all(gate: demur.Gateway) -> None:
    assert delete(gate, 1, scope="all") == RULE
    answers = [delete(gate, record) for record in range(1, 501)]

    assert Counter(answers) == {"allow": DAILY, RULE: 500 - DAILY}
    assert answers[:DAILY] == ["allow"] * DAILY


def test_the_deletions_of_one_officer_are_not_another_ones(gate: demur.Gateway) -> None:
    before = [delete(gate, record) for record in range(1, DAILY + 2)]

    assert before[-1] == RULE
    assert delete(gate, 1, person="admin-costa") != RULE
