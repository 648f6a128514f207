"""Sinks are told what the ledger says: nothing lost, in order, by one replica at a time, and by pseudonyms."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demur.adapters import outbox, outbox_events
from demur.adapters.clock import ManualClock
from demur.adapters.memory import MemoryStore
from demur.adapters.outbox import ATTEMPTS, Courier, RejectedError, UnreachableError
from demur.adapters.postgres import PostgresStore
from demur.adapters.sqlite import SqliteStore
from demur.core.record import Draft
from demur.core.terms import parse_timestamp
from demur.errors import ConfigurationError, LedgerError, StoreError
from demur.wiring import Settings, Sink, open_gate, send_parked
from tests.adapters.test_webhook import SECRET, receiving
from tests.flows.shop import open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.adapters.outbox_events import Event
    from demur.ports import Store
    from tests.postgres import Server

START = parse_timestamp("2026-11-20T09:00:00Z")
LEASE = 30.0
DOOR = "demur: 1\nnamespace: door\nactions: {open: {}}\nrules:\n  - {id: shut, effect: forbid, actions: [open]}\n"
ASKED: dict[str, Any] = {
    "subject": {"type": "user", "id": "zoë"},
    "action": {"name": "open"},
    "resource": {"type": "door", "id": "1"},
}


class Taken:
    """A sink that remembers, and refuses or is away as it is told."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.refused: set[str] = set()
        self.is_away = False
        self.is_closed = False

    def send(self, event: Event) -> None:
        if self.is_away:
            raise UnreachableError("it is away")
        if event.id in self.refused:
            raise RejectedError("it answered 400")
        self.ids.append(event.id)

    def close(self) -> None:
        self.is_closed = True


class Pace:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    def __call__(self) -> float:
        return (self.clock.now().nanos - START.nanos) / 1e9


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    """Every store keeps the place of a sink alike."""
    opened: Store
    if request.param == "memory":
        opened = MemoryStore("demo", clock)
    elif request.param == "sqlite":
        opened = SqliteStore(tmp_path / "ledger.db", "demo", clock)
    else:
        server: Server = request.getfixturevalue("postgres")
        opened = PostgresStore(server.emptied_database(), "demo", clock)
    yield opened
    opened.close()


def decide(store: Store, count: int = 1, outcome: str = "deny") -> None:
    drafts = [Draft("decision", {"outcome": outcome}) for _ in range(count)]
    store.submit(lambda tx: [tx.append(draft) for draft in drafts]).result()


def courier(store: Store, sink: Taken, clock: ManualClock, **more: Any) -> Courier:
    return Courier(store, "siem", sink, lease_seconds=LEASE, pace=Pace(clock), **more)


def test_a_sink_is_told_of_every_event_in_order_from_its_first_record_on(store: Store, clock: ManualClock) -> None:
    decide(store, 3)
    sink = Taken()
    one = courier(store, sink, clock)
    one.step()
    assert sink.ids == []  # what was before the sink is not told
    decide(store, 70)
    store.submit(lambda tx: tx.append(Draft("heartbeat", {}))).result()
    decide(store, 2, "allow")
    while one.step() == 0.0:
        pass
    assert sink.ids == [f"demo/{number}" for number in [*range(3, 73), 74, 75]]


def test_another_replica_goes_on_where_the_first_one_died(store: Store, clock: ManualClock) -> None:
    sink, other_sink = Taken(), Taken()
    one, other = courier(store, sink, clock), courier(store, other_sink, clock)
    one.step()
    decide(store, 2)
    one.step()
    assert other.step() > 0
    decide(store, 2)
    assert other.step() > 0  # the first one has the lease
    assert other_sink.ids == []
    clock.advance(LEASE)
    other.step()
    assert other_sink.ids == ["demo/2", "demo/3"]
    decide(store)
    assert one.step() > 0  # it lost the lease and tells nothing more
    assert sink.ids == ["demo/0", "demo/1"]


