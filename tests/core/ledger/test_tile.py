"""Tiles and the proofs made from them, against the tree of merkle.py and the words of C2SP tlog-tiles."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core.ledger import merkle, tile
from demur.core.ledger.tile import HASH_BYTES, WIDTH, Frontier, Place
from demur.errors import LedgerError
from tests.core.ledger.test_merkle import cases, decoded

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1_100
LEAVES = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(MOST)]


def by_definition(level: int, number: int, width: int, leaves: list[bytes]) -> bytes:
    """C2SP tlog-tiles, "Merkle Tree", word for word."""
    span = 256**level
    firsts = [(number * 256 + i) * span for i in range(width)]
    return b"".join(merkle.root(leaves[first : first + span]) for first in firsts)


class Tiles:
    """The tiles of a tree as somebody stores them, counting what is read."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.frontier = Frontier()
        self.full: dict[tuple[int, int], bytes] = {}
        self.reads: list[tuple[int, int, int]] = []
        for leaf in leaves:
            for level, number, data in self.frontier.append(leaf):
                self.full[level, number] = data

    def read(self, level: int, number: int, width: int) -> bytes:
        self.reads.append((level, number, width))
        data = self.full.get((level, number)) or self.frontier.partial(level)[1]
        return data[: width * HASH_BYTES]


GROWN = Tiles(LEAVES)


def edge_of(size: int) -> Tiles:
    """The tree of the first `size` leaves, whose full tiles are those of the grown tree."""
    return Tiles(LEAVES[:size])


# The layout.


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (Place(0, 1_234_067), "tile/0/x001/x234/067"),
        (Place(0, 1_234_067, 5), "tile/0/x001/x234/067.p/5"),
        (Place(None, 1_234_067), "tile/entries/x001/x234/067"),
        (Place(None, 0, 255), "tile/entries/000.p/255"),
        (Place(1, 999), "tile/1/999"),
        (Place(63, 1_000, 1), "tile/63/x001/000.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(place: Place, path: str) -> None:
    assert tile.parse_path(path) == place
    if place.level is None:
        assert tile.entries_path(place.number, place.width) == path
    else:
        assert tile.path(place.level, place.number, place.width) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/x1/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/05",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/data/000",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x999/" * 60 + "999",
    ],
)
def test_a_path_that_is_written_otherwise_is_refused(path: str) -> None:
    with pytest.raises(LedgerError, match="expected the path of a tile"):
        tile.parse_path(path)


@given(
    level=st.none() | st.integers(0, tile.MAX_LEVEL),
    number=st.integers(0, merkle.MAX_SIZE),
    width=st.integers(1, WIDTH),
)
def test_every_path_is_read_as_it_was_written(level: int | None, number: int, width: int) -> None:
    path = tile.entries_path(number, width) if level is None else tile.path(level, number, width)
    assert tile.parse_path(path) == Place(level, number, width)


@given(st.text(max_size=40) | st.from_regex(r"tile/[0-9]{1,2}/(x[0-9]{3}/){0,3}[0-9]{3}(\.p/[0-9]{1,3})?"))
def test_reading_a_path_ends_in_a_place_or_a_refusal(text: str) -> None:
    try:
        place = tile.parse_path(text)
    except LedgerError:
        return
    assert 1 <= place.width <= WIDTH


