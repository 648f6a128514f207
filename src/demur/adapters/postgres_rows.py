"""Rows to PostgreSQL and back: every statement of the hot path, on the driver directly.

- Every statement names the log (S5.6) and is prepared once for its connection.
- A group is written by one statement a table, all of them with the COMMIT in one round trip (a pipeline): the head
  row is locked meanwhile, and every round trip under it is one that all replicas wait for.
- A text that PostgreSQL cannot hold, with a zero or half a character pair in it, names nothing that is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from demur.adapters import postgres_reviews
from demur.adapters.group import EMPTY, FOREVER, OWN_NAMES, Group
from demur.adapters.postgres_arrays import Bytes, Numbers, Texts
from demur.core.record import Draft, Entry, Sealed
from demur.core.terms import Timestamp
from demur.errors import StoreError
from demur.ports import CheckpointRow, GrantRow, Head, RequestRow, ReviewRow, SpendRow, StoredRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import Connection, Cursor

    from demur.adapters.writes import Writes

PAGE = 1_000
"""Records fetched at a time."""
_SPENT = "FROM spends WHERE log = %s AND counter = %s AND key = %s AND at >= %s AND expires_at > %s"
_HEAD = "SELECT sequence, record_hash FROM records WHERE log = %s ORDER BY sequence DESC LIMIT 1"
_Row = tuple[Any, ...]
# The driver gives what the columns hold; the tables say of which type each is.


class _Commitments(msgspec.Struct):
    commit_root: str
    action_commitment: str


# Made once: threads that decode into a type for the first time at the same moment crash the library.
_commitments = msgspec.json.Decoder(_Commitments)


class Rows:
    """`group.Committed` over one connection and one log. What fails is remembered in `failure`."""

    def __init__(self, connection: Connection[_Row], log: str) -> None:
        self._cursor: Cursor[_Row] = connection.cursor(binary=True)
        self._log = log
        self.failure: StoreError | None = None

    def head(self) -> Head:
        row = self._one(_HEAD)
        return Head(row[0] + 1, row[1]) if row else EMPTY

    def find_tile(self, level: int, number: int) -> bytes | None:
        row = self._one("SELECT hashes FROM tiles WHERE log = %s AND level = %s AND number = %s", level, number)
        return row[0] if row else None

    def record_hashes(self, first: int, last: int) -> bytes:
        query = "SELECT record_hash FROM records WHERE log = %s AND sequence >= %s AND sequence < %s ORDER BY sequence"
        return b"".join(row[0] for row in self._all(query, first, last))

    def find_checkpoint(self, size: int | None) -> CheckpointRow | None:
        query = "SELECT size, root, note FROM checkpoints WHERE log = %s AND size = %s"
        newest = "SELECT size, root, note FROM checkpoints WHERE log = %s ORDER BY size DESC LIMIT 1"
        row = self._one(newest) if size is None else self._one(query, size)
        return CheckpointRow(*row) if row else None

    def list_checkpoints(self, first_size: int, limit: int) -> tuple[CheckpointRow, ...]:
        query = "SELECT size, root, note FROM checkpoints WHERE log = %s AND size >= %s ORDER BY size LIMIT %s"
        return tuple(CheckpointRow(*row) for row in self._all(query, first_size, limit))

    def find_request(self, key: bytes) -> RequestRow | None:
        row = self._one("SELECT key, digest, sequence FROM requests WHERE log = %s AND key = %s", key)
        return RequestRow(*row) if row else None

    def usage(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Usage:
        query = f"SELECT count(*), coalesce(sum(amount), 0)::text {_SPENT}"
        row = self._one(query, counter, key, since.nanos, now.nanos)
        return Usage(row[0], int(row[1])) if row else Usage(0, 0)

    def spent(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Iterable[SpendRow]:
        rows = self._all(f"SELECT at, amount, grant_id, expires_at {_SPENT}", counter, key, since.nanos, now.nanos)
        return [SpendRow(counter, key, Timestamp(row[0]), row[1], row[2], Timestamp(row[3])) for row in rows]

    def find_grant(self, grant_id: str) -> GrantRow | None:
        query = "SELECT id, token_hash, sequence, state, expires_at, body FROM grants WHERE log = %s AND id = %s"
        row = self._one(query, grant_id)
        return GrantRow(row[0], row[1], row[2], row[3], Timestamp(row[4]), row[5]) if row else None

    def find_review(self, review_id: str) -> ReviewRow | None:
        row = self._one(postgres_reviews.FIND, review_id)
        return postgres_reviews.read(row) if row else None

    def matching_reviews(self, match: bytes) -> tuple[ReviewRow, ...]:
        return tuple(map(postgres_reviews.read, self._all(postgres_reviews.MATCHING, match)))

    def list_reviews(self, states: tuple[str, ...], limit: int, after: tuple[Timestamp, str]) -> tuple[ReviewRow, ...]:
        rows = self._all(postgres_reviews.LISTED, _texts(states), after[0].nanos, after[1], limit, limit)
        return tuple(map(postgres_reviews.read, rows))

    def ended_reviews(self, topic: bytes, limit: int, states: tuple[str, ...]) -> tuple[ReviewRow, ...]:
        rows = self._all(postgres_reviews.ENDED, _texts(states), topic, limit, limit)
        return tuple(map(postgres_reviews.read, rows))

    def count_reviews(self, states: tuple[str, ...]) -> int:
        row = self._one(postgres_reviews.COUNT, _texts(states))
        return row[0] if row else 0

    def find_sealed(self, sequence: int) -> Sealed | None:
        query = (
            "SELECT key_id, wrapped_key, nonce, ciphertext, leaf "
            "FROM sealed JOIN records USING (log, sequence) WHERE log = %s AND sequence = %s"
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
        query = "SELECT sequence, leaf, record_hash FROM records WHERE log = %s AND sequence = %s"
        row = self._one(query, sequence)
        return StoredRecord(*row) if row else None

    def find_meta(self, name: str) -> bytes | None:
        row = self._one("SELECT value FROM meta WHERE log = %s AND name = %s", name)
        return row[0] if row else None

    def own_meta(self, prefix: str) -> list[tuple[str, bytes]]:
        """The store's own values whose names begin so."""
        assert prefix.startswith(OWN_NAMES)
        query = "SELECT name, value FROM meta WHERE log = %s AND starts_with(name, %s) ORDER BY name"
        return [(row[0], row[1]) for row in self._all(query, prefix)]

    def find_blob(self, digest: str) -> bytes | None:
        row = self._one("SELECT data FROM blobs WHERE log = %s AND digest = %s", digest)
        return row[0] if row else None

    def records(self, first: int, last: int) -> Iterator[StoredRecord]:
        """The records from `first` up to, not including, `last`, in order; raises `StoreError`."""
        query = (
            "SELECT sequence, leaf, record_hash FROM records "
            "WHERE log = %s AND sequence >= %s AND sequence < %s ORDER BY sequence LIMIT %s"
        )
        page = self._all(query, first, last, PAGE)
        while page:
            for row in page:
                yield StoredRecord(*row)
            page = self._all(query, page[-1][0] + 1, last, PAGE) if len(page) == PAGE else []

    def _one(self, query: str, *values: object) -> _Row | None:
        rows = self._all(query, *values)
        return rows[0] if rows else None

    def _all(self, query: str, *values: object) -> list[_Row]:
        if not all(is_text(value) for value in values):
            return []
        try:
            return self._cursor.execute(query, (self._log, *values), prepare=True).fetchall()
        except psycopg.Error as error:
            self.failure = StoreError(f"the store cannot be read: {told(error)}")
            raise self.failure from error


