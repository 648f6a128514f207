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


def listed(
    committed: Committed,
    written: Mapping[str, ReviewRow],
    states: tuple[str, ...],
    limit: int,
    after: tuple[Timestamp, str],
) -> tuple[ReviewRow, ...]:
    """The reviews in these states after this deadline and id, by deadline, then id."""
    wanted = max(0, min(limit, MAX_INT))
    # Each row written here can displace at most one of those stored.
    rows = committed.list_reviews(tuple(dict.fromkeys(states)), wanted + len(written), after)
    first = after[0].nanos, after[1]
    merged = [row for row in rows if row.id not in written]
    merged += [row for row in written.values() if row.state in states and by_urgency(row) > first]
    return tuple(sorted(merged, key=by_urgency)[:wanted])


def ended(
    committed: Committed, written: Mapping[str, ReviewRow], topic: bytes, limit: int, states: tuple[str, ...]
) -> tuple[ReviewRow, ...]:
    """The reviews of this topic in these states, newest first."""
    wanted = max(0, min(limit, MAX_INT))
    rows = committed.ended_reviews(topic, wanted + len(written), tuple(dict.fromkeys(states)))
    merged = [row for row in rows if row.id not in written]
    merged += [row for row in written.values() if row.topic == topic and row.state in states]
    return tuple(sorted(merged, key=by_age, reverse=True)[:wanted])


def count(committed: Committed, written: Mapping[str, ReviewRow], states: tuple[str, ...]) -> int:
    """How many reviews are in these states."""
    stored = committed.count_reviews(tuple(dict.fromkeys(states)))
    for row in written.values():
        before = committed.find_review(row.id)
        stored += (row.state in states) - (before is not None and before.state in states)
    return stored
