"""Decision -> Deferral, and the Review that waits for people: a state machine of pure functions.

- An approval satisfies exactly the review rules it names, by id and digest, for one action, subject, actor and log
  (S7.1); what it names is fixed when the review is opened.
- It takes a quorum of distinct people with the role that each rule asks for. One denial denies.
- Silence is denial: past its deadline a review is denied, and a late verdict is refused (S7.3).
- Nobody rules on their own request, nor on one made on their behalf (S7.2).
- An approval is used by one grant. If that grant expires unredeemed, the approval is free again (S7.1).

    pending -> approved -> reserved -> executed        reserved -> approved (the grant expired unredeemed)
            -> denied
            -> expired
            -> cancelled (by whoever asked)

Clauses: S7.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core import lever
from demur.core.refusal import Refusal
from demur.core.terms import Audience, Outcome, Timestamp
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from demur.core.policy.document import Rule


class ReviewState(StrEnum):
    """Where a review stands."""

    PENDING = "pending_review"
    APPROVED = "approved"
    RESERVED = "reserved"
    EXECUTED = "executed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Verdict(StrEnum):
    """What a reviewer says."""

    APPROVE = "approve"
    REJECT = "reject"


class Reviewer(msgspec.Struct, frozen=True):
    """A person who proved by a credential who they are, with the roles they hold."""

    name: str
    roles: frozenset[str]


class Panel(msgspec.Struct, frozen=True):
    """What one review rule asks for: `quorum` distinct people with `role`. `rule` and `digest` name the rule."""

    rule: str
    digest: str
    role: str
    quorum: int


class Ruling(msgspec.Struct, frozen=True):
    """One verdict as kept: the reviewer's pseudonym and roles; the reason lies in the vault of record `sequence`."""

    reviewer: str
    roles: tuple[str, ...]
    verdict: Verdict
    at: Timestamp


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A deferred action that waits for people. It names nobody: who asked for what lies in the vault."""

    id: str
    panels: tuple[Panel, ...]
    opened_at: Timestamp
    deadline: Timestamp
    risk: str = "medium"
    state: ReviewState = ReviewState.PENDING
    rulings: tuple[Ruling, ...] = ()
    grant_id: str = ""
    approved_until: Timestamp | None = None
    """An approval that nobody used by then is worth nothing; as long as the review could have waited."""
    opened_by: str = ""
    """Of a review afterwards, the pseudonym of the operator whose broken glass is reviewed; may not rule on it."""

    def state_at(self, now: Timestamp) -> ReviewState:
        """The state at an instant: what waits past its time has expired, whether or not anybody noted it (S7.3)."""
        limit = self.deadline if self.state is ReviewState.PENDING else self.approved_until
        is_waiting = self.state in {ReviewState.PENDING, ReviewState.APPROVED}
        return ReviewState.EXPIRED if is_waiting and limit is not None and now >= limit else self.state


class Deferral(msgspec.Struct, frozen=True, kw_only=True):
    """A defer: nothing may be carried out; review `review_id` waits for people until `deadline`, then it is denied."""

    review_id: str
    deadline: Timestamp
    refusal: Refusal
    """The "no" that stands until somebody approves: the same words and conditions as a refusal."""

    @property
    def outcome(self) -> Outcome:
        """Always `defer`."""
        return Outcome.DEFER

    @property
    def audit_id(self) -> str:
        """The record of this decision."""
        return self.refusal.audit_id

    @property
    def checkpoint(self) -> str:
        """The newest signed checkpoint of the ledger when this left; "" where none."""
        return self.refusal.checkpoint

    def to_dict(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> dict[str, object]:
        """The AuthZEN evaluation response of wire.md for this audience."""
        answer = self.refusal.to_dict(audience=audience, locale=locale)
        context = answer["context"]
        if isinstance(context, dict):
            context["deferral"] = {
                "status": ReviewState.PENDING.value,
                "review_id": self.review_id,
                "estimated_resolution": str(self.deadline),
                "deadline": str(self.deadline),
                "timeout_action": "deny",
                "resolution_endpoint": f"/reviews/{self.review_id}/status",
            }
        return answer


def open_review(review_id: str, rules: Iterable[Rule], *, now: Timestamp) -> Review:
    """The review that these rules ask for; its deadline is the earliest that any of them sets."""
    asked = [(rule, rule.panel) for rule in rules if rule.panel is not None]
    risks = {panel.risk for _, panel in asked}
    return Review(
        id=review_id,
        panels=tuple(Panel(rule.id, rule.digest, panel.role, panel.quorum) for rule, panel in asked),
        opened_at=now,
        deadline=now.plus(min(panel.seconds for _, panel in asked)),
        risk=next((risk for risk in _RISKS if risk in risks), "medium"),
    )


_RISKS = ("critical", "high", "medium", "low")


def open_afterwards(review_id: str, *, now: Timestamp, opened_by: str) -> Review:
    """A review of what was done behind broken glass (S12). It approves nothing: what it is about has been granted."""
    panel = Panel(lever.REVIEW_AFTERWARDS, "", lever.ROLE, 1)
    deadline = now.plus(lever.REVIEW_SECONDS)
    return Review(id=review_id, panels=(panel,), opened_at=now, deadline=deadline, risk="critical", opened_by=opened_by)


def rule(review: Review, ruling: Ruling, *, reviewer: Reviewer, barred: Collection[str], now: Timestamp) -> Review:
    """The review after one more verdict; raises `RulingError` where that person may not rule, or not now.

    `barred` are the names that a conflict of interest excludes: the requester and everybody acted for (S7.2).
    """
    state = review.state_at(now)
    if state is ReviewState.EXPIRED:
        message = f"the deadline {review.deadline} has passed; the action is denied"
        raise RulingError(message, hint="the requester can ask again, which opens another review")
    if state is not ReviewState.PENDING:
        message = f"expected a pending review, found one that is {state.value}"
        raise RulingError(message)
    if reviewer.name in barred:
        message = f"`{reviewer.name}` asked for this action or is acted for, so somebody else must decide"
        raise RulingError(message)
    if not any(panel.role in reviewer.roles for panel in review.panels):
        needed = ", ".join(sorted({f"`{panel.role}`" for panel in review.panels}))
        message = f"expected a reviewer with the role {needed}, found `{reviewer.name}` without it"
        raise RulingError(message)
    if review.opened_by and review.opened_by == ruling.reviewer:
        message = f"`{reviewer.name}` broke the glass, so somebody else must review what was done"
        raise RulingError(message)
    if any(earlier.reviewer == ruling.reviewer for earlier in review.rulings):
        message = f"`{reviewer.name}` has ruled on this review already"
        raise RulingError(message, hint="a quorum takes distinct people")
    rulings = (*review.rulings, ruling)
    until = Timestamp(now.nanos + review.deadline.nanos - review.opened_at.nanos)
    return msgspec.structs.replace(review, rulings=rulings, state=_state(review.panels, rulings), approved_until=until)


def _state(panels: Iterable[Panel], rulings: tuple[Ruling, ...]) -> ReviewState:
    if any(ruling.verdict is Verdict.REJECT for ruling in rulings):
        return ReviewState.DENIED
    has_quorum = all(sum(panel.role in ruling.roles for ruling in rulings) >= panel.quorum for panel in panels)
    return ReviewState.APPROVED if has_quorum else ReviewState.PENDING


def expire(review: Review) -> Review:
    """The review denied by silence."""
    return msgspec.structs.replace(review, state=ReviewState.EXPIRED)


def cancel(review: Review) -> Review:
    """The review that its requester does not wait for any more. Nothing is approved by it, now or later."""
    return msgspec.structs.replace(review, state=ReviewState.CANCELLED)


def reserve(review: Review, grant_id: str) -> Review:
    """The approval, set aside for one grant."""
    return msgspec.structs.replace(review, state=ReviewState.RESERVED, grant_id=grant_id)


def execute(review: Review) -> Review:
    """The approval, used up by a redeemed grant."""
    return msgspec.structs.replace(review, state=ReviewState.EXECUTED)


def covers(review: Review, rules: Iterable[Rule]) -> bool:
    """Whether this review asks about all of these rules, unchanged, so that no other needs to be opened."""
    named = {(panel.rule, panel.digest) for panel in review.panels}
    return all((rule.id, rule.digest) in named for rule in rules)


__all__ = [
    "Deferral",
    "Panel",
    "Review",
    "ReviewState",
    "Reviewer",
    "Ruling",
    "Verdict",
    "cancel",
    "covers",
    "execute",
    "expire",
    "open_review",
    "reserve",
    "rule",
]
