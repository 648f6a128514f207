"""Look for decisions in the ledger, the newest first, and count what was decided. Bounded work for each call.

- A call reads at most `MAX_READ` records and says from where to where it looked; the next call goes on below that.
  What is asked of a ledger of a million records costs as much as of a thousand.
- A span of time is found by halving, since the times of records never run backwards.
- Only what records say is compared: tokens, categories and pseudonyms. Nothing is unsealed.

Clauses: S5.4.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from demur.core.terms import Category, Outcome, Timestamp, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.ports import Store, StoredRecord, Transaction

MAX_READ = 20_000
CHUNK = 1_000
_IS_DECISION = b'"type":"decision"'


class _Entity(msgspec.Struct, frozen=True):
    subject: str = ""
    actor: str = ""
    caller: str = ""


class _Intent(msgspec.Struct, frozen=True):
    action: str = ""


class _Rules(msgspec.Struct, frozen=True):
    count: int = 0
    determining: tuple[str, ...] = ()


class Leaf(msgspec.Struct, frozen=True):
    """What a record of a decision says, as far as lists of decisions show it."""

    sequence: int
    timestamp: str
    outcome: str = ""
    refusal_category: str = ""
    triggering_policy: str = ""
    action_intent: _Intent = _Intent()
    requesting_entity: _Entity = _Entity()
    policies_evaluated: _Rules = _Rules()
    review: str = ""
    grant: str = ""

    @property
    def at(self) -> Timestamp:
        """When it was decided."""
        return parse_timestamp(self.timestamp)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions; "" and empty mean any. `subjects` are pseudonyms: one person may have had several keys."""

    outcome: str = ""
    category: str = ""
    action: str = ""
    rule: str = ""
    subjects: frozenset[str] | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None

    @property
    def marks(self) -> tuple[bytes, ...]:
        """What the leaf of each such decision holds, as canonical JSON writes it: seen without reading the leaf."""
        members = (("outcome", self.outcome), ("refusal_category", self.category), ("action", self.action))
        marks = [f'"{name}":"{text}"' for name, text in members if text]
        return tuple(
            mark.encode("utf-8", "replace") for mark in (*marks, f'"{self.rule}"' if self.rule else "") if mark
        )

    def fits(self, leaf: Leaf) -> bool:
        """Whether a decision is one of those, times aside."""
        return (
            (not self.outcome or leaf.outcome == self.outcome)
            and (not self.category or leaf.refusal_category == self.category)
            and (not self.action or leaf.action_intent.action == self.action)
            and (not self.rule or self.rule in leaf.policies_evaluated.determining)
            and (self.subjects is None or leaf.requesting_entity.subject in self.subjects)
        )


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions, the newest first. `first` to `last` are the records that were looked at, both included.

    `before` is where the next page begins, 0 where there is nothing below. `first` is above `last` where nothing was
    looked at.
    """

    found: tuple[Leaf, ...]
    first: int
    last: int
    before: int
    size: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided in a span of time. `is_whole` is false where the newest records filled what may be read."""

    since: Timestamp
    until: Timestamp
    read: int
    is_whole: bool
    outcomes: dict[str, int]
    bars: tuple[dict[str, int], ...]
    """The span in equal parts, the oldest first: how many were refused or deferred in each, by category."""
    refused: tuple[tuple[str, str, str, int], ...]
    """Action, category and rule of what is refused most, and how often."""


_leaves = msgspec.json.Decoder(Leaf)
MOST_REFUSED = 8


def search(store: Store, wanted: Wanted, *, before: int | None = None, most: int = 25) -> Page:
    """The newest decisions below record `before` that are wanted, at most `most`; raises `StoreError`."""
    size, low, high = store.read(lambda tx: (tx.head.size, *_bounds(tx, wanted)))
    end = high if before is None else min(before, high)
    found: list[Leaf] = []
    place = end
    marks = (_IS_DECISION, *wanted.marks)
    for record in _records_downwards(store, max(low, end - MAX_READ), end):
        place = record.sequence
        if all(mark in record.leaf for mark in marks) and wanted.fits(leaf := _leaves.decode(record.leaf)):
            found.append(leaf)
        if len(found) == most:
            break
    else:
        place = max(low, end - MAX_READ)
    return Page(found=tuple(found), first=min(place, end), last=end - 1, before=place if place > low else 0, size=size)


