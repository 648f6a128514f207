"""The Merkle tree of RFC 6962: one root for many leaves, and short proofs about it.

    leaf_hash(data)         SHA-256(0x00 || data)
    node_hash(left, right)  SHA-256(0x01 || left || right)
    root of n > 1 leaves    node_hash(root of the first k, root of the others), k the largest power of two below n

An inclusion proof shows that a leaf is the one at `index` of the tree with this root; a consistency proof shows that a
tree is the beginning of another. For three leaves a, b, c the proof of b is [leaf_hash(a), leaf_hash(c)].

Sizes and indexes are checked before any hashing, so a hostile proof costs at most 64 hashes. Proofs from the empty
tree are refused: everything is consistent with nothing, so the caller decides what an empty beginning means.

Source: RFC 6962, section 2.1, and the checks of RFC 9162, sections 2.1.3.2 and 2.1.4.2. Standard library only.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""
MAX_SIZE = 2**63 - 1


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf, which is also the hash of a record of the ledger."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes, in order."""
    if not leaf_hashes:
        return EMPTY_ROOT
    # Pairing level by level, an odd last node moving up unchanged, gives RFC 6962's split at powers of two.
    level = list(leaf_hashes)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


def prove_inclusion(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The proof that leaf `index` is in the tree over `leaf_hashes`; raises `LedgerError` where there is none."""
    if not 0 <= index < len(leaf_hashes):
        raise LedgerError(f"expected an index below {len(leaf_hashes)}, found {index}")
    first, last = 0, len(leaf_hashes)
    path: list[bytes] = []
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            path.append(root(leaf_hashes[middle:last]))
            last = middle
        else:
            path.append(root(leaf_hashes[first:middle]))
            first = middle
    return tuple(reversed(path))


def check_inclusion(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected: bytes) -> None:
    """Raises `LedgerError` unless the leaf hash `leaf` stands at `index` of the tree of `size` with root `expected`."""
    if not 0 <= index < size <= MAX_SIZE:
        raise LedgerError(f"expected an index below the size {size}, found {index}")
    _check_hashes([leaf, expected, *proof])
    node, number, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            raise LedgerError(f"expected an inclusion proof for size {size}, found one with {len(proof)} hashes")
        if number & 1 or number == last:
            node = node_hash(sibling, node)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        number, last = number >> 1, last >> 1
    if last:
        raise LedgerError(f"expected an inclusion proof for size {size}, found one with {len(proof)} hashes")
    if node != expected:
        raise LedgerError(f"leaf {index} of {size} leads to root `{node.hex()}`, expected `{expected.hex()}`")


def prove_consistency(leaf_hashes: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """The proof that the first `old_size` leaves are the beginning of this tree; raises `LedgerError` for none."""
    if not 0 < old_size <= len(leaf_hashes):
        raise LedgerError(f"expected an old size from 1 to {len(leaf_hashes)}, found {old_size}")
    first, last, old = 0, len(leaf_hashes), old_size
    is_known = True  # The verifier knows the old root, so a subtree equal to the old tree is left out.
    path: list[bytes] = []
    while old != last - first:
        middle = _split(last - first)
        if old <= middle:
            path.append(root(leaf_hashes[first + middle : last]))
            last = first + middle
        else:
            path.append(root(leaf_hashes[first : first + middle]))
            first, old, is_known = first + middle, old - middle, False
    if not is_known:
        path.append(root(leaf_hashes[first:last]))
    return tuple(reversed(path))


def check_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raises `LedgerError` unless the tree with `old_root` is the beginning of the one with `new_root`."""
    if not 0 < old_size <= new_size <= MAX_SIZE:
        raise LedgerError(f"expected an old size from 1 to {new_size}, found {old_size}")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise LedgerError(f"expected equal roots and an empty proof for two trees of size {new_size}")
        return
    _check_hashes([old_root, new_root, *proof])
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise LedgerError(f"expected a consistency proof from size {old_size} to {new_size}, found an empty one")
    _check_roots(_follow(path, old_size - 1, new_size - 1), old_root, new_root)


def _follow(path: Sequence[bytes], number: int, last: int) -> tuple[bytes, bytes]:
    """The two roots that a consistency proof leads to."""
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise LedgerError(f"expected a shorter consistency proof, found one with {len(path)} hashes")
        if number & 1 or number == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        number, last = number >> 1, last >> 1
    if last:
        raise LedgerError(f"expected a longer consistency proof, found one with {len(path)} hashes")
    return old, new


def _check_roots(found: tuple[bytes, bytes], old_root: bytes, new_root: bytes) -> None:
    if found[0] != old_root:
        raise LedgerError(f"the proof leads to the old root `{found[0].hex()}`, expected `{old_root.hex()}`")
    if found[1] != new_root:
        raise LedgerError(f"the proof leads to the new root `{found[1].hex()}`, expected `{new_root.hex()}`")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    for value in hashes:
        if len(value) != hashlib.sha256().digest_size:
            raise LedgerError(f"expected hashes of 32 bytes, found one of {len(value)}")


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1
