"""Opens connections to PostgreSQL, and refuses servers whose settings could lose what was acknowledged.

- A server must sync what it commits (`fsync`, `full_page_writes`, `synchronous_commit`), speak UTF-8, be of version 13
  or later, and keep the tables in its write-ahead log. Everything is read again for every connection that writes.
- A connection that hangs is ended by somebody: the server ends a transaction that idles and one that waits too long
  for a lock; either side notices a peer that is gone. So nobody holds the head row for ever.
- Tables are made and migrated by the same revisions as SQLite's, by one replica at a time.
- A password never stands in a message: places are named by host and database.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg import IsolationLevel, conninfo

from demur.adapters import postgres_arrays
from demur.adapters.postgres_rows import told
from demur.adapters.sqlite_file import REVISIONS
from demur.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from psycopg import Connection

MIN_VERSION = 130_000
MIGRATING = 0x64656D7572
"""The advisory lock of whoever migrates: `demur` in ASCII."""
READ_SECONDS = 600
"""How long a reader may keep its snapshot between two statements."""
_DURABLE = ("on", "remote_apply")
_SETTINGS = "fsync", "full_page_writes", "synchronous_commit"
_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the database is. `url` may hold a password and is shown to nobody; `str()` gives host and database."""

    url: str
    patience_seconds: float = 5.0
    """A transaction that idles so long is ended by the server; waiting for a lock may take twice as long."""

    @classmethod
    def read(cls, url: str, patience_seconds: float = 5.0) -> Place:
        """Raises `ConfigurationError` where `url` is none that PostgreSQL's own clients understand."""
        try:
            conninfo.conninfo_to_dict(url)
        except psycopg.Error as error:
            # What the driver says may quote the password.
            raise ConfigurationError(
                "expected a URL of a PostgreSQL database, found something else",
                hint="write it as `postgresql://USER@HOST:PORT/DATABASE`, the password in ~/.pgpass",
            ) from error
        return cls(url, patience_seconds)

    def __str__(self) -> str:
        parts = conninfo.conninfo_to_dict(self.url)
        return f"{parts.get('host') or 'localhost'}/{parts.get('dbname') or ''}"

    def __repr__(self) -> str:
        return f"Place({self})"


def open_writer(place: Place) -> Connection[_Row]:
    """A connection that may write, its server checked; raises `StoreError`."""
    milliseconds = int(place.patience_seconds * 1_000)
    options = {
        "idle_in_transaction_session_timeout": milliseconds,
        "lock_timeout": 2 * milliseconds,
        "statement_timeout": 4 * milliseconds,
    }
    connection = _open(place, options)
    try:
        if connection.info.server_version >= 170_000:
            # A client that stops in the middle of a pipeline is not idle, and only this ends it.
            _execute(connection, place, f"SET transaction_timeout = {8 * milliseconds}")
        check(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(place: Place) -> Connection[_Row]:
    """A connection whose transactions see one committed state and can change nothing; raises `StoreError`."""
    connection = _open(place, {"idle_in_transaction_session_timeout": READ_SECONDS * 1_000})
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.autocommit = False
    return connection


def check(connection: Connection[_Row], place: Place) -> None:
    """Raises `StoreError` where this server, as it is set up, could lose what it acknowledged."""
    version = connection.info.server_version
    if version < MIN_VERSION:
        raise StoreError(f"expected PostgreSQL 13 or later at `{place}`, found {version // 10_000}")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"expected the database `{place}` in the encoding `UTF8`, found `{encoding}`",
            hint="make it with `CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0`",
        )
    found = ", ".join(f"current_setting('{name}')" for name in _SETTINGS)
    check_settings(_execute(connection, place, f"SELECT {found}")[0], place)
    unlogged = _execute(
        connection,
        place,
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE attname = 'log' AND relkind IN ('r', 'p') AND relpersistence = 'u' "
        "AND pg_table_is_visible(pg_class.oid)",
    )
    if unlogged:
        raise StoreError(
            f"expected every table at `{place}` in the write-ahead log, found `{unlogged[0][0]}` without it",
            hint=f"run `ALTER TABLE {unlogged[0][0]} SET LOGGED`",
        )


