"""What time does to reviews: they expire, are given back, go to other people, and are assigned by the desk.

1. `look` finds, without the append lock, what is due. Mostly that is nothing, and then nothing more happens.
2. `route_due` does it under the lock, each part a record, and looks again at each review first: of several replicas,
   and after a restart, one does it and the others find it done.

- A level of escalation is reached when the review has waited for its time; missed levels are passed over, so that the
  last one that is due decides. Each rule of a review has levels of its own; their numbers count the instants at which
  any of them goes on.
- Where the desk assigns, whoever held a review last is asked again only where nobody else may decide.
- Where nobody may decide, nothing is assigned. The review escalates where the policies say so, and is denied by
  silence at its deadline (S7.3).

Clauses: S7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from demur.core.desk import rota, routing
from demur.core.desk.plan import Assignment
from demur.core.review import Review, ReviewState
from demur.errors import RulingError
from demur.steps import assigning, queue, ruling
from demur.steps.assigning import Somebody

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from demur.core.desk.routing import Ask, Colleague
    from demur.core.panel import Panel
    from demur.core.terms import Timestamp
    from demur.ports import ReviewRow
    from demur.steps.session import Session

MAX_PICKED = 100
"""Reviews to which the desk assigns somebody in one go."""


@dataclass(frozen=True, slots=True)
class Due:
    """What one look found: reviews whose time came, and whom each of others is to be given to."""

    ripe: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()
    """Id of the review and name of the person."""

    def __bool__(self) -> bool:
        return bool(self.ripe or self.given)


class Moved(NamedTuple):
    """What time did to a review: `expired`, `released`, `escalated` or `assigned`, and the review after it."""

    what: str
    review: Review


@dataclass(slots=True)
class Router:
    """One gate's looking. It remembers for which reviews there was nobody, until people or the review change."""

    people: tuple[Colleague, ...] = ()
    nobody: set[tuple[str, int, int]] = field(default_factory=set)

    def look(self, session: Session, people: Sequence[Colleague]) -> Due:
        """What is due at this instant; reads, and writes nothing."""
        if tuple(people) != self.people:
            self.people = tuple(people)
            self.nobody.clear()
        now, loads = session.tx.now, dict[str, int]()
        ripe: list[str] = []
        free: list[tuple[ReviewRow, Review]] = []
        for row, review in queue.open_reviews(session.tx):
            if review.state_at(now) is ReviewState.EXPIRED or review.is_lapsed(now) or _reached(review, now):
                ripe.append(row.id)
            elif holder := review.holder_at(now):
                loads[holder] = loads.get(holder, 0) + 1
            elif not review.opened_by and len(free) < MAX_PICKED and _mark(review) not in self.nobody:
                free.append((row, review))
        if session.active.policies.desk.assign is not Assignment.AUTOMATIC:
            free = []
        return Due(tuple(ripe), tuple(self._pick(session, free, loads)))

    def _pick(
        self, session: Session, free: Sequence[tuple[ReviewRow, Review]], loads: Mapping[str, int]
    ) -> Iterator[tuple[str, str]]:
        """Whom each of these is to be given to; whoever gets one is asked for the next ones later."""
        marks = {one.name: ruling.pseudonym(session.world, one.name) for one in (self.people if free else ())}
        held = {name: loads.get(mark, 0) for name, mark in marks.items()}
        for row, review in free:
            found = pick(session, row, review, _loaded(self.people, held), marks)
            if found is None:
                self.nobody.add(_mark(review))
            else:
                held[found.name] += 1
                yield row.id, found.name


def route_due(session: Session, due: Due, people: Sequence[Colleague]) -> tuple[Moved, ...]:
    """Do what is due, as far as it still is; what was done, in order."""
    moved: list[Moved] = []
    for review_id in due.ripe:
        moved.extend(_ripe(session, review_id, people))
    by_name = {one.name: one for one in people}
    for review_id, name in due.given:
        row = session.tx.find_review(review_id)
        if name in by_name and row is not None and not ruling.decode(row).holder_at(session.tx.now):
            moved.extend(_give(session, review_id, by_name[name]))
    return tuple(moved)


