"""How commands read and speak: JSON on standard output, words for people, errors and progress on standard error."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from demur.errors import ConditionError, DemurError, IntakeError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import Console

    from demur.errors import Problem

Item = TypeVar("Item")

PATIENCE_SECONDS = 2.0
"""Work that takes longer shows its progress."""
MAX_INPUT_BYTES = 1 << 20
"""What is read of standard input; a request may hold 256 KiB, so more is refused by whoever reads it."""
_JSON = "demur.json"


def _remember_json(context: typer.Context, value: bool) -> bool:
    context.meta[_JSON] = value
    return value


JsonOption = Annotated[bool, typer.Option("--json", callback=_remember_json, help="Print JSON, one document per line.")]
HomeOption = Annotated[Path, typer.Option("--home", metavar="DIR", help="The folder of the store.")]
PoliciesOption = Annotated[Path, typer.Option("--policies", metavar="FOLDER", help="The folder of policy documents.")]
FactsOption = Annotated[
    Path | None, typer.Option("--facts", metavar="FILE", help="Facts by their paths, in YAML or JSON.")
]


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
            document |= {"message": "the policies did not load", "problems": problem_documents(error.problems)}
    return {name: value for name, value in document.items() if value != ""}


def problem_documents(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Findings in policies, as JSON values."""
    import msgspec

    return [msgspec.to_builtins(problem) for problem in problems]


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


def watched(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
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


def compact(value: object) -> str:
    """A JSON value on one line, for people."""
    import msgspec

    return msgspec.json.encode(value).decode()


def show_pairs(pairs: Mapping[str, str]) -> None:
    """Names and their values, one under the other; what is empty is left out."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        if value:
            typer.echo(f"{name:<{width}}  {value}")
