"""A store in memory: the model that every other store is compared with, for tests and for trying things out.

It runs works exactly as the durable stores do (one writer, groups, discarded works, bounded queue) and forgets
everything when the process ends. Nothing here is evidence of anything.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import msgspec

from demur.adapters import stamping
from demur.adapters.clock import SystemClock
from demur.adapters.counters import NEVER, Counters
from demur.adapters.group import EARLIEST, EMPTY, Group
from demur.adapters.writer import MAX_GROUP, MAX_QUEUED, Writer
from demur.adapters.writes import blank, by_age, by_urgency
from demur.core import record
from demur.core.ledger.tile import Frontier
from demur.core.terms import Timestamp
from demur.ports import Head, SpendRow, StoredRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from demur.adapters.growth import TileKey
    from demur.adapters.writes import Writes
    from demur.core.record import Sealed, WriterStamp
    from demur.ports import CheckpointRow, Clock, GrantRow, RequestRow, ReviewRow, Transaction

T = TypeVar("T")


class MemoryStore:
    """`ports.Store` in memory."""

    was_clean = True

    def __init__(
        self,
        log: str = "memory",
        clock: Clock | None = None,
        *,
        max_queued: int = MAX_QUEUED,
        max_group: int = MAX_GROUP,
    ) -> None:
        """Raises `LedgerError` where `log` is no token."""
        self.log = record.check_log(log)
        self._tables = _Tables()
        self._backend = _Backend(log, self._tables)
        self._writer = Writer(
            self._backend,
            clock or SystemClock(),
            now=EARLIEST,
            max_queued=max_queued,
            max_group=max_group,
            name=f"demur-memory-{log}",
        )

    def submit(self, work: Callable[[Transaction], T], into: Future[T] | None = None) -> Future[T]:
        return self._writer.submit(work, into)

    def read(self, query: Callable[[Transaction], T]) -> T:
        self._writer.check_usable()
        with self._backend.lock:
            group = Group(self._tables, log=self.log)
            group.begin(self._writer.now())
            try:
                return query(group)
            finally:
                group.close()

    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]:
        self._writer.check_usable()
        with self._backend.lock:
            return iter(self._tables.records[max(first, 0) : None if last is None else max(last, 0)])

    def close(self) -> None:
        self._writer.close()


class _Backend:
    """`writer.Backend` over the tables. The lock keeps readers from seeing half a group."""

    def __init__(self, log: str, tables: _Tables) -> None:
        self.lock = threading.RLock()
        self._log = log
        self._tables = tables
        self._counters = Counters()
        self._frontier = Frontier()
        stamp = stamping.begin(tables.find_meta)
        tables.put_meta(stamping.kept(stamp))
        self._stamp: WriterStamp | None = stamp

    def begin(self) -> Group:
        return Group(
            self._tables,
            log=self._log,
            head=self._tables.head(),
            counters=self._counters,
            frontier=self._frontier,
            stamp=self._stamp,
        )

    def commit(self, group: Group) -> None:
        frontier = group.finish()
        with self.lock:
            self._tables.apply(group.writes)
        self._frontier, self._stamp = frontier, group.stamp

    def abandon(self) -> None:
        self._counters.clear()

    def close(self) -> None:
        """Nothing to release."""


class _Tables:
    """`group.Committed` in dictionaries, written plainly: it scans where a database has an index."""

    def __init__(self) -> None:
        self.records: list[StoredRecord] = []
        self._tiles: dict[TileKey, bytes] = {}
        self._checkpoints: dict[int, CheckpointRow] = {}
        self._sealed: dict[int, Sealed] = {}
        self._requests: dict[bytes, RequestRow] = {}
        self._grants: dict[str, GrantRow] = {}
        self._reviews: dict[str, ReviewRow] = {}
        self._spends: dict[tuple[str, bytes], dict[tuple[int, str], SpendRow]] = {}
        self._meta: dict[str, bytes] = {}
        self._blobs: dict[str, bytes] = {}

    def head(self) -> Head:
        return Head(len(self.records), self.records[-1].record_hash) if self.records else EMPTY

    def find_tile(self, level: int, number: int) -> bytes | None:
        return self._tiles.get((level, number))

    def record_hashes(self, first: int, last: int) -> bytes:
        return b"".join(stored.record_hash for stored in self.records[first:last])

    def find_checkpoint(self, size: int | None) -> CheckpointRow | None:
        return self._checkpoints.get(max(self._checkpoints, default=0) if size is None else size)

    def list_checkpoints(self, first_size: int, limit: int) -> tuple[CheckpointRow, ...]:
        sizes = sorted(size for size in self._checkpoints if size >= first_size)
        return tuple(self._checkpoints[size] for size in sizes[:limit])

    def find_request(self, key: bytes) -> RequestRow | None:
        return self._requests.get(key)

    def usage(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Usage:
        rows = self.spent(counter, key, since, now)
        return Usage(len(rows), sum(row.amount for row in rows))

    def spent(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> list[SpendRow]:
        rows = self._spends.get((counter, key), {}).values()
        return [row for row in rows if row.at >= since and row.expires_at > now]

    def find_grant(self, grant_id: str) -> GrantRow | None:
        return self._grants.get(grant_id)

    def find_review(self, review_id: str) -> ReviewRow | None:
        return self._reviews.get(review_id)

    def matching_reviews(self, match: bytes) -> tuple[ReviewRow, ...]:
        return tuple(sorted((row for row in self._reviews.values() if row.match == match), key=by_age))

    def list_reviews(self, states: tuple[str, ...], limit: int, after: tuple[Timestamp, str]) -> tuple[ReviewRow, ...]:
        first = after[0].nanos, after[1]
        rows = (row for row in self._reviews.values() if row.state in states and by_urgency(row) > first)
        return tuple(sorted(rows, key=by_urgency)[:limit])

    def ended_reviews(self, topic: bytes, limit: int, states: tuple[str, ...]) -> tuple[ReviewRow, ...]:
        rows = (row for row in self._reviews.values() if row.topic == topic and row.state in states)
        return tuple(sorted(rows, key=by_age, reverse=True)[:limit])

    def count_reviews(self, states: tuple[str, ...]) -> int:
        return sum(row.state in states for row in self._reviews.values())

    def find_sealed(self, sequence: int) -> Sealed | None:
        return self._sealed.get(sequence)

    def find_record(self, sequence: int) -> StoredRecord | None:
        return self.records[sequence] if 0 <= sequence < len(self.records) else None

    def find_meta(self, name: str) -> bytes | None:
        return self._meta.get(name)

    def find_blob(self, digest: str) -> bytes | None:
        return self._blobs.get(digest)

    def put_meta(self, values: dict[str, bytes]) -> None:
        """Keep the store's own values."""
        self._meta.update(values)

    def apply(self, writes: Writes) -> None:
        """Take over what a group wrote."""
        for appended in writes.records:
            self.records.append(appended.stored())
            if appended.sealed is not None:
                self._sealed[appended.sequence] = appended.sealed
        for sequence in writes.forgotten.keys() & self._sealed.keys():
            self._sealed[sequence] = blank(self._sealed[sequence])
        self._tiles.update(writes.tiles)
        self._checkpoints.update(writes.checkpoints)
        self._requests.update(writes.requests)
        self._grants.update(writes.grants)
        self._reviews.update(writes.reviews)
        self._meta.update(writes.meta)
        self._blobs.update(writes.blobs)
        self._apply_spends(writes)

    def _apply_spends(self, writes: Writes) -> None:
        for rows in self._spends.values() if writes.released or writes.settled else ():
            for place, row in list(rows.items()):
                settled_at = writes.settled.get(row.grant_id)
                if row.grant_id in writes.released:
                    del rows[place]
                elif settled_at is not None and row.expires_at > settled_at:
                    rows[place] = msgspec.structs.replace(row, expires_at=Timestamp(NEVER))
        for key, written in writes.spends.items():
            self._spends.setdefault(key, {}).update(written)
