"""The embedded store when the disk under it fails: all is refused, nothing is lost, and it recovers by itself."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from demur.adapters import sqlite_file
from demur.adapters.failing import FailingDisk
from demur.adapters.sqlite import SqliteReader, SqliteStore
from demur.core.ledger import chain
from demur.errors import DemurError, LedgerError, OwnedElsewhereError, StoreError
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from demur.ports import Transaction

WAIT = 20


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def store(path: Path, disk: FailingDisk) -> Iterator[SqliteStore]:
    store = SqliteStore(path, "demo", rows.clock(), connect=disk.connect)
    assert store.submit(rows.append(0)).result(WAIT).sequence == 0
    yield store
    disk.heal()
    store.close()


def sizes(store: SqliteStore, path: Path) -> tuple[int, int]:
    """How many records the store itself and another connection see; the chain is whole."""
    reader = SqliteReader(path)
    try:
        chain.check(reader.records(), log="demo")
        return store.read(lambda tx: tx.head.size), reader.read(lambda tx: tx.head.size)
    finally:
        reader.close()


@pytest.mark.parametrize(
    "statement", ["BEGIN IMMEDIATE", "INSERT INTO records", "INSERT INTO sealed", "INSERT", "COMMIT"]
)
def test_a_write_that_fails_fails_the_group_and_the_next_one_succeeds(
    store: SqliteStore, disk: FailingDisk, path: Path, statement: str
) -> None:
    disk.fail(statement, times=1)
    with pytest.raises(StoreError, match="disk I/O error"):
        store.submit(rows.append(1)).result(WAIT)
    assert disk.failed == 1
    assert sizes(store, path) == (1, 1)
    assert store.submit(rows.append(2)).result(WAIT).sequence == 1
    assert sizes(store, path) == (2, 2)


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT INTO records", "COMMIT", "connect"])
def test_while_the_disk_fails_every_work_is_refused(
    store: SqliteStore, disk: FailingDisk, path: Path, statement: str
) -> None:
    disk.fail(statement)
    disk.fail("COMMIT", times=1)
    for number in range(5):
        assert isinstance(store.submit(rows.append(number)).exception(WAIT), StoreError)
    disk.heal()
    assert sizes(store, path) == (1, 1)
    assert store.submit(rows.append(9)).result(WAIT).sequence == 1


def test_a_commit_that_says_it_failed_but_happened_is_a_success(
    store: SqliteStore, disk: FailingDisk, path: Path
) -> None:
    disk.fail("COMMIT", happens=True, times=1)
    assert store.submit(rows.append(1)).result(WAIT).sequence == 1
    assert store.submit(rows.append(2)).result(WAIT).sequence == 2
    assert sizes(store, path) == (3, 3)


def test_a_commit_without_records_that_happened_is_a_success(store: SqliteStore, disk: FailingDisk) -> None:
    disk.fail("COMMIT", happens=True, times=1)
    store.submit(rows.keep("name", b"value")).result(WAIT)
    assert store.read(lambda tx: tx.find_meta("name")) == b"value"


def test_a_commit_whose_fate_cannot_be_learned_is_a_failure_and_nothing_is_appended_twice(
    store: SqliteStore, disk: FailingDisk, path: Path
) -> None:
    disk.fail("COMMIT", happens=True, times=1)
    disk.fail("connect", times=1)
    with pytest.raises(StoreError):
        store.submit(rows.append(1)).result(WAIT)
    # It had happened: the next record comes after it.
    assert store.submit(rows.append(2)).result(WAIT).sequence == 2
    assert sizes(store, path) == (3, 3)


def test_a_failed_group_fails_all_its_works(store: SqliteStore, disk: FailingDisk, path: Path) -> None:
    """Even what raised or only read: it may rest on what an earlier work of the group wrote."""
    release = threading.Event()
    store.submit(lambda _: release.wait(WAIT))

    def raising(tx: Transaction) -> None:
        raise KeyError(tx.head.size)

    futures = [store.submit(work) for work in (rows.append(1), raising, lambda tx: tx.head.size)]
    disk.fail("INSERT INTO records", times=1)
    release.set()
    assert [type(future.exception(WAIT)) for future in futures] == [StoreError] * 3
    assert sizes(store, path) == (1, 1)


def test_what_failed_is_forgotten_by_the_counters(store: SqliteStore, disk: FailingDisk) -> None:
    usage = lambda tx: tx.usage("refunds", b"k", rows.at(-1)).count  # noqa: E731
    assert store.submit(usage).result(WAIT) == 0
    disk.fail("COMMIT", times=1)
    assert isinstance(store.submit(rows.put(rows.spend("g"))).exception(WAIT), StoreError)
    assert store.submit(usage).result(WAIT) == 0


def test_a_read_that_fails_within_a_work_fails_the_group_even_if_the_work_goes_on(
    store: SqliteStore, disk: FailingDisk, path: Path
) -> None:
    def work(tx: Transaction) -> None:
        with pytest.raises(StoreError):
            tx.find_grant("g")
        tx.append(rows.draft(1))

    disk.fail("SELECT id, token_hash", times=1)
    assert isinstance(store.submit(work).exception(WAIT), StoreError)
    assert sizes(store, path) == (1, 1)


def test_a_failing_read_says_so_and_the_next_one_works(store: SqliteStore, disk: FailingDisk) -> None:
    disk.fail("SELECT sequence", times=1)
    with pytest.raises(StoreError, match="cannot be read"):
        store.read(lambda tx: tx.head)
    assert store.read(lambda tx: tx.head.size) == 1


def test_a_full_disk_refuses_and_recovers(path: Path) -> None:
    opened: list[sqlite3.Connection] = []

    def connect(uri: str) -> sqlite3.Connection:
        connection = sqlite_file.connect(uri)
        if "mode=rw" in uri:
            opened.append(connection)
        return connection

    store = SqliteStore(path, "demo", connect=connect)
    store.submit(rows.append(0)).result(WAIT)
    pages = opened[-1].execute("PRAGMA page_count").fetchone()[0]
    opened[-1].execute(f"PRAGMA max_page_count={pages}")
    large = rows.keep("name", bytes(100_000))
    with pytest.raises(StoreError, match="full"):
        store.submit(large).result(WAIT)
    # The next group opens another connection, without the limit.
    store.submit(large).result(WAIT)
    assert sizes(store, path) == (1, 1)
    store.close()


def test_a_locked_file_is_refused_soon(store: SqliteStore, path: Path) -> None:
    intruder = sqlite3.connect(path, isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.submit(rows.append(1)).result(2)
    intruder.execute("ROLLBACK")
    intruder.close()
    assert store.submit(rows.append(1)).result(WAIT).sequence == 1


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [remove, replace])
@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db.lease"])
def test_a_file_that_was_deleted_or_replaced_takes_no_writes(
    store: SqliteStore, path: Path, harm: Callable[[Path], None], name: str
) -> None:
    harm(path.with_name(name))
    for _ in range(2):
        with pytest.raises(StoreError, match=r"gone|replaced|unable to open|acknowledged"):
            store.submit(rows.append(1)).result(WAIT)


@pytest.mark.parametrize("is_read", [False, True])
def test_records_whose_write_ahead_log_was_taken_away_are_there_after_a_restart(
    store: SqliteStore, path: Path, is_read: bool
) -> None:
    if is_read:
        assert store.read(lambda tx: tx.head.size) == 1
    sqlite_file.log_of(path).unlink()
    assert isinstance(store.submit(rows.append(1)).exception(WAIT), StoreError)
    store.close()
    reader = SqliteReader(path)
    assert len(list(reader.records())) == 1
    reader.close()


def test_a_file_that_was_moved_away_and_back_is_written_again(store: SqliteStore, path: Path) -> None:
    path.rename(path.with_name("away"))
    assert isinstance(store.submit(rows.append(1)).exception(WAIT), StoreError)
    assert not path.exists()
    path.with_name("away").rename(path)
    assert store.submit(rows.append(1)).result(WAIT).sequence == 1


def test_a_ledger_put_back_to_an_older_state_is_not_continued(
    store: SqliteStore, disk: FailingDisk, path: Path
) -> None:
    """The file is the same, its newest records are gone: continuing would give two records one number."""
    store.submit(rows.append(1)).result(WAIT)
    intruder = sqlite3.connect(path)
    intruder.execute("DELETE FROM sealed WHERE sequence = 1")
    intruder.execute("DELETE FROM records WHERE sequence = 1")
    intruder.commit()
    intruder.close()
    disk.fail("COMMIT", times=1)
    for _ in range(2):
        with pytest.raises(StoreError):
            store.submit(rows.append(2)).result(WAIT)
    with pytest.raises(StoreError, match="expected the acknowledged record 1"):
        store.submit(rows.append(3)).result(WAIT)


# Opening.


def test_an_altered_last_record_is_not_built_upon(store: SqliteStore, path: Path) -> None:
    store.close()
    intruder = sqlite3.connect(path)
    intruder.execute("UPDATE records SET leaf = replace(leaf, '\"number\":0', '\"number\":1')")
    intruder.commit()
    intruder.close()
    with pytest.raises(LedgerError, match="record 0: the leaf was altered"):
        SqliteStore(path, "demo")
    # The refusal let go of the file.
    with pytest.raises(LedgerError):
        SqliteStore(path, "demo")


def test_a_second_owner_is_refused_and_told_the_pid(store: SqliteStore, path: Path) -> None:
    import os

    with pytest.raises(OwnedElsewhereError, match=f"owned by process {os.getpid()}"):
        SqliteStore(path, "demo")
    assert store.submit(rows.append(1)).result(WAIT).sequence == 1


def test_a_second_name_of_the_file_makes_no_second_owner(store: SqliteStore, path: Path) -> None:
    (path.parent / "link").symlink_to(path.parent, target_is_directory=True)
    path.with_name("other.db").symlink_to(path)
    for name in (path.parent / "link" / "ledger.db", path.with_name("other.db")):
        with pytest.raises(OwnedElsewhereError):
            SqliteStore(name, "demo")


def test_after_closing_another_may_own_it(store: SqliteStore, path: Path) -> None:
    store.close()
    other = SqliteStore(path, "demo", rows.clock())
    assert other.submit(rows.append(1)).result(WAIT).sequence == 1
    other.close()


def test_two_logs_in_one_file_share_nothing(store: SqliteStore, path: Path) -> None:
    """Every key, row and leaf carries the log id (S5.6)."""
    everything: list[Callable[[Transaction], object]] = [
        rows.append(1),
        rows.put(rows.request("r"), rows.grant("g"), rows.review("v"), rows.spend("g")),
        rows.keep("name", b"demo"),
    ]
    for work in everything:
        store.submit(work).result(WAIT)
    store.close()
    with pytest.raises(StoreError, match="expected one log"):
        SqliteReader(other_log(path))
    other = SqliteStore(path, "other", rows.clock())
    other.submit(lambda tx: tx.settle("g")).result(WAIT)
    other.submit(lambda tx: tx.release("g")).result(WAIT)
    assert other.read(
        lambda tx: (
            tx.head.size,
            tx.find_request(b"r"),
            tx.find_grant("g"),
            tx.find_review("v"),
            tx.matching_reviews(b"m"),
            tx.list_reviews(states=("pending",), limit=9),
            tx.usage("refunds", b"k", rows.at(-1)).count,
            tx.find_meta("name"),
            tx.find_blob("name"),
            tx.find_sealed(0),
        )
    ) == (0, None, None, None, (), (), 0, None, None, None)
    other.close()
    with contextlib.closing(SqliteReader(path, "demo", rows.clock())) as reader:
        assert reader.read(lambda tx: (tx.head.size, tx.usage("refunds", b"k", rows.at(-1)).count)) == (2, 1)


def other_log(path: Path) -> Path:
    """The same file, after another log was opened in it."""
    SqliteStore(path, "other", rows.clock()).close()
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"this is no database, but it is long enough to be read as one" * 20, "not a database")],
)
def test_a_file_that_is_no_store_is_refused(path: Path, content: bytes, expected: str) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=expected):
        SqliteStore(path, "demo")
    assert path.read_bytes() == content


def test_a_file_of_a_newer_version_is_refused(store: SqliteStore, path: Path) -> None:
    store.close()
    intruder = sqlite3.connect(path)
    intruder.execute("UPDATE alembic_version SET version_num = '9999'")
    intruder.commit()
    intruder.close()
    with pytest.raises(StoreError, match="found `9999`"):
        SqliteStore(path, "demo")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        SqliteStore(tmp_path / "no" / "ledger.db", "demo")


def test_a_reader_needs_a_store(tmp_path: Path) -> None:
    for opening in (lambda: SqliteReader(tmp_path / "no.db"), lambda: SqliteReader(tmp_path / "no.db", "demo")):
        with pytest.raises(DemurError):
            opening()
    assert not (tmp_path / "no.db").exists()


def test_a_reader_reads_while_the_owner_writes_and_after_it_closed(store: SqliteStore, path: Path) -> None:
    reader = SqliteReader(path)
    assert (reader.log, reader.read(lambda tx: tx.head.size)) == ("demo", 1)
    store.submit(rows.append(1)).result(WAIT)
    assert reader.read(lambda tx: tx.head.size) == 2
    with pytest.raises(StoreError, match="read-only"):
        reader.read(rows.append(2))
    store.close()
    assert [record.sequence for record in reader.records()] == [0, 1]
    reader.close()
    alone = SqliteReader(path)
    assert len(list(alone.records())) == 2
    alone.close()


def test_only_the_owner_may_read_the_files(store: SqliteStore, path: Path) -> None:
    store.submit(rows.append(1)).result(WAIT)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_commits_are_synced_and_deletions_overwritten(store: SqliteStore) -> None:
    connection = store._backend._connection
    assert connection is not None
    pragma = lambda name: connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: E731
    found = {name: pragma(name) for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")}
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
