"""How commands read and speak: JSON on standard output, words for people, errors and progress on standard error."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.errors import ConditionError, DemurError, IntakeError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import Console

PATIENCE_SECONDS = 2.0
"""Work that takes longer shows its progress."""
_JSON = "demur.json"


def _remember_json(context: typer.Context, value: bool) -> bool:
    context.meta[_JSON] = value
    return value


JsonOption = Annotated[bool, typer.Option("--json", callback=_remember_json, help="Print JSON, one document per line.")]
HomeOption = Annotated[Path, typer.Option("--home", metavar="DIR", help="The folder of the store.")]
PoliciesOption = Annotated[Path, typer.Option("--policies", metavar="FOLDER", help="The folder of policy documents.")]


def wants_json(context: typer.Context) -> bool:
    """Whether the command was asked for JSON, known also after it failed."""
    return bool(context.meta.get(_JSON, False))


def write_json(value: object) -> None:
    """One document on one line of standard output."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def console() -> Console:
    """For words and tables; no markup in what we print, and no colour where the output is not a terminal."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def note(text: str) -> None:
    """A remark beside the result, on standard error."""
    typer.echo(text, err=True)


def error_document(error: DemurError) -> dict[str, object]:
    """The error as it stands in JSON output: what happened, where, and what to do."""
    document: dict[str, object] = {"message": str(error), "hint": error.hint}
    match error:
        case IntakeError():
            document |= {"pointer": error.pointer, "expected": error.expected, "found": error.found}
        case ConditionError():
            document |= {"line": error.line, "column": error.column, "expected": error.expected, "found": error.found}
        case PolicyError():
            document |= {"message": "the policies did not load", "problems": problems(error)}
    return {name: value for name, value in document.items() if value != ""}


def problems(error: PolicyError) -> list[dict[str, object]]:
    """Every problem of a policy set, as JSON values."""
    import msgspec

    return [msgspec.to_builtins(problem) for problem in error.problems]


def show_error(error: DemurError, *, as_json: bool) -> None:
    """In JSON on standard output, for the program that asked; in words on standard error otherwise."""
    if as_json:
        write_json({"error": error_document(error)})
    else:
        note(f"demur: {error.diagnostics()}")


def read_mapping(path: Path | None) -> Mapping[str, object]:
    """The names and values of a YAML or JSON file; empty without a file."""
    from demur import wiring

    return {} if path is None else wiring.read_mapping(path)


def watched(items: Iterable[object], label: str, total: int | None = None) -> Iterator[object]:
    """The items themselves; on a terminal, work that takes longer than two seconds shows how far it is."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True, disable=False) as bar:
        task = bar.add_task(label, total=total, visible=False)
        for item in items:
            yield item
            bar.update(task, advance=1, visible=time.monotonic() - started > PATIENCE_SECONDS)
