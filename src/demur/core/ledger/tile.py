"""The tree in tiles: pieces of 256 hashes that never change once they are full, and proofs made from a few of them.

    tile/0/x001/x234/067        the full tile 1234067 of level 0: 256 leaf hashes of 32 bytes, one after the other
    tile/1/004.p/5              the tile 4 of level 1 while it holds 5 hashes: the roots of 5 full tiles of level 0
    tile/entries/004.p/5        the leaves under the first 5 hashes of tile 4 of level 0, each after its length (uint16)

The hash `i` of tile `n` at level `l` is the root over the leaves from (256 n + i) 256^l, 256^l of them. The hashes
between two levels are computed from those below. A tree of `size` leaves has `size // 256^l` hashes at level l; only
the last tile of a level may be partial.

Proofs read tiles through a `Read`: for every level one tile on the way to the leaf and one at the right edge, so that
a proof among ten million leaves takes five. What is read is trusted: check a proof against a root that is known.

Source: C2SP tlog-tiles; RFC 6962, section 2.1. Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core.ledger import merkle
from demur.core.ledger.merkle import node_hash
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Read = Callable[[int, int, int], bytes]
    """(level, number, width) -> the first `width` hashes of that tile, 32 * width bytes."""

HEIGHT = 8
WIDTH = 1 << HEIGHT
"""Hashes in a full tile."""
HASH_BYTES = 32
MAX_LEVEL = 63
MAX_LEAF_BYTES = 0xFFFF
"""The longest leaf that a bundle can carry: its length is two bytes."""

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names: a tile, or, where `level` is None, a bundle of leaves. `width` is 1 to 256."""

    level: int | None
    number: int
    width: int = WIDTH


def path(level: int, number: int, width: int = WIDTH) -> str:
    """The path of a tile; raises `LedgerError` where there can be none such."""
    if not 0 <= level <= MAX_LEVEL:
        raise LedgerError(f"expected a level from 0 to {MAX_LEVEL}, found {level}")
    return f"tile/{level}/{_numbered(number, width)}"


def entries_path(number: int, width: int = WIDTH) -> str:
    """The path of a bundle of leaves; raises as `path`."""
    return f"tile/entries/{_numbered(number, width)}"


def parse_path(text: str) -> Place:
    """The place that a path names; raises `LedgerError` where it is not written as `path` writes it."""
    match = _PATH.fullmatch(text)
    if match is not None:
        number = int(match["number"].replace("x", "").replace("/", ""))
        level = None if match["level"] == "entries" else int(match["level"])
        place = Place(level, number, int(match["width"] or WIDTH))
        if number <= merkle.MAX_SIZE and place.width <= WIDTH and _path_of(place) == text:
            return place
    raise LedgerError(f"expected the path of a tile such as `tile/0/x001/067.p/5`, found `{text[:80]}`")


def bundle(leaves: Iterable[bytes]) -> bytes:
    """Leaves as they are exported, each after its length; raises `LedgerError` for one above 65,535 bytes."""
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > MAX_LEAF_BYTES:
            raise LedgerError(f"expected a leaf of at most {MAX_LEAF_BYTES} bytes, found one of {len(leaf)}")
        parts += len(leaf).to_bytes(2, "big"), leaf
    return b"".join(parts)


def unbundle(data: bytes) -> tuple[bytes, ...]:
    """The leaves in a bundle; raises `LedgerError` where it ends in the middle of one or holds more than 256."""
    leaves: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data) or at + 2 > len(data):
            raise LedgerError(f"expected {end - at} bytes for leaf {len(leaves)} of a bundle, found {len(data) - at}")
        if len(leaves) == WIDTH:
            raise LedgerError(f"expected at most {WIDTH} leaves in a bundle, found more")
        leaves.append(data[at + 2 : end])
        at = end
    return tuple(leaves)


def width(level: int, number: int, size: int) -> int:
    """How many hashes tile `number` of `level` has in a tree of `size`: 0 (there is none) to 256."""
    if level < 0 or number < 0:
        return 0
    return min(max((size >> HEIGHT * level) - number * WIDTH, 0), WIDTH)


