"""How fast a ledger is compared and in how much memory: `python tests/evaluation/speed.py RECORDS`.

The records are those of one honest history, again and again under other grants; what is measured is the comparison with grants spilled into a file, without the check of the chain.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demur.adapters import ed25519
from demur.core.reconciliation import Run
from demur.evaluation.reconcile import Spilled
from demur.ports import StoredRecord
from tests.evaluation.honest import Story

if TYPE_CHECKING:
    from collections.abc import Iterator

AGAIN = ("decision", "grant_redeemed", "grant_started", "grant_completed", "grant_revoked", "heartbeat")


def records(folder: Path, count: int) -> Iterator[StoredRecord]:
    story = Story(folder, 1)
    history = story.run(60)
    story.close()
    start, *leaves = (leaf for leaf in history.leaves if leaf["type"] in {"epoch_start", *AGAIN})
    yield StoredRecord(0, json.dumps({**start, "sequence": 0, "continues": 0, "writer": {}}).encode(), bytes(32))
    for number in range(1, count):
        again, place = divmod(number - 1, len(leaves))
        leaf = dict(leaves[place], sequence=number, writer={}, timestamp="2026-11-20T09:00:01Z")
        if "grant" in leaf:
            leaf["grant"] = f"{again:08x}{leaf['grant'][8:]}"
        leaf.pop("decision", None)
        if leaf["type"] == "decision" and "grant" in leaf:
            places[leaf["grant"]] = number
        if leaf["type"].startswith("grant_") and leaf["grant"] in places:
            leaf["decision"] = places[leaf["grant"]]
            if leaf["type"] in {"grant_completed", "grant_revoked"}:
                places.pop(leaf["grant"])
        yield StoredRecord(number, json.dumps(leaf).encode(), bytes(32))


places: dict[str, int] = {}


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "records.jsonl")
        with made.open("wb") as out:
            for record in records(Path(folder, "till"), count):
                out.write(record.leaf + b"\n")
        places.clear()
        lives = Spilled(Path(folder))
        run = Run(lives=lives, statements=lambda _: None, verify=ed25519.verify)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        with made.open("rb") as lines:
            for number, line in enumerate(lines):
                run.take(StoredRecord(number, line, bytes(32)))
        took = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{count} records: {count / took:,.0f} a second, {(after - before) / 1024:.0f} MiB more memory")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