class Happened(msgspec.Struct, frozen=True):
    """A record of another kind: what it is, when it was, of which policies and by whom."""

    sequence: int
    type: str
    timestamp: str
    policy_version: str = ""
    operator: str = ""
    author: str = ""

    @property
    def at(self) -> Timestamp:
        """When it happened."""
        return parse_timestamp(self.timestamp)


_happened = msgspec.json.Decoder(Happened)


def history(store: Store, kinds: frozenset[str], *, most: int = 50) -> tuple[tuple[Happened, ...], int]:
    """The newest records of these types, the newest first, and the lowest number that was looked at."""
    size = store.read(lambda tx: tx.head.size)
    marks = tuple(f'"type":"{kind}"'.encode() for kind in sorted(kinds))
    found: list[Happened] = []
    lowest = max(0, size - MAX_READ)
    for record in _records_downwards(store, lowest, size):
        if any(mark in record.leaf for mark in marks):
            one = _happened.decode(record.leaf)
            found += [one] if one.type in kinds else []
        if len(found) == most:
            return tuple(found), record.sequence
    return tuple(found), lowest


def sum_up(store: Store, *, since: Timestamp, until: Timestamp, parts: int) -> Summary:
    """What was decided between two instants, in so many equal parts; raises `StoreError`."""
    width = max(1, (until.nanos - since.nanos) // parts)
    edges = [Timestamp(since.nanos + width * number) for number in range(1, parts)]
    low, high = store.read(lambda tx: _bounds(tx, Wanted(since=since, until=until)))
    # Where each part begins is found by halving: to read the time of every record would cost more than all the rest.
    begins = store.read(lambda tx: [_first_at(tx, edge, high) for edge in edges])
    first = max(low, high - MAX_READ)
    outcomes: Counter[str] = Counter()
    refused: Counter[tuple[str, str, str]] = Counter()
    bars: list[Counter[str]] = [Counter() for _ in range(parts)]
    for record in _records_downwards(store, first, high):
        if _IS_DECISION not in record.leaf:
            continue
        leaf = _leaves.decode(record.leaf)
        outcomes[leaf.outcome] += 1
        if leaf.outcome != Outcome.ALLOW:
            bars[bisect_right(begins, record.sequence)][leaf.refusal_category] += 1
            refused[leaf.action_intent.action, leaf.refusal_category, leaf.triggering_policy] += 1
    return Summary(
        since=since,
        until=until,
        read=high - first,
        is_whole=first == low,
        outcomes={str(one): outcomes[one] for one in Outcome},
        bars=tuple({str(one): bar[one] for one in Category if bar[one]} for bar in bars),
        refused=tuple((*what, count) for what, count in refused.most_common(MOST_REFUSED)),
    )


def _records_downwards(store: Store, first: int, end: int) -> Iterator[StoredRecord]:
    while end > first:
        begin = max(first, end - CHUNK)
        yield from reversed(list(store.records(begin, end)))
        end = begin


def _bounds(tx: Transaction, wanted: Wanted) -> tuple[int, int]:
    """The first record at or after `since`, and the first one after `until`."""
    size = tx.head.size
    low = 0 if wanted.since is None else _first_at(tx, wanted.since, size)
    high = size if wanted.until is None else _first_at(tx, Timestamp(wanted.until.nanos + 1), size)
    return low, max(low, high)


def _first_at(tx: Transaction, instant: Timestamp, size: int) -> int:
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        record = tx.find_record(middle)
        if record is not None and parse_timestamp(_times.decode(record.leaf).timestamp) < instant:
            low = middle + 1
        else:
            high = middle
    return low


class _Time(msgspec.Struct):
    timestamp: str


_times = msgspec.json.Decoder(_Time)