def test_what_was_sent_and_not_noted_is_sent_again(store: Store, clock: ManualClock) -> None:
    sink = Taken()
    one, other = courier(store, sink, clock), courier(store, sink, clock)
    one.step()
    decide(store, 2)
    held = one._hold()
    assert held is not None
    for record in store.records(0, 2):
        event = outbox_events.event(record)
        assert event is not None
        sink.send(event)  # and here the replica dies
    clock.advance(LEASE)
    other.step()
    assert sink.ids == ["demo/0", "demo/1", "demo/0", "demo/1"]


def test_who_lost_the_lease_cannot_move_the_place(store: Store, clock: ManualClock) -> None:
    one, other = courier(store, Taken(), clock), courier(store, Taken(), clock)
    one.step()
    decide(store, 4)
    clock.advance(LEASE)
    other.step()
    with pytest.raises(StoreError, match="another replica tells the sink `siem`"):
        one._note(1)
    place = outbox.places(store, ["siem"])["siem"]
    assert place is not None
    assert place.next == 4


def test_a_sink_that_is_away_is_waited_for_and_loses_nothing(store: Store, clock: ManualClock) -> None:
    sink = Taken()
    one = courier(store, sink, clock)
    one.step()
    decide(store, 3)
    sink.is_away = True
    pauses = [one.step() for _ in range(ATTEMPTS * 3)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] < LEASE
    place = outbox.places(store, ["siem"])["siem"]
    assert place is not None
    assert (place.next, place.parked, place.error) == (0, (), "it is away")
    sink.is_away = False
    one.step()
    assert sink.ids == ["demo/0", "demo/1", "demo/2"]


def test_an_event_that_is_refused_is_parked_and_can_be_sent_again(store: Store, clock: ManualClock) -> None:
    sink = Taken()
    one = courier(store, sink, clock)
    one.step()
    decide(store, 3)
    sink.refused = {"demo/1"}
    for _ in range(ATTEMPTS - 1):
        assert one.step() > 0
    assert sink.ids == ["demo/0"]
    one.step()
    one.step()
    assert sink.ids == ["demo/0", "demo/2"]
    place = outbox.places(store, ["siem"])["siem"]
    assert place is not None
    assert [(item.sequence, item.attempts, item.error) for item in place.parked] == [(1, ATTEMPTS, "it answered 400")]
    assert store.submit(lambda tx: outbox.redrive(tx, "siem", [7])).result() == 0
    assert store.submit(lambda tx: outbox.redrive(tx, "siem")).result() == 1
    one.step()
    still = outbox.places(store, ["siem"])["siem"]
    assert still is not None
    assert [(item.attempts, item.is_due) for item in still.parked] == [(ATTEMPTS + 1, False)]
    sink.refused = set()
    store.submit(lambda tx: outbox.redrive(tx, "siem", [1])).result()
    one.step()
    assert sink.ids == ["demo/0", "demo/2", "demo/1"]
    done = outbox.places(store, ["siem"])["siem"]
    assert done is not None
    assert done.parked == ()


def test_attempts_are_counted_over_restarts(store: Store, clock: ManualClock) -> None:
    sink = Taken()
    courier(store, sink, clock).step()
    decide(store)
    sink.refused = {"demo/0"}
    for _ in range(ATTEMPTS):
        clock.advance(LEASE)
        courier(store, sink, clock).step()
    place = outbox.places(store, ["siem"])["siem"]
    assert place is not None
    assert [item.sequence for item in place.parked] == [0]


def test_a_sink_is_told_of_the_types_that_it_wants(store: Store, clock: ManualClock) -> None:
    sink = Taken()
    one = courier(store, sink, clock, types=("governance.refusal", "governance.lever.*"))
    one.step()
    decide(store, outcome="allow")
    decide(store)
    store.submit(lambda tx: tx.append(Draft("stop_on", {}))).result()
    one.step()
    assert sink.ids == ["demo/1", "demo/2"]


