"""What people decided before, and what they approve in advance: precedents and standing approvals.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from demur.core.access import Act
from demur.core.scope import Written, scope_of
from demur.server.route import Call, Route
from demur.steps.precedents import MAX_SHOWN

if TYPE_CHECKING:
    from demur.core.standing import Standing


class Precedents(msgspec.Struct, frozen=True, kw_only=True):
    """Cases that people ruled on, the most alike first; of two or more, one was denied where any was."""

    precedents: tuple[dict[str, Any], ...]


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """The standing approvals that wait or live, the oldest first, and those that ended last."""

    standing: tuple[dict[str, Any], ...]


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """What could be approved in advance. Nothing was made by asking; `scope` can be sent as it is, or narrowed."""

    scope: dict[str, Any]
    explanations: dict[str, str]
    approved_within: int
    denied_within: int
    covers_review: bool


class Granting(msgspec.Struct, frozen=True, kw_only=True):
    """What to approve in advance, and why."""

    scope: Written
    reason: str


class Agreeing(msgspec.Struct, frozen=True, kw_only=True):
    """Why."""

    reason: str


class Stands(msgspec.Struct, frozen=True, kw_only=True):
    """A standing approval, by its id, and where it stands."""

    standing_id: str
    status: str
    granted: int
    quorum: int
    expires_at: str


async def precedents(call: Call) -> object:
    """What people ruled on cases like this review's, with reasons and differences. Personal values are masked."""
    named, most = call.path("review"), call.number("limit", 3, most=MAX_SHOWN)
    found = await call.run(lambda: call.gate.precedents(named, limit=most))
    return Precedents(precedents=tuple(one.to_dict() for one in found))


async def list_(call: Call) -> object:
    """The standing approvals: whom each is for, its bounds, how often it was used, and who granted it."""
    found = await call.run(call.gate.standing)
    return Standings(standing=tuple(one.to_dict() for one in found))


async def propose(call: Call) -> object:
    """What could be approved in advance, going by what people approved of cases like this review's."""
    named = call.path("review")
    found = await call.run(lambda: call.gate.standing_propose(named))
    return msgspec.convert(found.to_dict(), Proposed)


async def grant(call: Call) -> object:
    """Approve in advance what this scope covers; it lives once the quorum of the rule is complete."""
    asked, credential = call.given(Granting), call.credential
    scope = scope_of(asked.scope)
    return _stands(await call.run(lambda: call.gate.standing_grant(scope, credential=credential, reason=asked.reason)))


async def agree(call: Call) -> object:
    """Grant a standing approval that somebody else opened and that waits for people."""
    named, credential, reason = call.path("standing_id"), call.credential, call.given(Agreeing).reason
    return _stands(await call.run(lambda: call.gate.standing_grant(named, credential=credential, reason=reason)))


async def revoke(call: Call) -> object:
    """End a standing approval: nothing more is granted on it."""
    named, credential, reason = call.path("standing_id"), call.credential, call.given(Agreeing).reason
    return _stands(await call.run(lambda: call.gate.standing_revoke(named, credential=credential, reason=reason)))


def _stands(one: Standing) -> Stands:
    return Stands(
        standing_id=one.id,
        status=one.state.value,
        granted=len(one.signers),
        quorum=one.quorum,
        expires_at=str(one.expires_at),
    )


_WHY = {"reason": "three months of such refunds were checked"}
ROUTES = (
    Route(
        "GET",
        "/reviews/{review}/precedents",
        Act.REVIEW_READ,
        precedents,
        answers=Precedents,
        query={"limit": f"How many to show, at most {MAX_SHOWN}."},
    ),
    Route("GET", "/reviews/{review}/standing", Act.STANDING_READ, propose, answers=Proposed),
    Route("GET", "/standing", Act.STANDING_READ, list_, answers=Standings),
    Route(
        "POST",
        "/standing",
        Act.STANDING_GRANT,
        grant,
        reads=Granting,
        answers=Stands,
        example={
            "scope": {
                "rule": "shop/large-refund",
                "action": "refund",
                "resource_type": "invoice",
                "subject": "user:eda",
                "actor": "agent:desk-bot",
                "arguments": {"action.amount": {"at_least": 1, "at_most": 80_000}},
                "uses": 20,
                "expires_at": "2026-12-20T00:00:00Z",
            },
            **_WHY,
        },
    ),
    Route(
        "POST",
        "/standing/{standing_id}/agree",
        Act.STANDING_GRANT,
        agree,
        reads=Agreeing,
        answers=Stands,
        example=_WHY,
    ),
    Route(
        "POST",
        "/standing/{standing_id}/revoke",
        Act.STANDING_REVOKE,
        revoke,
        reads=Agreeing,
        answers=Stands,
        example={"reason": "the customer left"},
    ),
)
