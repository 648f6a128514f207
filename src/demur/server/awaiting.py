"""Answers that a writer thread ends, awaited on an event loop: one wake-up for a whole group of them (S11.2).

A group commit ends many Futures at once. Each would wake the loop through a pipe of its own; here the first does, and
those that end before the loop looks come along with it.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

T = TypeVar("T")


SWEEP_SECONDS = 0.25
"""How often those who have waited too long are looked for: one timer for all, since nearly nobody does."""


class Awaiting:
    """Futures of other threads, for one event loop. Each is waited for up to `seconds`, and a sweep longer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._waiting: deque[tuple[float, asyncio.Future[object]]] = deque()
        self._is_sweeping = False
        self._ended: deque[tuple[Future[object], asyncio.Future[object]]] = deque()
        self._lock = Lock()
        self._is_woken = False

    async def result(self, future: Future[T]) -> T:
        """What `future` ends in. Raises `TimeoutError` where that takes too long; the work is cancelled if it can be.

        Where whoever waits here is cancelled, so is the work, unless it has begun: then it ends on its own.
        """
        waiter: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((self._loop.time() + self._seconds, waiter))  # type: ignore[arg-type]  # as in `_note`
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)
        future.add_done_callback(lambda done: self._note(done, waiter))
        try:
            return await waiter
        except BaseException:
            future.cancel()  # which does nothing where it has begun or ended
            raise

    def _sweep(self) -> None:
        """Let go of those that ended, and end those that are late. All wait equally long, so the first is first due."""
        now, waiting = self._loop.time(), self._waiting
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            _, waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError())
        self._is_sweeping = bool(waiting)
        if waiting:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

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
