"""One replica's read-write connection, and what happens when something goes wrong with it.

Every group, of whatever replica, runs under the lock of the log's head row:

1. `BEGIN; SELECT ... FOR UPDATE` of the head row: the last record, the time, and who wrote last.
2. The works of the group run. What they read is what is committed, since nobody else can write this log now.
3. What they wrote, the head, this replica's mark and COMMIT leave in one round trip.

The head row is locked first and every other row only under it, so two replicas can never wait for each other in a
circle. The order of commits is the order of the sequence numbers, and there are no gaps.

- Any error fails the whole group and closes the connection; the server undoes what was not committed.
- A COMMIT without an answer may have happened. Once a second connection has the head row, the first transaction has
  ended, and the mark says how. A group found there is a success; nothing is ever written twice on a guess. Where it
  cannot be learned, the group counts as failed; its answers are found by their request ids.
- Running counters are kept only while nobody else wrote.
- The database must still hold the last record that this replica saw acknowledged, or nothing more is written: it was
  restored to an older state, or fell over to a standby that lacks it.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import psycopg
from psycopg import sql

from demur.adapters import growth, postgres_connection, postgres_rows, stamping
from demur.adapters.counters import Counters
from demur.adapters.group import EARLIEST, EMPTY
from demur.adapters.postgres_connection import Place, failed
from demur.adapters.postgres_rows import PostgresGroup, Rows
from demur.core.ledger.tile import Frontier
from demur.core.record import WriterStamp
from demur.core.terms import Timestamp
from demur.errors import StoreError
from demur.ports import Head

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

    from demur.adapters.group import Group
    from demur.ports import Clock

HEAD = "store.head"
REPLICA = "store.replica."
"""Meta names: the head row of a log, and the beginning of the row of each replica that is open."""
BEAT_SECONDS = 15.0
"""How often a replica says that it is there."""
GONE_SECONDS = 60.0
"""A replica that said nothing for so long was killed."""
PAUSE_SECONDS = 0.1
"""Between two attempts to reach a database that could not be reached."""

T = TypeVar("T")
_Row = tuple[Any, ...]
_PREPARED = (
    "PREPARE demur_lock (text, text) AS SELECT value FROM meta WHERE log = $1 AND name = $2 FOR UPDATE; "
    "PREPARE demur_look (text, bigint) AS SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
    "current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'), "
    "ARRAY(SELECT record_hash FROM records WHERE log = $1 AND sequence >= $2 ORDER BY sequence LIMIT 4096)"
)
"""Lock the head row; look at the time, the settings, and the hashes of the records from one on."""
_TURN = "BEGIN; EXECUTE demur_lock ({log}, {head}); EXECUTE demur_look ({log}, {known})"


class HeadRow(msgspec.Struct, frozen=True, array_like=True):
    """The end of the ledger as all replicas see it, the time of its last group in nanoseconds, and whose it was."""

    size: int
    record_hash: bytes
    time: int
    mark: str


class ReplicaRow(msgspec.Struct, frozen=True, array_like=True):
    """A replica that is open: its last group, when it was last seen (nanoseconds, the database's clock), its stamp."""

    groups: int
    seen: int
    stamp: WriterStamp


_EMPTY = HeadRow(0, EMPTY.record_hash, EARLIEST.nanos, "")
_ENCODE = msgspec.msgpack.Encoder().encode
_HEADS = msgspec.msgpack.Decoder(HeadRow)
_REPLICAS = msgspec.msgpack.Decoder(ReplicaRow)


class SharedClock:
    """The database's clock, told between two looks at it by this machine's steady one (S2.4)."""

    def __init__(self) -> None:
        self._ahead = 0

    def now(self) -> Timestamp:
        return Timestamp(time.monotonic_ns() + self._ahead)

    def set(self, nanos: int) -> None:
        """The database's clock says this now."""
        self._ahead = nanos - time.monotonic_ns()


class Replica:
    """`writer.Backend` over one log of a database that other replicas write too. It is also the writer's clock."""

    def __init__(self, place: Place, log: str, clock: Clock | None, writer_id: str = "") -> None:
        """`clock` None is the database's. Raises `StoreError`, and `LedgerError` where the tree is damaged."""
        self.was_clean = True
        self._place = place
        self._log = log
        self._shared = SharedClock()
        self._clock = clock or self._shared
        self._connection: Connection[_Row] | None = None
        self._rows: Rows
        self._cursor: Cursor[_Row]
        self._counters = Counters()
        self._head = _EMPTY
        self._frontier = Frontier()
        self._acknowledged = EMPTY
        self._name = f"{REPLICA}{os.urandom(8).hex()}"
        self._writer_id = writer_id
        self._stamp: WriterStamp | None = None
        self._must_resume = True
        self._begun: dict[str, bytes] = {}
        self._groups = 0
        self._seen = 0
        self._database_time = 0
        self._warnings: list[str] = []
        self._unreachable: StoreError | None = None
        self._retry_at = 0.0
        postgres_connection.migrate(place)
        try:
            self._enter()
        except BaseException:
            self.abandon()
            raise

    def now(self) -> Timestamp:
        """The time of the next work: never before what any replica wrote."""
        return max(self._clock.now(), Timestamp(self._head.time))

    def begin(self) -> Group:
        """A new group, the head row locked."""
        try:
            self._lock()
        except StoreError:
            self.abandon()
            raise
        return PostgresGroup(
            self._rows,
            log=self._log,
            head=Head(self._head.size, self._head.record_hash),
            counters=self._counters,
            frontier=self._frontier,
            stamp=self._stamp,
        )

    def commit(self, group: Group) -> None:
        """As `writer.Backend.commit`."""
        if self._rows.failure is not None:
            failure = self._rows.failure
            self.abandon()
            raise failure
        is_due = self._database_time - self._seen >= BEAT_SECONDS * 1e9
        if group.writes.is_empty() and not is_due:
            self._let_go()
            return
        self._groups += 1
        self._warnings.clear()
        mark = f"{self._name}-{self._groups}"
        after = HeadRow(group.head.size, group.head.record_hash, max(self._head.time, group.now.nanos), mark)
        frontier = group.finish()
        try:
            self._write(group, after)
        except psycopg.Error as error:
            self.abandon()
            if not self._is_durable():
                raise failed("commit to", self._place, error) from error
        self._head, self._seen = after, self._database_time
        self._acknowledged, self._frontier, self._stamp = group.head, frontier, group.stamp
        self._must_resume, self._begun = False, {}
        if self._warnings:
            said = "; ".join(self._warnings)
            self.abandon()
            raise StoreError(
                f"the commit to the store at `{self._place}` is not confirmed as configured: {said}",
                hint="ask again with the same request id: the answer may have been recorded",
            )

    def abandon(self) -> None:
        """Close the connection; the server undoes what was not committed."""
        self._counters.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Take this replica's row away, as a sign that it was closed and not killed."""
        try:
            self._lock()
            self._execute("DELETE FROM meta WHERE log = %s AND name = %s", self._log, self._name)
            self._end()
        except StoreError:
            pass  # Whoever opens later then finds a replica that vanished, which is how it looks from there.
        finally:
            self.abandon()

    def _enter(self) -> None:
        """Make the head row of a log that has none, say that this replica is here, and look who is not any more."""
        self._reopen()
        self._execute(
            "INSERT INTO meta SELECT %s::text, %s, %s WHERE NOT EXISTS (SELECT FROM records WHERE log = %s) "
            "ON CONFLICT DO NOTHING",
            self._log,
            HEAD,
            _ENCODE(_EMPTY),
            self._log,
        )
        self._lock()
        head = self._rows.head()
        if (head.size, head.record_hash) != (self._head.size, self._head.record_hash):
            raise StoreError(
                f"expected {self._head.size} records at `{self._place}`, as its head says, found {head.size} or others",
                hint="records or the head were changed by hand; restore the newest backup",
            )
        gone = self._database_time - GONE_SECONDS * 1e9
        for name, value in self._rows.own_meta(REPLICA):
            if _read(_REPLICAS, value).seen < gone:
                self._execute("DELETE FROM meta WHERE log = %s AND name = %s", self._log, name)
                self.was_clean = False
        try:
            postgres_rows.put_meta(self._cursor, self._log, self._own_row(self._stamp))
        except psycopg.Error as error:
            raise failed("write", self._place, error) from error
        self._end()
        self._seen, self._must_resume = self._database_time, False

    def _lock(self) -> None:
        """Lock the head row and read what has changed since this replica had it; raises `StoreError`."""
        connection = self._connection or self._reopen()
        # One round trip. Each statement sees what is committed when it begins, so the last one sees all there is. It is
        # a plain query, since a pipeline's last message would keep the server from ending a transaction that idles.
        turn = sql.SQL(_TURN).format(log=self._log, head=HEAD, known=self._frontier.size)
        try:
            cursor = connection.execute(turn, prepare=False)
            cursor.nextset()
            found = cursor.fetchone()
            cursor.nextset()
            nanos, *settings, hashes = cursor.fetchall()[0]
        except psycopg.Error as error:
            raise failed("write", self._place, error) from error
        if found is None:
            raise StoreError(f"the head of log `{self._log}` at `{self._place}` is gone", hint="restore the backup")
        postgres_connection.check_settings(tuple(settings), self._place)
        self._database_time = nanos * 1_000
        self._shared.set(self._database_time)
        self._follow(_read(_HEADS, found[0]), hashes)
        if self._must_resume:
            self._resume()

    def _follow(self, head: HeadRow, hashes: list[bytes]) -> None:
        """Catch up with what other replicas wrote: `hashes` are those of the records from the known edge on."""
        if head == self._head:
            return
        self._counters.clear()
        self._check_past(head)
        if self._frontier.size + len(hashes) == head.size:
            for record_hash in hashes:
                self._frontier.append(record_hash)
        else:  # It missed more than it was told of.
            self._frontier = growth.load(self._rows, head.size)
        self._head = head

    def _resume(self) -> None:
        """The stamp as it is committed: before this connection, a group may have ended either way."""
        found = dict(self._rows.own_meta(self._name)).get(self._name)
        if found is not None:
            self._stamp, self._must_resume = _read(_REPLICAS, found).stamp, False
            return
        # The first opening, or the others took this replica for gone: its count begins anew, under another epoch,
        # which is kept with the first group that is written.
        name = f"{stamping.EPOCH}.{self._writer_id}"
        epoch = self._rows.find_meta(name) if self._writer_id else None
        self._stamp = stamping.begin({stamping.EPOCH: epoch}.get, self._writer_id)
        self._begun = {name: str(self._stamp.epoch).encode()} if self._writer_id else {}

    def _check_past(self, head: HeadRow) -> None:
        known = self._acknowledged
        if known.size == 0:
            return
        last = self._rows.find_record(known.size - 1)
        if head.size < known.size or last is None or last.record_hash != known.record_hash:
            raise StoreError(
                f"expected the acknowledged record {known.size - 1} at `{self._place}`, "
                f"found a ledger of {head.size} records without it",
                hint="the database was restored to an older state, or fell over to a standby that lacked this record; "
                "stop all replicas and bring back the newest state",
            )

    def _reopen(self) -> Connection[_Row]:
        # A database that recovers must not be kept busy by refusing us.
        if self._unreachable is not None and time.monotonic() < self._retry_at:
            raise StoreError(str(self._unreachable), hint=self._unreachable.hint) from self._unreachable
        try:
            connection = postgres_connection.open_writer(self._place)
        except StoreError as error:
            self._unreachable, self._retry_at = error, time.monotonic() + PAUSE_SECONDS
            raise
        self._unreachable = None
        try:
            connection.execute(_PREPARED, prepare=False)
        except psycopg.Error as error:
            connection.close()
            raise failed("open", self._place, error) from error
        connection.add_notice_handler(self._noticed)
        self._must_resume = True
        self._connection, self._rows = connection, Rows(connection, self._log)
        self._cursor = connection.cursor(binary=True)
        return connection

    def _write(self, group: Group, after: HeadRow) -> None:
        """Everything with its COMMIT; raises `psycopg.Error`, after which only the mark says what happened."""
        connection = self._connection
        assert connection is not None
        cursor = self._cursor
        own = {HEAD: _ENCODE(after), **self._own_row(group.stamp)}
        with connection.pipeline():
            postgres_rows.write(cursor, self._log, group.writes)
            postgres_rows.put_meta(cursor, self._log, {**group.writes.meta, **own})
            ended = connection.execute(b"COMMIT")
        if ended.statusmessage != "COMMIT":
            raise psycopg.OperationalError(f"expected the server to commit, found `{ended.statusmessage}`")

    def _own_row(self, stamp: WriterStamp | None) -> dict[str, bytes]:
        assert stamp is not None
        return {self._name: _ENCODE(ReplicaRow(self._groups, self._database_time, stamp)), **self._begun}

    def _is_durable(self) -> bool:
        """Whether the group that was sent last is committed, asked until the database answers, for a while."""
        end = time.monotonic() + 2 * self._place.patience_seconds
        while True:
            try:
                # With the lock comes the certainty that the first transaction has ended, one way or the other.
                self._lock()
                found = dict(self._rows.own_meta(self._name)).get(self._name)
                self._end()
                return found is not None and _read(_REPLICAS, found).groups == self._groups
            except StoreError:
                self.abandon()
                if time.monotonic() > end:
                    return False
                time.sleep(PAUSE_SECONDS)

    def _let_go(self) -> None:
        """End a turn that wrote nothing. Where that fails nothing is lost, and what was read is as good as ever."""
        try:
            self._end()
        except StoreError:
            self.abandon()

    def _execute(self, query: str, *values: object) -> None:
        try:
            self._cursor.execute(query.encode(), values)
        except psycopg.Error as error:
            raise failed("write", self._place, error) from error

    def _end(self) -> None:
        # Never ROLLBACK: after it the driver would prepare every statement anew.
        assert self._connection is not None
        try:
            self._connection.execute(b"COMMIT")
        except psycopg.Error as error:
            raise failed("write", self._place, error) from error

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        # A commit that a standby did not confirm is told as a warning, not as an error.
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "a warning")


def _read(decoder: msgspec.msgpack.Decoder[T], value: bytes) -> T:
    try:
        return decoder.decode(value)
    except msgspec.DecodeError as error:
        raise StoreError(f"a row of the store's own was altered: {error}", hint="restore the newest backup") from error
