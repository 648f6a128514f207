"""`demur person`: who may log in to the service, with which roles.

One process owns a home: these take its lease, or go through the service that has it; administrators do the same over
HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.caller import LogOption
from demur.cli.terminal import HomeOption, JsonOption
from demur.core.access import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="Say who may log in to the service.", no_args_is_help=True, rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The subject id of the person.")]


@app.command()
def add(
    home: HomeOption,
    name: NameArgument,
    roles: Annotated[list[Role], typer.Option("--role", help="What they may do; may be given again.")],
    panels: Annotated[
        list[str] | None, typer.Option("--panel", metavar="ROLE", help="A role that reviews ask for; may be repeated.")
    ] = None,
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="A group that they belong to; may be repeated.")
    ] = None,
    languages: Annotated[
        list[str] | None, typer.Option("--language", metavar="TAG", help="A language that they speak, such as `de`.")
    ] = None,
    issuer: Annotated[str, typer.Option("--issuer", metavar="URL", help="The identity provider that knows them.")] = "",
    subject: Annotated[str, typer.Option("--subject", metavar="ID", help="Who they are at that provider.")] = "",
    log: LogOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a person, or give a known one other roles and end their logins.

    The code is shown once; within a day it lets them choose a password at `/welcome`, once.
    """
    from demur.steps.enrolling import LOCAL
    from demur.wiring.desks import people as open_people

    provider = (issuer, subject) if issuer or subject else None
    with open_people(home, log) as people:
        link = people.add(
            name,
            by=LOCAL,
            roles=roles,
            panels=panels or [],
            provider=provider,
            groups=groups or [],
            languages=languages or [],
        )
    if as_json:
        terminal.write_json({"name": name, "code": link})
    else:
        terminal.show_pairs({"person": name, "code for /welcome": link})


@app.command("list")
def list_(home: HomeOption, log: LogOption = "", as_json: JsonOption = False) -> None:
    """List who may log in, and with which roles."""
    from demur.wiring.desks import people as open_people

    with open_people(home, log) as people:
        listed = people.listed()
    for told in listed:
        if as_json:
            terminal.write_json(told)
        else:
            typer.echo(f"{told['name'] or '(erased)'}: {_line(told)}")
    if not listed and not as_json:
        typer.echo("nobody may log in here; `demur person add` lets somebody")


@app.command()
def remove(home: HomeOption, name: NameArgument, as_json: JsonOption = False) -> None:
    """Forget a person and end their logins."""
    from demur.steps.enrolling import LOCAL
    from demur.wiring.desks import people as open_people

    with open_people(home) as people:
        people.remove(name, by=LOCAL)
    if as_json:
        terminal.write_json({"name": name, "removed": True})
    else:
        typer.echo(f"removed {name}")


def _line(told: Mapping[str, object]) -> str:
    words = {key: ", ".join(found) for key in _TOLD if isinstance(found := told.get(key), list) and found}
    return "; ".join(f"{_TOLD[key]}{text}" for key, text in words.items())


_TOLD = {"roles": "", "panels": "rules as ", "groups": "in ", "languages": "speaks "}
