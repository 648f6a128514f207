"""Review -> Task: a review as whoever asked for the action follows it, in the words of AuthZEN's profile.

- The task is the review: what was deferred waits for people whether or not anybody submitted it.
- A task leaves `pending` once. An approval that a grant stands on, or that nobody used in time, was still an approval;
  whether it may be used is for the gate to find out when the action is asked for again (S7.1).
- Who rules and by which rule is not told: how many of the steps are done, and in the end what those wrote who decided,
  which is for the requester (S10).

Source: OpenID AuthZEN Access Request and Approval Profile 1.0, draft 1. Clauses: S7, S10.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.review import ReviewState
from demur.core.terms import Timestamp

if TYPE_CHECKING:
    from demur.core.review import Review


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Problem(StrEnum):
    """Why an access request was not taken, or not acted upon; each ends a problem type of the profile."""

    NOT_REQUESTABLE = "not_requestable"
    EXPIRED_DENIAL = "expired_denial"
    INVALID_DENIAL_BINDING = "invalid_denial_binding"
    DUPLICATE_REQUEST = "duplicate_request"
    UNKNOWN_TASK = "unknown_task"
    INVALID_TASK_STATE = "invalid_task_state"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A review as its requester may see it. `approved_until` ends the use of an approval."""

    id: str
    state: ReviewState
    status: TaskStatus
    opened_at: Timestamp
    expires_at: Timestamp
    done: int
    needed: int
    approved_at: Timestamp | None = None
    approved_until: Timestamp | None = None
    grant_id: str = ""
    """The grant that stands on the approval."""
    reason: str = ""
    """What those wrote who decided; "" while it is open, and where that was erased."""

    @property
    def is_ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status is not TaskStatus.PENDING


def of(review: Review, now: Timestamp) -> Task:
    """The task that a review is, at an instant."""
    status = _status(review, now)
    is_approved = status is TaskStatus.APPROVED
    met = [sum(panel.role in ruling.roles for ruling in review.rulings) for panel in review.panels]
    return Task(
        id=review.id,
        state=review.told_at(now),
        status=status,
        opened_at=review.opened_at,
        expires_at=review.deadline,
        done=sum(min(count, panel.quorum) for count, panel in zip(met, review.panels, strict=True)),
        needed=sum(panel.quorum for panel in review.panels),
        approved_at=review.rulings[-1].at if is_approved and review.rulings else None,
        approved_until=review.approved_until if is_approved else None,
        grant_id=review.grant_id if is_approved else "",
    )


def _status(review: Review, now: Timestamp) -> TaskStatus:
    match review.state:
        case ReviewState.APPROVED | ReviewState.RESERVED | ReviewState.EXECUTED:
            return TaskStatus.APPROVED
        case ReviewState.DENIED:
            return TaskStatus.DENIED
        case ReviewState.CANCELLED | ReviewState.SUPERSEDED:
            return TaskStatus.CANCELLED
        case ReviewState.EXPIRED:
            return TaskStatus.EXPIRED
        case ReviewState.PENDING | ReviewState.ASSIGNED:
            return TaskStatus.PENDING if now < review.deadline else TaskStatus.EXPIRED
