"""Altered bytes: each byte of a small export, and random ones of a larger export, before both verifiers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demur.verifier import verify
from tests.ledger import attacks, exports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.ledger.exports import Export
    from tests.ledger.go_verifier import GoVerifier

SMALL, LARGE = 100, 1_000
RANDOM = 10_000
SEED = 20_261_121
UNCOVERED = {"manifest.json"}
"""C2SP knows no manifest, so the independent verifier does not read it."""


@dataclass
class Tally:
    """How many bytes were altered, how many of them each verifier noticed, and what it did not."""

    flips: int = 0
    noticed: int = 0
    asked: int = 0
    also_noticed: int = 0
    missed: list[str] = field(default_factory=list)


def small() -> Export:
    """100 records, of which 97 are signed and 50 were before."""
    return exports.whole(exports.leaves(SMALL), SMALL - 3, earlier=(SMALL // 2,))


def large() -> Export:
    """1,000 records in four bundles."""
    return exports.whole(exports.leaves(LARGE), LARGE - 10, earlier=(256, LARGE // 2))


def every_byte(export: Export, step: int = 1) -> Iterator[tuple[str, int, int]]:
    """File, offset and mask of one flip for each byte, or for each `step`th."""
    places = ((name, at) for name in sorted(export.files) for at in range(len(export.files[name])))
    return ((name, at, 1 << at % 8) for index, (name, at) in enumerate(places) if index % step == 0)


def random_bytes(export: Export, count: int, seed: int = SEED) -> Iterator[tuple[str, int, int]]:
    """So many flips at random places, by the size of the files, each of a random change."""
    chance = random.Random(seed)
    names = sorted(export.files)
    sizes = [len(export.files[name]) for name in names]
    for _ in range(count):
        name = chance.choices(names, sizes)[0]
        yield name, chance.randrange(len(export.files[name])), chance.randrange(1, 256)


def run(
    export: Export, flips: Iterable[tuple[str, int, int]], folder: Path, independent: GoVerifier | None = None
) -> Tally:
    """Alter one byte after the other, each alone."""
    attacks.remember_signatures()
    export.write(folder)
    trusted = verify.read_policy(exports.POLICY.encode())
    policy = folder.with_name("trust-policy.txt")
    policy.write_text(exports.POLICY, encoding="utf-8")
    signed = int(export.files["checkpoint"].split(b"\n")[1])
    tally = Tally()
    for name, at, mask in flips:
        data = bytearray(export.files[name])
        data[at] ^= mask
        (folder / name).write_bytes(data)
        is_noticed = not _is_accepted(folder, trusted, signed)
        tally.flips += 1
        tally.noticed += is_noticed
        if independent is not None and name not in UNCOVERED:
            tally.asked += 1
            is_noticed_too = independent.verify(folder, policy, len(export.leaves)).startswith("reject")
            tally.also_noticed += is_noticed_too
            is_noticed = is_noticed and is_noticed_too
        if not is_noticed:
            tally.missed.append(f"{name} at {at} with {mask}")
        (folder / name).write_bytes(export.files[name])
    return tally


def _is_accepted(folder: Path, trusted: verify.Policy, signed: int) -> bool:
    """Whether the export is anchored at the size of its newest checkpoint, not only at that of an earlier one."""
    try:
        report = verify.verify_export(str(folder), trusted)
    except (verify.InvalidError, verify.UndecidableError):
        return False
    return report.anchor is not None and report.anchor.size == signed
