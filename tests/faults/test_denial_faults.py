"""A fault at any call while a denial is remembered, quarantined or lifted: record and state go together or not at all.

The wrapper of the gateway's faults stands before store and vault and fails at the n-th call, for every n that the story
makes. Afterwards the same store is asked without faults.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from demur.errors import DemurError
from demur.gateway import Gateway
from tests.faults.test_gateway_dependencies import ERRORS, MAX_CALLS, Failing, FailingStore, broken
from tests.flows.shop import POLICY, Shop, open_shop, simple

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 2


def kinds(shop: Shop) -> list[str]:
    return [json.loads(record.leaf)["type"] for record in shop.parts.world.store.records()]


def story(gate: Gateway, credential: str) -> None:
    """Repeat up to the limit, meet the quarantine, lift it, quarantine by hand and lift that."""
    for _ in range(LIMIT + 2):
        gate.decide(simple("erase"))
    for held in gate.sessions():
        gate.lift(held.key, credential=credential, reason="over")
    key = gate.quarantine(subject={"type": "user", "id": "bob"}, credential=credential, reason="odd")
    gate.lift(key, credential=credential, reason="over")


def check(shop: Shop) -> None:
    """What the state says is what the records say."""
    told = kinds(shop)
    held = shop.gate.sessions()
    assert len(held) == told.count("session_quarantined") - told.count("session_lifted")
    answer: Any = shop.gate.decide(simple("erase"))
    assert (answer.bar is not None) == any(item.subject == "user:ann" for item in held)
    if answer.bar is None and "session_lifted" not in told:
        # Every recorded attempt is counted, and none that was not recorded.
        assert answer.repeats == told.count("decision")
        assert bool(answer.repeat_of) == ("decision" in told)


@pytest.mark.parametrize("is_lasting", [True, False], ids=["for-good", "once"])
@pytest.mark.parametrize("port", ["store", "vault"])
def test_a_fault_leaves_nothing_half_done(tmp_path: Path, port: str, *, is_lasting: bool) -> None:
    reached, at = True, 0
    while reached and at < MAX_CALLS:
        at += 1
        (tmp_path / f"{at}").mkdir()
        shop = open_shop(tmp_path / f"{at}", policy=POLICY + f"repeats: {{limit: {LIMIT}}}\n")
        kind = FailingStore if port == "store" else Failing
        failing = kind(getattr(shop.parts.world, port), at, ERRORS[at % len(ERRORS)], is_lasting=is_lasting)
        credential = shop.parts.book.add("otto", ["operator"])
        with suppress(DemurError, OSError):
            story(broken(shop, port, failing), credential)
        try:
            reached = failing.calls >= at
            check(shop)
        finally:
            shop.gate.close()
    assert 30 < at < MAX_CALLS


def test_without_a_fault_every_step_is_recorded_once(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, policy=POLICY + f"repeats: {{limit: {LIMIT}}}\n")
    story(shop.gate, shop.parts.book.add("otto", ["operator"]))
    told = [kind for kind in kinds(shop) if kind not in {"epoch_start", "policy_activated"}]
    lifted, quarantined = "session_lifted", "session_quarantined"
    assert told == [*["decision"] * 3, quarantined, "blocked", lifted, quarantined, lifted]
    shop.gate.close()
