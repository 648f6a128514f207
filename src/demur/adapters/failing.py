"""A disk that fails when told to, to try out what a gate does then.

    disk = FailingDisk()
    store = SqliteStore(path, "demo", connect=disk.connect)
    disk.fail("COMMIT")                      # every commit from now on says it failed, and did
    disk.fail("COMMIT", happens=True, times=1)   # the next one says it failed, but happened
    disk.heal()

Every answer must then be the refusal `unavailable`, nothing may be executed, and after `heal` the gate recovers.
"""

from __future__ import annotations

import functools
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demur.adapters.sqlite_file import BUSY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class _Fault:
    beginning: str
    message: str
    happens: bool
    times: int


class FailingDisk:
    """Opens connections that work until they are told to fail."""

    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self.failed = 0
        """How many statements failed so far."""

    def connect(self, uri: str) -> sqlite3.Connection:
        """As `sqlite_file.connect`."""
        if self._faults:
            self.strike("connect", happens=False)
        # Called as a class of connections would be.
        factory: Any = functools.partial(_Connection, disk=self)
        connection: sqlite3.Connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=factory,
        )
        return connection

    def fail(
        self, beginning: str, *, message: str = "disk I/O error", happens: bool = False, times: int = 2**31
    ) -> None:
        """Statements that begin so (`connect` for opening) fail, that many times; with `happens`, after they ran."""
        self._faults.append(_Fault(beginning, message, happens, times))

    def heal(self) -> None:
        """All is well again."""
        self._faults.clear()

    def strike(self, statement: str, *, happens: bool) -> None:
        """Raises `sqlite3.OperationalError` where this statement is to fail at this point."""
        for fault in self._faults:
            if fault.happens == happens and fault.times > 0 and statement.startswith(fault.beginning):
                fault.times -= 1
                self.failed += 1
                raise sqlite3.OperationalError(fault.message)


class _Connection(sqlite3.Connection):
    # The driver's own signatures take any values.
    def __init__(self, *args: Any, disk: FailingDisk, **options: Any) -> None:  # noqa: ANN401
        self._disk = disk
        super().__init__(*args, **options)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401
        self._disk.strike(sql, happens=False)
        cursor = super().execute(sql, parameters)
        self._disk.strike(sql, happens=True)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        self._disk.strike(sql, happens=False)
        cursor = super().executemany(sql, parameters)
        self._disk.strike(sql, happens=True)
        return cursor
