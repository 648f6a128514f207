"""Decisions, told again by their audit id: to whoever asked, and to those who read all of them.

Clauses: S5.4, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from demur.core.access import Act
from demur.core.terms import Audience
from demur.errors import IntakeError
from demur.server.problems import NotFoundError
from demur.server.route import Call, Route
from demur.steps import recalling
from demur.steps.revealing import Revealed

if TYPE_CHECKING:
    from demur.core.evidence import Answer

MAX_SEQUENCE = 2**53 - 1


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """AuthZEN's evaluation response; a grant's token is not told again."""

    decision: bool
    context: dict[str, Any]


class Revealing(msgspec.Struct, frozen=True, kw_only=True):
    """Which value, by its path such as `subject.id`, and why."""

    path: str
    reason: str


async def own(call: Call) -> object:
    """A decision that the caller asked for, as it was told."""
    log = call.path("log")
    sequence = _sequence(call.path("sequence"))
    found = await _recalled(call, sequence, call.identity.id) if log == call.parts.world.log else None
    if found is None:
        # The same words whether there is none or it is another's.
        raise NotFoundError("expected the audit id of a decision that this caller asked for, found another")
    return found.to_dict(audience=Audience.AGENT)


async def show(call: Call) -> object:
    """Any decision, with all that an auditor may see."""
    sequence = _sequence(call.path("sequence"))
    found = await _recalled(call, sequence, None)
    if found is None:
        raise NotFoundError(f"expected the number of a record that is a decision, found `{sequence}`")
    return found.to_dict(audience=Audience.AUDITOR)


async def reveal(call: Call) -> object:
    """One personal value of a decision, recorded before it is told.

    Refused (409) where there is no such value, it is secret, or the person was erased.
    """
    sequence, asked, credential = _sequence(call.path("sequence")), call.given(Revealing), call.credential
    audit_id = f"{call.parts.world.log}/{sequence}"
    return await call.run(lambda: call.gate.reveal(audit_id, asked.path, credential=credential, reason=asked.reason))


async def _recalled(call: Call, sequence: int, caller: str | None) -> Answer | None:
    world = call.parts.world
    return await call.run(lambda: world.store.read(lambda tx: recalling.recall(world, tx, sequence, caller=caller)))


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 17) or int(text) > MAX_SEQUENCE:
        raise IntakeError("", expected="the number of a record", found=f"`{text[:40]}`")
    return int(text)


ROUTES = (
    Route("GET", "/decisions/{log}/{sequence}", Act.DECISION_READ_OWN, own, answers=Decided),
    Route("GET", "/ledger/decisions/{sequence}", Act.DECISION_READ, show, answers=Decided),
    Route(
        "POST",
        "/decisions/{sequence}/reveal",
        Act.REVEAL,
        reveal,
        reads=Revealing,
        answers=Revealed,
        example={"path": "subject.id", "reason": "the requester called about this decision"},
    ),
)
