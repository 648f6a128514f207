"""One thread that does small things again and again: heartbeats, canaries. It can change no answer.

- Each beat has its own interval and its own next time; one that is late is done once, not as often as it was missed.
- A beat that fails for a reason that the gate knows (`DemurError`, `OSError`) is logged and counted, and tried again at
  its next time; what it should have recorded is then missing, which is what the ledger must show. A defect of the
  program ends the thread, and the missing heartbeats show that too.
- `stop` waits for the beat that is going on and lets no other begin.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demur.errors import DemurError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_logger = logging.getLogger("demur")


@dataclass(slots=True)
class Beat:
    """Something to do every so many seconds, first after that time; `failures` in a row so far."""

    name: str
    seconds: float
    do: Callable[[], object]
    failures: int = 0
    due: float = field(default=0.0)


class Pulse:
    """Does its beats until it is stopped. A daemon thread: a program that forgets to close must still end."""

    def __init__(self, beats: Sequence[Beat]) -> None:
        self._beats = [beat for beat in beats if beat.seconds > 0]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demur-pulse", daemon=True)
        if self._beats:
            self._thread.start()

    @property
    def failures(self) -> dict[str, int]:
        """For each beat, how often in a row it has failed."""
        return {beat.name: beat.failures for beat in self._beats}

    def stop(self) -> None:
        """Do nothing from now on; a second call does nothing."""
        self._stopped.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        for beat in self._beats:
            beat.due = begun + beat.seconds
        while True:
            beat = min(self._beats, key=lambda item: item.due)
            if self._stopped.wait(max(0.0, beat.due - time.monotonic())):
                return
            self._do(beat)
            beat.due = max(beat.due + beat.seconds, time.monotonic())

    def _do(self, beat: Beat) -> None:
        try:
            beat.do()
            beat.failures = 0
        except (DemurError, OSError) as error:
            beat.failures += 1
            if beat.failures & (beat.failures - 1) == 0:  # the 1st, 2nd, 4th, ...: one that goes on fills no disk
                _logger.warning("the %s failed %d times: %s", beat.name, beat.failures, error)
