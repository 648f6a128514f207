"""Keeps one key per person, apart from the ledger: destroying a key is what erases a person (S5.5).

`subject-keys.db` is a small SQLite file of its own, with its own short backups. It knows people only by a keyed digest
of their name, and each key by a random pseudonym. Keys are wrapped by the master key:

    wrapped = nonce (12) || AES-256-GCM(master key, key, associated data: log || 0x00 || key id)

A key is durable before the first record that needs it (synchronous=FULL, written first). secure_delete overwrites
what is deleted. Caches of unwrapped keys are bounded.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from demur.adapters.sealing import KEY_BYTES, NONCE_BYTES, PersonKey
from demur.errors import LedgerError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

N = TypeVar("N")

MAX_CACHED = 16_384

_CREATE = """
CREATE TABLE IF NOT EXISTS subject_keys (
    log TEXT NOT NULL, person BLOB NOT NULL, key_id TEXT NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (log, person), UNIQUE (log, key_id)
) WITHOUT ROWID
"""


class SubjectKeys:
    """The keys of one log in a file. Safe to use from any thread, and from several processes."""

    def __init__(self, path: Path, log: str, master: bytes, *, is_read_only: bool = False) -> None:
        """Raises `StoreError` where the file cannot be opened."""
        self._log = log
        self._master = AESGCM(master)
        self._is_read_only = is_read_only
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._by_person: dict[bytes, PersonKey] = {}
        self._by_id: dict[str, PersonKey] = {}
        try:
            self._connection = self._open(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the store of keys `{path}` cannot be opened: {error}") from error

    def of(self, person: bytes) -> PersonKey:
        """The key of the person with this digest, made durable first where there was none; raises `StoreError`."""
        found = self._by_person.get(person)
        return found if found is not None else self._fetch(person)

    def by_id(self, key_id: str) -> PersonKey:
        """The key with this pseudonym; raises `LedgerError` where there is none: it was destroyed, or never here."""
        found = self._by_id.get(key_id)
        if found is not None:
            return found
        with self._lock:
            rows = self._select("SELECT key_id, wrapped FROM subject_keys WHERE log = ? AND key_id = ?", key_id)
            if not rows:
                raise LedgerError(f"there is no key `{key_id[:80]}`: it was destroyed, or the store of keys is another")
            return self._keep(self._by_id, key_id, self._unwrap(*rows[0]))

    def is_used(self) -> bool:
        """Whether anybody has a key in this log; raises `StoreError`."""
        with self._lock:
            return bool(self._select("SELECT key_id, wrapped FROM subject_keys WHERE log = ? LIMIT 1"))

    def close(self) -> None:
        """Close the file; nothing in a fork, whose connection belongs to the parent."""
        if os.getpid() == self._pid:
            self._connection.close()

    def _open(self, path: Path) -> sqlite3.Connection:
        if self._is_read_only:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            return sqlite3.connect(uri, uri=True, timeout=2.0, check_same_thread=False, isolation_level=None)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=2.0, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_CREATE)
        return connection

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
        key_id, key, nonce = os.urandom(16).hex(), os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        wrapped = nonce + self._master.encrypt(nonce, key, self._bound(key_id))
        # OR IGNORE: another process may have been first; whoever reads next gets the one key that is stored.
        self._select("INSERT OR IGNORE INTO subject_keys VALUES (?, ?, ?, ?)", person, key_id, wrapped)

    def _select(self, query: str, *values: object) -> list[tuple[str, bytes]]:
        if os.getpid() != self._pid:
            raise StoreError(f"expected the process {self._pid} that opened the keys, found its fork {os.getpid()}")
        try:
            return self._connection.execute(query, (self._log, *values)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the store of keys failed: {error}") from error

    def _unwrap(self, key_id: str, wrapped: bytes) -> PersonKey:
        try:
            key = self._master.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], self._bound(key_id))
        except (InvalidTag, ValueError) as error:
            raise LedgerError(f"the key `{key_id[:80]}` was altered, or wrapped by another master key") from error
        return PersonKey(key_id, key)

    def _bound(self, key_id: str) -> bytes:
        return f"{self._log}\0{key_id}".encode()

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
            raise LedgerError(f"there is no key `{key_id[:80]}`: it was destroyed, or the store of keys is another")
        return found

    def close(self) -> None:
        """Nothing to release."""
