"""Claims while each port fails at each call: no execution without a durable redemption, and no approval used twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import demur
from demur.core.terms import Outcome
from demur.errors import DemurError, RulingError
from tests.faults.test_gateway_dependencies import ERRORS, MAX_CALLS, Failing, FailingStore, Tool, broken, redeemed
from tests.flows.shop import Shop, open_shop, refund

AMOUNT = {"amount": 60_000}


def approved(shop: Shop) -> Any:
    """A deferral that was approved, before anything fails."""
    deferral = shop.gate.decide(refund(60_000, subject="bob"))
    shop.gate.rule(deferral.review_id, verdict="approve", reason="seen", credential=shop.manager)
    return deferral


def claim(shop: Shop, port: str, at: int, review_id: str, *, is_lasting: bool) -> tuple[bool, list[Any], Tool]:
    """Claim, act, and claim again where one is not told that it was done, with this port failing at that call."""
    real = shop.gate._active.sources if port == "sources" else getattr(shop.parts.world, port)
    kind = FailingStore if port == "store" else Failing
    failing = kind(real, at, ERRORS[at % len(ERRORS)], is_lasting=is_lasting)
    gate, tool, answers = broken(shop, port, failing), Tool(), []
    for _ in range(3):
        try:
            answers.append(gate.claim(review_id))
            tool.run(gate, answers[-1], AMOUNT)
        except RulingError:
            raise  # it is this caller's own, whatever fails
        except (DemurError, OSError):
            continue
    return failing.calls >= at, answers, tool


@pytest.mark.parametrize("is_lasting", [True, False], ids=["for-good", "once"])
@pytest.mark.parametrize("port", ["store", "vault", "sources", "zones", "clock"])
def test_a_port_that_fails_at_any_call_of_a_claim_lets_nothing_happen_twice(
    tmp_path: Path, port: str, *, is_lasting: bool
) -> None:
    reached, at = True, 0
    while reached and at < MAX_CALLS:
        at += 1
        (tmp_path / f"{at}").mkdir()
        shop = open_shop(tmp_path / f"{at}")
        try:
            review_id = approved(shop).review_id
            reached, answers, tool = claim(shop, port, at, review_id, is_lasting=is_lasting)
            assert set(tool.executed) <= redeemed(shop)
            assert len(tool.executed) <= 1
            grants = {answer.id for answer in answers if isinstance(answer, demur.Grant)}
            assert len(grants) <= 1
            assert all(answer.outcome in {Outcome.ALLOW, Outcome.DENY, Outcome.UNAVAILABLE} for answer in answers), (
                answers
            )
            if not tool.executed and not is_lasting:
                # What failed once is claimed in the end, unless its grant was used up without a word.
                assert isinstance(shop.gate.claim(review_id), demur.Grant) or redeemed(shop)
        finally:
            shop.gate.close()
    assert 0 < at < MAX_CALLS


def test_without_a_fault_it_is_done_once(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    _, answers, tool = claim(shop, "store", 10**6, approved(shop).review_id, is_lasting=True)
    assert len(tool.executed) == 1
    assert [answer.outcome for answer in answers] == ["allow", "deny", "deny"]
    shop.gate.close()
