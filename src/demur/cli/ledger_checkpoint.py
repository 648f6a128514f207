"""`demur ledger checkpoint`, `proof`, `key`, `policy`, `accept-rollback`: what is signed, by whom, and for whom."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.lever import ReasonOption
from demur.cli.review import CredentialOption, read_credential
from demur.cli.terminal import HomeOption, JsonOption

if TYPE_CHECKING:
    from demur.core.ledger.rotation import Window

keys = typer.Typer(help="Show and rotate the keys that sign checkpoints.", no_args_is_help=True, rich_markup_mode=None)


def checkpoint(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show the newest signed checkpoint: what the whole ledger was when it was signed last.

    Keep it elsewhere: with it anybody can show that records signed then were taken away or altered.
    """
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        found = wiring.newest_checkpoint(reader)
        size = reader.head().size
    if as_json:
        terminal.write_json(
            {"size": found.size, "root": found.root.hex(), "records": size, "note": found.note.decode()}
        )
        return
    typer.echo(found.note.decode(), nl=False)
    if size > found.size:
        terminal.note(f"{size - found.size} records are not signed yet")


def proof(
    home: HomeOption,
    sequence: Annotated[int, typer.Argument(min=0, help="The number of the record, from 0.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write it there, usually `*.tlog-proof`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that a record stands in the signed ledger, for whoever has its leaf and the log's verifier key.

    The proof is a `c2sp.org/tlog-proof@v1` with the newest checkpoint; it needs neither the ledger nor Demur.
    """
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        text = wiring.signed_proof(reader, sequence)
    if to is not None:
        to.write_bytes(text.encode())
    if as_json:
        terminal.write_json({"sequence": sequence, "proof": text})
    elif to is None:
        typer.echo(text, nl=False)


@keys.command("show")
def show_keys(home: HomeOption, as_json: JsonOption = False) -> None:
    """Show the keys that sign checkpoints, with the sizes that each signs, for those who verify."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        windows = wiring.key_windows(reader)
    for window in windows:
        if as_json:
            terminal.write_json(_document(window))
        else:
            typer.echo(f"{window.key.text}  sizes from {window.first_size}{_until(window)}")


@keys.command("rotate")
def rotate_key(
    home: HomeOption,
    reason: ReasonOption,
    overlap: Annotated[
        int, typer.Option("--overlap", min=2, metavar="N", help="For so many records more both keys sign.")
    ] = 1_000,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hand over to another key that signs checkpoints. The old key vouches for it in a record, and ends later.

    Give the new key to those who verify before the overlap ends.
    """
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        key = gate.rotate_key(overlap=overlap, credential=secret, reason=reason)
    if as_json:
        terminal.write_json({"key": key})
    else:
        typer.echo(key)


def policy(
    home: HomeOption,
    witnesses: Annotated[
        list[str] | None, typer.Option("--witness", metavar="KEY", help="A witness's verifier key; may be repeated.")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option("--quorum", min=1, metavar="N", help="So many witnesses must cosign; all by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the trust policy of this ledger (C2SP tlog-policy), for those who verify it.

    Hand it over by another way than the records: who can alter both can make a ledger look true.
    """
    from demur import wiring
    from demur.core.ledger import note, trust

    with closing(wiring.open_reader(home)) as reader:
        text = trust.policy(wiring.key_windows(reader), [note.parse_key(key) for key in witnesses or ()], quorum)
    if as_json:
        terminal.write_json({"policy": text})
    else:
        typer.echo(text, nl=False)


def accept_rollback(
    home: HomeOption,
    reason: ReasonOption,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on although records that were signed are gone: an operator's act, on the record, under a new origin and key.

    Restore the newest copy of the database instead wherever there is one.
    """
    from demur import wiring

    secret = read_credential(credential_file)
    key = wiring.accept_rollback(home, credential=secret, reason=reason)
    if as_json:
        terminal.write_json({"key": key})
    else:
        typer.echo(f"a new epoch began; give its key to those who verify:\n{key}")


def _document(window: Window) -> dict[str, object]:
    plain = {"key": window.key.text, "first_size": window.first_size, "last_size": window.last_size}
    return plain | {"retired": window.is_retired}


def _until(window: Window) -> str:
    return "" if window.last_size is None else f" to {window.last_size}"
