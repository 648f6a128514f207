"""Medians over interleaved rounds, so that what else the machine does falls on every engine alike."""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Times:
    """Microseconds of single calls: the median of the rounds' medians, and the best round's 99th percentile."""

    p50: float
    p99: float


def interleaved(
    calls: Mapping[str, tuple[Callable[[Any], Any], Sequence[Any]]], *, rounds: int, seconds: float, most: int = 2_000
) -> dict[str, Times]:
    """Time each function over its arguments; `seconds` is what one engine may take in one round."""
    found: dict[str, list[list[float]]] = {name: [] for name in calls}
    counts = {name: _count(function, arguments, seconds, most) for name, (function, arguments) in calls.items()}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, (function, arguments) in calls.items():
                found[name].append(sorted(_round(function, arguments, counts[name])))
    finally:
        gc.enable()
    return {name: _times(samples) for name, samples in found.items()}


def _count(function: Callable[[Any], Any], arguments: Sequence[Any], seconds: float, most: int) -> int:
    """How many calls fit into `seconds`; also the warm-up."""
    start = time.perf_counter()
    done = 0
    while done < most and (time.perf_counter() - start < seconds / 4 or done < 3):
        function(arguments[done % len(arguments)])
        done += 1
    each = (time.perf_counter() - start) / done
    return max(3, min(most, int(seconds / each)))


def _round(function: Callable[[Any], Any], arguments: Sequence[Any], count: int) -> list[float]:
    clock = time.perf_counter_ns
    size = len(arguments)
    samples = []
    for index in range(count):
        argument = arguments[index % size]
        start = clock()
        function(argument)
        samples.append((clock() - start) / 1_000)
    return samples


def _times(rounds: list[list[float]]) -> Times:
    p50 = statistics.median(statistics.median(samples) for samples in rounds)
    p99 = min(samples[min(len(samples) - 1, int(len(samples) * 0.99))] for samples in rounds)
    return Times(p50, p99)


def fsync_p50(folder: str | None = None, times: int = 100) -> float:
    """Median milliseconds of appending 4 KiB to a file and waiting for the disk (fdatasync)."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        handle = os.open(Path(place) / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            samples = []
            for _ in range(times):
                os.write(handle, b"x" * 4_096)
                start = time.perf_counter()
                os.fdatasync(handle)
                samples.append((time.perf_counter() - start) * 1_000)
        finally:
            os.close(handle)
    return statistics.median(samples)
