"""A home verified by itself: records, chain, tree, what was signed, and what is sealed.

Whoever has the home has its keys and can make all of it anew. A verdict that does not rest on that is what the offline
verifier gives, over an export and with a trust policy from elsewhere.

Clauses: S5.4, S5.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur import wiring
from demur.core.ledger import chain, tile
from demur.evaluation import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from demur.core.ledger.chain import Link
    from demur.ports import StoredRecord
    from demur.wiring import Reader

    Watch = Callable[[Iterable[StoredRecord], str], Iterable[StoredRecord]]
    """Passes records on, and may show somebody how far it is; the text says with what."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A ledger in which nothing contradicts itself; `signed` is the size of the newest checkpoint, 0 for none."""

    end: Link
    root: bytes
    checkpoints: int
    signed: int
    sealed: int
    forgotten: int
    remarks: tuple[str, ...]


def verify(
    reader: Reader, home: Path, *, expected: Link | None = None, watch: Watch = lambda records, _: records
) -> Verified:
    """Check everything; raises `LedgerError` at the first contradiction. `expected` is a head kept elsewhere."""
    checked = chain.check(watch(reader.records(), "verifying"), log=reader.log, expected=expected)
    size = checked.end.size
    signed = _Counted(wiring.signed_roots(reader, home))
    hashes = (record.record_hash for record in reader.records(0, size))
    root = tile.check(hashes, reader.find_tile, signed).root()
    records = watch(reader.records(0, size), "opening what is sealed")
    sealed = replay.check_sealed(records, reader, reader.vault)
    return Verified(checked.end, root, signed.count, signed.last, sealed.sealed, sealed.forgotten, checked.remarks)


class _Counted:
    """Sizes and roots passed on, and how many there were."""

    def __init__(self, pairs: Iterable[tuple[int, bytes]]) -> None:
        self._pairs = pairs
        self.count = 0
        self.last = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for size, root in self._pairs:
            self.count, self.last = self.count + 1, size
            yield size, root