@pytest.mark.parametrize(("level", "number", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_a_tile_that_cannot_be_has_no_path(level: int, number: int, width: int) -> None:
    with pytest.raises(LedgerError, match="expected"):
        tile.path(level, number, width)


@given(st.lists(st.binary(max_size=300), max_size=WIDTH))
def test_a_bundle_gives_its_leaves_back(leaves: list[bytes]) -> None:
    assert tile.unbundle(tile.bundle(leaves)) == tuple(leaves)


def test_a_bundle_written_out() -> None:
    assert tile.bundle([b"ab", b"", b"c" * 258]) == b"\x00\x02ab" + b"\x00\x00" + b"\x01\x02" + b"c" * 258
    assert len(tile.bundle([bytes(65_535)])) == 65_537


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x00\x00", b"\xff\xff" + bytes(65_534)])
def test_a_bundle_that_was_cut_is_refused(data: bytes) -> None:
    with pytest.raises(LedgerError, match="of a bundle, found"):
        tile.unbundle(data)


def test_a_bundle_holds_at_most_256_leaves_of_65_535_bytes() -> None:
    with pytest.raises(LedgerError, match="at most 256 leaves"):
        tile.unbundle(bytes(2) * 257)
    with pytest.raises(LedgerError, match="at most 65535 bytes"):
        tile.bundle([bytes(65_536)])


def test_the_tiles_of_a_tree_of_70_000_are_those_of_the_specification() -> None:
    """The example in the text of tlog-tiles."""
    assert tile.edge(70_000) == (Place(0, 273, 112), Place(1, 1, 17), Place(2, 0, 1))
    assert tile.edge(256) == (Place(1, 0, 1),)
    assert [tile.width(0, number, 70_000) for number in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert tile.stored_bytes(70_000) == (273 * 256 + 256 + 17 + 1) * 32


# The tree.


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 1_023, 1_100])
def test_tiles_hold_what_the_specification_says(size: int) -> None:
    grown = edge_of(size)
    for (level, number), data in grown.full.items():
        assert data == by_definition(level, number, WIDTH, LEAVES)
    for place in tile.edge(size):
        assert place.level is not None
        expected = by_definition(place.level, place.number, place.width, LEAVES)
        assert grown.frontier.partial(place.level) == (place.number, expected)


def test_a_tree_of_three_levels() -> None:
    """65,536 leaves fill a tile of level 1, and level 2 begins."""
    leaf = bytes(HASH_BYTES)
    grown = Tiles([leaf] * 65_793)
    assert [place for place in grown.full if place[0] == 1] == [(1, 0)]
    assert [len(grown.frontier.partial(level)[1]) // HASH_BYTES for level in (0, 1, 2)] == [1, 1, 1]
    root = merkle.root([leaf] * 65_793)
    assert grown.frontier.root() == root == tile.root(65_793, grown.read)
    for index in (0, 65_535, 65_536, 65_792):
        proof = tile.prove_inclusion(index, 65_793, grown.read)
        merkle.check_inclusion(index=index, size=65_793, leaf=leaf, proof=proof, expected=root)
    assert Frontier.load(65_793, grown.read).root() == root


def test_the_root_of_every_size_is_that_of_the_definition() -> None:
    frontier = Frontier()
    for size in range(MOST + 1):
        expected = merkle.root(LEAVES[:size])
        assert (frontier.size, frontier.root()) == (size, expected)
        assert tile.root(size, GROWN.read) == expected
        if size < MOST:
            frontier.append(LEAVES[size])


def test_a_loaded_edge_grows_as_the_one_that_was_kept() -> None:
    for size in [*range(0, MOST, 7), 255, 256, 257, 511, 512]:
        kept = edge_of(size).frontier
        loaded = Frontier.load(size, GROWN.read)
        for leaf in LEAVES[size : size + 300]:
            assert loaded.append(leaf) == kept.append(leaf)
        assert loaded.root() == kept.root()


def test_a_copy_goes_its_own_way() -> None:
    frontier = edge_of(255).frontier
    before = frontier.root()
    copy = frontier.copy()
    full = copy.append(LEAVES[255])
    assert [place[:2] for place in full] == [(0, 0)]
    assert (frontier.size, frontier.root()) == (255, before)
    assert frontier.append(LEAVES[255]) == full


# Proofs.


def test_every_proof_is_that_of_the_definition_at_the_edges_of_tiles() -> None:
    for size in (1, 2, 255, 256, 257, 512, 700, 1_100):
        leaves = LEAVES[:size]
        for index in {0, 1, size // 2, 254, 255, 256, 511, 512, size - 2, size - 1} & set(range(size)):
            assert tile.prove_inclusion(index, size, GROWN.read) == merkle.prove_inclusion(leaves, index)
            assert tile.prove_consistency(index + 1, size, GROWN.read) == merkle.prove_consistency(leaves, index + 1)


@pytest.mark.parametrize("first", range(0, MOST, 220))
def test_proofs_hold_for_all_sizes(first: int) -> None:
    for size in range(first + 1, first + 221):
        root = tile.root(size, GROWN.read)
        for index in {0, size // 3, size - 1}:
            proof = tile.prove_inclusion(index, size, GROWN.read)
            merkle.check_inclusion(index=index, size=size, leaf=LEAVES[index], proof=proof, expected=root)
            path = tile.prove_consistency(index + 1, size, GROWN.read)
            old = tile.root(index + 1, GROWN.read)
            merkle.check_consistency(old_size=index + 1, new_size=size, old_root=old, new_root=root, proof=path)


@given(st.data())
def test_a_proof_of_any_leaf_in_any_tree_is_that_of_the_definition(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, MOST))
    index = data.draw(st.integers(0, size - 1))
    assert tile.prove_inclusion(index, size, GROWN.read) == merkle.prove_inclusion(LEAVES[:size], index)
    old = data.draw(st.integers(1, size))
    assert tile.prove_consistency(old, size, GROWN.read) == merkle.prove_consistency(LEAVES[:size], old)


def test_the_published_inclusion_proofs_come_out_of_tiles_too(vectors: Path) -> None:
    """The valid proofs of the vectors, where the leaves of their trees are known: the 8 of RFC 6962's reference."""
    leaves = [merkle.leaf_hash(bytes.fromhex(data)) for data in REFERENCE]
    tiles = Tiles(leaves)
    seen = 0
    for case in cases(vectors, "inclusion.json"):
        size, index = case["treeSize"], case["leafIdx"]
        if case["wantErr"] or size > len(leaves) or decoded([case["root"]])[0] != tile.root(size, tiles.read):
            continue
        assert tile.prove_inclusion(index, size, tiles.read) == tuple(decoded(case["proof"]))
        seen += 1
    assert seen >= 4


def test_the_published_consistency_proofs_come_out_of_tiles_too(vectors: Path) -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(data)) for data in REFERENCE]
    tiles = Tiles(leaves)
    seen = 0
    for case in cases(vectors, "consistency.json"):
        old, new = case["size1"], case["size2"]
        if case["wantErr"] or not 0 < old <= new <= len(leaves):
            continue
        if decoded([case["root2"]])[0] != tile.root(new, tiles.read):
            continue
        assert tile.prove_consistency(old, new, tiles.read) == tuple(decoded(case["proof"]))
        seen += 1
    assert seen >= 4


REFERENCE = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
"""The leaves of the tree that the vectors of transparency-dev/merkle are made from (its testonly constants)."""


def test_ten_million_leaves_take_six_tiles() -> None:
    """Every hash is zero: how many tiles are read does not depend on them."""
    reads: list[tuple[int, int]] = []

    def read(level: int, number: int, width: int) -> bytes:
        reads.append((level, number))
        return bytes(width * HASH_BYTES)

    most = 0
    for index in (0, 9_999_999, 5_000_000, 9_999_872, 9_961_471):
        for prove in (
            lambda i: tile.prove_inclusion(i, 10_000_000, read),
            lambda i: tile.prove_consistency(i + 1, 10_000_000, read),
        ):
            reads.clear()
            prove(index)
            assert len(reads) == len(set(reads))
            most = max(most, len(reads))
    assert most <= 6


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (2**64, 2**64 + 1), (0, 2**63), (0, -1)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(LedgerError, match="expected"):
        tile.prove_inclusion(index, size, GROWN.read)
    with pytest.raises(LedgerError, match="expected"):
        tile.prove_consistency(index - 1 if size < 3 else size + 1, size, GROWN.read)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32 * 255), bytes(32 * 257)])
