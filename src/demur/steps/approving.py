"""Approvals: found again for the very action they were given for, set aside for the one grant that uses them.

- A review is found by a blinded digest of the action, its subject and its actor, and by nothing else (S7.1).
- An approval that a grant holds is free again where that grant was revoked or expired unredeemed.
- An approval of less than was asked is used only where what is left is allowed, too, by the policies in force; else it
  is as if it were not there (S3.5).

Clauses: S3.5, S7.1, S7.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import grant, narrowing, resolution
from demur.core import review as reviews
from demur.core.decision import Decision, decide
from demur.core.grant import GrantState
from demur.core.policy import duties
from demur.core.policy.duties import Duties
from demur.core.resolution import Approval, Facts
from demur.core.review import Review, ReviewState
from demur.core.terms import Outcome
from demur.errors import RulingError
from demur.steps import queue, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from demur.core.policy.document import Narrowing
    from demur.core.terms import Request
    from demur.ports import ReviewRow, Transaction
    from demur.steps.session import Judged, Session

_encode = msgspec.msgpack.Encoder().encode
_reviews = msgspec.msgpack.Decoder(Review)


def matching(session: Session, facts: Facts) -> Iterator[Review]:
    """The reviews of this very action, oldest first."""
    for row in session.tx.matching_reviews(match(session, facts)):
        yield _reviews.decode(row.body)


def decode(row: ReviewRow) -> Review:
    """The review as it is stored."""
    return _reviews.decode(row.body)


def match(session: Session, facts: Facts) -> bytes:
    """The blinded action digest, of which subject and actor are part, by which reviews of this action are found."""
    return session.world.vault.blind_for(facts.request.subject.name, "match", facts.request.digest)


def approvals(session: Session, facts: Facts) -> tuple[Approval, ...]:
    """The approvals of this action that can be used now, and after them the standing ones that cover it."""
    return *given(session.tx, match(session, facts)), *standing.approvals(session, facts)


def given(tx: Transaction, found_by: bytes) -> tuple[Approval, ...]:
    """What people approved of the action that is found by these bytes, as far as a grant may stand on it now."""
    reviews_ = (_reviews.decode(row.body) for row in tx.matching_reviews(found_by))
    return tuple(of(review) for review in reviews_ if is_free(review, tx))


def of(review: Review) -> Approval:
    """What the approval of a review satisfies (S7.1)."""
    return Approval(review.id, tuple((panel.rule, panel.digest) for panel in review.panels))


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


def stand(
    session: Session, facts: Facts, judge: Callable[[Facts, Request], Decision], paths: Sequence[str]
) -> tuple[Facts, Decision, Duties] | None:
    """The facts with the approvals that can be used, judged with them, and how far they narrow what is granted.

    `judge` decides about what is left of the request, `paths` are the facts that sources learned. `None` where there
    is no approval.
    """
    usable = approvals(session, facts)
    while usable:
        standing = resolution.with_approvals(facts, usable)
        decision = decide(standing, session.active.policies)
        if decision.outcome is not Outcome.ALLOW:
            return standing, decision, duties.NONE
        narrowed = tuple(one for one in _narrowed(session, _used(decision, usable)))
        if not narrowed:
            return standing, decision, duties.NONE
        if (ties := _left(session, decision, narrowed, judge, paths)) is not None:
            return standing, decision, ties
        ids = {one.id for one in narrowed}
        usable = tuple(one for one in usable if one.review_id not in ids)
    return None


def ties_of(decision: Decision, narrowed: Duties) -> Decision | Duties:
    """What a grant is tied to: what the rules say, and what the approvals add."""
    if narrowed is duties.NONE:
        return decision
    seconds = [one for one in (decision.grant_seconds, narrowed.grant_seconds) if one is not None]
    return Duties((*decision.obligations, *narrowed.obligations), decision.narrows, min(seconds, default=None))


def _narrowed(session: Session, used: Sequence[Approval]) -> Iterator[Review]:
    """The reviews among these approvals that approve less than was asked."""
    for one in used:
        row = session.tx.find_review(one.review_id)
        found = None if row is None else _reviews.decode(row.body)
        if found is not None and (found.narrows or found.grant_seconds is not None):
            yield found


def _left(
    session: Session,
    decision: Decision,
    narrowed: Sequence[Review],
    judge: Callable[[Facts, Request], Decision],
    paths: Sequence[str],
) -> Duties | None:
    """What the approvals add to the ties of the grant; `None` where what they leave is not allowed now."""
    facts, schema = decision.facts, session.active.policies.schema
    narrows = _together([item for one in narrowed for item in one.narrows])
    seconds = min((one.grant_seconds for one in narrowed if one.grant_seconds is not None), default=None)
    if narrows is None or narrowing.is_looked_up(narrows, paths, schema):
        return None
    try:
        request = narrowing.apply(facts.request, narrows, schema)
    except RulingError:
        return None
    left = judge(facts, request) if narrows else decision
    granted = grant.narrow(request.arguments, decision.narrows)
    if left.outcome is not Outcome.ALLOW or grant.narrow(granted, narrows) != granted:
        return None
    more = tuple(item for item in left.obligations if item not in decision.obligations)
    if not {item.type for item in more}.isdisjoint(item.type for item in decision.obligations):
        return None
    return Duties(more, narrows, seconds)


def _together(items: Sequence[Narrowing]) -> tuple[Narrowing, ...] | None:
    """The narrowest of each argument; `None` where nothing is left of one."""
    parts: dict[str, list[Narrowing]] = {}
    for item in items:
        parts.setdefault(item.argument, []).append(item)
    narrowest = [duties.narrowest(name, these) for name, these in sorted(parts.items())]
    return tuple(one for one in narrowest if one is not None) if None not in narrowest else None


def _used(decision: Decision, approvals: Sequence[Approval]) -> tuple[Approval, ...]:
    """The approvals that a grant stands on: of several for one rule, the first."""
    satisfied = set(decision.satisfied)
    used: list[Approval] = []
    for approval in approvals:
        rules = {rule for rule, _ in approval.rules}
        if not satisfied.isdisjoint(rules):
            satisfied -= rules
            used.append(approval)
    return tuple(used)


def reserve(session: Session, judged: Judged, grant_id: str) -> tuple[str, ...]:
    """Set aside, in this very transaction, the approvals that this grant stands on (S7.1)."""
    used = _used(judged.decision, judged.facts.approvals)
    for approval in used:
        row = session.tx.find_review(approval.review_id)
        if row is not None:
            put_review(session.tx, row, reviews.reserve(_reviews.decode(row.body), grant_id))
    return tuple(approval.review_id for approval in used)


def put_review(tx: Transaction, row: ReviewRow, review: Review) -> None:
    """The row with the review as it stands now."""
    queue.note_end(tx, row, review)
    tx.put_review(
        msgspec.structs.replace(row, state=review.state.value, deadline=review.deadline, body=_encode(review))
    )
