"""Decision -> Deferral, and the Review that waits for people: a state machine of pure functions.

- An approval satisfies exactly the review rules it names, by id and digest, for one action, subject, actor and log
  (S7.1); what it names is fixed when the review is opened.
- It takes a quorum of distinct people with the role that each rule asks for. One denial denies. Whoever ruled for
  somebody else stands for that person too: of the two, one verdict counts.
- While one person holds a review, nobody else rules on it. That ends by itself.
- Silence is denial: past its deadline a review is denied, and a late verdict is refused (S7.3).
- Nobody rules on their own request, nor on one made on their behalf (S7.2).
- An approval may be narrower than what was asked; of several, the narrowest counts (S3.5).
- An approval is used by one grant. If that grant expires unredeemed, the approval is free again (S7.1).

    pending <-> assigned        taken, given to somebody; given back, or the time of whoever held it is over
    pending, assigned -> approved -> reserved -> executed        reserved -> approved (the grant expired unredeemed)
                      -> denied
                      -> expired
                      -> cancelled (by whoever asked)
                      -> superseded (the policies ask something else by now)

Clauses: S3.5, S7. The whole of it: docs/spec/reviews.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core import lever, panel
from demur.core.desk.risk import Assessment
from demur.core.panel import Authority, Panel, Reviewer, Ruling, Verdict
from demur.core.policy import duties
from demur.core.policy.document import Narrowing
from demur.core.refusal import Refusal
from demur.core.terms import Audience, Outcome, Timestamp
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from demur.core.policy.document import Rule


class ReviewState(StrEnum):
    """Where a review stands. Whoever asked for the action is told `pending_review` for as long as it is open."""

    PENDING = "pending_review"
    ASSIGNED = "assigned"
    APPROVED = "approved"
    RESERVED = "reserved"
    EXECUTED = "executed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

    @property
    def is_open(self) -> bool:
        """Whether people may still rule."""
        return self in OPEN


OPEN = (ReviewState.PENDING, ReviewState.ASSIGNED)
"""The states in which a review waits for a verdict."""


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
    action: str = ""
    resource_type: str = ""
    asked_by: str = ""
    """The pseudonym of whoever would act."""
    holder: str = ""
    """The pseudonym of whoever is looking at it; what record `holding` says of them lies in the vault."""
    held_until: Timestamp | None = None
    holding: int = 0
    level: int = 0
    """How often it was escalated."""
    assessment: Assessment | None = None
    estimated: Timestamp | None = None
    """When it will probably be ruled on."""
    standing: str = ""
    """The standing approval that was used instead of people, "" for none."""
    narrows: tuple[Narrowing, ...] = ()
    """What those who approved made narrower, the narrowest of each argument, by name (S3.5)."""
    grant_seconds: int | None = None
    """How long a grant that stands on it may live at most, where those who approved said so."""

    def state_at(self, now: Timestamp) -> ReviewState:
        """The state at an instant: what waits past its time has expired, whether or not anybody noted it (S7.3)."""
        limit = self.deadline if self.state.is_open else self.approved_until
        is_waiting = self.state.is_open or self.state is ReviewState.APPROVED
        if is_waiting and limit is not None and now >= limit:
            return ReviewState.EXPIRED
        return ReviewState.PENDING if self.is_lapsed(now) else self.state

    def told_at(self, now: Timestamp) -> ReviewState:
        """The state as whoever asked for the action learns it, who is not told that somebody looks at it (S10)."""
        state = self.state_at(now)
        return ReviewState.PENDING if state.is_open else state

    def is_lapsed(self, now: Timestamp) -> bool:
        """Whether the time of whoever held it is over, so that somebody else may take it."""
        return self.state is ReviewState.ASSIGNED and self.held_until is not None and now >= self.held_until

    def holder_at(self, now: Timestamp) -> str:
        """The pseudonym of whoever holds it at an instant, "" where nobody does."""
        return self.holder if self.state_at(now) is ReviewState.ASSIGNED else ""


class Deferral(msgspec.Struct, frozen=True, kw_only=True):
    """A defer: nothing may be carried out; review `review_id` waits for people until `deadline`, then it is denied."""

    review_id: str
    deadline: Timestamp
    estimated: Timestamp | None = None
    """When people will probably have ruled, as far as that was measured; `None` where it is not known."""
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
                "estimated_resolution": str(self.estimated) if self.estimated else None,
                "deadline": str(self.deadline),
                "timeout_action": "deny",
                "resolution_endpoint": f"/reviews/{self.review_id}/status",
            }
        return answer


def open_review(review_id: str, rules: Iterable[Rule], *, now: Timestamp) -> Review:
    """The review that these rules ask for; its deadline is the earliest that any of them sets."""
    asked = [(rule, rule.panel) for rule in rules if rule.panel is not None]
    risks = {one.risk for _, one in asked}
    return Review(
        id=review_id,
        panels=tuple(Panel(rule.id, rule.digest, one.role, one.quorum) for rule, one in asked),
        opened_at=now,
        deadline=now.plus(min(one.seconds for _, one in asked)),
        risk=next((risk for risk in _RISKS if risk in risks), "medium"),
    )


_RISKS = ("critical", "high", "medium", "low")


def open_afterwards(review_id: str, *, now: Timestamp, opened_by: str) -> Review:
    """A review of what was done behind broken glass (S12). It approves nothing: what it is about has been granted."""
    asked = Panel(lever.REVIEW_AFTERWARDS, "", lever.ROLE, 1)
    deadline = now.plus(lever.REVIEW_SECONDS)
    return Review(id=review_id, panels=(asked,), opened_at=now, deadline=deadline, risk="critical", opened_by=opened_by)


def assign(
    review: Review, holder: str, until: Timestamp, now: Timestamp, *, is_instead: bool = False, sequence: int = 0
) -> Review:
    """The review, held by one person until an instant or its deadline; the same person may do so again, for longer.

    `is_instead` gives it to that person although somebody else holds it. Raises `RulingError` where it is not open or
    is held. Whether that person may rule is for `check_reviewer` to say.
    """
    check_open(review, now)
    if until <= now:
        message = f"expected to hold the review until a time to come, found {until}"
        raise RulingError(message)
    if not is_instead:
        _check_free(review, frozenset({holder}), now)
    return msgspec.structs.replace(
        review, state=ReviewState.ASSIGNED, holder=holder, held_until=min(until, review.deadline), holding=sequence
    )


def release(review: Review, holder: str, now: Timestamp) -> Review:
    """The review, given back by whoever holds it; raises `RulingError` where that is somebody else, or nobody."""
    check_open(review, now)
    if review.holder_at(now) != holder or not holder:
        found = "somebody else" if review.holder_at(now) else "nobody"
        message = f"expected to give back a review that this person holds, found that {found} holds it"
        raise RulingError(message)
    return lapse(review)


def lapse(review: Review) -> Review:
    """The review, held by nobody."""
    return msgspec.structs.replace(review, state=ReviewState.PENDING, holder="", held_until=None, holding=0)


def escalate(review: Review, panels: Sequence[Panel], level: int) -> Review:
    """The review, put before other people, held by nobody; its verdicts stay, and it is never settled by this.

    Raises `RulingError` where it is not open, `panels` are about other rules, or `level` is no step up.
    """
    if not review.state.is_open:
        message = f"expected an open review, found one that is {review.state.value}"
        raise RulingError(message)
    if {(one.rule, one.digest) for one in panels} != {(one.rule, one.digest) for one in review.panels}:
        message = "expected panels for the rules that this review is about, found others"
        raise RulingError(message, hint="an approval satisfies the rules that the review was opened for, and no other")
    if level <= review.level:
        message = f"expected a level above {review.level}, found {level}"
        raise RulingError(message)
    return msgspec.structs.replace(lapse(review), panels=tuple(panels), level=level)


def rule(
    review: Review,
    ruling: Ruling,
    *,
    reviewer: Reviewer,
    barred: Collection[str],
    now: Timestamp,
    lender: str = "",
    narrows: Sequence[Narrowing] = (),
    grant_seconds: int | None = None,
) -> Review:
    """The review after one more verdict; raises `RulingError` where that person may not rule, or not now.

    `barred` are the names that a conflict of interest excludes: the requester and everybody acted for (S7.2).
    `lender` is the name of the person in whose place the reviewer rules. `narrows` and `grant_seconds` are what this
    approval makes narrower than what was asked.
    """
    check_open(review, now)
    who = Authority(
        name=reviewer.name,
        pseudonym=ruling.reviewer,
        roles=frozenset(ruling.roles),
        lender=lender,
        lender_pseudonym=ruling.on_behalf,
    )
    check_reviewer(review, who, barred)
    _check_free(review, who.people, now)
    rulings = (*review.rulings, ruling)
    return msgspec.structs.replace(
        lapse(review),
        rulings=rulings,
        state=_STATES[panel.outcome(review.panels, rulings)],
        approved_until=Timestamp(now.nanos + review.deadline.nanos - review.opened_at.nanos),
        narrows=_narrower(review, ruling, narrows, grant_seconds),
        grant_seconds=min((one for one in (review.grant_seconds, grant_seconds) if one is not None), default=None),
    )


_STATES = {Verdict.APPROVE: ReviewState.APPROVED, Verdict.REJECT: ReviewState.DENIED, None: ReviewState.PENDING}


def check_reviewer(review: Review, who: Authority, barred: Collection[str]) -> None:
    """Raises `RulingError` where whoever this is may not rule on the review at all: see `panel.check`."""
    if review.opened_by in who.people:
        name = who.name if review.opened_by == who.pseudonym else who.lender
        message = f"`{name}` broke the glass, so somebody else must review what was done"
        raise RulingError(message)
    panel.check(review.panels, review.rulings, who, barred)


def check_open(review: Review, now: Timestamp) -> None:
    """Raises `RulingError` where the review waits for nobody any more, or its deadline has passed (S7.3)."""
    state = review.state_at(now)
    if state is ReviewState.EXPIRED:
        message = f"the deadline {review.deadline} has passed; the action is denied"
        raise RulingError(message, hint="the requester can ask again, which opens another review")
    if not state.is_open:
        message = f"expected a pending review, found one that is {state.value}"
        raise RulingError(message)


def _check_free(review: Review, people: frozenset[str], now: Timestamp) -> None:
    holder = review.holder_at(now)
    if holder and holder not in people:
        message = f"somebody else holds this review until {review.held_until}"
        raise RulingError(message, hint="it is free again when they give it back, and from that time on")


def _narrower(
    review: Review, ruling: Ruling, narrows: Sequence[Narrowing], grant_seconds: int | None
) -> tuple[Narrowing, ...]:
    if (narrows or grant_seconds is not None) and ruling.verdict is not Verdict.APPROVE:
        message = "expected an approval, found a denial that makes the action narrower"
        raise RulingError(message, hint="deny it as a whole, or approve less of it")
    if grant_seconds is not None and grant_seconds < 1:
        message = f"expected a grant that lives at least a second, found {grant_seconds}"
        raise RulingError(message)
    known: dict[str, list[Narrowing]] = {}
    for item in (*review.narrows, *narrows):
        known.setdefault(item.argument, []).append(item)
    kept: list[Narrowing] = []
    for name, parts in sorted(known.items()):
        narrowest = duties.narrowest(name, parts)
        if narrowest is None:
            message = f"what the approvals leave of `{name}` is empty"
            raise RulingError(message, hint="look at what the others approved, or deny")
        kept.append(narrowest)
    return tuple(kept)


def expire(review: Review) -> Review:
    """The review denied by silence."""
    return msgspec.structs.replace(lapse(review), state=ReviewState.EXPIRED)


def cancel(review: Review) -> Review:
    """The review that its requester does not wait for any more. Nothing is approved by it, now or later."""
    return msgspec.structs.replace(lapse(review), state=ReviewState.CANCELLED)


def supersede(review: Review) -> Review:
    """The review that nobody needs to rule on, since the policies ask something else by now. It approves nothing."""
    return msgspec.structs.replace(lapse(review), state=ReviewState.SUPERSEDED)


def reserve(review: Review, grant_id: str) -> Review:
    """The approval, set aside for one grant."""
    return msgspec.structs.replace(review, state=ReviewState.RESERVED, grant_id=grant_id)


def execute(review: Review) -> Review:
    """The approval, used up by a redeemed grant."""
    return msgspec.structs.replace(review, state=ReviewState.EXECUTED)


def covers(review: Review, rules: Iterable[Rule]) -> bool:
    """Whether this review asks about all of these rules, unchanged, so that no other needs to be opened."""
    named = {(one.rule, one.digest) for one in review.panels}
    return all((rule.id, rule.digest) in named for rule in rules)


__all__ = [
    "OPEN",
    "Deferral",
    "Panel",
    "Review",
    "ReviewState",
    "Reviewer",
    "Ruling",
    "Verdict",
    "assign",
    "cancel",
    "check_open",
    "check_reviewer",
    "covers",
    "escalate",
    "execute",
    "expire",
    "lapse",
    "open_review",
    "release",
    "reserve",
    "rule",
    "supersede",
]
