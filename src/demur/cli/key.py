"""`demur key`: the keys of a home."""

from __future__ import annotations

from typing import Annotated

import typer

from demur.cli import terminal
from demur.cli.review import CredentialOption, read_credential
from demur.cli.terminal import HomeOption, JsonOption

app = typer.Typer(help="Change the keys of a home.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def key() -> None:
    """Change the keys of a home."""


@app.command("rotate-master")
def rotate_master(
    home: HomeOption,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence; the auditor will read it.")],
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make another master key and wrap every person's key by it. Interrupted, it is finished or dropped by itself."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        keys = gate.rotate_master(credential=secret, reason=reason)
    if as_json:
        terminal.write_json({"keys": keys})
    else:
        terminal.show_pairs({"wrapped anew": f"{keys} keys"})
