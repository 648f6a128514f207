"""Connections to PostgreSQL are cut at COMMIT again and again: a lost answer never leads to a record written twice.

python -m tests.faults.postgres_cuts [COUNT]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests import postgres
from tests.faults.postgres_proxy import Proxy
from tests.faults.postgres_replicas import POLL_SECONDS, PROGRESS_SECONDS, Replicas

if TYPE_CHECKING:
    from collections import Counter

REPLICAS = 3
EVERY = 8
"""One of so many commits is cut."""


def run(count: int, *, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Cut so often; the counts, and what was found wrong."""
    with (
        postgres.running() as server,
        tempfile.TemporaryDirectory(prefix="demur-") as folder,
        tempfile.TemporaryDirectory(prefix="demur-px-") as between,
    ):
        proxy = Proxy(Path(between), server.folder, EVERY, seed)
        proxy.start()
        replicas = Replicas(Path(folder), server, REPLICAS, through=between)
        try:
            replicas.start()
            replicas.progress(1)
            proxy.cut()
            _wait(proxy, replicas, count)
            replicas.progress(1)
        finally:
            replicas.stop()
            proxy.stop()
        counts = replicas.counts()
        counts["cut-before"], counts["cut-after"] = proxy.cuts()
        return counts, replicas.faults()


def _wait(proxy: Proxy, replicas: Replicas, count: int) -> None:
    """Until so many were cut; raises `TimeoutError` where no more come."""
    seen, end = -1, 0.0
    while (done := sum(proxy.cuts())) < count:
        if done > seen:
            seen, end = done, time.monotonic() + PROGRESS_SECONDS
            replicas.check()
        if time.monotonic() > end:
            raise TimeoutError(f"{done} cuts, and no more in {PROGRESS_SECONDS} s")
        time.sleep(POLL_SECONDS)


def main(count: int = 1_000) -> int:
    """Print the counts; 1 where anything was lost, duplicated, reordered or executed without a durable allow."""
    counts, faults = run(count)
    told = ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
    sys.stdout.write(f"postgres-cuts: {told}\n" + "".join(f"  {fault}\n" for fault in faults[:20]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