def test_a_tile_of_another_length_is_refused(data: bytes) -> None:
    for call in (
        lambda: tile.root(300, lambda *_: data),
        lambda: tile.prove_inclusion(3, 300, lambda *_: data),
        lambda: Frontier.load(300, lambda *_: data),
    ):
        with pytest.raises(LedgerError, match="bytes of `tile/"):
            call()


def test_stored_tiles_are_those_of_the_leaves() -> None:
    assert tile.check(LEAVES, GROWN.read).root() == merkle.root(LEAVES)


def test_a_tree_passes_through_what_was_signed() -> None:
    signed = [(size, merkle.root(LEAVES[:size])) for size in (1, 2, 255, 256, len(LEAVES))]
    assert tile.check(LEAVES, GROWN.read, signed).size == len(LEAVES)


@pytest.mark.parametrize("size", [1, 255, 256, 300])
def test_records_other_than_those_signed_are_found(size: int) -> None:
    with pytest.raises(LedgerError, match=f"the first {size} records are not those that were signed"):
        tile.check(LEAVES, GROWN.read, [(size, merkle.root(LEAVES[: size - 1]))])


def test_fewer_records_than_were_signed_are_found() -> None:
    size = len(LEAVES) + 1
    with pytest.raises(LedgerError, match=f"expected {size} records, as were signed, found {len(LEAVES)}"):
        tile.check(LEAVES, GROWN.read, [(3, merkle.root(LEAVES[:3])), (size, bytes(32))])


@pytest.mark.parametrize("place", [(0, 0), (0, 3), (0, 4), (1, 0)])
def test_one_flipped_bit_in_any_tile_is_found(place: tuple[int, int]) -> None:
    def read(level: int, number: int, width: int) -> bytes:
        data = bytearray(GROWN.read(level, number, width))
        if (level, number) == place:
            data[-1] ^= 1
        return bytes(data)

    with pytest.raises(LedgerError, match=f"`tile/{place[0]}/00{place[1]}.*the stored tile is not that"):
        tile.check(LEAVES, read)
