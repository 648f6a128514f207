"""Reads the time: the system's clock, and one that tests and simulations move by hand."""

from __future__ import annotations

import time

from demur.core.terms import Timestamp


class SystemClock:
    """The clock of this machine, UTC, as precise as the operating system tells it."""

    def now(self) -> Timestamp:
        return Timestamp(time.time_ns())


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: Timestamp) -> None:
        self._now = start

    def now(self) -> Timestamp:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move by that many seconds; negative values turn the clock back, which a store must survive."""
        self._now = self._now.plus(seconds)
