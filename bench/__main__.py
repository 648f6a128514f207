"""Runs everything and prints the tables: `python -m bench [--quick] [--json FILE] [--only NAME]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from typing import TYPE_CHECKING

from bench import answering, deciding, desk, ledger, loading, over_http, postgres, remedies, single
from bench.engines import versions
from bench.table import Table
from bench.timing import fsync_p50

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    options = _options()
    rounds, seconds, answering_seconds = (3, 0.1, 2.0) if options.quick else (5, 0.35, 6.0)
    parts: dict[str, Callable[[], list[Table]]] = {
        "decide": lambda: deciding.tables(rounds=rounds, seconds=seconds),
        "request": lambda: [single.table(rounds=rounds, seconds=seconds)],
        "remedies": lambda: [remedies.table(rounds=rounds, seconds=seconds)],
        "answer": lambda: [answering.table(seconds=answering_seconds, folder=options.folder)],
        "postgres": lambda: [postgres.table(seconds=answering_seconds, folder=options.folder)],
        "ledger": lambda: ledger.tables(seconds=answering_seconds, folder=options.folder, has_10m=options.ten_million),
        "http": lambda: [over_http.table(seconds=answering_seconds, rounds=rounds, folder=options.folder)],
        "desk": lambda: [desk.table(reviews=1_000 if options.quick else 10_000, folder=options.folder)],
        "load": lambda: [loading.table(folder=options.folder)],
    }
    begin = time.perf_counter()
    machine = _machine(options.folder)
    print(machine, end="\n\n")
    found: list[Table] = []
    for name, run in parts.items():
        if options.only in {None, name}:
            for table in _tables(name, run):
                print(table, end="\n\n", flush=True)
                found.append(table)
    took = time.perf_counter() - begin
    print(f"{took:.0f} s in all; medians of {rounds} interleaved rounds; ratios are of this one run")
    if options.json:
        data = {
            "machine": machine,
            "versions": versions(),
            "seconds": took,
            "tables": [item.as_data() for item in found],
        }
        Path(options.json).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return 0


def _tables(name: str, run: Callable[[], list[Table]]) -> list[Table]:
    """The tables of one part; a part whose pieces are not installed is a line, not a failure."""
    try:
        return run()
    except (ImportError, AttributeError) as error:
        return [Table(f"{name}: missing ({error})", [])]


def _machine(folder: str | None) -> str:
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    flush = fsync_p50(folder)
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"fdatasync p50 {flush:.3f} ms\n{known}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Speed beside that of peers, in one run.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, about 40 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file too")
    parser.add_argument(
        "--only",
        choices=("decide", "request", "remedies", "answer", "ledger", "postgres", "http", "desk", "load"),
        help="one part alone",
    )
    parser.add_argument("--ten-million", action="store_true", help="proofs in a tree of ten million records too")
    parser.add_argument("--folder", help="where stores are made; its disk is what is measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
