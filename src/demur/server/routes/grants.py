"""Grants: used up once for the very arguments that were granted, reported on, taken back.

A "no" is an answer: HTTP 200 with `redeemed: false` and the refusal in AuthZEN's members. Act only on `redeemed: true`.

Clauses: S6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from demur.core.access import Act
from demur.core.grant import Completion, Redemption
from demur.core.terms import Audience, Outcome, to_json
from demur.server import problems
from demur.server.route import Call, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.refusal import Refusal


class Redeeming(msgspec.Struct, frozen=True, kw_only=True):
    """Use up a grant. `arguments` are those that the action will be carried out with, exactly.

    `understands` are the types of obligations that the executor carries out, among those that the caller is registered
    for; a grant with another is not redeemed.
    """

    token: str
    arguments: dict[str, Any] = {}
    understands: tuple[str, ...] = ()


class Redeemed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the action may be carried out now, once; otherwise `decision` is false and `context` says why not."""

    redeemed: bool
    grant_id: str = ""
    audit_id: str = ""
    arguments: dict[str, Any] = {}
    obligations: tuple[dict[str, Any], ...] = ()
    mark_key: str = ""
    decision: bool | msgspec.UnsetType = msgspec.UNSET
    context: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Completing(msgspec.Struct, frozen=True, kw_only=True):
    """How the execution ended; `unknown` where nobody can tell, and then nothing is tried again."""

    status: Completion


class Completed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether that was recorded; otherwise `decision` is false and `context` says why not."""

    recorded: bool
    decision: bool | msgspec.UnsetType = msgspec.UNSET
    context: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Revoking(msgspec.Struct, frozen=True, kw_only=True):
    """Take back a grant, for a reason that stands in the record."""

    reason: str


async def redeem(call: Call) -> object:
    """Use up a grant for exactly these arguments.

    Act only on `redeemed: true`, and only once. What is asked a second time is refused, whoever asks.
    """
    asked = call.given(Redeeming)
    # What somebody says of themselves adds nothing to what they are registered for (S6.4).
    understands = call.identity.obligations.intersection(asked.understands)
    found = await call.run(lambda: call.gate.redeem(asked.token, asked.arguments, understands=understands))
    if not isinstance(found, Redemption):
        return _refused(found, {"redeemed": False})
    return Redeemed(
        redeemed=True,
        grant_id=found.grant_id,
        audit_id=found.audit_id,
        arguments=_plain(found.arguments),
        obligations=tuple(msgspec.to_builtins(item) for item in found.obligations),
        mark_key=found.mark_key,
    )


async def complete(call: Call) -> object:
    """Say how the execution of a redeemed grant ended."""
    status = call.given(Completing).status
    return _told(await call.run(lambda: call.gate.complete(call.path("grant_id"), status.value)))


async def revoke(call: Call) -> object:
    """Take back a grant that was not redeemed."""
    credential, reason = call.credential, call.given(Revoking).reason
    return _told(await call.run(lambda: call.gate.revoke(call.path("grant_id"), credential=credential, reason=reason)))


def _told(refused: Refusal | None) -> object:
    return Completed(recorded=True) if refused is None else _refused(refused, {"recorded": False})


def _refused(refused: Refusal, so: Mapping[str, object]) -> object:
    told = {**so, **refused.to_dict(audience=Audience.AGENT)}
    return problems.unavailable(told) if refused.outcome is Outcome.UNAVAILABLE else told


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    told = to_json(arguments)
    assert isinstance(told, dict)
    return told


ROUTES = (
    Route(
        "POST",
        "/grants/redeem",
        Act.GRANT_USE,
        redeem,
        reads=Redeeming,
        answers=Redeemed,
        example={"token": "01a1fc9dc0564f59.cda3d526", "arguments": {"amount": 4_000}, "understands": ["notify"]},
    ),
    Route(
        "POST",
        "/grants/{grant_id}/complete",
        Act.GRANT_USE,
        complete,
        reads=Completing,
        answers=Completed,
        example={"status": "success"},
    ),
    Route(
        "POST",
        "/grants/{grant_id}/revoke",
        Act.GRANT_REVOKE,
        revoke,
        reads=Revoking,
        answers=Completed,
        example={"reason": "the customer called"},
    ),
)
