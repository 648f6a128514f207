"""`demur ledger export` and `demur ledger verifier`: what an auditor gets, and the program that checks it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from demur.core.terms import Timestamp
    from demur.evaluation.export import Exported, Sink


def export(
    home: HomeOption,
    to: Annotated[Path, typer.Argument(metavar="DEST", help="The folder to make; nothing is overwritten.")],
    first: Annotated[int, typer.Option("--first", min=0, metavar="N", help="The first record.")] = 0,
    last: Annotated[
        int | None, typer.Option("--last", min=0, metavar="N", help="The last record; the newest where left out.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only records of this type; may be repeated.")
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Only records from this time (RFC 3339) on.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Only records before this time.")] = "",
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="N:NAME", help="Disclose this sealed field of record N; may be repeated."),
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="Write the records to a Parquet file too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write records with their tree and checkpoints into a folder, for `demur ledger verifier` to verify.

    A range is provably complete. A choice by type or time is not, and says so. Works while a gate runs.
    """
    from demur import wiring
    from demur.evaluation import export as exporting

    choice = exporting.Choice(frozenset(types or ()), _time(since), _time(until))
    end = None if last is None else last + 1
    reader = wiring.open_reader(home)
    with contextlib.closing(reader), contextlib.ExitStack() as stack:
        sink = None if parquet is None else stack.enter_context(_table(parquet))
        done = exporting.export(reader, to, first=first, last=end, choice=choice, fields=_fields(fields), sink=sink)
    if as_json:
        terminal.write_json(done)
        return
    for line in _told(done, to):
        typer.echo(line)


def verifier() -> None:
    """Print the verifier: one file of Python that needs nothing but Python, to be kept and run by an auditor.

    demur ledger verifier > verify.py, then python3 -I verify.py EXPORT --policy trust-policy.txt
    """
    from importlib.resources import files

    sys.stdout.buffer.write(files("demur.verifier").joinpath("verify.py").read_bytes())
    sys.stdout.buffer.flush()


def _table(path: Path) -> AbstractContextManager[Sink]:
    try:
        from demur.evaluation import parquet
    except ImportError as error:
        message = "expected `pyarrow` for a Parquet file, found none"
        raise ConfigurationError(message, hint="install `demur[analysis]`") from error
    return parquet.writing(path)


def _told(done: Exported, to: Path) -> list[str]:
    what = f"{done.records} record{'' if done.records == 1 else 's'} of log `{done.log}`"
    if done.kind == "range":
        lines = [f"{what}, all from {done.first} up to, not including, {done.last}, in `{to}`"]
    else:
        lines = [f"{what}, chosen by a filter, in `{to}`: nobody can verify that none is missing"]
    lines += [f"  {count:>8}  {kind}" for kind, count in sorted(done.counts.items())]
    if done.signed is None:
        lines.append("no checkpoint: a verifier cannot say where the ledger ends")
    else:
        lines.append(f"signed up to {done.signed} of {done.size} records")
    return lines + ([f"disclosed: fields of {done.disclosed} of the records"] if done.disclosed else [])


def _time(text: str) -> Timestamp | None:
    from demur.core.terms import parse_timestamp

    try:
        return parse_timestamp(text) if text else None
    except ValueError as error:
        message = f"expected a time such as `2026-11-20T09:00:00Z`, found `{text[:80]}`"
        raise ConfigurationError(message) from error


def _fields(texts: list[str] | None) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for text in texts or ():
        number, divider, name = text.partition(":")
        if not divider or not number.isascii() or not number.isdecimal() or not name:
            raise ConfigurationError(f"expected a field such as `41:request`, found `{text[:80]}`")
        found.setdefault(int(number), []).append(name)
    return found
