"""How many reviews wait, and what is likely of them: counted under the append lock, so exact under any concurrency.

Clauses: S4.2, S7.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.desk import timing
from demur.core.desk.novelty import Past
from demur.core.desk.timing import Served, Service
from demur.core.policy.desk import IS_PEAK, OPEN_REVIEWS
from demur.core.review import OPEN, Review, ReviewState
from demur.core.terms import Missing

if TYPE_CHECKING:
    from demur.ports import Transaction
    from demur.steps.session import Session

MAX_MEASURED = 20
"""Ended reviews of a kind that are looked at when another is opened."""
_OPEN = tuple(state.value for state in OPEN)
_APPROVED = frozenset({ReviewState.APPROVED, ReviewState.RESERVED, ReviewState.EXECUTED})
_reviews = msgspec.msgpack.Decoder(Review)


class Kind(msgspec.Struct, frozen=True):
    """What the last ended reviews of one kind tell: how long they took, and for whom they were approved."""

    service: Service | None
    past: tuple[Past, ...]


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


def look(session: Session, topic: bytes) -> Kind:
    """What is known of reviews of this kind: a bounded read, whatever the ledger holds."""
    rows = session.tx.ended_reviews(topic, limit=MAX_MEASURED)
    ended = [_reviews.decode(row.body) for row in rows]
    served = [Served(item.opened_at, item.rulings[-1].at) for item in ended if item.rulings]
    past = tuple(Past(item.asked_by, item.state in _APPROVED) for item in ended)
    return Kind(timing.measure(session.active.policies.desk, served, session.world.zones.offset), past)
