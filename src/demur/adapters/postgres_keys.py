"""Keeps one key per person for many replicas: a PostgreSQL database of their own, apart from the ledger's (S5.5).

The same keys as in subject_keys.py, wrapped and bound the same way, by the same master key. Leave this database out of
the backups of the ledger and give it short ones of its own. Key files come from a folder that every replica mounts.

- A key is durable before the first record that needs it; of two replicas that make one, both get the one stored.
- Every replica looks each `FRESH_SECONDS` whether a key was destroyed, and forgets what it has in memory if so. Whoever
  destroys waits as long, so that afterwards no replica has it.
- Destroying rewrites the table. The database's own log still holds the row then, until the server removes that part:
  until then `destroy` says that a copy is left. It can tell only where the role may list the log (`pg_monitor`) and the
  server gives the files of the log back instead of using them again (`wal_recycle = off`).
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from demur.adapters import keys as files
from demur.adapters import postgres_connection
from demur.adapters.keys import KeyVault
from demur.adapters.postgres_arrays import Texts
from demur.adapters.postgres_connection import Place, failed
from demur.adapters.sealing import KEY_BYTES, PersonKey
from demur.adapters.subject_keys import MAX_CACHED, gone
from demur.adapters.wrapping import MasterKey
from demur.core import record
from demur.errors import ConfigurationError, LedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from psycopg import Connection

    from demur.adapters.wrapping import KeyWrapper

N = TypeVar("N")
_Row = tuple[Any, ...]

FRESH_SECONDS = 0.2
"""How long a replica may use a key from memory without looking whether it was destroyed."""
MAKING = 0x64656D7573
"""The advisory lock of whoever makes the tables."""
_GENERATION, _DESTROYED = "generation", "destroyed"
_PERSON_KEY = "person_key"
_PERSON_BOUND = b"demur person key"
_TABLES = """
CREATE TABLE IF NOT EXISTS subject_keys (
    log text COLLATE "C" NOT NULL, person bytea NOT NULL, key_id text COLLATE "C" NOT NULL, wrapped bytea NOT NULL,
    PRIMARY KEY (log, person), UNIQUE (log, key_id)
);
CREATE TABLE IF NOT EXISTS key_settings (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL)
"""
_OLDEST_LOG = "SELECT min(name) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
_OTHERS_READ = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL"
)


class PostgresKeys:
    """`keys.PersonKeys` of one log. Safe to use from any thread, and from any number of replicas."""

    def __init__(self, url: str, log: str, master: KeyWrapper, *, is_read_only: bool = False) -> None:
        """Raises `StoreError` where the database cannot be used, `ConfigurationError` where it is the ledger's."""
        self._place = Place.read(url)
        self._log = log
        self._master = master
        self._is_read_only = is_read_only
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._by_person: dict[bytes, PersonKey] = {}
        self._by_id: dict[str, PersonKey] = {}
        self._generation = b""
        self._looked = 0.0
        self._connection: Connection[_Row] | None = None
        try:
            self._prepare()
        except BaseException:
            self._drop()
            raise

    def of(self, person: bytes) -> PersonKey:
        """As `SubjectKeys.of`."""
        with self._lock:
            self._refresh()
            found = self._by_person.get(person)
            if found is not None:
                return found
            query = "SELECT key_id, wrapped FROM subject_keys WHERE log = %s AND person = %s"
            rows = self._execute(query, self._log, person)
            if not rows:
                self._create(person)
                rows = self._execute(query, self._log, person)
            if not rows:
                raise StoreError("expected the key that was just made, found that it was destroyed meanwhile")
            return self._keep(self._by_person, person, self._unwrap(*rows[0]))

    def by_id(self, key_id: str) -> PersonKey:
        """As `SubjectKeys.by_id`."""
        with self._lock:
            self._refresh()
            found = self._by_id.get(key_id)
            if found is not None:
                return found
            query = "SELECT key_id, wrapped FROM subject_keys WHERE log = %s AND key_id = %s"
            rows = self._execute(query, self._log, key_id)
            if not rows:
                raise gone(key_id)
            return self._keep(self._by_id, key_id, self._unwrap(*rows[0]))

    def ids_of(self, person: bytes) -> tuple[str, ...]:
        """As `SubjectKeys.ids_of`."""
        with self._lock:
            rows = self._execute("SELECT key_id FROM subject_keys WHERE log = %s AND person = %s", self._log, person)
        return tuple(row[0] for row in rows)

    def destroy(self, key_ids: Collection[str]) -> bool:
        """As `SubjectKeys.destroy`. Afterwards no replica has the keys in memory."""
        with self._lock:
            connection = self._connected()
            try:
                with connection.transaction():
                    query = "DELETE FROM subject_keys WHERE log = %s AND key_id = ANY(%s)"
                    if connection.execute(query, (self._log, Texts(list(key_ids)))).rowcount:
                        self._put(_GENERATION, os.urandom(8))
                        self._put(_DESTROYED, b"")
            except psycopg.Error as error:
                self._drop()
                raise failed("write", self._place, error) from error
            self._forget()
            is_gone = self._scrub()
        time.sleep(FRESH_SECONDS)
        return is_gone

    def is_used(self) -> bool:
        """As `SubjectKeys.is_used`."""
        with self._lock:
            return bool(self._execute("SELECT FROM subject_keys WHERE log = %s LIMIT 1", self._log))

    def is_unused(self) -> bool:
        """Whether nothing at all was ever wrapped here, of any log; raises `StoreError`."""
        with self._lock:
            return self._setting(_PERSON_KEY) is None

    def person_key(self, first: bytes) -> bytes:
        """As `SubjectKeys.person_key`."""
        with self._lock:
            found = self._setting(_PERSON_KEY)
            if found is None and self._is_read_only:
                return first
            if found is None:
                wrapped = self._master.wrap(first, _PERSON_BOUND)
                self._execute("INSERT INTO key_settings VALUES (%s, %s) ON CONFLICT DO NOTHING", _PERSON_KEY, wrapped)
                found = self._setting(_PERSON_KEY)
            assert found is not None
            return self._master.unwrap(found, _PERSON_BOUND)

    def close(self) -> None:
        """Close the connection; nothing in a fork, whose connection belongs to the parent."""
        if os.getpid() == self._pid:
            with self._lock:
                self._drop()

    def _prepare(self) -> None:
        """Make the tables where there are none."""
        if self._execute("SELECT to_regclass('records')")[0][0] is not None:
            raise ConfigurationError(
                f"expected a database of its own for the persons' keys, found the ledger's at `{self._place}`",
                hint="make another database: backups of the ledger must not hold the keys",
            )
        if self._execute("SELECT to_regclass('key_settings')")[0][0] is None and not self._is_read_only:
            self._execute(f"BEGIN; SELECT pg_advisory_xact_lock({MAKING}); {_TABLES}; COMMIT")

    def _refresh(self) -> None:
        """Forget what is in memory where a key was destroyed since the last look."""
        now = time.monotonic()
        if now - self._looked < FRESH_SECONDS:
            return
        generation = self._setting(_GENERATION) or b""
        self._looked = now
        if generation != self._generation:
            self._generation = generation
            self._forget()

    def _create(self, person: bytes) -> None:
        if self._is_read_only:
            raise StoreError("expected a person with a key, found one without, in a store of keys opened for reading")
        key_id = os.urandom(16).hex()
        wrapped = self._master.wrap(os.urandom(KEY_BYTES), _bound(self._log, key_id))
        # Another replica may have been first; whoever reads next gets the one key that is stored.
        query = "INSERT INTO subject_keys VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
        self._execute(query, self._log, person, key_id, wrapped)

    def _scrub(self) -> bool:
        """Remove from the files of the database what was deleted, as far as that is possible now; whether all is gone.

        The setting `destroyed` remembers what is left to do: empty, to rewrite the table; a position in the database's
        log, to wait until the log begins after it; no setting, nothing.
        """
        found = self._setting(_DESTROYED)
        if found is None:
            return True
        try:
            if not found:
                before = self._execute("SELECT pg_relation_filenode('subject_keys')")
                is_read = self._execute(_OTHERS_READ)[0][0]
                self._execute("VACUUM FULL subject_keys")
                # A role that may not do this is told so by a warning alone, and the file stays the same.
                if is_read or self._execute("SELECT pg_relation_filenode('subject_keys')") == before:
                    return False
                found = self._execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")[0][0].encode()
                self._put(_DESTROYED, found)
            is_reused = self._execute("SELECT current_setting('wal_recycle')")[0][0] != "off"
            oldest = self._execute(_OLDEST_LOG)[0][0]
        except StoreError:
            return False
        if is_reused or oldest[8:].encode() <= found[8:]:
            return False
        self._execute("DELETE FROM key_settings WHERE name = %s AND value = %s", f"{_DESTROYED}.{self._log}", found)
        return True

    def _setting(self, name: str) -> bytes | None:
        own = name if name == _PERSON_KEY else f"{name}.{self._log}"
        rows = self._execute("SELECT value FROM key_settings WHERE name = %s", own)
        return rows[0][0] if rows else None

    def _put(self, name: str, value: bytes) -> None:
        query = "INSERT INTO key_settings VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value"
        self._execute(query, f"{name}.{self._log}", value)

    def _execute(self, query: str, *values: object) -> list[_Row]:
        """Run one statement, twice where the first attempt found the connection cut: all here may be repeated."""
        is_kept = self._connection is not None
        try:
            return self._once(query, values)
        except psycopg.OperationalError as error:
            self._drop()
            if not is_kept:
                raise failed("use the keys of", self._place, error) from error
        except psycopg.Error as error:
            self._drop()
            raise failed("use the keys of", self._place, error) from error
        try:
            return self._once(query, values)
        except psycopg.Error as error:
            self._drop()
            raise failed("use the keys of", self._place, error) from error

    def _once(self, query: str, values: tuple[object, ...]) -> list[_Row]:
        cursor = self._connected().execute(query.encode(), values or None, binary=bool(values), prepare=bool(values))
        return cursor.fetchall() if cursor.description else []

    def _connected(self) -> Connection[_Row]:
        if os.getpid() != self._pid:
            raise StoreError(f"expected the process {self._pid} that opened the keys, found its fork {os.getpid()}")
        if self._connection is None:
            self._connection = postgres_connection.open_writer(self._place)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _unwrap(self, key_id: str, wrapped: bytes) -> PersonKey:
        try:
            return PersonKey(key_id, self._master.unwrap(wrapped, _bound(self._log, key_id)))
        except LedgerError as error:
            raise LedgerError(f"the key `{key_id[:80]}` was altered, or wrapped by another master key") from error

    def _forget(self) -> None:
        self._by_person.clear()
        self._by_id.clear()

    def _keep(self, cache: dict[N, PersonKey], name: N, key: PersonKey) -> PersonKey:
        if len(cache) >= MAX_CACHED:
            del cache[next(iter(cache))]
        cache[name] = key
        return key


