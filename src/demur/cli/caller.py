"""`demur caller`: which programs may call the service, as whom and for whom.

One process owns a home: these take its lease, or go through the service that has it (S11.1).
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import HomeOption, JsonOption
from demur.core.access import Role

if TYPE_CHECKING:
    from demur.core.terms import Timestamp
    from demur.steps.enrolling import ToldKey

app = typer.Typer(help="Say which programs may call the service.", no_args_is_help=True, rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name of a-z, 0-9, `_`, `.` and `-`.")]
LogOption = Annotated[str, typer.Option("--log", metavar="NAME", help="The ledger's id, where the home is fresh.")]
DaysOption = Annotated[int, typer.Option("--days", min=0, max=36_500, help="Days until the key ends; 0 for never.")]


@app.command()
def add(
    home: HomeOption,
    name: NameArgument,
    roles: Annotated[
        list[Role] | None, typer.Option("--role", help="What it may do; may be given again. Default: caller.")
    ] = None,
    subjects: Annotated[
        list[str] | None,
        typer.Option("--subject", metavar="TYPE:ID", help="For whom it may speak, such as `user:*`; may be repeated."),
    ] = None,
    actor: Annotated[
        str, typer.Option("--actor", metavar="TYPE:ID", help="The agent that it is. Default: `agent:NAME`.")
    ] = "",
    obligations: Annotated[
        list[str] | None,
        typer.Option("--obligation", metavar="TYPE", help="An obligation that it carries out; may be repeated."),
    ] = None,
    owner: Annotated[
        str, typer.Option("--owner", metavar="PERSON", help="Who answers for it; needed by authors and approvers.")
    ] = "",
    days: DaysOption = 0,
    log: LogOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a program, or give a known one other rights and another key, and issue its API key. It is shown once."""
    from demur.steps.enrolling import LOCAL
    from demur.wiring.desks import enrolment as open_enrolment

    with open_enrolment(home, log) as enrolment:
        key = enrolment.add_program(
            name,
            by=LOCAL,
            roles=roles or [Role.CALLER],
            subjects=subjects or [],
            actor=actor,
            obligations=obligations or [],
            owner=owner,
            expires_at=_in_days(days),
        )
    _show_key(name, key, as_json=as_json)


@app.command()
def rotate(
    home: HomeOption,
    name: NameArgument,
    hours: Annotated[int, typer.Option("--overlap", min=0, max=720, help="Hours for which the old key goes on.")] = 24,
    days: DaysOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Issue another API key for a program; the old one goes on for a while. It is shown once."""
    from demur.steps.enrolling import LOCAL
    from demur.wiring.desks import enrolment as open_enrolment

    with open_enrolment(home) as enrolment:
        key = enrolment.rotate_program(name, by=LOCAL, overlap_seconds=hours * 3_600, expires_at=_in_days(days))
    _show_key(name, key, as_json=as_json)


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the programs, what they may do, for whom they speak, and their keys. Reads only, also while a gate runs."""
    from demur import wiring
    from demur.steps import enrolling

    with closing(wiring.open_reader(home)) as reader:
        state = reader.store.read(enrolling.read_state)
    for program in state.roster.programs:
        told = enrolling.describe(program, state.used)
        if as_json:
            terminal.write_json(told)
            continue
        typer.echo(f"{program.name}: {', '.join(program.roles)}; speaks for {', '.join(told['subjects'])}")
        for key in told["keys"]:
            typer.echo(f"  {key['begins']}...  {_span(key)}")
    if not state.roster.programs and not as_json:
        typer.echo("no program may call here; `demur caller add` issues an API key")


@app.command()
def remove(home: HomeOption, name: NameArgument, as_json: JsonOption = False) -> None:
    """Forget a program; its API keys are worth nothing from now on."""
    from demur.steps.enrolling import LOCAL
    from demur.wiring.desks import enrolment as open_enrolment

    with open_enrolment(home) as enrolment:
        enrolment.remove_program(name, by=LOCAL)
    if as_json:
        terminal.write_json({"name": name, "removed": True})
    else:
        typer.echo(f"removed {name}")


def _show_key(name: str, key: str, *, as_json: bool) -> None:
    if as_json:
        terminal.write_json({"name": name, "key": key})
    else:
        terminal.show_pairs({"caller": name, "API key": key})


def _span(key: ToldKey) -> str:
    since = f"since {key['since']}"
    ends = f", until {key['expires_at']}" if "expires_at" in key else ""
    return f"{since}{ends}, used {key.get('last_used', 'never')}"


def _in_days(days: int) -> Timestamp | None:
    from demur import wiring

    return wiring.clock().now().plus(days * 86_400) if days else None
