"""The part of a gate that goes on where an answer was "wait": until people have decided, and on to the grant.

    answer = gate.decide(request)
    if isinstance(answer, demur.Deferral):
        answer = answer.wait(3_600)          # a Grant, a Refusal, or the Deferral where nobody decided yet

A deferral that a gate gave knows the gate; the deferral itself stays a plain value. It is equal to one that knows none,
encodes and pickles as such, and whoever gets it so claims by the review's id.

Clauses: S5.2, S7.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union, cast

import msgspec

from demur.core import evidence, refusal
from demur.core.review import Deferral, ReviewState
from demur.core.terms import Timestamp
from demur.errors import ConfigurationError, LedgerError, RulingError, StoreError
from demur.operating import LOCAL
from demur.reviewing import Reviewing
from demur.steps import claiming, deciding, telling
from demur.steps.world import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demur.core.evidence import Answer
    from demur.core.grant import Grant
    from demur.core.intake import Caller
    from demur.core.refusal import Refusal
    from demur.core.terms import Entity, Request
    from demur.steps.attesting import Verify
    from demur.steps.claiming import Claim
    from demur.steps.session import Session
    from demur.steps.world import Active, World

FAILURES = (StoreError, LedgerError, OSError)
"""What a port may raise: the question could not be answered, so the answer is `unavailable`."""
_PAUSE_SECONDS = 1.0
"""Between two looks where the store could not be read."""


class Bound(Deferral, frozen=True, kw_only=True, dict=True, eq=False):
    """A deferral that knows who gave it, and is otherwise the plain value that it would be without."""

    @property
    def resume(self) -> object:
        """What goes on with it; raises `ConfigurationError` where this is a copy."""
        found: object = self.__dict__.get("giver")
        if found is None:
            raise ConfigurationError(
                "expected a deferral as a gate gave it, found a copy",
                hint="claim what came of it by the review's id: `gate.claim(review_id)`",
            )
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Deferral) and plain(self) == plain(other)

    def __hash__(self) -> int:
        return hash((self.review_id, self.deadline))

    def __reduce__(self) -> str | tuple[object, ...]:
        return plain(self).__reduce__()


class Pending(Bound, frozen=True, kw_only=True, dict=True, eq=False):
    """A deferral that can be waited for."""

    def wait(self, timeout_seconds: float) -> Answered:
        """What came of the review, as soon as it is decided: the `Grant`, or the `Refusal` with what the reviewer
        wrote; this deferral where that takes longer than `timeout_seconds`. Blocks.

        Whatever fails on the way ends in `unavailable`, never in a grant. Raises `IntakeError` where the request had
        secret arguments, which are not kept: then the action is asked for again.
        """
        return cast("Callable[[Pending, float], Answered]", self.resume)(self, timeout_seconds)


Kind = TypeVar("Kind", bound=Bound)
Answered: TypeAlias = Union["Grant", "Refusal", Pending]
"""What leaves a gate: a deferral that can be waited for, or one of the two others."""


def bind(deferral: Deferral, kind: type[Kind], giver: object) -> Kind:
    """The deferral as one of this kind, that knows who gave it."""
    bound = kind(**_fields(deferral))
    bound.__dict__["giver"] = giver
    return bound


def plain(deferral: Deferral) -> Deferral:
    """The deferral as a value that knows nobody."""
    return Deferral(**_fields(deferral))


def _fields(deferral: Deferral) -> dict[str, Any]:
    return {name: getattr(deferral, name) for name in Deferral.__struct_fields__}


class Waiting(Reviewing):
    """What whoever asked for an action may do once people have decided about it."""

    def __init__(
        self,
        world: World,
        active: Active,
        *,
        deadline_seconds: float,
        verify: Verify,
        received: Sequence[str] = (),
    ) -> None:
        super().__init__(world, active, deadline_seconds=deadline_seconds, verify=verify, received=received)
        self._outage = Outage()

    def claim(
        self, review_id: str, *, caller: Caller = LOCAL, may_speak_for: Callable[[Entity], object] = lambda _: None
    ) -> Answered:
        """What came of a review, for the caller it was opened for: the grant of the very action that was deferred.

        The action is judged again as of now (S7.2), so a `Refusal` says what stands in the way by now, a `Deferral`
        that people have to decide yet. While a grant that was claimed lives, claiming again gives the same one.
        `may_speak_for` gets the subject, and raises where the caller may not speak for it any more.

        Raises `RulingError` where no such review was opened for this caller, and `IntakeError` where the request
        cannot be put together again: it had secret arguments, or the schema is another one.
        """
        active = self._active
        try:
            found = self._world.store.read(lambda tx: claiming.find(self._world, active, tx, review_id, caller))
        except FAILURES as error:
            return self._unavailable(str(error))
        may_speak_for(found.asked.request.subject)
        request = found.asked.request
        try:
            answer = self._claimed(self._in_force(), found)
        except FAILURES as error:
            return self._unavailable(str(error), request)
        return self._bound(evidence.with_checkpoint(answer, self._world.checkpoints.newest), caller)

    def too_late(self, request: Request | None = None) -> Refusal:
        """What whoever waited for a `submit` too long is told; counted like every `unavailable` (S5.2)."""
        return self._unavailable("the deadline passed before the answer was recorded", request)

    def turn_away(self) -> Refusal:
        """What whoever is not even let in is told, where too much is asked at once; counted as `unavailable` (S5.2)."""
        return self._unavailable("too much is asked at once")

    def _claimed(self, active: Active, found: Claim) -> Answer:
        prepared = deciding.prepare(self._world, active, found.asked)
        told: list[telling.News] = []

        def work(session: Session) -> Answer:
            answer = claiming.claim(session, found, prepared)
            told.extend(session.news)
            return answer

        answer = self._do(active, work)
        if claiming.is_judged(answer, found):
            telling.tell(self._world, answer, found.asked.request)
        telling.tell_news(self._world, told)
        return answer

    def _bound(self, answer: Answer, caller: Caller) -> Answered:
        """The answer; a deferral as one that can be waited for."""
        if not isinstance(answer, Deferral):
            return answer

        def resume(pending: Pending, seconds: float) -> Answered:
            return self._resume(pending, seconds, caller)

        return bind(answer, Pending, resume)

    def _resume(self, pending: Pending, timeout_seconds: float, caller: Caller) -> Answered:
        end = time.monotonic() + timeout_seconds
        why = ""
        while (left := end - time.monotonic()) > 0 or not why:
            try:
                state = self.wait(pending.review_id, max(0.0, left))
            except RulingError as error:  # the store is another one, or forgot
                return self._unavailable(str(error))
            except FAILURES as error:
                why = str(error)
                time.sleep(max(0.0, min(_PAUSE_SECONDS, left)))
                continue
            if state is ReviewState.PENDING:
                return pending
            return self._claim_safely(pending.review_id, caller)
        return self._unavailable(why)

    def _claim_safely(self, review_id: str, caller: Caller) -> Answered:
        try:
            return self.claim(review_id, caller=caller)
        except RulingError as error:
            return self._unavailable(str(error))

    def _now(self) -> Timestamp:
        """The time, or the beginning of time where even the clock fails: to refuse must always be possible."""
        try:
            return self._world.clock.now()
        except FAILURES:
            return Timestamp(0)

    def _unavailable(self, why: str, request: Request | None = None) -> Refusal:
        now = self._now()
        self._outage.note(now)
        refused = refusal.unavailable(why, now=now, request=request)
        refused = msgspec.structs.replace(refused, checkpoint=self._world.checkpoints.newest)
        telling.tell(self._world, refused, request)
        return refused
