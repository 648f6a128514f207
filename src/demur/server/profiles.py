"""What AuthZEN's profiles add to an answer: obligations, requestable denials, and approvals that were used.

    {"decision": true,  "context": {"obligations": [{"id": ..., "type": ..., "properties": {...}, ...}], ...}}
    {"decision": false, "context": {"reason": "approval_required", "evaluation_id": "clinic/41", "evaluated_at": ...,
                                    "access_request": {"endpoint": ..., "expires_at": ..., "display": {...}}, ...}}

- A grant's obligations stand here in the profile's form, beside `grant.obligations`. The members of `properties` stand
  beside them too, where the profile has them. The review of broken glass is Demur's own and not among them.
- `context.approval` in a request is a hint: the gate looks approvals up by the action itself. What the hint says only
  decides how a "no" is put to whoever brought it, and it tells nobody about a review that is not theirs.

Source: OpenID AuthZEN Access Request and Approval Profile 1.0 and Obligations Profile 1.0, drafts 1. Clauses: S3.5,
S6.4, S7, S10.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from demur.core.grant import Grant
from demur.core.lever import REVIEW_AFTERWARDS
from demur.core.review import Deferral, ReviewState
from demur.core.task import TaskStatus
from demur.core.terms import Audience, Disposition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.evidence import Answer
    from demur.core.policy.document import Obligation
    from demur.core.task import Task
    from demur.gateway import Gateway

CAPABILITY = "urn:openid:authzen:capability:access-request"
REQUESTS = "/access/v1/requests"
OBLIGATIONS = ("custom", "notification", "session_termination", "step-up")
"""A policy may name any type; those that are not registered are `custom` ones, agreed on with the caller."""
_AGAIN = frozenset({Disposition.RETRY_AFTER, Disposition.WAIT, Disposition.SUPPLY_CONTEXT, Disposition.MODIFY})


def metadata(base_url: str) -> dict[str, object]:
    """What discovery says of the profiles."""
    return {"access_request_endpoint": base_url + REQUESTS, "obligations_supported": list(OBLIGATIONS)}


def extend(told: dict[str, object], answer: Answer, *, base_url: str, locale: str) -> dict[str, object]:
    """The evaluation response with what the profiles add."""
    context = told.get("context")
    if not isinstance(context, dict):
        return told
    if isinstance(answer, Grant):
        if carried := [_plain(item) for item in answer.obligations if item.type != REVIEW_AFTERWARDS]:
            context["obligations"] = carried
    elif isinstance(answer, Deferral):
        context |= _requestable(answer, base_url, locale)
    return told


def approval_of(members: Mapping[str, object]) -> str:
    """The approval that a request brings along; "" where it brings none."""
    context = members.get("context")
    approval = context.get("approval") if isinstance(context, dict) else None
    found = approval.get("id") if isinstance(approval, dict) else None
    return found if isinstance(found, str) else ""


async def mark(told: dict[str, object], answer: Answer, gate: Gateway, *, caller: str, approval: str) -> None:
    """What became of the approval that was brought along; changes no decision."""
    context = told["context"]
    task = await asyncio.to_thread(gate.task, approval, caller=caller) if len(approval) <= 64 else None
    if not isinstance(context, dict):
        return
    if isinstance(answer, Grant):
        if task is not None and task.grant_id == answer.id and task.approved_until is not None:
            context["approval"] = {"id": task.id, "approved_until": str(task.approved_until)}
        return
    refused = answer.refusal if isinstance(answer, Deferral) else answer
    context["reason"] = _why(task, answer)
    context["next_action"] = _next(answer, refused.reason_for(Audience.AGENT).disposition)


def _why(task: Task | None, answer: Answer) -> str:
    if task is None:
        return "approval_unverifiable"
    match task.status:
        case TaskStatus.PENDING:
            return "grant_pending"
        case TaskStatus.APPROVED if task.state is ReviewState.EXPIRED:
            return "approval_expired"
        case TaskStatus.APPROVED:
            return "out_of_scope" if isinstance(answer, Deferral) else "policy_denied"
        case TaskStatus.DENIED | TaskStatus.CANCELLED:
            return "policy_denied"
        case TaskStatus.EXPIRED:
            return "approval_expired"


def _next(answer: Answer, disposition: Disposition) -> str:
    if isinstance(answer, Deferral):
        return "request"
    return "retry" if disposition in _AGAIN else "none"


def _requestable(answer: Deferral, base_url: str, locale: str) -> dict[str, object]:
    refused = answer.refusal
    access: dict[str, object] = {
        "endpoint": base_url + REQUESTS,
        "expires_at": str(answer.deadline),
        "display": {
            "title": refused.wanted or str(refused.action.get("name", "")),
            "description": refused.explain(audience=Audience.END_USER, locale=locale),
        },
    }
    if template := refused.reason_for(Audience.AGENT).policy_reference:
        access["template"] = template
    return {
        "reason": "approval_required",
        "evaluation_id": answer.audit_id,
        "evaluated_at": str(refused.as_of),
        "access_request": access,
    }


def _plain(item: Obligation) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(item)
    beside = plain["properties"] if isinstance(plain["properties"], dict) else {}
    return {**beside, **plain}
