"""Tables of an SQLite database whose every change is counted, whoever makes it: by triggers, within the change itself.

    demur_grants    the grants used up here, each once
    demur_now       the grant of the present transaction; empty for every other connection
    demur_seen      one row per changed row: its number, the action, the time, the grant or nothing

- The triggers run for every connection to the file, also for one that never heard of Demur, and are part of its
  transaction: what was rolled back was not counted, and what was committed was.
- The numbers of `demur_seen` have no gaps. A row that was deleted from it is counted as one without a grant.
- Whoever may drop a trigger can write unseen: the account that the agent uses must not be the owner of the tables.

The same for PostgreSQL: docs/guides/meters.md.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demur.core.meter import Cause, Granted, Ungranted, check_name
from demur.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demur.adapters.metering import Meter

_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS demur_grants
    (grant_id TEXT PRIMARY KEY, action TEXT NOT NULL, at TEXT NOT NULL, mark TEXT NOT NULL, taken INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS demur_now (grant_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS demur_seen
    (id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, at TEXT NOT NULL, grant_id TEXT);
"""
_CHANGES = ("INSERT", "UPDATE", "DELETE")
_ROWS = 10_000
"""Rows that are taken over at a time."""
_LOST = "demur.lost"
"""The action of rows that were deleted from `demur_seen`."""


class Tables:
    """The counted tables of one database, on a connection of its own that this class may begin transactions on."""

    def __init__(self, meter: Meter, connection: sqlite3.Connection, actions: Mapping[str, str]) -> None:
        """`actions` names for every table the action that a change of it is.

        Raises `ConfigurationError` where a table does not exist or is named oddly, and `StoreError`.
        """
        self._meter = meter
        self._connection = connection
        try:
            connection.executescript(_SCHEMA)
            for table, action in actions.items():
                self._attach(table, check_name("action", action))
            connection.commit()
        except sqlite3.Error as error:
            raise StoreError(f"the tables cannot be counted: {error}") from error

    @contextmanager
    def transaction(self, action: str, grant_id: str = "", mark: str = "") -> Iterator[sqlite3.Connection]:
        """One transaction on the tables, for the operation that this grant was given for.

        Raises `RefusedError` where the grant was used here before: then nothing was begun.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if grant_id:
                self._use(connection, action, grant_id, mark)
            yield connection
            connection.execute("DELETE FROM demur_now")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def collect(self) -> None:
        """Hand what was counted to the meter; call it before each statement. Raises `StoreError`."""
        source = "tables"
        while True:
            last = self._meter.taken(source)
            try:
                end = self._collect(source, last)
            except sqlite3.Error as error:
                raise StoreError(f"what was counted cannot be read: {error}") from error
            if end == last:
                return

    def _collect(self, source: str, last: int) -> int:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            rows = connection.execute(
                "SELECT id, action, at FROM demur_seen WHERE id > ?"
                " AND (grant_id IS NULL OR grant_id NOT IN (SELECT grant_id FROM demur_grants)) ORDER BY id LIMIT ?",
                (last, _ROWS),
            ).fetchall()
            top = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'demur_seen'")
            end = rows[-1][0] if len(rows) == _ROWS else max(top.fetchone()[0], last)
            there = connection.execute("SELECT count(*) FROM demur_seen WHERE id > ? AND id <= ?", (last, end))
            ungranted = [Ungranted(action, 1, at, at) for _, action, at in rows]
            lost = end - last - there.fetchone()[0]
            grants = connection.execute(
                "SELECT action, at, grant_id, mark FROM demur_grants WHERE NOT taken"
            ).fetchall()
            if lost:
                at = str(self._meter.now())
                ungranted.append(Ungranted(_LOST, lost, at, at))
            self._meter.take(source, end, [Granted(*row) for row in grants], ungranted)
            # After the meter has them for good: where this does not commit, they come again, and are known by then.
            connection.execute("UPDATE demur_grants SET taken = 1 WHERE NOT taken")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return int(end)

    def _use(self, connection: sqlite3.Connection, action: str, grant_id: str, mark: str) -> None:
        at = str(self._meter.now())
        try:
            connection.execute("INSERT INTO demur_grants VALUES (?, ?, ?, ?, 0)", (grant_id, action, at, mark))
        except sqlite3.IntegrityError:
            self._meter.refuse(action, Cause.USED)
        connection.execute("DELETE FROM demur_now")
        connection.execute("INSERT INTO demur_now VALUES (?)", (grant_id,))

    def _attach(self, table: str, action: str) -> None:
        if not table.isidentifier() or not table.isascii():
            raise ConfigurationError(f"expected the name of a table, found `{table[:80]}`")
        for change in _CHANGES:
            self._connection.execute(
                # Both names were checked; a trigger takes no parameters.
                f"CREATE TRIGGER IF NOT EXISTS demur_{change.lower()}_{table} AFTER {change} ON {table} BEGIN"  # noqa: S608
                f" INSERT INTO demur_seen (action, at, grant_id)"
                f" VALUES ('{action}', {_NOW}, (SELECT grant_id FROM demur_now)); END"
            )
