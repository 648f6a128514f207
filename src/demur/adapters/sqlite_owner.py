"""The one read-write connection of the embedded store, and what happens when something goes wrong with it.

- Any error while a group is written fails the whole group. The connection is closed, so that SQLite itself undoes
  what was half done, and opened again for the next group; nothing is retried on a connection that failed once.
- A COMMIT that fails may yet have happened. Every group carries a mark; after reopening, and moving the write-ahead
  log into the file, which forces a sync of its own, the mark on disk says which it was. A group found there is a
  success. Where even that cannot be learned the group counts as failed; its answers are found by their request ids.
- After reopening, the ledger on disk must still hold the last record that was acknowledged. If it does not, the store
  refuses to go on: it would build upon a past that never was.
- Files that were deleted or replaced take no writes. A file that is put back is used again; a write-ahead log that
  was taken away needs a restart.
- Below a watermark of free space nothing is written (space.py).

Recovery needs nobody: each group tries again, and the first that can be written is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from demur.adapters import growth, sqlite_file, sqlite_rows, stamping
from demur.adapters.counters import Counters
from demur.adapters.group import EARLIEST, EMPTY, Group
from demur.adapters.lease import Lease
from demur.adapters.sqlite_file import Watch, translated
from demur.adapters.sqlite_rows import Rows
from demur.core.ledger import chain, merkle
from demur.core.ledger.tile import Frontier
from demur.core.terms import parse_timestamp
from demur.errors import LedgerError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from demur.adapters.space import Watermark
    from demur.adapters.sqlite_file import Connect
    from demur.core.record import WriterStamp
    from demur.core.terms import Timestamp
    from demur.ports import Head, StoredRecord

_MARK = "store.group"
_STATE = "store.state"
_COPIES = "store.copies"
_OPEN, _CLOSED = b"open", b"closed"


class SqliteOwner:
    """`writer.Backend` over the file `path`."""

    def __init__(self, path: Path, log: str, connect: Connect, watermark: Watermark) -> None:
        """Raises `OwnedElsewhereError`, `StoreError`, or `LedgerError` where the last record or the edge of the tree
        is damaged.
        """
        self._path = path
        self._log = log
        self._connect = connect
        self._watermark = watermark
        self._connection: sqlite3.Connection | None = None
        self._rows: Rows
        self._wal: Watch
        self._file = Watch(path)
        self._counters = Counters()
        self._head = EMPTY
        self._frontier = Frontier()
        self._stamp: WriterStamp | None = None
        self._lost: StoreError | None = None
        self._run = os.urandom(8).hex()
        self._groups = 0
        self._lease = Lease(path.with_name(f"{path.name}.lease"))
        try:
            with translated("create", path):
                sqlite_file.create(path)
            self._reopen(may_migrate=True)
            self.was_clean, self.last_time = self._start()
        except BaseException:
            self.abandon()
            self._lease.release()
            raise

    def begin(self) -> Group:
        """A new group, its transaction begun, so that whatever would keep it from writing shows before it runs."""
        try:
            self._watermark.check()
            connection = self._connection or self._reopen()
            self._lease.check()
            self._file.check()
            self._check_log(connection)
            with translated("write", self._path):
                connection.execute("BEGIN IMMEDIATE")
        except StoreError:
            self.abandon()
            raise
        return Group(
            self._rows,
            log=self._log,
            head=self._head,
            counters=self._counters,
            frontier=self._frontier,
            stamp=self._stamp,
        )

    def commit(self, group: Group) -> None:
        """As `writer.Backend.commit`."""
        connection = self._connection
        assert connection is not None
        if self._rows.failure is not None:
            failure = self._rows.failure
            self.abandon()
            raise failure
        self._groups += 1
        mark = f"{self._run}-{self._groups}".encode()
        try:
            frontier = group.finish()
            if not group.writes.is_empty():
                sqlite_rows.write(connection, self._log, group.writes)
                sqlite_rows.put_meta(connection, self._log, _MARK, mark)
            if group.writes.scrub:
                sqlite_rows.put_meta(connection, self._log, _COPIES, b"log")
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            self.abandon()
            raise StoreError(f"could not write the store `{self._path}`: {error}") from error
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if not self._is_durable(mark, group.head):
                raise StoreError(f"could not commit to the store `{self._path}`: {error}") from error
        self._head, self._frontier, self._stamp = group.head, frontier, group.stamp
        if group.writes.scrub:
            self._scrub()

    def _scrub(self) -> None:
        """Cut the write-ahead log, in which what was forgotten still stands, to nothing; whoever reads prevents it.

        The group is durable by now, so nothing that goes wrong here may fail it: the copies are still noted then.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            connection.execute("PRAGMA busy_timeout=0")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            connection.execute(f"PRAGMA busy_timeout={int(sqlite_file.BUSY_SECONDS * 1000)}")
            if not busy:
                sqlite_rows.put_meta(connection, self._log, _COPIES, b"")
        except sqlite3.Error:
            self.abandon()  # the next group opens another connection

    def abandon(self) -> None:
        """Close the connection, which undoes what was not committed; the next group opens another."""
        self._counters.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        """Note that the store was closed in order, and give back the lease."""
        try:
            connection = self._connection or self._reopen()
            self._file.check()
            with translated("close", self._path):
                sqlite_rows.put_meta(connection, self._log, _STATE, _CLOSED)
        except StoreError:
            pass  # The file then says that it was not closed in order, which is what happened.
        finally:
            self.abandon()
            self._lease.release()

    def _reopen(self, *, may_migrate: bool = False) -> sqlite3.Connection:
        """Connect and read head, edge of the tree and stamp back from disk; raises `StoreError` and `LedgerError`."""
        self._file.check()
        connection = sqlite_file.open_owner(self._path, self._connect)
        try:
            if may_migrate:
                sqlite_file.migrate(connection, self._path)
            rows = Rows(connection, self._log)
            head = rows.head()
            self._check_past(rows, head)
            frontier = growth.load(rows, head.size)
            if self._stamp is not None:
                self._stamp = stamping.resume(self._stamp, rows.find_record(head.size - 1))
        except BaseException:
            connection.close()
            raise
        self._connection, self._rows, self._head, self._frontier = connection, rows, head, frontier
        self._wal = Watch(sqlite_file.log_of(self._path))
        self._wal.check()
        return connection

    def _check_log(self, connection: sqlite3.Connection) -> None:
        """Raises `StoreError`, from then on for ever, where the write-ahead log was taken away under the connection.

        What it held is moved into the file first: after this connection it would be gone. Going on is left to a
        person, since other connections may still look at the log that is no more.
        """
        if self._lost is not None:
            raise self._lost
        try:
            self._wal.check()
        except StoreError as error:
            self._lost = error
            with contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            raise

    def _check_past(self, rows: Rows, head: Head) -> None:
        if self._head.size == 0:
            return
        last = rows.find_record(self._head.size - 1)
        if last is None or last.record_hash != self._head.record_hash:
            raise StoreError(
                f"expected the acknowledged record {self._head.size - 1} in `{self._path}`, "
                f"found a ledger of {head.size} records without it",
                hint="the file was put back to an older state; stop the service and restore the newest copy",
            )

    def _is_durable(self, mark: bytes, head: Head) -> bool:
        """Whether the group with this mark is on the disk, after a COMMIT that said it failed."""
        self.abandon()
        try:
            connection = self._reopen()
            with translated("read", self._path):
                busy, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            # All of the log was moved, so the file was synced after the failed COMMIT; seeing the group is not
            # enough, because what a failed sync left in the page cache can be read and still be lost.
            is_synced = not busy and frames == moved
            return is_synced and self._rows.find_meta(_MARK) == mark and self._head == head
        except StoreError:
            self.abandon()
            return False

    def _start(self) -> tuple[bool, Timestamp]:
        """Whether the store was closed in order, and the time of its last record; an epoch of the writer begins."""
        connection = self._connection
        assert connection is not None
        state = self._rows.find_meta(_STATE)
        last = self._rows.find_record(self._head.size - 1)
        last_time = _time_of(last) if last else EARLIEST
        self._stamp = stamping.begin(self._rows.find_meta)
        with translated("write", self._path):
            connection.execute("BEGIN IMMEDIATE")
            for name, value in {_STATE: _OPEN, **stamping.kept(self._stamp)}.items():
                sqlite_rows.put_meta(connection, self._log, name, value)
            connection.execute("COMMIT")
        return state in {None, _CLOSED}, last_time


def _time_of(last: StoredRecord) -> Timestamp:
    """The time in the last record; raises `LedgerError` where it is damaged, since nothing may be built upon it."""
    if merkle.leaf_hash(last.leaf) != last.record_hash:
        raise LedgerError(f"record {last.sequence}: the leaf was altered, its hash is not the one recorded")
    try:
        return parse_timestamp(str(chain.read_leaf(last.leaf).get("timestamp")))
    except ValueError as error:
        raise LedgerError(f"record {last.sequence}: {error}") from error
