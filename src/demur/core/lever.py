"""The operator's levers: stops that refuse every matching request, and glass that a named person broke for a while.

- A stop covers every action, actions by pattern, one actor, or such actions of one actor. While it is on, what it
  covers is refused and no grant for it is redeemed. It ends only when an operator releases it.
- An opening (break-glass) is for one subject and given actions, and ends by itself. What the policies deny that subject
  is then granted, for at most 60 seconds, once, and a review of the use is opened.
- A categorical denial stays, and so does one where a categorical rule cannot be excluded. A deferral stays too: there a
  person decides already. So does a denial because the duties of permits contradict each other, which no grant can keep.
- A stop comes before an opening. Actors and subjects are pseudonyms here: the state names nobody.

Clauses: S12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.decision import explain
from demur.core.grant import Objection
from demur.core.policy import duties, patterns
from demur.core.policy.document import Obligation
from demur.core.policy.explanation import Truth
from demur.core.terms import Bar, Category, Disposition, Effect, Outcome, Timestamp
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection

    from demur.core.decision import Decision
    from demur.core.policy.duties import Duties

ROLE = "operator"
"""The role that a person needs to move a lever, and to review what was done behind broken glass."""
DEFAULT_SECONDS = 15 * 60
MAX_SECONDS = 60 * 60
"""How long an opening may last: unless said otherwise, and at most."""
MAX_GRANT_SECONDS = 60
"""How long a grant lives that an opening gave."""
REVIEW_SECONDS = 7 * 24 * 3_600
"""How long the use of an opening waits for its review."""
MAX_LEVERS = 256
"""Stops, and openings, at a time: each is looked at for every request."""
MAX_PATTERN = 128
REVIEW_AFTERWARDS = "review_afterwards"
"""The type of the obligation of a grant that an opening gave. Demur carries it out; executors need not know it."""


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A kill switch that is on. No `actions` means every action, no `actor` every actor."""

    id: str
    since: Timestamp
    operator: str
    sequence: int = 0
    actions: tuple[str, ...] = ()
    actor: str = ""

    def covers(self, action: str, actor: str) -> bool:
        """Whether this stops the action of that actor."""
        is_about = not self.actor or self.actor == actor
        return is_about and (not self.actions or any(patterns.matches(item, action) for item in self.actions))


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Glass that was broken for one subject and the actions that match, until `until`."""

    id: str
    opened_at: Timestamp
    until: Timestamp
    operator: str
    subject: str
    actions: tuple[str, ...]
    sequence: int = 0

    def covers(self, action: str, subject: str, now: Timestamp) -> bool:
        """Whether this is open now for the action of that subject."""
        return (
            now < self.until
            and self.subject == subject
            and any(patterns.matches(item, action) for item in self.actions)
        )


class Levers(msgspec.Struct, frozen=True):
    """The stops that are on and the openings, the oldest first."""

    stops: tuple[Stop, ...] = ()
    openings: tuple[Opening, ...] = ()

    def stop_of(self, action: str, actor: str) -> Stop | None:
        """The first stop that covers the action of that actor."""
        return next((stop for stop in self.stops if stop.covers(action, actor)), None)

    def opening_of(self, action: str, subject: str, now: Timestamp) -> Opening | None:
        """The first opening that covers the action of that subject."""
        return next((opening for opening in self.openings if opening.covers(action, subject, now)), None)

    def is_open(self, opening_id: str, now: Timestamp) -> bool:
        """Whether this opening has ended neither by itself nor by an operator."""
        return any(opening.id == opening_id and now < opening.until for opening in self.openings)


NONE = Levers()


def with_stop(levers: Levers, stop: Stop) -> Levers:
    """The levers with one more stop; raises `RulingError` where just this is on already."""
    for other in levers.stops:
        if (set(other.actions), other.actor) == (set(stop.actions), stop.actor):
            message = f"just this is stopped already, by `{other.id}`"
            raise RulingError(message, hint="`demur lever list` shows what is on")
    _check_room(len(levers.stops))
    return msgspec.structs.replace(levers, stops=(*levers.stops, stop))


def without_stop(levers: Levers, stop_id: str) -> Levers:
    """The levers without this stop; raises `RulingError` where it is not on."""
    rest = tuple(stop for stop in levers.stops if stop.id != stop_id)
    if len(rest) == len(levers.stops):
        message = f"expected a stop that is on, found `{stop_id[:64]}`"
        raise RulingError(message, hint="`demur lever list` shows what is on")
    return msgspec.structs.replace(levers, stops=rest)


def with_opening(levers: Levers, opening: Opening) -> Levers:
    """The levers with one more opening; raises `RulingError` where it names no action."""
    if not opening.actions:
        message = "expected the actions that glass is broken for, found none"
        raise RulingError(message, hint="name them, such as `refund` or `account.*`")
    _check_room(len(levers.openings))
    return msgspec.structs.replace(levers, openings=(*levers.openings, opening))


def without_opening(levers: Levers, opening_id: str) -> Levers:
    """The levers without this opening; raises `RulingError` where it is not open."""
    rest = tuple(opening for opening in levers.openings if opening.id != opening_id)
    if len(rest) == len(levers.openings):
        message = f"expected an opening that has not ended, found `{opening_id[:64]}`"
        raise RulingError(message, hint="`demur lever list` shows what is open")
    return msgspec.structs.replace(levers, openings=rest)


def ended(levers: Levers, now: Timestamp) -> tuple[Opening, ...]:
    """The openings whose time has passed, which nobody ended."""
    return tuple(opening for opening in levers.openings if now >= opening.until)


def check_seconds(seconds: int) -> int:
    """The length of an opening, unchanged; raises `RulingError` where it is none or too long."""
    if not 0 < seconds <= MAX_SECONDS:
        message = f"expected 1 to {MAX_SECONDS} seconds, found {seconds}"
        raise RulingError(message, hint=f"what takes longer than {MAX_SECONDS // 60} minutes belongs into the policies")
    return seconds


def check_actions(actions: Collection[str], declared: Collection[str]) -> tuple[str, ...]:
    """The patterns, each once; raises `RulingError` for one that no declared action matches.

    A lever that is about nothing would look moved and do nothing, which is the last thing to find out later.
    """
    wanted = tuple(dict.fromkeys(actions))
    for pattern in wanted:
        if not 0 < len(pattern) <= MAX_PATTERN:
            message = f"expected a pattern of 1 to {MAX_PATTERN} characters, found {len(pattern)}"
            raise RulingError(message)
        if declared and not any(patterns.matches(pattern, name) for name in declared):
            message = f"expected a pattern that matches a declared action, found `{pattern}`"
            raise RulingError(message, hint=f"declared are: {', '.join(sorted(declared)[:20])}")
    return wanted


def duties_of(decision: Decision) -> Duties | None:
    """What an opening's grant is tied to where the policies deny; `None` where the denial stays.

    The duties are those of the permits that hold: what an executor must do when it acts, it must do here too. One that
    is not registered for them gets nothing (S6.4).
    """
    if decision.outcome is not Outcome.DENY or decision.category is Category.CATEGORICAL:
        return None
    policies, request = decision.policy_set, decision.facts.request
    final = [
        rule.id
        for rule in policies.candidates(request.action, request.resource.type)
        if rule.effect is Effect.FORBID and rule.category is Category.CATEGORICAL
    ]
    told = explain(decision.facts, policies, decision, rules=final).rules if final else ()
    if any(rule.truth is not Truth.FALSE for rule in told):
        return None
    tied = duties.combine([policies.rule(name) for name in decision.permits])
    understands = decision.facts.understands
    is_beyond = understands is not None and not understands.issuperset(item.type for item in tied.obligations)
    return None if tied.contradictions or is_beyond else tied


def to_review(opening_id: str, review_id: str) -> Obligation:
    """The obligation of a grant that an opening gave, with where it is reviewed."""
    return Obligation(
        id="break-glass", type=REVIEW_AFTERWARDS, properties={"break_glass": opening_id, "review": review_id}
    )


def stopped() -> Objection:
    """Why a grant cannot be redeemed while a stop covers it. The grant stays, and is good again once released."""
    return Objection(
        code="stopped",
        category=Category.STATE_CONFLICT,
        disposition=Disposition.WAIT,
        explanation="an operator has stopped this for the time being",
        bar=Bar.STOPPED,
    )


def quarantined() -> Objection:
    """Why a grant cannot be redeemed while its session is quarantined (S6.2). Lifted in time, it is good again."""
    return Objection(
        code="quarantined",
        category=Category.STATE_CONFLICT,
        disposition=Disposition.SEEK_AUTHORITY,
        explanation="nothing is carried out in this session while it is under quarantine",
        bar=Bar.QUARANTINED,
    )


def glass_ended() -> Objection:
    """Why a grant that an opening gave cannot be redeemed after its end."""
    return Objection(
        code="glass_ended",
        category=Category.STATE_CONFLICT,
        disposition=Disposition.RETRY_AFTER,
        explanation="the exception that this grant stands on has ended; ask again",
    )


def _check_room(count: int) -> None:
    if count >= MAX_LEVERS:
        message = f"expected at most {MAX_LEVERS} of these at a time, found one more"
        raise RulingError(message, hint="use a wider pattern, and release what is not needed")