def pick(
    session: Session,
    row: ReviewRow,
    review: Review,
    people: Sequence[Colleague],
    marks: Mapping[str, str],
    *,
    but: str = "",
) -> Colleague | None:
    """Whom the desk asks; `marks` are their pseudonyms, `but` that of whoever is asked only where nobody else is."""
    try:
        barred = set(ruling.barred(session.world, session.tx, row))
    except RulingError:
        return None  # Whoever it is for was erased, so nobody may rule.
    ruled = frozenset().union(*(one.people for one in review.rulings)) | {review.opened_by}
    barred.update(name for name, mark in marks.items() if mark in ruled)
    asks = [_ask(session, panel) for panel in review.panels if not _is_met(panel, review)]
    last = {name for name, mark in marks.items() if but and mark == but}
    found = routing.pick(review.id, asks, people, barred=barred | last)
    return found or routing.pick(review.id, asks, people, barred=barred)


def _ripe(session: Session, review_id: str, people: Sequence[Colleague]) -> Iterator[Moved]:
    """One review whose time came: expired, given back, put before others, given to somebody else."""
    tx = session.tx
    row = tx.find_review(review_id)
    if row is None or not (before := ruling.decode(row)).state.is_open:
        return
    found = ruling.find_open(session, review_id)
    if isinstance(found, RulingError):
        ended = tx.find_review(review_id)
        if ended is not None:
            yield Moved("expired", ruling.decode(ended))
        return
    row, review = found
    level = _reached(review, tx.now)
    if level:
        panels = [_escalated(panel, tx.now, review.opened_at) for panel in review.panels]
        yield Moved("escalated", assigning.escalate(session, row, panels, level, "time"))
    elif before.holder and not review.holder:
        yield Moved("released", review)
        yield from _give_on(session, row, review, people, before.holder)


def _give_on(
    session: Session, row: ReviewRow, review: Review, people: Sequence[Colleague], last: str
) -> Iterator[Moved]:
    if session.active.policies.desk.assign is not Assignment.AUTOMATIC:
        return
    marks = {one.name: ruling.pseudonym(session.world, one.name) for one in people}
    found = pick(session, row, review, people, marks, but=last)
    if found is not None:
        yield from _give(session, row.id, found)


def _give(session: Session, review_id: str, person: Colleague) -> Iterator[Moved]:
    known = session.world.reviewers.named(person.name)
    seconds = session.active.policies.desk.lease_seconds
    given = None if known is None else assigning.route(session, Somebody(known), review_id, seconds)
    if isinstance(given, Review):
        yield Moved("assigned", given)


def _reached(review: Review, now: Timestamp) -> int:
    """The number of the level that is due, 0 where the review is on it already."""
    instants = sorted({level.after for panel in review.panels for level in panel.levels})
    number = sum(1 for after in instants if now >= review.opened_at.plus(after))
    return number if number > review.level else 0


def _escalated(panel: Panel, now: Timestamp, opened_at: Timestamp) -> Panel:
    """Who decides for one rule from now on: whoever its last level names that is due."""
    due = [level for level in panel.levels if now >= opened_at.plus(level.after)]
    if not due:
        return panel
    return msgspec.structs.replace(panel, role=due[-1].role, group=due[-1].group, rota=due[-1].rota)


def _ask(session: Session, panel: Panel) -> Ask:
    known = session.active.policies.desk.rotas.get(panel.rota)
    duty = None if known is None else rota.on_duty(known, session.tx.now, session.world.zones.offset)
    return routing.Ask(role=panel.role, group=panel.group, language=panel.language, on_duty=duty)


def _is_met(panel: Panel, review: Review) -> bool:
    return sum(panel.admits(ruling.roles) for ruling in review.rulings) >= panel.quorum


def _mark(review: Review) -> tuple[str, int, int]:
    return review.id, review.level, len(review.rulings)


def _loaded(people: Collection[Colleague], held: Mapping[str, int]) -> list[Colleague]:
    return [msgspec.structs.replace(one, load=held.get(one.name, 0)) for one in people]
