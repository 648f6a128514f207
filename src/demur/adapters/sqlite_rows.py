"""Rows to SQLite and back: every statement of the hot path, on the driver directly.

Reading one row through SQLAlchemy costs about as much as the rest of a work together, so statements are written out
here; the tables themselves are made by the migrations. Every statement names the log (S5.6).
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from demur.adapters.group import EMPTY
from demur.adapters.writes import by_age, by_urgency
from demur.core.record import Sealed
from demur.core.terms import Timestamp
from demur.errors import StoreError
from demur.ports import CheckpointRow, GrantRow, Head, RequestRow, ReviewRow, SpendRow, StoredRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from demur.adapters.writes import Writes

# The cast matters: a value that was altered by hand may have become text, and must be seen as the bytes it is.
_RECORD = "sequence, CAST(leaf AS BLOB), CAST(record_hash AS BLOB)"
_CHECKPOINT = "size, CAST(root AS BLOB), CAST(note AS BLOB)"
_REVIEW = "id, sequence, match, state, deadline, body, topic"
_SPENT = "FROM spends WHERE log = ? AND counter = ? AND key = ? AND at >= ? AND expires_at > ?"
# An integer sum overflows above 2^63 and then fails the query; the halves cannot before 2^31 rows.
_USAGE = f"SELECT count(*), coalesce(sum(amount >> 32), 0), coalesce(sum(amount & 4294967295), 0) {_SPENT}"

MOST_AT_ONCE = 64
"""Rows of one statement. Their numbers are powers of two, so that few statements are ever prepared."""

_Row = tuple[Any, ...]
# The driver gives what the columns hold; the tables say of which type each is.


class _Commitments(msgspec.Struct):
    commit_root: str
    action_commitment: str


# Made once: threads that decode into a type for the first time at the same moment crash the library.
_commitments = msgspec.json.Decoder(_Commitments)


class Rows:
    """`committed.Committed` over one connection and one log. What fails is remembered in `failure`."""

    def __init__(self, connection: sqlite3.Connection, log: str) -> None:
        self._connection = connection
        self._log = log
        self.failure: StoreError | None = None

    def head(self) -> Head:
        query = "SELECT sequence, CAST(record_hash AS BLOB) FROM records WHERE log = ? ORDER BY sequence DESC LIMIT 1"
        row = self._one(query)
        return Head(row[0] + 1, row[1]) if row else EMPTY

    def find_tile(self, level: int, number: int) -> bytes | None:
        query = "SELECT CAST(hashes AS BLOB) FROM tiles WHERE log = ? AND level = ? AND number = ?"
        row = self._one(query, level, number)
        return row[0] if row else None

    def record_hashes(self, first: int, last: int) -> bytes:
        query = (
            "SELECT CAST(record_hash AS BLOB) FROM records WHERE log = ? AND sequence >= ? AND sequence < ? "
            "ORDER BY sequence"
        )
        return b"".join(row[0] for row in self._all(query, first, last))

    def find_checkpoint(self, size: int | None) -> CheckpointRow | None:
        query = f"SELECT {_CHECKPOINT} FROM checkpoints WHERE log = ? "  # noqa: S608
        row = (
            self._one(f"{query} ORDER BY size DESC LIMIT 1")
            if size is None
            else self._one(f"{query} AND size = ?", size)
        )
        return CheckpointRow(*row) if row else None

    def list_checkpoints(self, first_size: int, limit: int) -> tuple[CheckpointRow, ...]:
        query = f"SELECT {_CHECKPOINT} FROM checkpoints WHERE log = ? AND size >= ? ORDER BY size LIMIT ?"  # noqa: S608
        return tuple(CheckpointRow(*row) for row in self._all(query, first_size, limit))

    def find_request(self, key: bytes) -> RequestRow | None:
        row = self._one("SELECT key, digest, sequence FROM requests WHERE log = ? AND key = ?", key)
        return RequestRow(*row) if row else None

    def usage(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Usage:
        row = self._one(_USAGE, counter, key, since.nanos, now.nanos)
        return Usage(row[0], (row[1] << 32) + row[2]) if row else Usage(0, 0)

    def spent(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Iterable[SpendRow]:
        query = f"SELECT at, amount, grant_id, expires_at {_SPENT}"
        rows = self._all(query, counter, key, since.nanos, now.nanos)
        return [SpendRow(counter, key, Timestamp(row[0]), row[1], row[2], Timestamp(row[3])) for row in rows]

    def find_grant(self, grant_id: str) -> GrantRow | None:
        query = "SELECT id, token_hash, sequence, state, expires_at, body FROM grants WHERE log = ? AND id = ?"
        row = self._one(query, grant_id)
        return GrantRow(row[0], row[1], row[2], row[3], Timestamp(row[4]), row[5]) if row else None

    def find_review(self, review_id: str) -> ReviewRow | None:
        row = self._one(f"SELECT {_REVIEW} FROM reviews WHERE log = ? AND id = ?", review_id)  # noqa: S608
        return _review(row) if row else None

    def matching_reviews(self, match: bytes) -> tuple[ReviewRow, ...]:
        query = f"SELECT {_REVIEW} FROM reviews WHERE log = ? AND match = ? ORDER BY sequence, id"  # noqa: S608
        return tuple(map(_review, self._all(query, match)))

    def list_reviews(self, states: tuple[str, ...], limit: int, after: tuple[Timestamp, str]) -> tuple[ReviewRow, ...]:
        # A state at a time: over several, SQLite would sort all that is in them to find the first few.
        query = (
            f"SELECT {_REVIEW} FROM reviews WHERE log = ? AND state = ? AND (deadline, id) > (?, ?) "  # noqa: S608
            "ORDER BY deadline, id LIMIT ?"
        )
        found = [row for state in states for row in self._all(query, state, after[0].nanos, after[1], limit)]
        return tuple(sorted(map(_review, found), key=by_urgency)[:limit])

    def ended_reviews(self, topic: bytes, limit: int, states: tuple[str, ...]) -> tuple[ReviewRow, ...]:
        query = (
            f"SELECT {_REVIEW} FROM reviews WHERE log = ? AND topic = ? AND state = ? "  # noqa: S608
            "ORDER BY sequence DESC, id DESC LIMIT ?"
        )
        found = [row for state in states for row in self._all(query, topic, state, limit)]
        return tuple(sorted(map(_review, found), key=by_age, reverse=True)[:limit])

    def count_reviews(self, states: tuple[str, ...]) -> int:
        marks = ", ".join("?" * len(states))
        row = self._one(f"SELECT count(*) FROM reviews WHERE log = ? AND state IN ({marks})", *states)  # noqa: S608
        return row[0] if row else 0

    def find_sealed(self, sequence: int) -> Sealed | None:
        query = (
            "SELECT key_id, wrapped_key, nonce, ciphertext, CAST(leaf AS BLOB) "
            "FROM sealed JOIN records USING (log, sequence) WHERE log = ? AND sequence = ?"
        )
        row = self._one(query, sequence)
        if row is None:
            return None
        # The commitments stand in the leaf alone, so what is unsealed is checked against the ledger itself.
        try:
            leaf = _commitments.decode(row[4])
        except msgspec.DecodeError as error:
            raise StoreError(f"record {sequence} does not commit to the sealed values beside it: {error}") from error
        return Sealed(row[0], row[1], row[2], row[3], leaf.commit_root, leaf.action_commitment)

    def find_record(self, sequence: int) -> StoredRecord | None:
        row = self._one(f"SELECT {_RECORD} FROM records WHERE log = ? AND sequence = ?", sequence)  # noqa: S608
        return StoredRecord(*row) if row else None

    def find_meta(self, name: str) -> bytes | None:
        row = self._one("SELECT value FROM meta WHERE log = ? AND name = ?", name)
        return bytes(row[0]) if row else None

    def find_blob(self, digest: str) -> bytes | None:
        row = self._one("SELECT data FROM blobs WHERE log = ? AND digest = ?", digest)
        return bytes(row[0]) if row else None

    def records(self, first: int, last: int) -> Iterator[StoredRecord]:
        """The records from `first` up to, not including, `last`, in order; raises `StoreError`."""
        query = (
            f"SELECT {_RECORD} FROM records "  # noqa: S608
            "WHERE log = ? AND sequence >= ? AND sequence < ? ORDER BY sequence"
        )
        try:
            for row in self._connection.execute(query, (self._log, first, last)):
                yield StoredRecord(*row)
        except sqlite3.Error as error:
            raise StoreError(f"the ledger cannot be read: {error}") from error

    def _one(self, query: str, *values: object) -> _Row | None:
        try:
            row: _Row | None = self._connection.execute(query, (self._log, *values)).fetchone()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise self._failed(error) from error
        return row

    def _all(self, query: str, *values: object) -> list[_Row]:
        try:
            return self._connection.execute(query, (self._log, *values)).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        self.failure = StoreError(f"the store cannot be read: {error}")
        return self.failure


def only_log(connection: sqlite3.Connection) -> str:
    """The log in this file; raises `StoreError` where there is none or more than one, and `sqlite3.Error`."""
    logs = [str(row[0]) for row in connection.execute("SELECT DISTINCT log FROM meta ORDER BY log")]
    if len(logs) != 1:
        found = "`, `".join(logs)
        raise StoreError(f"expected one log, found `{found}`" if logs else "expected a log, found none")
    return logs[0]


def write(connection: sqlite3.Connection, log: str, writes: Writes) -> None:
    """Put into the open transaction what a group wrote; raises `sqlite3.Error`."""
    _write_ledger(connection, log, writes)
    forgotten = [(log, sequence) for sequence in writes.forgotten]
    blank = "UPDATE sealed SET wrapped_key = x'', nonce = x'', ciphertext = x'' WHERE log = ? AND sequence = ?"
    connection.executemany(blank, forgotten)
    _write_tree(connection, log, writes)
    _write_counters(connection, log, writes)
    if writes.requests:
        rows = [(log, row.key, row.digest, row.sequence) for row in writes.requests.values()]
        _insert(connection, "INSERT OR REPLACE INTO requests", rows)
    if writes.grants:
        grants = [
            (log, row.id, row.token_hash, row.sequence, row.state, row.expires_at.nanos, row.body)
            for row in writes.grants.values()
        ]
        _insert(connection, "INSERT OR REPLACE INTO grants", grants)
    if writes.reviews:
        reviews = [
            (log, row.id, row.sequence, row.match, row.state, row.deadline.nanos, row.body, row.topic)
            for row in writes.reviews.values()
        ]
        connection.executemany("INSERT OR REPLACE INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?, ?)", reviews)
    for digest, data in writes.blobs.items():
        connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)", (log, digest, data))
    for name, value in writes.meta.items():
        put_meta(connection, log, name, value)


def put_meta(connection: sqlite3.Connection, log: str, name: str, value: bytes) -> None:
    """Insert or replace one named value; raises `sqlite3.Error`."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (log, name, value))


