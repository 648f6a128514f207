"""The tree over the records as a group sees it: what is stored, and what the group's own records add to it.

- Level 0 is stored in full tiles; the hashes after the last of them are those of the records themselves.
- From level 1 on the partial tile is stored too and replaced as it grows, once in 256 records: reading it costs one
  row, computing it anew would cost up to 255.
- The edge of the tree is in memory between groups. A group grows a copy, so that one that fails or a work that is
  discarded leaves the edge as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from demur.core.ledger.tile import HASH_BYTES, WIDTH, Frontier

if TYPE_CHECKING:
    from collections.abc import Sequence

TileKey = tuple[int, int]
"""Level and number."""


class StoredTree(Protocol):
    """What a store holds durably of the tree."""

    def find_tile(self, level: int, number: int) -> bytes | None:
        """The stored tile: a full one at level 0, at the levels above as wide as the committed tree has it."""

    def record_hashes(self, first: int, last: int) -> bytes:
        """The hashes of the records from `first` up to, not including, `last`, one after the other."""


def read_stored(stored: StoredTree, level: int, number: int, width: int) -> bytes:
    """The first `width` hashes of a committed tile; less where the store does not hold them."""
    data = stored.find_tile(level, number)
    if data is None and level == 0 and width < WIDTH:
        return stored.record_hashes(number * WIDTH, number * WIDTH + width)
    return (data or b"")[: width * HASH_BYTES]


def load(stored: StoredTree, size: int) -> Frontier:
    """The edge of the committed tree; raises `LedgerError` where a tile is not stored as wide as it must be."""
    return Frontier.load(size, lambda level, number, width: read_stored(stored, level, number, width))


class Growth:
    """The edge of the tree after what the present group has appended."""

    __slots__ = ("_full", "_grown", "_start", "_taken")

    def __init__(self, start: Frontier) -> None:
        """`start` is the edge of the committed tree, which stays as it is."""
        self._start = start
        self._grown = start
        self._taken = 0
        self._full: dict[TileKey, bytes] = {}

    def grow(self, hashes: Sequence[bytes]) -> Frontier:
        """The edge after these record hashes, all that the group has appended so far."""
        if len(hashes) < self._taken:
            self.reset()
        if len(hashes) > self._taken:
            if self._grown is self._start:
                self._grown = self._start.copy()
            for record_hash in hashes[self._taken :]:
                for level, number, data in self._grown.append(record_hash):
                    self._full[level, number] = data
            self._taken = len(hashes)
        return self._grown

    def reset(self) -> None:
        """What the group appended may have been discarded: begin again at the next `grow`."""
        self._grown = self._start
        self._taken = 0
        self._full.clear()

    def find_tile(self, level: int, number: int) -> bytes | None:
        """The tile where the group has changed it, or it is at the edge."""
        full = self._full.get((level, number))
        if full is not None:
            return full
        place, data = self._grown.partial(level)
        return data if data and place == number else None

    def tiles(self) -> dict[TileKey, bytes]:
        """The tiles to be stored: those that became full, and the partial ones above them."""
        tiles = dict(self._full)
        for level in {level + 1 for level, _ in self._full}:
            number, data = self._grown.partial(level)
            if data:
                tiles[level, number] = data
        return tiles
