"""A gate accounts for itself, so that what did not happen can be shown (S5, S6, S12)."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import demur
import demur.meter
from demur.adapters.pulse import Beat, Pulse
from demur.errors import LedgerError, RulingError, StoreError
from demur.evaluation.reconcile import reconcile
from demur.steps.attesting import Rhythm
from demur.wiring import open_gate, open_reader

from .shop import Shop, open_shop, refund, simple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def leaves(shop: Shop, *kinds: str) -> list[dict[str, Any]]:
    read = [json.loads(record.leaf) for record in shop.parts.world.store.records()]
    return [leaf for leaf in read if leaf["type"] in kinds or not kinds]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose refunds are recorded before they are judged, in a home."""
    shop = open_shop(tmp_path, home=tmp_path / "home")
    shop.gate.close()
    parts = open_gate(replace(shop.parts.settings, received=("ref*",)))
    again = Shop(parts, shop.clock, shop.account, shop.manager, shop.clerk)
    yield again
    again.gate.close()


def test_a_request_is_recorded_before_it_is_judged_and_its_answer_names_it(kept: Shop) -> None:
    given = kept.gate.decide(refund(100, request_id="r-1"))
    kept.gate.decide(refund(100, request_id="r-1"))
    kept.gate.decide(simple("list"))
    received, answered = leaves(kept, "received"), leaves(kept, "answered")

    assert [item["received"] for item in answered] == [item["sequence"] for item in received]
    assert [f"default/{item['record']}" for item in answered] == [given.audit_id] * 2
    assert "ann" not in json.dumps(received)


def test_a_request_whose_id_was_used_before_is_answered_too(kept: Shop) -> None:
    kept.gate.decide(refund(100, request_id="r-1"))
    with pytest.raises(demur.DemurError):
        kept.gate.decide(refund(200, request_id="r-1"))
    kept.gate.heartbeat()

    assert [item["outcome"] for item in leaves(kept, "answered")] == ["allow", "malformed"]


def test_a_request_that_cannot_be_recorded_is_not_judged(kept: Shop) -> None:
    kept.parts.world.store.close()

    assert kept.gate.decide(refund(100)).outcome == "unavailable"


