"""Inquiries: what would be answered. Judged and recorded as such; no grant, no review, no quota used (S5.3).

- Facts, history and approvals are those that a decision would see now; a stop or a quarantine counts as a denial.
- One inquiry is one record, however many requests it judges. That of a single request keeps what it was judged from,
  like a decision; that of several says how many there were and for whom nothing is kept.
- No attempt is remembered and none counts as a repeat: asking what would happen is what the advice is for.

Clauses: S5.3, S8.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from demur.core import evidence
from demur.core.decision import explain
from demur.core.record import Draft
from demur.core.refusal import refuse
from demur.core.terms import Outcome
from demur.steps import deciding, denials, levers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demur.core.decision import Decision, Explanation
    from demur.core.record import Json, Sealed
    from demur.core.refusal import Refusal
    from demur.core.resolution import Facts
    from demur.steps.session import Judged, Prepared, Session
    from demur.steps.world import Active


class Purpose(StrEnum):
    """Why somebody asks."""

    SEARCH = "search"
    BATCH = "batch"
    EXPLAIN = "explain"
    PLAYGROUND = "playground"
    NARROWING = "narrowing"


@dataclass(frozen=True, slots=True)
class Inquired:
    """What one request would be answered. `refusal` holds the words of a "no", and is absent for an allow."""

    decision: Decision
    facts: Facts
    refusal: Refusal | None
    audit_id: str

    @property
    def outcome(self) -> Outcome:
        """What would be answered."""
        return Outcome.ALLOW if self.refusal is None else self.refusal.outcome

    def explain(self, active: Active) -> Explanation:
        """The truth of every rule and condition, for those who may see rules."""
        return explain(self.facts, active.policies, self.decision)


def inquire(session: Session, prepared: Sequence[Prepared], purpose: Purpose) -> tuple[Inquired, ...]:
    """Judge these requests at one instant, and record that it was asked."""
    found = [deciding.judged(session, one) for one in prepared]
    refusals = [_refusal(session, one) for one in found]
    members: dict[str, Json] = {
        "purpose": purpose.value,
        "count": len(found),
        "allowed": refusals.count(None),
        "policy_version": session.active.digest,
    }
    entry = session.tx.append(Draft("inquiry", members | _asked_by(session, found), _seal(session, found)))
    audit_id = f"{session.tx.log}/{entry.sequence}"
    return tuple(
        Inquired(one.decision, one.facts, refused, audit_id) for one, refused in zip(found, refusals, strict=True)
    )


def _refusal(session: Session, judged: Judged) -> Refusal | None:
    world, active, tx, request = session.world, session.active, session.tx, judged.facts.request
    if levers.read(tx).stop_of(request.action, levers.actor_of(world, request)) is not None:
        return levers.stopped(active, tx, request)
    if denials.is_held(tx, denials.key_of(world, request)):
        return denials.quarantined(active, tx, request)
    if judged.decision.outcome is Outcome.ALLOW:
        return None
    return refuse(judged.decision, judged.remedies)


def _asked_by(session: Session, found: Sequence[Judged]) -> dict[str, Json]:
    callers = {one.facts.request.caller for one in found}
    return {"requesting_entity": {"caller": session.world.pseudonym("caller", *sorted(callers))}} if callers else {}


def _seal(session: Session, found: Sequence[Judged]) -> Sealed | None:
    if len(found) != 1:
        return None
    facts, learned = found[0].facts, found[0].learned
    return session.world.seal(facts.request, evidence.judged_from(facts, session.active.policies.schema, learned))
