"""The long fault runs: `python -m tests.faults NAME ...`, or `all`. Exits with 1 where anything was lost.

kills       a gate killed at random moments, on a disk and in memory
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.faults.injected import Torture, is_possible
from tests.faults.kills import Slaughter

EVERY = 20
"""After so many points the counts are told."""
HARM = ("lost", "duplicated", "reordered", "unallowed")


class Report:
    """The counts of one run, kept in a file as they grow, so that a run that was stopped goes on from there."""

    def __init__(self, out: Path, name: str) -> None:
        self._path = out / f"{name}.json"
        self._name = name
        self._started = time.monotonic()
        known = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.counts: Counter[str] = Counter(known.get("counts", {}))
        self._before = int(known.get("seconds", 0))

    def keep(self, counts: Counter[str], examples: list[str], *, is_done: bool = False) -> None:
        """The counts by now, in the file and on the screen."""
        seconds = round(self._before + time.monotonic() - self._started)
        kept = {"name": self._name, "is_done": is_done, "seconds": seconds, "counts": dict(counts)}
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(kept | {"examples": examples[:20]}, indent=1) + "\n")
        draft.replace(self._path)
        told = ", ".join(f"{name} {counts[name]:,}" for name in counts)
        sys.stdout.write(f"{self._name}: {told}; {seconds} s{', done' if is_done else ''}\n")
        sys.stdout.flush()


def kills(options: argparse.Namespace) -> bool:
    """Kill as often as asked for; whether nothing was lost."""
    report = Report(options.out, f"kills-{options.name}")
    run = Slaughter(
        options.folder,
        options.number,
        threads=options.threads,
        life_seconds=options.life_seconds,
        seed=options.seed,
        counts=report.counts,
        on_round=lambda run: report.keep(run.counts, run.examples),
    )
    counts = run.run()
    report.keep(counts, run.examples, is_done=True)
    return not run.examples and not any(counts[name] for name in HARM)


def calls(options: argparse.Namespace) -> bool:
    """A fault at so many system calls; whether nothing was lost and the gate recovered from each."""
    if not is_possible():
        sys.stderr.write("needs strace, and the right to attach it to a process\n")
        return False
    report = Report(options.out, f"calls-{options.name}")
    run = Torture(options.folder, counts=report.counts)
    points = run.points(options.number, options.seed)
    for done, point in enumerate(points[run.counts["tried"] :], start=1):
        run.suffer(point)
        if done % EVERY == 0:
            report.keep(run.counts, run.examples)
    report.keep(run.counts, run.examples, is_done=True)
    return not run.examples and not any(run.counts[name] for name in (*HARM, "stuck", "strange"))


def main() -> int:
    """0 where nothing was lost, duplicated, reordered or executed without an allow; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("faults"), help="folder for the counts")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("kills")
    command.add_argument("name", help="of the run: disk, memory")
    command.add_argument("--folder", type=Path, required=True, help="where the homes are made")
    command.add_argument("--number", type=int, default=5_000)
    command.add_argument("--threads", type=int, default=32)
    command.add_argument("--life-seconds", type=float, default=0.3)
    command.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    command.set_defaults(run=kills)
    command = commands.add_parser("calls")
    command.add_argument("name", help="of the run")
    command.add_argument("--folder", type=Path, required=True, help="where the homes are made")
    command.add_argument("--number", type=int, default=1_000)
    command.add_argument("--seed", type=int, default=1)
    command.set_defaults(run=calls)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    return 0 if options.run(options) else 1


if __name__ == "__main__":
    sys.exit(main())
