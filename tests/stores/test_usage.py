"""What a counter counts (S4.1): grants since an instant that are redeemed, or live and not expired."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from demur.adapters import counters
from demur.core.terms import MAX_INT, Timestamp
from demur.ports import Usage
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from demur.adapters.clock import ManualClock
    from demur.ports import SpendRow, Store, Transaction
    from tests.stores.conftest import Opening

WAIT = 20
EVER = Timestamp(-(2**80))


def do(store: Store, *works: Callable[[Transaction], object]) -> None:
    """Each work in a group of its own, so that counting begins from what is stored."""
    for work in works:
        store.submit(work).result(WAIT)


def used(store: Store, since: Timestamp = EVER, key: bytes = b"k", counter: str = "refunds") -> Usage:
    """The usage as a reader and as the writer see it, which must agree."""
    query = lambda tx: tx.usage(counter, key, since)  # noqa: E731
    read, written = store.read(query), store.submit(query).result(WAIT)
    assert read == written
    return read


def test_nothing_is_used_at_first(store: Store) -> None:
    assert used(store) == Usage(0, 0)


def test_grants_and_amounts_are_summed_by_counter_and_key(store: Store) -> None:
    do(store, rows.put(rows.spend("g1", amount=5), rows.spend("g2", amount=-2)))
    do(store, rows.put(rows.spend("g1", amount=9, key="other")))
    assert used(store) == Usage(2, 3)
    assert used(store, key=b"other") == Usage(1, 9)
    assert used(store, counter="transfers") == Usage(0, 0)


def test_the_beginning_belongs_to_the_window(store: Store) -> None:
    do(store, rows.put(rows.spend("g1", when=0), rows.spend("g2", when=1)))
    assert used(store, rows.at(0)) == Usage(2, 2)
    assert used(store, rows.at(0.5)) == Usage(1, 1)
    assert used(store, rows.at(1)) == Usage(1, 1)
    assert used(store, rows.at(1.5)) == Usage(0, 0)


def test_a_window_that_begins_earlier_again_counts_again(store: Store) -> None:
    do(store, rows.put(rows.spend("g1", when=0), rows.spend("g2", when=5)))
    assert used(store, rows.at(5)) == Usage(1, 1)
    assert used(store, rows.at(0)) == Usage(2, 2)


def test_an_unredeemed_grant_counts_until_it_expires(store: Store, clock: ManualClock) -> None:
    do(store, rows.put(rows.spend("g", expires=30)))
    clock.advance(29.999)
    assert used(store) == Usage(1, 1)
    clock.advance(0.001)
    assert used(store) == Usage(0, 0)


def test_a_redeemed_grant_counts_for_ever(store: Store, clock: ManualClock) -> None:
    do(store, rows.put(rows.spend("g", expires=30)), lambda tx: tx.settle("g"))
    clock.advance(10 * rows.DAY)
    assert used(store) == Usage(1, 1)


def test_a_grant_that_expired_is_not_brought_back_by_redeeming(store: Store, clock: ManualClock) -> None:
    do(store, rows.put(rows.spend("g", expires=30)))
    assert used(store) == Usage(1, 1)
    clock.advance(30)
    do(store, lambda tx: tx.settle("g"))
    assert used(store) == Usage(0, 0)


def test_a_revoked_grant_no_longer_counts(store: Store) -> None:
    do(store, rows.put(rows.spend("g", amount=7), rows.spend("h", key="k")))
    do(store, lambda tx: tx.settle("g"), lambda tx: tx.release("g"))
    assert used(store) == Usage(1, 1)


def test_one_grant_settles_in_all_its_counters(store: Store, clock: ManualClock) -> None:
    do(store, rows.put(rows.spend("g", key="a"), rows.spend("g", key="b")))
    do(store, lambda tx: tx.settle("g"))
    clock.advance(60)
    assert (used(store, key=b"a"), used(store, key=b"b")) == (Usage(1, 1), Usage(1, 1))


def test_the_same_spending_twice_is_counted_once(store: Store) -> None:
    do(store, rows.put(rows.spend("g", amount=2)))
    assert used(store) == Usage(1, 2)
    do(store, rows.put(rows.spend("g", amount=3)))
    assert used(store) == Usage(1, 3)
    do(store, rows.put(rows.spend("g", amount=4), rows.spend("g", amount=5)))
    assert used(store) == Usage(1, 5)


def test_a_work_counts_what_the_works_before_it_in_the_group_granted(store: Store) -> None:
    """Racing calls at a limit of 100 give exactly 100 grants (S4.2)."""

    def work(number: int) -> Callable[[Transaction], bool]:
        def grant(tx: Transaction) -> bool:
            if tx.usage("refunds", b"k", rows.at(-rows.DAY)).count >= 100:
                return False
            tx.spend(rows.spend(f"g{number}"))
            return True

        return grant

    futures = [store.submit(work(number)) for number in range(200)]
    assert sum(future.result(WAIT) for future in futures) == 100
    assert used(store) == Usage(100, 100)


@pytest.mark.parametrize(
    "change", [rows.put(rows.spend("g2")), lambda tx: tx.release("g1"), lambda tx: tx.settle("g1")]
)
def test_a_discarded_work_changes_no_count(
    store: Store, clock: ManualClock, change: Callable[[Transaction], None]
) -> None:
    def give_up(tx: Transaction) -> None:
        change(tx)
        tx.usage("refunds", b"k", EVER)
        raise KeyError

    do(store, rows.put(rows.spend("g1")))
    assert used(store) == Usage(1, 1)
    assert isinstance(store.submit(give_up).exception(WAIT), KeyError)
    assert used(store) == Usage(1, 1)
    clock.advance(30)
    assert used(store) == Usage(0, 0)


def test_redeemed_in_time_counts_although_its_group_ends_later(store: Store, clock: ManualClock) -> None:
    """The works of one group have times of their own; a window that is built late in the group knows it."""
    do(store, rows.put(rows.spend("g", expires=30)))

    def settle(tx: Transaction) -> None:
        tx.settle("g")
        clock.advance(60)

    group = [settle, lambda tx: tx.usage("refunds", b"k", EVER), lambda tx: tx.settle("g")]
    release = threading.Event()
    store.submit(lambda _: release.wait(WAIT))
    futures = [store.submit(work) for work in group]
    release.set()
    assert futures[1].result(WAIT) == Usage(1, 1)
    futures[2].result(WAIT)
    assert used(store) == Usage(1, 1)


def test_large_amounts_sum_exactly(store: Store) -> None:
    do(store, rows.put(*[rows.spend(f"g{n}", amount=MAX_INT) for n in range(2000)]))
    do(store, rows.put(*[rows.spend(f"n{n}", amount=-MAX_INT, key="less") for n in range(2000)]))
    assert used(store) == Usage(2000, 2000 * MAX_INT)
    assert used(store, key=b"less") == Usage(2000, -2000 * MAX_INT)


@pytest.mark.parametrize("limit", [counters.MAX_ROWS, 50])
def test_counting_10_000_grants_of_one_key_is_exact_and_reads_them_once(
    opening: Opening, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(counters, "MAX_ROWS", limit)
    store = opening()
    do(store, rows.put(*[rows.spend(f"g{n}", when=n / 1000) for n in range(10_000)]))
    used(store)

    built: list[counters.Key] = []
    build = counters.Counters._build

    def counting(self: counters.Counters, window: counters.Window, loaded: Iterable[SpendRow]) -> counters.Window:
        built.append(window.key)
        return build(self, window, loaded)

    monkeypatch.setattr(counters.Counters, "_build", counting)

    def ask(tx: Transaction) -> None:
        for number in range(500):
            assert tx.usage("refunds", b"k", rows.at(number / 1000)).count == 10_000 - number
            tx.spend(rows.spend(f"other{number}", key=f"k{number}"))
            tx.usage("refunds", f"k{number}".encode(), EVER)

    store.submit(ask).result(WAIT)
    # Rows are read again only where a window is built; 500 queries of the large one must not build it 500 times.
    assert built.count(("refunds", b"k")) <= 2
