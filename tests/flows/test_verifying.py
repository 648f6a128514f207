"""A part of the ledger is verified while the gate runs; one altered byte is found (S5.4)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from demur.errors import LedgerError
from demur.steps import verifying

from .shop import Shop, open_shop, simple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Shop]:
    """An open shop on SQLite with some decisions and a signed checkpoint."""
    opened = open_shop(tmp_path, home=tmp_path / "home")
    for _ in range(20):
        opened.gate.decide(simple("list"))
    opened.parts.world.checkpoints.publish()  # type: ignore[attr-defined]  # the publisher of this store
    yield opened
    opened.gate.close()


def test_a_whole_ledger_is_found_whole(kept: Shop) -> None:
    checked = verifying.verify(kept.parts.world.store)
    assert (checked.first, checked.end, checked.next) == (0, checked.size, 0)
    assert checked.tiles == 1
    assert checked.proofs == 1
    assert checked.signed > 0
    assert checked.remarks == ()


def test_it_goes_on_where_it_ended(kept: Shop) -> None:
    store = kept.parts.world.store
    first = verifying.verify(store, most=8)
    second = verifying.verify(store, first.next, most=8)
    assert (first.end, second.first, second.end) == (8, 8, 16)
    assert verifying.verify(store, second.next, most=100).next == 0


def test_beyond_the_end_there_is_nothing_to_verify(kept: Shop) -> None:
    with pytest.raises(LedgerError, match="expected a record below"):
        verifying.verify(kept.parts.world.store, 10_000)


def altered(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "home" / "ledger.db") as raw:
        raw.execute(statement)
    raw.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE records SET leaf = CAST(replace(CAST(leaf AS TEXT), 'allow', 'denyx') AS BLOB) WHERE sequence = 9",
            "record 9",
        ),
        ("DELETE FROM records WHERE sequence = 9", "expected record 9"),
    ],
)
def test_what_was_altered_is_named(kept: Shop, tmp_path: Path, statement: str, message: str) -> None:
    altered(tmp_path, statement)
    with pytest.raises(LedgerError, match=message):
        verifying.verify(kept.parts.world.store)


def test_a_hash_of_the_tree_that_is_not_the_records_is_found(kept: Shop, tmp_path: Path) -> None:
    """Only whole tiles are stored; the hashes of the last one are read from the records."""
    for future in [kept.gate.submit(simple("list")) for _ in range(260)]:
        future.result()
    assert verifying.verify(kept.parts.world.store).tiles == 2
    altered(tmp_path, "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0")
    with pytest.raises(LedgerError, match="record 0: the tree holds another hash"):
        verifying.verify(kept.parts.world.store)
