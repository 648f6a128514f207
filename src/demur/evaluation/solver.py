"""An exhaustive search for repairs over small domains: every value of every set of up to three facts, naively judged.

It shares no code with the search that it checks: no conditions are read, nothing is passed over, and the judgement is
the oracle's. It is slow, so it is for small policies and few values.

Clauses: S9.1, S9.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, TypeAlias

from demur.core.terms import Outcome
from demur.evaluation import oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from demur.core.cel.overload import Zones
    from demur.core.policy.document import Documents
    from demur.core.resolution import Facts
    from demur.core.terms import State

    World: TypeAlias = Callable[[Mapping[str, State]], Facts]
    """The facts as they would be with these ones different: the world's own account, not the product's."""

MAX_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Domain:
    """One fact that may be different, the values to try, and what it costs."""

    path: str
    values: Sequence[State]
    cost: float


@dataclass(frozen=True, slots=True)
class Solution:
    """The cheapest repair that there is over the domains."""

    changes: dict[str, State]
    cost: float


def outcome(facts: Facts, documents: Documents, zones: Zones) -> Outcome:
    """What the oracle says of these facts."""
    return oracle.judge(facts, documents, zones).outcome


def cheapest(
    domains: Sequence[Domain], world: World, documents: Documents, zones: Zones, *, wanted: Outcome = Outcome.ALLOW
) -> Solution | None:
    """The cheapest set of at most three changes that leads to `wanted`; `None` where there is none."""
    sets = [chosen for size in range(1, MAX_CHANGES + 1) for chosen in combinations(domains, size)]
    for chosen in sorted(sets, key=_cost):
        for values in product(*(domain.values for domain in chosen)):
            changes = {domain.path: value for domain, value in zip(chosen, values, strict=True)}
            if outcome(world(changes), documents, zones) is wanted:
                return Solution(changes, _cost(chosen))
    return None


def _cost(chosen: Sequence[Domain]) -> float:
    return sum(domain.cost for domain in chosen)
