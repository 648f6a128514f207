"""The Authorization API 1.0 of AuthZEN: evaluation and evaluations, as hot routes.

- `decision` is true for a Grant and for nothing else. A deny is HTTP 200 with its refusal in `context`.
- A batch that carries no `context`, at the top or in an item, is an inquiry (S5.3): judged at one instant, recorded as
  such, answered with bare decisions; a true one is no grant. A batch with `context`, be it empty, is answered like
  single evaluations, item by item, and each item sees what those before it were granted (S4.2).
- Unknown members are ignored, malformed ones are a 400, `X-Request-ID` comes back (sections 5 to 7 and 12.1.3).

Source: OpenID AuthZEN Authorization API 1.0.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from demur.core import intake
from demur.core.access import Act
from demur.core.grant import Grant
from demur.core.intake import Caller
from demur.core.terms import Audience
from demur.errors import IntakeError
from demur.server.service import check_subject
from demur.steps.inquiring import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request as HttpRequest

    from demur.core.access import Identity
    from demur.core.evidence import Answer
    from demur.gateway import Gateway
    from demur.server.service import Service

    _Items = list[dict[str, object]]

MAX_ITEMS = 1_000
"""Items of one batch."""
_encode = msgspec.json.Encoder().encode


class Semantic(StrEnum):
    """`options.evaluations_semantic`: when a batch ends (section 7.1.2)."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


async def evaluation(service: Service, request: HttpRequest) -> Response:
    """POST /access/v1/evaluation"""
    identity, gate = await service.enter(request, Act.EVALUATE)
    members = intake.parse(await request.body())
    check_subject(identity, members)
    answer = await service.answer(identity, gate, members)
    return _json(tell(answer, identity, request))


async def evaluations(service: Service, request: HttpRequest) -> Response:
    """POST /access/v1/evaluations"""
    identity, gate = await service.enter(request, Act.EVALUATE)
    members = intake.parse(await request.body())
    if not members.get("evaluations"):
        check_subject(identity, members)
        return _json(tell(await service.answer(identity, gate, members), identity, request))
    items, semantic = _items(members), _semantic(members)
    for item in items:
        check_subject(identity, item)
    if any("context" in item for item in items):
        told = await _answered(service, identity, gate, request, items, semantic)
    else:
        told = [{"decision": allowed} for allowed in await _inquired(identity, gate, items, semantic)]
    return _json({"evaluations": told})


def tell(answer: Answer, identity: Identity, request: HttpRequest) -> dict[str, object]:
    """The answer as AuthZEN's evaluation response, in the caller's language."""
    del identity
    return answer.to_dict(audience=Audience.AGENT, locale=locale_of(request))


def locale_of(request: HttpRequest) -> str:
    """The first language that the caller asks for; texts fall back to one that there is."""
    first = request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()
    return first if first and first != "*" else "en"


async def _answered(
    service: Service, identity: Identity, gate: Gateway, request: HttpRequest, items: _Items, semantic: Semantic
) -> list[dict[str, object]]:
    if semantic is Semantic.EXECUTE_ALL:
        # The store takes them in this order, so that each sees what those before it were granted.
        answers = await asyncio.gather(*(service.answer(identity, gate, item) for item in items))
        return [tell(answer, identity, request) for answer in answers]
    told = []
    for item in items:
        answer = await service.answer(identity, gate, item)
        told.append(tell(answer, identity, request))
        if _ends(semantic, allowed=isinstance(answer, Grant)):
            break
    return told


async def _inquired(
    identity: Identity, gate: Gateway, items: list[dict[str, object]], semantic: Semantic
) -> list[bool]:
    caller = Caller(identity.id, identity.actor)
    found = await asyncio.to_thread(gate.inquire, items, caller=caller, purpose=Purpose.BATCH)
    decisions: list[bool] = []
    for one in found:
        decisions.append(one.refusal is None)
        if _ends(semantic, allowed=decisions[-1]):
            break
    return decisions


def _ends(semantic: Semantic, *, allowed: bool) -> bool:
    match semantic:
        case Semantic.EXECUTE_ALL:
            return False
        case Semantic.DENY_ON_FIRST_DENY:
            return not allowed
        case Semantic.PERMIT_ON_FIRST_PERMIT:
            return allowed


def _items(members: Mapping[str, object]) -> list[dict[str, object]]:
    """Each evaluation with the members that it takes over from the top; raises `IntakeError`."""
    listed = members["evaluations"]
    if not isinstance(listed, (list, tuple)):
        raise IntakeError("/evaluations", expected="a list", found="something else")
    if len(listed) > MAX_ITEMS:
        raise IntakeError("/evaluations", expected=f"at most {MAX_ITEMS} items", found=f"{len(listed)}")
    shared = {name: value for name, value in members.items() if name not in {"evaluations", "options"}}
    items = []
    for place, item in enumerate(listed):
        if not isinstance(item, dict):
            raise IntakeError(f"/evaluations/{place}", expected="an object", found="something else")
        # An id answers one request; one for a whole batch would make its second item a repetition of the first.
        own = {name: value for name, value in shared.items() if name != "request_id"}
        items.append({**own, **item})
    return items


def _semantic(members: Mapping[str, object]) -> Semantic:
    options = members.get("options", {})
    if not isinstance(options, dict):
        raise IntakeError("/options", expected="an object", found="something else")
    named = options.get("evaluations_semantic", Semantic.EXECUTE_ALL.value)
    try:
        return Semantic(named)
    except ValueError as error:
        known = ", ".join(f"`{item}`" for item in Semantic)
        raise IntakeError(
            "/options/evaluations_semantic", expected=f"one of {known}", found=f"`{str(named)[:40]}`"
        ) from error


def _json(body: object) -> Response:
    return Response(_encode(body), media_type="application/json")
