"""`demur subject`: what is kept about a person, its erasure, and the legal holds that forbid it.

Exporting and listing read only, also while a gate runs. Erasing and holding take the credential of a person with the
role `operator`; they take the lease of the home, or go through the service that has it (S11.1).
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Annotated

import typer

from demur.cli import terminal
from demur.cli.review import CredentialOption, read_credential
from demur.cli.terminal import HomeOption, JsonOption

app = typer.Typer(help="Say what is kept about a person, and erase it.", no_args_is_help=True, rich_markup_mode=None)

PersonArgument = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="The person, by type and id: `user:ann`, `reviewer:mara`.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a sentence; the auditor will read it.")]


@app.command()
def export(home: HomeOption, person: PersonArgument, as_json: JsonOption = False) -> None:
    """Print all that is kept about a person, as JSON: for that person, since it is all in the clear."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        kept = reader.export(person)
    if as_json:
        terminal.write_json(kept)
    else:
        typer.echo(json.dumps(kept, indent=2, ensure_ascii=False))


@app.command()
def erase(
    home: HomeOption,
    person: PersonArgument,
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy the keys of all that is sealed about a person. The records stay, and so does every proof."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        done = gate.erase(person, credential=secret, reason=reason)
    told = {
        "erasure": done.id,
        "state": done.state.value,
        "why": done.why,
        "keys": len(done.keys),
        "records": done.records,
    }
    if as_json:
        terminal.write_json(told)
    else:
        terminal.show_pairs({name: str(value) for name, value in told.items()})


@app.command()
def hold(
    home: HomeOption,
    person: PersonArgument,
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place a legal hold: until it is released nothing about this person is erased or ends."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        placed = gate.hold(person, credential=secret, reason=reason)
    _show({"hold": placed.id, "since": str(placed.since)}, as_json=as_json)


@app.command()
def release(
    home: HomeOption,
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="The id of the hold.")],
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a legal hold."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        gate.release_hold(hold_id, credential=secret, reason=reason)
    _show({"released": hold_id}, as_json=as_json)


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the legal holds in force and the erasures that wait for the last copy of a key."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        listed = reader.forgetting()
    for line in listed:
        if as_json:
            terminal.write_json(line)
        elif "hold" in line:
            typer.echo(
                f"{line['hold']}  hold on {line.get('subject', 'somebody')}; {line.get('operator', 'somebody')}: "
                f"{line.get('reason', 'the reason was erased')}"
            )
        else:
            typer.echo(f"{line['erasure']}  erasure, {line['state']} since {line['since']}")
    if not listed and not as_json:
        typer.echo("nobody is held, and no erasure is pending")


def _show(told: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(told)
    else:
        terminal.show_pairs(told)
