"""What waits, as the queue shows it: filtered, counted, in order, a page at a time.

- Every open review of a log is known, so that counts are true. After the first look only those are read that records
  since then name: no review changes without a record.
- A page begins after the last line of the one before it (keyset), so that lines that come and go shift nothing.
- What a line tells of the action is unsealed for the lines shown alone, and not remembered.

Clauses: S5.5, S7.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from demur.core.review import OPEN, Review, ReviewState
from demur.core.terms import Timestamp
from demur.errors import IntakeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams

    from demur.ports import ReviewRow as Row
    from demur.ports import Store, Transaction

CHUNK = 1_000
MAX_READ = 20_000
"""Open reviews of one tenant that are read; what lies beyond has later deadlines and is told as such."""
MAX_STEPS = 5_000
"""Records since the last look that are looked through for what has changed; after more, everything is read again."""
SHOWN = 50
MAX_TEXT = 64
SOON_SECONDS = 7_200
ENDED_SECONDS = 7 * 86_400
RISKS = ("critical", "high", "medium", "low")
STATES = ("open", "pending", "assigned", "ended")
WHO = ("", "decide", "mine", "nobody")
FACETS = ("risk", "role", "action", "who", "due", "state")
SORTS = ("deadline", "risk", "newest")
_ENDED = tuple(state.value for state in ReviewState if not state.is_open)
_OPEN = tuple(state.value for state in OPEN)
_NAMES = b'"review":'
_reviews = msgspec.msgpack.Decoder(Review)


class _Leaf(msgspec.Struct):
    review: str = ""


_leaves = msgspec.json.Decoder(_Leaf)


@dataclass(frozen=True, slots=True)
class Me:
    """Whoever looks: by pseudonym, with the review roles that they hold or were lent."""

    pseudonym: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines somebody wants to see, as the address of the page says."""

    state: str = "open"
    risks: frozenset[str] = frozenset()
    role: str = ""
    action: str = ""
    who: str = ""
    due: str = ""
    text: str = ""
    sort: str = "deadline"
    after: tuple[int, ...] = ()
    after_id: str = ""

    @classmethod
    def read(cls, query: QueryParams) -> Wanted:
        """From the query of an address; raises `IntakeError`."""
        after, _, after_id = query.get("after", "").partition("_")
        if (
            not all(part.isdecimal() and len(part) < 20 for part in after.split(".") if after)
            or len(after_id) > MAX_TEXT
        ):
            raise IntakeError("?after", expected="where a page of this list ended", found=f"`{after[:40]}`")
        return cls(
            state=_one(query, "state", STATES) or "open",
            risks=frozenset(_known("risk", text, RISKS) for text in query.getlist("risk") if text),
            role=query.get("role", "")[:200],
            action=query.get("action", "")[:200],
            who=_one(query, "who", WHO),
            due=_one(query, "due", ("", "soon")),
            text=query.get("q", "").strip()[:MAX_TEXT],
            sort=_one(query, "sort", SORTS) or "deadline",
            after=tuple(int(part) for part in after.split(".") if part),
            after_id=after_id,
        )

    @property
    def chosen(self) -> list[tuple[str, frozenset[str]]]:
        """The filters in use, each with what may stand there."""
        one = {"role": self.role, "action": self.action, "who": self.who, "due": self.due, "state": self.state}
        told = [("risk", self.risks), *((name, frozenset({text} - {""})) for name, text in one.items())]
        return [(name, texts) for name, texts in told if texts]

    def query(self) -> list[tuple[str, str]]:
        """The query that asks for this, without the place where a page begins."""
        told = [("state", "" if self.state == "open" else self.state), *(("risk", one) for one in sorted(self.risks))]
        told += [("role", self.role), ("action", self.action), ("who", self.who), ("due", self.due), ("q", self.text)]
        told += [("sort", "" if self.sort == "deadline" else self.sort)]
        return [(name, text) for name, text in told if text]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of the lines wanted, how many there are, and how many there were with another choice of one filter."""

    page: tuple[Review, ...]
    total: int
    next_place: str
    is_cut: bool
    facets: Mapping[str, Counter[str]] = field(default_factory=dict)
    is_overdue: bool = False
    """Whether one was seen whose expiry is not recorded yet."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The open reviews when the ledger had this size, the earliest deadline first, and when all of them were read."""

    size: int = -1
    reviews: tuple[Review, ...] = ()


