"""The store for many replicas: one PostgreSQL database, any number of gates, every answer durable first (S5.1).

`PostgresStore` is one replica: a writer thread with a connection of its own (postgres_owner.py), and read-only
connections for everybody who asks. `PostgresReader` only reads. Nobody owns the database; the head row of a log makes
its writers take turns, group by group.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from demur.adapters import postgres_connection
from demur.adapters.group import EARLIEST, Group
from demur.adapters.postgres_connection import Place, failed
from demur.adapters.postgres_owner import BEAT_SECONDS, Replica, SharedClock
from demur.adapters.postgres_rows import Rows
from demur.adapters.writer import MAX_GROUP, MAX_QUEUED, Writer
from demur.core import record
from demur.core.terms import MAX_INT
from demur.errors import ConfigurationError, OverloadedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from psycopg import Connection

    from demur.core.terms import Timestamp
    from demur.ports import Clock, StoredRecord, Transaction

T = TypeVar("T")
_Kept = tuple["Connection[tuple[Any, ...]]", Rows]

MAX_IDLE_READERS = 4


class PostgresStore:
    """`ports.Store` in the database at `url`, beside any number of other replicas."""

    def __init__(
        self,
        url: str,
        log: str,
        clock: Clock | None = None,
        *,
        max_queued: int = MAX_QUEUED,
        max_group: int = MAX_GROUP,
        writer_id: str = "",
        patience_seconds: float = 5.0,
    ) -> None:
        """Join the replicas of this log; `clock` None is the database's, which all replicas share (S2.4).

        `writer_id` (8 to 32 hex digits) is the one that this replica stamps records with, random where it is not given.
        A replica that keeps the others waiting for `patience_seconds` loses its turn. Raises `StoreError` where the
        database cannot be used or could lose what it acknowledged, `ConfigurationError` where `url` is no URL of one,
        `LedgerError` where `log` or `writer_id` is none, or the edge of the tree is damaged.
        """
        self.log = record.check_log(log)
        place = Place.read(url, patience_seconds)
        self._replica = Replica(place, log, clock, writer_id)
        self.was_clean = self._replica.was_clean
        self._reader = _Readers(place, log)
        self._writer = Writer(
            self._replica,
            self._replica,
            now=EARLIEST,
            max_queued=max_queued,
            max_group=max_group,
            name=f"demur-writer-{log}",
        )
        self._is_closing = threading.Event()
        threading.Thread(target=self._beat, name=f"demur-beat-{log}", daemon=True).start()

    def now(self) -> Timestamp:
        """The time of the next work, as near as can be told: the store is the clock of its gate."""
        return self._writer.now()

    def submit(self, work: Callable[[Transaction], T], into: Future[T] | None = None) -> Future[T]:
        return self._writer.submit(work, into)

    def read(self, query: Callable[[Transaction], T]) -> T:
        self._writer.check_usable()
        return self._reader.read(query, self._writer.now())

    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]:
        self._writer.check_usable()
        return self._reader.records(first, last)

    def close(self) -> None:
        self._is_closing.set()
        self._writer.close()
        self._reader.close()

    def _beat(self) -> None:
        """Let an idle replica say that it is there: the commit of any group does."""
        while not self._is_closing.wait(BEAT_SECONDS):
            with contextlib.suppress(OverloadedError):
                try:
                    self._writer.submit(lambda _: None)
                except StoreError:
                    return


class PostgresReader:
    """Reads the database of a store, beside its replicas or without any, and can change nothing."""

    def __init__(self, url: str, log: str = "", clock: Clock | None = None) -> None:
        """`log` may be left out where the database holds one. Raises as `PostgresStore`."""
        place = Place.read(url)
        self._clock = clock or _database_clock(place)
        self.log = log or _find_log(place)
        self._reader = _Readers(place, self.log)
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

    def __init__(self, place: Place, log: str) -> None:
        self._place = place
        self._log = log
        self._pid = os.getpid()
        self._idle: list[_Kept] = []

    def read(self, query: Callable[[Transaction], T], now: Timestamp) -> T:
        with self._snapshot() as rows:
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
        with self._snapshot() as rows:
            yield from rows.records(
                min(max(first, 0), MAX_INT), MAX_INT if last is None else min(max(last, 0), MAX_INT)
            )

    def close(self) -> None:
        if os.getpid() == self._pid:
            while self._idle:
                self._idle.pop()[0].close()

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[Rows]:
        """Rows as of one committed state; the connection is kept for reuse only where all went well."""
        if os.getpid() != self._pid:
            raise StoreError(f"expected the process {self._pid} that opened the store, found its fork {os.getpid()}")
        connection, rows = self._take()
        try:
            yield rows
            try:
                connection.commit()
            except psycopg.Error as error:
                raise failed("read", self._place, error) from error
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < MAX_IDLE_READERS:
            self._idle.append((connection, rows))
        else:
            connection.close()

    def _take(self) -> _Kept:
        """A connection that answers. One that was kept may have been cut meanwhile, which harms nobody who reads."""
        while (kept := self._pop()) is not None:
            try:
                kept[0].execute(b"SELECT")
            except psycopg.Error:
                kept[0].close()
            else:
                return kept
        connection = postgres_connection.open_reader(self._place)
        return connection, Rows(connection, self._log)

    def _pop(self) -> _Kept | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


def _find_log(place: Place) -> str:
    connection = postgres_connection.open_reader(place)
    try:
        found = connection.execute(b"SELECT DISTINCT log FROM meta ORDER BY log").fetchall()
    except psycopg.Error as error:
        raise failed("read", place, error) from error
    finally:
        connection.close()
    if len(found) != 1:
        logs = "`, `".join(row[0] for row in found)
        raise ConfigurationError(
            f"expected one log at `{place}`, found `{logs}`" if logs else f"expected a log at `{place}`, found none",
            hint="name the log" if logs else "open a gate on it first",
        )
    return str(found[0][0])


def _database_clock(place: Place) -> Clock:
    connection = postgres_connection.open_reader(place)
    clock = SharedClock()
    try:
        query = b"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        clock.set(connection.execute(query).fetchall()[0][0] * 1_000)
    except psycopg.Error as error:
        raise failed("read", place, error) from error
    finally:
        connection.close()
    return clock
