"""What leads out of a "no": the remedies of one decision, each judged again with what can be learned again at once.

- Facts that hang on a change are learned again from tables, and usage facts counted again where a transaction is at
  hand; from anything slower they stay unknown, so that a remedy resting on them is not offered (S9.1).
- A "no" that needs no history is mended before the append lock is taken, so that nobody waits for it.

Clauses: S9.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from demur.core import remedy
from demur.core.resolution import Learned
from demur.core.terms import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.decision import Decision
    from demur.core.remedy import Remedies
    from demur.core.terms import Missing, Request
    from demur.steps.world import Active

    Count = Callable[[str, Request], int | Missing]
    """What a counter says for a changed request."""

_AT_ONCE = frozenset({"static", "claims"})


def mend(active: Active, decision: Decision, count: Count | None = None) -> Remedies | None:
    """The remedies of a decision that is no allow; `count` counts usage facts again."""
    if decision.outcome is Outcome.ALLOW:
        return None
    facts = decision.facts
    learn = partial(_learn, active, decision, count)
    judge = partial(remedy.rejudge, facts, active.policies, learn=learn)
    return remedy.find(decision, judge, now=facts.now)


def _learn(
    active: Active, decision: Decision, count: Count | None, request: Request, paths: frozenset[str]
) -> dict[str, Learned]:
    schema, now = active.policies.schema, decision.facts.now
    wanted: dict[str, list[str]] = {}
    learned: dict[str, Learned] = {}
    for path in sorted(paths):
        if path in schema.counters:
            if count is not None:
                learned[path] = Learned(count(path, request), now)
        elif (fact := schema.facts.get(path)) is not None and schema.sources[fact.source].kind in _AT_ONCE:
            wanted.setdefault(fact.source, []).append(path)
    return learned | dict(active.sources.learn(request, wanted, now)) if wanted else learned
