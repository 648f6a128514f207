"""The guard: the ledger must continue every checkpoint that was published before, or nothing is appended to it.

A database that was put back to an older state, or a replica that was promoted without the newest records, looks whole:
its chain and its tree are right, only the end is missing. What stands outside it tells: the newest checkpoint in
`published/checkpoint`, and whatever anchors hold. Where they say more than the store, somebody must look.

Going on is an operator's act. It begins a new epoch: another origin (`.../epoch-2`) with another key, because under
the old ones sizes were signed whose records are gone, and no size may ever be signed with two roots.

- The guard reads only. It runs before the first append of an opening.
- A missing file where checkpoints were signed is an alarm as well: who removes it removes what would tell.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from demur.adapters import durable
from demur.adapters.signing import verifier_key, verify
from demur.core.ledger import checkpoint, note, rotation, tile
from demur.core.ledger.checkpoint import Checkpoint
from demur.core.record import Draft
from demur.errors import ConfigurationError, LedgerError, RollbackError

if TYPE_CHECKING:
    from pathlib import Path

    from demur.adapters.signing import SigningKeys
    from demur.core.ledger.note import VerifierKey
    from demur.core.ledger.rotation import Window
    from demur.core.record import Json, Sealed
    from demur.ports import Store, Transaction, Tree

KEYS = "checkpoint.keys"
"""The name under which the store keeps the windows of the log's keys."""
SIGNING = "checkpoint.signing"
"""The name under which the store keeps the text that was to be signed last."""
ACCEPTED = "checkpoint.accepted"
"""The name under which the store keeps the checkpoint whose loss an operator accepted last."""
PUBLISHED = "checkpoint"
"""The file, in the folder of published checkpoints, with the newest one."""

_EPOCH = re.compile(r"(?P<base>.+)/epoch-(?P<number>[1-9][0-9]{0,8})", re.ASCII)
_HINT = (
    "put back the newest copy of the database; where its newest records are lost for good, "
    "`demur ledger accept-rollback` records that and begins a new epoch under another key"
)


def check(store: Store, folder: Path | None) -> None:
    """Raises `RollbackError` where the store does not continue what is published in this folder."""
    published = read_published(folder) if folder is not None else None
    store.read(lambda tx: _check(tx, published, folder))


def check_continues(tx: Transaction, last: Checkpoint, where: str) -> None:
    """Raises `RollbackError` unless the tree begins with that of a checkpoint, which was found at `where`."""
    tree = tx.tree()
    if tree.size < last.size:
        message = f"expected at least the {last.size} records that {where} says were signed, found {tree.size}"
        raise RollbackError(message, hint=_HINT)
    if tile.root(last.size, reading(tx)) != last.root:
        message = f"expected the first {last.size} records to be those that {where} says were signed, found others"
        raise RollbackError(message, hint=_HINT)


def read_published(folder: Path) -> bytes | None:
    """The newest published note, None where there is none; raises `RollbackError` where it cannot be read."""
    try:
        return (folder / PUBLISHED).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RollbackError(f"the published checkpoint cannot be read: {error.strerror}", hint=_HINT) from error


def windows_in(tx: Transaction) -> tuple[Window, ...]:
    """The windows of the log's keys, none where it never had one; raises `LedgerError` where they are damaged."""
    data = tx.find_meta(KEYS)
    return () if data is None else rotation.decode(data)


def reading(tx: Transaction) -> tile.Read:
    """How the core reads tiles, from this transaction; a missing tile raises `LedgerError`."""

    def read(level: int, number: int, width: int) -> bytes:
        data = tx.find_tile(level, number, width)
        if data is None:
            raise LedgerError(f"expected the tile `{tile.path(level, number, width)}`, found none")
        return data

    return read


def next_origin(*origins: str) -> str:
    """The origin of the epoch after all these."""
    found = [_EPOCH.fullmatch(origin) for origin in origins]
    base = found[0]["base"] if found[0] else origins[0]
    return f"{base}/epoch-{max((int(match['number']) if match else 1) for match in found) + 1}"


