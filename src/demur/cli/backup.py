"""`demur backup`: copy a home while its gate runs, and make a home from a copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import HomeOption, JsonOption

if TYPE_CHECKING:
    from demur.wiring import Manifest

app = typer.Typer(help="Copy a home, and make one from a copy.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def create(
    home: HomeOption,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The folder for the copy; must not exist.")],
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys", metavar="FILE", help="Copy the keys too, into this file. Keep it elsewhere, and not for long."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy ledger and reviewers as of one instant, and check the copy. Without keys nothing in it can be unsealed."""
    from demur import wiring

    _show(wiring.create_backup(home, dest, keys=keys), as_json=as_json)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The folder of the copy.")],
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The folder of the home; must be empty or not exist.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="The copy of the keys that goes with it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a home from a copy, after checking it. What was erased stays erased, also where the keys are older."""
    from demur import wiring

    _show(wiring.restore_backup(source, home, keys=keys), as_json=as_json)
    if not as_json:
        terminal.note(
            "the newest published checkpoint is not part of a copy; put it into `published` in the home, or accept "
            "that newer records are lost"
        )


def _show(manifest: Manifest, *, as_json: bool) -> None:
    told = {
        "log": manifest.log,
        "records": manifest.size,
        "head": f"{manifest.size}:{manifest.head}",
        "root": manifest.root,
        "created": manifest.created,
    }
    if as_json:
        terminal.write_json(told)
    else:
        terminal.show_pairs({name: str(value) for name, value in told.items()})
