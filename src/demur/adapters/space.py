"""Refuses before the disk is full: below a watermark of free space nothing is written any more.

A disk that runs full fails in the middle of something, and often for everybody else on the machine too. So each group
asks first: where less than `min_free_bytes` are free under the store, the answer is `unavailable`, and nothing is
executed. The file system is asked at most once a second, so that asking costs nothing; as soon as there is room again
the next group is written, and nobody has to do anything here.

Clauses: S5.2.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from demur.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

MIN_FREE_BYTES = 64 * 1024 * 1024
"""Room for the write-ahead log to grow and be moved into the file, some times over."""
SECONDS = 1.0
"""How long an answer of the file system holds."""

_logger = logging.getLogger("demur")


class Room(msgspec.Struct, frozen=True):
    """What was found when the watermark was crossed, downwards (`is_low`) or upwards. All in bytes."""

    is_low: bool
    free_bytes: int
    min_free_bytes: int


Tell: TypeAlias = Callable[[Room], object]


def free_bytes(folder: Path) -> int:
    """What a process without privileges can still write there; raises `OSError`."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Watermark:
    """The free space under one folder. Used by one thread."""

    def __init__(
        self,
        folder: Path,
        min_free_bytes: int = MIN_FREE_BYTES,
        *,
        tell: Tell | None = None,
        ask: Callable[[Path], int] = free_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` learns when the watermark is crossed; 0 bytes turn it off."""
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._tell = tell
        self._ask = ask
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._room = Room(is_low=False, free_bytes=0, min_free_bytes=min_free_bytes)

    def check(self) -> None:
        """Raises `StoreError` where there is too little room, or nobody knows how much there is."""
        if self._min_free_bytes <= 0:
            return
        now = self._monotonic()
        if now - self._asked_at >= SECONDS:
            self._learn()
            self._asked_at = now
        if self._room.is_low:
            raise StoreError(
                f"expected {self._min_free_bytes} bytes free under `{self._folder}`, found {self._room.free_bytes}",
                hint="make room on this file system; answers come again by themselves within a second",
            )

    def _learn(self) -> None:
        try:
            free = self._ask(self._folder)
        except OSError as error:
            message = f"the free space under `{self._folder}` cannot be learned: {error.strerror}"
            raise StoreError(message) from error
        was_low = self._room.is_low
        self._room = Room(free < self._min_free_bytes, free, self._min_free_bytes)
        if self._room.is_low != was_low:
            said = "too little is free, everything is refused" if self._room.is_low else "there is room again"
            _logger.error("the store under `%s`: %s (%d bytes)", self._folder, said, free)
            if self._tell is not None:
                self._tell(self._room)
