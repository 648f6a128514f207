"""A group of works: what they wrote so far, over what the store has committed.

- Writes stay in memory until the whole group is flushed, so a work that raises leaves nothing behind, and the works
  after it see exactly what the works before it wrote.
- Every write first notes what it replaces; discarding a work puts that back, newest first.
- Values are checked when they are put, so that nothing which a database cannot hold reaches the flush, where it
  would fail the works of others.

A `Group` is the `Transaction` of ports.py. It belongs to one thread and dies with its group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from demur.adapters import growth, review_lists
from demur.adapters.committed import ENDED, check_checkpoint
from demur.adapters.counters import NEVER, Counters, Key
from demur.adapters.growth import Growth
from demur.adapters.writes import Appended, Writes, blank
from demur.core import record
from demur.core.ledger import merkle, tile
from demur.core.record import Draft, Entry, Sealed, WriterStamp
from demur.core.terms import MAX_INT, Timestamp
from demur.errors import StoreError
from demur.ports import CheckpointRow, GrantRow, Head, RequestRow, ReviewRow, SpendRow, StoredRecord, Tree, Usage
from demur.rows import ENDED_STATES

if TYPE_CHECKING:
    from collections.abc import Collection

    from demur.adapters.committed import Committed
    from demur.core.ledger.tile import Frontier

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


class Group:
    """The transaction that every work of one group is given, one after the other."""

    __slots__ = (
        "_committed",
        "_counters",
        "_frontier",
        "_growth",
        "_head",
        "_head_before",
        "_is_open",
        "_log",
        "_meta_read",
        "_now",
        "_records_before",
        "_spends_by_grant",
        "_stamp_before",
        "_stored",
        "_touched",
        "_undo",
        "stamp",
        "writes",
    )

    def __init__(
        self,
        committed: Committed,
        *,
        log: str,
        head: Head | None = None,
        counters: Counters | None = None,
        frontier: Frontier | None = None,
        stamp: WriterStamp | None = None,
    ) -> None:
        """`counters` None makes it read-only; `head` and `frontier` (the edge of the tree at that head) are read
        when they are asked for where they are None. `stamp` is that of the next record.
        """
        self.writes = Writes()
        self._committed = committed
        self._counters = counters
        self._log = log
        self._head = head
        self._now = EARLIEST
        self._is_open = counters is not None
        self._meta_read: dict[str, bytes | None] = {}
        self._stored = review_lists.Stored(committed)
        self._spends_by_grant: dict[str, tuple[tuple[Key, tuple[int, str]], ...]] = {}
        self._undo: list[tuple[dict[object, object], object, object]] = []
        self._touched: list[Key] = []
        self._head_before = head
        self._records_before = 0
        self._frontier = frontier
        self._growth: Growth | None = None
        self.stamp = stamp
        self._stamp_before = stamp

    # What the writer does with it.

    def begin(self, now: Timestamp) -> None:
        """The next work starts, at this instant."""
        self._now = now
        self._head_before = self._head
        self._stamp_before = self.stamp
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
        if self._growth is not None and len(self.writes.records) > self._records_before:
            self._growth.reset()
        del self.writes.records[self._records_before :]
        self._head = self._head_before
        self.stamp = self._stamp_before
        for key in self._touched:
            self._windows().forget(key)
        self._touched.clear()

    def finish(self) -> Frontier:
        """Put the tiles that the records filled among the writes; returns the edge of the tree after the group."""
        frontier = self._grown()
        self.writes.tiles = self._grow().tiles()
        return frontier

    def close(self) -> None:
        """The group ended: whoever kept the transaction can write no more."""
        self._is_open = False
        self._meta_read.clear()
        self._committed = ENDED
        self._stored = review_lists.Stored(ENDED)

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
        stamp = self.stamp
        leaf = record.leaf(
            draft,
            log=self._log,
            sequence=head.size,
            previous_hash=head.record_hash,
            timestamp=self._now,
            writer=stamp,
        )
        record_hash = merkle.leaf_hash(leaf)
        self.writes.records.append(Appended(head.size, leaf, record_hash, draft.sealed))
        self._head = Head(head.size + 1, record_hash)
        if stamp is not None:
            self.stamp = WriterStamp(stamp.id, stamp.epoch, stamp.n + 1)
        return Entry(head.size, record_hash, self._now)

    def find_record(self, sequence: int) -> StoredRecord | None:
        appended = self._appended(sequence)
        return appended.stored() if appended else self._committed.find_record(_key_number(sequence))

    def find_sealed(self, sequence: int) -> Sealed | None:
        appended = self._appended(sequence)
        found = appended.sealed if appended else self._committed.find_sealed(_key_number(sequence))
        return blank(found) if found and sequence in self.writes.forgotten else found

    def forget_sealed(self, sequences: Collection[int]) -> None:
        self._check_open()
        self.writes.scrub = True
        for sequence in sequences:
            self._put(self.writes.forgotten, sequence, None)

    # Transaction: the tree.

    def tree(self) -> Tree:
        size = self.head.size
        if self._is_open:
            return Tree(size, self._grown().root())
        return Tree(size, tile.root(size, self._read_tile))

    def find_tile(self, level: int, number: int, width: int = tile.WIDTH) -> bytes | None:
        if not 0 < width <= tile.width(level, number, self.head.size):
            return None
        return self._read_tile(level, number, width)

    def find_checkpoint(self, size: int | None = None) -> CheckpointRow | None:
        written = self.writes.checkpoints
        found = self._committed.find_checkpoint(None if size is None else _key_number(size))
        if size is not None:
            return written.get(size, found)
        return max([*written.values(), *([found] if found else [])], key=lambda row: row.size, default=None)

    def list_checkpoints(self, first_size: int = 0, *, limit: int) -> tuple[CheckpointRow, ...]:
        wanted = max(0, min(limit, MAX_INT))
        stored = self._committed.list_checkpoints(min(max(first_size, 0), MAX_INT), wanted)
        rows = {row.size: row for row in stored}
        rows |= {size: row for size, row in self.writes.checkpoints.items() if size >= first_size}
        return tuple(rows[size] for size in sorted(rows))[:wanted]

    def put_checkpoint(self, row: CheckpointRow) -> None:
        self._check_open()
        check_checkpoint(row, self.find_checkpoint(row.size), self.head.size)
        self._put(self.writes.checkpoints, row.size, row)

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
        return review_lists.matching(self._committed, self.writes.reviews, match)

    def list_reviews(
        self, *, states: tuple[str, ...], limit: int, after: tuple[Timestamp, str] | None = None
    ) -> tuple[ReviewRow, ...]:
        at, review_id = after or (EARLIEST, "")
        bounded = max(EARLIEST, min(at, FOREVER)), review_id
        return review_lists.listed(self._stored, self.writes.reviews, states, limit, bounded)

    def ended_reviews(
        self, topic: bytes, *, limit: int, states: tuple[str, ...] = ENDED_STATES
    ) -> tuple[ReviewRow, ...]:
        return review_lists.ended(self._stored, self.writes.reviews, topic, limit, states)

    def count_reviews(self, states: tuple[str, ...]) -> int:
        return review_lists.count(self._stored, self.writes.reviews, states)

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

    def _grow(self) -> Growth:
        if self._growth is None:
            size = self.writes.records[0].sequence if self.writes.records else self.head.size
            self._growth = Growth(self._frontier or growth.load(self._committed, size))
        return self._growth

    def _grown(self) -> Frontier:
        return self._grow().grow([appended.record_hash for appended in self.writes.records])

    def _read_tile(self, level: int, number: int, width: int) -> bytes:
        found = None
        if self.writes.records:
            self._grown()
            found = self._grow().find_tile(level, number)
        if found is not None:
            return found[: width * tile.HASH_BYTES]
        return growth.read_stored(self._committed, level, number, width)

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
