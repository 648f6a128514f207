"""Standing approvals: what people approved in advance, how far it is used up, agreeing to one, and ending it.

Whom one is for is shown to those who may agree to it while it waits for them, and to nobody else here.

Clauses: S7.1, S7.2.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec

from demur.console.page import Page
from demur.core import intake
from demur.core.access import Act
from demur.core.personal import MASK
from demur.core.scope import ANY, Written
from demur.core.standing import StandingState
from demur.errors import IntakeError, RulingError
from demur.server.routes import standing as routes

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.steps.standing import Told

HOME = "/desk/standing"
_NAMED = ("subject", "actor")


async def standing(visit: Visit) -> Response:
    """Those that wait or live, the oldest first, then those that ended last."""
    found = await visit.run(visit.gate.standing)
    may_grant = visit.may(Act.STANDING_GRANT)
    return visit.show(
        "standing.html",
        items=[_shown(one, may_grant=may_grant) for one in found],
        may_grant=may_grant,
        may_revoke=visit.may(Act.STANDING_REVOKE),
    )


async def draft(visit: Visit) -> Response:
    """What could be approved in advance, going by what people approved of cases like one review's."""
    review = visit.query("review")
    try:
        proposal = await visit.run(lambda: visit.gate.standing_propose(review))
    except RulingError as error:
        return _form(visit, "", problem=error, review=review)
    told = proposal.to_dict()
    return _form(visit, _json(told["scope"]), proposal=told, review=review)


async def grant(visit: Visit) -> Response:
    """Approve in advance what the scope covers; with a problem the same form again."""
    text, reason = visit.field("scope"), visit.field("reason")
    try:
        asked = routes.Granting(scope=_written(text), reason=reason)
        await routes.grant(dataclasses.replace(visit, body=asked))
    except (IntakeError, RulingError) as error:
        return _form(visit, text, problem=error, review=visit.field("review"), status=409)
    return visit.back(HOME, did="standing_granted")


async def agree(visit: Visit) -> Response:
    """Grant one that somebody else opened."""
    await routes.agree(dataclasses.replace(visit, body=routes.Agreeing(reason=visit.field("reason"))))
    return visit.back(HOME, did="standing_granted")


async def revoke(visit: Visit) -> Response:
    """End one."""
    await routes.revoke(dataclasses.replace(visit, body=routes.Agreeing(reason=visit.field("reason"))))
    return visit.back(HOME, did="standing_ended")


def _form(
    visit: Visit,
    scope: str,
    *,
    review: str,
    proposal: dict[str, object] | None = None,
    problem: Exception | None = None,
    status: int = 200,
) -> Response:
    return visit.show(
        "standing_new.html",
        status=status,
        title="Approve in advance",
        scope=scope,
        proposal=proposal,
        problem=problem,
        review=review[:64],
    )


def _written(text: str) -> Written:
    try:
        return msgspec.convert(intake.parse(text.encode("utf-8", "replace")), Written)
    except msgspec.ValidationError as error:
        raise IntakeError("/scope", expected="the members of a scope", found=str(error).lower()) from error


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _shown(one: Told, *, may_grant: bool) -> dict[str, object]:
    told = one.to_dict()
    scope = told["scope"]
    if not isinstance(scope, dict):
        return told
    is_needed = may_grant and one.state is StandingState.WAITING
    names = {name: str(scope[name]) if is_needed else _masked(str(scope[name])) for name in _NAMED}
    bounds = {path: _bound(item) for path, item in scope["arguments"].items()}
    return told | {"scope": {**scope, **names, "arguments": bounds}}


def _masked(name: str) -> str:
    """`type:id` without the id; what stands for anybody names nobody."""
    kind, colon, own = name.partition(":")
    return name if not colon or own == ANY else f"{kind}:{MASK}"


def _bound(bound: dict[str, object]) -> str:
    """A bound in words. Single values are not repeated: they may be somebody's."""
    if bound.get("is_free"):
        said = "anything"
    elif choices := bound.get("one_of"):
        said = f"one of {len(choices)} values"  # type: ignore[arg-type]  # a list, as scopes are written
    else:
        lowest, highest = bound.get("at_least"), bound.get("at_most")
        ends = [f"at least {lowest}"] if lowest is not None else []
        said = " and ".join(ends + ([f"at most {highest}"] if highest is not None else []))
    return said + (", or left out" if bound.get("may_be_absent") else "")


PAGES = (
    Page(HOME, Act.STANDING_READ, standing, title="Standing approvals", group="Desk"),
    Page(HOME, Act.STANDING_GRANT, grant, method="POST"),
    Page(HOME + "/new", Act.STANDING_GRANT, draft),
    Page(HOME + "/{standing_id}/agree", Act.STANDING_GRANT, agree, method="POST"),
    Page(HOME + "/{standing_id}/revoke", Act.STANDING_REVOKE, revoke, method="POST"),
)
