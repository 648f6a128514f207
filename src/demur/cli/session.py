"""`demur session`: who is quarantined, and the operator's way to lift that or to quarantine by hand.

A session here is a caller, a subject and what that caller calls a session: the key by which attempts are remembered.
Listing and showing read only, also while a gate runs. The others take an operator's credential and a reason, and write
while no gate runs on the home; a running gate has them as methods (S11.1).
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.lever import ReasonOption, read_entity
from demur.cli.review import CredentialOption, read_credential
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import RulingError

if TYPE_CHECKING:
    from demur.steps.denials import Held

app = typer.Typer(
    help="See who is quarantined, lift that, and quarantine.", no_args_is_help=True, rich_markup_mode=None
)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key of the session, as `list` shows it.")]


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the quarantined sessions, the newest last."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        listed = reader.sessions()
    for held in listed:
        if as_json:
            terminal.write_json(_plain(held))
        else:
            typer.echo(f"{held.key}  {_whom(held)}, since {held.since}; {_why(held)}")
    if not listed and not as_json:
        typer.echo("nobody is quarantined")


@app.command()
def show(home: HomeOption, key: KeyArgument, as_json: JsonOption = False) -> None:
    """Show one quarantined session: who it is, since when, and why."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        held = reader.session(key)
    if held is None:
        message = f"expected the key of a quarantined session, found `{key[:64]}`"
        raise RulingError(message, hint="`demur session list` shows those that are quarantined")
    if as_json:
        terminal.write_json(_plain(held))
    else:
        pairs = {"session": held.key, "who": _whom(held), "since": str(held.since), "why": _why(held)}
        terminal.show_pairs({**pairs, "record": held.audit_id})


@app.command()
def lift(
    home: HomeOption,
    key: KeyArgument,
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lift a quarantine. The count begins anew; what was attempted is still known."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        gate.lift(key, credential=secret, reason=reason)
    _tell({"lifted": key}, as_json=as_json)


@app.command()
def quarantine(
    home: HomeOption,
    subject: Annotated[str, typer.Option("--subject", metavar="TYPE:ID", help="On whose behalf it is asked.")],
    reason: ReasonOption,
    session: Annotated[str, typer.Option("--session", help="The session, as requests name it; default: none.")] = "",
    caller: Annotated[str, typer.Option("--caller", help="Who asks, as the gate authenticates it.")] = "local",
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse whatever this caller asks for this subject in this session, until it is lifted."""
    from demur import wiring

    whom, secret = read_entity(subject), read_credential(credential_file)
    with wiring.desk(home) as gate:
        key = gate.quarantine(subject=whom, session=session, caller=caller, credential=secret, reason=reason)
    _tell({"quarantined": key}, as_json=as_json)


def _plain(held: Held) -> dict[str, object]:
    return {
        "session": held.key,
        "caller": held.caller or None,
        "subject": held.subject or None,
        "name": held.session or None,
        "since": str(held.since),
        "repeats": held.repeats,
        "operator": held.operator or None,
        "reason": held.reason or None,
        "audit_id": held.audit_id,
    }


def _whom(held: Held) -> str:
    if not held.subject:
        return "somebody whose data was erased"
    session = f" in `{held.session}`" if held.session else ""
    return f"{held.caller} for {held.subject}{session}"


def _why(held: Held) -> str:
    if held.operator:
        return f"{held.operator}: {held.reason}"
    return f"{held.repeats} attempts against advice" if held.repeats else "the reason was erased"


def _tell(told: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(told)
    else:
        terminal.show_pairs(told)
