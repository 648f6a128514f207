"""Counts how often a remedy keeps its promise, and how often a repair exists that was not offered (S9.1).

`python -m tests.properties.remedy_count 20000` prints the table of docs/spec/remedies.md: so many random policies,
requests and worlds, each refusal held against the exhaustive solver.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from demur.core.conform import conform
from demur.core.terms import Category, Outcome, State
from demur.evaluation import solver
from tests.properties.remedy_cases import ABSENT, SLOTS, VALUES, ZONES, Case, case, refused

if TYPE_CHECKING:
    from demur.core.decision import Decision
    from demur.core.remedy import Remedies, Repair

TYPES = {slot.path: slot.type for slot in SLOTS}
CHUNK = 250
ROWS = (
    ("refused", "refusals and deferrals, categorical denials not counted"),
    ("offered", "remedies offered, and done literally"),
    ("broken", "of these with another outcome than promised"),
    ("solvable", "refusals for which a repair to an allow exists"),
    ("missed", "of these without one offered"),
    ("dearer", "of these where a cheaper one exists"),
    ("reviewable", "denials for which only a repair to a review exists"),
    ("unreviewed", "of these without one offered"),
)
SHARE_OF = {"missed": "solvable", "dearer": "solvable", "unreviewed": "reviewable"}


def literally(repair: Repair, pick: Any) -> dict[str, State]:
    """What somebody does who does just what the repair says."""
    found: dict[str, State] = {}
    for part in repair.parts:
        if part.is_left_out:
            found[part.path] = ABSENT
        elif part.is_any:
            found[part.path] = pick([value for value in VALUES[part.path] if value not in (ABSENT, *part.other_than)])
        else:
            found[part.path] = conform(part.value, TYPES[part.path])
    return found


def compared(seeds: range) -> Counter[str]:
    """How often a repair exists, and how often none was offered, a cheaper one exists, or a promise was broken."""
    count: Counter[str] = Counter()
    for seed in seeds:
        chance = random.Random(seed)
        one = case(chance.choice)
        decision, remedies = refused(one)
        if decision.outcome is Outcome.ALLOW or decision.category is Category.CATEGORICAL:
            continue
        count["refused"] += 1
        count["offered"] += len(remedies.repairs)
        for repair in remedies.repairs:
            outcome = solver.outcome(one.world(literally(repair, chance.choice)), one.documents, ZONES)
            count["broken"] += outcome is not repair.leads_to
        count.update(_held_against_the_solver(one, decision, remedies))
    return count


def _held_against_the_solver(one: Case, decision: Decision, remedies: Remedies) -> Counter[str]:
    to_allow = [item for item in remedies.repairs if item.earliest is None and item.leads_to is Outcome.ALLOW]
    best = solver.cheapest(one.domains(), one.world, one.documents, ZONES)
    if best is not None:
        is_dearer = bool(to_allow) and to_allow[0].cost > best.cost
        return Counter(solvable=1, missed=int(not to_allow), dearer=int(is_dearer))
    if decision.outcome is not Outcome.DENY:
        return Counter()
    best = solver.cheapest(one.domains(), one.world, one.documents, ZONES, wanted=Outcome.DEFER)
    if best is None:
        return Counter()
    is_offered = any(item.earliest is None and item.leads_to is Outcome.DEFER for item in remedies.repairs)
    return Counter(reviewable=1, unreviewed=int(not is_offered))


def main(cases: int) -> None:
    """Print the table."""
    total: Counter[str] = Counter()
    with ProcessPoolExecutor() as pool:
        for found in pool.map(compared, (range(at, min(at + CHUNK, cases)) for at in range(0, cases, CHUNK))):
            total.update(found)
    for name, words in ROWS:
        share = f" ({total[name] / max(1, total[SHARE_OF[name]]):.1%})" if name in SHARE_OF else ""
        sys.stdout.write(f"| {words} | {total[name]:,}{share} |\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
