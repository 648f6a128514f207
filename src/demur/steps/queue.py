"""How many reviews wait, and what is likely of them: counted under the append lock, so exact under any concurrency.

Clauses: S4.2, S7.3.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from demur.core.desk import timing
from demur.core.desk.kind import Kind
from demur.core.desk.novelty import Past
from demur.core.desk.timing import Served
from demur.core.policy.desk import IS_PEAK, OPEN_REVIEWS
from demur.core.review import OPEN, Review, ReviewState
from demur.core.terms import NANOS, Missing, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.ports import ReviewRow, Transaction
    from demur.steps.session import Session

PAGE = 500
"""Reviews that are read at a time."""
MAX_MEASURED = 12
"""Ended reviews of a kind that are looked at when another is opened."""
MAX_KINDS = 1_024
"""Kinds that are remembered."""
_ENDED = "desk.ended."
_OPEN = tuple(state.value for state in OPEN)
_RULED = frozenset({ReviewState.APPROVED, ReviewState.DENIED})
_APPROVED = frozenset({ReviewState.APPROVED, ReviewState.RESERVED, ReviewState.EXECUTED})
_reviews = msgspec.msgpack.Decoder(Review)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The queue at an instant. `oldest_seconds` is `None` where nobody waits."""

    reviews: int
    held: int
    oldest_seconds: float | None
    next_deadline: Timestamp | None
    by_risk: dict[str, int]
    is_peak: bool

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {
            "reviews": self.reviews,
            "held": self.held,
            "oldest_seconds": self.oldest_seconds,
            "next_deadline": str(self.next_deadline) if self.next_deadline else None,
            "by_risk": dict(self.by_risk),
            "is_peak": self.is_peak,
        }


def state(session: Session) -> Waiting:
    """The queue as it stands, without what is overdue."""
    now, peak = session.tx.now, session.active.policies.desk.peak
    oldest: Timestamp | None = None
    held, by_risk, deadlines = 0, Counter[str](), []
    for _, review in open_reviews(session.tx):
        if review.deadline > now:
            oldest = review.opened_at if oldest is None else min(oldest, review.opened_at)
            held += bool(review.holder_at(now))
            by_risk[review.risk] += 1
            deadlines.append(review.deadline)
    return Waiting(
        reviews=len(deadlines),
        held=held,
        oldest_seconds=None if oldest is None else (now.nanos - oldest.nanos) / NANOS,
        next_deadline=min(deadlines, default=None),
        by_risk=dict(by_risk),
        is_peak=bool(peak) and len(deadlines) >= peak,
    )


def open_reviews(tx: Transaction) -> Iterator[tuple[ReviewRow, Review]]:
    """All open reviews, the earliest deadline first, a page at a time."""
    after: tuple[Timestamp, str] | None = None
    while rows := tx.list_reviews(states=_OPEN, limit=PAGE, after=after):
        for row in rows:
            yield row, _reviews.decode(row.body)
        after = rows[-1].deadline, rows[-1].id
        if len(rows) < PAGE:
            return


def waiting(tx: Transaction) -> int:
    """How many reviews are open, those included whose deadline has passed since anybody looked."""
    return tx.count_reviews(_OPEN)


def fact(session: Session, path: str) -> int | bool | Missing:
    """A fact of the desk, as it stands in this transaction."""
    if path == OPEN_REVIEWS:
        return waiting(session.tx)
    if path == IS_PEAK:
        return waiting(session.tx) >= session.active.policies.desk.peak
    return Missing.UNKNOWN


def note_end(tx: Transaction, row: ReviewRow, review: Review) -> None:
    """People ended a review: from now on what is known of its kind is looked up anew, by every replica."""
    if row.topic and row.state in _OPEN and review.state in _RULED:
        tx.put_meta(_ENDED + row.topic.hex(), secrets.token_bytes(8))


def look(session: Session, topic: bytes) -> Kind:
    """What is known of reviews of this kind; read again only after people ended one."""
    known, mark = session.active.kinds, session.tx.find_meta(_ENDED + topic.hex())
    found = known.get(topic)
    if found is None or found[0] != mark:
        if len(known) >= MAX_KINDS:
            known.clear()
        found = known[topic] = mark, _read(session, topic)
    return found[1]


def _read(session: Session, topic: bytes) -> Kind:
    """A bounded read, whatever the ledger holds."""
    rows = session.tx.ended_reviews(topic, limit=MAX_MEASURED)
    ended = [_reviews.decode(row.body) for row in rows]
    served = [Served(item.opened_at, item.rulings[-1].at) for item in ended if item.rulings]
    past = tuple(Past(item.asked_by, item.state in _APPROVED) for item in ended)
    return Kind(timing.measure(session.active.policies.desk, served, session.world.zones.offset), past)
