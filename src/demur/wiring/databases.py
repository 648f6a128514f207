"""A gate on PostgreSQL: one of many replicas on one database, its key files in a folder that all of them mount.

    DEMUR_STORE   the database of ledger, grants and reviews: postgresql://USER@HOST/DATABASE
    DEMUR_KEYS    the database of the persons' keys, another one, left out of the ledger's backups

Where `Settings` name none, these variables do. The home keeps the key files, reviewers and compiled policies.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.adapters.clock import SystemClock
from demur.adapters.sqlite_file import REVISIONS
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from demur.adapters.keys import KeyVault
    from demur.adapters.postgres import PostgresReader
    from demur.ports import Clock, Store, Vault
    from demur.wiring.settings import Settings

STORE_VARIABLE, KEYS_VARIABLE = "DEMUR_STORE", "DEMUR_KEYS"
SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True, repr=False)
class Databases:
    """The URLs of ledger and keys. They may hold passwords and are never shown."""

    store: str
    keys: str


def find(store: str = "", keys: str = "") -> Databases | None:
    """The databases that are named, by the caller or the environment; None where the store is a file in the home.

    Raises `ConfigurationError` where one is named without the other, or is none that we know.
    """
    store, keys = store or os.environ.get(STORE_VARIABLE, ""), keys or os.environ.get(KEYS_VARIABLE, "")
    if not store:
        return None
    for name, url in ((STORE_VARIABLE, store), (KEYS_VARIABLE, keys)):
        if not url.startswith(SCHEMES):
            found = "nothing" if not url else "a URL of something else"
            raise ConfigurationError(
                f"expected `{name}` to name a database, found {found}",
                hint=f"set it to `{SCHEMES[0]}USER@HOST/DATABASE`",
            )
    return Databases(store, keys)


def open_replica(settings: Settings, home: Path, databases: Databases) -> tuple[Store, Vault, bool, Clock]:
    """Store, vault, whether the last replica ended in order, and the clock that all replicas share.

    Raises `StoreError` where a database cannot be used, `ConfigurationError` where the key files are not those of the
    other replicas, or the extra `postgres` is not installed.
    """
    postgres, postgres_keys = _adapters()
    # Hosts disagree about the time; the database's clock is one. A clock that somebody chose is used as it is.
    chosen = None if isinstance(settings.clock, SystemClock) else settings.clock
    vault: KeyVault = postgres_keys.open_vault(home, settings.log, databases.keys)
    try:
        store = postgres.PostgresStore(databases.store, settings.log, chosen, max_queued=settings.max_queued)
    except BaseException:
        vault.close()
        raise
    return store, vault, store.was_clean, store


def open_database_reader(home: Path, databases: Databases) -> tuple[PostgresReader, KeyVault]:
    """The database and its vault for reading; raises as `open_replica`."""
    postgres, postgres_keys = _adapters()
    store: PostgresReader = postgres.PostgresReader(databases.store)
    try:
        return store, postgres_keys.open_vault(home, store.log, databases.keys, is_read_only=True)
    except BaseException:
        store.close()
        raise


def prepare_databases(store: str = "", keys: str = "") -> str:
    """Make the tables, or bring them to the newest revision, and check the servers; returns the revision.

    For a role that owns the tables: gates need not be allowed to change them. Raises as `find` and `open_replica`.
    """
    named = find(store, keys)
    if named is None:
        raise ConfigurationError(
            f"expected `{STORE_VARIABLE}` to name a database, found nothing",
            hint=f"set it to `{SCHEMES[0]}USER@HOST/DATABASE`",
        )
    _, postgres_keys = _adapters()
    from demur.adapters import postgres_connection  # noqa: PLC0415  (needs an extra)

    postgres_connection.migrate(postgres_connection.Place.read(named.store))
    postgres_keys.make_tables(named.keys)
    return REVISIONS[-1]


def _adapters() -> tuple[ModuleType, ModuleType]:
    try:
        from demur.adapters import postgres, postgres_keys  # noqa: PLC0415  (needs an extra)
    except ImportError as error:
        raise ConfigurationError(
            "expected the extra `postgres`, found that it is not installed", hint='run `pip install "demur[postgres]"`'
        ) from error
    return postgres, postgres_keys
