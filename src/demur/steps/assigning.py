"""Whose a review is for the moment: taken, given to a named person, given back; escalated; superseded.

- A person holds a review until an instant, and may do so again for longer. When that time is over somebody else may
  take it; that it was over is recorded by whoever looks next.
- Whoever may not rule on a review may not hold it, and whoever asked for an action does not choose who rules on it.
- An operator gives a review to somebody although another person holds it; others give on only what they hold.
- Each transition is a record: `review_assigned`, `review_released`, `review_escalated`, `review_superseded`.

Clauses: S7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core import lever
from demur.core import review as reviews
from demur.core.record import Draft
from demur.errors import RulingError
from demur.steps import approving
from demur.steps import ruling as rulings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from demur.core.delegation import Loan
    from demur.core.panel import Panel
    from demur.core.record import Json
    from demur.core.review import Review, Reviewer
    from demur.ports import ReviewRow
    from demur.steps.session import Session

LEASE_SECONDS = 15 * 60
MAX_LEASE_SECONDS = 24 * 3_600
"""How long a review is held, unless said otherwise, and at most; renewing begins anew."""


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person with what others lent them."""

    person: Reviewer
    lent: tuple[Loan, ...] = ()


def take(session: Session, who: Somebody, review_id: str, seconds: int) -> Review | RulingError:
    """The review, held by whoever takes it; or the error that says why not."""
    return _assign(session, review_id, who, who, seconds, cause="taken")


def assign(
    session: Session, by: Somebody, to: Somebody, review_id: str, seconds: int, reason: str = ""
) -> Review | RulingError:
    """The review, held by the person whom another named; or the error that says why not."""
    return _assign(session, review_id, to, by, seconds, cause="assigned", reason=reason)


def route(session: Session, to: Somebody, review_id: str, seconds: int) -> Review | RulingError:
    """The review, given by the desk itself to somebody who may rule on it; or the error that says why not."""
    return _assign(session, review_id, to, None, seconds, cause="routed")


def release(session: Session, who: Somebody, review_id: str) -> Review | RulingError:
    """The review, given back by whoever holds it, or taken from them by an operator; or the error that says why not."""
    found = rulings.find_open(session, review_id)
    if isinstance(found, RulingError):
        return found
    row, before = found
    mine, holder = rulings.pseudonym(session.world, who.person.name), before.holder_at(session.tx.now)
    is_operator = lever.ROLE in who.person.roles
    try:
        after = reviews.release(before, holder if is_operator else mine, session.tx.now)
    except RulingError as error:
        return error
    _record_release(session, row, before, "released" if mine == holder else "operator", by=mine)
    approving.put_review(session.tx, row, after)
    return after


def escalate(session: Session, row: ReviewRow, panels: Sequence[Panel], level: int, cause: str) -> Review:
    """The review, put before other people, recorded; raises `RulingError` where it is not open or no step up."""
    before = rulings.decode(row)
    after = reviews.escalate(before, panels, level)
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "level": level,
        "panels": len(after.panels),
        "cause": cause,
        "state": after.state.value,
    }
    session.tx.append(Draft("review_escalated", members))
    approving.put_review(session.tx, row, after)
    return after


def supersede(session: Session, row: ReviewRow, by: int, cause: str) -> Review:
    """The review that can no longer matter, since record `by` says what the policies ask by now; recorded."""
    after = reviews.supersede(rulings.decode(row))
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "by": by,
        "cause": cause,
        "state": after.state.value,
    }
    session.tx.append(Draft("review_superseded", members))
    approving.put_review(session.tx, row, after)
    return after


def _assign(
    session: Session, review_id: str, to: Somebody, by: Somebody | None, seconds: int, *, cause: str, reason: str = ""
) -> Review | RulingError:
    found = rulings.find_open(session, review_id)
    if isinstance(found, RulingError):
        return found
    row, before = found
    world, now = session.world, session.tx.now
    holder = rulings.pseudonym(world, to.person.name)
    try:
        _check_seconds(seconds)
        barred = rulings.barred(world, session.tx, row)
        is_instead = by is not None and by is not to and _check_giver(session, before, by, barred)
        _check_may_rule(session, before, to, barred)
        after = reviews.assign(before, holder, now.plus(seconds), now, is_instead=is_instead)
    except RulingError as error:
        return error
    giver = to if by is None else by
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "holder": holder,
        "until": str(after.held_until),
        "cause": cause,
        "state": after.state.value,
    }
    if by is not None and by is not to:
        members["by"] = rulings.pseudonym(world, by.person.name)
    told = {"reviewer": giver.person.name, **({"reason": reason} if reason else {})}
    about = {"about": (f"reviewer:{to.person.name}", to.person.name.encode())} if giver is not to else {}
    fields = {name: text.encode("utf-8", "replace") for name, text in told.items()}
    entry = session.tx.append(
        Draft("review_assigned", members, world.vault.seal(f"reviewer:{giver.person.name}", "", fields, about))
    )
    after = reviews.assign(before, holder, now.plus(seconds), now, is_instead=is_instead, sequence=entry.sequence)
    approving.put_review(session.tx, row, after)
    return after


def _check_giver(session: Session, review: Review, by: Somebody, barred: Collection[str]) -> bool:
    """Whether this person may give a review to somebody although it is held; raises where they may not give it."""
    if by.person.name in barred:
        message = f"`{by.person.name}` asked for this action or is acted for, so somebody else must choose"
        raise RulingError(message)
    if lever.ROLE in by.person.roles:
        return True
    _check_may_rule(session, review, by, barred)
    return review.holder_at(session.tx.now) == rulings.pseudonym(session.world, by.person.name)


def _check_may_rule(session: Session, review: Review, who: Somebody, barred: Collection[str]) -> None:
    """Raises `RulingError` unless this person may rule on the review, in their own right or in somebody's place."""
    first: RulingError | None = None
    for authority in rulings.authorities(session, review, who.person, who.lent):
        try:
            reviews.check_reviewer(review, authority, barred)
        except RulingError as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def _check_seconds(seconds: int) -> None:
    if not 0 < seconds <= MAX_LEASE_SECONDS:
        message = f"expected to hold a review for 1 to {MAX_LEASE_SECONDS} seconds, found {seconds}"
        raise RulingError(message)


def _record_release(session: Session, row: ReviewRow, before: Review, cause: str, *, by: str) -> None:
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "holder": before.holder,
        "cause": cause,
        "by": by,
        "state": reviews.ReviewState.PENDING.value,
    }
    session.tx.append(Draft("review_released", members))
