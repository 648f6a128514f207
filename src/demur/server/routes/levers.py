"""The operator's levers: stop everything or some of it, and break glass. Each is moved by a person, for a reason.

Clauses: S7.4, S12.
"""

from __future__ import annotations

from typing import Any

import msgspec

from demur.core.access import Act
from demur.core.lever import DEFAULT_SECONDS
from demur.server.route import Call, Route


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, by type and id."""

    type: str
    id: str


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """What to stop: `actions` by pattern (none: every action), and one `actor` (none: everybody)."""

    reason: str
    actions: tuple[str, ...] = ()
    actor: Entity | None = None


class Breaking(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to let do what the policies deny, for how long."""

    reason: str
    subject: Entity
    actions: tuple[str, ...]
    seconds: int = DEFAULT_SECONDS


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why a lever is moved back."""

    reason: str


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """The lever that was moved, by its id."""

    id: str


class Levers(msgspec.Struct, frozen=True, kw_only=True):
    """The stops that are on and the openings that have not ended, the oldest first."""

    stops: tuple[dict[str, Any], ...]
    openings: tuple[dict[str, Any], ...]


async def list_(call: Call) -> object:
    """The stops that are on and the openings that have not ended."""
    found = await call.run(call.gate.levers)
    stops = [
        {"id": one.id, "since": str(one.since), "actions": list(one.actions), "actor": one.actor} for one in found.stops
    ]
    openings = [
        {"id": one.id, "subject": one.subject, "actions": list(one.actions), "until": str(one.until)}
        for one in found.openings
    ]
    return Levers(stops=tuple(stops), openings=tuple(openings))


async def stop(call: Call) -> object:
    """Stop everything, actions by pattern, or one actor, until it is released."""
    asked, credential = call.given(Stopping), call.credential
    actor = {"type": asked.actor.type, "id": asked.actor.id} if asked.actor else None
    done = await call.run(
        lambda: call.gate.kill(actions=asked.actions, actor=actor, credential=credential, reason=asked.reason)
    )
    return Moved(id=done.id)


async def release(call: Call) -> object:
    """Turn a stop off."""
    name, credential, reason = call.path("stop_id"), call.credential, call.given(Ending).reason
    await call.run(lambda: call.gate.release(name, credential=credential, reason=reason))
    return Moved(id=name)


async def break_glass(call: Call) -> object:
    """Let one subject do for a while what the policies deny, but for what is categorical; it is reviewed afterwards."""
    asked, credential = call.given(Breaking), call.credential
    subject = {"type": asked.subject.type, "id": asked.subject.id}
    done = await call.run(
        lambda: call.gate.break_glass(
            subject=subject, actions=asked.actions, seconds=asked.seconds, credential=credential, reason=asked.reason
        )
    )
    return Moved(id=done.id)


async def end_glass(call: Call) -> object:
    """End an opening before its time."""
    name, credential, reason = call.path("opening_id"), call.credential, call.given(Ending).reason
    await call.run(lambda: call.gate.end_glass(name, credential=credential, reason=reason))
    return Moved(id=name)


_WHY = {"reason": "the supplier confirmed by telephone"}
ROUTES = (
    Route("GET", "/levers", Act.LEVER_READ, list_, answers=Levers),
    Route(
        "POST",
        "/levers/stops",
        Act.LEVER_MOVE,
        stop,
        reads=Stopping,
        answers=Moved,
        example={"actions": ["pay_*"], "reason": "somebody is emptying the account"},
    ),
    Route(
        "POST",
        "/levers/stops/{stop_id}/release",
        Act.LEVER_MOVE,
        release,
        reads=Ending,
        answers=Moved,
        example=_WHY,
    ),
    Route(
        "POST",
        "/levers/glass",
        Act.LEVER_MOVE,
        break_glass,
        reads=Breaking,
        answers=Moved,
        example={
            "subject": {"type": "user", "id": "eda"},
            "actions": ["read_record"],
            "seconds": 600,
            "reason": "the patient is unconscious",
        },
    ),
    Route(
        "POST",
        "/levers/glass/{opening_id}/end",
        Act.LEVER_MOVE,
        end_glass,
        reads=Ending,
        answers=Moved,
        example=_WHY,
    ),
)
