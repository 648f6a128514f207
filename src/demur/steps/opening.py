"""How a review is opened: once for an action that waits, however often that is asked for.

Clauses: S7.1.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from demur.core import review as reviews
from demur.ports import ReviewRow
from demur.steps import approving, precedents

if TYPE_CHECKING:
    from demur.core.record import Entry
    from demur.core.review import Review
    from demur.steps.session import Judged, Session

_encode = msgspec.msgpack.Encoder().encode


def review(session: Session, judged: Judged) -> tuple[Review, bool]:
    """The review that this action waits for, and whether it was open already."""
    decision, tx = judged.decision, session.tx
    rules = [session.active.policies.rule(name) for name in decision.reviews if name not in decision.satisfied]
    for review in approving.matching(session, judged.facts):
        if review.state_at(tx.now).is_open and reviews.covers(review, rules):
            return review, True
    return reviews.open_review(secrets.token_hex(8), rules, now=tx.now), False


def put(session: Session, judged: Judged, review: Review, entry: Entry) -> None:
    """The row of a review that the decision `entry` opened."""
    match = approving.match(session, judged.facts)
    session.tx.put_review(
        ReviewRow(
            review.id,
            entry.sequence,
            match,
            review.state.value,
            review.deadline,
            _encode(review),
            precedents.topic(session.world.vault, judged.facts.request),
        )
    )
