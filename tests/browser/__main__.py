"""`python -m tests.browser screenshots --out DIR` and `python -m tests.browser load 10000`."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from tests.browser import loading, shooting


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shots = commands.add_parser("screenshots", help="every page, light and dark, phone and desk, as PNG")
    shots.add_argument("--out", type=Path, required=True)
    shots.add_argument("--only", default="", help="pages whose name contains this")
    load = commands.add_parser("load", help="how long pages take over many reviews that wait")
    load.add_argument("reviews", type=int, nargs="?", default=10_000)
    load.add_argument("--times", type=int, default=100, help="how often each is asked for")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="demur-house-") as folder:
        if given.command == "screenshots":
            shooting.shoot(Path(folder), given.out, only=given.only)
        else:
            loading.load(Path(folder), given.reviews, times=given.times)


if __name__ == "__main__":
    main()
