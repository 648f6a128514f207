"""PostgreSQL is stopped in the mode `immediate` again and again while gates act: nothing acknowledged may be missing.

python -m tests.faults.postgres_stops [COUNT]
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests import postgres
from tests.faults.postgres_replicas import Replicas

if TYPE_CHECKING:
    from collections import Counter

REPLICAS = 3
RUN_SECONDS = 0.3
"""The longest time between two stops, chosen at random for each."""
CHECKED = 10
"""Stops between two checks of the whole account."""


def run(count: int, *, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Stop and start so often; the counts, and what was found wrong."""
    chance = random.Random(seed)
    with postgres.running() as server, tempfile.TemporaryDirectory() as folder:
        replicas = Replicas(Path(folder), server, REPLICAS)
        replicas.start()
        try:
            for done in range(1, count + 1):
                replicas.progress(1)
                time.sleep(chance.random() * RUN_SECONDS)
                server.stop(signal.SIGQUIT)
                server.start()
                if done % CHECKED == 0:
                    replicas.check()
            replicas.progress(1)
        finally:
            replicas.stop()
        counts = replicas.counts()
        counts["stops"] = count
        return counts, replicas.faults()


def main(count: int = 1_000) -> int:
    """Print the counts; 1 where anything was lost, duplicated, reordered or executed without a durable allow."""
    counts, faults = run(count)
    told = ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
    sys.stdout.write(f"postgres-stops: {told}\n" + "".join(f"  {fault}\n" for fault in faults[:20]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