def edge(size: int) -> tuple[Place, ...]:
    """The partial tiles of a tree of `size`, the lowest level first: with them, `Frontier.load` goes on."""
    places: list[Place] = []
    for level in range(_levels(size)):
        count = size >> HEIGHT * level
        if count % WIDTH:
            places.append(Place(level, count // WIDTH, count % WIDTH))
    return tuple(places)


def stored_bytes(size: int) -> int:
    """Bytes of all tiles of a tree of `size`, but for the partial one of level 0: its hashes stand with the leaves."""
    above = sum(size >> HEIGHT * level for level in range(1, _levels(size)))
    return ((size - size % WIDTH) + above) * HASH_BYTES


def root(size: int, read: Read) -> bytes:
    """The root of the first `size` leaves; raises `LedgerError` where a tile has another length than asked for."""
    _check_size(size)
    return _Tiles(size, read).root(0, size)


def prove_inclusion(index: int, size: int, read: Read) -> tuple[bytes, ...]:
    """The proof that leaf `index` is in the tree of `size`, as `merkle.check_inclusion` checks it.

    Raises `LedgerError` where there is no such leaf, or a tile has another length than asked for.
    """
    _check_size(size)
    if not 0 <= index < size:
        raise LedgerError(f"expected an index below {size}, found {index}")
    tiles = _Tiles(size, read)
    first, last = 0, size
    proof: list[bytes] = []
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            proof.append(tiles.root(middle, last))
            last = middle
        else:
            proof.append(tiles.root(first, middle))
            first = middle
    return tuple(reversed(proof))


def prove_consistency(old: int, new: int, read: Read) -> tuple[bytes, ...]:
    """The proof that the tree of `old` leaves is the beginning of that of `new`, as `merkle.check_consistency` checks
    it; raises `LedgerError` as `prove_inclusion`.
    """
    _check_size(new)
    if not 0 < old <= new:
        raise LedgerError(f"expected an old size from 1 to {new}, found {old}")
    tiles = _Tiles(new, read)
    first, last = 0, new
    is_known = True  # The verifier knows the old root, so a subtree equal to the old tree is left out.
    proof: list[bytes] = []
    while old != last:
        middle = first + _split(last - first)
        if old <= middle:
            proof.append(tiles.root(middle, last))
            last = middle
        else:
            proof.append(tiles.root(first, middle))
            first, is_known = middle, False
    if not is_known:
        proof.append(tiles.root(first, last))
    return tuple(reversed(proof))


def check(leaf_hashes: Iterable[bytes], read: Read, signed: Iterable[tuple[int, bytes]] = ()) -> Frontier:
    """The edge of the tree over these leaf hashes; raises `LedgerError` where a tile that is read is not theirs.

    `signed` are sizes and roots that somebody vouched for, the smallest first: the tree must have passed through each.
    """
    frontier = Frontier()
    vouched = iter(signed)
    size, expected = next(vouched, (None, b""))
    for leaf_hash in leaf_hashes:
        for level, number, data in frontier.append(leaf_hash):
            _check_tile(level, number, data, read)
        while size == frontier.size:
            if frontier.root() != expected:
                raise LedgerError(f"the first {size} records are not those that were signed at that size")
            size, expected = next(vouched, (None, b""))
    if size:
        raise LedgerError(f"expected {size} records, as were signed, found {frontier.size}: the end was cut off")
    for place in edge(frontier.size):
        assert place.level is not None
        _check_tile(place.level, *frontier.partial(place.level), read)
    return frontier


class Frontier:
    """The right edge of a growing tree: what is needed to take further leaves, and nothing else.

    It keeps the partial tiles, at most 255 hashes a level, and the roots of the perfect subtrees that make up the
    tree, at most one for each bit of the size. Taking a leaf costs one hash on average.
    """

    __slots__ = ("_edge", "_peaks", "size")

    def __init__(self) -> None:
        """The edge of the empty tree."""
        self.size = 0
        self._edge: list[bytearray] = []
        self._peaks: list[bytes] = []

    @classmethod
    def load(cls, size: int, read: Read) -> Frontier:
        """The edge of a tree that is stored: reads the partial tiles that `edge(size)` names; raises as `root`."""
        _check_size(size)
        found = cls()
        found.size = size
        found._edge = [bytearray() for _ in range(_levels(size))]
        tiles = _Tiles(size, read)
        for place in edge(size):
            assert place.level is not None
            found._edge[place.level] += tiles.tile(place.level, place.number)
        found._peaks = tiles.peaks(0, size)
        return found

    def append(self, leaf_hash: bytes) -> tuple[tuple[int, int, bytes], ...]:
        """Take one leaf; returns the tiles that became full by it, as (level, number, 8,192 bytes)."""
        full: list[tuple[int, int, bytes]] = []
        node, height, number = leaf_hash, 0, self.size
        self._put(0, node, number, full)
        peaks = self._peaks
        while number & 1:
            node = node_hash(peaks.pop(), node)
            height, number = height + 1, number >> 1
            if height % HEIGHT == 0:
                self._put(height // HEIGHT, node, number, full)
        peaks.append(node)
        self.size += 1
        return tuple(full)

    def partial(self, level: int) -> tuple[int, bytes]:
        """Number and hashes of the partial tile of `level`; no bytes where there is none."""
        data = bytes(self._edge[level]) if level < len(self._edge) else b""
        return self.size >> HEIGHT * (level + 1), data

    def root(self) -> bytes:
        """The root over all leaves taken."""
        return _folded(self._peaks)

    def copy(self) -> Frontier:
        """Another one with the same leaves, that goes its own way."""
        other = Frontier()
        other.size = self.size
        other._edge = [bytearray(data) for data in self._edge]
        other._peaks = list(self._peaks)
        return other

    def _put(self, level: int, node: bytes, number: int, full: list[tuple[int, int, bytes]]) -> None:
        if level == len(self._edge):
            self._edge.append(bytearray())
        data = self._edge[level]
        data += node
        if len(data) == WIDTH * HASH_BYTES:
            full.append((level, number // WIDTH, bytes(data)))
            data.clear()


class _Tiles:
    """The tiles of a tree of one size, each read once."""

    def __init__(self, size: int, read: Read) -> None:
        self._size = size
        self._read = read
        self._kept: dict[tuple[int, int], bytes] = {}

    def root(self, first: int, last: int) -> bytes:
        """The root over the leaves from `first` up to, not including, `last`: any range that RFC 6962 splits into."""
        return _folded(self.peaks(first, last))

    def peaks(self, first: int, last: int) -> list[bytes]:
        """The roots of the largest perfect subtrees that make up a range, from left to right."""
        found: list[bytes] = []
        for height in range((last - first).bit_length() - 1, -1, -1):
            if (last - first) >> height & 1:
                found.append(self._node(height, first >> height))
                first += 1 << height
        return found

    def tile(self, level: int, number: int) -> bytes:
        """One tile, as wide as the tree has it."""
        data = self._kept.get((level, number))
        if data is None:
            hashes = width(level, number, self._size)
            data = self._read(level, number, hashes)
            if len(data) != hashes * HASH_BYTES:
                place = path(level, number, hashes)
                raise LedgerError(f"expected {hashes * HASH_BYTES} bytes of `{place}`, found {len(data)}")
            self._kept[level, number] = data
        return data

    def _node(self, height: int, number: int) -> bytes:
        """The root of the perfect subtree over the leaves from `number << height`, `1 << height` of them."""
        level, above = divmod(height, HEIGHT)
        first = number << above
        data = self.tile(level, first // WIDTH)
        at = first % WIDTH * HASH_BYTES
        hashes = [data[i : i + HASH_BYTES] for i in range(at, at + (HASH_BYTES << above), HASH_BYTES)]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
        return hashes[0]


def _check_tile(level: int, number: int, data: bytes, read: Read) -> None:
    hashes = len(data) // HASH_BYTES
    if read(level, number, hashes) != data:
        raise LedgerError(f"`{path(level, number, hashes)}`: the stored tile is not that of the records")


def _folded(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return merkle.EMPTY_ROOT
    node = peaks[-1]
    for peak in reversed(peaks[:-1]):
        node = node_hash(peak, node)
    return node


def _numbered(number: int, hashes: int) -> str:
    if not 0 <= number <= merkle.MAX_SIZE:
        raise LedgerError(f"expected the number of a tile from 0 to {merkle.MAX_SIZE}, found {number}")
    if not 0 < hashes <= WIDTH:
        raise LedgerError(f"expected a width from 1 to {WIDTH}, found {hashes}")
    digits = str(number)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    partial = "" if hashes == WIDTH else f".p/{hashes}"
    return "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:]) + partial


def _path_of(place: Place) -> str:
    if place.level is None:
        return entries_path(place.number, place.width)
    return path(place.level, place.number, place.width) if place.level <= MAX_LEVEL else ""


def _check_size(size: int) -> None:
    if not 0 <= size <= merkle.MAX_SIZE:
        raise LedgerError(f"expected a size from 0 to {merkle.MAX_SIZE}, found {size}")


def _levels(size: int) -> int:
    """How many levels of tiles a tree of `size` has."""
    return -(-size.bit_length() // HEIGHT)


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1
