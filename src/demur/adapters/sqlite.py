"""The embedded store: one SQLite file, one owner, every answer durable before it is released (S5.1, S11.1).

`SqliteStore` owns the file: a writer thread with the one read-write connection (sqlite_owner.py), and read-only
connections for everybody who asks. `SqliteReader` reads the same file from another process, beside the owner or
without one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from demur.adapters import sqlite_file
from demur.adapters.clock import SystemClock
from demur.adapters.group import EARLIEST, Group
from demur.adapters.space import Watermark
from demur.adapters.sqlite_file import Watch, translated
from demur.adapters.sqlite_owner import SqliteOwner
from demur.adapters.sqlite_rows import Rows, only_log
from demur.adapters.writer import MAX_GROUP, MAX_QUEUED, Writer
from demur.core import record
from demur.core.terms import MAX_INT
from demur.errors import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from demur.adapters.sqlite_file import Connect
    from demur.core.terms import Timestamp
    from demur.ports import Clock, StoredRecord, Transaction

T = TypeVar("T")

MAX_IDLE_READERS = 8


class SqliteStore:
    """`ports.Store` in the file `path`, which this process owns until it closes the store or ends."""

    def __init__(
        self,
        path: Path | str,
        log: str,
        clock: Clock | None = None,
        *,
        max_queued: int = MAX_QUEUED,
        max_group: int = MAX_GROUP,
        connect: Connect = sqlite_file.connect,
        watermark: Watermark | None = None,
    ) -> None:
        """Open the file, made where there is none. Below the `watermark` of free space it refuses every work.

        Raises `OwnedElsewhereError` where another process (or this one) has it open, `StoreError` where it cannot be
        opened, `LedgerError` where `log` is no token, or the last record or the edge of the tree cannot be read.
        """
        self.log = record.check_log(log)
        # Two names of one file must be one lease.
        path = Path(path).resolve()
        self._backend = SqliteOwner(path, log, connect, watermark or Watermark(path.parent))
        self.was_clean = self._backend.was_clean
        self._reader = _Readers(path, log, connect)
        self._writer = Writer(
            self._backend,
            clock or SystemClock(),
            now=self._backend.last_time,
            max_queued=max_queued,
            max_group=max_group,
            name=f"demur-writer-{log}",
        )

    def submit(self, work: Callable[[Transaction], T], into: Future[T] | None = None) -> Future[T]:
        return self._writer.submit(work, into)

    def read(self, query: Callable[[Transaction], T]) -> T:
        self._writer.check_usable()
        return self._reader.read(query, self._writer.now())

    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]:
        self._writer.check_usable()
        return self._reader.records(first, last)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()


class SqliteReader:
    """Reads the file of a store beside its owner, or without one, and can change nothing."""

    def __init__(self, path: Path | str, log: str = "", clock: Clock | None = None) -> None:
        """`log` may be left out where the file holds one. Raises `StoreError` where it cannot be opened."""
        self._clock = clock or SystemClock()
        self.log = log or _find_log(Path(path))
        self._reader = _Readers(Path(path), self.log, sqlite_file.connect)
        self._reader.read(lambda transaction: transaction.head, EARLIEST)

    def read(self, query: Callable[[Transaction], T]) -> T:
        """As `ports.Store.read`."""
        return self._reader.read(query, self._clock.now())

    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]:
        """As `ports.Store.records`."""
        return self._reader.records(first, last)

    def close(self) -> None:
        """Close the connections; reading again opens new ones."""
        self._reader.close()


class _Readers:
    """Read-only connections, one per read that is going on; a few are kept for the next."""

    def __init__(self, path: Path, log: str, connect: Connect) -> None:
        self._path = path
        self._log = log
        self._connect = connect
        self._pid = os.getpid()
        self._watch = Watch(path)
        self._idle: list[sqlite3.Connection] = []

    def read(self, query: Callable[[Transaction], T], now: Timestamp) -> T:
        with self._snapshot() as connection:
            rows = Rows(connection, self._log)
            group = Group(rows, log=self._log)
            group.begin(now)
            try:
                result = query(group)
            finally:
                group.close()
            if rows.failure is not None:
                raise rows.failure
            return result

    def records(self, first: int, last: int | None) -> Iterator[StoredRecord]:
        with self._snapshot() as connection:
            yield from Rows(connection, self._log).records(
                min(max(first, 0), MAX_INT), MAX_INT if last is None else min(max(last, 0), MAX_INT)
            )

    def close(self) -> None:
        if os.getpid() == self._pid:
            while self._idle:
                self._idle.pop().close()

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one committed state; it is kept for reuse only where all went well."""
        if os.getpid() != self._pid:
            raise StoreError(f"expected the process {self._pid} that opened the store, found its fork {os.getpid()}")
        self._watch.check()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = sqlite_file.open_reader(self._path, self._connect)
        try:
            with translated("read", self._path):
                connection.execute("BEGIN")
            yield connection
            with translated("read", self._path):
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < MAX_IDLE_READERS:
            self._idle.append(connection)
        else:
            connection.close()


def _find_log(path: Path) -> str:
    with translated("read", path):
        connection = sqlite_file.open_reader(path)
        try:
            return only_log(connection)
        finally:
            connection.close()
