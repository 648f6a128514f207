"""Keeps one key per person, apart from the ledger: destroying a key is what erases a person (S5.5).

`subject-keys.db` is a small SQLite file of its own, with its own short backups. It knows people only by a keyed digest
of their name, and each key by a random pseudonym. Keys are wrapped by the master key (wrapping.py), bound to
`log || 0x00 || key id`. The key of the digests is in it too, wrapped, so that it outlives a change of the master key.

- A key is durable before the first record that needs it (synchronous=FULL, written first).
- Destroying overwrites: secure_delete in the file, and the write-ahead log is cut to nothing. Somebody who is reading
  keeps the log from being cut; `destroy` then says that a copy is left, and the next call cuts it.
- A connection that failed is given up, and opened again for the next call.
- Caches of unwrapped keys are bounded. Those of a reader are dropped as soon as anybody changed the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from demur.adapters import sqlite_file
from demur.adapters.sealing import KEY_BYTES, PersonKey
from demur.errors import ForgottenError, LedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from demur.adapters.wrapping import KeyWrapper

N = TypeVar("N")
Row = tuple[str, bytes]

MAX_CACHED = 16_384
BUSY_MS = 2_000
"""How long to wait for another process that writes."""

_CREATE = (
    """
CREATE TABLE IF NOT EXISTS subject_keys (
    log TEXT NOT NULL, person BLOB NOT NULL, key_id TEXT NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (log, person), UNIQUE (log, key_id)
) WITHOUT ROWID
""",
    "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
)
_PERSON_KEY = "person_key"
_PERSON_BOUND = b"demur person key"


class SubjectKeys:
    """The keys of one log in a file. Safe to use from any thread, and from several processes."""

    def __init__(self, path: Path, log: str, master: KeyWrapper, *, is_read_only: bool = False) -> None:
        """Raises `StoreError` where the file cannot be opened."""
        self._log = log
        self._master = master
        self._is_read_only = is_read_only
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._by_person: dict[bytes, PersonKey] = {}
        self._by_id: dict[str, PersonKey] = {}
        self._version = 0
        self._path = path
        self._connection: sqlite3.Connection | None = self._reopen(may_create=not is_read_only)

    def of(self, person: bytes) -> PersonKey:
        """The key of the person with this digest, made durable first where there was none; raises `StoreError`."""
        self._refresh()
        found = self._by_person.get(person)
        return found if found is not None else self._fetch(person)

    def by_id(self, key_id: str) -> PersonKey:
        """The key with this pseudonym; raises `ForgottenError` where there is none: destroyed, or never here."""
        self._refresh()
        found = self._by_id.get(key_id)
        if found is not None:
            return found
        with self._lock:
            rows = self._select("SELECT key_id, wrapped FROM subject_keys WHERE log = ? AND key_id = ?", key_id)
            if not rows:
                raise gone(key_id)
            return self._keep(self._by_id, key_id, self._unwrap(*rows[0]))

    def ids_of(self, person: bytes) -> tuple[str, ...]:
        """The pseudonyms of this person's keys, none where nothing was ever sealed or all was destroyed."""
        with self._lock:
            rows = self._select("SELECT key_id, wrapped FROM subject_keys WHERE log = ? AND person = ?", person)
        return tuple(key_id for key_id, _ in rows)

    def destroy(self, key_ids: Collection[str]) -> bool:
        """Destroy these keys, durably; those that are gone already are no error. Raises `StoreError`.

        Whether no copy of them is left in any file of this store. `False` says that the keys are gone for everybody
        who asks, but that a reader keeps a copy in the write-ahead log; call again to finish.
        """
        with self._lock:
            for key_id in key_ids:
                self._select("DELETE FROM subject_keys WHERE log = ? AND key_id = ?", key_id)
            self._by_person.clear()
            self._by_id.clear()
            return self._truncate()

    def is_used(self) -> bool:
        """Whether anybody has a key in this log; raises `StoreError`."""
        with self._lock:
            return bool(self._select("SELECT key_id, wrapped FROM subject_keys WHERE log = ? LIMIT 1"))

    def person_key(self, first: bytes) -> bytes:
        """The key of the digests of names, which is `first` the first time; raises `StoreError` and `LedgerError`."""
        with self._lock:
            found = self._setting(_PERSON_KEY)
            if found is None and self._is_read_only:
                return first
            if found is None:
                wrapped = self._master.wrap(first, _PERSON_BOUND)
                self._execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", _PERSON_KEY, wrapped)
                found = self._setting(_PERSON_KEY)
            assert found is not None
            return self._master.unwrap(found, _PERSON_BOUND)

    def rewrap(self, master: KeyWrapper) -> int:
        """Wrap every key of every log by another master key, in one transaction; how many there were.

        What the old master key had wrapped is overwritten and cut off. Raises `StoreError`, `LedgerError` for a key
        that cannot be unwrapped, and then nothing has changed.
        """
        with self._lock:
            self._execute("BEGIN IMMEDIATE")
            try:
                count = self._rewrap(master)
                self._execute("COMMIT")
            except BaseException:
                self._abandon()  # which undoes what was not committed
                raise
            self._master = master
            self._truncate()
            return count

    def close(self) -> None:
        """Close the file; nothing in a fork, whose connection belongs to the parent."""
        if os.getpid() == self._pid:
            self._abandon()

    def _reopen(self, *, may_create: bool = False) -> sqlite3.Connection:
        try:
            if may_create:
                sqlite_file.create(self._path)
            return self._open(self._path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the store of keys `{self._path}` cannot be opened: {error}") from error

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _open(self, path: Path) -> sqlite3.Connection:
        mode = "ro" if self._is_read_only else "rw"
        if not self._is_read_only:
            sqlite_file.rewrite_log(path)
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_MS / 1000, check_same_thread=False, isolation_level=None
        )
        if self._is_read_only:
            return connection
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        for statement in _CREATE:
            connection.execute(statement)
        return connection

    def _refresh(self) -> None:
        """A reader forgets what it has in memory where the owner changed the file: a key may have been destroyed."""
        if not self._is_read_only:
            return
        with self._lock:
            version = int(self._execute("PRAGMA data_version")[0][0])
            if version != self._version:
                self._version = version
                self._by_person.clear()
                self._by_id.clear()

    def _fetch(self, person: bytes) -> PersonKey:
        query = "SELECT key_id, wrapped FROM subject_keys WHERE log = ? AND person = ?"
        with self._lock:
            rows = self._select(query, person)
            if not rows:
                self._create(person)
                rows = self._select(query, person)
            return self._keep(self._by_person, person, self._unwrap(*rows[0]))

    def _create(self, person: bytes) -> None:
        if self._is_read_only:
            raise StoreError("expected a person with a key, found one without, in a store of keys opened for reading")
        key_id = os.urandom(16).hex()
        wrapped = self._master.wrap(os.urandom(KEY_BYTES), _bound(self._log, key_id))
        # OR IGNORE: another process may have been first; whoever reads next gets the one key that is stored.
        self._select("INSERT OR IGNORE INTO subject_keys VALUES (?, ?, ?, ?)", person, key_id, wrapped)

    def _rewrap(self, master: KeyWrapper) -> int:
        rows = self._execute("SELECT log, key_id, wrapped FROM subject_keys")
        for log, key_id, wrapped in rows:
            key = self._master.unwrap(wrapped, _bound(log, key_id))
            again = master.wrap(key, _bound(log, key_id))
            self._execute("UPDATE subject_keys SET wrapped = ? WHERE log = ? AND key_id = ?", again, log, key_id)
        found = self._setting(_PERSON_KEY)
        if found is not None:
            again = master.wrap(self._master.unwrap(found, _PERSON_BOUND), _PERSON_BOUND)
            self._execute("UPDATE settings SET value = ? WHERE name = ?", again, _PERSON_KEY)
        return len(rows)

    def _truncate(self) -> bool:
        """Move the write-ahead log into the file and cut it to nothing; whether nobody stood in the way."""
        # Whoever reads may take as long as they like; nobody waits for that here.
        self._execute("PRAGMA busy_timeout=0")
        try:
            busy, _, _ = self._execute("PRAGMA wal_checkpoint(TRUNCATE)")[0]
        finally:
            self._execute(f"PRAGMA busy_timeout={BUSY_MS}")
        return not busy

    def _setting(self, name: str) -> bytes | None:
        try:
            rows = self._execute("SELECT value FROM settings WHERE name = ?", name)
        except StoreError:
            if self._is_read_only:
                return None  # Made by a version without settings; only the owner adds the table.
            raise
        return bytes(rows[0][0]) if rows else None

    def _select(self, query: str, *values: object) -> list[Row]:
        # The driver gives what the columns hold.
        return self._execute(query, self._log, *values)

    def _execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if os.getpid() != self._pid:
            raise StoreError(f"expected the process {self._pid} that opened the keys, found its fork {os.getpid()}")
        self._connection = connection = self._connection or self._reopen()
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            # Nothing is tried again on a connection that failed once: it may even have been opened for reading only.
            self._abandon()
            raise StoreError(f"the store of keys failed: {error}") from error

    def _unwrap(self, key_id: str, wrapped: bytes) -> PersonKey:
        try:
            return PersonKey(key_id, self._master.unwrap(wrapped, _bound(self._log, key_id)))
        except LedgerError as error:
            raise LedgerError(f"the key `{key_id[:80]}` was altered, or wrapped by another master key") from error

    def _keep(self, cache: dict[N, PersonKey], name: N, key: PersonKey) -> PersonKey:
        if len(cache) >= MAX_CACHED:
            del cache[next(iter(cache))]
        cache[name] = key
        return key


