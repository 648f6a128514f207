"""The promises of remedies over fixed random worlds: quick enough to be asked of every mutant.

Clauses: S9.1, S9.3.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

from demur.core.terms import Outcome
from demur.evaluation import solver
from tests.properties.remedy_cases import COSTS, ZONES, Case, case, refused
from tests.properties.remedy_count import literally

if TYPE_CHECKING:
    from demur.core.decision import Decision
    from demur.core.remedy import Remedies

SEEDS = range(150)


@cache
def worlds() -> list[tuple[Case, random.Random, Decision, Remedies]]:
    found = []
    for seed in SEEDS:
        chance = random.Random(seed)
        one = case(chance.choice)
        found.append((one, chance, *refused(one)))
    return found


def test_every_promise_is_kept() -> None:
    """S9.1: judged by the oracle, and not in vain."""
    kept = 0
    for one, chance, _, remedies in worlds():
        for repair in remedies.repairs:
            outcome = solver.outcome(one.world(literally(repair, chance.choice)), one.documents, ZONES)
            assert outcome is repair.leads_to
            kept += 1
    assert kept > 75


def test_remedies_are_in_order_and_cost_what_the_schema_says() -> None:
    """S9.1"""
    for _, _, _, remedies in worlds():
        repairs = remedies.repairs
        assert [item.cost for item in repairs] == sorted(item.cost for item in repairs)
        assert all(
            item.cost == sum(COSTS[part.path] for part in item.parts) for item in repairs if item.earliest is None
        )


def test_where_one_change_helps_a_remedy_costs_no_more() -> None:
    """S9.1: every value of every single fact, tried by the oracle."""
    helped = missed = 0
    for one, _, decision, remedies in worlds():
        if decision.outcome is Outcome.ALLOW or (not remedies.repairs and remedies.reason is None):
            continue
        costs = [
            domain.cost
            for domain in one.domains()
            for value in domain.values
            if solver.outcome(one.world({domain.path: value}), one.documents, ZONES) is Outcome.ALLOW
        ]
        offered = [item.cost for item in remedies.repairs if item.earliest is None and item.leads_to is Outcome.ALLOW]
        if costs and decision.category is not None and decision.category.value != "categorical":
            helped += 1
            missed += not offered or min(offered) > min(costs)
    assert helped > 30
    assert missed <= 0.02 * helped
