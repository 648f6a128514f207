"""Approvals: found again for the very action they were given for, set aside for the one grant that uses them.

- A review is found by a blinded digest of the action, its subject and its actor, and by nothing else (S7.1).
- An approval that a grant holds is free again where that grant was revoked or expired unredeemed.

Clauses: S7.1, S7.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import review as reviews
from demur.core.grant import GrantState
from demur.core.resolution import Approval, Facts
from demur.core.review import Review, ReviewState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.ports import ReviewRow, Transaction
    from demur.steps.session import Judged, Session

_encode = msgspec.msgpack.Encoder().encode
_reviews = msgspec.msgpack.Decoder(Review)


def matching(session: Session, facts: Facts) -> Iterator[Review]:
    """The reviews of this very action, oldest first."""
    for row in session.tx.matching_reviews(match(session, facts)):
        yield _reviews.decode(row.body)


def match(session: Session, facts: Facts) -> bytes:
    """The blinded action digest, of which subject and actor are part, by which reviews of this action are found."""
    return session.world.vault.blind_for(facts.request.subject.name, "match", facts.request.digest)


def approvals(session: Session, facts: Facts) -> tuple[Approval, ...]:
    """The approvals of this action that can be used now."""
    return tuple(
        Approval(review.id, tuple((panel.rule, panel.digest) for panel in review.panels))
        for review in matching(session, facts)
        if is_free(review, session.tx)
    )


def is_free(review: Review, tx: Transaction) -> bool:
    """Whether this approval can be used: it stands, and no grant holds it that was redeemed or still lives (S7.1)."""
    if review.state_at(tx.now) is ReviewState.APPROVED:
        return True
    if review.state is not ReviewState.RESERVED or (review.approved_until and tx.now >= review.approved_until):
        return False
    row = tx.find_grant(review.grant_id)
    if row is None:
        return False
    return row.state == GrantState.REVOKED or (row.state == GrantState.LIVE and tx.now >= row.expires_at)


def reserve(session: Session, judged: Judged, grant_id: str) -> tuple[str, ...]:
    """Set aside, in this very transaction, the approvals that this grant stands on (S7.1)."""
    satisfied = set(judged.decision.satisfied)
    used: list[str] = []
    for approval in judged.facts.approvals:
        row = session.tx.find_review(approval.review_id)
        if row is not None and not satisfied.isdisjoint(rule for rule, _ in approval.rules):
            satisfied.difference_update(rule for rule, _ in approval.rules)
            put_review(session.tx, row, reviews.reserve(_reviews.decode(row.body), grant_id))
            used.append(approval.review_id)
    return tuple(used)


def put_review(tx: Transaction, row: ReviewRow, review: Review) -> None:
    """The row with the review as it stands now."""
    tx.put_review(
        msgspec.structs.replace(row, state=review.state.value, deadline=review.deadline, body=_encode(review))
    )
