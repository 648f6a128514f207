"""The Authorization API 1.0 of AuthZEN: evaluation, evaluations, searches and discovery, as hot routes.

- `decision` is true for a Grant and for nothing else. A deny is HTTP 200 with its refusal in `context`; `unavailable`,
  which is no decision, is HTTP 503 with the same members and those of a problem document.
- A batch that carries no `context`, at the top or in an item, is an inquiry (S5.3): judged at one instant, recorded as
  such, answered with bare decisions; a true one is no grant. A batch with `context`, be it empty, is answered like
  single evaluations, item by item, and each item sees what those before it were granted (S4.2).
- Unknown members are ignored, malformed ones are a 400; within a batch they deny the item that has them.

Source: OpenID AuthZEN Authorization API 1.0; its certification scenario for what is not malformed but an item's fault.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core import intake
from demur.core.access import Act
from demur.core.grant import Grant
from demur.core.terms import Audience, Outcome
from demur.errors import AccessError, IntakeError
from demur.server import guard, problems, profiles, search
from demur.server.reply import Reply
from demur.server.search import Sought
from demur.server.service import caller_of, check_subject
from demur.steps.inquiring import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

    from demur.core.access import Identity
    from demur.core.evidence import Answer
    from demur.gateway import Gateway
    from demur.server.service import Answering, Service

    _Item = dict[str, object]

MAX_ITEMS = 1_000
"""Items of one batch."""
CAPABILITIES: tuple[str, ...] = (profiles.CAPABILITY,)
"""URNs of the profiles that this service speaks beside the API itself."""
ENDPOINTS = {
    "access_evaluation_endpoint": "/access/v1/evaluation",
    "access_evaluations_endpoint": "/access/v1/evaluations",
    "search_subject_endpoint": "/access/v1/search/subject",
    "search_resource_endpoint": "/access/v1/search/resource",
    "search_action_endpoint": "/access/v1/search/action",
}
_SEARCHED = {
    Sought.SUBJECT: "Who may do this, among those that are known. An inquiry: nothing is granted.",
    Sought.RESOURCE: "On what may this be done, among what is known. An inquiry: nothing is granted.",
    Sought.ACTION: "Which declared actions may be done. An inquiry: nothing is granted.",
}
_NEEDED = {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}
_encode = msgspec.json.Encoder().encode


class Semantic(StrEnum):
    """`options.evaluations_semantic`: when a batch ends (section 7.1.2)."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


async def evaluation(service: Service, request: HttpRequest) -> Response:
    """One request, answered by a grant, a refusal or a deferral."""
    if service.is_full and (tenant := service.identities.recognise(request)):
        return _turned_away(service, tenant, request)
    identity, gate = await service.enter(request, Act.EVALUATE)
    if service.is_full:
        return _turned_away(service, identity.tenant, request)
    return await _evaluated(service, identity, gate, request, await _members(request))


async def evaluations(service: Service, request: HttpRequest) -> Response:
    """Many requests, answered in order. Without a `context` they are only inquired about: `true` is no grant."""
    if service.is_full and (tenant := service.identities.recognise(request)):
        return _turned_away(service, tenant, request)
    identity, gate = await service.enter(request, Act.EVALUATE)
    if service.is_full:
        return _turned_away(service, identity.tenant, request)
    members = await _members(request)
    if not members.get("evaluations"):
        return await _evaluated(service, identity, gate, request, members)
    items, semantic = _items(members), _semantic(members)
    if any("context" in item for item in items):
        told = await _answered(service, identity, gate, request, items, semantic)
    else:
        told = await _inquired(identity, gate, items, semantic)
    return _json({"evaluations": told})


def searching(sought: Sought) -> Answering:
    """The search for one kind of thing."""

    async def answering(service: Service, request: HttpRequest) -> Response:
        identity, gate = await service.enter(request, Act.SEARCH)
        members = await _members(request)
        return _json(await asyncio.to_thread(search.page, gate, identity, sought, members))

    answering.__doc__ = _SEARCHED[sought]
    return answering


async def discovery(service: Service, request: HttpRequest) -> Response:
    """What this decision point offers and where; says nothing about tenants."""
    base = service.base_url
    tenant = request.scope["path"].removeprefix("/.well-known/authzen-configuration").strip("/")
    place = f"{base}/{tenant}" if tenant else base
    known: dict[str, object] = {"policy_decision_point": place}
    known |= {name: base + path for name, path in ENDPOINTS.items()}
    known |= profiles.metadata(base)
    if CAPABILITIES:
        known["capabilities"] = list(CAPABILITIES)
    return _json(known)


def tell(service: Service, answer: Answer, request: HttpRequest) -> dict[str, object]:
    """The answer as AuthZEN's evaluation response, with what its profiles add, in the caller's language."""
    locale = locale_of(request)
    told = answer.to_dict(audience=Audience.AGENT, locale=locale)
    return profiles.extend(told, answer, base_url=service.base_url, locale=locale)


def locale_of(request: HttpRequest) -> str:
    """The first language that the caller asks for; texts fall back to one that there is."""
    first = guard.header(request.scope, b"accept-language").partition(",")[0].partition(";")[0].strip()
    return first if first and first != "*" else "en"


async def _evaluated(
    service: Service, identity: Identity, gate: Gateway, request: HttpRequest, members: Mapping[str, object]
) -> Response:
    check_subject(identity, members)
    answer = await service.answer(identity, gate, members)
    if approval := profiles.approval_of(members):
        told = tell(service, answer, request)
        await profiles.mark(told, answer, gate, caller=identity.id, approval=approval)
        return _told(told, answer)
    return _single(service, answer, request)