class PostgresGroup(Group):
    """A group whose texts PostgreSQL can hold: another one fails the work that wrote it, not the works of others."""

    __slots__ = ()

    def append(self, draft: Draft) -> Entry:
        if draft.sealed is not None:
            _check_texts(draft.sealed.key_id)
        return super().append(draft)

    def put_grant(self, row: GrantRow) -> None:
        _check_texts(row.id, row.state)
        super().put_grant(row)

    def put_review(self, row: ReviewRow) -> None:
        _check_texts(row.id, row.state)
        super().put_review(row)

    def spend(self, row: SpendRow) -> None:
        _check_texts(row.counter, row.grant_id)
        super().spend(row)

    def settle(self, grant_id: str) -> None:
        _check_texts(grant_id)
        super().settle(grant_id)

    def release(self, grant_id: str) -> None:
        _check_texts(grant_id)
        super().release(grant_id)

    def put_meta(self, name: str, value: bytes) -> None:
        _check_texts(name)
        super().put_meta(name, value)

    def put_blob(self, digest: str, data: bytes) -> None:
        _check_texts(digest)
        super().put_blob(digest, data)


def write(cursor: Cursor[_Row], log: str, writes: Writes) -> None:
    """Put into the open transaction what a group wrote; raises `psycopg.Error`, in a pipeline only at its end."""
    _write_ledger(cursor, log, writes)
    if writes.forgotten:
        blank = "UPDATE sealed SET wrapped_key = '', nonce = '', ciphertext = '' WHERE log = %s AND sequence = ANY(%s)"
        _run(cursor, blank, log, Numbers(writes.forgotten))
    _write_tree(cursor, log, writes)
    _write_counters(cursor, log, writes)
    if writes.requests:
        requests = writes.requests.values()
        _run(
            cursor,
            "INSERT INTO requests SELECT %s::text, * FROM unnest(%s, %s, %s) "
            "ON CONFLICT (log, key) DO UPDATE SET digest = EXCLUDED.digest, sequence = EXCLUDED.sequence",
            log,
            Bytes([row.key for row in requests]),
            Bytes([row.digest for row in requests]),
            Numbers([row.sequence for row in requests]),
        )
    if writes.grants:
        _write_grants(cursor, log, list(writes.grants.values()))
    if writes.reviews:
        postgres_reviews.write(cursor, log, list(writes.reviews.values()))
    if writes.blobs:
        _run(
            cursor,
            "INSERT INTO blobs SELECT %s::text, * FROM unnest(%s, %s) ON CONFLICT DO NOTHING",
            log,
            Texts(writes.blobs.keys()),
            Bytes(writes.blobs.values()),
        )


