"""Verify a part of the ledger while the gate runs: its chain, the tree's hashes, and a proof for each tile.

- A call checks at most `MAX_CHECKED` records and says where the next begins, so that it never stands in anybody's way.
- Proofs are checked by the verifier that auditors use, which shares no code with what made them.
- Whoever runs the gate has its keys. A verdict that does not rest on them is `demur ledger verify` over an export, with
  a trust policy from elsewhere.

Clauses: S5.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.ledger import chain, note, tile
from demur.core.ledger.chain import Link
from demur.core.ledger.proof import Proof
from demur.errors import LedgerError
from demur.steps import proving
from demur.verifier import verify as verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demur.ports import CheckpointRow, Store, StoredRecord, Transaction

MAX_CHECKED = 20_000
HASH = 32


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found whole: records `first` up to, not including, `end` of a ledger of `size`.

    `proofs` were checked against the newest checkpoint, that of `signed` records, 0 for none. `next` is where to go
    on, 0 at the end.
    """

    first: int
    end: int
    size: int
    signed: int
    tiles: int
    proofs: int
    next: int
    remarks: tuple[str, ...]


def verify(store: Store, first: int = 0, *, most: int = MAX_CHECKED) -> Checked:
    """Check records from `first` on; raises `LedgerError` at the first contradiction, and `StoreError`."""
    size, before, row = store.read(lambda tx: (tx.head.size, _before(tx, first), tx.find_checkpoint()))
    if first and first >= size:
        raise LedgerError(f"expected a record below {size}, found {first}")
    end = min(size, first + most)
    records = list(store.records(first, end))
    checked = chain.check(records, log=store.log, start=before)
    if checked.end.size != end:
        raise LedgerError(f"expected records up to {end}, found them up to {checked.end.size}")
    tiles = store.read(lambda tx: _check_tiles(tx, records))
    proofs = store.read(lambda tx: _check_proofs(tx, records, row)) if row else 0
    return Checked(
        first=first,
        end=end,
        size=size,
        signed=row.size if row else 0,
        tiles=tiles,
        proofs=proofs,
        next=end if end < size else 0,
        remarks=checked.remarks,
    )


def _before(tx: Transaction, first: int) -> Link:
    if first == 0:
        return Link()
    record = tx.find_record(first - 1)
    if record is None:
        raise LedgerError(f"expected a record below {tx.head.size}, found {first}")
    return Link(first, record.record_hash, str(chain.read_leaf(record.leaf)["timestamp"]))


def _check_tiles(tx: Transaction, records: Sequence[StoredRecord]) -> int:
    """Compare the hashes of records with those that the tree keeps; how many tiles that were."""
    by_tile: dict[int, list[StoredRecord]] = {}
    for record in records:
        by_tile.setdefault(record.sequence // tile.WIDTH, []).append(record)
    for number, members in by_tile.items():
        width = members[-1].sequence % tile.WIDTH + 1
        kept = tx.find_tile(0, number, width)
        if kept is None:
            raise LedgerError(f"the tree lacks the hashes of records {members[0].sequence} to {members[-1].sequence}")
        for record in members:
            place = record.sequence % tile.WIDTH * HASH
            if kept[place : place + HASH] != record.record_hash:
                raise LedgerError(f"record {record.sequence}: the tree holds another hash")
    return len(by_tile)


def _check_proofs(tx: Transaction, records: Sequence[StoredRecord], row: CheckpointRow) -> int:
    """Prove one record of each tile under the newest checkpoint, and let the independent verifier judge; how many."""
    signed = [record for record in records if record.sequence < row.size]
    chosen = {record.sequence // tile.WIDTH: record for record in signed}
    for record in chosen.values():
        proof = Proof(record.sequence, proving.prove(tx, record.sequence, row.size).hashes, note.parse(row.note)).text
        try:
            verifier.verify_proof(proof.encode(), record.leaf, None)
        except verifier.InvalidError as error:
            raise LedgerError(f"record {record.sequence}: {error}") from error
    return len(chosen)
