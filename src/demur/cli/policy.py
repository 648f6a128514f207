"""`demur policy`: check, test and explain policies, and try expressions of the condition language."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import expressions, terminal
from demur.cli.exits import ExitCode
from demur.cli.terminal import FactsOption, JsonOption, PoliciesOption
from demur.errors import ConfigurationError, PolicyError, Problem

if TYPE_CHECKING:
    from demur.core.terms import Timestamp
    from demur.evaluation.scenarios import Verdict

app = typer.Typer(help="Check, test and explain policies.", no_args_is_help=True, rich_markup_mode=None)

FoldersArgument = Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of policy documents.")]
ERROR = "error"
"""The severity of what the gate would refuse to load."""


@app.command()
def check(
    folders: FoldersArgument,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as problems.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read policies as the gate would, and look for what is allowed but surely not meant.

    Errors are what the gate would refuse to load. Warnings are rules that can never matter, facts that nobody reads,
    missing explanations and the like.
    """
    found: list[Problem] = []
    for folder in folders:
        rules, digest, problems = _checked(folder)
        found += problems
        if as_json:
            terminal.write_json(
                {
                    "folder": str(folder),
                    "rules": rules,
                    "policy_version": digest or None,
                    "problems": terminal.problem_documents(problems),
                }
            )
        else:
            _show_checked(folder, rules, problems)
    if any(strict or problem.severity == ERROR for problem in found):
        raise typer.Exit(ExitCode.POLICY)


@app.command("test")
def run_tests(folders: FoldersArgument, as_json: JsonOption = False) -> None:
    """Run the test cases beside policies: request and facts in, the answer compared with what was expected."""
    from demur.evaluation import scenarios

    passed = failed = 0
    for folder in folders:
        for verdict in terminal.watched(scenarios.run_folder(folder), f"testing {folder}"):
            passed, failed = (passed + 1, failed) if verdict.passed else (passed, failed + 1)
            _show_verdict(verdict, as_json=as_json)
    if as_json:
        terminal.write_json({"passed": passed, "failed": failed})
    else:
        typer.echo(f"{passed} passed, {failed} failed")
    if failed:
        raise typer.Exit(ExitCode.TESTS)


@app.command()
def explain(
    policies: PoliciesOption,
    facts: FactsOption = None,
    now: Annotated[str, typer.Option("--now", metavar="TIME", help="Judge at this instant (RFC 3339).")] = "",
    as_json: JsonOption = False,
) -> None:
    """Judge one request from standard input and tell the truth of every rule and condition that covers its action.

    Nothing is recorded or granted. Facts of static sources and detectors are looked up; others come from --facts, where
    null means that there is none, and are unknown without it.
    """
    from demur.cli import explanations
    from demur.evaluation.inquiry import inquire

    given = terminal.read_mapping(facts)
    found = inquire(policies, sys.stdin.buffer.read(terminal.MAX_INPUT_BYTES), given, now=_instant(now))
    if as_json:
        terminal.write_json(explanations.document(found))
    else:
        explanations.show(found)


@app.command("eval")
def evaluate(
    expression: Annotated[str, typer.Argument(metavar="[EXPR]", help="The expression; none with --stream.")] = "",
    facts: FactsOption = None,
    unknown: Annotated[
        list[str] | None, typer.Option("--unknown", metavar="NAME", help="A name whose value could not be learned.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Answer each line of standard input.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Evaluate an expression of the condition language over given values.

    With --stream every line is a JSON object with `expr`, `bind` (names and values) and, if need be, `unknown` (names);
    each is answered by {"value": ...}, {"unknown": [names]} or {"error": {...}}.
    """
    if stream and not expression:
        expressions.evaluate_lines()
    elif expression and not stream:
        expressions.evaluate_one(expression, facts, unknown or [], as_json=as_json)
    else:
        raise ConfigurationError("expected either an expression or --stream", hint="put the expression in quotes")


def _checked(folder: Path) -> tuple[int, str, list[Problem]]:
    """The number of rules, the policy version and the findings; neither of the first where the set does not load."""
    from demur import wiring

    try:
        documents, warnings = wiring.check_policies(folder)
    except PolicyError as error:
        return 0, "", list(error.problems)
    return len(documents.rules), documents.digest, list(warnings)


def _show_checked(folder: Path, rules: int, problems: list[Problem]) -> None:
    for problem in problems:
        typer.echo(f"{problem.severity}: {problem}")
    errors = sum(problem.severity == ERROR for problem in problems)
    told = f"{folder}: {errors} problems" if errors else f"{folder}: {rules} rules load"
    typer.echo(f"{told}, {len(problems) - errors} warnings")


def _show_verdict(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(
            {
                "file": verdict.file,
                "line": verdict.line,
                "name": verdict.name,
                "passed": verdict.passed,
                "differences": [
                    {"key": item.key, "expected": item.expected, "found": item.found} for item in verdict.differences
                ],
            }
        )
    elif not verdict.passed:
        typer.echo(f"failed: {verdict.file}:{verdict.line}: {verdict.name}")
        for difference in verdict.differences:
            typer.echo(f"  {difference}")


def _instant(text: str) -> Timestamp:
    from demur import wiring
    from demur.core.terms import parse_timestamp

    if not text:
        return wiring.clock().now()
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
