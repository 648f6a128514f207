"""`demur standing`: approvals given in advance, proposed from what people approved before, granted and revoked.

Granting and revoking take a person's own credential, from a file or a hidden prompt, and a reason (S7.4). One process
owns a home, so these write while no gate runs on it; a running gate has the same as methods and over HTTP (S11.1).
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.review import CredentialOption, ReasonOption, ReviewArgument, read_credential
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.scope import Scope
    from demur.core.standing import Standing

app = typer.Typer(help="Approve in advance, within bounds.", no_args_is_help=True, rich_markup_mode=None)
StandingArgument = Annotated[str, typer.Argument(metavar="STANDING", help="The id of the standing approval.")]


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the standing approvals, how often each was used, and who granted it. Reads only, also while a gate runs."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        listed = [one.to_dict() for one in reader.standing()]
    for line in listed:
        if as_json:
            terminal.write_json(line)
        else:
            typer.echo(_told(line))
    if not listed and not as_json:
        typer.echo("nothing is approved in advance")


@app.command()
def propose(home: HomeOption, review_id: ReviewArgument, as_json: JsonOption = False) -> None:
    """Show what could be approved in advance, going by what people approved of cases like this review's.

    Nothing is made by it. What `--json` prints can be given to `grant`, as it is or narrowed.
    """
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        proposal = reader.propose_standing(review_id)
    if as_json:
        terminal.write_json(proposal.to_dict())
        return
    scope = proposal.scope
    terminal.show_pairs(
        {
            "rule": scope.rule,
            "action": f"{scope.action} on {scope.resource_type}",
            "for": f"{scope.subject}, acting through {scope.actor}",
            **dict(sorted(proposal.words.items())),
            "uses": f"{scope.uses}, until {scope.expires_at}",
            "precedents": f"{proposal.approved} approved and {proposal.denied} denied within",
        }
    )


@app.command()
def grant(
    home: HomeOption,
    reason: ReasonOption,
    standing: Annotated[
        str, typer.Argument(metavar="[STANDING]", help="One that somebody opened and that waits for more people.")
    ] = "",
    scope_file: Annotated[
        Path | None, typer.Option("--scope", metavar="FILE", help="What to cover: a proposal or its scope, as JSON.")
    ] = None,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve in advance. It lives once as many people granted it as the rule asks for."""
    from demur import wiring

    if bool(standing) == (scope_file is not None):
        message = "expected either `--scope` or the id of one that waits, found " + ("both" if standing else "neither")
        raise ConfigurationError(message, hint="`demur standing propose REVIEW --json` writes a scope")
    what = standing or _read_scope(scope_file or Path())
    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        made = gate.standing_grant(what, credential=secret, reason=reason)
    _show(made, as_json=as_json)


@app.command()
def revoke(
    home: HomeOption,
    standing: StandingArgument,
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a standing approval: nothing more is granted on it."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        made = gate.standing_revoke(standing, credential=secret, reason=reason)
    _show(made, as_json=as_json)


def _read_scope(file: Path) -> Scope:
    from demur.core.scope import read_scope

    members: Mapping[str, object] = terminal.read_mapping(file)
    inner = members.get("scope", members)
    return read_scope(inner if isinstance(inner, dict) else {})


def _show(made: Standing, *, as_json: bool) -> None:
    told = {
        "standing": made.id,
        "status": made.state.value,
        "granted": f"{len(made.signers)} of {made.quorum}",
        "until": str(made.expires_at),
    }
    if as_json:
        terminal.write_json(told)
    else:
        terminal.show_pairs(told)


def _told(line: Mapping[str, object]) -> str:
    scope, granted_by = line["scope"], line["granted_by"]
    who = scope["subject"] if isinstance(scope, dict) else "somebody who was erased"
    what = f"{scope['action']} on {scope['resource_type']}" if isinstance(scope, dict) else str(line["policy"])
    by = ", ".join(str(name) or "somebody" for name in granted_by) if isinstance(granted_by, list) else ""
    used = f"{line['used']} of {line['uses']} used"
    return f"{line['standing_id']}  {line['status']}  {what} for {who}  {used}, until {line['expires_at']}; {by}"
