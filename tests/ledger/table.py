"""The document docs/attacks.md: the table of attacks with what both verifiers say, and the counts of altered bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.ledger import attacks, flips
from tests.ledger.attack_classes import ATTACKS

if TYPE_CHECKING:
    from tests.ledger.flips import Tally
    from tests.ledger.go_verifier import GoVerifier

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "attacks.md"
HEAD = """# Attacks on an export, and what verifiers say

Written by `make attacks`, which carries out every attack below; tests carry them out too and compare. The export that is attacked
holds {size} records, of which {signed} are signed by the log and cosigned by a witness, with earlier checkpoints at 256 and 500. The policy asks for
the witness, unless the attack says otherwise. *Independent* is a program over Go's `golang.org/x/mod/sumdb/{{note,tlog}}`
(`tests/ledger/independent/main.go`), which shares no code with Demur; it is asked about whatever those packages and the chain's rules cover.

What no verifier can see is in the table as well: whoever holds the log's key, or all its files, can show an older or another ledger to somebody
who kept nothing and asks for no witness. So keep the checkpoints that come with answers, or name witnesses in the policy.

| attack | verdict | what the verifier says | independent |
|---|---|---|---|
"""
TAIL = """
## Altered bytes

| export | altered | noticed by the verifier | asked of the independent one | noticed by it |
|---|---:|---:|---:|---:|
| {small} records, {which} | {a.flips:,} | {a.noticed:,} | {a.asked:,} | {a.also_noticed:,} |
| {large:,} records, random bytes | {b.flips:,} | {b.noticed:,} | {b.asked:,} | {b.also_noticed:,} |

The independent verifier does not read the manifest, which C2SP does not know, and ignores a signature whose key's name was altered under an earlier checkpoint, as C2SP
signed-note asks; the verifier ignores it too and remarks upon the missing cosignature. `make test` alters a sample of these bytes.
"""


def rows(folder: Path, independent: GoVerifier | None) -> list[str]:
    """One line for each attack; without the independent verifier, its column says so."""
    found = []
    for number, attack in enumerate(ATTACKS):
        place = folder / str(number)
        place.mkdir()
        outcome = attacks.run(attack, place / "export", independent)
        answer = outcome.independent.partition(" ")[0]
        told = {"accept": "accepts", "reject": "refuses", "not": "not covered"}[answer]
        cause = outcome.cause.replace(str(place / "export"), "EXPORT").replace("|", "\\|")
        found.append(f"| {attack.name} | {outcome.verdict} | {cause} | {told} |")
    return found


def document(lines: list[str], small: Tally, large: Tally) -> str:
    head = HEAD.format(size=attacks.SIZE, signed=attacks.SIGNED)
    every = sum(1 for _ in flips.every_byte(flips.small()))
    which = "every byte of every file, once" if small.flips == every else f"a sample of {every:,} bytes"
    tail = TAIL.format(a=small, b=large, small=flips.SMALL, large=flips.LARGE, which=which)
    return head + "\n".join(lines) + "\n" + tail