def test_an_opening_says_what_will_be_heard_of_it_and_a_close_that_it_ended(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    shop.gate.close()
    again = open_shop(tmp_path, home=tmp_path / "home")
    starts = leaves(again, "epoch_start", "epoch_end")
    again.gate.close()

    assert [leaf["type"] for leaf in starts] == ["epoch_start", "epoch_end", "epoch_start"]
    assert all(leaf["continues"] == leaf["sequence"] for leaf in starts if leaf["type"] == "epoch_start")
    assert [leaf["writer"]["n"] for leaf in starts if leaf["type"] == "epoch_start"] == [0, 0]


def test_a_canary_is_judged_and_gives_nothing(shop: Shop) -> None:
    assert shop.gate.canary("erase", simple("erase")) == "deny"
    assert shop.gate.canary("refund", refund(100)) == "allow"
    told = leaves(shop, "canary", "decision")

    assert [(leaf["type"], leaf["outcome"]) for leaf in told] == [("canary", "deny"), ("canary", "allow")]
    assert not any("grant" in leaf for leaf in told)
    assert shop.parts.world.store.read(lambda tx: tx.usage("usage.refunds", b"", shop.clock.now())).count == 0


def test_a_pulse_beats_until_it_is_stopped_and_survives_failures() -> None:
    beats: list[str] = []

    def fail() -> None:
        beats.append("fail")
        message = "the store is down"
        raise StoreError(message)

    pulse = Pulse([Beat("heartbeat", 0.01, lambda: beats.append("beat")), Beat("canary", 0.01, fail)])
    while len(set(beats)) < 2 or len(beats) < 6:
        time.sleep(0.005)
    pulse.stop()
    pulse.stop()
    counted = len(beats)
    time.sleep(0.05)

    assert len(beats) == counted
    assert pulse.failures["heartbeat"] == 0
    assert pulse.failures["canary"] >= 1


def test_a_gate_with_a_home_beats_and_asks_its_canaries_by_itself(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    shop.gate.close()
    settings = replace(
        shop.parts.settings,
        home=tmp_path / "home",
        heartbeat_seconds=1,
        canaries={"erase": simple("erase")},
        canary_seconds=1,
    )
    parts = open_gate(settings)
    again = Shop(parts, shop.clock, shop.account, "", "")
    for _ in range(500):
        if leaves(again, "heartbeat") and leaves(again, "canary"):
            break
        time.sleep(0.02)
    kinds = {leaf["type"] for leaf in leaves(again)}
    again.gate.close()

    assert {"epoch_start", "heartbeat", "canary"} <= kinds


def test_a_beginning_is_reported_once_between_redemption_and_end(shop: Shop) -> None:
    given = shop.gate.decide(refund(100))
    assert isinstance(shop.gate.started(given.id), demur.Refusal)
    shop.gate.redeem(given.token, {"amount": 100})
    assert shop.gate.started(given.id) is None
    assert isinstance(shop.gate.started(given.id), demur.Refusal)
    assert shop.gate.complete(given.id, "success") is None
    assert isinstance(shop.gate.started(given.id), demur.Refusal)
    assert [leaf["type"] for leaf in leaves(shop) if leaf.get("grant") == given.id and "code" not in leaf] == [
        *("decision", "grant_redeemed", "grant_started", "grant_completed")
    ]


def register(shop: Shop, till: demur.meter.Metered, **more: Any) -> None:
    operator = shop.parts.book.add("otto", ["operator"])
    wanted = {"key": till.meter.public_key, "actions": ["refund"], "credential": operator, "reason": "the till"} | more
    shop.gate.register_meter("till-1", resource="till", **wanted)


def test_only_an_operator_makes_a_meter_known(shop: Shop, tmp_path: Path) -> None:
    till = demur.meter.open(tmp_path / "till", name="till-1", resource="till")
    with pytest.raises(RulingError, match="role `operator`"):
        register(shop, till, credential=shop.clerk)
    with pytest.raises(RulingError, match="64 hex digits"):
        register(shop, till, key="ab")
    with pytest.raises(LedgerError, match="expected a registered meter"):
        shop.gate.submit_meter(till.state()[0])


def test_statements_are_taken_in_order_once_and_only_with_a_good_signature(shop: Shop, tmp_path: Path) -> None:
    till = demur.meter.open(tmp_path / "till", name="till-1", resource="till")
    register(shop, till)
    lines = [till.state()[0] for _ in range(3)]
    with pytest.raises(LedgerError, match="expected statement 0"):
        shop.gate.submit_meter(lines[1])
    assert [shop.gate.submit_meter(line) for line in lines] == [True, True, True]
    assert [shop.gate.submit_meter(line) for line in lines] == [False, False, False]
    with pytest.raises(LedgerError, match="signature of statement 2"):
        shop.gate.submit_meter(b"00" * 64 + b" " + lines[2].split(b" ", 1)[1])
    assert [leaf["n"] for leaf in leaves(shop, "meter")] == [0, 1, 2]
    assert shop.gate.meters()[0].trail.n == 2


def test_a_meter_that_contradicts_itself_is_recorded(shop: Shop, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "till"
    till = demur.meter.open(folder, name="till-1", resource="till")
    register(shop, till)
    till.close()
    shutil.copytree(folder, tmp_path / "copy")
    one, other = (demur.meter.open(place, name="till-1", resource="till") for place in (folder, tmp_path / "copy"))
    shop.gate.submit_meter(one.state()[0])
    with pytest.raises(LedgerError, match="contradicts what it said before"):
        shop.gate.submit_meter(other.state()[0])

    assert [leaf["cause"] for leaf in leaves(shop, "meter_rejected")] == ["forked"]


def test_a_guarded_and_counted_function_is_found_when_it_is_called_behind_the_gates_back(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    till = demur.meter.open(tmp_path / "till", name="till-1", resource="till", clock=shop.clock)
    register(shop, till)
    paid: list[int] = []

    @till.counting("refund")
    def refund_money(amount: int) -> None:
        paid.append(amount)

    subject = {"type": "user", "id": "ann", "properties": {"role": "clerk"}}
    resource = {"type": "invoice", "id": "i-1"}
    guarded = demur.guard(shop.gate, "refund", subject=subject, resource=resource)(refund_money)
    guarded(amount=100)
    shop.clock.advance(30)
    for line in till.state():
        shop.gate.submit_meter(line)
    reader = open_reader(tmp_path / "home")
    honest = reconcile(reader, until=shop.clock.now())
    refund_money(200)
    for line in till.state():
        shop.gate.submit_meter(line)
    bypassed = reconcile(reader, until=shop.clock.now())
    reader.close()
    shop.gate.close()

    assert paid == [100, 200]
    assert (honest.verdict, honest.kinds, honest.resources) == ("reconciled", {}, ("till",))
    assert bypassed.kinds == {"executed_without_grant": 1}


def test_what_a_comparison_gave_is_a_record(shop: Shop) -> None:
    place = shop.gate.record_reconciliation({"verdict": "unmetered"}, b"{}")
    [leaf] = leaves(shop, "reconciliation")

    assert place == f"default/{leaf['sequence']}"
    assert shop.parts.world.store.read(lambda tx: tx.find_blob(f"report:{leaf['report']}")) == b"{}"


def test_no_rhythm_is_promised_without_a_home(shop: Shop) -> None:
    start = leaves(shop, "epoch_start")[-1]

    assert start["heartbeat_seconds"] == (60 if shop.parts.settings.home else Rhythm().heartbeat_seconds)
