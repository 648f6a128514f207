"""Worker threads: a call that hangs gives up its place, and too many of them are refused."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import pytest

from demur.adapters.workers import Workers
from demur.errors import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 10.0


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_waiting_call_takes_the_place_of_an_abandoned_one(release: threading.Event) -> None:
    started = threading.Event()

    def hang() -> int:
        started.set()
        release.wait(LONG)
        return 1

    workers: Workers[int] = Workers("test", size=1, max_abandoned=2)
    hanging = workers.submit(hang)
    assert started.wait(LONG)
    waiting = workers.submit(lambda: 2)
    workers.abandon(hanging)

    assert waiting.future.result(LONG) == 2
    assert workers.hanging == 1


def test_an_abandoned_call_that_ends_is_forgotten_and_its_result_kept(release: threading.Event) -> None:
    started = threading.Event()

    def hang() -> int:
        started.set()
        release.wait(LONG)
        return 1

    workers: Workers[int] = Workers("test", size=1)
    call = workers.submit(hang)
    assert started.wait(LONG)
    workers.abandon(call)
    workers.abandon(call)
    release.set()

    assert call.future.result(LONG) == 1
    assert workers.submit(lambda: 2).future.result(LONG) == 2
    end = time.monotonic() + LONG
    while workers.hanging and time.monotonic() < end:
        time.sleep(0.001)
    assert workers.hanging == 0


def test_a_call_abandoned_before_it_began_never_runs(release: threading.Event) -> None:
    ran: list[int] = []
    workers: Workers[object] = Workers("test", size=1)
    first = workers.submit(lambda: release.wait(LONG))
    second = workers.submit(lambda: ran.append(1))
    workers.abandon(second)
    release.set()
    first.future.result(LONG)

    with pytest.raises(CancelledError):
        second.future.result(LONG)
    assert workers.submit(lambda: 3).future.result(LONG) == 3
    assert ran == []


def test_more_than_may_wait_is_refused(release: threading.Event) -> None:
    started = threading.Event()
    workers: Workers[object] = Workers("test", size=1, max_waiting=1)
    workers.submit(lambda: started.set() or release.wait(LONG))  # type: ignore[func-returns-value]
    assert started.wait(LONG)
    workers.submit(lambda: 2)

    with pytest.raises(OverloadedError, match="1 calls wait already"):
        workers.submit(lambda: 3)


def test_no_more_calls_run_at_a_time_than_allowed() -> None:
    running, most, lock = 0, 0, threading.Lock()
    gate = threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(0.005)
        with lock:
            running -= 1

    workers: Workers[None] = Workers("test", size=3)
    for call in [workers.submit(work) for _ in range(60)]:
        call.future.result(LONG)

    assert most <= 3


def test_closing_cancels_what_waits(release: threading.Event) -> None:
    started = threading.Event()

    def hang() -> int:
        started.set()
        release.wait(LONG)
        return 1

    workers: Workers[int] = Workers("test", size=1)
    first = workers.submit(hang)
    assert started.wait(LONG)
    second = workers.submit(lambda: 2)
    workers.close()
    release.set()

    assert first.future.result(LONG) == 1
    assert second.future.cancelled()
    with pytest.raises(OverloadedError, match="the fact sources are closed"):
        workers.submit(lambda: 3)
