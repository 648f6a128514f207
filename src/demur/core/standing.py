"""Standing approvals: people approve in advance what would otherwise be deferred each time, within bounds.

- One satisfies exactly one review rule, by id and digest: a rule that was changed defers again (S7.1).
- It covers one action on one type of resource, for the subject, actor and resource that it names, and only arguments
  within its bounds. An argument that it does not mention is not covered.
- It takes the quorum of the rule: distinct people with the role that the rule asks for. None of them may be, or act
  for, whoever it is for (S7.2).
- It can be used so many times, until it expires, at most `scope.MAX_DAYS` after it was opened. Each use is one grant;
  one that was not redeemed is given back.
- It is a fact, judged again: a forbid wins over it, and so does an Unknown (S3.2).
- What it holds names nobody: subjects, actors, resources and single values are blinded (S5.5).

    waiting (for the quorum) -> live -> revoked
                             -> expired                     used up and void are seen, not kept: both can end again

Clauses: S3.2, S5.5, S7.1, S7.2.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from demur.core import canonical
from demur.core.schema import argument_path
from demur.core.scope import ANY, Number, Scope
from demur.core.terms import Timestamp, Value, to_json
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demur.core.panel import Reviewer
    from demur.core.policy.document import Panel, Rule
    from demur.core.terms import Entity, Request

MAX_LIVE = 256
"""Standing approvals that wait or live at a time, in one log."""
MAX_ENDED = 64
"""Those that ended which are still listed; the ledger has them all."""


class StandingState(StrEnum):
    """Where a standing approval stands. `USED_UP` and `VOID` are worked out from uses and policies, and not kept."""

    WAITING = "waiting"
    LIVE = "live"
    USED_UP = "used_up"
    VOID = "void"
    REVOKED = "revoked"
    EXPIRED = "expired"

    @property
    def is_kept(self) -> bool:
        """Whether it may still be used, now or later."""
        return self in {StandingState.WAITING, StandingState.LIVE, StandingState.USED_UP, StandingState.VOID}


class Name(msgspec.Struct, frozen=True, array_like=True):
    """Somebody or something, blinded: an exact name where `length` is -1, else the first `length` characters of it."""

    length: int
    mark: str


class Fence(msgspec.Struct, frozen=True, array_like=True):
    """A bound as kept: numbers as they are, single values blinded."""

    lowest: Number | None = None
    highest: Number | None = None
    marks: tuple[str, ...] = ()
    may_be_absent: bool = False


class Signer(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who granted it: the pseudonym, a mark by which their own requests are known, and their record."""

    person: str
    own: str
    at: Timestamp
    sequence: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A standing approval as kept."""

    id: str
    rule: str
    digest: str
    role: str
    quorum: int
    action: str
    resource_type: str
    subject: Name
    actor: Name
    resource: Name
    arguments: dict[str, Fence]
    uses: int
    opened_at: Timestamp
    expires_at: Timestamp
    state: StandingState = StandingState.WAITING
    signers: tuple[Signer, ...] = ()

    @property
    def sequence(self) -> int:
        """The record that opened it, where the scope is sealed."""
        return self.signers[0].sequence

    def state_at(self, now: Timestamp, *, used: int = 0, digest: str | None = "") -> StandingState:
        """The state at an instant, after so many uses; `digest` is the rule's by now, `None` where it is gone, "" where
        that does not matter.
        """
        if not self.state.is_kept:
            return self.state
        if now >= self.expires_at:
            return StandingState.EXPIRED
        if digest not in {"", self.digest}:
            return StandingState.VOID
        is_used_up = self.state is StandingState.LIVE and used >= self.uses
        return StandingState.USED_UP if is_used_up else self.state


class Book(msgspec.Struct, frozen=True):
    """All standing approvals that wait or live, the oldest first, and those that ended last."""

    items: tuple[Standing, ...] = ()
    ended: tuple[Standing, ...] = ()

    def find(self, standing_id: str) -> Standing:
        """The one of this id that has not ended; raises `RulingError`."""
        for one in self.items:
            if one.id == standing_id:
                return one
        for one in self.ended:
            if one.id == standing_id:
                raise RulingError(f"expected a standing approval that is in force, found one that is {one.state.value}")
        raise RulingError(f"there is no standing approval `{standing_id[:64]}`")

    def with_(self, one: Standing) -> Book:
        """The book with this one in its place, or at the end."""
        if any(known.id == one.id for known in self.items):
            return Book(tuple(one if known.id == one.id else known for known in self.items), self.ended)
        return Book((*self.items, one), self.ended)

    def without(self, ended: Standing) -> Book:
        """The book in which this one has ended."""
        items = tuple(known for known in self.items if known.id != ended.id)
        return Book(items, (*self.ended, ended)[-MAX_ENDED:])


NONE = Book()


class Marker(Protocol):
    """Blinds names and values; a subject by their own key, so that nothing finds them once they were erased."""

    def subject(self, name: str) -> str:
        """The mark of a whole subject."""

    def text(self, kind: str, text: str) -> str:
        """The mark of anything else."""


def close(scope: Scope, rule: Rule, panel: Panel, marker: Marker, *, standing_id: str, now: Timestamp) -> Standing:
    """The standing approval as kept, before anybody granted it."""
    fences = {
        path: Fence(
            bound.at_least,
            bound.at_most,
            tuple(value_mark(marker, path, item) for item in bound.one_of),
            bound.may_be_absent,
        )
        for path, bound in scope.arguments.items()
    }
    return Standing(
        id=standing_id,
        rule=rule.id,
        digest=rule.digest,
        role=panel.role,
        quorum=panel.quorum,
        action=scope.action,
        resource_type=scope.resource_type,
        subject=_blinded("subject", scope.subject, marker),
        actor=_blinded("actor", scope.actor, marker),
        resource=_blinded("resource", scope.resource, marker),
        arguments=fences,
        uses=scope.uses,
        opened_at=now,
        expires_at=scope.expires_at,
    )


def sign(
    standing: Standing, signer: Signer, reviewer: Reviewer, *, barred: Collection[str], now: Timestamp
) -> Standing:
    """The standing approval after one more person granted it; raises `RulingError` where that person may not.

    `barred` are the names of whoever it is for, where it names somebody (S7.2).
    """
    state = standing.state_at(now)
    if state is not StandingState.WAITING:
        raise RulingError(f"expected a standing approval that waits for people, found one that is {state.value}")
    if standing.role not in reviewer.roles:
        raise RulingError(f"expected a reviewer with the role `{standing.role}`, found `{reviewer.name}` without it")
    if reviewer.name in barred:
        raise RulingError(f"`{reviewer.name}` is who this is for, so somebody else must grant it")
    if any(signer.person == earlier.person for earlier in standing.signers):
        raise RulingError(f"`{reviewer.name}` has granted this already", hint="a quorum takes distinct people")
    signers = (*standing.signers, signer)
    state = StandingState.LIVE if len(signers) >= standing.quorum else StandingState.WAITING
    return msgspec.structs.replace(standing, signers=signers, state=state)


def covers(standing: Standing, request: Request, marker: Marker) -> bool:
    """Whether this request lies within what was approved. Nobody's own requests are covered by what they granted."""
    if (standing.action, standing.resource_type) != (request.action, request.resource.type):
        return False
    if not all(
        _is_named(name, kind, entity, marker)
        for name, kind, entity in (
            (standing.subject, "subject", request.subject),
            (standing.actor, "actor", request.actor),
            (standing.resource, "resource", request.resource),
        )
    ):
        return False
    people = (request.subject.id, request.actor.id, request.caller, request.caller.partition(":")[2])
    own = {marker.text("own", who) for who in people}
    if any(signer.own in own for signer in standing.signers):
        return False
    given = {argument_path(name): value for name, value in request.arguments.items()}
    return given.keys() <= standing.arguments.keys() and all(
        _is_within(fence, path, given, marker) for path, fence in standing.arguments.items()
    )