def without_epoch(origin: str) -> str:
    """The origin without its epoch."""
    match = _EPOCH.fullmatch(origin)
    return match["base"] if match else origin


def begin_epoch(store: Store, keys: SigningKeys, folder: Path | None, operator: str, sealed: Sealed) -> str:
    """Record that an operator goes on although records are gone, under another origin and key; returns its text.

    What was published stays in the folder beside, as evidence. Raises `ConfigurationError` where the log never signed,
    and `StoreError`.
    """
    published = read_published(folder) if folder is not None else None
    lost = _readable(published)
    windows = store.read(windows_in)
    origins = [*(window.key.name for window in windows[-1:]), *([lost.origin] if lost else [])]
    if not origins:
        raise ConfigurationError("expected a log that signed something, found one that never did")
    signer = keys.make(next_origin(*origins), {window.key.public_key for window in windows})
    key = verifier_key(signer)
    if folder is not None and published is not None:
        durable.replace_file(folder / f"lost-{key.id.hex()}", published)

    def work(tx: Transaction) -> None:
        tree = tx.tree()
        ended = tuple(replace(window, last_size=tree.size, is_retired=True) for window in windows)
        tx.append(Draft("rollback_accepted", {**_lost(tree, lost), **_epoch(key), "operator": operator}, sealed))
        tx.put_meta(KEYS, rotation.encode((*ended, rotation.Window(key, tree.size + 1))))
        tx.put_meta(SIGNING, Checkpoint(key.name, tree.size, tree.root).text.encode())
        tx.put_meta(ACCEPTED, published or b"")

    store.submit(work).result()
    return key.text


def check_note(tx: Transaction, whole: note.Note, where: str) -> None:
    """Raises `RollbackError` unless the tree continues the checkpoint in a note of this log, found at `where`."""
    try:
        last = checkpoint.parse(whole.text)
    except LedgerError as error:
        raise RollbackError(f"expected a checkpoint at {where}: {error}", hint=_HINT) from error
    check_continues(tx, last, where)
    windows = windows_in(tx)
    origin = windows[-1].key.name if windows else "none"
    if last.origin != origin:
        message = f"expected a checkpoint of `{origin}` at {where}, found one of `{last.origin[:80]}`"
        raise RollbackError(message, hint=_HINT)
    try:
        checkpoint.check(whole, log_keys=[window.key for window in windows], verify=verify)
    except LedgerError as error:
        raise RollbackError(f"the checkpoint at {where} is not one of this log's: {error}", hint=_HINT) from error


def _check(tx: Transaction, published: bytes | None, folder: Path | None) -> None:
    where = f"`{folder / PUBLISHED}`" if folder is not None else "nowhere"
    if published is None:
        if folder is not None and _was_signed(tx):
            message = f"expected the newest checkpoint at {where}, found none although some were signed"
            raise RollbackError(message, hint=_HINT)
        return
    try:
        whole = note.parse(published)
    except LedgerError as error:
        raise RollbackError(f"the checkpoint at {where} is damaged: {error}", hint=_HINT) from error
    if tx.find_meta(ACCEPTED) != published:
        check_note(tx, whole, where)


def _was_signed(tx: Transaction) -> bool:
    """Whether the store holds a checkpoint of the present epoch, which was published before it was stored."""
    row, windows = tx.find_checkpoint(), windows_in(tx)
    return (
        row is not None and bool(windows) and checkpoint.parse(note.parse(row.note).text).origin == windows[-1].key.name
    )


def _readable(published: bytes | None) -> Checkpoint | None:
    try:
        return None if published is None else checkpoint.parse(note.parse(published).text)
    except LedgerError:
        return None


def _lost(tree: Tree, lost: Checkpoint | None) -> dict[str, Json]:
    """What was found, and what should have been, as the record tells it."""
    found: dict[str, Json] = {"found_size": tree.size, "found_root": tree.root.hex()}
    if lost is None:
        return found
    return found | {"expected_size": lost.size, "expected_root": lost.root.hex()}


def _epoch(key: VerifierKey) -> dict[str, Json]:
    return {"origin": key.name, "new_key": key.public_key.hex()}
