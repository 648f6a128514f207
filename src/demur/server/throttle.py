"""Who must wait before the next password is tried: by name and by address, each more after every failure.

It is kept in memory: another replica counts for itself, so that guessing is slowed by their number at most.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core import login
from demur.server.problems import TooManyError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REMEMBERED = 10_000
FORGET_SECONDS = 3_600.0
ADDRESS_FACTOR = 8
"""Many people may share an address; so many more failures are free there."""


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Throttle:
    """Failures of late; whoever failed longest ago is forgotten first. For one event loop."""

    def __init__(self, *, pace: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def check(self, name: str, address: str) -> None:
        """Raises `TooManyError` where one of them must wait."""
        wait = max(self._wait(("name", name), 1), self._wait(("address", address), ADDRESS_FACTOR))
        if wait > 0:
            raise TooManyError(f"expected the next try in {wait:.0f} s, found one before")

    def fail(self, name: str, address: str) -> None:
        """One more failure of both."""
        for key in (("name", name), ("address", address)):
            known = self._failures.pop(key, None)
            self._failures[key] = _Failures(known.count + 1 if known else 1, self._pace())
            if len(self._failures) > MAX_REMEMBERED:
                self._failures.popitem(last=False)

    def succeed(self, name: str) -> None:
        """Whoever knows the password starts anew; the address does not, or one account would pay for guesses."""
        self._failures.pop(("name", name), None)

    def _wait(self, key: tuple[str, str], factor: int) -> float:
        known = self._failures.get(key)
        if known is None:
            return 0.0
        passed = self._pace() - known.last
        if passed > FORGET_SECONDS:
            del self._failures[key]
            return 0.0
        return login.wait_seconds(known.count // factor) - passed
