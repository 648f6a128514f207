"""Facts from a query of a database: `SELECT` with bound parameters, one row or none.

    crm: {kind: sql, connection: crm, query: "SELECT vip, frozen FROM customers WHERE id = :id",
          parameters: {id: subject.id}}

- The policy names the connection; where that is stands in the environment of whoever runs the gate
  (`DEMUR_CONNECTION_CRM`), as a SQLAlchemy URL of SQLite or PostgreSQL. A policy cannot choose a database.
- Values of the request are bound, never pasted into the text. One that the request lacks makes the facts unknown.
- It only reads: transactions are read-only, and SQLite files are opened so. A statement ends at the source's `timeout`.
- No row means that there is none; more than one row is a mistake, and then the facts are unknown.
- What drivers say may quote secrets, so it is told by its kind alone.

Clauses: S2.
"""

from __future__ import annotations

import datetime as _dt
import os
import sqlite3
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote
from uuid import UUID

import sqlalchemy
from sqlalchemy import exc

from demur.adapters import outside
from demur.adapters.breaker import Breaker, SourceError, UnfitError
from demur.adapters.callables import UnregisteredSource
from demur.adapters.static_tables import column
from demur.core.schema import Kind
from demur.core.terms import Duration, Missing, Timestamp
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import URL, Engine

    from demur.core.schema import Fact, Source
    from demur.core.terms import Request, State

KIND = "sql"
PREFIX = "DEMUR_CONNECTION_"
POOL_SIZE = 8
"""As many as a source has threads."""
_CHECK_EVERY = 1_000
"""SQLite looks at the deadline after so many of its instructions."""
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}


class SqlSource:
    """`ports.FactSource` over one query."""

    is_local = False

    def __init__(self, source: Source, engine: Engine, bools: frozenset[str], breaker: Breaker) -> None:
        self._engine = engine
        self._query = sqlalchemy.text(str(source.settings["query"]))
        self._parameters = outside.table(source, "parameters")
        self._bools = bools
        self._breaker = breaker

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        bound = {name: outside.stated(request, path) for name, path in self._parameters.items()}
        with self._breaker.guarding():
            row = self._row(bound)
        if row is None:
            return dict.fromkeys(paths, Missing.ABSENT)
        return {path: self._value(row, path) for path in paths}

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def _row(self, bound: Mapping[str, object]) -> Mapping[str, object] | None:
        try:
            with self._engine.connect() as connection:
                found = connection.execute(self._query, bound)
                names, rows = list(found.keys()), found.fetchmany(2)
        except exc.DataError as error:
            raise UnfitError("the database cannot take a value of this request") from error
        except (exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise SourceError(f"the database could not be asked: `{type(error).__name__}`") from error
        if len(rows) > 1:
            raise UnfitError("expected one row at most, found more")
        if len(set(names)) != len(names):
            raise SourceError("expected columns of different names, found one twice")
        return {name: _plain(value) for name, value in zip(names, rows[0], strict=True)} if rows else None

    def _value(self, row: Mapping[str, object], path: str) -> State:
        if path not in row and path.partition(".")[2] not in row:
            return Missing.UNKNOWN
        value = column(row, path)
        # SQLite has no booleans; what is declared as one is stored as 0 or 1.
        return bool(value) if path in self._bools and type(value) is int and value in {0, 1} else value


class SqlOpener:
    """Opens sources of kind `sql`. `connections` are URLs by name; what is not there is looked for in the environment.

    Without `must_exist` a source whose connection nobody named is opened, and its facts are unknown.
    """

    def __init__(self, connections: Mapping[str, str] | None = None, *, must_exist: bool = True) -> None:
        self._connections = dict(connections or {})
        self._must_exist = must_exist

    def __call__(self, source: Source, facts: Sequence[Fact]) -> SqlSource | UnregisteredSource:
        name = str(source.settings["connection"])
        url = self._connections.get(name) or os.environ.get(outside.variable(PREFIX, name), "")
        if not url and not self._must_exist:
            return UnregisteredSource(source.name)
        engine = _engine(source.name, _read_url(source.name, name, url), max(1, source.timeout_ms))
        bools = frozenset(fact.path for fact in facts if fact.type.kind is Kind.BOOL)
        return SqlSource(source, engine, bools, Breaker(source.name))


def _read_url(source: str, name: str, url: str) -> URL:
    wanted = f"set `{outside.variable(PREFIX, name)}` to a URL such as `postgresql://user@host/database`"
    if not url:
        raise ConfigurationError(f"source `{source}`: nothing says where the connection `{name}` is", hint=wanted)
    try:
        read = sqlalchemy.make_url(url)
    except exc.ArgumentError:
        # What it says quotes the URL, and with it a password.
        raise ConfigurationError(f"source `{source}`: `{name}` is no URL of a database", hint=wanted) from None
    if read.drivername not in _DRIVERS:
        kinds = "`sqlite` or `postgresql`"
        raise ConfigurationError(f"source `{source}`: expected {kinds} for `{name}`, found `{read.drivername[:40]}`")
    return read.set(drivername=_DRIVERS[read.drivername])


def _engine(source: str, url: URL, timeout_ms: int) -> Engine:
    pool = {
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": timeout_ms / 1_000,
        "pool_pre_ping": True,
        "poolclass": sqlalchemy.QueuePool,
        "hide_parameters": True,
    }
    if url.drivername == "sqlite":
        return _sqlite(source, url, timeout_ms, pool)
    options = f"-c default_transaction_read_only=on -c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms}"
    connect = {"options": options, "connect_timeout": max(2, timeout_ms // 1_000), "application_name": "demur-facts"}
    return sqlalchemy.create_engine(url, connect_args=connect, **pool)


def _sqlite(source: str, url: URL, timeout_ms: int, pool: dict[str, Any]) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError(f"source `{source}`: expected a file of SQLite, found a database in memory")
    file = f"file:{quote(url.database)}?mode=ro"

    def connect() -> sqlite3.Connection:
        opened = sqlite3.connect(file, uri=True, check_same_thread=False, timeout=timeout_ms / 1_000)
        opened.execute("PRAGMA query_only = ON")
        return opened

    engine = sqlalchemy.create_engine("sqlite://", creator=connect, **pool)

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def _limit(connection: sqlalchemy.Connection, *_: object) -> None:
        end = time.monotonic() + timeout_ms / 1_000
        file = cast("sqlite3.Connection", connection.connection.dbapi_connection)
        file.set_progress_handler(lambda: time.monotonic() > end, _CHECK_EVERY)

    return engine


def _plain(value: object) -> object:
    """A value of a database as the condition language has it. One without an exact counterpart stays as it is.

    A time without a zone is one: whose clock it was nobody knows (S2.4).
    """
    match value:
        case Decimal() if value.is_finite() and value == value.to_integral_value():
            return int(value)
        case Decimal() if value.is_finite():
            return float(value)
        case UUID() | _dt.date() if not isinstance(value, _dt.datetime):
            return str(value)
        case Timestamp() | Duration():
            return value
    return value