def test_a_place_that_was_altered_is_not_guessed(store: Store, clock: ManualClock) -> None:
    store.submit(lambda tx: tx.put_meta("outbox.siem", b"nonsense")).result()
    with pytest.raises(StoreError, match="the place of the sink `siem` was altered"):
        courier(store, Taken(), clock).step()


def test_a_courier_that_stops_gives_its_lease_back(store: Store) -> None:
    sink, other_sink = Taken(), Taken()
    one = Courier(store, "siem", sink)
    one.step()
    decide(store)
    one.start()
    while not sink.ids:
        pass
    one.stop()
    one.stop()
    assert sink.is_closed
    decide(store)
    Courier(store, "siem", other_sink).step()
    assert other_sink.ids == ["demo/1"]


def test_events_of_a_gate_say_what_happened_and_name_nobody(tmp_path: Path) -> None:
    """S5.4: an event says no more than the leaf, which holds pseudonyms."""
    shop = open_shop(tmp_path)
    for amount, extra in ((100, {}), (90_000, {}), (100, {"pin": "4711-secret"})):
        shop.gate.decide(refund(amount, **extra))
    told = [outbox_events.event(record) for record in shop.parts.world.store.records()]
    bodies = [json.loads(event.body) for event in told if event is not None]
    kinds = [body["type"] for body in bodies]
    assert kinds[0] == "governance.policy.activated"
    assert kinds.count("governance.allow") + kinds.count("governance.refusal") == 3
    assert [body["data"]["escalation_triggered"] for body in bodies if body["type"] == "governance.refusal"].count(True)
    for body in bodies:
        assert (body["specversion"], body["id"]) == ("1.0", body["data"]["audit_id"])
        assert body["source"].startswith("urn:demur:log:")
    text = json.dumps(bodies)
    for word in ("ann", "4711", "invoice", "clerk"):
        assert word not in text
    shop.gate.close()


def test_what_is_no_record_is_no_event() -> None:
    from demur.ports import StoredRecord

    with pytest.raises(LedgerError):
        outbox_events.event(StoredRecord(0, b"nothing", bytes(32)))


def test_a_gate_tells_its_sinks_and_starts_nothing_where_it_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIEM_SECRET", SECRET)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "door.yaml").write_text(DOOR)
    with receiving() as receiver:
        sinks = {"siem": Sink(receiver.url, "SIEM_SECRET", ("governance.refusal",), is_private_allowed=True)}
        parts = open_gate(Settings(tmp_path / "policies", tmp_path / "home", sinks=sinks))
        while outbox.places(parts.world.store, ["siem"])["siem"] is None:
            pass  # a sink is told from its first look on
        refused = parts.gate.decide(ASKED)
        while not receiver.taken:
            pass
        assert send_parked(parts.world.store, "siem") == 0
        parts.gate.close()
    assert json.loads(receiver.taken[0][1])["id"] == refused.audit_id
    parts = open_gate(Settings(tmp_path / "policies", tmp_path / "other"))
    parts.gate.decide(ASKED)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("demur-outbox")]
    assert parts.world.store.read(lambda tx: tx.find_meta("outbox.siem")) is None
    parts.gate.close()


@pytest.mark.parametrize(
    ("name", "sink", "told"),
    [
        ("siem", Sink("https://example.com/", "NO_SUCH_VARIABLE"), "found nothing in it"),
        ("siem", Sink("https://example.com/"), "expected a secret to sign"),
        ("siem", Sink("ftp://example.com/"), "expected a URL of `https`, `nats` or `tls`"),
        ("Größe", Sink("nats://example.com"), "expected a name of"),
    ],
)
def test_a_sink_that_cannot_be_opened_is_said_at_once(tmp_path: Path, name: str, sink: Sink, told: str) -> None:
    (tmp_path / "door.yaml").write_text(DOOR)
    with pytest.raises(ConfigurationError, match=told):
        open_gate(Settings(tmp_path, sinks={name: sink}))
