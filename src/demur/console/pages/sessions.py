"""Quarantined sessions: who is refused whatever they ask, since when and why; lifted by an operator, for a reason.

Who it is about is masked; the decision that led to it reveals it, as everywhere.

Clauses: S8.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.core.access import Act
from demur.errors import IntakeError

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit

HOME = "/desk/sessions"
SHOWN = 200


async def sessions(visit: Visit) -> Response:
    """The quarantined sessions, the newest first."""
    found = await visit.run(visit.gate.sessions)
    newest = tuple(reversed(found))[:SHOWN]
    return visit.show(
        "sessions.html", sessions=newest, count=len(found), may_move=visit.may(Act.SESSION_MOVE), sequence_of=_sequence
    )


async def quarantine(visit: Visit) -> Response:
    """Refuse a caller in a session for a subject until it is lifted."""
    kind, colon, own = visit.field("subject").strip().partition(":")
    if not colon or not kind or not own:
        raise IntakeError("/subject", expected="a subject such as `user:ann`", found=f"`{kind[:40]}`")
    caller, session = visit.field("caller").strip(), visit.field("session").strip()
    if not caller:
        raise IntakeError("/caller", expected="a caller such as `agent:desk`", found="nothing")
    reason, credential = visit.field("reason"), visit.credential
    await visit.run(
        lambda: visit.gate.quarantine(
            subject={"type": kind, "id": own}, session=session, caller=caller, credential=credential, reason=reason
        )
    )
    return visit.back(HOME, did="quarantined")


async def lift(visit: Visit) -> Response:
    """Lift a quarantine; the count of the session begins anew."""
    key, reason, credential = visit.path("key"), visit.field("reason"), visit.credential
    await visit.run(lambda: visit.gate.lift(key, credential=credential, reason=reason))
    return visit.back(HOME, did="lifted")


def _sequence(audit_id: str) -> str:
    return audit_id.rpartition("/")[2]


PAGES = (
    Page(HOME, Act.SESSION_READ, sessions, title="Sessions", group="Control"),
    Page(HOME, Act.SESSION_MOVE, quarantine, method="POST"),
    Page(HOME + "/{key}/lift", Act.SESSION_MOVE, lift, method="POST"),
)
