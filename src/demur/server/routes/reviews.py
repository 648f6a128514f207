"""Reviews: listed and shown to reviewers, ruled on by a person, told as events.

- A ruling is by the credential of the person who logged in, never of a program (S7.4).
- What whoever asked for an action gets of its review: resolutions.py.
- Events have the number of their record as id. With `Last-Event-ID` nothing that happened since is left out.

Clauses: S7, S10.
"""

from __future__ import annotations

from typing import Any

import msgspec

from demur.core.access import Act
from demur.core.policy.document import Narrowing
from demur.core.review import OPEN, Review, ReviewState, Verdict
from demur.core.terms import Timestamp
from demur.errors import IntakeError
from demur.server import streaming
from demur.server.authzen import locale_of
from demur.server.problems import NotFoundError
from demur.server.route import Call, Route
from demur.steps.ruling import MAX_LISTED

PAGE = 50


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One review of a list. It names nobody; who asked for what is shown with the review itself."""

    review_id: str
    status: str
    risk: str
    opened_at: str
    deadline: str
    needed: tuple[dict[str, Any], ...]
    rulings: int
    is_afterwards: bool


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Reviews, the earliest deadline first, and where the next page begins; `next_token` is empty at the end."""

    reviews: tuple[Listed, ...]
    page: dict[str, Any]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A review as a reviewer sees it: what was asked for, why it was deferred, what a verdict does."""

    review_id: str
    audit_id: str
    status: str
    action_intent: dict[str, Any]
    governance_decision: dict[str, Any]
    why_deferred: str
    risk_assessment: dict[str, Any]
    similar_past_decisions: tuple[dict[str, Any], ...]
    approval_action: str
    denial_action: str
    opened_at: str
    deadline: str
    timeout_duration: str
    timeout_action: str
    estimated_resolution: str | None
    holder: str
    held_until: str
    level: int
    needed: tuple[dict[str, Any], ...]
    rulings: tuple[dict[str, Any], ...]
    narrows: tuple[dict[str, Any], ...]
    grant_seconds: int | None


class Narrowed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One argument, and what holds of it: a bound, or the value that it has."""

    argument: str
    at_most: int | float | None = None
    at_least: int | float | None = None
    set: bool | int | float | str | None = None


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict and its reason, which stays in the vault.

    An approval may be of less than was asked: `narrows`, and a shorter life of the grant. `on_behalf` names in whose
    place it is given.
    """

    verdict: Verdict
    reason: str
    narrows: tuple[Narrowed, ...] = ()
    grant_seconds: int | None = None
    on_behalf: str = ""


class Ruled(msgspec.Struct, frozen=True, kw_only=True):
    """Where the review stands after the verdict."""

    review_id: str
    status: str


async def index(call: Call) -> object:
    """The reviews, the earliest deadline first.

    Without `status` those that are pending. Filters are joined by "and".
    """
    query = call.request.query_params
    states, most = _states(query.get("status", "")), max(1, call.number("limit", PAGE, most=MAX_LISTED))
    risk, role, after = query.get("risk", ""), query.get("role", ""), _place(query.get("token", ""))

    def find() -> list[Review]:
        found, place = list[Review](), after
        while len(found) <= most:
            page = call.gate.reviews(states=states, limit=MAX_LISTED, after=place)
            found += [one for one in page if _fits(one, risk, role)]
            if len(page) < MAX_LISTED:
                break
            place = _key(page[-1])
        return found

    left = await call.run(find)
    page, has_more = left[:most], len(left) > most
    token = f"{page[-1].deadline.nanos}.{page[-1].id}" if has_more else ""
    return Page(reviews=tuple(_listed(call, one) for one in page), page={"next_token": token, "count": len(page)})


async def show(call: Call) -> object:
    """One review with the action that waits for it."""
    named = call.path("review")
    found = await call.run(lambda: call.gate.review(named))
    if found is None:
        raise _none()
    return found.to_dict(locale=locale_of(call.request))


async def rule(call: Call) -> object:
    """Approve or reject, as the person who logged in.

    Refused (409) where that person asked for the action, is acted for, lacks the role, has ruled already, or is late;
    where somebody else holds the review; and where what an approval would leave is not allowed.
    """
    said, named, credential = call.given(Ruling), call.path("review"), call.credential
    narrows = [msgspec.convert(msgspec.to_builtins(one), Narrowing) for one in said.narrows]
    after = await call.run(
        lambda: call.gate.rule(
            named,
            verdict=said.verdict.value,
            reason=said.reason,
            credential=credential,
            narrows=narrows,
            grant_seconds=said.grant_seconds,
            on_behalf=said.on_behalf,
        )
    )
    return Ruled(review_id=after.id, status=after.state.value)


async def stream(call: Call) -> object:
    """What happens to reviews, as server-sent events.

    With `Last-Event-ID` from where that one left off. A client that reads too slowly is told `dropped` and resumes so.
    """
    return await streaming.respond(call)


def _states(text: str) -> tuple[ReviewState, ...]:
    if not text:
        return OPEN
    if text == "all":
        return tuple(ReviewState)
    try:
        return tuple(dict.fromkeys(ReviewState(name) for name in text.split(",")))
    except ValueError as error:
        known = ", ".join(f"`{state}`" for state in ReviewState)
        raise IntakeError("?status", expected=f"`all`, or some of {known}", found=f"`{text[:60]}`") from error


def _place(text: str) -> tuple[Timestamp, str] | None:
    nanos, _, review_id = text.partition(".")
    if not text:
        return None
    if not (nanos.isascii() and nanos.isdecimal() and len(nanos) < 20 and len(review_id) <= 64):
        raise IntakeError("?token", expected="a token that this list gave", found=f"`{text[:40]}`")
    return (Timestamp(int(nanos)), review_id)


def _key(review: Review) -> tuple[Timestamp, str]:
    return (review.deadline, review.id)


def _fits(review: Review, risk: str, role: str) -> bool:
    return (not risk or review.risk == risk) and (not role or any(panel.role == role for panel in review.panels))


def _listed(call: Call, review: Review) -> Listed:
    return Listed(
        review_id=review.id,
        status=review.state_at(call.service.clock.now()).value,
        risk=review.risk,
        opened_at=str(review.opened_at),
        deadline=str(review.deadline),
        needed=tuple({"role": one.role, "quorum": one.quorum, "policy": one.rule} for one in review.panels),
        rulings=len(review.rulings),
        is_afterwards=bool(review.opened_by),
    )


def _none() -> NotFoundError:
    # The same words whether there is none or it is not theirs.
    return NotFoundError("expected the id of a review that this caller may see, found another")


_FILTERS = {
    "status": "States, with commas between them, or `all`; open ones where left out.",
    "risk": "Only reviews of this risk.",
    "role": "Only reviews that wait for people with this role.",
    "limit": f"How many, at most {MAX_LISTED}.",
    "token": "The `next_token` of the page before.",
}
ROUTES = (
    Route("GET", "/reviews", Act.REVIEW_READ, index, answers=Page, query=_FILTERS),
    Route("GET", "/reviews/events", Act.REVIEW_READ, stream, media_type=streaming.MEDIA_TYPE),
    Route("GET", "/reviews/{review}", Act.REVIEW_READ, show, answers=Shown),
    Route(
        "POST",
        "/reviews/{review}/rule",
        Act.REVIEW_RULE,
        rule,
        reads=Ruling,
        answers=Ruled,
        example={
            "verdict": "approve",
            "reason": "the invoice was checked by phone, for the first half",
            "narrows": [{"argument": "amount", "at_most": 5_000}],
            "grant_seconds": 20,
        },
    ),
)
