"""The tree that every store keeps beside the records, its signed checkpoints, and who wrote which record."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command, config

from demur.adapters import sqlite_file, stamping
from demur.adapters.failing import FailingDisk
from demur.adapters.sqlite import SqliteStore
from demur.core import record
from demur.core.ledger import chain, merkle, tile
from demur.core.record import WriterStamp
from demur.errors import LedgerError, StoreError
from demur.ports import CheckpointRow, StoredRecord, Tree
from demur.steps import proving
from tests.stores import rows
from tests.stores.test_contract import WAIT, Stop, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.ports import Store, Transaction


def append(store: Store, count: int) -> None:
    def work(tx: Transaction) -> None:
        for number in range(count):
            tx.append(rows.draft(number, is_sealed=False))

    store.submit(work).result(WAIT)


def tree(tx: Transaction) -> Tree:
    return tx.tree()


def hashes(store: Store) -> list[bytes]:
    return [record.record_hash for record in store.records()]


def by_definition(store: Store) -> Tree:
    found = hashes(store)
    return Tree(len(found), merkle.root(found))


def check(store: Store) -> None:
    """The tree is that of the records: as a work sees it, as a reader does, and tile by tile."""
    expected = by_definition(store)
    assert store.read(tree) == expected == store.submit(tree).result(WAIT)
    check_tiles(store)


def check_tiles(store: Store) -> None:
    tile.check(hashes(store), lambda *place: store.read(lambda tx: proving.reading(tx)(*place)))


def writers(store: Store) -> list[tuple[int, int]]:
    """Epoch and count of every record; one id for all."""
    found: list[Any] = [chain.read_leaf(record.leaf)["writer"] for record in store.records()]
    assert len({writer["id"] for writer in found}) <= 1
    return [(writer["epoch"], writer["n"]) for writer in found]


# The tree.


def test_an_empty_ledger_has_the_root_of_nothing(store: Store) -> None:
    assert store.read(tree) == Tree(0, merkle.EMPTY_ROOT) == store.submit(tree).result(WAIT)
    assert store.read(lambda tx: tx.find_tile(0, 0, 1)) is None


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_the_root_is_that_of_the_records(store: Store, count: int) -> None:
    append(store, count)
    check(store)


def test_the_tree_follows_within_a_work(store: Store) -> None:
    append(store, 250)

    def work(tx: Transaction) -> list[Tree]:
        found = [tx.tree()]
        for number in range(10):
            tx.append(rows.draft(number))
            found.append(tx.tree())
        return found

    found = store.submit(work).result(WAIT)
    assert found == [Tree(size, merkle.root(hashes(store)[:size])) for size in range(250, 261)]


def test_a_work_sees_the_tiles_that_it_fills(store: Store) -> None:
    append(store, 255)

    def work(tx: Transaction) -> tuple[object, ...]:
        before = tx.find_tile(0, 0), tx.find_tile(1, 0, 1)
        tx.append(rows.draft())
        tx.append(rows.draft())
        return *before, tx.find_tile(0, 0), tx.find_tile(1, 0, 1), tx.find_tile(0, 1, 1), tx.find_tile(0, 1, 2)

    found = store.submit(work).result(WAIT)
    leaves = hashes(store)
    expected = None, None, b"".join(leaves[:256]), merkle.root(leaves[:256]), leaves[256], None
    assert found == expected


@pytest.mark.parametrize(
    ("place", "is_there"),
    [((0, 0, 256), True), ((0, 1, 44), True), ((0, 1, 45), False), ((0, 1, 3), True), ((1, 0, 1), True)],
)
def test_a_tile_is_as_wide_as_the_tree_has_it(store: Store, place: tuple[int, int, int], *, is_there: bool) -> None:
    append(store, 300)
    found = store.read(lambda tx: tx.find_tile(*place))
    assert (found is not None, len(found or b"")) == (is_there, place[2] * 32 * is_there)


@pytest.mark.parametrize(
    "place", [(1, 0, 2), (0, -1, 1), (0, 0, 0), (0, 0, 257), (9, 0, 1), (0, 2**70, 1), (70, 0, 1), (-1, 0, 1)]
)
def test_a_tile_that_there_is_not_is_not_found(store: Store, place: tuple[int, int, int]) -> None:
    append(store, 300)
    assert store.read(lambda tx: tx.find_tile(*place)) is None


def test_discarded_works_leave_the_tree_as_it_was(store: Store) -> None:
    append(store, 254)

    def given_up(tx: Transaction) -> None:
        for number in range(5):
            tx.append(rows.draft(number))
        tx.tree()
        raise Stop

    seen = together(store, rows.append(1), given_up, tree, rows.append(2), given_up, rows.append(3), tree)
    assert isinstance(seen[1].exception(), Stop)
    assert seen[2].result() == Tree(255, merkle.root(hashes(store)[:255]))
    assert seen[6].result() == by_definition(store) == Tree(257, merkle.root(hashes(store)))
    check(store)
    assert writers(store) == [(1, n) for n in range(257)]


def test_a_work_after_a_discarded_one_builds_on_what_was_before_it(store: Store) -> None:
    def given_up(tx: Transaction) -> None:
        tx.append(rows.draft(9))
        tx.tree()
        raise Stop

    together(store, given_up, lambda tx: [tx.append(rows.draft(number)) for number in range(2)])
    check(store)


def test_a_proof_of_a_record_is_checked_by_merkle(store: Store) -> None:
    append(store, 300)
    for sequence, size in ((0, None), (299, None), (255, 256), (256, 257), (0, 1)):
        proof = store.read(lambda tx, n=sequence, m=size: proving.prove(tx, n, m))  # type: ignore[misc]
        leaf = hashes(store)[sequence]
        assert proof.record_hash == leaf
        assert proof.root == merkle.root(hashes(store)[: proof.size])
        merkle.check_inclusion(index=sequence, size=proof.size, leaf=leaf, proof=proof.hashes, expected=proof.root)


@pytest.mark.parametrize(("sequence", "size"), [(3, None), (2, 2), (0, 4), (-1, None), (2**70, None), (0, 0)])
def test_what_is_not_there_is_not_proved(store: Store, sequence: int, size: int | None) -> None:
    append(store, 3)
    with pytest.raises(LedgerError, match="expected a record below"):
        store.read(lambda tx: proving.prove(tx, sequence, size))


# Checkpoints.


def signed(store: Store, *names: str, size: int | None = None) -> CheckpointRow:
    """A note over the tree of so many records, all for None, with these signatures."""
    found = hashes(store)[:size]
    root = merkle.root(found)
    lines = "".join(f"\N{EM DASH} {name} c2lnbmVk\n" for name in names)
    return CheckpointRow(len(found), root, f"demo\n{len(found)}\n{root.hex()}\n\n{lines}".encode())


def put(row: CheckpointRow) -> Callable[[Transaction], None]:
    return lambda tx: tx.put_checkpoint(row)


def test_checkpoints_are_found_by_size_and_listed_in_order(store: Store) -> None:
    append(store, 3)
    late, early = signed(store, "a"), signed(store, "a", size=1)
    assert store.read(lambda tx: (tx.find_checkpoint(), tx.list_checkpoints(limit=9))) == (None, ())
    store.submit(put(late)).result(WAIT)

    def work(tx: Transaction) -> tuple[object, ...]:
        tx.put_checkpoint(early)
        return tx.find_checkpoint(), tx.find_checkpoint(1), tx.find_checkpoint(2), tx.list_checkpoints(limit=9)

    expected = (late, early, None, (early, late))
    assert store.submit(work).result(WAIT) == expected
    listed = store.read(lambda tx: [tx.list_checkpoints(n, limit=m) for n, m in ((0, 1), (2, 9), (4, 9), (0, 0))])
    assert listed == [(early,), (late,), (), ()]
    assert store.read(lambda tx: (tx.find_checkpoint(), tx.find_checkpoint(1))) == (late, early)


def test_no_size_gets_a_second_root(store: Store) -> None:
    """Two signed roots for one size are a fork (S5.6); no store holds both."""
    append(store, 2)
    kept = signed(store, "a")
    store.submit(put(kept)).result(WAIT)
    with pytest.raises(StoreError, match="expected the root"):
        store.submit(put(CheckpointRow(2, bytes(32), kept.note))).result(WAIT)
    assert store.read(lambda tx: tx.find_checkpoint()) == kept


def test_a_root_that_a_work_of_the_same_group_signed_counts_too(store: Store) -> None:
    append(store, 1)
    kept, other = together(store, put(signed(store, "a")), put(CheckpointRow(1, bytes(32), b"x\n\n")))
    assert kept.exception() is None
    assert isinstance(other.exception(), StoreError)


def test_a_checkpoint_gains_signatures_and_loses_none(store: Store) -> None:
    append(store, 1)
    both = signed(store, "a", "b")
    store.submit(put(signed(store, "a"))).result(WAIT)
    store.submit(put(both)).result(WAIT)
    assert store.read(lambda tx: tx.find_checkpoint()) == both
    with pytest.raises(StoreError, match="every signature"):
        store.submit(put(signed(store, "b"))).result(WAIT)
    with pytest.raises(StoreError, match="the text that was signed"):
        store.submit(put(CheckpointRow(1, both.root, b"other\n\n" + both.note.rpartition(b"\n\n")[2]))).result(WAIT)
    assert store.read(lambda tx: tx.find_checkpoint()) == both


@pytest.mark.parametrize("size", [-1, 2, 2**70])
def test_a_checkpoint_is_of_a_tree_that_there_is(store: Store, size: int) -> None:
    append(store, 1)
    with pytest.raises(StoreError, match="at most 1 records"):
        store.submit(put(CheckpointRow(size, bytes(32), b"x\n\n"))).result(WAIT)


def test_reading_signs_nothing(store: Store) -> None:
    with pytest.raises(StoreError, match="read-only"):
        store.read(put(CheckpointRow(0, merkle.EMPTY_ROOT, b"x\n\n")))


# Who wrote it.


def test_a_writer_counts_its_records_from_zero(store: Store) -> None:
    append(store, 3)
    together(store, rows.append(), rows.append())
    assert writers(store) == [(1, n) for n in range(5)]


@pytest.mark.parametrize("last", [None, {}, {"id": "ab" * 8, "epoch": 3, "n": 9}, {"id": "cd" * 8, "epoch": 4, "n": 9}])
def test_a_count_goes_on_only_after_a_record_of_the_same_epoch(last: dict[str, object] | None) -> None:
    stamp = WriterStamp("ab" * 8, 4, 2)
    found = None if last is None else StoredRecord(0, rows_leaf(last), b"")
    assert stamping.resume(stamp, found) == WriterStamp("ab" * 8, 4, 0)
    own = StoredRecord(0, rows_leaf({"id": "ab" * 8, "epoch": 4, "n": 9}), b"")
    assert stamping.resume(stamp, own) == WriterStamp("ab" * 8, 4, 10)


def rows_leaf(writer: dict[str, object]) -> bytes:
    return json.dumps({"writer": writer} if writer else {}).encode()


@pytest.mark.parametrize(
    ("name", "value"), [("store.writer", b"nobody"), ("store.epoch", b"-1"), ("store.epoch", b"x")]
)
def test_a_stored_stamp_that_is_none_is_refused(name: str, value: bytes) -> None:
    with pytest.raises(LedgerError, match="expected a"):
        stamping.begin({name: value}.get)


# The file of the embedded store.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_group_that_failed_but_is_there_is_built_upon(path: Path) -> None:
    """The commit said that it failed, and whether it did could not be learned; the works were told that it did."""
    disk = FailingDisk()
    store = SqliteStore(path, "demo", rows.clock(), connect=disk.connect)
    append(store, 250)
    disk.fail("COMMIT", happens=True, times=1)
    disk.fail("PRAGMA wal_checkpoint(", times=1)
    with pytest.raises(StoreError, match="disk I/O error"):
        append(store, 10)
    append(store, 10)
    check(store)
    assert writers(store) == [(1, n) for n in range(270)]
    store.close()


def make_first_revision(path: Path, count: int) -> list[StoredRecord]:
    """A file with the tables of revision 0001, and records as they were then: without a writer."""
    settings = config.Config()
    settings.set_main_option("script_location", str(Path(sqlite_file.__file__).with_name("migrations")))
    made: list[StoredRecord] = []
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
        for sequence in range(count):
            before = made[-1].record_hash if made else bytes(32)
            leaf = record.leaf(
                rows.draft(is_sealed=False), log="demo", sequence=sequence, previous_hash=before, timestamp=rows.START
            )
            made.append(StoredRecord(sequence, leaf, merkle.leaf_hash(leaf)))
            values = ("demo", sequence, leaf, made[-1].record_hash)
            connection.exec_driver_sql("INSERT INTO records VALUES (?, ?, ?, ?)", values)
    return made


def test_the_tree_goes_on_after_a_restart(path: Path) -> None:
    for epoch, count in enumerate((255, 1, 300, 0, 2), start=1):
        store = SqliteStore(path, "demo", rows.clock())
        append(store, count)
        check(store)
        assert [found for found in writers(store) if found[0] == epoch] == [(epoch, n) for n in range(count)]
        store.close()


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT INTO records", "INSERT INTO tiles", "COMMIT"])
def test_a_group_that_failed_leaves_tree_and_count_as_they_were(path: Path, statement: str) -> None:
    disk = FailingDisk()
    store = SqliteStore(path, "demo", rows.clock(), connect=disk.connect)
    append(store, 250)
    disk.fail(statement, times=1)
    with pytest.raises(StoreError, match="disk I/O error"):
        append(store, 10)
    assert by_definition(store).size == 250
    append(store, 10)
    check(store)
    assert writers(store) == [(1, n) for n in range(260)]
    store.close()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 700])
def test_a_file_of_the_first_revision_gets_its_tiles(path: Path, count: int) -> None:
    kept = make_first_revision(path, count)
    store = SqliteStore(path, "demo", rows.clock())
    assert list(store.records()) == kept
    check(store)
    append(store, 300)
    check(store)
    chain.check(store.records(), log="demo")
    assert [chain.read_leaf(found.leaf).get("writer") for found in store.records(0, count)] == [None] * count
    store.close()


def test_records_that_are_missing_are_not_migrated_over(path: Path) -> None:
    make_first_revision(path, 5)
    sql(path, "DELETE FROM records WHERE sequence = 2")
    with pytest.raises(LedgerError, match="found some missing"):
        SqliteStore(path, "demo", rows.clock())


@pytest.mark.parametrize(
    "damage", ["DELETE FROM tiles WHERE level = 1", "UPDATE tiles SET hashes = x'00' WHERE level = 1"]
)
def test_nothing_is_built_on_an_edge_that_cannot_be_read(path: Path, damage: str) -> None:
    store = SqliteStore(path, "demo", rows.clock())
    append(store, 300)
    store.close()
    sql(path, damage)
    with pytest.raises(LedgerError, match=r"bytes of `tile/1/000\.p/1`"):
        SqliteStore(path, "demo", rows.clock())


@pytest.mark.parametrize(("level", "number"), [(0, 0), (0, 1), (1, 0)])
def test_an_altered_tile_is_found_and_proves_nothing(path: Path, level: int, number: int) -> None:
    store = SqliteStore(path, "demo", rows.clock())
    append(store, 600)
    store.close()
    place = f"level = {level} AND number = {number}"
    sql(path, f"UPDATE tiles SET hashes = zeroblob(32) || substr(hashes, 33) WHERE {place}")
    opened = SqliteStore(path, "demo", rows.clock())
    with pytest.raises(LedgerError, match=f"`tile/{level}/00{number}"):
        check_tiles(opened)
    with pytest.raises(LedgerError, match="leads to root"):
        opened.read(lambda tx: proving.prove(tx, number * 256 + 1))
    opened.close()
