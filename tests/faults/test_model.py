"""The protocol keeps its promises in every state it can reach, and the search that says so finds each seeded flaw."""

from __future__ import annotations

import pytest

from tests.faults.model import Bounds, Flaw, State, broken, explore

SMALL = Bounds(grants=1, records=5, crashes=2)


def test_no_state_breaks_a_rule() -> None:
    found = explore(SMALL)
    assert (found.fault, found.trace) == ("", ())
    assert found.states > 1_000


@pytest.mark.parametrize(
    ("flaw", "fault"),
    [
        (Flaw.ANSWER_BEFORE_COMMIT, "an acknowledged record is gone"),
        (Flaw.ACT_BEFORE_COMMIT, "executed without a durable allow and redemption"),
        (Flaw.REDEEM_UNCHECKED, "one grant was redeemed twice in the ledger"),
        (Flaw.RETRY_APPENDS, "one request was granted twice"),
        (Flaw.SIGN_BEFORE_COMMIT, "two roots were signed for one size"),
        (Flaw.ERASE_DELETES, "an acknowledged record is gone"),
        (Flaw.METER_ASLEEP, "what happened behind the gate's back was not counted"),
    ],
)
def test_every_flaw_is_found_and_shown(flaw: Flaw, fault: str) -> None:
    found = explore(SMALL, flaw)
    assert found.fault == fault
    assert found.trace


def test_every_flaw_is_tried() -> None:
    assert {case[0] for case in test_every_flaw_is_found_and_shown.pytestmark[0].args[1]} == set(Flaw)  # type: ignore[attr-defined]


def test_a_state_out_of_nowhere_is_judged_alone() -> None:
    assert broken(State(executed=(0,))) == "executed without a durable allow and redemption"
    assert broken(State()) == ""
