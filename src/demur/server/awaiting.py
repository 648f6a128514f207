"""Answers that a writer thread ends, awaited on an event loop: one wake-up for a whole group of them (S11.2).

A group commit ends many Futures at once. Each would wake the loop through a pipe of its own; here the first does, and
those that end before the loop looks come along with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


class Awaiting:
    """Futures of other threads, for one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended: deque[tuple[Future[object], asyncio.Future[object]]] = deque()
        self._lock = Lock()
        self._is_woken = False

    async def result(self, future: Future[T], seconds: float) -> T:
        """What `future` ends in. Raises `TimeoutError` after so many seconds; the work is then cancelled if it can be.

        Where whoever waits here is cancelled, so is the work, unless it has begun: then it ends on its own.
        """
        waiter: asyncio.Future[T] = self._loop.create_future()
        future.add_done_callback(lambda done: self._note(done, waiter))
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        finally:
            if not future.done():
                future.cancel()

    def _note(self, done: Future[T], waiter: asyncio.Future[T]) -> None:
        self._ended.append((done, waiter))  # type: ignore[arg-type]  # one queue for results of every type
        with self._lock:
            if self._is_woken:
                return
            self._is_woken = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop was closed: nobody waits any more
            self._ended.clear()

    def _deliver(self) -> None:
        with self._lock:
            self._is_woken = False
        while self._ended:
            done, waiter = self._ended.popleft()
            if waiter.done():
                continue
            if done.cancelled():
                waiter.cancel()
            elif (error := done.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(done.result())
