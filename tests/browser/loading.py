"""How long pages take at the server where many reviews wait, and precedents where many were ruled on.

Pages are asked for over HTTP from the same process, one after the other, by somebody who is logged in; what is told is
the time from the request to the last byte, and the processor's time in it, of service and client together: on a machine
that does other things too the first says little. Waiting reviews are opened through the gate, as requests open them.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx2

from demur.core.intake import Caller
from demur.core.terms import Entity
from tests.browser import story
from tests.browser.house import TENANTS, House, house, transfer

AT_A_TIME = 256
CALLER = Caller("agent:load", Entity(type="agent", id="load"))
RULED = 500
"""Of the reviews, so many have been ruled on."""


def load(folder: Path, reviews: int, *, times: int) -> None:
    """Print a table."""
    logging.disable(logging.ERROR)
    with house(folder, start=-3_600.0) as opened:
        began = time.monotonic()
        ruled = _fill(opened, reviews)
        _tell(f"{reviews} reviews wait and {ruled} were ruled on, made in {time.monotonic() - began:.0f} s")
        _tell(f"{'page':<58}{'p50':>9}{'p99':>9}{'max':>9}{'cpu p50':>9}{'bytes':>9}")
        for name, path in _pages(opened):
            _measure_page(opened, name, path, times)
        gate = opened.service.tenants.gate(TENANTS[0])
        waiting = gate.reviews(limit=times)
        asked: list[Callable[[], object]] = [_precedents(gate, one.id) for one in waiting]
        _row("gate: precedents of one review", [_timed(one) for one in asked], 0)


def _fill(opened: House, reviews: int) -> int:
    gate = opened.service.tenants.gate(TENANTS[0])
    olga = story.staff(opened)[0]
    credential = opened.credential(olga)
    for number, ids in enumerate(_opened(gate, _requests(RULED, "ruled"))):
        gate.rule(
            ids, verdict="approve" if number % 3 else "reject", reason="as agreed by phone", credential=credential
        )
    for _ in _opened(gate, _requests(reviews, "waiting")):
        pass
    return RULED


def _requests(count: int, name: str) -> Iterator[dict[str, Any]]:
    """Of several kinds, by many people, about many accounts."""
    for number in range(count):
        if number % 5 == 4:
            yield {**story.dispense("morphine", 21 + number % 50, ward=f"{name}-{number}")}
        elif number % 50 == 3:
            yield transfer(6_000_000 + number, subject=f"{name}-{number % 400}", resource=f"acc-{name}-{number}")
        else:
            yield transfer(60_000 + number, subject=f"{name}-{number % 400}", resource=f"acc-{name}-{number}")


def _opened(gate: Any, requests: Iterator[dict[str, Any]]) -> Iterator[str]:
    waiting: list[Future[Any]] = []
    for body in requests:
        waiting.append(gate.submit(body, caller=CALLER))
        if len(waiting) == AT_A_TIME:
            yield from (_review_of(one) for one in waiting)
            waiting = []
    yield from (_review_of(one) for one in waiting)


def _review_of(answer: Future[Any]) -> str:
    found = answer.result(120)
    assert hasattr(found, "review_id"), found
    return str(found.review_id)


def _pages(opened: House) -> list[tuple[str, str]]:
    gate = opened.service.tenants.gate(TENANTS[0])
    first, last = gate.reviews(limit=1)[0].id, gate.reviews(limit=1_000)[-1].id
    return [
        ("the queue", "/desk"),
        ("the queue, the riskiest first", "/desk?sort=risk"),
        ("the queue, filtered by risk and action", "/desk?risk=high&action=dispense"),
        ("the queue, mine to decide", "/desk?who=decide"),
        ("the review that is due first", f"/desk/reviews/{first}"),
        ("a review far behind", f"/desk/reviews/{last}"),
        ("the overview", "/desk/overview"),
        ("the newest decisions", "/desk/decisions"),
        ("the API's list of reviews", "/reviews"),
    ]


def _measure_page(opened: House, name: str, path: str, times: int) -> None:
    cookies = {"demur": opened.credential(story.staff(opened)[0])}
    with httpx2.Client(base_url=opened.url, cookies=cookies, timeout=120) as client:
        first = client.get(path)
        assert first.status_code == 200, first.text
        taken = [_timed(lambda: client.get(path)) for _ in range(times)]
    _row(name, taken, len(first.content))


def _precedents(gate: Any, review: str) -> Callable[[], object]:
    return lambda: gate.precedents(review, limit=3)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that passed, and seconds of the processor."""
    began, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - worked


def _row(name: str, taken: list[tuple[float, float]], size: int) -> None:
    passed, worked = (sorted(one) for one in zip(*taken, strict=True))
    last = len(passed) - 1
    shown = (passed[last // 2], passed[round(0.99 * last)], passed[last], worked[last // 2])
    _tell(f"{name:<58}" + "".join(f"{1_000 * one:>6.0f} ms" for one in shown) + f"{size:>9}")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
