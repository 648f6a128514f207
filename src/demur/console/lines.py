"""What waits, as the queue shows it: filtered, counted, in order, a page at a time.

- Every open review of a tenant is read, so that counts are true. Bodies that have not changed are not decoded again,
  and nothing at all is read where the ledger has not grown.
- A page begins after the last line of the one before it (keyset), so that lines that come and go shift nothing.
- What a line tells of the action is unsealed for the lines shown alone, and not remembered.

Clauses: S5.5, S7.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from demur.core.review import OPEN, Review, ReviewState
from demur.core.terms import Timestamp
from demur.errors import IntakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from starlette.datastructures import QueryParams

    from demur.ports import ReviewRow as Row
    from demur.ports import Store, Transaction

CHUNK = 1_000
MAX_READ = 20_000
"""Open reviews of one tenant that are read; what lies beyond has later deadlines and is told as such."""
SHOWN = 50
MAX_TEXT = 64
SOON_SECONDS = 7_200
ENDED_SECONDS = 7 * 86_400
RISKS = ("critical", "high", "medium", "low")
STATES = ("open", "pending", "assigned", "ended")
WHO = ("", "decide", "mine", "nobody")
SORTS = ("deadline", "risk", "newest")
_ENDED = tuple(state.value for state in ReviewState if not state.is_open)
_OPEN = tuple(state.value for state in OPEN)
_reviews = msgspec.msgpack.Decoder(Review)


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


@dataclass(slots=True)
class _Kept:
    size: int = -1
    bodies: dict[str, tuple[bytes, Review]] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()


class Lines:
    """The open reviews of every tenant, as they were read last. Safe to use from any thread."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def open(self, store: Store) -> tuple[Review, ...]:
        """Those of one log, the earliest deadline first; raises `StoreError`."""
        return store.read(lambda tx: self._read(store.log, tx))

    def _read(self, log: str, tx: Transaction) -> tuple[Review, ...]:
        before, size = self._kept.get(log, _Kept()), tx.head.size
        if before.size == size:
            return before.reviews
        bodies: dict[str, tuple[bytes, Review]] = {}
        for row in rows(tx, _OPEN, MAX_READ):
            known = before.bodies.get(row.id)
            bodies[row.id] = known if known and known[0] == row.body else (row.body, _reviews.decode(row.body))
        fresh = _Kept(size, bodies, tuple(review for _, review in bodies.values()))
        self._kept[log] = fresh
        return fresh.reviews


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
    facets: dict[str, Counter[str]] = {"risk": Counter(), "role": Counter(), "action": Counter(), "who": Counter()}
    facets |= {"due": Counter(), "state": Counter()}
    fitting: list[tuple[tuple[int, ...], str, Review]] = []
    is_overdue = False
    for review in reviews:
        state = review.state_at(now)
        if review.state.is_open and not state.is_open:
            is_overdue = True
            continue
        if wanted.text and wanted.text not in review.id:
            continue
        values = _values(review, state, me, now)
        missed = [name for name, fits in _checks(values, wanted) if not fits]
        if not missed:
            fitting.append((_order(review, wanted.sort), review.id, review))
        for name, counted in facets.items():
            if not missed or missed == [name]:
                counted.update(values[name])
    fitting.sort(key=lambda item: item[:2])
    rest = [item for item in fitting if not wanted.after or item[:2] > (wanted.after, wanted.after_id)]
    page = rest[:SHOWN]
    place = f"{'.'.join(map(str, page[-1][0]))}_{page[-1][1]}" if len(rest) > SHOWN else ""
    return Found(
        page=tuple(review for _, _, review in page),
        total=len(fitting),
        next_place=place,
        is_cut=len(reviews) >= MAX_READ,
        facets=facets,
        is_overdue=is_overdue,
    )


def without_place(wanted: Wanted) -> Wanted:
    """The same from the first line on."""
    return replace(wanted, after=(), after_id="")


def _values(review: Review, state: ReviewState, me: Me, now: Timestamp) -> dict[str, tuple[str, ...]]:
    roles = tuple(dict.fromkeys(panel.role for panel in review.panels))
    holder = review.holder_at(now)
    who = ["mine"] if holder == me.pseudonym else [] if holder else ["nobody"]
    if not me.roles.isdisjoint(roles) and not any(me.pseudonym in ruling.people for ruling in review.rulings):
        who.append("decide")
    is_soon = review.deadline.nanos - now.nanos < SOON_SECONDS * 10**9
    return {
        "risk": (review.risk,),
        "role": roles,
        "action": (review.action,),
        "who": tuple(who),
        "due": ("soon",) if is_soon else (),
        "state": ("open", "assigned" if state is ReviewState.ASSIGNED else "pending") if state.is_open else ("ended",),
    }


def _checks(values: Mapping[str, tuple[str, ...]], wanted: Wanted) -> Iterable[tuple[str, bool]]:
    yield "risk", not wanted.risks or values["risk"][0] in wanted.risks
    yield "role", not wanted.role or wanted.role in values["role"]
    yield "action", not wanted.action or wanted.action in values["action"]
    yield "who", not wanted.who or wanted.who in values["who"]
    yield "due", not wanted.due or wanted.due in values["due"]
    yield "state", wanted.state in values["state"]


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