class MemoryKeys:
    """The same in memory, forgotten with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_person: dict[bytes, PersonKey] = {}
        self._by_id: dict[str, PersonKey] = {}

    def of(self, person: bytes) -> PersonKey:
        """As `SubjectKeys.of`."""
        with self._lock:
            found = self._by_person.get(person)
            if found is None:
                found = PersonKey(os.urandom(16).hex(), os.urandom(KEY_BYTES))
                self._by_person[person] = self._by_id[found.id] = found
            return found

    def by_id(self, key_id: str) -> PersonKey:
        """As `SubjectKeys.by_id`."""
        found = self._by_id.get(key_id)
        if found is None:
            raise gone(key_id)
        return found

    def ids_of(self, person: bytes) -> tuple[str, ...]:
        """As `SubjectKeys.ids_of`."""
        found = self._by_person.get(person)
        return (found.id,) if found else ()

    def destroy(self, key_ids: Collection[str]) -> bool:
        """As `SubjectKeys.destroy`."""
        with self._lock:
            wanted = set(key_ids)
            self._by_person = {person: key for person, key in self._by_person.items() if key.id not in wanted}
            self._by_id = {key_id: key for key_id, key in self._by_id.items() if key_id not in wanted}
        return True

    def close(self) -> None:
        """Nothing to release."""


def gone(key_id: str) -> ForgottenError:
    """The error that a key is not here."""
    return ForgottenError(f"there is no key `{key_id[:80]}`: it was destroyed, or the store of keys is another")


def _bound(log: str, key_id: str) -> bytes:
    return f"{log}\0{key_id}".encode()
