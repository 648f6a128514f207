"""`demur meter`: make the key of a meter known, hand in its statements, see how far they go."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from demur.cli import terminal
from demur.cli.review import CredentialOption, read_credential
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

app = typer.Typer(
    help="Trust meters beside resources, and take their statements.", no_args_is_help=True, rich_markup_mode=None
)
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the meter.")]


@app.command()
def key(
    folder: FolderArgument,
    name: Annotated[str, typer.Option("--name", help="The name of the meter; it stays what it is.")],
    resource: Annotated[str, typer.Option("--resource", help="What it stands next to.")],
    as_json: JsonOption = False,
) -> None:
    """Make a meter where there is none, and show the public key to register. Run it where the resource is."""
    import demur.meter

    with demur.meter.open(folder, name=name, resource=resource).meter as meter:
        told = {"meter": name, "resource": resource, "key": meter.public_key}
    _show(told, as_json=as_json)


@app.command()
def state(
    folder: FolderArgument,
    name: Annotated[str, typer.Option("--name", help="The name of the meter.")],
    resource: Annotated[str, typer.Option("--resource", help="What it stands next to.")],
) -> None:
    """Sign what was counted since the last statement, and write all statements, one per line."""
    import demur.meter

    with demur.meter.open(folder, name=name, resource=resource).meter as meter:
        meter.state()
        for line in meter.statements():
            typer.echo(line.decode(), nl=False)


@app.command()
def register(
    home: HomeOption,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the meter.")],
    resource: Annotated[str, typer.Option("--resource", help="What it stands next to.")],
    key: Annotated[str, typer.Option("--key", metavar="HEX", help="Its public key, as `demur meter key` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence; the auditor will read it.")],
    actions: Annotated[
        list[str], typer.Option("--action", metavar="PATTERN", help="What the resource carries out; may be repeated.")
    ],
    every: Annotated[int, typer.Option("--every", metavar="SECONDS", help="How often it says something.")] = 60,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trust a meter's key for the actions that its resource carries out."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        added = gate.register_meter(
            name,
            resource=resource,
            key=key,
            actions=actions,
            every_seconds=every,
            credential=secret,
            reason=reason,
        )
    _show({"meter": added.meter, "resource": added.resource}, as_json=as_json)


@app.command()
def submit(
    home: HomeOption,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Statements, one per line; `-` reads standard input.")],
    as_json: JsonOption = False,
) -> None:
    """Take statements of meters into the ledger; those that are known already are passed over."""
    from demur import wiring

    lines = _read(file)
    taken = 0
    with wiring.desk(home) as gate:
        for line in lines:
            taken += gate.submit_meter(line)
    _show({"taken": str(taken), "known": str(len(lines) - taken)}, as_json=as_json)


@app.command("list")
def list_(home: HomeOption, as_json: JsonOption = False) -> None:
    """List the registered meters and how far their statements go. Reads only, also while a gate runs."""
    from demur import wiring
    from demur.steps import attesting

    with closing(wiring.open_reader(home)) as reader:
        known = reader.store.read(attesting.meters)
    for item in known:
        told: dict[str, object] = {"meter": item.meter, "resource": item.resource, "statements": item.trail.n + 1}
        if as_json:
            terminal.write_json({**told, "until": item.trail.until or None, "key": item.key})
        else:
            until = f", until {item.trail.until}" if item.trail.until else ""
            typer.echo(f"{item.meter}  {item.resource}  {item.trail.n + 1} statements{until}")
    if not known and not as_json:
        typer.echo("no meter is registered")


def _read(file: Path) -> list[bytes]:
    import sys

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the statements `{file}` cannot be read: {error.strerror}") from error
    return [line for line in data.splitlines() if line.strip()]


def _show(told: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(told)
    else:
        terminal.show_pairs(told)
