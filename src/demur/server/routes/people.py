"""Who is known here: programs with their API keys, people with their roles. Each act is a record.

Credentials and links are told once, in the answer that makes them, and can be read nowhere again.

Clauses: S1.1, S7.4, S12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from demur.core.access import Act, Role
from demur.core.terms import Timestamp, parse_timestamp
from demur.errors import IntakeError
from demur.server.problems import NotFoundError
from demur.server.route import Call, Route
from demur.steps import enrolling
from demur.steps.enrolling import OVERLAP_SECONDS, Administrator, Enrolment
from demur.wiring import callers

if TYPE_CHECKING:
    from demur.steps.people import People


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What a program may do, as whom, for whom, until when, and the person who answers for it."""

    roles: tuple[Role, ...] = (Role.CALLER,)
    subjects: tuple[str, ...] = ()
    actor: str = ""
    obligations: tuple[str, ...] = ()
    owner: str = ""
    expires_at: str = ""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """How long the old key goes on beside the fresh one, and when that one ends."""

    overlap_seconds: int = OVERLAP_SECONDS
    expires_at: str = ""


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A credential, told this once."""

    name: str
    credential: str


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """A person's roles, the roles in reviews, groups, languages, and issuer and subject at an identity provider."""

    roles: tuple[Role, ...]
    panels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    issuer: str = ""
    subject: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who is known; nothing here can be used as a credential."""

    programs: tuple[dict[str, Any], ...]
    people: tuple[dict[str, Any], ...]


async def known(call: Call) -> object:
    """The programs and the people of this tenant."""
    state = await call.run(_programs(call).state)
    people = await call.run(_people(call).listed)
    programs = tuple({**enrolling.describe(one, state.used)} for one in state.roster.programs)
    return Known(programs=programs, people=tuple(people))


async def add_caller(call: Call) -> object:
    """Add a program, or give a known one other rights and one fresh key instead of all others."""
    name, asked, by = call.path("name"), call.given(Rights), Administrator.of(call.identity)
    key = await call.run(
        lambda: _programs(call).add_program(
            name,
            by=by,
            roles=asked.roles,
            subjects=asked.subjects,
            actor=asked.actor,
            obligations=asked.obligations,
            owner=asked.owner,
            expires_at=_time(asked.expires_at),
        )
    )
    return Issued(name=name, credential=key)


async def rotate_caller(call: Call) -> object:
    """Give a program a fresh key; the old one goes on for a while."""
    name, asked, by = call.path("name"), call.given(Rotation), Administrator.of(call.identity)
    await _must_know(call, name)
    key = await call.run(
        lambda: _programs(call).rotate_program(
            name, by=by, overlap_seconds=asked.overlap_seconds, expires_at=_time(asked.expires_at)
        )
    )
    return Issued(name=name, credential=key)


async def remove_caller(call: Call) -> object:
    """Forget a program; its keys are worth nothing within a second."""
    name, by = call.path("name"), Administrator.of(call.identity)
    await _must_know(call, name)
    await call.run(lambda: _programs(call).remove_program(name, by=by))
    return None


async def add_person(call: Call) -> object:
    """Add a person, or give a known one other roles; the link lets them choose a password, once, within a day."""
    name, asked, by = call.path("name"), call.given(Staff), Administrator.of(call.identity)
    provider = (asked.issuer, asked.subject) if asked.issuer or asked.subject else None
    link = await call.run(
        lambda: _people(call).add(
            name,
            by=by,
            roles=asked.roles,
            panels=asked.panels,
            provider=provider,
            groups=asked.groups,
            languages=asked.languages,
        )
    )
    return Issued(name=name, credential=link)


async def remove_person(call: Call) -> object:
    """Forget a person and end their logins."""
    name, by = call.path("name"), Administrator.of(call.identity)
    if await call.run(lambda: _people(call).find(name)) is None:
        raise NotFoundError("expected a known person, found one that is not")
    await call.run(lambda: _people(call).remove(name, by=by))
    return None


async def _must_know(call: Call, name: str) -> None:
    state = await call.run(_programs(call).state)
    if state.roster.program(name) is None:
        raise NotFoundError("expected a known caller, found one that is not")


def _programs(call: Call) -> Enrolment:
    return callers.enrolment(call.parts)


def _people(call: Call) -> People:
    return callers.people(call.parts)


def _time(text: str) -> Timestamp | None:
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise IntakeError("/expires_at", expected="a time as RFC 3339 writes it", found=f"`{text[:40]}`") from error


ROUTES = (
    Route("GET", "/identities", Act.IDENTITY_READ, known, answers=Known),
    Route(
        "PUT",
        "/identities/callers/{name}",
        Act.IDENTITY_MANAGE,
        add_caller,
        reads=Rights,
        answers=Issued,
        example={"roles": ["caller"], "subjects": ["user:*"]},
    ),
    Route(
        "POST",
        "/identities/callers/{name}/rotate",
        Act.IDENTITY_MANAGE,
        rotate_caller,
        reads=Rotation,
        answers=Issued,
        example={"overlap_seconds": 3600},
    ),
    Route("DELETE", "/identities/callers/{name}", Act.IDENTITY_MANAGE, remove_caller, status=204),
    Route(
        "PUT",
        "/identities/people/{name}",
        Act.IDENTITY_MANAGE,
        add_person,
        reads=Staff,
        answers=Issued,
        example={"roles": ["reviewer"], "panels": ["chief-editor"]},
    ),
    Route("DELETE", "/identities/people/{name}", Act.IDENTITY_MANAGE, remove_person, status=204),
)
