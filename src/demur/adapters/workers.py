"""Worker threads for calls that may hang: a bounded pool that a hanging call can shrink but never exhaust silently.

- At most `size` calls run that somebody still waits for, and at most `max_waiting` wait for a free thread.
- A call that nobody waits for any more is *abandoned*: its thread no longer counts, and another may take its place.
- At most `max_abandoned` calls hang at a time. Beyond that every further call is refused at once, until one returns.
- Threads are daemons: a call that never returns does not keep the process alive.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

from demur.errors import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

IDLE_SECONDS = 30.0
"""How long a thread without work stays."""


class Call(Generic[T]):
    """One piece of work. `future` gets its result or the exception it raised."""

    __slots__ = ("abandoned", "future", "running", "work")

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.future: Future[T] = Future()
        self.running = False
        self.abandoned = False

    def run(self) -> None:
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001  (a fact source may raise anything; the waiter must learn it)
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Workers(Generic[T]):
    """The pool. `submit` and `abandon` never block."""

    def __init__(self, name: str, *, size: int = 8, max_abandoned: int = 8, max_waiting: int = 1_024) -> None:
        self._name = name
        self._size = size
        self._max_abandoned = max_abandoned
        self._max_waiting = max_waiting
        self._waiting: deque[Call[T]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._hanging = 0
        self._closed = False

    @property
    def hanging(self) -> int:
        """How many calls still run although nobody waits for them."""
        return self._hanging

    def submit(self, work: Callable[[], T]) -> Call[T]:
        """Queue `work`; raises `OverloadedError` where it could not be done in time anyway."""
        call = Call(work)
        with self._changed:
            if self._closed:
                raise OverloadedError("the fact sources are closed")
            if self._hanging >= self._max_abandoned:
                raise OverloadedError(f"{self._hanging} earlier calls still hang")
            if len(self._waiting) >= self._max_waiting:
                raise OverloadedError(f"{len(self._waiting)} calls wait already")
            self._waiting.append(call)
            self._staff()
        return call

    def abandon(self, call: Call[T]) -> None:
        """Nobody waits for this call any more; abandoning it twice, or after its end, changes nothing."""
        with self._changed:
            if call.abandoned or call.future.done():
                return
            call.abandoned = True
            if call.running:
                self._hanging += 1
                self._staff()
            else:
                self._waiting.remove(call)
                call.future.cancel()

    def close(self) -> None:
        """Take no more work and cancel what waits; what runs is left to end by itself."""
        with self._changed:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().future.cancel()
            self._changed.notify_all()

    def _staff(self) -> None:
        """See that somebody will take the call that was queued last. Called with the lock held."""
        if not self._waiting:
            return
        if self._idle >= len(self._waiting):
            self._changed.notify()
        elif self._threads - self._hanging < self._size:
            try:
                threading.Thread(target=self._serve, name=f"demur-{self._name}", daemon=True).start()
            except RuntimeError as error:
                if self._threads == self._hanging:
                    self._waiting.pop().future.cancel()
                    raise OverloadedError("the system gives no further thread") from error
            else:
                self._threads += 1

    def _serve(self) -> None:
        while (call := self._next()) is not None:
            call.run()
            with self._changed:
                if call.abandoned:
                    self._hanging -= 1
                # The place of an abandoned call may have been taken meanwhile.
                surplus = self._threads - self._hanging > self._size
                call.running = False
                if surplus:
                    self._threads -= 1
                    return

    def _next(self) -> Call[T] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._closed, IDLE_SECONDS)
            self._idle -= 1
            if not self._waiting:
                self._threads -= 1
                return None
            call = self._waiting.popleft()
            call.running = True
            return call
