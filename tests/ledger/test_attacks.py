"""Every class of attack, and altered bytes, before two verifiers that share no code."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.ledger import attacks, flips, table
from tests.ledger.attack_classes import ATTACKS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ledger.attacks import Attack
    from tests.ledger.go_verifier import GoVerifier

STEP = 1 if "DEMUR_ALL_FLIPS" in os.environ else 97
SAMPLE = flips.RANDOM if "DEMUR_ALL_FLIPS" in os.environ else 150


def test_there_are_attacks_of_many_classes() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 30


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gets_no_better_verdict_than_it_deserves(attack: Attack, tmp_path: Path) -> None:
    assert attacks.run(attack, tmp_path / "export", None).verdict == attack.verdict


@pytest.mark.slow
@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.is_covered], ids=lambda attack: attack.name)
def test_the_independent_verifier_agrees(attack: Attack, tmp_path: Path, independent: GoVerifier) -> None:
    outcome = attacks.run(attack, tmp_path / "export", independent)

    assert outcome.independent.startswith("accept" if outcome.is_accepted else "reject")


@pytest.mark.slow
def test_an_altered_byte_is_noticed_by_both(tmp_path: Path, independent: GoVerifier) -> None:
    """A sample of every byte of a small export; `make attacks` alters them all."""
    export = flips.small()

    tally = flips.run(export, flips.every_byte(export, STEP), tmp_path / "export", independent)

    assert tally.missed == []
    assert tally.asked > tally.flips * 0.9 > 500


@pytest.mark.slow
def test_a_random_change_is_noticed_by_both(tmp_path: Path, independent: GoVerifier) -> None:
    export = flips.large()

    tally = flips.run(export, flips.random_bytes(export, SAMPLE), tmp_path / "export", independent)

    assert (tally.missed, tally.flips) == ([], SAMPLE)


@pytest.mark.slow
def test_the_table_in_the_documents_is_what_the_attacks_give(tmp_path: Path, independent: GoVerifier) -> None:
    before, _, _ = table.DOCUMENT.read_text(encoding="utf-8").partition("\n## Altered bytes")
    lines = [line for line in before.splitlines() if line.startswith("| ")]

    assert lines[1:] == table.rows(tmp_path, independent)


def test_the_counts_in_the_documents_say_that_nothing_was_missed() -> None:
    rows = re.findall(
        r"^\| [\d,]+ records, .* \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$",
        table.DOCUMENT.read_text(encoding="utf-8"),
        re.MULTILINE,
    )

    assert [altered == noticed for altered, noticed, _, _ in rows] == [True, True]
