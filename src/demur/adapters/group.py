"""A group of works: what they wrote so far, over what the store has committed.

- Writes stay in memory until the whole group is flushed, so a work that raises leaves nothing behind, and the works
  after it see exactly what the works before it wrote.
- Every write first notes what it replaces; discarding a work puts that back, newest first.
- Values are checked when they are put, so that nothing which a database cannot hold reaches the flush, where it
  would fail the works of others.

A `Group` is the `Transaction` of ports.py. It belongs to one thread and dies with its group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import msgspec

from demur.adapters.counters import NEVER, Counters, Key
from demur.core import record
from demur.core.ledger import merkle
from demur.core.record import Draft, Entry, Sealed
from demur.core.terms import MAX_INT, Timestamp
from demur.errors import StoreError
from demur.ports import GrantRow, Head, RequestRow, ReviewRow, SpendRow, StoredRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY = Head(0, bytes(32))
"""The head of a ledger without records."""
OWN_NAMES = "store."
"""Meta names that begin so belong to the store itself."""

EARLIEST = Timestamp(-(2**63))
FOREVER = Timestamp(NEVER)
"""The range of times that both databases can hold: the years 1677 to 2262."""

K = TypeVar("K")
V = TypeVar("V")
_NONE = object()


class Committed(Protocol):
    """What a store holds durably. Times are within what both databases can hold; rows come in the order named."""

    def head(self) -> Head: ...
    def find_request(self, key: bytes) -> RequestRow | None: ...
    def usage(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Usage: ...
    def spent(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Iterable[SpendRow]:
        """The rows that `usage` sums, in any order."""

    def find_grant(self, grant_id: str) -> GrantRow | None: ...
    def find_review(self, review_id: str) -> ReviewRow | None: ...
    def matching_reviews(self, match: bytes) -> tuple[ReviewRow, ...]:
        """By sequence, then id."""

    def list_reviews(self, states: tuple[str, ...], limit: int) -> tuple[ReviewRow, ...]:
        """By deadline, sequence, id."""

    def find_sealed(self, sequence: int) -> Sealed | None: ...
    def find_record(self, sequence: int) -> StoredRecord | None: ...
    def find_meta(self, name: str) -> bytes | None: ...
    def find_blob(self, digest: str) -> bytes | None: ...


class _Ended:
    """Stands for the committed rows once the group ended: a transaction that was kept can read nothing stale."""

    def __getattr__(self, name: str) -> object:
        raise StoreError("expected a transaction in use, found one that has ended")


_ENDED = _Ended()


class Appended(msgspec.Struct, frozen=True):
    """A record that waits for the flush."""

    sequence: int
    leaf: bytes
    record_hash: bytes
    sealed: Sealed | None

    def stored(self) -> StoredRecord:
        return StoredRecord(self.sequence, self.leaf, self.record_hash)


def by_age(row: ReviewRow) -> tuple[int, str]:
    """Sorts reviews oldest first."""
    return row.sequence, row.id


def by_urgency(row: ReviewRow) -> tuple[int, int, str]:
    """Sorts reviews by deadline."""
    return row.deadline.nanos, row.sequence, row.id


class Writes:
    """What a group wrote, by table. Flushed in this order: released, settled, then everything else."""

    __slots__ = ("blobs", "grants", "meta", "records", "released", "requests", "reviews", "settled", "spends")

    def __init__(self) -> None:
        self.records: list[Appended] = []
        self.requests: dict[bytes, RequestRow] = {}
        self.grants: dict[str, GrantRow] = {}
        self.reviews: dict[str, ReviewRow] = {}
        self.spends: dict[Key, dict[tuple[int, str], SpendRow]] = {}
        self.settled: dict[str, Timestamp] = {}
        self.released: dict[str, None] = {}
        self.meta: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def is_empty(self) -> bool:
        return not (
            self.records
            or self.requests
            or self.grants
            or self.reviews
            or self.settled
            or self.released
            or self.meta
            or self.blobs
            or any(self.spends.values())
        )


class Group:
    """The transaction that every work of one group is given, one after the other."""

    __slots__ = (
        "_committed",
        "_counters",
        "_head",
        "_head_before",
        "_is_open",
        "_log",
        "_meta_read",
        "_now",
        "_records_before",
        "_spends_by_grant",
        "_touched",
        "_undo",
        "writes",
    )

    def __init__(self, committed: Committed, *, log: str, head: Head | None, counters: Counters | None) -> None:
        """`counters` None makes it read-only; `head` None reads it when it is asked for."""
        self.writes = Writes()
        self._committed = committed
        self._counters = counters
        self._log = log
        self._head = head
        self._now = EARLIEST
        self._is_open = counters is not None
        self._meta_read: dict[str, bytes | None] = {}
        self._spends_by_grant: dict[str, tuple[tuple[Key, tuple[int, str]], ...]] = {}
        self._undo: list[tuple[dict[object, object], object, object]] = []
        self._touched: list[Key] = []
        self._head_before = head
        self._records_before = 0

    # What the writer does with it.

    def begin(self, now: Timestamp) -> None:
        """The next work starts, at this instant."""
        self._now = now
        self._head_before = self._head
        self._records_before = len(self.writes.records)
        self._undo.clear()
        self._touched.clear()

    def discard(self) -> None:
        """Undo all that the present work wrote."""
        for table, key, before in reversed(self._undo):
            if before is _NONE:
                del table[key]
            else:
                table[key] = before
        self._undo.clear()
        del self.writes.records[self._records_before :]
        self._head = self._head_before
        for key in self._touched:
            self._windows().forget(key)
        self._touched.clear()

    def close(self) -> None:
        """The group ended: whoever kept the transaction can write no more."""
        self._is_open = False
        self._meta_read.clear()
        self._committed = cast("Committed", _ENDED)

    # Transaction: the ledger.

    @property
    def log(self) -> str:
        return self._log

    @property
    def now(self) -> Timestamp:
        return self._now

    @property
    def head(self) -> Head:
        if self._head is None:
            self._head = self._committed.head()
        return self._head

    def append(self, draft: Draft) -> Entry:
        self._check_open()
        head = self.head
        leaf = record.leaf(
            draft, log=self._log, sequence=head.size, previous_hash=head.record_hash, timestamp=self._now
        )
        record_hash = merkle.leaf_hash(leaf)
        self.writes.records.append(Appended(head.size, leaf, record_hash, draft.sealed))
        self._head = Head(head.size + 1, record_hash)
        return Entry(head.size, record_hash, self._now)

    def find_record(self, sequence: int) -> StoredRecord | None:
        appended = self._appended(sequence)
        return appended.stored() if appended else self._committed.find_record(_key_number(sequence))

    def find_sealed(self, sequence: int) -> Sealed | None:
        appended = self._appended(sequence)
        return appended.sealed if appended else self._committed.find_sealed(_key_number(sequence))

    # Transaction: rows.

    def find_request(self, key: bytes) -> RequestRow | None:
        return self.writes.requests.get(key) or self._committed.find_request(key)

    def put_request(self, row: RequestRow) -> None:
        self._put(self.writes.requests, row.key, row)

    def find_grant(self, grant_id: str) -> GrantRow | None:
        return self.writes.grants.get(grant_id) or self._committed.find_grant(grant_id)

    def put_grant(self, row: GrantRow) -> None:
        _check_time("expires_at", row.expires_at)
        self._put(self.writes.grants, row.id, row)

    def find_review(self, review_id: str) -> ReviewRow | None:
        return self.writes.reviews.get(review_id) or self._committed.find_review(review_id)

    def put_review(self, row: ReviewRow) -> None:
        _check_time("deadline", row.deadline)
        self._put(self.writes.reviews, row.id, row)

    def matching_reviews(self, match: bytes) -> tuple[ReviewRow, ...]:
        rows = self._committed.matching_reviews(match)
        written = self.writes.reviews
        if not written:
            return rows
        merged = [row for row in rows if row.id not in written]
        merged += [row for row in written.values() if row.match == match]
        return tuple(sorted(merged, key=by_age))

    def list_reviews(self, *, states: tuple[str, ...], limit: int) -> tuple[ReviewRow, ...]:
        written = self.writes.reviews
        wanted = max(0, min(limit, MAX_INT))
        # Each row written here can displace at most one of those stored.
        rows = self._committed.list_reviews(states, wanted + len(written))
        merged = [row for row in rows if row.id not in written]
        merged += [row for row in written.values() if row.state in states]
        return tuple(sorted(merged, key=by_urgency)[:wanted])

    def find_meta(self, name: str) -> bytes | None:
        found = self.writes.meta.get(name)
        if found is not None:
            return found
        # What is committed stays as it is while the group runs, and the works of one group ask for the same names.
        if name not in self._meta_read:
            self._meta_read[name] = self._committed.find_meta(name)
        return self._meta_read[name]

    def put_meta(self, name: str, value: bytes) -> None:
        if name.startswith(OWN_NAMES):
            raise StoreError(f"expected a name that is not the store's own, found `{name[:80]}`")
        self._put(self.writes.meta, name, value)

    def find_blob(self, digest: str) -> bytes | None:
        found = self.writes.blobs.get(digest)
        return self._committed.find_blob(digest) if found is None else found

    def put_blob(self, digest: str, data: bytes) -> None:
        self._check_open()
        if self.find_blob(digest) is None:
            self._put(self.writes.blobs, digest, data)

    # Transaction: counters.

    def usage(self, counter: str, key: bytes, since: Timestamp) -> Usage:
        since = max(since, EARLIEST)
        if self._counters is None:
            return self._committed.usage(counter, key, min(since, FOREVER), self._now)
        return self._counters.usage((counter, key), since, self._now, lambda: self._spent((counter, key), since))

    def spend(self, row: SpendRow) -> None:
        self._check_open()
        _check_time("at", row.at)
        _check_time("expires_at", row.expires_at)
        if not -MAX_INT <= row.amount <= MAX_INT:
            raise StoreError(f"expected an amount within +-(2^53-1), found one outside for counter `{row.counter}`")
        key, place = (row.counter, row.key), (row.at.nanos, row.grant_id)
        if key not in self.writes.spends:
            self.writes.spends[key] = {}
        self._put(self.writes.spends[key], place, row)
        places = self._spends_by_grant.get(row.grant_id, ())
        self._put(self._spends_by_grant, row.grant_id, (*places, (key, place)))
        self._touched.append(key)
        self._windows().spend(row)

    def settle(self, grant_id: str) -> None:
        self._check_open()
        if grant_id not in self.writes.settled:
            self._put(self.writes.settled, grant_id, self._now)
        for key, place in self._spends_by_grant.get(grant_id, ()):
            row = self.writes.spends[key].get(place)
            if row is not None and row.expires_at > self._now:
                self._put(self.writes.spends[key], place, msgspec.structs.replace(row, expires_at=FOREVER))
        self._touched += self._windows().settle(grant_id, self._now)

    def release(self, grant_id: str) -> None:
        self._check_open()
        self._put(self.writes.released, grant_id, None)
        for key, place in self._spends_by_grant.get(grant_id, ()):
            row = self.writes.spends[key].pop(place, None)
            if row is not None:
                self._undo.append((self.writes.spends[key], place, row))  # type: ignore[arg-type]  # as in _put
        self._touched += self._windows().release(grant_id)

    # Below: the pieces.

    def _spent(self, key: Key, since: Timestamp) -> list[SpendRow]:
        """The rows that count, of this group and committed, for a window that is built anew."""
        writes = self.writes
        written = writes.spends.get(key, {})
        rows = [row for row in written.values() if row.at >= since]
        # What was settled in this group may have expired, as committed, by now.
        horizon = min(writes.settled.values(), default=self._now)
        for row in self._committed.spent(*key, min(since, FOREVER), horizon):
            if row.grant_id in writes.released or (row.at.nanos, row.grant_id) in written:
                continue
            settled_at = writes.settled.get(row.grant_id)
            if settled_at is not None and row.expires_at > settled_at:
                rows.append(msgspec.structs.replace(row, expires_at=FOREVER))
            else:
                rows.append(row)
        return rows

    def _appended(self, sequence: int) -> Appended | None:
        records = self.writes.records
        if not records or not records[0].sequence <= sequence <= records[-1].sequence:
            return None
        return records[sequence - records[0].sequence]

    def _put(self, table: dict[K, V], key: K, value: V) -> None:
        self._check_open()
        self._undo.append((table, key, table.get(key, _NONE)))  # type: ignore[arg-type]  # one list for all tables
        table[key] = value

    def _windows(self) -> Counters:
        assert self._counters is not None
        return self._counters

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError("expected a transaction that may write, found one that is read-only or has ended")


def _check_time(name: str, time: Timestamp) -> None:
    if not EARLIEST <= time <= FOREVER:
        raise StoreError(f"expected `{name}` before the year 2262, found `{time}`")


def _key_number(sequence: int) -> int:
    return sequence if 0 <= sequence <= MAX_INT else -1
