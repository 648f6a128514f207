"""The counts of the long runs: kept in files as they grow, and shown as one table."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HARM = ("lost", "duplicated", "reordered", "unallowed")
"""One of these in any run is a failure; so is `stuck`, `strange` and `torn` where a run knows of them."""
FAILURES = (*HARM, "stuck", "strange", "torn", "disagree", "twice", "faults")
SHOWN = ("acknowledged", "executed", *HARM)
POINTS = {
    "kills-memory": (("kills",), "kills -9, homes in memory"),
    "kills-long": (("kills",), "kills -9, longer lives, homes in memory"),
    "kills-disk": (("kills",), "kills -9, homes on a disk"),
    "calls": (("points",), "system calls that failed or killed"),
    "power": (("states",), "states of the disk after a power cut"),
    "postgres-stops": (("stops",), "immediate stops"),
    "postgres-cuts": (("cut-before", "cut-after"), "connections cut at COMMIT"),
    "model": (("states",), "states of the model"),
    "reviews": (("points",), "kills -9 within transitions of reviews"),
}
"""What is counted in each run, and what it is."""


class Report:
    """The counts of one run, kept in a file as they grow, so that a run that was stopped goes on from there."""

    def __init__(self, out: Path, name: str) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / f"{name}.json"
        self._name = name
        self._started = time.monotonic()
        known = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.counts: Counter[str] = Counter(known.get("counts", {}))
        self._before = int(known.get("seconds", 0))

    def keep(self, counts: Counter[str], examples: Sequence[str], *, is_done: bool = False) -> bool:
        """The counts by now, in the file and on the screen; whether nothing is wrong so far."""
        seconds = round(self._before + time.monotonic() - self._started)
        kept = {"name": self._name, "is_done": is_done, "seconds": seconds, "counts": dict(counts)}
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(kept | {"examples": list(examples[:20])}, indent=1) + "\n")
        draft.replace(self._path)
        told = ", ".join(f"{name} {counts[name]:,}" for name in counts)
        sys.stdout.write(f"{self._name}: {told}; {seconds} s{', done' if is_done else ''}\n")
        sys.stdout.writelines(f"  {example}\n" for example in examples[:20])
        sys.stdout.flush()
        return not examples and not any(counts[name] for name in FAILURES)


def table(out: Path) -> str:
    """The runs whose counts lie in this folder, as a table of Markdown."""
    lines = [
        "| run | points | " + " | ".join(SHOWN) + " | seconds | |",
        "|---|---:|" + "---:|" * len(SHOWN) + "---:|---|",
    ]
    for name, (counted, what) in POINTS.items():
        path = out / f"{name}.json"
        if not path.exists():
            continue
        report = json.loads(path.read_text())
        counts = Counter(report["counts"])
        figures = " | ".join("" if name == "model" else f"{counts[item]:,}" for item in SHOWN)
        state = "done" if report["is_done"] else "not finished"
        lines.append(
            f"| {name} | {sum(counts[item] for item in counted):,} {what} | {figures} | {report['seconds']:,} | {state} |"
        )
    return "\n".join(lines) + "\n"