def check_settings(found: tuple[str, ...], place: Place) -> None:
    """`found` are `fsync`, `full_page_writes` and `synchronous_commit`; raises `StoreError` for what is not durable."""
    for name, value in zip(_SETTINGS, found, strict=True):
        allowed = _DURABLE if name == "synchronous_commit" else ("on",)
        if value not in allowed:
            raise StoreError(
                f"expected `{name}` at `{place}` to be `{'` or `'.join(allowed)}`, found `{value}`",
                hint=f"set `{name} = on` in postgresql.conf and reload; otherwise a crash loses answers already given",
            )


def migrate(place: Place) -> None:
    """Bring the tables to the newest revision, in one transaction, by one replica at a time; raises `StoreError`."""
    connection = open_writer(place)
    try:
        if revision(connection, place) != REVISIONS[-1]:
            _upgrade(connection, place)
    finally:
        connection.close()


def revision(connection: Connection[_Row], place: Place) -> str:
    """The revision of the tables, "" where there are none; raises `StoreError` where it is not known here."""
    exists = _execute(connection, place, "SELECT to_regclass('alembic_version') IS NOT NULL")[0][0]
    rows = _execute(connection, place, "SELECT version_num FROM alembic_version") if exists else []
    found: str = rows[0][0] if rows else ""
    if found and found not in REVISIONS:
        raise StoreError(
            f"expected tables of revision {REVISIONS[-1]} or older at `{place}`, found `{found[:40]}`",
            hint="a newer version of Demur made these tables; use that version",
        )
    return found


def failed(doing: str, place: Place, error: psycopg.Error) -> StoreError:
    """The error that leaves this store, with what the server said."""
    return StoreError(f"could not {doing} the store at `{place}`: {told(error)}")


def _open(place: Place, options: dict[str, int]) -> Connection[_Row]:
    given = conninfo.conninfo_to_dict(place.url)
    settings = " ".join(f"-c {name}={value}" for name, value in options.items())
    seconds = max(2, round(place.patience_seconds))
    defaults: dict[str, str | int] = {
        "connect_timeout": seconds,
        "application_name": "demur",
        "keepalives_idle": seconds,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": 2_000 * seconds,
    }
    own = f"{given.get('options') or ''} {settings} -c tcp_keepalives_idle={seconds} -c tcp_keepalives_interval=1"
    wanted = {**defaults, **given, "client_encoding": "utf-8", "options": f"{own} -c tcp_keepalives_count=3".strip()}
    try:
        connection = psycopg.connect(**cast("dict[str, Any]", wanted), autocommit=True, prepare_threshold=0)
    except psycopg.Error as error:
        raise failed("open", place, error) from error
    postgres_arrays.register(connection)
    return connection


def _execute(connection: Connection[_Row], place: Place, query: str) -> list[_Row]:
    try:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        raise failed("open", place, error) from error


def _upgrade(connection: Connection[_Row], place: Place) -> None:
    # Loaded only here: together they take longer to import than everything else.
    import sqlalchemy as sa  # noqa: PLC0415
    from alembic import command, config  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    connection.autocommit = False
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=sa.pool.StaticPool)
    settings = config.Config()
    folder = str(Path(__file__).with_name("migrations"))
    settings.set_main_option("script_location", folder.replace("%", "%%"))
    try:
        with engine.connect() as borrowed:
            borrowed.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
            settings.attributes["connection"] = borrowed
            command.upgrade(settings, "head")
            borrowed.commit()
    except (SQLAlchemyError, psycopg.Error) as error:
        reason = getattr(error, "orig", None) or error
        raise StoreError(
            f"could not make the tables at `{place}`: {told(reason)}",
            hint="run `demur store prepare` once as a role that may create tables",
        ) from error
