"""From a record of the ledger to what a place is told of it: which places want it, and nothing that names anybody.

- The record says that something happened; what is told is how the review stands when it is told. What is over by then
  is told to nobody: who is asked to decide can still decide.
- A place that stands for a person gets what that person may rule on, with a link of their own; never what they asked
  for themselves (S7.2).
- That a deadline is near is a record too, written once by whoever looks first, so that it is told like the others.

Clauses: S7, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import notice
from demur.core.desk import routing
from demur.core.desk.routing import Ask
from demur.core.notice import Happening, Notice
from demur.core.policy import patterns
from demur.core.record import Draft
from demur.core.review import ReviewState
from demur.errors import RulingError
from demur.steps import linking, queue, ruling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.desk.routing import Colleague
    from demur.core.review import Review
    from demur.ports import ReviewRow, Transaction
    from demur.steps.session import Session
    from demur.steps.world import World

_KINDS = {
    "decision": Happening.OPENED,
    "glass_used": Happening.OPENED,
    "review_assigned": Happening.ASSIGNED,
    "review_escalated": Happening.ESCALATED,
    "review_reminded": Happening.DEADLINE_NEAR,
    "review_ruled": Happening.RESOLVED,
    "review_cancelled": Happening.RESOLVED,
    "review_superseded": Happening.RESOLVED,
    "review_expired": Happening.EXPIRED,
}
_ENDS = (Happening.RESOLVED, Happening.EXPIRED)
_REMINDED = "desk.reminded"
_names = msgspec.msgpack.Decoder(tuple[str, ...])
_encode = msgspec.msgpack.Encoder().encode


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a place wants to be told; what is left empty stands for all. `named_actions` are patterns of actions whose
    names it may be told.
    """

    events: tuple[Happening, ...]
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    rotas: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    named_actions: tuple[str, ...] = ()
    person: str = ""
    locale: str = ""


def compose(
    world: World, tx: Transaction, told: Mapping[str, object], wish: Wish, base_url: str
) -> tuple[str, str] | None:
    """Title and body of what a place is told of a record, given as its event's data; `None` where it is nothing."""
    what, review_id = _KINDS.get(str(told.get("record"))), str(told.get("review") or "")
    row = tx.find_review(review_id) if what is not None and review_id else None
    if what is None or what not in wish.events or row is None:
        return None
    review = ruling.decode(row)
    if not _still_matters(told, what, row, review, tx) or not _wants(wish, review):
        return None
    person = _person(world, tx, wish, row, review, what) if wish.person else None
    if wish.person and person is None:
        return None
    link, is_personal = _link(world, tx, wish, review, base_url)
    is_named = any(patterns.matches(pattern, review.action) for pattern in wish.named_actions)
    found = Notice(
        what=what,
        review_id=review.id,
        risk=review.risk,
        deadline=review.deadline,
        state=review.state,
        action=review.action if is_named else "",
        link=link,
        is_personal=is_personal,
    )
    spoken = sorted(person.languages) if person is not None else []
    return notice.words(found, wish.locale or next(iter(spoken), "en"))


def has_near(tx: Transaction, seconds: float) -> bool:
    """Whether a deadline is near that nobody was told of."""
    known = _reminded(tx)
    return any(row.id not in known for row, _ in _near(tx, seconds))


def remind(session: Session, seconds: float) -> int:
    """Record the open reviews whose deadline is less than this away, each once; how many there were."""
    tx = session.tx
    known, near = _reminded(tx), [row for row, _ in _near(tx, seconds)]
    fresh = [row for row in near if row.id not in known]
    for row in fresh:
        tx.append(Draft("review_reminded", {"review": row.id, "decision": row.sequence, "deadline": str(row.deadline)}))
    if fresh:
        # Those that ended meanwhile are forgotten here, so that this does not grow.
        tx.put_meta(_REMINDED, _encode(tuple(row.id for row in near)))
    return len(fresh)


def _near(tx: Transaction, seconds: float) -> list[tuple[ReviewRow, Review]]:
    limit = tx.now.plus(seconds)
    found = []
    for row, review in queue.open_reviews(tx):
        if row.deadline > limit:
            break
        # Of a short review the last quarter, or it would be near as soon as it is opened.
        left, whole = row.deadline.nanos - tx.now.nanos, row.deadline.nanos - review.opened_at.nanos
        if review.state_at(tx.now).is_open and 4 * left <= whole:
            found.append((row, review))
    return found


def _reminded(tx: Transaction) -> frozenset[str]:
    raw = tx.find_meta(_REMINDED)
    return frozenset(_names.decode(raw)) if raw else frozenset()


def _still_matters(
    told: Mapping[str, object], what: Happening, row: ReviewRow, review: Review, tx: Transaction
) -> bool:
    if what in _ENDS:
        return not review.state.is_open or review.state_at(tx.now) is ReviewState.EXPIRED
    if not review.state_at(tx.now).is_open:
        return False
    match what:
        case Happening.OPENED:  # asked again, the same action waits in the same review
            return told.get("audit_id") == f"{tx.log}/{row.sequence}" or told.get("record") == "glass_used"
        case Happening.ASSIGNED:
            return told.get("holder") == review.holder_at(tx.now)
        case _:
            return True


def _wants(wish: Wish, review: Review) -> bool:
    if wish.risks and review.risk not in wish.risks:
        return False
    if not (wish.roles or wish.groups or wish.rotas):
        return True
    return any(
        panel.role in wish.roles or panel.group in wish.groups or panel.rota in wish.rotas for panel in review.panels
    )


def _person(
    world: World, tx: Transaction, wish: Wish, row: ReviewRow, review: Review, what: Happening
) -> Colleague | None:
    """Whoever this place stands for, where this is theirs to know."""
    found = next((one for one in world.reviewers.everybody() if one.name == wish.person), None)
    asks = (Ask(role=panel.role, group=panel.group) for panel in review.panels)
    if found is None or not any(routing.may_decide(found, ask) for ask in asks):
        return None
    mine = ruling.pseudonym(world, wish.person)
    holder = review.holder_at(tx.now)
    if what not in _ENDS and holder not in {"", mine}:
        return None
    try:
        barred = ruling.barred(world, tx, row)
    except RulingError:
        return None
    return None if wish.person in barred or mine == review.opened_by else found


def _link(world: World, tx: Transaction, wish: Wish, review: Review, base_url: str) -> tuple[str, bool]:
    if not base_url:
        return "", False
    token = linking.issue(world, review, wish.person, tx.now) if wish.person else ""
    if token and linking.find(world, tx, token, wish.person) is not None:
        return f"{base_url}/desk/links/{token}", True
    return f"{base_url}/desk/reviews/{review.id}", False
