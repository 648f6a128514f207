"""Reviews: list them, show one with what lies in the vault, rule on it by a person's credential.

- A ruling needs a credential that names a person; there is no ambient default (S7.4).
- A verdict after the deadline is refused, and the expiry recorded once (S7.3). Looking at the reviews records every
  expiry that is due, and so does opening the gate.
- The reason is free text and goes to the vault, under the reviewer's own key.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence, review
from demur.core.record import Draft
from demur.core.refusal import Refusal
from demur.core.review import OPEN, Deferral, Review, ReviewState, Ruling, Verdict
from demur.core.terms import Audience, Duration
from demur.errors import ForgottenError, LedgerError, RulingError
from demur.steps import approving

if TYPE_CHECKING:
    from demur.core.record import Json
    from demur.core.review import Reviewer
    from demur.core.schema import Schema
    from demur.ports import ReviewRow, Transaction, Vault
    from demur.steps.session import Session
    from demur.steps.world import World

MAX_REASON = 4_000
"""Longest reason, in characters."""
MAX_LISTED = 1_000
_reviews = msgspec.msgpack.Decoder(Review)
_BEFOREHAND = ("asked again, the action is judged again and, if still right, allowed once", "the action stays refused")
_AFTERWARDS = ("nothing is undone; the use was right", "nothing is undone; the use was wrong")


class ReviewRequest(msgspec.Struct, frozen=True):
    """One review as a reviewer sees it, with the decision it came from; `state` is that of the moment it was read."""

    review: Review
    state: ReviewState
    audit_id: str
    deferral: Deferral

    def to_dict(self, *, locale: str = "en") -> dict[str, object]:
        """The review request of wire.md."""
        told = self.deferral.refusal
        span = Duration(self.review.deadline.nanos - self.review.opened_at.nanos)
        return {
            "review_id": self.review.id,
            "audit_id": self.audit_id,
            "status": self.state.value,
            "action_intent": told.action,
            "governance_decision": self.deferral.to_dict(audience=Audience.OPERATOR, locale=locale),
            "why_deferred": told.explain(audience=Audience.OPERATOR, locale=locale),
            "risk_assessment": {"severity": self.review.risk},
            "similar_past_decisions": [],
            "approval_action": _AFTERWARDS[0] if self.review.opened_by else _BEFOREHAND[0],
            "denial_action": _AFTERWARDS[1] if self.review.opened_by else _BEFOREHAND[1],
            "opened_at": str(self.review.opened_at),
            "deadline": str(self.review.deadline),
            "timeout_duration": str(span),
            "timeout_action": "deny",
            "needed": [
                {"role": panel.role, "quorum": panel.quorum, "policy": panel.rule} for panel in self.review.panels
            ],
            "rulings": [{"verdict": ruling.verdict.value, "at": str(ruling.at)} for ruling in self.review.rulings],
        }


def list_reviews(session: Session, *, states: tuple[ReviewState, ...], limit: int) -> tuple[Review, ...]:
    """The reviews in these states, the earliest deadline first, after recording every expiry that is due."""
    expire_due(session)
    return find(session.tx, states=states, limit=limit)


def find(tx: Transaction, *, states: tuple[ReviewState, ...], limit: int) -> tuple[Review, ...]:
    """As `list_reviews`, for those who only read a home: what is overdue is still stored as pending."""
    rows = tx.list_reviews(states=tuple(state.value for state in states), limit=min(limit, MAX_LISTED))
    return tuple(_reviews.decode(row.body) for row in rows)


def expire_due(session: Session) -> int:
    """Record the reviews that silence has denied, each once; how many there were."""
    tx = session.tx
    rows = tx.list_reviews(states=tuple(state.value for state in OPEN), limit=MAX_LISTED)
    due = [row for row in rows if row.deadline <= tx.now]
    for row in due:
        _expire(tx, row)
    return len(due)


def rule(session: Session, reviewer: Reviewer, review_id: str, verdict: Verdict, reason: str) -> Review | RulingError:
    """The review after the verdict, recorded; or the error that says why it does not count.

    An error is returned, not raised, so that an expiry found on the way is recorded with it.
    """
    tx, world = session.tx, session.world
    row = tx.find_review(review_id)
    if row is None:
        return RulingError(f"there is no review `{review_id[:64]}`")
    before = _reviews.decode(row.body)
    if before.state.is_open and before.state_at(tx.now) is ReviewState.EXPIRED:
        _expire(tx, row)
    pseudonym = world.mark(f"reviewer:{reviewer.name}", "reviewer")
    ruling = Ruling(pseudonym, tuple(sorted(reviewer.roles)), verdict, tx.now, tx.head.size)
    try:
        after = review.rule(before, ruling, reviewer=reviewer, barred=_barred(world, tx, row), now=tx.now)
    except RulingError as error:
        return error
    sealed = world.vault.seal(
        f"reviewer:{reviewer.name}", "", {"reviewer": reviewer.name.encode(), "reason": reason.encode()}
    )
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "verdict": verdict.value,
        "reviewer": pseudonym,
        "state": after.state.value,
    }
    tx.append(Draft("review_ruled", members, sealed))
    approving.put_review(tx, row, after)
    return after


def check_reason(reason: str) -> str:
    """The reason as it will be kept; raises `RulingError` where there is none."""
    text = reason.strip()
    if not text:
        message = "expected a reason, found none"
        raise RulingError(message, hint="say in a sentence why; the requester and the auditor will read it")
    if len(text) > MAX_REASON:
        message = f"expected a reason of at most {MAX_REASON} characters, found {len(text)}"
        raise RulingError(message)
    return text


def show(session: Session, review_id: str) -> ReviewRequest | None:
    """One review with its decision; `None` where there is none. Raises `LedgerError` where it cannot be unsealed."""
    return read(session.tx, session.world.vault, session.active.policies.schema, review_id)


def read(tx: Transaction, vault: Vault, schema: Schema, review_id: str) -> ReviewRequest | None:
    """As `show`, for those who only read a home. `schema` is that of the policies in force."""
    row = tx.find_review(review_id)
    sealed = tx.find_sealed(row.sequence) if row else None
    if row is None or sealed is None:
        return None
    answer = evidence.answer_of(vault.unseal(sealed), schema)
    if isinstance(answer, Refusal):  # What was granted behind broken glass is reviewed as what the policies denied.
        answer = Deferral(review_id=row.id, deadline=row.deadline, refusal=answer)
    if not isinstance(answer, Deferral):
        message = f"expected record {row.sequence} to be a deferral, found another answer"
        raise LedgerError(message)
    found = _reviews.decode(row.body)
    return ReviewRequest(found, found.state_at(tx.now), f"{tx.log}/{row.sequence}", answer)


def _barred(world: World, tx: Transaction, row: ReviewRow) -> frozenset[str]:
    sealed = tx.find_sealed(row.sequence)
    if sealed is None:
        message = "expected to know who asked for this action, found that it was erased, so nobody may rule on it"
        raise RulingError(message)
    try:
        return evidence.people_of(world.vault.unseal(sealed))
    except ForgottenError as error:
        message = "the person whom this action is for was erased, so nobody may rule on it"
        raise RulingError(message, hint="it stays refused; at its deadline it is denied") from error


def _expire(tx: Transaction, row: ReviewRow) -> None:
    tx.append(Draft("review_expired", {"review": row.id, "decision": row.sequence, "deadline": str(row.deadline)}))
    approving.put_review(tx, row, review.expire(_reviews.decode(row.body)))
