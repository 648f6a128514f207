"""The rules and requests that every engine gets, in a form that belongs to none of them.

Four conditions per rule: the action, a limit on the amount, a role among the requester's, a span of the day. One rule
in ten denies, and a denial wins; without a rule that allows, the answer is no.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

ROLES = ("clinician", "nurse", "clerk", "manager", "auditor", "admin", "pharmacist", "researcher")
ACTIONS = 50
MINUTES = 1_440


@dataclass(frozen=True)
class Rule:
    """Holds for `action` when the amount passes `op limit`, the role is held, and `start <= minute < end`."""

    id: str
    denies: bool
    action: str
    op: str
    limit: int
    role: str
    start: int
    end: int

    def holds(self, request: Request) -> bool:
        """The reference."""
        amount_fits = request.amount <= self.limit if self.op == "<=" else request.amount >= self.limit
        in_span = self.start <= request.minute < self.end
        return self.action == request.action and amount_fits and self.role in request.roles and in_span


@dataclass(frozen=True)
class Request:
    """What is asked, every fact known."""

    action: str
    amount: int
    roles: tuple[str, ...]
    minute: int


def rules(count: int, *, actions: int = ACTIONS, seed: int = 7) -> list[Rule]:
    """`count` rules spread evenly over `actions` actions, with limits of their own."""
    chance = random.Random(seed)
    limits = chance.sample(range(1, 1_000_000), count)
    # However many rules one action has, some requests meet a denial and others do not.
    share = min(0.9, 240 / max(1, count // actions))
    made = []
    for index in range(count):
        denies = chance.random() < 0.1
        start = chance.randrange(0, 900)
        made.append(
            Rule(
                id=f"rule-{index:05d}",
                denies=denies,
                action=f"act{index % actions}",
                op=">=" if denies else chance.choice(("<=", "<=", "<=", ">=")),
                limit=round(1_000_000 - limits[index] * share) if denies else limits[index],
                role=chance.choice(ROLES),
                start=start,
                end=start + chance.randrange(60, MINUTES - start),
            )
        )
    return made


def requests(count: int, *, actions: int = ACTIONS, seed: int = 11) -> list[Request]:
    """Requests over the same actions."""
    chance = random.Random(seed)
    return [
        Request(
            action=f"act{chance.randrange(actions)}",
            amount=chance.randrange(1, 1_000_000),
            roles=tuple(chance.sample(ROLES, chance.randrange(1, 4))),
            minute=chance.randrange(MINUTES),
        )
        for _ in range(count)
    ]


def reference(made: list[Rule], request: Request) -> bool:
    """The answer, straight from the definition."""
    holding = [rule for rule in made if rule.holds(request)]
    return bool(holding) and not any(rule.denies for rule in holding)
