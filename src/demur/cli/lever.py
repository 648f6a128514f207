"""`demur lever` and `demur grant`: what operators pull when something goes wrong.

Each takes the credential of a person with the role `operator`, from a file or a hidden prompt, and a reason. One
process owns a home: these take its lease, or go through the service that has it (S11.1).
"""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from demur.cli import terminal
from demur.cli.review import CredentialOption, read_credential
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError, RulingError

app = typer.Typer(help="Stop actions, let them go on, and break glass.", no_args_is_help=True, rich_markup_mode=None)
grants = typer.Typer(help="Take back what was granted.", no_args_is_help=True, rich_markup_mode=None)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a sentence; the auditor will read it.")]
ActionsOption = Annotated[
    list[str] | None, typer.Option("--action", metavar="PATTERN", help="An action or pattern; may be given again.")
]


@app.command()
def kill(
    home: HomeOption,
    reason: ReasonOption,
    actions: ActionsOption = None,
    actor: Annotated[str, typer.Option("--actor", metavar="TYPE:ID", help="Only what this actor asks for.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every action of every actor.")] = False,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse what matches and let no grant for it be redeemed, until it is released."""
    from demur import wiring

    if everything == bool(actions or actor):
        message = "expected either `--all` or what to stop, found " + ("both" if everything else "neither")
        raise ConfigurationError(message, hint="give `--action`, `--actor`, both, or `--all` alone")
    whom = read_entity(actor) if actor else None
    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        stop = gate.kill(actions=actions or (), actor=whom, credential=secret, reason=reason)
    _show({"stop": stop.id, "since": str(stop.since)}, as_json=as_json)


@app.command()
def release(
    home: HomeOption,
    stop: Annotated[str, typer.Argument(metavar="STOP", help="The id of the stop.")],
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a stop off."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        gate.release(stop, credential=secret, reason=reason)
    _show({"released": stop}, as_json=as_json)


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List what is stopped and what glass is broken, by whom and why. Reads only, also while a gate runs."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        listed = reader.levers()
    for line in listed:
        if as_json:
            terminal.write_json(line)
        else:
            typer.echo(_told(line))
    if not listed and not as_json:
        typer.echo("nothing is stopped, and no glass is broken")


@app.command("break-glass")
def break_glass(
    home: HomeOption,
    subject: Annotated[str, typer.Option("--subject", metavar="TYPE:ID", help="The one who may do it.")],
    actions: Annotated[
        list[str], typer.Option("--action", metavar="PATTERN", help="An action or pattern; may be given again.")
    ],
    reason: ReasonOption,
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=60, help="It ends by itself after so long.")] = 15,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let one subject do for a while what the policies deny. Each use is recorded and reviewed afterwards."""
    from demur import wiring

    whom, secret = read_entity(subject), read_credential(credential_file)
    with wiring.desk(home) as gate:
        opening = gate.break_glass(
            subject=whom, actions=actions, seconds=minutes * 60, credential=secret, reason=reason
        )
    _show({"break_glass": opening.id, "until": str(opening.until)}, as_json=as_json)


@app.command()
def end(
    home: HomeOption,
    opening: Annotated[str, typer.Argument(metavar="OPENING", help="The id of the opening.")],
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """End broken glass before its time. What it granted and nobody used is worth nothing from now on."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        gate.end_glass(opening, credential=secret, reason=reason)
    _show({"ended": opening}, as_json=as_json)


@grants.command()
def revoke(
    home: HomeOption,
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="The id of the grant, the part before the dot.")],
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a grant that was not redeemed."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        refused = gate.revoke(grant, credential=secret, reason=reason)
    if refused is not None:
        raise RulingError(refused.explain())
    _show({"revoked": grant}, as_json=as_json)


def read_entity(text: str) -> dict[str, str]:
    """An entity written as `user:ann`; raises `ConfigurationError` where it is not."""
    kind, _, name = text.partition(":")
    if not (kind and name):
        raise ConfigurationError(f"expected a type and an id such as `user:ann`, found `{text[:80]}`")
    return {"type": kind, "id": name}


def _show(told: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(told)
    else:
        terminal.show_pairs(told)


def _told(line: dict[str, object]) -> str:
    actions = line["actions"]
    what = ", ".join(map(str, actions)) if isinstance(actions, list) and actions else "every action"
    about = f" of {line['about']}" if line.get("about") else ""
    until = f", until {line['until']}" if "until" in line else ""
    why = f"; {line.get('operator', 'somebody')}: {line.get('reason', 'the reason was erased')}"
    return f"{line['id']}  {line['lever']}  {what}{about}{until}{why}"
