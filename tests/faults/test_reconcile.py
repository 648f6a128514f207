"""What a caller does after a failure that says nothing: ask again with the same id, and get one answer, never two."""

from __future__ import annotations

import json
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.adapters.failing import FailingDisk
from demur.adapters.sqlite import SqliteStore
from demur.errors import StoreError
from demur.steps import redeeming
from demur.wiring import Settings, open_gate
from tests.flows.shop import POLICY, refund, simple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT = 30
QUEUED = 8


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def gate(tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A gate on a disk that can fail, with room for a few works."""
    monkeypatch.setattr("demur.adapters.sqlite.SqliteStore.__init__", opening_on(disk))
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "shop.yaml").write_text(POLICY)
    sources = {"account": lambda _: {"account.frozen": False}}
    parts = open_gate(Settings(policies, tmp_path / "home", sources=sources, max_queued=QUEUED))
    yield parts
    disk.heal()
    parts.gate.close()


def opening_on(disk: FailingDisk) -> Any:
    whole = SqliteStore.__init__

    def init(self: SqliteStore, *args: Any, **options: Any) -> None:
        whole(self, *args, **options, connect=disk.connect)

    return init


def decisions(parts: Any) -> list[dict[str, Any]]:
    leaves = [json.loads(record.leaf) for record in parts.world.store.records()]
    return [leaf for leaf in leaves if leaf["type"] == "decision"]


ASKED = refund(100, request_id="r-1")


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param((("COMMIT", False),), id="it did not happen"),
        pytest.param((("COMMIT", True), ("connect", False)), id="it happened, and nobody could look"),
        pytest.param((("COMMIT", True), ("PRAGMA wal_checkpoint", False)), id="it happened, and could not be synced"),
        pytest.param((("COMMIT", False), ("connect", False)), id="it did not happen, and nobody could look"),
        pytest.param((("INSERT INTO records", False),), id="nothing was written"),
        pytest.param((("BEGIN IMMEDIATE", False),), id="nothing was begun"),
    ],
)
def test_asked_again_after_an_ambiguous_failure_there_is_one_decision_and_one_grant(
    gate: Any, disk: FailingDisk, faults: tuple[tuple[str, bool], ...]
) -> None:
    for statement, happens in faults:
        disk.fail(statement, happens=happens, times=1)
    refused = gate.gate.decide(ASKED)
    assert (refused.outcome, refused.reason.disposition) == ("unavailable", "retry_after")
    first = gate.gate.decide(ASKED)
    again = gate.gate.decide(ASKED)
    assert isinstance(first, demur.Grant)
    assert (first.id, first.token, first.audit_id) == (again.id, again.token, again.audit_id)
    assert [leaf["grant"] for leaf in decisions(gate)] == [first.id]
    assert isinstance(gate.gate.redeem(first.token, {"amount": 100}), demur.Redemption)
    assert isinstance(gate.gate.redeem(again.token, {"amount": 100}), demur.Refusal)


def test_a_commit_that_happened_although_it_said_no_is_the_answer(gate: Any, disk: FailingDisk) -> None:
    disk.fail("COMMIT", happens=True, times=1)
    first = gate.gate.decide(ASKED)
    assert isinstance(first, demur.Grant)
    assert gate.gate.decide(ASKED).id == first.id
    assert len(decisions(gate)) == 1


@pytest.mark.parametrize("happens", [False, True])
def test_a_redemption_that_may_have_happened_executes_at_most_once(gate: Any, disk: FailingDisk, happens: bool) -> None:
    given = gate.gate.decide(ASKED)
    # Examined beforehand: readers commit too, and it is the writer's commit that fails.
    active = gate.gate._active
    claim = redeeming.examine(gate.world, active, given.token, {"amount": 100}, ())
    disk.fail("COMMIT", happens=happens, times=1)
    disk.fail("connect", times=1)
    with pytest.raises(StoreError):
        gate.gate._do(active, lambda session: redeeming.redeem(session, claim))
    tries = [gate.gate.redeem(given.token, {"amount": 100}) for _ in range(3)]
    # Where it happened nobody may act: the executor that was not told must ask anew.
    assert sum(isinstance(answer, demur.Redemption) for answer in tries) == (0 if happens else 1)
    redeemed = [r for r in gate.world.store.records() if b'"type":"grant_redeemed"' in r.leaf]
    assert len(redeemed) == 1


# Overload.


def hold(parts: Any) -> threading.Event:
    """Keep the writer busy until the event is set, and fill its queue."""
    release, started = threading.Event(), threading.Event()

    def busy(_: object) -> None:
        started.set()
        release.wait(WAIT)

    parts.world.store.submit(busy)
    assert started.wait(WAIT)
    return release


def test_what_does_not_fit_in_the_queue_is_refused_at_once_and_nothing_is_dropped(gate: Any) -> None:
    release = hold(gate)
    replies = [gate.gate.submit(simple("list")) for _ in range(50)]
    done = [reply for reply in replies if reply.done()]
    assert len(done) == 50 - QUEUED
    assert {(reply.result().outcome, reply.result().reason.disposition) for reply in done} == {
        ("unavailable", "retry_after")
    }
    assert "queue of the store is full" in done[0].result().detail
    release.set()
    answers = [reply.result(WAIT) for reply in replies]
    assert sum(isinstance(answer, demur.Grant) for answer in answers) == QUEUED
    assert len(decisions(gate)) == QUEUED
    # They are counted, and the next record says how many.
    assert isinstance(gate.gate.decide(simple("list")), demur.Grant)
    gaps = [json.loads(r.leaf) for r in gate.world.store.records() if b'"type":"gap"' in r.leaf]
    assert [gap["count"] for gap in gaps] == [50 - QUEUED]


def test_requests_that_wait_for_slow_facts_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demur.gateway.MAX_WAITING", 4)
    release = threading.Event()

    def slow(_: object) -> dict[str, bool]:
        release.wait(WAIT)
        return {"account.frozen": False}

    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "shop.yaml").write_text(POLICY)
    parts = open_gate(Settings(tmp_path / "policies", sources={"account": slow}, deadline_seconds=WAIT))
    gate: Any = parts.gate
    replies = [gate.submit(refund(100, subject=f"s-{number}")) for number in range(10)]
    done = [reply.result() for reply in replies if reply.done()]
    assert [(answer.outcome, answer.reason.disposition) for answer in done] == [("unavailable", "retry_after")] * 6
    release.set()
    assert all(reply.result(WAIT).outcome != "unavailable" for reply in replies[:4])
    # There is room again, as often as one likes.
    for number in range(9):
        assert gate.submit(refund(100, subject=f"t-{number}")).result(WAIT).outcome != "unavailable"
    gate.close()


def test_overload_takes_no_memory(gate: Any) -> None:
    release = hold(gate)
    kept = [gate.gate.submit(simple("list")) for _ in range(QUEUED)]
    for _ in range(200):
        assert gate.gate.submit(simple("list")).done()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2_000):
            assert gate.gate.submit(simple("list")).done()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    release.set()
    assert all(isinstance(reply.result(WAIT), demur.Grant) for reply in kept)
    # Two thousand refusals that were kept would take megabytes.
    assert grown < 200_000
