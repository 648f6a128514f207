"""Proofs about the tree over the records, made from the stored tiles within one transaction.

What is handed out was checked: the proof leads from the record as it is stored to the root, or there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.ledger import merkle, tile
from demur.errors import LedgerError

if TYPE_CHECKING:
    from demur.ports import Transaction


class Inclusion(msgspec.Struct, frozen=True):
    """That record `sequence` stands in the tree of the first `size` records with this root.

    `hashes` is the proof of RFC 6962, section 2.1.1, which `merkle.check_inclusion` checks.
    """

    sequence: int
    size: int
    root: bytes
    record_hash: bytes
    hashes: tuple[bytes, ...]


def reading(tx: Transaction) -> tile.Read:
    """Reads tiles within a transaction; what the tree does not have is empty."""
    return lambda level, number, width: tx.find_tile(level, number, width) or b""


def prove(tx: Transaction, sequence: int, size: int | None = None) -> Inclusion:
    """The proof of a record in the tree of `size` records, all of them for None.

    Raises `LedgerError` where there is no such record or no such size, or where the stored tree contradicts it.
    """
    end = tx.head.size
    wanted = end if size is None else size
    record = tx.find_record(sequence)
    if record is None or not sequence < wanted <= end:
        raise LedgerError(f"expected a record below {min(wanted, end)}, found {sequence}")
    read = reading(tx)
    root = tile.root(wanted, read)
    hashes = tile.prove_inclusion(sequence, wanted, read)
    merkle.check_inclusion(index=sequence, size=wanted, leaf=record.record_hash, proof=hashes, expected=root)
    return Inclusion(sequence, wanted, root, record.record_hash, hashes)
