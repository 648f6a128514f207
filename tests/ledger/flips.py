"""Altered bytes: each byte of a small export, and random ones of a larger export, before both verifiers."""

from __future__ import annotations

import itertools
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
AT_ONCE = 64
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
    """Alter one byte after the other, each alone. Several copies of the export wait for both verifiers at a time."""
    attacks.remember_signatures()
    copies = [export.write(folder / str(number)) for number in range(AT_ONCE)]
    trusted = verify.read_policy(exports.POLICY.encode())
    policy = folder / "trust-policy.txt"
    policy.write_text(exports.POLICY, encoding="utf-8")
    signed = int(export.files["checkpoint"].split(b"\n")[1])
    tally = Tally()
    left = iter(flips)
    while altered := list(itertools.islice(left, AT_ONCE)):
        for (name, at, mask), copy in zip(altered, copies, strict=False):
            data = bytearray(export.files[name])
            data[at] ^= mask
            (copy / name).write_bytes(data)
        said = [_is_accepted(copy, trusted, signed) for copy in copies[: len(altered)]]
        asked = [copy for (name, _, _), copy in zip(altered, copies, strict=False) if name not in UNCOVERED]
        answers = independent.verify_all(asked, policy, len(export.leaves)) if independent is not None else []
        refused = {copy for copy, answer in zip(asked, answers, strict=False) if answer.startswith("reject")}
        tally.flips, tally.noticed = tally.flips + len(altered), tally.noticed + said.count(False) + said.count(None)
        tally.asked, tally.also_noticed = tally.asked + len(answers), tally.also_noticed + len(refused)
        for (name, at, mask), copy, is_accepted in zip(altered, copies, said, strict=False):
            does_agree = copy not in asked or not answers or (copy in refused) == (is_accepted is False)
            if is_accepted is True or not does_agree:
                tally.missed.append(f"{name} at {at} with {mask}")
            (copy / name).write_bytes(export.files[name])
    return tally


def _is_accepted(folder: Path, trusted: verify.Policy, signed: int) -> bool | None:
    """Whether the export is anchored at the size of its newest checkpoint; None where it is, but with a remark.

    That is so for the name of a witness under an earlier checkpoint: the signature is then one of an unknown key, which
    C2SP signed-note says to ignore.
    """
    try:
        report = verify.verify_export(str(folder), trusted)
    except (verify.InvalidError, verify.UndecidableError):
        return False
    is_anchored = report.anchor is not None and report.anchor.size == signed
    return None if is_anchored and report.remarks else is_anchored
