"""Line by line: one question per line of standard input, one answer per line of standard output, in the same order."""

from __future__ import annotations

import queue
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from demur.cli.terminal import error_document, write_json
from demur.errors import DemurError, IntakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

Answer = TypeVar("Answer")
MAX_LINE_BYTES = 1 << 20
"""A longer line is answered by an error; a request may hold 256 KiB."""
IN_FLIGHT = 512
"""Questions that wait for their answers at one time; then reading pauses."""


def lines() -> Iterator[tuple[int, bytes]]:
    """The lines of standard input with their numbers from 1; empty ones are left out. A line that is too long is cut
    behind the limit, so that whoever reads it refuses it.
    """
    number = 0
    while line := sys.stdin.buffer.readline(MAX_LINE_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = sys.stdin.buffer.readline(MAX_LINE_BYTES + 1)
        if text := line.strip():
            yield number, text


def decoded(line: bytes) -> object:
    """The JSON value of a line; raises `IntakeError`."""
    if len(line) > MAX_LINE_BYTES:
        raise IntakeError("", expected=f"at most {MAX_LINE_BYTES} bytes in a line", found="more")
    try:
        return msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        raise IntakeError("", expected="one JSON document in a line", found="bytes that are not UTF-8") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise IntakeError("", expected="one JSON document in a line", found=f"something else ({error})") from error


def failure(error: DemurError, line: int) -> dict[str, object]:
    """The answer to a line that could not be answered."""
    return {"error": {**error_document(error), "line": line}}


def pipeline(ask: Callable[[bytes], Future[Answer]], show: Callable[[Answer], object]) -> None:
    """Ask every line without waiting for the answers before it, and write the answers in order.

    `ask` and the Future may fail with a `DemurError`, which is written as the answer to that line.
    """
    waiting: queue.Queue[Asked[Answer] | None] = queue.Queue(IN_FLIGHT)
    has_read_all = threading.Event()
    # A daemon, because it may wait for input for ever when the reader of our output has gone.
    threading.Thread(target=_ask_all, args=(ask, waiting, has_read_all), name="questions", daemon=True).start()
    while (asked := waiting.get()) is not None:
        write_json(_answer(asked, show))
    if not has_read_all.is_set():
        message = "reading the questions ended by a mistake of the program, told above"
        raise RuntimeError(message)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Answer]):
    """One line that was asked: its number, and the answer to come or what was wrong with it."""

    line: int
    answer: Future[Answer] | DemurError


def _ask_all(
    ask: Callable[[bytes], Future[Answer]],
    waiting: queue.Queue[Asked[Answer] | None],
    has_read_all: threading.Event,
) -> None:
    try:
        for number, line in lines():
            waiting.put(Asked(number, _asked(ask, line)))
        has_read_all.set()
    finally:
        waiting.put(None)


def _asked(ask: Callable[[bytes], Future[Answer]], line: bytes) -> Future[Answer] | DemurError:
    try:
        return ask(line)
    except DemurError as error:
        return error


def _answer(asked: Asked[Answer], show: Callable[[Answer], object]) -> object:
    if isinstance(asked.answer, DemurError):
        return failure(asked.answer, asked.line)
    try:
        return show(asked.answer.result())
    except DemurError as error:
        return failure(error, asked.line)
