"""`demur policy`: check, test and explain policies, and try expressions of the condition language."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.exits import ExitCode
from demur.cli.terminal import JsonOption, PoliciesOption
from demur.errors import ConditionError, PolicyError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from demur.evaluation.scenarios import Verdict

app = typer.Typer(help="Check, test and explain policies.", no_args_is_help=True, rich_markup_mode=None)

FoldersArgument = Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of policy documents.")]
FactsOption = Annotated[
    Path | None, typer.Option("--facts", metavar="FILE", help="Facts by their paths, in YAML or JSON.")
]


@app.command()
def check(
    folders: FoldersArgument,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as problems.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read policies as the gate would, and look for what is allowed but surely not meant.

    Errors are what the gate would refuse to load; warnings are rules that can never matter and missing explanations.
    """
    found = [(folder, *_findings(folder)) for folder in folders]
    if as_json:
        terminal.write_json({"sets": [_check_document(folder, size, problems) for folder, size, problems in found]})
    else:
        _show_findings(found)
    counted = [problem for _, _, problems in found for problem in problems if strict or problem.severity == "error"]
    if counted:
        raise typer.Exit(ExitCode.POLICY)
