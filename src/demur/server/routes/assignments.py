"""Who has a review in hand, and who stands in for whom: taken, given back, given to somebody; roles lent for a while.

All of it is done by the credential of a person who logged in, never of a program (S7.4).

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from demur.core.access import Act
from demur.core.terms import parse_timestamp
from demur.errors import IntakeError
from demur.server.route import Call, Route
from demur.steps.assigning import LEASE_SECONDS

if TYPE_CHECKING:
    from demur.core.review import Review


class Taking(msgspec.Struct, frozen=True, kw_only=True):
    """For how long, at most a day; what is held already is held anew."""

    seconds: int = LEASE_SECONDS


class Assigning(msgspec.Struct, frozen=True, kw_only=True):
    """To whom, by name, and for how long."""

    to: str
    seconds: int = LEASE_SECONDS
    reason: str = ""


class InHand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the review stands, and until when somebody holds it."""

    review_id: str
    status: str
    held_until: str = ""


class Lending(msgspec.Struct, frozen=True, kw_only=True):
    """To whom, by name, which of one's roles (all of them where none is named), and until when (RFC 3339)."""

    to: str
    until: str
    reason: str
    roles: tuple[str, ...] = ()


class EndingDelegation(msgspec.Struct, frozen=True, kw_only=True):
    """Why."""

    reason: str


class Delegated(msgspec.Struct, frozen=True, kw_only=True):
    """A delegation, by its id, and when it ends by itself."""

    delegation_id: str
    roles: tuple[str, ...]
    until: str


class Delegations(msgspec.Struct, frozen=True, kw_only=True):
    """The delegations that are in force."""

    delegations: tuple[dict[str, Any], ...]


async def take(call: Call) -> object:
    """Hold a review for a while, so that nobody else rules on it; again, to hold it longer."""
    said, named, credential = call.given(Taking), call.path("review"), call.credential
    return _held(await call.run(lambda: call.gate.take(named, credential=credential, seconds=said.seconds)))


async def release(call: Call) -> object:
    """Give a review back; operators do it for somebody else, too."""
    named, credential = call.path("review"), call.credential
    return _held(await call.run(lambda: call.gate.give_back(named, credential=credential)))


async def assign(call: Call) -> object:
    """Give a review to somebody who may rule on it. Of one that is held: its holder, and operators."""
    said, named, credential = call.given(Assigning), call.path("review"), call.credential
    return _held(
        await call.run(
            lambda: call.gate.assign(named, to=said.to, credential=credential, seconds=said.seconds, reason=said.reason)
        )
    )


async def index(call: Call) -> object:
    """The delegations that are in force, with names and reasons."""
    return Delegations(delegations=tuple(await call.run(call.gate.delegations)))


async def lend(call: Call) -> object:
    """Lend one's roles to somebody until an instant, at most 90 days ahead."""
    said, credential = call.given(Lending), call.credential
    try:
        until = parse_timestamp(said.until)
    except ValueError as error:
        expected = "an instant such as `2026-11-20T09:00:00Z`"
        raise IntakeError("/until", expected=expected, found=f"`{said.until[:40]}`") from error
    lent = await call.run(
        lambda: call.gate.delegate(to=said.to, until=until, roles=said.roles, credential=credential, reason=said.reason)
    )
    return Delegated(delegation_id=lent.id, roles=lent.roles, until=str(lent.until))


async def end(call: Call) -> object:
    """End a delegation before its time: either of the two, and operators."""
    said, named, credential = call.given(EndingDelegation), call.path("delegation"), call.credential
    await call.run(lambda: call.gate.end_delegation(named, credential=credential, reason=said.reason))
    return Delegations(delegations=tuple(await call.run(call.gate.delegations)))


def _held(review: Review) -> InHand:
    return InHand(
        review_id=review.id, status=review.state.value, held_until=str(review.held_until) if review.held_until else ""
    )


ROUTES = (
    Route(
        "POST",
        "/reviews/{review}/take",
        Act.REVIEW_RULE,
        take,
        reads=Taking,
        answers=InHand,
        example={"seconds": 900},
    ),
    Route("POST", "/reviews/{review}/release", Act.REVIEW_ASSIGN, release, answers=InHand),
    Route(
        "POST",
        "/reviews/{review}/assign",
        Act.REVIEW_ASSIGN,
        assign,
        reads=Assigning,
        answers=InHand,
        example={"to": "noa", "seconds": 3_600, "reason": "noa knows the supplier"},
    ),
    Route("GET", "/delegations", Act.REVIEW_READ, index, answers=Delegations),
    Route(
        "POST",
        "/delegations",
        Act.REVIEW_RULE,
        lend,
        reads=Lending,
        answers=Delegated,
        example={"to": "noa", "until": "2026-12-24T17:00:00Z", "reason": "on leave", "roles": ["supervisor"]},
    ),
    Route(
        "POST",
        "/delegations/{delegation}/end",
        Act.REVIEW_ASSIGN,
        end,
        reads=EndingDelegation,
        answers=Delegations,
        example={"reason": "back at my desk"},
    ),
)