def put_meta(cursor: Cursor[_Row], log: str, values: dict[str, bytes]) -> None:
    """Insert or replace named values; raises as `write`."""
    _run(
        cursor,
        "INSERT INTO meta SELECT %s::text, * FROM unnest(%s, %s) "
        "ON CONFLICT (log, name) DO UPDATE SET value = EXCLUDED.value",
        log,
        Texts(values.keys()),
        Bytes(values.values()),
    )


def is_text(value: object) -> bool:
    """Whether PostgreSQL can hold this value, as far as texts go."""
    return not isinstance(value, str) or (value.isascii() and "\0" not in value) or _is_unicode(value)


def told(error: Exception) -> str:
    """What the server or the driver said, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _write_ledger(cursor: Cursor[_Row], log: str, writes: Writes) -> None:
    if not writes.records:
        return
    # Never ON CONFLICT: a record that stands already must fail the group, not vanish.
    _run(
        cursor,
        "INSERT INTO records SELECT %s::text, * FROM unnest(%s, %s, %s)",
        log,
        Numbers([row.sequence for row in writes.records]),
        Bytes([row.leaf for row in writes.records]),
        Bytes([row.record_hash for row in writes.records]),
    )
    sealed = [(row.sequence, row.sealed) for row in writes.records if row.sealed is not None]
    if sealed:
        _run(
            cursor,
            "INSERT INTO sealed SELECT %s::text, * FROM unnest(%s, %s, %s, %s, %s)",
            log,
            Numbers([sequence for sequence, _ in sealed]),
            Texts([item.key_id for _, item in sealed]),
            Bytes([item.wrapped_key for _, item in sealed]),
            Bytes([item.nonce for _, item in sealed]),
            Bytes([item.ciphertext for _, item in sealed]),
        )


def _write_tree(cursor: Cursor[_Row], log: str, writes: Writes) -> None:
    tiles = writes.tiles
    if tiles:
        # Of level 0 only full tiles are stored, and none of them a second time: one that is there fails the group.
        _run(
            cursor,
            "INSERT INTO tiles SELECT %s::text, * FROM unnest(%s, %s, %s) ON CONFLICT (log, level, number) "
            "DO UPDATE SET hashes = CASE WHEN tiles.level > 0 THEN EXCLUDED.hashes END",
            log,
            Numbers([level for level, _ in tiles]),
            Numbers([number for _, number in tiles]),
            Bytes(tiles.values()),
        )
    checkpoints = list(writes.checkpoints.values())
    if checkpoints:
        _run(
            cursor,
            "INSERT INTO checkpoints SELECT %s::text, * FROM unnest(%s, %s, %s) "
            "ON CONFLICT (log, size) DO UPDATE SET note = EXCLUDED.note WHERE checkpoints.root = EXCLUDED.root",
            log,
            Numbers([row.size for row in checkpoints]),
            Bytes([row.root for row in checkpoints]),
            Bytes([row.note for row in checkpoints]),
        )


def _write_counters(cursor: Cursor[_Row], log: str, writes: Writes) -> None:
    if writes.released:
        _run(cursor, "DELETE FROM spends WHERE log = %s AND grant_id = ANY(%s)", log, Texts(writes.released))
    if writes.settled:
        _run(
            cursor,
            f"UPDATE spends SET expires_at = {FOREVER.nanos} FROM unnest(%s, %s) AS settled (id, at) "  # noqa: S608
            "WHERE log = %s AND grant_id = settled.id AND expires_at > settled.at",
            Texts(writes.settled.keys()),
            Numbers([at.nanos for at in writes.settled.values()]),
            log,
        )
    spends = [row for rows in writes.spends.values() for row in rows.values()]
    if spends:
        _run(
            cursor,
            "INSERT INTO spends (log, counter, key, at, grant_id, amount, expires_at) "
            "SELECT %s::text, * FROM unnest(%s, %s, %s, %s, %s, %s) ON CONFLICT (log, counter, key, at, grant_id) "
            "DO UPDATE SET amount = EXCLUDED.amount, expires_at = EXCLUDED.expires_at",
            log,
            Texts([row.counter for row in spends]),
            Bytes([row.key for row in spends]),
            Numbers([row.at.nanos for row in spends]),
            Texts([row.grant_id for row in spends]),
            Numbers([row.amount for row in spends]),
            Numbers([row.expires_at.nanos for row in spends]),
        )


def _write_grants(cursor: Cursor[_Row], log: str, rows: list[GrantRow]) -> None:
    _run(
        cursor,
        "INSERT INTO grants SELECT %s::text, * FROM unnest(%s, %s, %s, %s, %s, %s) ON CONFLICT (log, id) DO UPDATE "
        "SET token_hash = EXCLUDED.token_hash, sequence = EXCLUDED.sequence, state = EXCLUDED.state, "
        "expires_at = EXCLUDED.expires_at, body = EXCLUDED.body",
        log,
        Texts([row.id for row in rows]),
        Bytes([row.token_hash for row in rows]),
        Numbers([row.sequence for row in rows]),
        Texts([row.state for row in rows]),
        Numbers([row.expires_at.nanos for row in rows]),
        Bytes([row.body for row in rows]),
    )


def _run(cursor: Cursor[_Row], query: str, *values: object) -> None:
    cursor.execute(query, values, prepare=True)


def _check_texts(*texts: str) -> None:
    for text in texts:
        if not is_text(text):
            raise StoreError(f"expected text without zeros and half pairs, found `{ascii(text)[1:80]}`")


def _is_unicode(text: str) -> bool:
    try:
        return "\0" not in text and bool(text.encode())
    except UnicodeEncodeError:
        return False


def _texts(texts: tuple[str, ...]) -> Texts:
    return Texts([text for text in texts if is_text(text)])
