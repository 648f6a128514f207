"""5,000 rules: cold, from the compiled cache, and replaced while decisions go on."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import policies, workload
from bench.table import Table, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = 5_000
RELOADS = 3


def table(*, folder: str | None = None) -> Table:
    """Seconds to load, and the longest time that a decision took while policies were replaced."""
    from demur.adapters.policies import load_folder
    from demur.wiring import build_policies

    made = Table(f"policies, {RULES:,} rules", ["measured", "target"])
    with tempfile.TemporaryDirectory(dir=folder) as place:
        source = policies.write(Path(place) / "policies", workload.rules(RULES))
        cache = Path(place) / "cache"
        start = time.perf_counter()
        build_policies(load_folder(source)).warm()
        cold = time.perf_counter() - start
        load_folder(source, cache=cache)
        start = time.perf_counter()
        build_policies(load_folder(source, cache=cache))
        cached = time.perf_counter() - start
        idle, pause, took = _reload(source, Path(place))
    made.add("cold, every index made", f"{cold:.2f} s", verdict(cold, 6, "s"))
    made.add("from the compiled cache, ready to decide", f"{cached:.3f} s", verdict(cached, 0.5, "s"))
    made.add("reload: longest answer meanwhile", f"{pause * 1_000:.1f} ms", verdict(pause * 1_000, 20, "ms"))
    made.notes.append(
        f"reload took {took:.1f} s; the longest answer in 2 s without one was {idle * 1_000:.1f} ms; "
        f"medians of {RELOADS} reloads, one client, memory store"
    )
    return made


def _reload(source: Path, place: Path) -> tuple[float, float, float]:
    """The longest answer without and with a reload, and what a reload took: medians over some reloads."""
    from demur import wiring

    other = policies.write(place / "other", workload.rules(RULES, seed=8))
    parts = wiring.open_gate(wiring.Settings(policies=source))
    bodies = [policies.body(request) for request in workload.requests(500)]
    longest = [0.0]
    done = threading.Event()

    def client() -> None:
        count = 0
        while not done.is_set():
            start = time.perf_counter()
            parts.gate.decide(bodies[count % len(bodies)])
            longest[0] = max(longest[0], time.perf_counter() - start)
            count += 1

    def watched(work: Callable[[], object]) -> tuple[float, float]:
        longest[0], start = 0.0, time.perf_counter()
        work()
        took = time.perf_counter() - start
        time.sleep(0.3)
        return longest[0], took

    thread = threading.Thread(target=client, daemon=True)
    reloads, idles = [], []
    try:
        for body in bodies:
            parts.gate.decide(body)
        thread.start()
        for folder in (other, source, other)[:RELOADS]:
            idles.append(watched(lambda: time.sleep(2))[0])
            reloads.append(watched(lambda folder=folder: wiring.reload_policies(parts, folder)))  # type: ignore[misc]
    finally:
        done.set()
        thread.join(10)
        parts.gate.close()
    pauses, times = zip(*reloads, strict=True)
    return statistics.median(idles), statistics.median(pauses), statistics.median(times)