def _turned_away(service: Service, tenant: str, request: HttpRequest) -> Response:
    """What whoever comes while as much is under way as is taken on is told."""
    gate, key = service.tenants.gate(tenant), (tenant, locale_of(request))
    return service.overload.turn_away(request, gate, key, lambda answer: tell(service, answer, request))


def _single(service: Service, answer: Answer, request: HttpRequest) -> Response:
    return _told(tell(service, answer, request), answer)


def _told(told: dict[str, object], answer: Answer) -> Response:
    return problems.unavailable(told) if answer.outcome is Outcome.UNAVAILABLE else _json(told)


async def _answered(
    service: Service, identity: Identity, gate: Gateway, request: HttpRequest, items: list[_Item], semantic: Semantic
) -> list[dict[str, object]]:
    async def one(item: _Item) -> tuple[dict[str, object], bool]:
        try:
            check_subject(identity, item)
            answer = await service.answer(identity, gate, item)
        except (IntakeError, AccessError) as error:
            return _faulty(error), False
        told = tell(service, answer, request)
        if approval := profiles.approval_of(item):
            await profiles.mark(told, answer, gate, caller=identity.id, approval=approval)
        return told, isinstance(answer, Grant)

    if semantic is Semantic.EXECUTE_ALL:
        # The store takes them in this order, so that each sees what those before it were granted.
        return [told for told, _ in await asyncio.gather(*map(one, items))]
    found = []
    for item in items:
        told, is_allowed = await one(item)
        found.append(told)
        if _ends(semantic, allowed=is_allowed):
            break
    return found


async def _inquired(
    identity: Identity, gate: Gateway, items: list[_Item], semantic: Semantic
) -> list[dict[str, object]]:
    faults = [_fault(identity, item) for item in items]
    sound = [item for item, fault in zip(items, faults, strict=True) if fault is None]
    caller = caller_of(identity)
    found = iter(await asyncio.to_thread(gate.inquire_each, sound, caller=caller, purpose=Purpose.BATCH))
    told: list[dict[str, object]] = []
    for fault in faults:
        one = fault or next(found)
        if isinstance(one, (IntakeError, AccessError)):
            told.append(_faulty(one))
        else:
            told.append({"decision": one.refusal is None})
        if _ends(semantic, allowed=told[-1]["decision"] is True):
            break
    return told


def _fault(identity: Identity, item: _Item) -> IntakeError | AccessError | None:
    try:
        check_subject(identity, item)
    except (IntakeError, AccessError) as error:
        return error
    return None


def _faulty(error: IntakeError | AccessError) -> dict[str, object]:
    """An item that could not be judged: denied, and told why, while the others are answered."""
    status = 400 if isinstance(error, IntakeError) else 403
    return {"decision": False, "context": {"error": {"status": status, "message": str(error)}}}


def _ends(semantic: Semantic, *, allowed: bool) -> bool:
    match semantic:
        case Semantic.EXECUTE_ALL:
            return False
        case Semantic.DENY_ON_FIRST_DENY:
            return not allowed
        case Semantic.PERMIT_ON_FIRST_PERMIT:
            return allowed


def _items(members: Mapping[str, object]) -> list[_Item]:
    """Each evaluation with the members that it takes over from the top; raises `IntakeError`."""
    listed = members["evaluations"]
    if not isinstance(listed, list):
        raise IntakeError("/evaluations", expected="a list", found="something else")
    if len(listed) > MAX_ITEMS:
        raise IntakeError("/evaluations", expected=f"at most {MAX_ITEMS} items", found=f"{len(listed)}")
    # An id answers one request; one for a whole batch would make its second item a repetition of the first.
    shared = {n: value for n, value in members.items() if n not in {"evaluations", "options", "request_id"}}
    items = []
    for place, item in enumerate(listed):
        if not isinstance(item, dict):
            raise IntakeError(f"/evaluations/{place}", expected="an object", found="something else")
        items.append({**shared, **item, **_completed(shared, item)})
    return items


def _completed(shared: Mapping[str, object], item: Mapping[str, object]) -> _Item:
    """Entities replace those at the top as a whole, but for the members without which they are none."""
    completed: _Item = {}
    for name, needed in _NEEDED.items():
        own, default = item.get(name), shared.get(name)
        if isinstance(own, dict) and isinstance(default, dict):
            completed[name] = {**{part: default[part] for part in needed if part in default}, **own}
    return completed


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


async def _members(request: HttpRequest) -> dict[str, object]:
    """The members of the body; raises `IntakeError` where it is no JSON object or not said to be one."""
    sent = guard.header(request.scope, b"content-type")
    if sent != "application/json" and sent.partition(";")[0].strip().lower() != "application/json":
        raise IntakeError("", expected="the content type `application/json`", found=f"`{sent[:64]}`")
    # Whole and within its cap: the front has seen to that. The framework's way to it is a generator of pieces.
    message = await request.receive()
    return dict(intake.parse(message.get("body", b"")))


def _json(body: object) -> Response:
    return Reply(_encode(body))


ROUTES: tuple[tuple[str, str, Act | None, Answering], ...] = (
    ("POST", ENDPOINTS["access_evaluation_endpoint"], Act.EVALUATE, evaluation),
    ("POST", ENDPOINTS["access_evaluations_endpoint"], Act.EVALUATE, evaluations),
    *(("POST", ENDPOINTS[f"search_{one}_endpoint"], Act.SEARCH, searching(one)) for one in Sought),
    ("GET", "/.well-known/authzen-configuration", None, discovery),
    ("GET", "/.well-known/authzen-configuration/{tenant}", None, discovery),
)
"""Method, path, what whoever calls must be allowed to do (None for everybody), and who answers."""
