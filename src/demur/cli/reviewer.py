"""`demur reviewer`: who may rule on deferred actions, and with which roles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

app = typer.Typer(help="Say who may rule on deferred actions.", no_args_is_help=True, rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The subject id of the person.")]


@app.command()
def add(
    home: HomeOption,
    name: NameArgument,
    roles: Annotated[list[str], typer.Option("--role", help="A role that reviews ask for; may be given again.")],
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="A group that they belong to; may be given again.")
    ] = None,
    languages: Annotated[
        list[str] | None, typer.Option("--language", metavar="TAG", help="A language that they speak, such as `de`.")
    ] = None,
    credential_file: Annotated[
        Path | None,
        typer.Option("--credential-file", metavar="FILE", help="Write the credential here (mode 0600) instead."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a reviewer, or give a known one other roles, and issue a credential. It is shown once and kept nowhere."""
    from demur import wiring

    if credential_file is not None and credential_file.exists():
        raise ConfigurationError(f"expected a file that does not exist, found `{credential_file}`")
    credential = wiring.open_reviewers(home).add(name, roles, groups=groups or (), languages=languages or ())
    if credential_file is not None:
        _write_private(credential_file, credential)
    place = {"credential_file": str(credential_file)} if credential_file else {"credential": credential}
    more = {"groups": sorted(set(groups or ())), "languages": sorted(set(languages or ()))}
    told = {name: words for name, words in more.items() if words}
    if as_json:
        terminal.write_json({"name": name, "roles": sorted(set(roles)), **told, **place})
    else:
        shown = {name: ", ".join(words) for name, words in told.items()}
        terminal.show_pairs({"reviewer": name, "roles": ", ".join(sorted(set(roles))), **shown, **place})


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the reviewers and their roles."""
    from demur import wiring

    entries = wiring.open_reviewers(home).entries()
    for entry in entries:
        if as_json:
            more = {"groups": list(entry.groups), "languages": list(entry.languages)}
            told = {key: words for key, words in more.items() if words}
            terminal.write_json({"name": entry.name, "roles": list(entry.roles), **told})
        else:
            groups = f"; in {', '.join(entry.groups)}" if entry.groups else ""
            languages = f"; speaks {', '.join(entry.languages)}" if entry.languages else ""
            typer.echo(f"{entry.name}: {', '.join(entry.roles)}{groups}{languages}")
    if not entries and not as_json:
        typer.echo("nobody may rule on reviews here; `demur reviewer add` issues a credential")


@app.command()
def remove(home: HomeOption, name: NameArgument, as_json: JsonOption = False) -> None:
    """Forget a reviewer; the credential is worth nothing from now on."""
    from demur import wiring

    wiring.open_reviewers(home).remove(name)
    if as_json:
        terminal.write_json({"name": name, "removed": True})
    else:
        typer.echo(f"removed {name}")


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(f"{text}\n")
