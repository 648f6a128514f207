"""The store cannot write: every request gets `unavailable`, fast; recovery is automatic and the gap recorded (S5.2)."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.errors import OverloadedError
from demur.gateway import Gateway
from tests.flows.shop import open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Switchable:
    """A store before which somebody can pull the plug, and put it back."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.is_down = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def submit(self, work: Any, into: Any = None) -> Any:
        if self.is_down:
            message = "the queue is full"
            raise OverloadedError(message)
        return self._store.submit(work, into)


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Any]:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    store = Switchable(shop.parts.world.store)
    gate = Gateway(replace(shop.parts.world, store=store), shop.gate._active)
    yield gate, store, shop
    shop.gate.close()


def test_every_request_is_refused_as_unavailable_and_the_gap_is_recorded(outage: Any) -> None:
    gate, store, shop = outage
    store.is_down = True
    answers = [gate.decide(refund(100)) for _ in range(7)]
    assert {answer.outcome for answer in answers} == {"unavailable"}
    store.is_down = False
    assert isinstance(gate.decide(refund(100)), demur.Grant)
    gaps = [json.loads(r.leaf) for r in shop.parts.world.store.records() if b'"type":"gap"' in r.leaf]
    assert [(gap["count"], gap["cause"]) for gap in gaps] == [(7, "unavailable")]


def test_unavailable_is_a_refusal_of_its_own_and_no_decision(outage: Any) -> None:
    gate, store, _ = outage
    store.is_down = True
    told = gate.decide(refund(100)).to_dict()
    assert told["decision"] is False
    assert told["context"]["outcome"] == "unavailable"
    assert told["context"]["audit_id"] is None
    assert told["context"]["refusal"]["refusal_reason"]["disposition"] == "retry_after"


def test_a_grant_cannot_be_redeemed_while_nothing_can_be_recorded(outage: Any) -> None:
    gate, store, _ = outage
    given = gate.decide(refund(100))
    store.is_down = True
    assert gate.redeem(given.token, {"amount": 100}).outcome == "unavailable"
    store.is_down = False
    assert isinstance(gate.redeem(given.token, {"amount": 100}), demur.Redemption)


def test_a_store_that_hangs_makes_no_caller_wait_beyond_the_deadline(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    gate = Gateway(shop.parts.world, shop.gate._active, deadline_seconds=0.2)
    release = threading.Event()
    shop.parts.world.store.submit(lambda _: release.wait())
    assert gate.decide(refund(100)).outcome == "unavailable"
    release.set()
    shop.gate.close()


def test_a_subscriber_that_raises_or_hangs_changes_no_answer(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    told: list[Any] = []

    def raising(_: object) -> None:
        message = "no"
        raise RuntimeError(message)

    shop.gate.subscribe(raising)
    shop.gate.subscribe(lambda _: time.sleep(30))
    shop.gate.subscribe(lambda event: told.append(event["type"]))
    assert shop.gate.decide(refund(100)).outcome == "allow"
    assert shop.gate.decide(refund(100, role="guest")).outcome == "deny"
    assert shop.gate.decide(refund(60_000)).outcome == "defer"
    deadline = time.monotonic() + 5
    while len(told) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert told == ["governance.allow", "governance.refusal", "governance.refusal"]
    shop.gate.close()
