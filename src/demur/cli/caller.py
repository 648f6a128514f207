"""`demur caller`: which programs may call the service, as whom and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import HomeOption, JsonOption
from demur.core.access import Role
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.core.terms import Timestamp

app = typer.Typer(help="Say which programs may call the service.", no_args_is_help=True, rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name of a-z, 0-9, `_`, `.` and `-`.")]


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
    days: Annotated[int, typer.Option("--days", min=0, help="Days until the key ends; 0 for never.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Add a program, or give a known one another key, and issue its API key. It is shown once and kept nowhere.

    A running service knows it within a second.
    """
    from demur.wiring.callers import open_callers

    key = open_callers(home).add(
        name,
        roles=tuple(roles or [Role.CALLER]),
        subjects=tuple(subjects or []),
        actor=actor,
        obligations=tuple(obligations or []),
        expires_at=_in_days(days),
    )
    if as_json:
        terminal.write_json({"name": name, "key": key})
    else:
        terminal.show_pairs({"caller": name, "API key": key})


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the programs, what they may do and for whom they speak."""
    from demur.wiring.callers import open_callers

    entries = open_callers(home).entries()
    for entry in entries:
        subjects = [f"agent:{entry.name}", *entry.subjects]
        if as_json:
            more = {"actor": entry.actor, "obligations": list(entry.obligations), "expires_at": entry.expires_at}
            known = {name: value for name, value in more.items() if value}
            terminal.write_json({"name": entry.name, "roles": list(entry.roles), "subjects": subjects, **known})
        else:
            ends = f", until {entry.expires_at}" if entry.expires_at else ""
            typer.echo(f"{entry.name}: {', '.join(entry.roles)}; speaks for {', '.join(subjects)}{ends}")
    if not entries and not as_json:
        typer.echo("no program may call here; `demur caller add` issues an API key")


@app.command()
def remove(home: HomeOption, name: NameArgument, as_json: JsonOption = False) -> None:
    """Forget a program; a running service turns its API key away within a second."""
    from demur.wiring.callers import open_callers

    open_callers(home).remove(name)
    if as_json:
        terminal.write_json({"name": name, "removed": True})
    else:
        typer.echo(f"removed {name}")


def _in_days(days: int) -> Timestamp | None:
    from demur import wiring

    if days > 36_500:
        raise ConfigurationError(f"expected at most 36500 days, found {days}")
    return wiring.clock().now().plus(days * 86_400) if days else None
