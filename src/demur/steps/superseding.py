"""Reviews that can no longer matter: superseded by the decision that shows it, in the same transaction.

- Asked again, an action that is allowed outright needs nobody's approval, and one that a rule forbids would not be
  granted on one; where the policies ask other rules by now, the approval would satisfy too few (S7.1, S7.2).
- A denial for want of knowledge says nothing of the kind: its reviews stay open.
- When other policies come into force, the reviews go whose rules are all gone or changed: an approval would satisfy
  none of those that ask.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core import review as reviews
from demur.core.terms import Category, Outcome
from demur.steps import approving, assigning
from demur.steps.telling import News

if TYPE_CHECKING:
    from demur.core.decision import Decision
    from demur.core.policy.document import Rule
    from demur.core.record import Entry
    from demur.steps.session import Judged, Session


_PAGE = 500


def supersede(session: Session, judged: Judged, entry: Entry, *, kept: str = "") -> None:
    """Supersede the open reviews of this very action that the decision `entry` leaves without a point.

    `kept` is the review that the action waits for.
    """
    decision, tx = judged.decision, session.tx
    if not decision.bucket.reviews or not _is_final(decision):
        return
    asked = [session.active.policies.rule(name) for name in decision.reviews]
    for row in tx.matching_reviews(approving.match(session, judged.facts)):
        found = approving.decode(row)
        if row.id == kept or not found.state_at(tx.now).is_open:
            continue
        if (cause := _cause(decision, found, asked)) is not None:
            assigning.supersede(session, row, entry.sequence, cause)
            told = {"review_id": row.id, "status": reviews.ReviewState.SUPERSEDED.value, "cause": cause}
            session.news.append(News("governance.review.superseded", row.id, dict(told)))


def outdated(session: Session, entry: Entry) -> None:
    """Supersede the open reviews that ask by no rule of the policies which the record `entry` puts in force."""
    tx, place = session.tx, None
    in_force = {(rule.id, rule.digest) for rule in session.active.policies.rules}
    while page := tx.list_reviews(states=tuple(state.value for state in reviews.OPEN), limit=_PAGE, after=place):
        for row in page:
            found = approving.decode(row)
            asked = {(panel.rule, panel.digest) for panel in found.panels}
            if found.state_at(tx.now).is_open and not found.opened_by and in_force.isdisjoint(asked):
                assigning.supersede(session, row, entry.sequence, "policy_changed")
        place = (page[-1].deadline, page[-1].id)


def _is_final(decision: Decision) -> bool:
    """Whether the decision stands on what is known, not on what could not be learned."""
    match decision.outcome:
        case Outcome.ALLOW | Outcome.DEFER:
            return True
        case Outcome.DENY:
            return bool(decision.forbids) or decision.category is Category.SCOPE_EXCEEDED
        case Outcome.UNAVAILABLE:
            return False


def _cause(decision: Decision, review: reviews.Review, asked: list[Rule]) -> str | None:
    if decision.outcome is Outcome.DENY:
        return "denied"
    if not asked:
        return "allowed"
    if decision.outcome is Outcome.DEFER or not reviews.covers(review, asked):
        return "other_rules"
    return None
