"""The client for programs that block: one event loop in a thread of its own asks for all of them.

After a fork the child gets a loop and connections of its own; what the parent asked stays with the parent.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar

from demur.client import asking
from demur.client.asking import LOCAL
from demur.client.asynchronous import TIMEOUT_SECONDS, AsyncClient
from demur.core.review import Deferral, ReviewState
from demur.errors import AccessError, IntakeError, RulingError, StoreError
from demur.waiting import Pending, bind

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Coroutine, Mapping
    from pathlib import Path

    from demur.client.reading import ReviewPage
    from demur.core.evidence import Answer
    from demur.core.grant import Redemption
    from demur.core.intake import Caller
    from demur.core.refusal import Refusal
    from demur.core.terms import Value
    from demur.core.told import Wanted
    from demur.waiting import Answered

T = TypeVar("T")

_GRACE_SECONDS = 1.0
"""Beyond its deadline the loop has this long to say so, before we say it ourselves."""


class Client:
    """Asks a service. Safe to use from any thread, and from coroutines by `submit`."""

    def __init__(
        self,
        base_url: str,
        *,
        credential: str = "",
        timeout: float = TIMEOUT_SECONDS,
        verify: bool | str | Path | ssl.SSLContext = True,
    ) -> None:
        """As `AsyncClient`; raises `ConfigurationError`."""
        self._timeout_seconds = timeout
        self._make = partial(AsyncClient, base_url, credential=credential, timeout=timeout, verify=verify)
        self._make()
        self._lock = threading.Lock()
        self._loop: _Loop | None = None
        self._is_closed = False

    def submit(self, request: bytes | str | Mapping[str, object], *, caller: Caller = LOCAL) -> Future[Answered]:
        """The Future of the answer to one request; raises `IntakeError` at once where it cannot be sent.

        The Future ends in a `Grant`, a `Refusal` or a `Deferral`, or in an `IntakeError` or `AccessError`.
        """
        asked = asking.question(request, caller)

        async def work(client: AsyncClient) -> Answered:
            return self._blocking(await client.put(asked), asked.wanted)

        return self._run(work, lambda why: asking.unavailable(why, asked.request_id))

    def claim(self, review_id: str) -> Answered:
        """As `AsyncClient.claim`."""

        async def work(client: AsyncClient) -> Answered:
            return self._blocking(await client.claim(review_id), None)

        return self._result(self._run(work, asking.unavailable), asking.unavailable)

    def decide(self, request: bytes | str | Mapping[str, object], *, caller: Caller = LOCAL) -> Answered:
        """The answer to one request; `unavailable` where none came that can be believed.

        Raises `IntakeError` and `AccessError`.
        """
        return self._result(self.submit(request, caller=caller), asking.unavailable)

    def redeem(
        self, token: str, arguments: Mapping[str, Value], *, understands: Collection[str] = ()
    ) -> Redemption | Refusal:
        """As `AsyncClient.redeem`."""
        work = self._run(lambda client: client.redeem(token, arguments, understands=understands), asking.unavailable)
        return self._result(work, asking.unavailable)

    def complete(self, grant_id: str, status: str) -> Refusal | None:
        """As `AsyncClient.complete`."""
        work = self._run(lambda client: client.complete(grant_id, status), asking.unavailable)
        return self._result(work, asking.unavailable)

    def reviews(
        self, *, credential: str, status: str = "", risk: str = "", role: str = "", limit: int = 0, token: str = ""
    ) -> ReviewPage:
        """As `AsyncClient.reviews`."""
        asked = {"status": status, "risk": risk, "role": role, "token": token}
        work = self._run(lambda client: client.reviews(credential=credential, limit=limit, **asked), _unread)
        return self._result(work, _unread)

    def review(self, review_id: str, *, credential: str) -> dict[str, object]:
        """As `AsyncClient.review`."""
        work = self._run(lambda client: client.review(review_id, credential=credential), _unread)
        return self._result(work, _unread)

    def review_state(self, review_id: str) -> ReviewState:
        """As `AsyncClient.review_state`."""
        work = self._run(lambda client: client.review_state(review_id), _pending)
        return self._result(work, _pending)

    def wait(self, review_id: str, timeout: float) -> ReviewState:
        """As `AsyncClient.wait`."""
        work = self._run(lambda client: client.wait(review_id, timeout), _pending)
        return self._result(work, _pending, beside=timeout)

    def rule(self, review_id: str, *, verdict: str, reason: str, credential: str) -> ReviewState:
        """As `AsyncClient.rule`."""
        work = self._run(
            lambda client: client.rule(review_id, verdict=verdict, reason=reason, credential=credential), _unrecorded
        )
        return self._result(work, _unrecorded)

    def close(self) -> None:
        """Let go of the connections; what is on its way ends in `unavailable`."""
        with self._lock:
            self._is_closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _blocking(self, found: Answer, wanted: Wanted | None) -> Answered:
        if not isinstance(found, Deferral):
            return found

        def resume(pending: Pending, timeout_seconds: float) -> Answered:
            async def work(client: AsyncClient) -> Answer:
                return await client.go_on(pending, wanted, timeout_seconds)

            run = self._run(work, asking.unavailable)
            answer = self._result(run, asking.unavailable, beside=max(0.0, timeout_seconds))
            return pending if answer is pending else self._blocking(answer, wanted)

        return bind(found, Pending, resume)

    def _run(self, work: Callable[[AsyncClient], Coroutine[object, object, T]], lost: Callable[[str], T]) -> Future[T]:
        """Begin the work on the loop; where that goes away, the Future ends in what `lost` makes of it."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                _lose(future, lost, "the client is closed")
                return future
            if self._loop is None or self._loop.pid != os.getpid():
                self._loop = _Loop(self._make)
            begun = self._loop.begin(work)
        begun.add_done_callback(partial(_settle, future, lost))
        future.add_done_callback(lambda done: begun.cancel() if done.cancelled() else None)
        return future

    def _result(self, future: Future[T], lost: Callable[[str], T], *, beside: float = 0.0) -> T:
        try:
            return future.result(self._timeout_seconds + beside + _GRACE_SECONDS)
        except LateError:
            future.cancel()
            return lost("no answer came in time")