def make_tables(url: str) -> None:
    """Make the tables where there are none; raises as `PostgresKeys`."""
    PostgresKeys(url, "", MasterKey(bytes(KEY_BYTES))).close()


def open_vault(folder: Path, log: str, url: str, *, is_read_only: bool = False) -> KeyVault:
    """The vault with its key files in `folder` and the persons' keys at `url`; raises as `KeyVault.open`.

    The first replica makes the files. All others need the same ones: without them nothing opens.
    """
    record.check_log(log)
    if not is_read_only:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    master_file, log_file = folder / files.MASTER, folder / f"log-{log}.key"
    unused = PostgresKeys(url, log, MasterKey(bytes(KEY_BYTES)), is_read_only=is_read_only)
    try:
        may_make = not is_read_only and unused.is_unused()
    finally:
        unused.close()
    master = _key(master_file, may_make=may_make)
    keys = PostgresKeys(url, log, MasterKey(master), is_read_only=is_read_only)
    try:
        log_key = _key(log_file, may_make=not is_read_only and not keys.is_used())
        return KeyVault(keys, log_key=log_key, person_key=keys.person_key(os.urandom(KEY_BYTES)))
    except BaseException:
        keys.close()
        raise


def _key(path: Path, *, may_make: bool) -> bytes:
    try:
        if may_make and not path.exists():
            files.make_key(path)
        return files.read_key(path)
    except OSError as error:
        hint = "" if may_make else "mount the folder with the key files that the other replicas use"
        raise ConfigurationError(f"the key `{path}` cannot be read: {error.strerror}", hint=hint) from error


def _bound(log: str, key_id: str) -> bytes:
    return f"{log}\0{key_id}".encode()
