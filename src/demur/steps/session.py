"""What the steps of one answer hand on: a transaction of a gate, a request with its facts, a request judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demur.core.policy.duties import NONE

if TYPE_CHECKING:
    from demur.core.decision import Decision
    from demur.core.policy.duties import Duties
    from demur.core.remedy import Remedies
    from demur.core.resolution import Facts, Learned
    from demur.core.terms import Request
    from demur.ports import Transaction
    from demur.steps.telling import News
    from demur.steps.world import Active, World


@dataclass(frozen=True, slots=True)
class Session:
    """One transaction of one gate under one set of policies."""

    world: World
    active: Active
    tx: Transaction
    news: list[News] = field(default_factory=list)
    """What is to be told once this is durable."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with its facts, but for the usage facts `history`, which are read under the lock."""

    request: Request
    facts: Facts
    learned: dict[str, Learned]
    history: tuple[str, ...]
    remedies: Remedies | None = None
    """What leads out of the "no" that these facts give, where they are all known before the lock is taken."""
    decision: Decision | None = None
    """What the facts gave by the policies that they were learned for; good for these very facts and policies only."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A request that was decided, with everything it was decided from."""

    facts: Facts
    decision: Decision
    learned: dict[str, Learned]
    remedies: Remedies | None = None
    narrowed: Duties = NONE
    """What the approvals that it stands on add to the ties of the grant (S3.5)."""
