"""What every store keeps, whatever technology it uses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from demur.core.ledger import chain, merkle
from demur.core.record import Draft
from demur.core.review import ReviewState
from demur.core.terms import MAX_INT, Timestamp
from demur.errors import LedgerError, OverloadedError, StoreError
from demur.ports import ENDED_STATES, Head, Usage
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from demur.adapters.clock import ManualClock
    from demur.ports import Store, Transaction
    from tests.stores.conftest import Opening

WAIT = 20
"""Seconds after which something hangs."""


class Stop(Exception):  # noqa: N818
    """Raised by a work that gives up."""


def blocked(store: Store) -> tuple[threading.Event, Future[None]]:
    """Holds the writer until the event is set, so that what is submitted meanwhile forms one group."""
    running, release = threading.Event(), threading.Event()

    def work(_: Transaction) -> None:
        running.set()
        assert release.wait(WAIT)

    future = store.submit(work)
    assert running.wait(WAIT)
    return release, future


def together(store: Store, *works: Callable[[Transaction], object]) -> list[Future[object]]:
    """Runs the works as one group, and waits until all are answered."""
    release, _ = blocked(store)
    futures = [store.submit(work) for work in works]
    release.set()
    for future in futures:
        future.exception(WAIT)
    return futures


# The ledger.


def test_an_empty_ledger_has_a_head_of_zeros(store: Store) -> None:
    assert store.read(lambda tx: tx.head) == Head(0, bytes(32))
    assert list(store.records()) == []


def test_records_are_numbered_from_zero_and_chained(store: Store) -> None:
    entries = [store.submit(rows.append(number)).result(WAIT) for number in range(5)]
    assert [entry.sequence for entry in entries] == [0, 1, 2, 3, 4]
    end = chain.check(store.records(), log="demo").end
    assert (end.size, end.record_hash) == (5, entries[-1].record_hash)


def test_an_entry_tells_hash_and_time_of_its_record(store: Store, clock: ManualClock) -> None:
    clock.advance(5)
    entry = store.submit(rows.append()).result(WAIT)
    stored = store.read(lambda tx: tx.find_record(0))
    assert stored is not None
    assert entry.record_hash == stored.record_hash == merkle.leaf_hash(stored.leaf)
    assert entry.timestamp == rows.at(5)
    assert chain.read_leaf(stored.leaf)["timestamp"] == str(rows.at(5))


def test_the_head_follows_within_a_work(store: Store) -> None:
    def work(tx: Transaction) -> tuple[Head, Head]:
        before = tx.head
        entry = tx.append(rows.draft())
        assert tx.head == Head(1, entry.record_hash)
        return before, tx.head

    before, after = store.submit(work).result(WAIT)
    assert (before.size, after.size) == (0, 1)
    assert store.read(lambda tx: tx.head) == after


def test_a_record_is_found_in_its_own_work_and_later(store: Store) -> None:
    found = store.submit(lambda tx: (tx.append(rows.draft(7)), tx.find_record(0), tx.find_sealed(0))).result(WAIT)
    assert found[1] == store.read(lambda tx: tx.find_record(0))
    assert found[2] == rows.sealed(7) == store.read(lambda tx: tx.find_sealed(0))


@pytest.mark.parametrize("sequence", [-1, 1, 2**62, 2**70])
def test_a_record_that_does_not_exist_is_not_found(store: Store, sequence: int) -> None:
    store.submit(rows.append()).result(WAIT)
    assert store.read(lambda tx: (tx.find_record(sequence), tx.find_sealed(sequence))) == (None, None)


def test_a_record_without_sealed_values_has_none(store: Store) -> None:
    store.submit(lambda tx: tx.append(rows.draft(is_sealed=False))).result(WAIT)
    assert store.read(lambda tx: tx.find_sealed(0)) is None


def test_records_can_be_read_in_part(store: Store) -> None:
    together(store, *[rows.append(number) for number in range(6)])
    assert [record.sequence for record in store.records(2, 4)] == [2, 3]
    assert [record.sequence for record in store.records(4)] == [4, 5]
    assert [record.sequence for record in store.records(-3, 1)] == [0]
    assert list(store.records(9)) == list(store.records(3, 2)) == list(store.records(0, -1)) == []


def test_reading_records_sees_one_state(store: Store) -> None:
    together(store, rows.append(0), rows.append(1))
    reading = store.records()
    first = next(reading)
    store.submit(rows.append(2)).result(WAIT)
    assert [first.sequence, *[record.sequence for record in reading]] == [0, 1]


def test_a_draft_that_no_leaf_may_hold_fails_its_own_work_only(store: Store) -> None:
    """What one work does wrong never aborts the others of its group (S4.3)."""
    bad, good = together(store, lambda tx: tx.append(Draft("decision", {"note": "Jane Doe"})), rows.append())
    assert isinstance(bad.exception(), LedgerError)
    assert good.exception() is None
    assert store.read(lambda tx: tx.head.size) == 1


# Works and groups.


def test_a_work_that_raises_leaves_nothing_behind(store: Store) -> None:
    def everything(tx: Transaction) -> None:
        tx.append(rows.draft(9))
        tx.put_request(rows.request("r"))
        tx.put_grant(rows.grant("g", "revoked"))
        tx.put_grant(rows.grant("g", "redeemed"))
        tx.put_review(rows.review("v", state="denied"))
        tx.spend(rows.spend("g2"))
        tx.settle("g")
        tx.release("g0")
        tx.put_meta("name", b"changed")
        tx.put_blob("sha256:00", b"data")
        raise Stop

    def before(tx: Transaction) -> None:
        tx.put_grant(rows.grant("g"))
        tx.put_review(rows.review("v"))
        tx.put_meta("name", b"value")
        tx.spend(rows.spend("g"))
        tx.spend(rows.spend("g0"))

    def see(tx: Transaction) -> tuple[object, ...]:
        found = tx.find_record(0), tx.find_request(b"r"), tx.find_grant("g"), tx.find_review("v"), tx.find_grant("h")
        usage = tx.usage("refunds", b"k", rows.at(-1))
        return *found, usage, tx.find_meta("name"), tx.find_blob("sha256:00"), tx.head

    whole = (None, None, rows.grant("g"), rows.review("v"), None, Usage(2, 2), b"value", None, Head(0, bytes(32)))
    futures = together(store, before, everything, see)
    assert isinstance(futures[1].exception(), Stop)
    assert futures[2].result() == whole
    assert store.submit(everything).exception(WAIT) is not None
    assert store.submit(see).result(WAIT) == whole == store.read(see)


def test_a_group_sees_what_its_earlier_works_wrote(store: Store) -> None:
    def write(tx: Transaction) -> None:
        tx.put_grant(rows.grant("g"))
        tx.put_meta("name", b"value")
        tx.put_blob("sha256:00", b"data")

    _, seen = together(store, write, lambda tx: (tx.find_grant("g"), tx.find_meta("name"), tx.find_blob("sha256:00")))
    assert seen.result() == (rows.grant("g"), b"value", b"data")


def test_works_run_in_the_order_they_were_submitted(store: Store) -> None:
    order: list[int] = []
    together(store, *[lambda _, n=number: order.append(n) for number in range(300)])
    assert order == list(range(300))


def test_a_result_is_given_only_after_it_can_be_read(store: Store) -> None:
    """No record, no answer (S5.1)."""
    for number in range(20):
        entry = store.submit(rows.append(number)).result(WAIT)
        assert store.read(lambda tx: tx.head) == Head(number + 1, entry.record_hash)


def test_whatever_a_work_raises_is_its_answer(store: Store) -> None:
    def interrupted(_: Transaction) -> None:
        raise KeyboardInterrupt

    stopped, after = together(store, interrupted, rows.append())
    assert isinstance(stopped.exception(), KeyboardInterrupt)
    assert after.exception() is None


def test_a_cancelled_work_does_not_run(store: Store) -> None:
    release, _ = blocked(store)
    cancelled, after = store.submit(rows.append(1)), store.submit(rows.append(2))
    assert cancelled.cancel()
    release.set()
    assert after.result(WAIT).sequence == 0


def test_a_transaction_that_was_kept_can_neither_write_nor_read(store: Store) -> None:
    kept: list[Transaction] = []
    store.submit(kept.append).result(WAIT)
    store.submit(rows.append()).result(WAIT)
    with pytest.raises(StoreError, match="has ended"):
        kept[0].append(rows.draft())
    with pytest.raises(StoreError, match="has ended"):
        kept[0].find_grant("g")


def test_64_threads_get_64_places(store: Store) -> None:
    entries: list[int] = []

    def client(number: int) -> None:
        entries.extend(store.submit(rows.append(number)).result(WAIT).sequence for _ in range(10))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(entries) == list(range(640))
    assert chain.check(store.records(), log="demo").end.size == 640


# Reading.


@pytest.mark.parametrize(
    "write",
    [
        lambda tx: tx.append(rows.draft()),
        lambda tx: tx.put_request(rows.request("r")),
        rows.put(rows.grant("g")),
        rows.put(rows.review("v")),
        rows.put(rows.spend("g")),
        lambda tx: tx.settle("g"),
        lambda tx: tx.release("g"),
        lambda tx: tx.put_meta("name", b""),
        lambda tx: tx.put_blob("sha256:00", b""),
    ],
)
def test_reading_writes_nothing(store: Store, write: Callable[[Transaction], object]) -> None:
    with pytest.raises(StoreError, match="read-only"):
        store.read(write)


def test_a_query_that_raises_leaves_reading_possible(store: Store) -> None:
    def query(_: Transaction) -> None:
        raise Stop

    with pytest.raises(Stop):
        store.read(query)
    assert store.read(lambda tx: tx.head.size) == 0


def test_reading_has_a_time_and_a_log(store: Store, clock: ManualClock) -> None:
    clock.advance(3)
    assert store.read(lambda tx: (tx.now, tx.log)) == (rows.at(3), "demo")


# Rows.


def test_a_request_is_found_by_its_key(store: Store) -> None:
    store.submit(rows.put(rows.request("r", 4))).result(WAIT)
    assert store.read(lambda tx: (tx.find_request(b"r"), tx.find_request(b"s"))) == (rows.request("r", 4), None)


def test_putting_a_row_again_replaces_it(store: Store) -> None:
    store.submit(rows.put(rows.grant("g"), rows.review("v"))).result(WAIT)
    store.submit(rows.put(rows.grant("g", "redeemed"))).result(WAIT)
    store.submit(rows.put(rows.review("v", state="approved", deadline=9))).result(WAIT)
    store.submit(rows.put(rows.request("r", 1), rows.request("r", 2))).result(WAIT)
    assert store.read(lambda tx: tx.find_grant("g")) == rows.grant("g", "redeemed")
    assert store.read(lambda tx: tx.find_review("v")) == rows.review("v", state="approved", deadline=9)
    assert store.read(lambda tx: tx.find_request(b"r")) == rows.request("r", 2)


def test_matching_reviews_come_oldest_first(store: Store) -> None:
    new, old, other = rows.review("a", sequence=9), rows.review("b", sequence=3), rows.review("c", match="x")
    store.submit(rows.put(new, other)).result(WAIT)

    def work(tx: Transaction) -> tuple[object, ...]:
        tx.put_review(old)
        return tx.matching_reviews(b"m")

    assert store.submit(work).result(WAIT) == (old, new)
    assert store.read(lambda tx: tx.matching_reviews(b"m")) == (old, new)
    assert store.read(lambda tx: tx.matching_reviews(b"none")) == ()


def test_reviews_are_listed_by_deadline_within_their_states(store: Store) -> None:
    late, soon = rows.review("a", deadline=90), rows.review("b", deadline=10)
    done, held = rows.review("c", state="approved", deadline=1), rows.review("d", state="held", deadline=50)
    together(store, rows.put(late, soon), rows.put(done, held))
    listed = lambda tx: tx.list_reviews(states=("pending", "held"), limit=9)  # noqa: E731
    assert store.read(listed) == (soon, held, late)
    assert store.read(lambda tx: tx.list_reviews(states=("pending", "held"), limit=2)) == (soon, held)
    assert store.read(lambda tx: tx.list_reviews(states=(), limit=9)) == ()
    assert store.read(lambda tx: tx.list_reviews(states=("pending",), limit=0)) == ()
    assert store.read(lambda tx: tx.list_reviews(states=("pending",), limit=2**80)) == (soon, late)


def test_the_queue_is_paged_without_losing_or_repeating_a_review(store: Store) -> None:
    kept = [
        rows.review(
            f"{index:02}", deadline=index % 4, state=("pending", "held", "denied")[index % 3], sequence=99 - index
        )
        for index in range(30)
    ]
    store.submit(rows.put(*kept)).result(WAIT)
    expected = sorted((row.deadline, row.id) for row in kept if row.state != "denied")
    found: list[tuple[Timestamp, str]] = []

    def page(tx: Transaction) -> list[tuple[Timestamp, str]]:
        rows_after = tx.list_reviews(states=("held", "pending"), limit=7, after=found[-1] if found else None)
        return [(row.deadline, row.id) for row in rows_after]

    while read := store.read(page):
        found += read
    assert found == expected


@pytest.mark.parametrize("at", [Timestamp(-(10**30)), Timestamp(10**30)])
def test_a_page_after_an_instant_that_no_store_holds_is_answered(store: Store, at: Timestamp) -> None:
    store.submit(rows.put(rows.review("v"))).result(WAIT)
    found = store.read(lambda tx: tx.list_reviews(states=("pending",), limit=9, after=(at, "")))
    assert len(found) == (at.nanos < 0)


def test_a_page_within_a_work_begins_after_what_it_is_told(store: Store) -> None:
    store.submit(rows.put(rows.review("b"), rows.review("d"))).result(WAIT)

    def work(tx: Transaction) -> object:
        for name in "ace":
            tx.put_review(rows.review(name))
        return [row.id for row in tx.list_reviews(states=("pending", "pending"), limit=2, after=(rows.at(60), "b"))]

    assert store.submit(work).result(WAIT) == ["c", "d"]


def test_reviews_that_people_ruled_on_are_found_by_topic_newest_first(store: Store) -> None:
    states = ("approved", "pending", "denied", "executed", "reserved", "expired", "cancelled")
    kept = [rows.review(f"v{index}", state=state, sequence=index) for index, state in enumerate(states)]
    store.submit(rows.put(*kept, rows.review("x", state="denied", topic="other", sequence=9))).result(WAIT)
    found = lambda tx: [row.id for row in tx.ended_reviews(b"t", limit=9)]  # noqa: E731
    assert store.read(found) == ["v4", "v3", "v2", "v0"]
    assert store.read(lambda tx: [row.id for row in tx.ended_reviews(b"t", limit=2)]) == ["v4", "v3"]
    assert store.read(lambda tx: tx.ended_reviews(b"t", limit=0)) == ()
    assert store.read(lambda tx: tx.ended_reviews(b"", limit=9)) == ()
    denied = lambda tx: [row.id for row in tx.ended_reviews(b"t", limit=9, states=("denied", "denied"))]  # noqa: E731
    assert store.read(denied) == ["v2"]
    assert store.read(lambda tx: tx.ended_reviews(b"t", limit=9, states=())) == ()

    def work(tx: Transaction) -> object:
        tx.put_review(rows.review("v4", sequence=4))
        tx.put_review(rows.review("v1", state="denied", sequence=1))
        tx.put_review(rows.review("v9", state="denied", sequence=9))
        return [row.id for row in tx.ended_reviews(b"t", limit=4)]

    assert store.submit(work).result(WAIT) == ["v9", "v3", "v2", "v1"]


def test_reviews_are_counted_by_their_states(store: Store) -> None:
    store.submit(rows.put(rows.review("a"), rows.review("b"), rows.review("c", state="denied"))).result(WAIT)
    count = lambda tx: tx.count_reviews(("pending", "pending"))  # noqa: E731
    assert store.read(count) == 2
    assert store.read(lambda tx: tx.count_reviews(("pending", "denied"))) == 3
    assert store.read(lambda tx: tx.count_reviews(())) == 0

    def work(tx: Transaction) -> object:
        tx.put_review(rows.review("a", state="denied"))
        tx.put_review(rows.review("c"))
        tx.put_review(rows.review("d"))
        return tx.count_reviews(("pending",))

    assert store.submit(work).result(WAIT) == 3
    assert store.read(count) == 3


def test_the_states_that_people_ruled_on_are_those_of_reviews() -> None:
    ruled = {ReviewState.APPROVED, ReviewState.RESERVED, ReviewState.EXECUTED, ReviewState.DENIED}
    assert set(ENDED_STATES) == {state.value for state in ruled}


def test_a_listing_within_a_work_counts_what_the_work_changed(store: Store) -> None:
    stored = [rows.review(name, deadline=10 + index) for index, name in enumerate("abcd")]
    together(store, rows.put(*stored))

    def work(tx: Transaction) -> object:
        tx.put_review(rows.review("a", state="denied", deadline=10))
        tx.put_review(rows.review("e", deadline=1))
        return [row.id for row in tx.list_reviews(states=("pending",), limit=3)]

    assert store.submit(work).result(WAIT) == ["e", "b", "c"]


def test_the_same_content_is_kept_once(store: Store) -> None:
    store.submit(lambda tx: tx.put_blob("sha256:00", b"data")).result(WAIT)
    store.submit(lambda tx: tx.put_blob("sha256:00", b"other")).result(WAIT)
    assert store.read(lambda tx: tx.find_blob("sha256:00")) == b"data"


def test_an_empty_value_is_a_value(store: Store) -> None:
    store.submit(rows.keep("name", b"")).result(WAIT)
    assert store.read(lambda tx: (tx.find_meta("name"), tx.find_blob("name"))) == (b"", b"")
    assert store.read(lambda tx: (tx.find_meta("other"), tx.find_blob("other"))) == (None, None)


@pytest.mark.parametrize(
    "write",
    [
        lambda tx: tx.put_meta("store.state", b"closed"),
        rows.put(rows.spend("g", amount=MAX_INT + 1)),
        rows.put(rows.spend("g", expires=400 * 365 * rows.DAY)),
        rows.put(rows.review("v", deadline=400 * 365 * rows.DAY)),
    ],
)
def test_what_a_store_cannot_hold_fails_its_own_work_only(store: Store, write: Callable[[Transaction], object]) -> None:
    bad, good = together(store, write, rows.append())
    assert isinstance(bad.exception(), StoreError)
    assert good.exception() is None


# Time.


def test_time_never_runs_backwards(store: Store, clock: ManualClock) -> None:
    store.submit(rows.append()).result(WAIT)
    clock.advance(-3600)
    assert store.submit(lambda tx: tx.now).result(WAIT) == rows.START
    assert store.read(lambda tx: tx.now) == rows.START
    store.submit(rows.append()).result(WAIT)
    chain.check(store.records(), log="demo")


def test_one_work_sees_one_time(store: Store, clock: ManualClock) -> None:
    def work(tx: Transaction) -> tuple[Timestamp, Timestamp]:
        before = tx.now
        clock.advance(1)
        return before, tx.now

    before, after = store.submit(work).result(WAIT)
    assert before == after


# Bounds and ends.


def test_a_full_queue_refuses_at_once(opening: Opening) -> None:
    store = opening(max_queued=3)
    release, _ = blocked(store)
    taken = [store.submit(rows.append(number)) for number in range(3)]
    with pytest.raises(OverloadedError, match="full with 3 works"):
        store.submit(rows.append(4))
    release.set()
    assert [future.result(WAIT).sequence for future in taken] == [0, 1, 2]
    assert store.submit(rows.append(5)).result(WAIT).sequence == 3


def test_closing_finishes_what_is_queued(store: Store) -> None:
    release, _ = blocked(store)
    queued = [store.submit(rows.append(number)) for number in range(5)]
    closing = threading.Thread(target=store.close)
    closing.start()
    release.set()
    closing.join(WAIT)
    assert [future.result(0).sequence for future in queued] == [0, 1, 2, 3, 4]


def test_a_closed_store_answers_nothing(store: Store) -> None:
    store.close()
    store.close()
    for call in (lambda: store.submit(rows.append()), lambda: store.read(lambda tx: tx.now), store.records):
        with pytest.raises(StoreError, match="closed"):
            call()


def test_a_first_opening_counts_as_clean(store: Store) -> None:
    assert (store.was_clean, store.log) == (True, "demo")


@pytest.mark.parametrize("log", ["", "Demo", "a" * 65, "../x", "a b", ".hidden"])
def test_a_log_id_is_a_token(log: str) -> None:
    from demur.adapters.memory import MemoryStore

    with pytest.raises(LedgerError, match="expected a log id"):
        MemoryStore(log)


# Forgetting.


def test_sealed_values_that_were_forgotten_are_gone_and_their_records_stay(store: Store) -> None:
    for number in range(3):
        store.submit(rows.append(number)).result(WAIT)
    before = list(store.records())
    store.submit(lambda tx: tx.forget_sealed([1])).result(WAIT)
    kept, gone, last = store.read(lambda tx: [tx.find_sealed(number) for number in range(3)])
    assert (kept, last) == (rows.sealed(0), rows.sealed(2))
    assert gone is not None
    assert (gone.wrapped_key, gone.nonce, gone.ciphertext) == (b"", b"", b"")
    assert (gone.key_id, gone.commit_root) == (rows.sealed(1).key_id, rows.sealed(1).commit_root)
    assert list(store.records()) == before


def test_what_a_work_forgot_is_gone_for_the_works_after_it_and_back_where_it_gave_up(store: Store) -> None:
    store.submit(rows.append()).result(WAIT)

    def give_up(tx: Transaction) -> None:
        tx.forget_sealed([0])
        assert tx.find_sealed(0) != rows.sealed(0)
        raise Stop

    gave_up, after = together(store, give_up, lambda tx: tx.find_sealed(0))
    assert isinstance(gave_up.exception(), Stop)
    assert after.result() == rows.sealed(0)


def test_forgetting_what_is_not_sealed_is_no_error_and_a_reader_forgets_nothing(store: Store) -> None:
    store.submit(lambda tx: tx.append(rows.draft(is_sealed=False))).result(WAIT)
    store.submit(lambda tx: tx.forget_sealed([0, 7])).result(WAIT)
    assert store.read(lambda tx: (tx.find_sealed(0), tx.find_sealed(7))) == (None, None)
    with pytest.raises(StoreError):
        store.read(lambda tx: tx.forget_sealed([0]))
