"""Four replicas on one PostgreSQL server, everything on the same cores: whole answers, and records alone."""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
import traceback
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from bench import policies, workload
from bench.answering import RULES, _figures
from bench.table import Table, verdict
from bench.timing import fsync_p50

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from tests.postgres import Server

    Figures = tuple[float, float, float]
    Spent = tuple[float, float]
    Submit = Callable[[], Future[object]]
    Opened = tuple[Submit, Callable[[], None]]

REPLICAS = 4
WIDTH = 64
"""Requests that each replica has under way."""
TARGET = 6_000
TAIL_MS = 100
NOTE_BYTES = 400
"""What is sealed beside a bare record."""


def table(*, seconds: float, folder: str | None = None) -> Table:
    """Grants, grants that carry a request id, and bare records, each for `seconds`."""
    from tests import postgres

    made = Table(
        f"PostgreSQL, {REPLICAS} replicas x {WIDTH} in flight, 1,000 rules",
        ["per second", "p50 ms", "p99 ms", "gate us", "server us", "target"],
    )
    with tempfile.TemporaryDirectory(dir=folder) as place, postgres.running(Path(folder) if folder else None) as server:
        flush, load = fsync_p50(place), os.getloadavg()[0]
        source = policies.write(Path(place) / "policies", workload.rules(RULES))
        for name, is_named in (("grants", False), ("grants, each under a request id", True)):
            keys = server.url(server.empty_database())
            gates = _Gates(source, Path(place) / name, server.new_database(), keys, is_named=is_named)
            figures, spent = _together(gates, seconds, server)
            tail = verdict(figures[2], TAIL_MS, "ms p99")
            made.add(name, *figures, *spent, f"{verdict(figures[0], TARGET, '/s', at_least=True)}, {tail}")
            _check(gates.store)
        store = server.new_database()
        figures, spent = _together(lambda number: _records(store, number), seconds, server)
        made.add("records alone", *figures, *spent, "")
        size = _check(store)
    made.notes.append(f"every chain checked at the end: 0 gaps, {size:,} records in the last")
    made.notes.append(f"fdatasync of 4 KiB in the same folder: p50 {flush:.3f} ms, before the run; fsync is on")
    made.notes.append("us: processor time for each answer, of its gate and its client, and of the server")
    made.notes.append(f"load when it began {load:.1f}; server, replicas and clients share the cores")
    return made


class _Gates:
    """Opens the gate of one replica; the first makes keys and tables."""

    def __init__(self, source: Path, home: Path, store: str, keys: str, *, is_named: bool) -> None:
        from demur.wiring import Settings, load_policies

        self.store = store
        self._is_named = is_named
        self._settings = Settings(source, home, store=store, keys=keys)
        self._documents = load_policies(source)
        asked = workload.requests(500)
        self._granted = [asked[at] for at in _apart(lambda: self._allowed(asked))]

    def _allowed(self, asked: list[workload.Request]) -> list[int]:
        from demur.wiring import open_gate

        with open_gate(self._settings, self._documents).gate as gate:
            return [at for at, item in enumerate(asked) if gate.decide(policies.body(item)).outcome == "allow"]

    def __call__(self, number: int) -> Opened:
        from demur.wiring import open_gate

        gate = open_gate(self._settings, self._documents).gate
        bodies = self._bodies(number)
        return lambda: gate.submit(next(bodies)), gate.close  # type: ignore[return-value]

    def _bodies(self, number: int) -> Iterator[bytes]:
        ready = [policies.body(item) for item in self._granted]
        for count in itertools.count():
            if self._is_named:
                item = self._granted[count % len(ready)]
                yield policies.body(item, number=count * REPLICAS + number)
            else:
                yield ready[count % len(ready)]


def _records(store: str, number: int) -> Opened:
    """Appends records as large as decisions are, with sealed values, and nothing else."""
    from demur.adapters.postgres import PostgresStore
    from demur.core.record import Draft, Sealed

    opened = PostgresStore(store, "bench")
    body = {f"field_{index}": "0123456789abcdef" for index in range(8)}
    sealed = Sealed("k" * 32, bytes(60), bytes(12), os.urandom(NOTE_BYTES), "ab" * 32, "cd" * 32)
    draft = Draft("decision", {**body, "replica": number}, sealed)
    return lambda: opened.submit(lambda tx: tx.append(draft)), opened.close  # type: ignore[return-value]


def _apart(function: Callable[[], list[int]]) -> list[int]:
    """What the function returns, found in a process of its own: a process that is to fork runs no gate's threads."""
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            with os.fdopen(write, "wb") as end:
                end.write(json.dumps(function()).encode())
        except BaseException:  # noqa: BLE001  (a forked process must never return into its parent's code)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as end:
        found: list[int] = json.loads(end.read())
    os.waitpid(pid, 0)
    return found


def _together(opening: Callable[[int], Opened], seconds: float, server: Server) -> tuple[Figures, Spent]:
    """What all replicas, which begin at one moment, were answered in so many seconds, and processor time for each."""
    begin, results = os.pipe(), [os.pipe() for _ in range(REPLICAS)]
    pids = []
    for number in range(REPLICAS):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(begin[1])
            _child(opening, number, seconds, begin[0], results[number][1])
        pids.append(pid)
        os.close(results[number][1])
    os.close(begin[0])
    ends = [os.fdopen(read, "rb") for read, _ in results]
    for end in ends:
        assert end.readline() == b"ready\n"
    before = server.processor_seconds()
    os.close(begin[1])
    told = [json.loads(end.readline()) for end in ends]
    server_seconds = server.processor_seconds() - before
    for pid in pids:
        os.waitpid(pid, 0)
    samples = [sample for one in told for sample in one["samples"]]
    gate_seconds = sum(one["seconds"] for one in told)
    each = 1e6 / len(samples)
    return _figures(samples, seconds), (gate_seconds * each, server_seconds * each)


def _child(opening: Callable[[int], Opened], number: int, seconds: float, begin: int, result: int) -> None:
    try:
        submit, close = opening(number)
        os.write(result, b"ready\n")
        os.read(begin, 1)
        before = time.process_time()
        samples = _in_flight(submit, seconds)
        told = {"samples": samples, "seconds": time.process_time() - before}
        with os.fdopen(result, "wb") as end:
            end.write(json.dumps(told).encode() + b"\n")
        close()
    except BaseException:  # noqa: BLE001  (a forked process must never return into its parent's code)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _in_flight(submit: Submit, seconds: float) -> list[float]:
    """Latencies of what was answered in time; an answer that is no grant, or no record, ends it."""
    waiting: deque[tuple[float, Future[object]]] = deque()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        while len(waiting) < WIDTH:
            waiting.append((time.perf_counter(), submit()))
        start, future = waiting.popleft()
        answer = future.result(60)
        assert getattr(answer, "outcome", "allow") == "allow", answer
        samples.append(time.perf_counter() - start)
    for _, future in waiting:
        future.result(60)
    return samples


def _check(store: str) -> int:
    """The size of the ledger, whose chain and numbers are checked; raises `LedgerError`."""
    from demur.adapters.postgres import PostgresReader
    from demur.core.ledger import chain

    reader = PostgresReader(store)
    end = chain.check(reader.records(), log=reader.log).end
    head = reader.read(lambda tx: tx.head)
    reader.close()
    assert (end.size, end.record_hash) == (head.size, head.record_hash)
    return end.size
