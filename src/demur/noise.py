"""Random bytes for whoever needs a few of them for every answer.

Asking the operating system takes a system call and lets go of the interpreter, which under load is waited for longer
than all the rest takes. So the bytes are fetched in larger pieces.
"""

from __future__ import annotations

import os
import threading


class Noise:
    """Random bytes of the operating system, fetched in larger pieces; each byte is given out once, across forks too."""

    PIECE = 16 * 1024

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._left = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """So many bytes that nobody else gets."""
        with self._lock:
            if self._at + count > len(self._left):
                self._left, self._at = os.urandom(max(count, self.PIECE)), 0
            self._at += count
            return self._left[self._at - count : self._at]


take = Noise().take
"""So many bytes that nobody else gets."""
