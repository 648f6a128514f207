"""A meter: counts durably what happens at one resource, uses up each grant there once, and signs what it counted.

    folder/meter.db       what was counted and every statement made (SQLite, one owner)
    folder/meter.key      the meter's own Ed25519 key, 0600; never given to the gate

- An operation is counted before it is carried out, and the count is on the disk when `count` or `redeem` returns: a
  crash can leave one counted that did not happen, never the other way round.
- A grant is used up under a unique key, so that two operations cannot stand on one, whatever the gate says.
- A statement and what it takes from the counters are one transaction, so every operation is in exactly one statement.
- It needs nothing of the gate, and runs where the resource is: another process, another machine, other hands.

Format: core/meter.py. Clauses: S6.1.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from demur.adapters import ed25519
from demur.adapters.clock import SystemClock
from demur.adapters.lease import Lease
from demur.core import meter
from demur.core.meter import Cause, Granted, Refused, Statement, Ungranted
from demur.errors import ConfigurationError, RefusedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demur.core.terms import Timestamp
    from demur.ports import Clock

DATABASE = "meter.db"
KEY = "meter.key"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS granted
    (id INTEGER PRIMARY KEY, grant_id TEXT NOT NULL UNIQUE, action TEXT NOT NULL, at TEXT NOT NULL, mark TEXT NOT NULL,
     n INTEGER);
CREATE INDEX IF NOT EXISTS granted_waiting ON granted (id) WHERE n IS NULL;
CREATE TABLE IF NOT EXISTS counted
    (cause TEXT, action TEXT, count INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
     PRIMARY KEY (cause, action)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS statements (n INTEGER PRIMARY KEY, line BLOB NOT NULL);
"""
_NOT_GRANTED = ""
"""The cause of what was carried out without a grant; the others are those of `Cause`."""


