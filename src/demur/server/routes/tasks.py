"""Access requests: a deferral is taken up, its task followed and given up (AuthZEN's profile).

The task is the review that the deferral opened. Approved, the action is asked for again, or claimed, which judges it
again too; nothing else grants it.

Source: OpenID AuthZEN Access Request and Approval Profile 1.0, draft 1. Clauses: S1.4, S7.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from demur.core import canonical, intake
from demur.core.access import Act
from demur.core.task import Problem, Task
from demur.errors import IntakeError
from demur.server import callbacks, problems
from demur.server.profiles import REQUESTS
from demur.server.route import Call, Route
from demur.server.service import caller_of, check_subject
from demur.steps.requesting import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

ERROR = "urn:openid:authzen:access-request:error:"
MAX_KEY = 255
MAX_STATE = 1_024
MAX_SAID = 16 * 1024
"""Bytes of what a requester may say for the record."""
POLL_SECONDS = 5
_PROBLEMS: Mapping[Problem, tuple[int, str]] = {
    Problem.NOT_REQUESTABLE: (400, "This denial cannot be taken up"),
    Problem.INVALID_DENIAL_BINDING: (400, "This is not the action that was deferred for this caller"),
    Problem.EXPIRED_DENIAL: (410, "The time for this has passed; ask for the action again"),
    Problem.DUPLICATE_REQUEST: (409, "The idempotency key was used for something else"),
    Problem.UNKNOWN_TASK: (404, "There is no such task for this caller"),
    Problem.INVALID_TASK_STATE: (409, "The task has ended"),
}
_encode = msgspec.json.Encoder().encode


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """The denied evaluation, as its `context` told of it."""

    evaluation_id: str
    expires_at: str
    evaluated_at: str = ""
    reason: str = ""
    template: str = ""


class Calling(msgspec.Struct, frozen=True, kw_only=True):
    """Where to say that the task has ended: an HTTPS URL of a host that the service was configured for."""

    endpoint: str
    state: str = ""
    events: tuple[str, ...] = ()


class Submitting(msgspec.Struct, frozen=True, kw_only=True):
    """The action exactly as it was denied, and the denial."""

    subject: dict[str, Any]
    action: dict[str, Any]
    resource: dict[str, Any]
    denial: Denial
    context: dict[str, Any] = {}
    requested_access: dict[str, Any] = {}
    client: dict[str, Any] = {}
    callback: Calling | None = None


class Cancelling(msgspec.Struct, frozen=True, kw_only=True):
    """Why it is given up; for the record."""

    reason: str = ""
    comment: str = ""


class Tasked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The task, and once it is approved how to go on: ask for the action again."""

    task: dict[str, Any]
    result: dict[str, Any] = {}


async def submit(call: Call) -> object:
    """Take up a deferral.

    With an `Idempotency-Key`, the same request sent again gives the same task.
    """
    asked = call.given(Submitting)
    members = intake.parse(await call.request.body())
    if "items" in members:
        raise IntakeError("/items", expected="one action for each request", found="several")
    check_subject(call.identity, members)
    callback = _callback(call, asked.callback)
    said, key = _said(asked), _key(call)
    digest = hashlib.sha256(canonical.encode(members)).hexdigest()
    found = await call.run(
        lambda: call.gate.request_access(
            members,
            evaluation_id=asked.denial.evaluation_id,
            caller=caller_of(call.identity),
            key=key,
            body=digest,
            said=said,
            callback=callback,
        )
    )
    if isinstance(found, Problem):
        return problem(found)
    place = status_endpoint(call.service.base_url, found)
    return _answer(call, found, 201 if found.is_ended else 202, {"Location": place})


async def show(call: Call) -> object:
    """Where a task of this caller stands."""
    found = await call.run(lambda: call.gate.task(call.path("task"), caller=call.identity.id))
    return problem(Problem.UNKNOWN_TASK) if found is None else _answer(call, found)


async def cancel(call: Call) -> object:
    """Give up a task that has not ended. Only whoever asked for the action first may."""
    why = await _reason(call)
    found = await call.run(lambda: call.gate.cancel_request(call.path("task"), caller=call.identity.id, reason=why))
    return problem(found) if isinstance(found, Problem) else _answer(call, found)


