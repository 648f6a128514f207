"""Administration: people and their roles, programs and their keys. Each act is a record.

A key or a link is shown once, on the page that answers the form that made it, and can be read nowhere again.

Clauses: S1.1, S7.4, S12.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.core.access import ALLOWED, Act, Role
from demur.errors import IntakeError
from demur.server.routes import people as routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from demur.console.page import Visit

HOME = "/desk/people"
HOURS = 3_600
MAX_HOURS = 24 * 365


async def people(visit: Visit) -> Response:
    """Everybody who is known."""
    return await _shown(visit)


async def add_person(visit: Visit) -> Response:
    """Add a person or change one; the page shows the one-time link."""
    body = routes.Staff(
        roles=_roles(visit),
        panels=_words(visit.field("panels")),
        groups=_words(visit.field("groups")),
        languages=_words(visit.field("languages")),
        issuer=visit.field("issuer").strip(),
        subject=visit.field("provider_subject").strip(),
    )
    return await _shown(visit, issued=await routes.add_person(_for(visit, body)), kind="person")


async def remove_person(visit: Visit) -> Response:
    """Forget a person and end their logins."""
    await routes.remove_person(_for(visit, None))
    return visit.back(HOME, did="removed")


async def add_program(visit: Visit) -> Response:
    """Add a program or give one other rights; the page shows its key."""
    body = routes.Rights(
        roles=_roles(visit),
        subjects=_words(visit.field("subjects")),
        actor=visit.field("actor").strip(),
        obligations=_words(visit.field("obligations")),
        owner=visit.field("owner").strip(),
    )
    return await _shown(visit, issued=await routes.add_caller(_for(visit, body)), kind="program")


async def rotate(visit: Visit) -> Response:
    """Give a program a fresh key; the page shows it."""
    text = visit.field("hours") or "24"
    if not (text.isascii() and text.isdecimal() and len(text) < 6) or int(text) > MAX_HOURS:
        raise IntakeError("/hours", expected=f"whole hours, at most {MAX_HOURS}", found=f"`{text[:20]}`")
    body = routes.Rotation(overlap_seconds=int(text) * HOURS)
    return await _shown(visit, issued=await routes.rotate_caller(_for(visit, body)), kind="program")


async def remove_program(visit: Visit) -> Response:
    """Forget a program; its keys are worth nothing within a second."""
    await routes.remove_caller(_for(visit, None))
    return visit.back(HOME, did="removed")


async def _shown(visit: Visit, *, issued: object = None, kind: str = "") -> Response:
    known = await routes.known(visit)
    assert isinstance(known, routes.Known)
    return visit.show(
        "people.html",
        people=known.people,
        programs=known.programs,
        issued=issued,
        kind=kind,
        link=f"{visit.service.base_url}/welcome",
        roles=[role.value for role in Role],
        staff=[role.value for role in Role if role is not Role.CALLER],
        may_manage=visit.may(Act.IDENTITY_MANAGE),
        settings=_settings(visit),
        allowed=_allowed(),
    )


def _for(visit: Visit, body: object) -> Visit:
    """The visit with the body that the route reads, and with the name of the form where the path has none."""
    name = visit.request.path_params.get("name") or visit.field("name").strip()
    if not name:
        raise IntakeError("/name", expected="a name", found="nothing")
    visit.request.scope["path_params"] = {**visit.request.path_params, "name": name}
    return dataclasses.replace(visit, body=body)


def _roles(visit: Visit) -> tuple[Role, ...]:
    try:
        return tuple(Role(text) for text in visit.every("roles"))
    except ValueError as error:
        raise IntakeError("/roles", expected="known roles", found="another") from error


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _settings(visit: Visit) -> Mapping[str, str]:
    """What is configured of this tenant, without addresses, paths and secrets."""
    tenant, limits = visit.service.settings.tenants.get(visit.identity.tenant), visit.service.settings.limits
    shown = {"Tenant": visit.identity.tenant, "Log": visit.parts.world.log, "Build": visit.parts.world.build}
    if tenant is not None:
        shown["Store"] = "shared database" if tenant.store else "embedded"
        shown["Sinks"] = ", ".join(sorted(tenant.sinks)) or "none"
    shown["Time zones"] = f"tzdata {visit.parts.world.zones.version}"
    shown["Largest body"] = f"{limits.max_body_bytes // 1024} KiB"
    shown["In flight"] = f"at most {limits.max_in_flight}"
    shown["Per caller"] = f"{limits.per_caller_per_second} a second, {limits.per_caller_burst} at once"
    shown["Answer within"] = f"{limits.answer_seconds:g} s"
    return shown


def _allowed() -> list[tuple[str, list[str]]]:
    """By role, what it may do: the table of access."""
    return [(role.value, [act.value for act in Act if role in ALLOWED[act]]) for role in Role]


PAGES = (
    Page(HOME, Act.IDENTITY_READ, people, title="People and programs", group="Administration"),
    Page(HOME, Act.IDENTITY_MANAGE, add_person, method="POST"),
    Page(HOME + "/{name}/remove", Act.IDENTITY_MANAGE, remove_person, method="POST"),
    Page("/desk/programs", Act.IDENTITY_MANAGE, add_program, method="POST"),
    Page("/desk/programs/{name}/rotate", Act.IDENTITY_MANAGE, rotate, method="POST"),
    Page("/desk/programs/{name}/remove", Act.IDENTITY_MANAGE, remove_program, method="POST"),
)