class Meter:
    """The counter of one resource. Safe to use from any thread of the process that opened it."""

    def __init__(self, folder: Path | str, *, name: str, resource: str, clock: Clock | None = None) -> None:
        """Open the meter in `folder`, made where there is none; `name` and `resource`, tokens, stay what they are.

        Raises `OwnedElsewhereError` where another process has it open, `StoreError` where it cannot be used,
        `ConfigurationError` where it belongs to another name or its key cannot be trusted, `LedgerError` for a name
        that is no token.
        """
        self.name = meter.check_name("meter", name)
        self.resource = meter.check_name("resource", resource)
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._pid = os.getpid()
        folder = Path(folder)
        self._path = folder / DATABASE
        with self._told("open"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lease = Lease(self._path.with_name(f"{DATABASE}.lease"))
        try:
            with self._told("open"):
                self._key = ed25519.open_key(folder / KEY)
                self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
                self._begin()
        except BaseException:
            self._lease.release()
            raise

    @property
    def public_key(self) -> str:
        """The key by which the meter's statements are checked: 64 hex digits, for `demur meter register`."""
        return ed25519.public_hex(self._key)

    def redeem(self, action: str, grant_id: str, mark: str = "") -> None:
        """Use up a grant for one operation, before it is carried out.

        Raises `RefusedError` where the grant was used here already, and `StoreError` where it cannot be counted: then
        the operation must not be carried out.
        """
        with self._writing() as connection:
            at = str(self._clock.now())
            added = connection.execute(
                "INSERT OR IGNORE INTO granted (grant_id, action, at, mark) VALUES (?, ?, ?, ?)",
                (grant_id, action, at, mark),
            ).rowcount
        if not added:
            self.refuse(action, Cause.USED)

    def count(self, action: str, operations: int = 1) -> None:
        """Count operations that come without a grant; raises `StoreError`."""
        with self._writing() as connection:
            self._add(connection, _NOT_GRANTED, action, operations, str(self._clock.now()))

    def refuse(self, action: str, cause: Cause) -> None:
        """Count an operation that is turned away, and raise the `RefusedError` that turns it away."""
        with self._writing() as connection:
            self._add(connection, cause.value, action, 1, str(self._clock.now()))
        message = "the grant was used here already" if cause is Cause.USED else "it came without a grant"
        raise RefusedError(f"`{action}` was turned away at `{self.resource}`: {message}", None)

    def take(self, source: str, end: int, granted: Sequence[Granted], ungranted: Sequence[Ungranted]) -> None:
        """Count what another counter noted up to its number `end`, once and for all; raises `StoreError`.

        A grant that two counters noted is counted as an operation without one the second time.
        """
        with self._writing() as connection:
            for item in granted:
                added = connection.execute(
                    "INSERT OR IGNORE INTO granted (grant_id, action, at, mark) VALUES (?, ?, ?, ?)",
                    (item.grant, item.action, item.at, item.mark),
                ).rowcount
                if not added and not self._knows(connection, item):
                    self._add(connection, _NOT_GRANTED, item.action, 1, item.at)
            for counted in ungranted:
                self._add(connection, _NOT_GRANTED, counted.action, counted.count, counted.first, counted.last)
            self._put(connection, f"taken:{source}", str(end))

    def taken(self, source: str) -> int:
        """The number up to which `take` has counted, 0 at first; raises `StoreError`."""
        with self._writing() as connection:
            return int(self._get(connection, f"taken:{source}") or "0")

    def state(self) -> tuple[bytes, ...]:
        """Sign what was counted since the last statement, nothing included; the new statements, as lines.

        There are several where more was counted than one holds. Raises `StoreError`.
        """
        made: list[bytes] = []
        while True:
            with self._writing() as connection:
                made.append(self._state(connection))
                waiting = connection.execute("SELECT 1 FROM granted WHERE n IS NULL LIMIT 1").fetchone()
            if waiting is None:
                return tuple(made)

    def statements(self, first: int = 0) -> tuple[bytes, ...]:
        """The statements from number `first` on, in order, as lines; raises `StoreError`."""
        with self._writing() as connection:
            rows = connection.execute("SELECT line FROM statements WHERE n >= ? ORDER BY n", (first,)).fetchall()
        return tuple(row[0] for row in rows)

    def now(self) -> Timestamp:
        """The time by the meter's own clock."""
        return self._clock.now()

    def close(self) -> None:
        """Let go of the meter; what was counted and not yet stated waits for the next opening."""
        with self._lock:
            if os.getpid() == self._pid:
                self._connection.close()
            self._lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Below: the pieces.

    def _begin(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        with self._writing():
            for name, value in (("meter", self.name), ("resource", self.resource)):
                known = self._get(connection, name)
                if known not in {None, value}:
                    message = f"expected the {name} `{known}` that `{self._path}` belongs to, found `{value}`"
                    raise ConfigurationError(message, hint="a meter keeps its name; give another folder to another one")
                self._put(connection, name, value)
            self._epoch = int(self._get(connection, "epoch") or "0") + 1
            self._put(connection, "epoch", str(self._epoch))
            if self._get(connection, "until") is None:
                self._put(connection, "until", str(self._clock.now()))

    def _state(self, connection: sqlite3.Connection) -> bytes:
        n = int(self._get(connection, "n") or "0")
        since = self._get(connection, "until") or ""
        rows = connection.execute(
            "SELECT id, action, at, grant_id, mark FROM granted WHERE n IS NULL ORDER BY id LIMIT ?",
            (meter.MAX_OPERATIONS,),
        ).fetchall()
        # What waits for the next statement must not lie before the end of this one.
        end = rows[-1][2] if len(rows) == meter.MAX_OPERATIONS else str(self._clock.now())
        counts = connection.execute("SELECT cause, action, count, first, last FROM counted ORDER BY 1, 2").fetchall()
        ungranted = tuple(Ungranted(*row[1:]) for row in counts if row[0] == _NOT_GRANTED)
        said = Statement(
            meter=self.name,
            resource=self.resource,
            epoch=self._epoch,
            n=n,
            previous=self._get(connection, "digest") or meter.FIRST,
            since=since,
            until=str(max(meter.parse_time(end), meter.parse_time(since))),
            operations=len(rows) + sum(item.count for item in ungranted),
            granted=tuple(Granted(*row[1:]) for row in rows),
            ungranted=ungranted,
            refused=tuple(Refused(row[1], Cause(row[0]), *row[2:]) for row in counts if row[0] != _NOT_GRANTED),
        )
        body = meter.encode(said)
        line = meter.line(body, self._key.sign(meter.to_sign(body)))
        connection.execute("DELETE FROM counted")
        if rows:
            connection.execute("UPDATE granted SET n = ? WHERE n IS NULL AND id <= ?", (n, rows[-1][0]))
        connection.execute("INSERT INTO statements (n, line) VALUES (?, ?)", (n, line))
        for name, value in (("n", str(n + 1)), ("until", said.until), ("digest", meter.read(line).digest)):
            self._put(connection, name, value)
        return line

    def _knows(self, connection: sqlite3.Connection, item: Granted) -> bool:
        """Whether this very operation was taken before: its counter did not learn that it had handed it over."""
        known = connection.execute("SELECT action, at, mark FROM granted WHERE grant_id = ?", (item.grant,)).fetchone()
        return bool(known == (item.action, item.at, item.mark))

    def _add(
        self, connection: sqlite3.Connection, cause: str, action: str, count: int, first: str, last: str = ""
    ) -> None:
        connection.execute(
            "INSERT INTO counted (cause, action, count, first, last) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (cause, action) DO UPDATE SET count = count + excluded.count, last = excluded.last",
            (cause, action, count, first, last or first),
        )

    def _get(self, connection: sqlite3.Connection, name: str) -> str | None:
        row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _put(self, connection: sqlite3.Connection, name: str, value: str) -> None:
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when it ends."""
        if os.getpid() != self._pid:
            raise StoreError(f"expected the process {self._pid} that opened the meter, found its fork {os.getpid()}")
        with self._lock, self._told("write"):
            self._lease.check()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"could not {what} the meter `{self._path}`: {error}") from error