def status_endpoint(base_url: str, task: Task) -> str:
    """Where a task is asked for."""
    return f"{base_url}{REQUESTS}/{task.id}"


def problem(which: Problem) -> Response:
    """The problem document of the profile."""
    status, title = _PROBLEMS[which]
    body = {"type": ERROR + which.value, "title": title, "status": status}
    return Response(_encode(body), status, media_type=problems.MEDIA_TYPE)


def handle(base_url: str, task: Task) -> dict[str, object]:
    """The task as the profile writes it."""
    place = status_endpoint(base_url, task)
    told: dict[str, object] = {
        "id": task.id,
        "status": task.status.value,
        "status_endpoint": place,
        "expires_at": str(task.expires_at),
    }
    if not task.is_ended:
        told["progress"] = {"current_step": min(task.done + 1, task.needed), "total_steps": task.needed}
        told["links"] = {"cancel": f"{place}/cancel"}
    return told | ({"reason": task.reason} if task.reason else {})


def _answer(call: Call, task: Task, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    told: dict[str, object] = {"task": handle(call.service.base_url, task)}
    if task.approved_until is not None:
        approval = {"id": task.id, "approved_at": str(task.approved_at), "approved_until": str(task.approved_until)}
        claim = f"{call.service.base_url}/reviews/{task.id}/claim"
        told["result"] = {"mode": "reevaluate", "approval": approval, "claim_endpoint": claim}
    waiting = {} if task.is_ended else {"Retry-After": str(POLL_SECONDS)}
    return Response(_encode(told), status, {**waiting, **(headers or {})}, "application/json")


def _callback(call: Call, asked: Calling | None) -> Callback | None:
    if asked is None:
        return None
    callbacks.check(asked.endpoint, call.service.settings.callbacks)
    if len(asked.state) > MAX_STATE:
        raise IntakeError("/callback/state", expected=f"at most {MAX_STATE} characters", found=f"{len(asked.state)}")
    if unknown := sorted(set(asked.events).difference(callbacks.EVENTS)):
        known = ", ".join(f"`{name}`" for name in sorted(callbacks.EVENTS))
        raise IntakeError("/callback/events", expected=f"some of {known}", found=f"`{unknown[0][:40]}`")
    return Callback(asked.endpoint, asked.state, asked.events)


def _said(asked: Submitting) -> bytes:
    said = {"context": asked.context, "requested_access": asked.requested_access, "client": asked.client}
    kept = {name: value for name, value in said.items() if value}
    raw = _encode(kept) if kept else b""
    if len(raw) > MAX_SAID:
        raise IntakeError("/context", expected=f"at most {MAX_SAID} bytes for the record", found=f"{len(raw)}")
    return raw


def _key(call: Call) -> str:
    key = call.request.headers.get("idempotency-key", "").strip()
    if len(key) > MAX_KEY:
        raise IntakeError("", expected=f"an `Idempotency-Key` of at most {MAX_KEY} characters", found=f"{len(key)}")
    return key


async def _reason(call: Call) -> str:
    if not await call.request.body():
        return ""
    try:
        asked = msgspec.convert(intake.parse(await call.request.body()), Cancelling)
    except msgspec.ValidationError as error:
        raise IntakeError("", expected="an object with `reason` and `comment`", found="something else") from error
    return " ".join(text for text in (asked.reason, asked.comment) if text)


ROUTES = (
    Route(
        "POST",
        REQUESTS,
        Act.TASK,
        submit,
        reads=Submitting,
        answers=Tasked,
        status=202,
        example={
            "subject": {"type": "user", "id": "eda"},
            "action": {"name": "send_document", "properties": {"recipient": "ann@example.org"}},
            "resource": {"type": "document", "id": "handbook"},
            "denial": {"evaluation_id": "default/41", "expires_at": "2026-11-20T13:00:00Z"},
        },
    ),
    Route("GET", REQUESTS + "/{task}", Act.TASK, show, answers=Tasked),
    Route("POST", REQUESTS + "/{task}/cancel", Act.TASK, cancel, answers=Tasked),
)
