"""Decisions are found by bounded looks at the ledger, and what is counted is what was decided (S5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demur.core.terms import Outcome, parse_timestamp
from demur.steps import searching
from demur.steps.searching import Page, Wanted

from .shop import START, Shop, refund, simple

if TYPE_CHECKING:
    from demur.ports import Store


def filled(shop: Shop) -> Store:
    """Twelve decisions, an hour apart: lists and erasures in turn, every third a refund of another subject."""
    for number in range(12):
        shop.clock.advance(3_600)
        if number % 3 == 2:
            shop.gate.decide(refund(100, subject="bob"))
        else:
            shop.gate.decide(simple("erase" if number % 2 else "list"))
    return shop.parts.world.store


def sequences(page: Page) -> list[int]:
    return [leaf.sequence for leaf in page.found]


def test_pages_together_hold_every_decision_once(shop: Shop) -> None:
    store = filled(shop)
    found, before = [], None
    while before != 0:
        page = searching.search(store, Wanted(), before=before, most=5)
        found += sequences(page)
        before = page.before
    assert found == sorted(set(found), reverse=True)
    assert len(found) == 12


def test_a_look_reads_at_most_so_many_records_and_says_which(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(shop)
    size = store.read(lambda tx: tx.head.size)
    monkeypatch.setattr(searching, "MAX_READ", 4)
    page = searching.search(store, Wanted(action="nothing"), most=5)

    assert (page.found, page.first, page.last) == ((), size - 4, size - 1)
    assert page.before == size - 4
    further = searching.search(store, Wanted(action="nothing"), before=page.before, most=5)
    assert (further.first, further.last) == (size - 8, size - 5)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted(), 12),
        (Wanted(outcome="allow"), 8),
        (Wanted(category="categorical"), 4),
        (Wanted(action="refund"), 4),
        (Wanted(rule="shop/never-erase"), 4),
        (Wanted(subjects=frozenset()), 0),
        (Wanted(since=START.plus(6 * 3_600)), 7),
        (Wanted(until=START.plus(6 * 3_600)), 6),
        (Wanted(since=START.plus(3 * 3_600), until=START.plus(4 * 3_600)), 2),
        (Wanted(since=parse_timestamp("2027-01-01T00:00:00Z")), 0),
        (Wanted(until=parse_timestamp("2020-01-01T00:00:00Z")), 0),
    ],
)
def test_what_is_wanted_is_found(shop: Shop, wanted: Wanted, count: int) -> None:
    assert len(searching.search(filled(shop), wanted, most=50).found) == count


def test_a_subject_is_found_under_the_keys_of_that_person_alone(shop: Shop) -> None:
    store, vault = filled(shop), shop.parts.world.vault
    page = searching.search(store, Wanted(subjects=frozenset(vault.key_ids("user:bob"))), most=50)
    assert {leaf.action_intent.action for leaf in page.found} == {"refund"}
    assert len(page.found) == 4


def test_an_empty_span_was_not_looked_at(shop: Shop) -> None:
    page = searching.search(filled(shop), Wanted(until=parse_timestamp("2020-01-01T00:00:00Z")))
    assert (page.found, page.before) == ((), 0)
    assert page.first > page.last


def test_a_summary_counts_each_decision_where_it_fell(shop: Shop) -> None:
    store = filled(shop)
    told = searching.sum_up(store, since=START, until=START.plus(12 * 3_600), parts=4)

    assert told.is_whole
    assert told.outcomes[Outcome.ALLOW] == 8
    assert told.outcomes[Outcome.DENY] == 4
    assert told.bars == ({"categorical": 1},) * 4
    assert told.refused == (("erase", "categorical", "shop/never-erase", 4),)


def test_a_summary_says_where_it_did_not_read_all(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(shop)
    monkeypatch.setattr(searching, "MAX_READ", 3)
    told = searching.sum_up(store, since=START, until=START.plus(24 * 3_600), parts=4)
    assert (told.is_whole, told.read) == (False, 3)


def test_history_finds_records_of_one_kind(shop: Shop) -> None:
    found, lowest = searching.history(filled(shop), frozenset({"policy_activated"}))
    assert [one.policy_version for one in found] == [shop.gate.policy_version]
    assert lowest == 0