class Lines:
    """The open reviews of every log, as they were read last. Safe to use from any thread."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def open(self, store: Store) -> tuple[Review, ...]:
        """Those of one log, the earliest deadline first; raises `StoreError`."""
        before = self._kept.get(store.log, _Kept())
        kept = store.read(lambda tx: _read(store, tx, before))
        self._kept[store.log] = kept
        return kept.reviews


def _read(store: Store, tx: Transaction, before: _Kept) -> _Kept:
    """What is open now. Every change of a review is a record that names it, so those records say what to read again."""
    size = tx.head.size
    if before.size == size:
        return before
    if not 0 <= before.size < size <= before.size + MAX_STEPS or len(before.reviews) >= MAX_READ:
        return _Kept(size, tuple(_reviews.decode(row.body) for row in rows(tx, _OPEN, MAX_READ)))
    named = {_leaves.decode(record.leaf).review for record in store.records(before.size, size) if _NAMES in record.leaf}
    left = [review for review in before.reviews if review.id not in named]
    found = [row for row in map(tx.find_review, sorted(named - {""})) if row is not None and row.state in _OPEN]
    left.extend(_reviews.decode(row.body) for row in found)
    left.sort(key=_place)
    return _Kept(size, tuple(left))


def _place(review: Review) -> tuple[int, str]:
    return (review.deadline.nanos, review.id)


def rows(tx: Transaction, states: tuple[str, ...], most: int, after: tuple[Timestamp, str] | None = None) -> list[Row]:
    """The rows in these states by deadline, chunk by chunk, at most so many."""
    found: list[Row] = []
    while len(found) < most:
        chunk = tx.list_reviews(states=states, limit=CHUNK, after=after)
        found.extend(chunk)
        if len(chunk) < CHUNK:
            break
        after = (chunk[-1].deadline, chunk[-1].id)
    return found


def ended(store: Store, now: Timestamp) -> tuple[Review, ...]:
    """Reviews that wait no more, whose deadline is not more than a week ago; raises `StoreError`."""
    since = Timestamp(now.nanos - ENDED_SECONDS * 10**9)
    found = store.read(lambda tx: rows(tx, _ENDED, MAX_READ, (since, "")))
    return tuple(_reviews.decode(row.body) for row in found)


def find(reviews: Sequence[Review], wanted: Wanted, me: Me, now: Timestamp) -> Found:
    """The page that is wanted, with counts."""
    counted: dict[str, list[str]] = {name: [] for name in FACETS}
    fitting: list[tuple[tuple[int, ...], str, Review]] = []
    is_overdue, filters = False, wanted.chosen
    for review in reviews:
        if review.state in OPEN and review.deadline.nanos <= now.nanos:
            is_overdue = True
            continue
        if wanted.text and wanted.text not in review.id:
            continue
        values = _values(review, me, now)
        missed = [name for name, chosen in filters if chosen.isdisjoint(values[name])]
        if not missed:
            fitting.append((_order(review, wanted.sort), review.id, review))
            for name, found in counted.items():
                found.extend(values[name])
        elif len(missed) == 1:
            counted[missed[0]].extend(values[missed[0]])
    fitting.sort(key=_first_two)
    rest = [item for item in fitting if not wanted.after or item[:2] > (wanted.after, wanted.after_id)]
    page = rest[:SHOWN]
    place = f"{'.'.join(map(str, page[-1][0]))}_{page[-1][1]}" if len(rest) > SHOWN else ""
    return Found(
        page=tuple(review for _, _, review in page),
        total=len(fitting),
        next_place=place,
        is_cut=len(reviews) >= MAX_READ,
        facets={name: Counter(found) for name, found in counted.items()},
        is_overdue=is_overdue,
    )


_first_two = itemgetter(0, 1)


def without_place(wanted: Wanted) -> Wanted:
    """The same from the first line on."""
    return replace(wanted, after=(), after_id="")


def _values(review: Review, me: Me, now: Timestamp) -> dict[str, tuple[str, ...]]:
    """What the filters look at, by filter."""
    roles = tuple({panel.role: None for panel in review.panels})
    is_held = review.state is ReviewState.ASSIGNED and (review.held_until is None or review.held_until > now)
    who: tuple[str, ...] = () if is_held else ("nobody",)
    if is_held and review.holder == me.pseudonym:
        who = ("mine",)
    if not me.roles.isdisjoint(roles) and not any(me.pseudonym in ruling.people for ruling in review.rulings):
        who = (*who, "decide")
    return {
        "risk": (review.risk,),
        "role": roles,
        "action": (review.action,),
        "who": who,
        "due": ("soon",) if review.deadline.nanos - now.nanos < SOON_SECONDS * 10**9 else (),
        "state": _ENDED_TOLD if review.state not in OPEN else _HELD_TOLD if is_held else _PENDING_TOLD,
    }


_PENDING_TOLD, _HELD_TOLD, _ENDED_TOLD = ("open", "pending"), ("open", "assigned"), ("ended",)


def _order(review: Review, sort: str) -> tuple[int, ...]:
    if sort == "risk":
        rank = RISKS.index(review.risk) if review.risk in RISKS else len(RISKS)
        return (rank, review.deadline.nanos)
    if sort == "newest":
        return (_FAR - review.opened_at.nanos,)
    return (review.deadline.nanos,)


_FAR = 2**63
"""Later than every instant, so that the newest is the least."""


def _one(query: QueryParams, name: str, known: Sequence[str]) -> str:
    text = query.get(name, "")
    return _known(name, text, known) if text else ""


def _known(name: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        wanted = ", ".join(f"`{one}`" for one in known if one)
        raise IntakeError(f"?{name}", expected=f"one of {wanted}", found=f"`{text[:40]}`")
    return text
