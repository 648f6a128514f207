"""`demur ledger retain`: destroy what was sealed once the period of its class has ended."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.review import CredentialOption, read_credential
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.core.retention import RetentionClass
    from demur.steps.retaining import Retention


def retain(
    home: HomeOption,
    classes: Annotated[
        Path | None, typer.Option("--classes", metavar="FILE", help="Classes of records, with a period in days each.")
    ] = None,
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME", help="`eu-ai-act` or `hipaa`, instead of a file.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence; the auditor will read it.")] = "",
    credential_file: CredentialOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would end; works while a gate runs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Destroy what was sealed in records that are older than their class's period. Records and proofs stay.

    Nothing of a person under a legal hold ends, and nothing that the gate still needs.
    """
    from demur import wiring

    wanted = _classes(classes, preset)
    if dry_run:
        with closing(wiring.open_reader(home)) as reader:
            act = reader.plan_retention(wanted)
    else:
        secret = read_credential(credential_file)
        with wiring.desk(home) as gate:
            act = gate.retain(wanted, credential=secret, reason=reason)
    _show(act, as_json=as_json)


def _classes(path: Path | None, preset: str) -> tuple[RetentionClass, ...]:
    from demur import wiring
    from demur.core import retention

    if (path is None) == (not preset):
        message = "expected either `--classes` or `--preset`"
        raise ConfigurationError(message, hint=f"presets are `{'`, `'.join(retention.PRESETS)}`")
    if path is not None:
        return retention.read(wiring.read_mapping(path))
    if preset not in retention.PRESETS:
        raise ConfigurationError(f"expected a preset among `{'`, `'.join(retention.PRESETS)}`, found `{preset[:64]}`")
    return retention.PRESETS[preset]


def _show(act: Retention, *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(
            {
                "retention": act.id,
                "state": act.state,
                "records": act.size,
                "ended": act.counts,
                "held": act.held,
                "needed": act.needed,
            }
        )
        return
    told = {"retention": act.id, "state": act.state, "records": str(act.size)}
    told |= {f"ended {name}": str(count) for name, count in act.counts.items()}
    terminal.show_pairs(
        {name: text for name, text in told.items() if text}
        | {"held": str(act.held), "needed": str(act.needed)}
        | ({"why": "somebody who reads the ledger keeps a copy in its log"} if act.state == "pending" else {})
    )
