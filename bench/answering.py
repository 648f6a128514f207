"""The whole durable answer through the embedded gate on SQLite: record, commitments, vault, grant."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from bench import policies, workload
from bench.table import Table, verdict
from bench.timing import fsync_p50

if TYPE_CHECKING:
    from concurrent.futures import Future

    from demur.gateway import Gateway

RULES = 1_000
WIDTH = 64


def table(*, seconds: float, folder: str | None = None) -> Table:
    """One client, 64 in flight, and 64 threads, each for `seconds`."""
    import demur

    made = Table("full durable answer, 1,000 rules, SQLite", ["answers / s", "p50 ms", "p99 ms", "target"])
    with tempfile.TemporaryDirectory(dir=folder) as place:
        flush = fsync_p50(place)
        source = policies.write(Path(place) / "policies", workload.rules(RULES))
        bodies = [policies.body(request) for request in workload.requests(500)]
        with demur.open(policies=source, home=Path(place) / "home") as gate:
            granted = [body for body in bodies if gate.decide(body).outcome == "allow"]
            _alone(gate, granted, 0.5)
            one = _alone(gate, granted, seconds)
            flight = _in_flight(gate, granted, seconds)
            threads = _threads(gate, granted, seconds)
            mixed = _in_flight(gate, bodies, seconds)
    bound = 2 * flush + 0.6
    made.add("one client", *one, verdict(one[1], bound, "ms"))
    made.add("64 in flight", *flight, verdict(flight[0], 5_000, "/s", at_least=True))
    tail = verdict(threads[2], 4 * threads[1], "ms p99")
    made.add("64 threads", *threads, f"{verdict(threads[0], 3_000, '/s', at_least=True)}, {tail}")
    refused = 100 - 100 * len(granted) // len(bodies)
    made.add("64 in flight, as they come", *mixed, f"{refused} % refused, with remedies")
    made.notes.append("all but the last row: grants, each with its record, commitments, sealed values and token")
    made.notes.append(f"fdatasync of 4 KiB in the same folder: p50 {flush:.3f} ms, before the run")
    return made


def _alone(gate: Gateway, bodies: list[bytes], seconds: float) -> tuple[float, float, float]:
    samples: list[float] = []
    end = time.perf_counter() + seconds
    begin = time.perf_counter()
    while time.perf_counter() < end:
        start = time.perf_counter()
        gate.decide(bodies[len(samples) % len(bodies)])
        samples.append(time.perf_counter() - start)
    return _figures(samples, time.perf_counter() - begin)


def _in_flight(gate: Gateway, bodies: list[bytes], seconds: float) -> tuple[float, float, float]:
    """One thread that keeps 64 requests under way."""
    waiting: deque[tuple[float, Future[object]]] = deque()
    samples, sent, begin = [], 0, time.perf_counter()
    while time.perf_counter() < begin + seconds or waiting:
        while len(waiting) < WIDTH and time.perf_counter() < begin + seconds:
            waiting.append((time.perf_counter(), gate.submit(bodies[sent % len(bodies)])))  # type: ignore[arg-type]
            sent += 1
        if waiting:
            start, future = waiting.popleft()
            future.result(30)
            samples.append(time.perf_counter() - start)
    return _figures(samples, time.perf_counter() - begin)


def _threads(gate: Gateway, bodies: list[bytes], seconds: float) -> tuple[float, float, float]:
    results: list[list[float]] = [[] for _ in range(WIDTH)]
    begin = time.perf_counter()

    def client(number: int) -> None:
        mine = results[number]
        while time.perf_counter() < begin + seconds:
            start = time.perf_counter()
            gate.decide(bodies[(number * 7 + len(mine)) % len(bodies)])
            mine.append(time.perf_counter() - start)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(WIDTH)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return _figures([sample for mine in results for sample in mine], time.perf_counter() - begin)


def _figures(samples: list[float], seconds: float) -> tuple[float, float, float]:
    ordered = sorted(samples)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return len(ordered) / seconds, statistics.median(ordered) * 1_000, p99 * 1_000
