"""Sessions that are quarantined after denials against advice, or by an operator.

Clauses: S8.3.
"""

from __future__ import annotations

import msgspec

from demur.core.access import Act
from demur.server.route import Call, Route
from demur.server.routes.levers import Ending, Entity, Moved


class Quarantining(msgspec.Struct, frozen=True, kw_only=True):
    """Refuse whatever this caller asks for this subject in this session."""

    reason: str
    caller: str
    subject: Entity
    session: str = ""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One quarantined session; `repeats` is 0 where an operator did it by hand."""

    key: str
    since: str
    repeats: int
    audit_id: str
    caller: str
    subject: str
    session: str


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """The quarantined sessions, the newest last."""

    sessions: tuple[Held, ...]


async def list_(call: Call) -> object:
    """The quarantined sessions, the newest last."""
    found = await call.run(call.gate.sessions)
    return Sessions(
        sessions=tuple(
            Held(
                key=one.key,
                since=str(one.since),
                repeats=one.repeats,
                audit_id=one.audit_id,
                caller=one.caller,
                subject=one.subject,
                session=one.session,
            )
            for one in found
        )
    )


async def quarantine(call: Call) -> object:
    """Refuse a caller in a session, for a subject, until it is lifted."""
    asked, credential = call.given(Quarantining), call.credential
    subject = {"type": asked.subject.type, "id": asked.subject.id}
    key = await call.run(
        lambda: call.gate.quarantine(
            subject=subject, session=asked.session, caller=asked.caller, credential=credential, reason=asked.reason
        )
    )
    return Moved(id=key)


async def lift(call: Call) -> object:
    """Lift the quarantine of a session, whose count begins anew."""
    key, credential, reason = call.path("key"), call.credential, call.given(Ending).reason
    await call.run(lambda: call.gate.lift(key, credential=credential, reason=reason))
    return Moved(id=key)


ROUTES = (
    Route("GET", "/sessions", Act.SESSION_READ, list_, answers=Sessions),
    Route(
        "POST",
        "/sessions/quarantine",
        Act.SESSION_MOVE,
        quarantine,
        reads=Quarantining,
        answers=Moved,
        example={
            "caller": "agent:desk",
            "subject": {"type": "user", "id": "eda"},
            "session": "s-17",
            "reason": "it does not stop",
        },
    ),
    Route(
        "POST",
        "/sessions/{key}/lift",
        Act.SESSION_MOVE,
        lift,
        reads=Ending,
        answers=Moved,
        example={"reason": "the loop in the agent was fixed"},
    ),
)
