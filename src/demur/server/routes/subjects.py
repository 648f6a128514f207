"""Persons: what is kept about them, their erasure, and legal holds.

A person is named in the body, never in the path: paths stand in the logs of every proxy on the way.

Clauses: S5.5.
"""

from __future__ import annotations

from typing import Any

import msgspec

from demur.core.access import Act
from demur.server.route import Call, Route
from demur.server.routes.levers import Ending, Moved


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person as `type:id`."""

    person: str


class PersonAndReason(msgspec.Struct, frozen=True, kw_only=True):
    """A person as `type:id`, and why."""

    person: str
    reason: str


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept about a person."""

    export: dict[str, Any]


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """Where an erasure stands: `completed`, or `pending` with what it waits for."""

    id: str
    state: str
    why: str
    records: int


async def export(call: Call) -> object:
    """All that is kept about a person, for that person."""
    person = call.given(Person).person
    return Export(export=await call.run(lambda: call.gate.export(person)))


async def erase(call: Call) -> object:
    """Destroy the keys of all that is sealed about a person. The records stay, and so does every proof."""
    asked, credential = call.given(PersonAndReason), call.credential
    done = await call.run(lambda: call.gate.erase(asked.person, credential=credential, reason=asked.reason))
    return Erased(id=done.id, state=done.state.value, why=done.why, records=done.records)


async def hold(call: Call) -> object:
    """Place a legal hold: nothing about this person is erased or ends until it is released."""
    asked, credential = call.given(PersonAndReason), call.credential
    placed = await call.run(lambda: call.gate.hold(asked.person, credential=credential, reason=asked.reason))
    return Moved(id=placed.id)


async def release(call: Call) -> object:
    """End a legal hold."""
    name, credential, reason = call.path("hold_id"), call.credential, call.given(Ending).reason
    await call.run(lambda: call.gate.release_hold(name, credential=credential, reason=reason))
    return Moved(id=name)


_ASKED = {"person": "user:eda", "reason": "she asked for it in writing"}
ROUTES = (
    Route(
        "POST",
        "/subjects/export",
        Act.SUBJECT_EXPORT,
        export,
        reads=Person,
        answers=Export,
        example={"person": "user:eda"},
    ),
    Route("POST", "/subjects/erase", Act.SUBJECT_ERASE, erase, reads=PersonAndReason, answers=Erased, example=_ASKED),
    Route("POST", "/subjects/holds", Act.SUBJECT_ERASE, hold, reads=PersonAndReason, answers=Moved, example=_ASKED),
    Route(
        "POST",
        "/subjects/holds/{hold_id}/release",
        Act.SUBJECT_ERASE,
        release,
        reads=Ending,
        answers=Moved,
        example={"reason": "the case was closed"},
    ),
)
