"""The tree of RFC 6962, against published vectors and against its definition."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from demur.core.ledger import merkle
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(64)]
SIZES = range(1, 65)


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = max(2**power for power in range(10) if 2**power < len(leaves))
    return hashlib.sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


def decoded(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(value) for value in values or []]


def cases(vectors: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((vectors / "merkle" / name).read_bytes())
    assert len(found) == 98
    return found


def holds(check: Any, **arguments: Any) -> bool:
    try:
        check(**arguments)
    except LedgerError:
        return False
    return True


def test_the_98_published_inclusion_proofs(vectors: Path) -> None:
    wrong = [
        case["path"]
        for case in cases(vectors, "inclusion.json")
        if holds(
            merkle.check_inclusion,
            index=case["leafIdx"],
            size=case["treeSize"],
            leaf=base64.b64decode(case["leafHash"] or ""),
            proof=decoded(case["proof"]),
            expected=base64.b64decode(case["root"] or ""),
        )
        == case["wantErr"]
    ]
    assert wrong == []


def test_the_98_published_consistency_proofs(vectors: Path) -> None:
    wrong = [
        case["path"]
        for case in cases(vectors, "consistency.json")
        if holds(
            merkle.check_consistency,
            old_size=case["size1"],
            new_size=case["size2"],
            old_root=base64.b64decode(case["root1"] or ""),
            new_root=base64.b64decode(case["root2"] or ""),
            proof=decoded(case["proof"]),
        )
        == case["wantErr"]
    ]
    assert wrong == []


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", SIZES)
def test_roots_follow_the_definition(size: int) -> None:
    assert merkle.root(LEAVES[:size]) == by_definition(LEAVES[:size])


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_of_every_tree_proves(size: int) -> None:
    root = merkle.root(LEAVES[:size])
    for index in range(size):
        proof = merkle.prove_inclusion(LEAVES[:size], index)
        merkle.check_inclusion(index=index, size=size, leaf=LEAVES[index], proof=proof, expected=root)


@pytest.mark.parametrize("size", SIZES)
def test_every_beginning_of_every_tree_proves(size: int) -> None:
    root = merkle.root(LEAVES[:size])
    for old in range(1, size + 1):
        proof = merkle.prove_consistency(LEAVES[:size], old)
        old_root = merkle.root(LEAVES[:old])
        merkle.check_consistency(old_size=old, new_size=size, old_root=old_root, new_root=root, proof=proof)


@pytest.mark.parametrize("size", [2, 3, 7, 8, 13])
def test_one_flipped_bit_anywhere_fails(size: int) -> None:
    root = merkle.root(LEAVES[:size])
    for index in range(size):
        proof = merkle.prove_inclusion(LEAVES[:size], index)
        for place, bit in [(place, bit) for place in range(len(proof)) for bit in (0, 7, 255)]:
            changed = list(proof)
            changed[place] = flipped(changed[place], bit)
            assert not holds(
                merkle.check_inclusion, index=index, size=size, leaf=LEAVES[index], proof=changed, expected=root
            )
        for other in range(size):
            if other != index:
                assert not holds(
                    merkle.check_inclusion, index=other, size=size, leaf=LEAVES[index], proof=proof, expected=root
                )


@pytest.mark.parametrize("size", [2, 3, 7, 8, 13])
def test_a_consistency_proof_holds_for_its_own_sizes_and_bits_only(size: int) -> None:
    root = merkle.root(LEAVES[:size])
    for old in range(1, size):
        given = {"old_size": old, "new_size": size, "old_root": merkle.root(LEAVES[:old]), "new_root": root}
        proof = merkle.prove_consistency(LEAVES[:size], old)
        assert holds(merkle.check_consistency, **given, proof=proof)
        assert not holds(merkle.check_consistency, **given, proof=[*proof, bytes(32)])
        assert not holds(merkle.check_consistency, **given, proof=proof[:-1])
        assert not holds(merkle.check_consistency, **given, proof=[flipped(proof[0], 9), *proof[1:]])
        assert not holds(merkle.check_consistency, **(given | {"old_root": bytes(32)}), proof=proof)


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ (1 << bit)).to_bytes(len(data), "big")


@pytest.mark.parametrize("index", [-1, 3, 2**64])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(LedgerError, match="expected an index below 3"):
        merkle.prove_inclusion(LEAVES[:3], index)


@pytest.mark.parametrize("old", [-1, 0, 4])
def test_there_is_no_proof_from_a_tree_that_is_not_smaller(old: int) -> None:
    with pytest.raises(LedgerError, match="expected an old size"):
        merkle.prove_consistency(LEAVES[:3], old)
    with pytest.raises(LedgerError, match="expected an old size"):
        merkle.check_consistency(old_size=old, new_size=3, old_root=LEAVES[0], new_root=LEAVES[1], proof=[])


@pytest.mark.parametrize("hash_", [b"", bytes(31), bytes(33)])
def test_hashes_have_32_bytes(hash_: bytes) -> None:
    with pytest.raises(LedgerError, match="expected hashes of 32 bytes"):
        merkle.check_inclusion(index=0, size=2, leaf=LEAVES[0], proof=[hash_], expected=LEAVES[1])


def test_a_hostile_size_costs_nothing() -> None:
    with pytest.raises(LedgerError, match="expected an index below"):
        merkle.check_inclusion(index=0, size=2**200, leaf=LEAVES[0], proof=[bytes(32)] * 300, expected=LEAVES[1])
    with pytest.raises(LedgerError, match="found one with 300 hashes"):
        merkle.check_inclusion(index=0, size=2**63 - 1, leaf=LEAVES[0], proof=[bytes(32)] * 300, expected=LEAVES[1])
