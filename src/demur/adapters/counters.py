"""Running counts of what was granted: exact, and a query costs the same with ten rows as with ten thousand.

A quota is asked with a beginning (`since`) that moves only forward, by a clock that never runs backwards. So each
counter and key gets a *window*: the rows that count now, one heap by the time they happened and one by the time they
expire. A query drops what fell out at either end and reads two running sums; each row is dropped once. Scanning the
covering index instead costs about 0.1 us per row for every query under the append lock, which at 10,000 rows is more
than everything else a decision does.

Windows are a copy of what the store holds, built on first use and thrown away whenever they might differ from it.
They belong to one thread.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from demur.ports import SpendRow, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from demur.core.terms import Timestamp

NEVER = 2**63 - 1
"""`expires_at` of a settled row, in nanoseconds: the year 2262, and the largest integer of both databases."""
MAX_ROWS = 100_000
"""Rows kept over all windows, about 40 MB, before all are dropped and built again where they are asked for."""

Key = tuple[str, bytes]
"""A counter's name and the blinded key of whom it counts."""


class _Spent:
    """One row of a window; `is_counted` is false once it fell out, whatever the reason."""

    __slots__ = ("amount", "expires_at", "is_counted", "window")

    def __init__(self, window: Window, amount: int, expires_at: int) -> None:
        self.window = window
        self.amount = amount
        self.expires_at = expires_at
        self.is_counted = True


class Window:
    """What one counter counts for one key, from `since` on."""

    __slots__ = ("_added", "_by_expiry", "_by_time", "count", "key", "since", "total")

    def __init__(self, key: Key, since: int) -> None:
        self.key = key
        self.since = since
        self.count = 0
        self.total = 0
        self._added = 0
        self._by_time: list[tuple[int, int, _Spent]] = []
        self._by_expiry: list[tuple[int, int, _Spent]] = []

    def add(self, row: SpendRow) -> _Spent:
        spent = _Spent(self, row.amount, row.expires_at.nanos)
        self.count += 1
        self.total += row.amount
        self._added += 1  # Breaks ties, so that the heaps never compare rows.
        heapq.heappush(self._by_time, (row.at.nanos, self._added, spent))
        if spent.expires_at < NEVER:
            heapq.heappush(self._by_expiry, (spent.expires_at, self._added, spent))
        return spent

    def drop(self, spent: _Spent) -> None:
        if spent.is_counted:
            spent.is_counted = False
            self.count -= 1
            self.total -= spent.amount

    def usage(self, since: int, now: int) -> Usage:
        self.since = since
        by_time, by_expiry = self._by_time, self._by_expiry
        while by_time and by_time[0][0] < since:
            self.drop(heapq.heappop(by_time)[2])
        while by_expiry and by_expiry[0][0] <= now:
            spent = heapq.heappop(by_expiry)[2]
            if spent.expires_at <= now:
                self.drop(spent)
        return Usage(self.count, self.total)


class Counters:
    """The windows of one writer."""

    def __init__(self) -> None:
        self._windows: dict[Key, Window] = {}
        self._by_grant: dict[str, list[_Spent]] = {}
        self._rows = 0
        self._limit = MAX_ROWS

    def usage(self, key: Key, since: Timestamp, now: Timestamp, load: Callable[[], Iterable[SpendRow]]) -> Usage:
        """What counts at or after `since`; `load` reads the rows that count, where the window is not kept."""
        if self._rows > self._limit:
            self.clear()
        window = self._windows.get(key)
        if window is None or since.nanos < window.since:
            window = self._build(Window(key, since.nanos), load())
        return window.usage(since.nanos, now.nanos)

    def spend(self, row: SpendRow) -> None:
        """Count a row that is new, or takes the place of one with the same counter, key, time and grant."""
        window = self._windows.get((row.counter, row.key))
        if window is None:
            return
        if any(spent.window is window for spent in self._by_grant.get(row.grant_id, ())):
            self.forget(window.key)
        elif row.at.nanos >= window.since:
            self._add(window, row)

    def settle(self, grant_id: str, now: Timestamp) -> list[Key]:
        """The grant's rows that have not expired never will; returns the windows that hold one."""
        rows = self._by_grant.get(grant_id, [])
        for spent in rows:
            if spent.expires_at > now.nanos:
                spent.expires_at = NEVER
        return [spent.window.key for spent in rows]

    def release(self, grant_id: str) -> list[Key]:
        """The grant's rows no longer count; returns the windows that held one."""
        rows = self._by_grant.pop(grant_id, [])
        for spent in rows:
            spent.window.drop(spent)
        return [spent.window.key for spent in rows]

    def forget(self, key: Key) -> None:
        """Drop one window, which may no longer say what the store holds."""
        self._windows.pop(key, None)

    def clear(self) -> None:
        self._windows.clear()
        self._by_grant.clear()
        self._rows = 0
        self._limit = MAX_ROWS

    def _build(self, window: Window, rows: Iterable[SpendRow]) -> Window:
        for row in rows:
            self._add(window, row)
        self._windows[window.key] = window
        # One window may need more than the usual limit; without this it would be built again for every query.
        self._limit = max(self._limit, 2 * self._rows)
        return window

    def _add(self, window: Window, row: SpendRow) -> None:
        self._by_grant.setdefault(row.grant_id, []).append(window.add(row))
        self._rows += 1