def _insert(connection: sqlite3.Connection, verb: str, rows: Sequence[_Row]) -> None:
    """Many rows in few statements: the driver lets go of the interpreter twice in each, and waits to get it back."""
    at = 0
    while at < len(rows):
        count = 1 << min(MOST_AT_ONCE, len(rows) - at).bit_length() - 1
        piece = rows[at : at + count]
        connection.execute(_inserting(verb, count, len(piece[0])), tuple(chain.from_iterable(piece)))
        at += count


@lru_cache(maxsize=64)
def _inserting(verb: str, count: int, width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{verb} VALUES {', '.join([row] * count)}"


def _write_ledger(connection: sqlite3.Connection, log: str, writes: Writes) -> None:
    if not writes.records:
        return
    # Never OR REPLACE: a record that stands already must fail the group, not vanish.
    rows = [(log, row.sequence, row.leaf, row.record_hash) for row in writes.records]
    _insert(connection, "INSERT INTO records", rows)
    sealed = [
        (log, row.sequence, row.sealed.key_id, row.sealed.wrapped_key, row.sealed.nonce, row.sealed.ciphertext)
        for row in writes.records
        if row.sealed is not None
    ]
    _insert(connection, "INSERT INTO sealed", sealed)


def _write_tree(connection: sqlite3.Connection, log: str, writes: Writes) -> None:
    for (level, number), hashes in writes.tiles.items():
        # Of level 0 only full tiles are stored, and none of them a second time.
        verb = "INSERT OR REPLACE" if level else "INSERT"
        connection.execute(f"{verb} INTO tiles VALUES (?, ?, ?, ?)", (log, level, number, hashes))
    if writes.checkpoints:
        rows = [(log, row.size, row.root, row.note) for row in writes.checkpoints.values()]
        connection.executemany("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", rows)


def _write_counters(connection: sqlite3.Connection, log: str, writes: Writes) -> None:
    released = [(log, grant_id) for grant_id in writes.released]
    if released:
        connection.executemany("DELETE FROM spends WHERE log = ? AND grant_id = ?", released)
    settled = [(log, grant_id, at.nanos) for grant_id, at in writes.settled.items()]
    if settled:
        connection.executemany(
            "UPDATE spends SET expires_at = 9223372036854775807 WHERE log = ? AND grant_id = ? AND expires_at > ?",
            settled,
        )
    spends = [
        (log, row.counter, row.key, row.at.nanos, row.grant_id, row.amount, row.expires_at.nanos)
        for rows in writes.spends.values()
        for row in rows.values()
    ]
    if spends:
        _insert(connection, "INSERT OR REPLACE INTO spends", spends)


def _review(row: _Row) -> ReviewRow:
    return ReviewRow(row[0], row[1], row[2], row[3], Timestamp(row[4]), row[5], row[6])
