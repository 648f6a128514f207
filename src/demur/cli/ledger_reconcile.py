"""`demur ledger reconcile`: compare what was recorded with what meters saw, and record the result."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.exits import ExitCode
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.core.reconciliation import Finding, Report
    from demur.core.terms import Timestamp

SHOWN = 50
"""Findings that are shown to people; `--json` has all that the report keeps."""


def reconcile(
    home: HomeOption,
    meters: Annotated[
        list[Path] | None, typer.Option("--meters", metavar="FILE", help="Statements of a meter; may be repeated.")
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="Only findings from this time (RFC 3339) on.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Judge silence up to this time instead of now.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do not record the result; works while a gate runs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find what was done without an allow, and what should have been said and was not.

    Says for which resources that can be shown: without a meter, absence cannot.
    """
    import msgspec

    from demur import wiring
    from demur.evaluation import reconcile as comparing

    begin, end = _time(since), _time(until)
    with closing(wiring.open_reader(home)) as reader:
        watched = terminal.watched(reader.records(), "comparing", reader.head().size)
        report = comparing.reconcile(reader, files=meters or (), since=begin, until=end, watch=watched)
    place = ""
    if not dry_run:
        with wiring.desk(home) as gate:
            place = gate.record_reconciliation(report.members(), msgspec.json.encode(report, order="sorted"))
    if as_json:
        terminal.write_json({"verdict": report.verdict, "record": place or None, **msgspec.to_builtins(report)})
    else:
        _show(report, place)
    if report.verdict == "findings":
        raise typer.Exit(ExitCode.LEDGER)


def _show(report: Report, place: str) -> None:
    for finding in report.findings[:SHOWN]:
        typer.echo(_line(finding))
    if len(report.findings) > SHOWN:
        typer.echo(f"... and {len(report.findings) - SHOWN} more; `--json` shows them")
    counts = ", ".join(f"{count} {name}" for name, count in report.severities.items())
    pairs = {
        "verdict": report.verdict,
        "findings": counts,
        "records": f"{report.size}, {report.totals['redeemed']} grants redeemed",
        "operations": f"{report.totals['operations']} seen by meters, {report.totals['ungranted']} without a grant",
        "metered": _names(report.coverage["metered"]),
        "only grants": _names(report.coverage["grants"]),
        "neither": _names(report.coverage["nothing"]),
    }
    terminal.show_pairs(pairs | ({"record": place} if place else {}))
    if report.coverage["grants"] or report.coverage["nothing"]:
        typer.echo("without a meter it cannot be shown that an action was not carried out")


def _line(finding: Finding) -> str:
    said = [finding.severity.value, finding.kind.value, finding.action, finding.at]
    if finding.count > 1:
        said.append(f"x{finding.count}")
    said += [f"record {number}" for number in finding.records]
    if finding.statement is not None:
        said.append(f"statement {finding.statement} of {finding.meter}")
    return "  ".join(part for part in said if part)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "-"


def _time(text: str) -> Timestamp | None:
    from demur.core.terms import parse_timestamp

    try:
        return parse_timestamp(text) if text else None
    except ValueError as error:
        raise ConfigurationError(f"expected a time, found {error}") from error
