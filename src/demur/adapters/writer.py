"""One thread that runs works in order and makes them durable in groups.

1. Everything queued, up to `max_group` works, becomes a group.
2. The works run one after the other, each with one instant that never lies before the one of any work before it.
   A work that raises is discarded; its exception is its answer.
3. The group is committed, once.
4. Only then every Future gets its answer (S5.1). Where the group could not be made durable, every Future of the group
   gets the `StoreError`: even an exception may rest on what an earlier work of the group wrote.

The queue is bounded: a full one refuses at once (`OverloadedError`), it never drops what it took. While a group waits
for the disk the next one gathers, so throughput does not depend on how long a commit takes. After a fork every call
raises, because the thread exists only in the parent (S11.1).
"""

from __future__ import annotations

import os
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from demur.errors import OverloadedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.adapters.group import Group
    from demur.core.terms import Timestamp
    from demur.ports import Clock, Transaction

T = TypeVar("T")
# The result type of a work differs from work to work; each Future keeps its own.
_Work = tuple["Callable[[Transaction], Any]", "Future[Any]"]

MAX_QUEUED = 4096
MAX_GROUP = 256


class Backend(Protocol):
    """Where groups are made durable. All but `close` are called by the writer thread only."""

    def begin(self) -> Group:
        """A new group; raises `StoreError` where nothing can be written."""

    def commit(self, group: Group) -> None:
        """Make the group durable, or raise `StoreError` with nothing of it durable, as far as can be known."""

    def abandon(self) -> None:
        """Forget the present group: something went wrong that may have left it half done. Never raises."""

    def close(self) -> None:
        """Called once, after the last group."""


class Writer:
    """Queue and thread over a backend."""

    def __init__(
        self, backend: Backend, clock: Clock, *, now: Timestamp, max_queued: int, max_group: int, name: str
    ) -> None:
        """`now` is the earliest instant a work may see."""
        self._backend = backend
        self._clock = clock
        self._now = now
        self._max_queued = max_queued
        self._max_group = max_group
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._pid = os.getpid()
        # A daemon: a program that forgets to close must still end, and the next opening can tell (`was_clean`).
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Transaction], T], into: Future[T] | None = None) -> Future[T]:
        """As `ports.Store.submit`."""
        self.check_usable()
        future: Future[T] = Future() if into is None else into
        with self._lock:
            if self._is_closed:
                raise StoreError("expected an open store, found one that was closed")
            if self._queue.qsize() >= self._max_queued:
                raise OverloadedError(
                    f"the queue of the store is full with {self._max_queued} works",
                    hint="answer `unavailable` and let the caller try again; nothing was executed",
                )
            self._queue.put((work, future))
        return future

    def now(self) -> Timestamp:
        """The clock, never before an instant that a work was given."""
        return max(self._clock.now(), self._now)

    def check_usable(self) -> None:
        """Raises `StoreError` after a close, and in a process forked from the one that opened the store."""
        if os.getpid() != self._pid:
            raise StoreError(
                f"expected the process {self._pid} that opened the store, found its fork {os.getpid()}",
                hint="open the store after forking, in one process only",
            )
        if self._is_closed:
            raise StoreError("expected an open store, found one that was closed")

    def close(self) -> None:
        """Finish what is queued and close the backend; a second call waits for the first."""
        if os.getpid() != self._pid:
            self.check_usable()
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # Below: the writer thread.

    def _run(self) -> None:
        is_open = True
        while is_open:
            works, is_open = self._take()
            try:
                self._run_group(works)
            # This thread must outlive whatever goes wrong in one group: a Future that is left hanging is an agent
            # that waits for ever, and a dead writer is a gate that cannot even refuse.
            except BaseException as error:  # noqa: BLE001
                self._backend.abandon()
                _fail(works, error)
        self._backend.close()

    def _take(self) -> tuple[list[_Work], bool]:
        """What is queued, waiting for the first; and whether more may come."""
        works: list[_Work] = []
        first = self._queue.get()
        while first is not None:
            works.append(first)
            if len(works) >= self._max_group:
                return works, True
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                return works, True
        return works, False

    def _run_group(self, works: list[_Work]) -> None:
        if not works:
            return
        group = self._backend.begin()
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        for work, future in works:
            if not future.set_running_or_notify_cancel():
                continue
            self._now = now = max(self._clock.now(), self._now)
            group.begin(now)
            try:
                answers.append((future, work(group), None))
            # Whatever a work raises is its own answer and must not take the other works of the group with it.
            except BaseException as error:  # noqa: BLE001
                group.discard()
                answers.append((future, None, error))
        self._backend.commit(group)
        group.close()
        for future, result, raised in answers:
            if raised is None:
                future.set_result(result)
            else:
                future.set_exception(raised)


def _fail(works: list[_Work], error: BaseException) -> None:
    for _, future in works:
        if future.done():
            continue
        failure = _store_error(error)
        if future.running() or future.set_running_or_notify_cancel():
            future.set_exception(failure)


def _store_error(error: BaseException) -> StoreError:
    """An error of its own for each Future: an exception object collects the traceback of everyone who raises it."""
    if isinstance(error, StoreError):
        copy = type(error)(str(error), hint=error.hint)
    else:
        copy = StoreError(f"the store failed: {error}")
    copy.__cause__ = error
    return copy
