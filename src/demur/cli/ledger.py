"""`demur ledger`: verify, show, follow and judge again what a gate recorded. Reads only, also while a gate runs."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import ledger_tree, terminal
from demur.cli.exits import ExitCode
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demur.core.ledger.chain import Link
    from demur.evaluation.replay import Finding
    from demur.evaluation.verification import Verified
    from demur.ports import StoredRecord
    from demur.wiring import Reader

POLL_SECONDS = 0.5
TOLD = ("outcome", "refusal_category", "verdict", "triggering_policy", "review", "grant", "cause", "count")
"""The members of a record that its line shows."""
app = typer.Typer(help="Verify, show and judge again what was recorded.", no_args_is_help=True, rich_markup_mode=None)


app.command()(ledger_tree.tree)
app.command()(ledger_tree.prove)


@app.command()
def verify(
    home: HomeOption,
    head: Annotated[
        str,
        typer.Option("--head", metavar="SIZE:HASH", help="A head kept elsewhere; the ledger must pass through it."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Check every record, its place in the chain, the tree over them, what was signed, and what is sealed to them.

    Records after the newest checkpoint that were cut off are noticed with --head alone. Whoever has the home can sign
    anew: for a verdict that does not rest on the home, `demur ledger export` and `demur ledger verifier`.
    """
    from demur.evaluation import verification

    with _reader(home) as reader:
        size = reader.head().size
        found = verification.verify(
            reader,
            home,
            expected=_link(head) if head else None,
            watch=lambda records, label: terminal.watched(iter(records), label, size),
        )
    answer = {
        "ok": True,
        "log": reader.log,
        "records": found.end.size,
        "sealed": found.sealed,
        "forgotten": found.forgotten,
        "head": f"{found.end.size}:{found.end.record_hash.hex()}",
        "root": found.root.hex(),
        "signed": found.signed,
        "remarks": list(found.remarks),
    }
    if as_json:
        terminal.write_json(answer)
    else:
        _show_verified(found, answer)


def _show_verified(found: Verified, answer: Mapping[str, object]) -> None:
    typer.echo(f"ok: {found.end.size} records of log `{answer['log']}`, {found.sealed} of them with sealed values")
    if found.forgotten:
        typer.echo(f"forgotten: {found.forgotten} of those, as records tell")
    typer.echo(f"head: {answer['head']}")
    typer.echo(f"root: {answer['root']}")
    if found.signed:
        typer.echo(f"signed: the first {found.signed} of them, by the key of this home")
    for remark in found.remarks:
        typer.echo(f"remark: {remark}")


@app.command()
def show(
    home: HomeOption,
    sequence: Annotated[int, typer.Argument(min=0, help="The number of the record, from 0.")],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the sealed values too; they may describe persons.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one record."""
    with _reader(home) as reader:
        record = next(iter(reader.records(sequence, sequence + 1)), None)
        if record is None:
            message = f"expected a record below {reader.head().size}, found `{sequence}`"
            raise ConfigurationError(message)
        document = _document(record)
        if reveal:
            document["sealed"] = _revealed(reader, sequence)
    if as_json:
        terminal.write_json(document)
    else:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@app.command()
def tail(
    home: HomeOption,
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many records.")] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with those that are added.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the last records, one per line."""
    with _reader(home) as reader:
        first = max(0, reader.head().size - count)
        while True:
            for record in reader.records(first):
                first = record.sequence + 1
                _show_line(record, as_json=as_json)
            if not follow:
                return
            time.sleep(POLL_SECONDS)


@app.command()
def replay(
    home: HomeOption,
    as_json: JsonOption = False,
) -> None:
    """Judge every recorded decision again, by the very policies and facts of then, and name those that differ."""
    from demur.evaluation import replay as replaying

    counts: dict[str, int] = {status.value: 0 for status in replaying.Status}
    with _reader(home) as reader:
        records = _watched(reader, "judging again", reader.head().size)
        for finding in replaying.replay(records, reader, reader.vault):
            counts[finding.status.value] += 1
            if finding.status in {replaying.Status.DIFFERS, replaying.Status.UNDECIDABLE}:
                _show_finding(finding, as_json=as_json)
    told = counts[replaying.Status.DIFFERS.value] + counts[replaying.Status.UNDECIDABLE.value]
    if as_json:
        terminal.write_json({"ok": not told, "counts": counts})
    else:
        typer.echo(f"{'not ok' if told else 'ok'}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    if told:
        raise typer.Exit(ExitCode.LEDGER)


@contextmanager
def _reader(home: HomeOption) -> Iterator[Reader]:
    from demur import wiring

    reader = wiring.open_reader(home)
    try:
        yield reader
    finally:
        reader.close()


def _watched(reader: Reader, label: str, size: int) -> Iterator[StoredRecord]:
    return terminal.watched(reader.records(), label, size)


def _link(head: str) -> Link:
    from demur.core.ledger.chain import Link

    size, _, digest = head.partition(":")
    try:
        return Link(int(size), bytes.fromhex(digest))
    except ValueError as error:
        raise ConfigurationError(f"expected a head such as `41:9f86...`, found `{head[:80]}`") from error


def _document(record: StoredRecord) -> dict[str, object]:
    """The leaf as it stands, with its hash beside it."""
    from demur.core.ledger import chain

    return {**chain.read_leaf(record.leaf), "record_hash": record.record_hash.hex()}


def _revealed(reader: Reader, sequence: int) -> dict[str, object]:
    sealed = reader.find_sealed(sequence)
    if sealed is None:
        return {}
    return {name: _plain(value) for name, value in reader.vault.unseal(sealed).items()}


def _plain(value: bytes) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value.decode("utf-8", "replace")


def _show_line(record: StoredRecord, *, as_json: bool) -> None:
    document = _document(record)
    if as_json:
        terminal.write_json(document)
        return
    told = " ".join(str(document[name]) for name in TOLD if document.get(name))
    typer.echo(f"{record.sequence:>6}  {document['timestamp']}  {document['type']:<18}  {told}".rstrip())


def _show_finding(finding: Finding, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        terminal.write_json(msgspec.to_builtins(finding))
    elif finding.detail:
        typer.echo(f"record {finding.sequence}: {finding.status.value}: {finding.detail}")
    else:
        typer.echo(f"record {finding.sequence}: says `{finding.recorded}`, judged again `{finding.judged}`")