def value_mark(marker: Marker, path: str, value: Value) -> str:
    """The mark of one value of an argument; 1 and 1.0 are one value, as in action digests."""
    return marker.text(f"value {path}", canonical.encode(to_json(value)).decode())


def _is_within(fence: Fence, path: str, given: Mapping[str, Value], marker: Marker) -> bool:
    if path not in given:
        return fence.may_be_absent
    value = given[path]
    if fence.marks:
        return value_mark(marker, path, value) in fence.marks
    if fence.lowest is None and fence.highest is None:
        return True
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return (fence.lowest is None or fence.lowest <= value) and (fence.highest is None or value <= fence.highest)


def _blinded(kind: str, name: str, marker: Marker) -> Name:
    if name.endswith(ANY):
        return Name(len(name) - 1, marker.text(kind, name[:-1]))
    return Name(-1, marker.subject(name) if kind == "subject" else marker.text(kind, name))


def _is_named(name: Name, kind: str, entity: Entity, marker: Marker) -> bool:
    whole = entity.name
    # A type with a colon in it must not pass for a type and the beginning of an id.
    if ":" in entity.type or len(whole) < name.length:
        return False
    if name.length < 0:
        return (marker.subject(whole) if kind == "subject" else marker.text(kind, whole)) == name.mark
    return marker.text(kind, whole[: name.length]) == name.mark


__all__ = [
    "MAX_LIVE",
    "NONE",
    "Book",
    "Fence",
    "Marker",
    "Name",
    "Signer",
    "Standing",
    "StandingState",
    "close",
    "covers",
    "sign",
    "value_mark",
]
