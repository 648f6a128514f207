"""A circuit breaker for sources: after failures in a row a source is not asked for a while, and then once, as a probe.

    closed  --`failures` in a row-->  open  --after `open_seconds`-->  half open: one probe, nobody else
       ^                                ^                                |
       |                                +---------- it fails ------------+
       +---------------------------------- it succeeds ------------------+

- While it is open, facts are unknown at once: nobody waits for what is known to be down, and nobody adds to its load.
- A source that answers, be it that there is none, works. What a request is to blame for (`UnfitError`) counts neither
  way, so that nobody can open the circuit for others by sending nonsense.
- A probe that never ends counts as failed after `open_seconds`, and another is let through.

Clauses: S2.1.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from demur.errors import DemurError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAILURES = 5
OPEN_SECONDS = 10.0


class OpenError(DemurError):
    """The source failed again and again and is not asked for a while."""


class UnfitError(DemurError):
    """The source was not asked, or said nothing, because of what this one request holds."""


class SourceError(DemurError):
    """The source could not be asked, or said something useless. Quotes nothing of what was asked or said."""


class Circuit(StrEnum):
    """Whether a source is asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class _Pass:
    """One question that was let through; `is_probe` where the circuit hangs on it."""

    number: int
    is_probe: bool


class Breaker:
    """One circuit. Safe to use from any thread."""

    def __init__(
        self,
        name: str,
        *,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._limit = failures
        self._open_seconds = open_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failed = 0
        self._since = 0.0
        self._state = Circuit.CLOSED
        self._round = 0
        """Counts openings: what was let through before one says nothing about the state after it."""

    @property
    def state(self) -> Circuit:
        """Whether the source is asked now."""
        with self._lock:
            return self._state

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Let one question through, and learn from how it ends; raises `OpenError`."""
        admitted = self._admit()
        has_failed: bool | None = True
        try:
            yield
            has_failed = False
        except UnfitError:
            has_failed = None
            raise
        finally:
            self._end(admitted, has_failed=has_failed)

    def _admit(self) -> _Pass:
        with self._lock:
            if self._state is Circuit.CLOSED:
                return _Pass(self._round, is_probe=False)
            if self._monotonic() - self._since < self._open_seconds:
                raise OpenError(
                    f"the source `{self._name}` failed {self._failed} times in a row and is not asked for now"
                )
            self._state = Circuit.HALF_OPEN
            self._since = self._monotonic()
            self._round += 1
            return _Pass(self._round, is_probe=True)

    def _end(self, admitted: _Pass, *, has_failed: bool | None) -> None:
        with self._lock:
            if admitted.number != self._round:
                return
            if has_failed is None:
                if admitted.is_probe:
                    # It tells nothing about the source, so the next one is the probe.
                    self._state = Circuit.OPEN
                    self._since = self._monotonic() - self._open_seconds
                    self._round += 1
            elif has_failed:
                self._failed += 1
                if admitted.is_probe or self._failed >= self._limit:
                    self._open()
            else:
                self._failed = 0
                self._state = Circuit.CLOSED

    def _open(self) -> None:
        self._state = Circuit.OPEN
        self._since = self._monotonic()
        self._round += 1
