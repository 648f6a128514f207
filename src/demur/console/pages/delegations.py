"""Who stands in for whom: review roles lent to a named person for a while, given and ended here.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.core import lever
from demur.core.access import Act
from demur.core.terms import parse_timestamp
from demur.errors import IntakeError, RulingError

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit

DAY = 86_400
PERIODS = ((1, "a day"), (3, "three days"), (7, "a week"), (14, "two weeks"), (30, "30 days"))
"""How long roles can be lent from here."""

_NAMELESS = {"lender": "", "delegate": "", "reason": ""}


async def show(visit: Visit) -> Response:
    """What is lent."""
    return await _page(visit)


async def lend(visit: Visit) -> Response:
    """Lend one's own roles."""
    to, reason, credential = visit.field("to").strip(), visit.field("reason"), visit.credential
    days = next((days for days, _ in PERIODS if str(days) == visit.field("days")), 0)
    if not days:
        raise IntakeError("/days", expected="one of the periods of the form", found=f"`{visit.field('days')[:40]}`")
    until = visit.service.clock.now().plus(days * DAY)
    roles = visit.every("role")
    try:
        await visit.run(
            lambda: visit.gate.delegate(to=to, until=until, roles=roles, credential=credential, reason=reason)
        )
    except RulingError as error:
        return await _page(visit, refused=error)
    return visit.back("/desk/delegations", did="delegated")


async def end(visit: Visit) -> Response:
    """End one before its time."""
    named, reason, credential = visit.path("delegation"), visit.field("reason"), visit.credential
    try:
        await visit.run(lambda: visit.gate.end_delegation(named, credential=credential, reason=reason))
    except RulingError as error:
        return await _page(visit, refused=error)
    return visit.back("/desk/delegations", did="delegation_ended")


async def _page(visit: Visit, *, refused: RulingError | None = None) -> Response:
    found = await visit.run(visit.gate.delegations)
    world, credential = visit.parts.world, visit.credential
    person = await visit.run(lambda: world.reviewers.identify(credential)) if visit.may(Act.REVIEW_RULE) else None
    return visit.show(
        "delegations.html",
        status=409 if refused else 200,
        delegations=[{**_NAMELESS, **one, "ends": parse_timestamp(str(one["until"]))} for one in found],
        roles=sorted(person.roles - {lever.ROLE}) if person else [],
        periods=PERIODS,
        refused=refused,
        typed=visit.field,
        may_lend=visit.may(Act.REVIEW_RULE),
    )


PAGES = (
    Page("/desk/delegations", Act.REVIEW_READ, show, title="Delegations", group="Desk"),
    Page("/desk/delegations", Act.REVIEW_RULE, lend, method="POST"),
    Page("/desk/delegations/{delegation}/end", Act.REVIEW_ASSIGN, end, method="POST"),
)
