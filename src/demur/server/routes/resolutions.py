"""What becomes of a review, for whoever asked for the action: asked for, streamed, and claimed as a grant.

- Each sees the reviews that were opened for it, or that it took up, and no other. That somebody looks at one is not
  told.
- What those wrote who decided is for the requester. It is told to nobody any more once that person was erased.
- A claim judges the very action that was deferred again; the grant of an approval is one possible answer (S7.2).

Clauses: S7, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from demur.core import access
from demur.core.access import Act
from demur.core.grant import Grant
from demur.core.review import ReviewState
from demur.core.terms import Outcome, to_json
from demur.errors import IntakeError
from demur.server import authzen, problems, streaming
from demur.server.events import HEARTBEAT_SECONDS, Feed
from demur.server.problems import NotFoundError
from demur.server.route import Call, Route
from demur.server.service import caller_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from demur.core.task import Task

POLL_SECONDS = 5
MAX_FOLLOWERS = 1_000
"""Requesters of one tenant that listen at a time; others ask."""
MAX_MARK = 64
CLAIMABLE = (ReviewState.APPROVED, ReviewState.RESERVED)
_encode = msgspec.json.Encoder().encode


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a review stands, for whoever asked. Approved, it is claimed at `claim_endpoint`."""

    review_id: str
    status: str
    deadline: str
    timeout_action: str
    approved_until: str = ""
    reason: str = ""
    """What those wrote who decided, a line for each of them."""
    claim_endpoint: str = ""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation response, as for the action itself. `action_intent` is the action, narrowed as granted."""

    decision: bool
    context: dict[str, Any]
    action_intent: dict[str, Any]


async def status(call: Call) -> object:
    """Where the review of an action stands that this caller asked for."""
    task = await _task(call)
    waiting = {} if task.is_ended else {"Retry-After": str(POLL_SECONDS)}
    return Response(_encode(_told(call, task)), 200, waiting, "application/json")


async def follow(call: Call) -> object:
    """Where a review of this caller stands, as server-sent events: now, and whenever that changes, until it has ended.

    An event is a status. Whoever comes back with `Last-Event-ID` is told only what changed since.
    """
    task = await _task(call)
    known = call.request.headers.get("last-event-id", "")
    if len(known) > MAX_MARK:
        raise IntakeError("", expected="the id of an event in `Last-Event-ID`", found=f"{len(known)} characters")
    return streaming.send(call, _statuses(call, task, known))


async def claim(call: Call) -> object:
    """What came of a review: the grant of the very action that was deferred, or what stands in the way by now.

    While the grant lives, the same one again. Only whoever asked for the action first may (409).
    """
    named, identity = call.path("review"), call.identity
    if call.service.is_full:
        return problems.unavailable(authzen.tell(call.service, call.gate.turn_away(), call.request))
    await _task(call)
    answer = await call.run(
        lambda: call.gate.claim(
            named,
            caller=caller_of(identity),
            may_speak_for=lambda subject: access.check_subject(identity, subject),
        )
    )
    told = authzen.tell(call.service, answer, call.request)
    if answer.outcome is Outcome.UNAVAILABLE:
        return problems.unavailable(told)
    if isinstance(answer, Grant):
        resource = {"type": answer.resource.type, "id": answer.resource.id}
        told["action_intent"] = {
            "name": answer.action,
            "properties": to_json(answer.arguments),
            "resource": resource,
        }
    else:
        context = told["context"]
        refused = context["refusal"]["refused_action"] if isinstance(context, dict) else {}
        told["action_intent"] = refused
    return told


async def _statuses(call: Call, task: Task, known: str) -> AsyncGenerator[bytes, None]:
    left = (task.expires_at.nanos - call.service.clock.now().nanos) / 1e9
    # Silence makes no record, so a deadline is looked at with the heartbeat.
    heartbeat = min(HEARTBEAT_SECONDS, max(0.5, left + 0.1))
    world = call.parts.world
    feed = call.service.feeds.setdefault(f"{call.identity.tenant}/requesters", Feed(world.store, most=MAX_FOLLOWERS))
    async for chunk in feed.follow(None, heartbeat=heartbeat, review=task.id):
        if not chunk.startswith(b"id:"):
            yield chunk
        now = await _find(call)
        if now is None:
            return
        if (mark := f"{now.status.value}-{now.done}") != known:
            known = mark
            yield f"id: {mark}\nevent: status\ndata: ".encode() + _encode(_told(call, now)) + b"\n\n"
        if now.is_ended:
            return


def _told(call: Call, task: Task) -> Status:
    return Status(
        review_id=task.id,
        status=task.state.value,
        deadline=str(task.expires_at),
        timeout_action="deny",
        approved_until=str(task.approved_until or ""),
        reason=task.reason,
        claim_endpoint=f"{call.service.base_url}/reviews/{task.id}/claim" if task.state in CLAIMABLE else "",
    )


async def _find(call: Call) -> Task | None:
    return await call.run(lambda: call.gate.task(call.path("review"), caller=call.identity.id))


async def _task(call: Call) -> Task:
    task = await _find(call)
    if task is None:
        # The same words whether there is none or it is not theirs.
        raise NotFoundError("expected the id of a review that this caller may see, found another")
    return task


ROUTES = (
    Route("GET", "/reviews/{review}/status", Act.TASK, status, answers=Status),
    Route("GET", "/reviews/{review}/events", Act.TASK, follow, media_type=streaming.MEDIA_TYPE),
    Route("POST", "/reviews/{review}/claim", Act.TASK, claim, answers=Claimed),
)
