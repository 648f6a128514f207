"""What a group wrote, by table, until it is flushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.record import Sealed
from demur.ports import StoredRecord

if TYPE_CHECKING:
    from demur.adapters.counters import Key
    from demur.adapters.growth import TileKey
    from demur.core.terms import Timestamp
    from demur.ports import CheckpointRow, GrantRow, RequestRow, ReviewRow, SpendRow


class Appended(msgspec.Struct, frozen=True):
    """A record that waits for the flush."""

    sequence: int
    leaf: bytes
    record_hash: bytes
    sealed: Sealed | None

    def stored(self) -> StoredRecord:
        return StoredRecord(self.sequence, self.leaf, self.record_hash)


def by_age(row: ReviewRow) -> tuple[int, str]:
    """Sorts reviews oldest first."""
    return row.sequence, row.id


def by_urgency(row: ReviewRow) -> tuple[int, str]:
    """Sorts reviews by deadline."""
    return row.deadline.nanos, row.id


def blank(sealed: Sealed) -> Sealed:
    """What is left of sealed values that were destroyed: whose they were, and the commitments in the leaf."""
    return msgspec.structs.replace(sealed, wrapped_key=b"", nonce=b"", ciphertext=b"")


class Writes:
    """What a group wrote, by table. Flushed in this order: released, settled, then everything else; records first,
    then what is `forgotten` of them. `scrub` asks for no copy of that to stay in files.
    """

    __slots__ = (
        "blobs",
        "checkpoints",
        "forgotten",
        "grants",
        "meta",
        "records",
        "released",
        "requests",
        "reviews",
        "scrub",
        "settled",
        "spends",
        "tiles",
    )

    def __init__(self) -> None:
        self.records: list[Appended] = []
        self.tiles: dict[TileKey, bytes] = {}
        self.checkpoints: dict[int, CheckpointRow] = {}
        self.forgotten: dict[int, None] = {}
        self.scrub = False
        self.requests: dict[bytes, RequestRow] = {}
        self.grants: dict[str, GrantRow] = {}
        self.reviews: dict[str, ReviewRow] = {}
        self.spends: dict[Key, dict[tuple[int, str], SpendRow]] = {}
        self.settled: dict[str, Timestamp] = {}
        self.released: dict[str, None] = {}
        self.meta: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def is_empty(self) -> bool:
        return not (
            self.records
            or self.checkpoints
            or self.scrub
            or self.requests
            or self.grants
            or self.reviews
            or self.settled
            or self.released
            or self.meta
            or self.blobs
            or any(self.spends.values())
        )
