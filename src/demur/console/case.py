"""Everything about one review that somebody needs to decide it, read at one moment.

- Facts and rules are those of the decision that was deferred, judged again from what was kept with it (S3.7).
- What keeps this person from ruling is known before they try; whether they may is decided again when they do.
- Personal values stand masked, here and where precedents repeat them. What was erased is told as erased.

Clauses: S1.5, S3.7, S5.5, S7.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from demur.console import values
from demur.core import personal
from demur.core import review as reviews
from demur.core.panel import Authority
from demur.core.review import Review, ReviewState
from demur.errors import ForgottenError, LedgerError, RulingError
from demur.steps import delegating, explaining, ruling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demur.console.page import Visit
    from demur.console.values import Value
    from demur.core.delegation import Loan
    from demur.core.panel import Reviewer
    from demur.core.policy.explanation import RuleTruth
    from demur.ports import ReviewRow, Transaction
    from demur.steps.explaining import Opened
    from demur.steps.precedents import Precedent
    from demur.steps.revealing import Revealed
    from demur.steps.ruling import ReviewRequest
    from demur.steps.world import World

PRECEDENTS = 5
MAX_SCANNED = 3_000
"""Records after the opening that are looked through for what happened to a review."""
_ENDED = {
    ReviewState.SUPERSEDED: "The policies ask something else by now. Asked again, the action is judged by them.",
    ReviewState.EXPIRED: "Whoever asked can ask again.",
    ReviewState.CANCELLED: "Whoever asked has given it up.",
}
KNOWN_KINDS = {
    "decision": "Deferred",
    "glass_used": "Done behind broken glass",
    "access_requested": "Taken up by whoever asked",
    "review_assigned": "Taken or given to somebody",
    "review_released": "Given back",
    "review_escalated": "Put before other people",
    "review_ruled": "Ruled on",
    "review_expired": "Denied by silence",
    "review_cancelled": "Given up by whoever asked",
    "review_superseded": "Overtaken",
    "grant_redeemed": "Carried out",
}


class Event(msgspec.Struct, frozen=True):
    """A record about a review."""

    type: str
    timestamp: str = ""
    review: str = ""
    verdict: str = ""
    cause: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Objection:
    """Why this person cannot rule, in a sentence, and what else could be done."""

    why: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One review, as this person may see it and act on it."""

    request: ReviewRequest
    sequence: int
    opened: Opened | None
    gone: str
    """Why the values of the decision cannot be shown, "" where they can."""
    objection: Objection | None
    is_mine: bool
    events: tuple[Event, ...]
    said: tuple[tuple[str, str], ...]
    """What whoever asked said for the record, by name, without personal values of the request."""
    precedents: tuple[Precedent, ...]

    @property
    def review(self) -> Review:
        """The review itself."""
        return self.request.review

    @property
    def rules(self) -> list[RuleTruth]:
        """The rules that it was opened for, as they were judged."""
        asked = {panel.rule for panel in self.review.panels}
        return [one for one in self.opened.explanation.rules if one.rule.id in asked] if self.opened else []

    @property
    def other_rules(self) -> int:
        """How many other rules cover the action."""
        return len(self.opened.explanation.rules) - len(self.rules) if self.opened else 0

    @property
    def nearest(self) -> Precedent | None:
        """The approved precedent that is most alike."""
        return next((one for one in self.precedents if one.outcome.value == "approved"), None)


def read(visit: Visit, review_id: str, *, precedents: int = 0) -> Case | None:
    """The case, with at most so many precedents; `None` where there is no such review.

    Raises `StoreError` and `LedgerError`.
    """
    world, gate = visit.parts.world, visit.gate
    person = world.reviewers.identify(visit.credential) if visit.identity.is_person else None
    lent = delegating.loans(world, person) if person else ()
    alike = gate.precedents(review_id, limit=precedents)

    def query(tx: Transaction) -> Case | None:
        row = tx.find_review(review_id)
        request = ruling.read(tx, world.vault, gate.policies.schema, review_id) if row else None
        if row is None or request is None:
            return None
        opened, gone = _opened(world, tx, row.sequence)
        mine = ruling.pseudonym(world, visit.identity.name)
        events = _events(world, tx, row, request.review)
        return Case(
            request=request,
            sequence=row.sequence,
            opened=opened,
            gone=gone,
            objection=_objection(world, tx, row, request, person, lent),
            is_mine=request.review.holder_at(tx.now) == mine,
            events=events,
            said=_said(world, tx, events, opened),
            precedents=alike,
        )

    return world.store.read(query)


def arguments(case: Case, revealed: Revealed | None) -> list[dict[str, object]]:
    """Every argument as asked, beside that of the nearest approved precedent, with a word on how they differ."""
    opened, nearest = case.opened, case.nearest
    if opened is None:
        return []
    compared = {one.path: one for one in nearest.compared if one.path.startswith("action.")} if nearest else {}
    asked = {path: value for path, value in values.asked(opened, revealed) if path.startswith("action.")}
    found: list[dict[str, object]] = []
    for path in dict.fromkeys((*asked, *compared)):
        one = compared.get(path)
        found.append(
            {
                "name": path.removeprefix("action.").removeprefix("arguments."),
                "unit": values.unit(path, opened),
                "here": asked.get(path),
                "there": values.beside(path, one.there, opened) if one else None,
                "is_changed": one is not None and one.alike < 1,
                "words": one.words if one else "",
            }
        )
    return found


