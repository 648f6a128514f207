"""The queue: what waits for people, filtered and counted, the earliest deadline first.

Clauses: S7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from demur.console import lines
from demur.console.lines import Me, Wanted
from demur.console.page import Page
from demur.core.access import Act
from demur.core.refusal import wanted as words_of
from demur.errors import LedgerError
from demur.steps import ruling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.core.review import Review
    from demur.ports import Transaction
    from demur.steps.world import World

VIEWS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("All open", {}),
    ("For me to decide", {"who": "decide"}),
    ("Held by me", {"who": "mine"}),
    ("Held by nobody", {"who": "nobody"}),
    ("Due within 2 hours", {"due": "soon"}),
    ("Ended", {"state": "ended", "sort": "newest"}),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One review as a line: the action in plain words, what it acts on, and who holds it."""

    review: Review
    state: str
    what: str
    on: str
    roles: tuple[tuple[str, int], ...]
    """Who is asked for, each role once, and how many of them."""
    holder: str
    is_mine: bool


class _Thing(msgspec.Struct):
    type: str = ""
    id: str = ""


class _Verb(msgspec.Struct):
    name: str = ""


class _Asked(msgspec.Struct):
    """As much of a sealed request as a line tells. The id of a resource is shown unless it is the subject's own."""

    action: _Verb
    resource: _Thing
    subject: _Thing


_asked = msgspec.json.Decoder(_Asked)


async def queue(visit: Visit) -> Response:
    """The reviews that wait, as the address wants them."""
    wanted = Wanted.read(visit.request.query_params)
    me = await visit.run(lambda: me_of(visit))
    found, shown = await visit.run(lambda: _look(visit, wanted, me))
    if found.is_overdue:
        await visit.run(lambda: visit.gate.reviews(limit=1))  # looking at the reviews records what is due (S7.3)
    query = wanted.query()
    return visit.show(
        "queue.html",
        wanted=wanted,
        found=found,
        lines=shown,
        views=[(title, urlencode(asked), dict(query) == dict(asked)) for title, asked in VIEWS],
        counts=_counts(found),
        is_filtered=bool(query),
        next_page=urlencode([*query, ("after", found.next_place)]) if found.next_place else "",
        first_page=urlencode(query) if wanted.after else None,
        query=urlencode(query),
        risks=lines.RISKS,
        may_rule=visit.may(Act.REVIEW_RULE),
        refresh=visit.request.url.path + (f"?{visit.request.url.query}" if visit.request.url.query else ""),
    )


def me_of(visit: Visit) -> Me:
    """Whoever looks, as the queue counts what is theirs."""
    world = visit.parts.world
    person = world.reviewers.identify(visit.credential) if visit.identity.is_person else None
    roles = person.roles if person else frozenset[str]()
    return Me(ruling.pseudonym(world, visit.identity.name), roles)


def lines_of(visit: Visit, reviews: Sequence[Review], me: Me) -> list[Line]:
    """These reviews as lines."""
    world = visit.parts.world
    return world.store.read(lambda tx: [_line(visit, world, tx, review, me) for review in reviews])


def _look(visit: Visit, wanted: Wanted, me: Me) -> tuple[lines.Found, list[Line]]:
    now, store = visit.service.clock.now(), visit.parts.world.store
    reviews = lines.ended(store, now) if wanted.state == "ended" else visit.lines.open(store)
    found = lines.find(reviews, wanted, me, now)
    return found, lines_of(visit, found.page, me)


def _line(visit: Visit, world: World, tx: Transaction, review: Review, me: Me) -> Line:
    now = visit.service.clock.now()
    asked = _opened(world, tx, review.id)
    schema = visit.gate.policies.schema
    action = review.action or (asked.action.name if asked else "")
    holder = review.holder_at(now)
    is_mine = bool(holder) and holder == me.pseudonym
    on = asked.resource if asked else _Thing(review.resource_type)
    is_person = asked is not None and asked.resource == asked.subject
    return Line(
        review=review,
        state=review.state_at(now).value,
        what=words_of(action, schema) if action else "an action that was erased",
        on=f"{on.type} {on.id}".strip() if not is_person else on.type,
        roles=_roles(review),
        holder="you" if is_mine else (_name(world, tx, review.holding) or "somebody") if holder else "",
        is_mine=is_mine,
    )


def _roles(review: Review) -> tuple[tuple[str, int], ...]:
    most: dict[str, int] = {}
    for panel in review.panels:
        most[panel.role] = max(panel.quorum, most.get(panel.role, 0))
    return tuple(most.items())


def _opened(world: World, tx: Transaction, review_id: str) -> _Asked | None:
    """What was asked for; `None` where that was erased."""
    row = tx.find_review(review_id)
    sealed = tx.find_sealed(row.sequence) if row else None
    try:
        return _asked.decode(world.vault.unseal(sealed)["request"]) if sealed else None
    except (LedgerError, KeyError, msgspec.DecodeError):
        return None


def _name(world: World, tx: Transaction, sequence: int) -> str:
    sealed = tx.find_sealed(sequence) if sequence else None
    try:
        fields = world.vault.unseal(sealed) if sealed else {}
    except LedgerError:
        return ""
    return (fields.get("about") or fields.get("reviewer") or b"").decode("utf-8", "replace")


def _counts(found: lines.Found) -> dict[str, list[tuple[str, int]]]:
    """The choices of the filters with how many lines each would show, the most first."""
    return {
        name: [(text, number) for text, number in counted.most_common(30) if text]
        for name, counted in found.facets.items()
    }


PAGES = (Page("/desk", Act.REVIEW_READ, queue, title="Queue", group="Desk"),)
