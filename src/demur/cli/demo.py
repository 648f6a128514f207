"""`demur demo`: the whole story in real output. Nothing printed here is written down beforehand but the headings.

An assistant at the front desk of a clinic calls three tools, each behind the gate. Then the disk fails, and at last
somebody tampers with copies of the ledger. The policies lie in `story/`.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.errors import ConfigurationError, LedgerError, RefusedError, RulingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demur.gateway import Gateway

INK = {"allow": "green", "defer": "yellow", "deny": "red", "unavailable": "magenta"}
"""Colour repeats what the word says; without colours nothing is lost."""


def demo(
    home: Annotated[
        Path | None, typer.Option("--home", metavar="DIR", help="Keep the gate's home here; default: a temporary one.")
    ] = None,
) -> None:
    """See an assistant's actions allowed, refused and deferred, the disk fail, and a ledger that notices tampering."""
    if home is not None and home.exists() and any(home.iterdir()):
        raise ConfigurationError(f"expected an empty folder, found something in `{home}`", hint="choose another one")
    with tempfile.TemporaryDirectory(prefix="demur-demo-") as scratch, as_file(files("demur.cli") / "story") as policies:
        place = home or Path(scratch) / "home"
        _ask(policies, place)
        _audit(place, Path(scratch))