class _Loop:
    """A thread with an event loop and a client on it, of one process."""

    def __init__(self, make: Callable[[], AsyncClient]) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._client = make()
        self._thread = threading.Thread(target=self._serve, name="demur-client", daemon=True)
        self._thread.start()

    def begin(self, work: Callable[[AsyncClient], Coroutine[object, object, T]]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work(self._client), self._loop)

    def stop(self) -> None:
        """Cancel what is on its way, and end the thread. In a child process there is no thread to end."""
        if self.pid == os.getpid():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
            self._loop.run_until_complete(self._client.close())


def _settle(future: Future[T], lost: Callable[[str], T], done: Future[T]) -> None:
    """End the caller's Future: with the answer, with an error of the program's own, or without an answer."""
    if not future.set_running_or_notify_cancel():
        return
    error = None if done.cancelled() else done.exception()
    if isinstance(error, (IntakeError, AccessError, RulingError, StoreError)):
        future.set_exception(error)
    elif done.cancelled() or error is not None:
        _lose(future, lost, "the client was closed" if error is None else f"no answer: `{type(error).__name__}`")
    else:
        future.set_result(done.result())


def _lose(future: Future[T], lost: Callable[[str], T], why: str) -> None:
    try:
        future.set_result(lost(why))
    except StoreError as error:
        future.set_exception(error)


def _unrecorded(why: str) -> ReviewState:
    raise StoreError(f"nothing says that the ruling was recorded: {why}")


def _unread(why: str) -> NoReturn:
    raise StoreError(f"the reviews cannot be read: {why}")


def _pending(why: str) -> ReviewState:
    del why
    return ReviewState.PENDING
