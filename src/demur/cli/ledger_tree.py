"""`demur ledger tree` and `prove`: the tree over the records, and the proof that one record stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import HomeOption, JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from demur.wiring import Reader


def tree(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show size and root of the tree over the records, and what its tiles take."""
    from demur.core.ledger import tile

    reader = _open(home)
    try:
        found = reader.tree()
    finally:
        reader.close()
    stored = tile.stored_bytes(found.size)
    each = round(stored / found.size, 1) if found.size else 0.0
    if as_json:
        terminal.write_json(
            {
                "log": reader.log,
                "size": found.size,
                "root": found.root.hex(),
                "tile_bytes": stored,
                "tile_bytes_per_record": each,
            }
        )
        return
    typer.echo(f"size: {found.size} records of log `{reader.log}`")
    typer.echo(f"root: {found.root.hex()}")
    typer.echo(f"tiles: {stored} bytes, {each} a record")


def prove(
    home: HomeOption,
    sequence: Annotated[int, typer.Argument(min=0, help="The number of the record, from 0.")],
    size: Annotated[
        int | None, typer.Option("--size", min=1, help="In the tree of so many records; of all where it is left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that a record stands in the tree: the hashes that lead from it to the root (RFC 6962).

    Whoever has the root from elsewhere can check the proof without the ledger.
    """
    reader = _open(home)
    try:
        proof = reader.prove(sequence, size)
    finally:
        reader.close()
    hashes = [found.hex() for found in proof.hashes]
    if as_json:
        terminal.write_json(
            {
                "log": reader.log,
                "index": proof.sequence,
                "size": proof.size,
                "root": proof.root.hex(),
                "leaf_hash": proof.record_hash.hex(),
                "hashes": hashes,
            }
        )
        return
    typer.echo(f"record {proof.sequence} of {proof.size}: {proof.record_hash.hex()}")
    for found in hashes:
        typer.echo(f"  {found}")
    typer.echo(f"root: {proof.root.hex()}")


def _open(home: Path) -> Reader:
    from demur import wiring

    return wiring.open_reader(home)