def who_asks(case: Case, revealed: Revealed | None) -> dict[str, Value]:
    """Who asks, for whom and on what, by path."""
    if case.opened is None:
        return {}
    return {path: value for path, value in values.asked(case.opened, revealed) if not path.startswith("action.")}


def quorum(case: Case) -> list[dict[str, object]]:
    """What each rule asks for, and how far that is."""
    return [
        {
            "panel": panel,
            "given": sum(panel.role in one.roles and one.verdict.value == "approve" for one in case.review.rulings),
        }
        for panel in case.review.panels
    ]


def neighbours(all_open: Sequence[Review], review: Review) -> tuple[str, str]:
    """The open reviews before and after this one by deadline, which need not be open itself; "" at the ends."""
    others = [one for one in all_open if one.id != review.id]
    at = bisect_left(others, (review.deadline.nanos, review.id), key=lambda one: (one.deadline.nanos, one.id))
    return others[at - 1].id if at else "", others[at].id if at < len(others) else ""


def _opened(world: World, tx: Transaction, sequence: int) -> tuple[Opened | None, str]:
    try:
        opened = explaining.open_decision(world, tx, sequence)
    except (ForgottenError, LedgerError) as error:
        return None, str(error)
    return opened, "" if opened else "this was granted behind broken glass and is looked at afterwards"


def _objection(
    world: World,
    tx: Transaction,
    row: ReviewRow,
    request: ReviewRequest,
    person: Reviewer | None,
    lent: Sequence[Loan],
) -> Objection | None:
    review = request.review
    if review.state_at(tx.now) is ReviewState.EXPIRED and review.state.is_open:
        return Objection(f"The deadline {review.deadline} has passed, so it is denied.", "Whoever asked can ask again.")
    if not request.state.is_open:
        return Objection(f"It is {request.state.value}; nothing is left to rule on.", _ENDED.get(request.state, ""))
    if person is None:
        return Objection("Only a person who logged in rules.")
    try:
        barred = ruling.barred(world, tx, row)
    except RulingError as error:
        return _told(error)
    first: Objection | None = None
    for who in _authorities(world, person, delegating.usable(tx, lent)):
        try:
            reviews.check_reviewer(review, who, barred)
        except RulingError as error:
            first = first or _told(error)
            continue
        holder = review.holder_at(tx.now)
        if not holder or holder in who.people:
            return None
        held = request.holder or "Somebody else"
        first = first or Objection(f"{held} holds it until {review.held_until}.", "It is free again from then on.")
    return first


def _authorities(world: World, person: Reviewer, lent: Sequence[Loan]) -> list[Authority]:
    """As whom this person could rule: in their own right, and in the place of whoever lent them a role."""
    own = Authority(name=person.name, pseudonym=ruling.pseudonym(world, person.name), roles=person.roles)
    return [own] + [
        msgspec.structs.replace(own, roles=one.roles, lender=one.lender, lender_pseudonym=one.pseudonym) for one in lent
    ]


def _told(error: RulingError) -> Objection:
    text = str(error).replace("`", "")
    return Objection(
        f"{text[:1].upper()}{text[1:]}.", f"{error.hint[:1].upper()}{error.hint[1:]}." if error.hint else ""
    )


def _events(world: World, tx: Transaction, row: ReviewRow, review: Review) -> tuple[Event, ...]:
    """What happened to it, in order: the records that it names itself, and those soon after its opening."""
    own = {row.sequence, review.holding, *(one.sequence for one in review.rulings)} - {0} | {row.sequence}
    last = min(tx.head.size, row.sequence + MAX_SCANNED)
    found: dict[int, Event] = {}
    for record in world.store.records(row.sequence, last):
        if row.id.encode() in record.leaf:
            found[record.sequence] = _event(record.leaf, record.sequence)
    for sequence in own - set(found):
        stored = tx.find_record(sequence)
        if stored is not None:
            found[sequence] = _event(stored.leaf, sequence)
    return tuple(found[sequence] for sequence in sorted(found) if found[sequence].type in KNOWN_KINDS)


def _event(leaf: bytes, sequence: int) -> Event:
    return msgspec.structs.replace(_events_decoder.decode(leaf), sequence=sequence)


def _said(world: World, tx: Transaction, events: Sequence[Event], opened: Opened | None) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for sequence in (event.sequence for event in events if event.type == "access_requested"):
        sealed = tx.find_sealed(sequence)
        try:
            document = msgspec.json.decode(world.vault.unseal(sealed)["said"]) if sealed else {}
        except (LedgerError, KeyError, msgspec.DecodeError):
            continue  # nothing was said, or it was erased
        if opened is not None:
            kept = opened.kept
            document = personal.masked(document, kept.request, opened.policies.schema, kept.learned)
        found.extend(_leaves(document))
    return tuple(dict.fromkeys(found))


def _leaves(document: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text and number of a document with the last part of its path."""
    if isinstance(document, dict):
        for key, item in document.items():
            yield from _leaves(item, str(key))
    elif isinstance(document, list):
        for item in document:
            yield from _leaves(item, name)
    elif document is not None and document != "":
        yield name, document if isinstance(document, str) else msgspec.json.encode(document).decode()


_events_decoder = msgspec.json.Decoder(Event)
