"""Lists of reviews as a work sees them: what its group wrote, over what the store has committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.adapters.writes import by_age, by_urgency
from demur.core.terms import MAX_INT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.adapters.committed import Committed
    from demur.core.terms import Timestamp
    from demur.ports import ReviewRow


def matching(committed: Committed, written: Mapping[str, ReviewRow], match: bytes) -> tuple[ReviewRow, ...]:
    """The reviews with this match, oldest first."""
    rows = committed.matching_reviews(match)
    if not written:
        return rows
    merged = [row for row in rows if row.id not in written]
    merged += [row for row in written.values() if row.match == match]
    return tuple(sorted(merged, key=by_age))


class Stored:
    """What the store has committed of reviews. It stays as it is while a group runs, so each answer is found once:
    a group of many works that each open a review and count the queue would otherwise look at all of it every time.
    """

    __slots__ = ("_committed", "_counts", "_states")

    def __init__(self, committed: Committed) -> None:
        self._committed = committed
        self._counts: dict[tuple[str, ...], int] = {}
        self._states: dict[str, str] = {}

    @property
    def committed(self) -> Committed:
        """The store itself."""
        return self._committed

    def state(self, review_id: str) -> str:
        """The state of a review as stored, "" for one that is not."""
        if review_id not in self._states:
            row = self._committed.find_review(review_id)
            self._states[review_id] = row.state if row is not None else ""
        return self._states[review_id]

    def count(self, states: tuple[str, ...]) -> int:
        """How many are stored in these states."""
        if states not in self._counts:
            self._counts[states] = self._committed.count_reviews(states)
        return self._counts[states]

    def displaced(self, written: Mapping[str, ReviewRow], states: tuple[str, ...]) -> int:
        """How many of those stored in these states a group has written anew."""
        return sum(1 for review_id in written if self.state(review_id) in states)


def listed(
    stored: Stored,
    written: Mapping[str, ReviewRow],
    states: tuple[str, ...],
    limit: int,
    after: tuple[Timestamp, str],
) -> tuple[ReviewRow, ...]:
    """The reviews in these states after this deadline and id, by deadline, then id."""
    wanted, once = max(0, min(limit, MAX_INT)), tuple(dict.fromkeys(states))
    rows = stored.committed.list_reviews(once, wanted + stored.displaced(written, once), after)
    first = after[0].nanos, after[1]
    merged = [row for row in rows if row.id not in written]
    merged += [row for row in written.values() if row.state in states and by_urgency(row) > first]
    return tuple(sorted(merged, key=by_urgency)[:wanted])


def ended(
    stored: Stored, written: Mapping[str, ReviewRow], topic: bytes, limit: int, states: tuple[str, ...]
) -> tuple[ReviewRow, ...]:
    """The reviews of this topic in these states, newest first."""
    wanted, once = max(0, min(limit, MAX_INT)), tuple(dict.fromkeys(states))
    rows = stored.committed.ended_reviews(topic, wanted + stored.displaced(written, once), once)
    merged = [row for row in rows if row.id not in written]
    merged += [row for row in written.values() if row.topic == topic and row.state in states]
    return tuple(sorted(merged, key=by_age, reverse=True)[:wanted])


def count(stored: Stored, written: Mapping[str, ReviewRow], states: tuple[str, ...]) -> int:
    """How many reviews are in these states."""
    once = tuple(dict.fromkeys(states))
    now = sum(1 for row in written.values() if row.state in once)
    return stored.count(once) - stored.displaced(written, once) + now
