"""`demur store`: the databases of gates that share one, made ready by a role that may create tables."""

from __future__ import annotations

from typing import Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import JsonOption

app = typer.Typer(help="Prepare the databases that several gates share.", no_args_is_help=True, rich_markup_mode=None)

StoreOption = Annotated[
    str, typer.Option("--store", metavar="URL", envvar="DEMUR_STORE", help="The database of the ledger.")
]
KeysOption = Annotated[
    str, typer.Option("--keys", metavar="URL", envvar="DEMUR_KEYS", help="The database of the persons' keys.")
]


@app.callback()
def store() -> None:
    """Prepare the databases that several gates share."""


@app.command()
def prepare(store: StoreOption = "", keys: KeysOption = "", as_json: JsonOption = False) -> None:
    """Check both servers, make the tables or bring them to the newest revision.

    The gates themselves then need no right to change tables. Keep passwords in ~/.pgpass, not in the URL.
    """
    from demur import wiring

    revision = wiring.prepare_databases(store, keys)
    if as_json:
        terminal.write_json({"ok": True, "revision": revision})
    else:
        typer.echo(f"ok: tables of revision {revision}; both servers keep what they commit")
