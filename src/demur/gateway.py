"""The whole story: decide, redeem and complete, rule on a review. Order only; every rule lives in the core.

A request is answered in this order, and nothing is released before step 6 is durable:

1. intake      bytes -> Request, typed and digested; a malformed one is an error and nothing happens
2. resolution  only the facts that candidate rules read are fetched
3. under the append lock: an id seen before gets its stored answer; history is read; the policies judge
4. an approval that waits for this very action is a fact: judged again
5. the answer and its record, and the grant or the review, are one transaction
6. commit; then, and only then, the answer leaves and observers learn of it

Where any of this cannot be done, the answer is `unavailable`: a refusal, counted, with a gap record once records can
be written again (S5.2). There is no path on which a fault becomes a grant.

Clauses: S1 to S7, S11.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from typing import TYPE_CHECKING, Self

from demur.accounting import NO_RHYTHM
from demur.core import evidence
from demur.core.grant import Completion
from demur.core.record import Draft
from demur.errors import DemurError, IntakeError, OverloadedError, StoreError
from demur.operating import LOCAL
from demur.steps import (
    attesting,
    deciding,
    forgetting,
    inquiring,
    levers,
    redeeming,
    ruling,
    standing,
    superseding,
    telling,
)
from demur.steps.inquiring import Purpose
from demur.steps.session import Session
from demur.waiting import FAILURES, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from demur.core.evidence import Answer
    from demur.core.grant import Redemption
    from demur.core.intake import Caller
    from demur.core.record import Json
    from demur.core.refusal import Refusal
    from demur.core.terms import Request, Value
    from demur.ports import Transaction
    from demur.steps.attesting import Rhythm, Verify
    from demur.steps.deciding import Asked
    from demur.steps.inquiring import Inquired
    from demur.steps.telling import News
    from demur.steps.world import Active, Gap, World
    from demur.waiting import Answered

    _Refused = Callable[[BaseException, Request, list[Gap]], Refusal]
    _Bound = Callable[[Answer], Answer]

_logger = logging.getLogger("demur")

MAX_PREPARING = 8
"""Requests that wait for slow fact sources at a time, beside those whose callers wait themselves."""
MAX_WAITING = 4_096
"""Requests that may be on their way through the preparation; what comes beyond is refused at once."""


class Gateway(Waiting):
    """The gate. Safe to use from any thread; `submit` never blocks on the store, `decide` waits for the answer."""

    def __init__(
        self,
        world: World,
        active: Active,
        *,
        deadline_seconds: float = 10.0,
        verify: Verify = attesting.trust_nobody,
        received: Sequence[str] = (),
    ) -> None:
        super().__init__(world, active, deadline_seconds=deadline_seconds, verify=verify, received=received)
        self._pool = ThreadPoolExecutor(MAX_PREPARING, "demur-preparing")
        self._room = threading.BoundedSemaphore(MAX_WAITING)

    @property
    def policy_version(self) -> str:
        """The digest of the policies in force."""
        return self._active.digest

    def submit(self, request: bytes | str | Mapping[str, object], *, caller: Caller = LOCAL) -> Future[Answer]:
        """The Future of the answer to one request; raises `IntakeError` at once for a malformed one.

        The Future ends in a `Grant`, a `Refusal` (`unavailable` where nothing could be decided or recorded) or a
        `Deferral`, or in an `IntakeError` where its request id was used for another action.
        """
        active = self._active
        asked = deciding.ask(active, request, caller)
        reply = _Reply(self._world, asked.request, self._refused, lambda answer: self._bound(answer, caller))
        if asked.is_slow or self._is_received(asked.request):
            self._prepare_later(active, asked, reply)
        else:
            self._answer(active, asked, reply)
        return reply

    def decide(self, request: bytes | str | Mapping[str, object], *, caller: Caller = LOCAL) -> Answered:
        """The answer to one request, durable; `unavailable` where it did not come in time. Raises `IntakeError`."""
        active = self._active
        asked = deciding.ask(active, request, caller)
        reply = _Reply(self._world, asked.request, self._refused, lambda answer: self._bound(answer, caller))
        self._answer(active, asked, reply)
        try:
            return self._bound(reply.result(self._deadline_seconds), caller)
        except LateError:
            reply.cancel()
            return self.too_late(asked.request)

    def inquire(
        self,
        requests: Sequence[bytes | str | Mapping[str, object]],
        *,
        caller: Caller = LOCAL,
        purpose: Purpose = Purpose.EXPLAIN,
    ) -> tuple[Inquired, ...]:
        """What these requests would be answered, recorded as an inquiry: no grant, no review, no quota used (S5.3).

        Raises `IntakeError` for a malformed one, and `StoreError` where it cannot be recorded.
        """
        active = self._in_force()
        prepared = [deciding.prepare(self._world, active, deciding.ask(active, raw, caller)) for raw in requests]
        return self._do(active, lambda session: inquiring.inquire(session, prepared, purpose))

    def inquire_each(
        self,
        requests: Sequence[bytes | str | Mapping[str, object]],
        *,
        caller: Caller = LOCAL,
        purpose: Purpose = Purpose.BATCH,
    ) -> tuple[Inquired | IntakeError, ...]:
        """As `inquire`, but a malformed one has its error in its place and the others are judged."""
        active = self._in_force()
        asked = [_ask(active, raw, caller) for raw in requests]
        sound = [one for one in asked if not isinstance(one, IntakeError)]
        prepared = [deciding.prepare(self._world, active, one) for one in sound]
        if not prepared:
            return tuple(one for one in asked if isinstance(one, IntakeError))
        found = iter(self._do(active, lambda session: inquiring.inquire(session, prepared, purpose)))
        return tuple(one if isinstance(one, IntakeError) else next(found) for one in asked)

    def listed(self, path: str) -> tuple[str, ...]:
        """What is known of a part of a request, for searches: `action.name`, or ids that sources list. In order."""
        active = self._active
        return tuple(sorted(active.policies.schema.actions if path == "action.name" else active.sources.keys(path)))

    def redeem(
        self, token: str, arguments: Mapping[str, Value], *, understands: Collection[str] = ()
    ) -> Redemption | Refusal:
        """Use up a grant for exactly these arguments. Act only on a `Redemption`, and only once.

        `understands` are the obligation types that the executor carries out.
        """
        try:
            active = self._in_force()
            claim = redeeming.examine(self._world, active, token, arguments, understands)
            return self._do(active, lambda session: redeeming.redeem(session, claim))
        except FAILURES as error:
            return self._unavailable(str(error))

    def complete(self, grant_id: str, status: str) -> Refusal | None:
        """Record how the execution ended: `success`, `failure` or `unknown`. A refusal where it cannot be recorded."""
        how = Completion(status)
        try:
            return self._do(self._active, lambda session: redeeming.complete(session, grant_id, how))
        except FAILURES as error:
            return self._unavailable(str(error))

    def revoke(self, grant_id: str, *, credential: str = "", reason: str = "") -> Refusal | None:
        """Take back a grant that was not redeemed. A refusal where that is too late or cannot be recorded.

        An operator does it by `credential`, for a reason, and stands in the record; raises `RulingError` otherwise.
        """
        who = self._operator(credential, reason) if credential or reason else None
        try:
            return self._do(self._active, lambda session: redeeming.revoke(session, grant_id, who))
        except FAILURES as error:
            return self._unavailable(str(error))

    def activate(self, active: Active, policies: bytes, *, by: str = "local") -> None:
        """Put other policies in force. They are kept first, so that every decision can be judged again (S3.7).

        Raises `StoreError`, and then the policies that were in force still are.
        """
        digest = active.digest
        person = self._world.mark(f"reviewer:{by}", "reviewer")

        def work(session: Session) -> None:
            session.tx.put_blob(digest, policies)
            if session.tx.find_meta("policy_version") != digest.encode():
                entry = session.tx.append(Draft("policy_activated", {"policy_version": digest, "operator": person}))
                superseding.outdated(session, entry)
                session.tx.put_meta("policy_version", digest.encode())

        self._do(active, work)
        self._decide_by(active)

    def begin(self, *, was_clean: bool, rhythm: Rhythm = NO_RHYTHM) -> None:
        """Record the opening, and what nobody watched: a crash (a gap of unknown size), reviews that expired."""
        self._rhythm = rhythm

        def work(session: Session) -> None:
            attesting.start(session.tx, rhythm)
            if not was_clean:
                session.tx.append(Draft("gap", {"cause": "crash", "is_count_known": False}))
            forgetting.restored(session)
            forgetting.returned(session)
            ruling.expire_due(session)
            standing.end_due(session.tx)
            ruling.lapse_due(session)
            levers.current(session.tx)

        self._do(self._active, work)
        self.finish_erasures()

    def subscribe(self, subscriber: Callable[[Mapping[str, object]], object]) -> None:
        """Send every further event to `subscriber`, after it is durable. What the subscriber does changes nothing."""
        self._world.observer.subscribe(subscriber)

    def close(self) -> None:
        """Finish what is queued and let go of the store."""
        self._stop_pulse()
        self._pool.shutdown(wait=True)
        self._forget_at_last()
        self._record_gap_at_last()
        self._world.checkpoints.close()
        self._world.store.close()
        self._world.vault.close()
        self._active.sources.close()
        self._world.observer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare_later(self, active: Active, asked: Asked, reply: _Reply) -> None:
        if not self._room.acquire(blocking=False):
            reply.give_up(OverloadedError(f"{MAX_WAITING} requests wait for their facts already"))
            return
        self._pool.submit(self._answer, active, asked, reply).add_done_callback(lambda _: self._room.release())

    def _answer(self, active: Active, asked: Asked, reply: _Reply) -> None:
        """Steps 2 to 6. The reply ends after the commit, or in `unavailable`; it is never left hanging."""

        def work(tx: Transaction) -> Answer:
            self._record_gap(tx, reply.taken)
            session = Session(self._world, active, tx)
            reply.news = session.news
            return self._judge(session, prepared, received)

        is_queued = False
        try:
            self._in_force()
            received = self._receive(asked.request, reply) if self._is_received(asked.request) else None
            prepared = deciding.prepare(self._world, active, asked)
            self._world.store.submit(work, reply)
            is_queued = True
        except FAILURES as error:
            reply.give_up(error)
        finally:
            # Also where a defect ends this: whoever holds the reply must not wait for ever.
            if not is_queued and not reply.done():
                reply.give_up(DemurError("the request could not be prepared"))

    def _record_gap(self, tx: Transaction, taken: list[Gap]) -> None:
        gap = self._outage.take()
        if gap is not None:
            taken.append(gap)
            members: dict[str, Json] = {"count": gap.count, "first": str(gap.first), "last": str(gap.last)}
            tx.append(Draft("gap", {"cause": "unavailable", "is_count_known": True, **members}))

    def _record_gap_at_last(self) -> None:
        taken: list[Gap] = []
        try:
            self._world.store.submit(lambda tx: self._record_end(tx, taken)).result(self._deadline_seconds)
        except (StoreError, LateError):
            return

    def _forget_at_last(self) -> None:
        try:
            self.finish_erasures()
        except FAILURES:
            return

    def _record_end(self, tx: Transaction, taken: list[Gap]) -> None:
        self._record_gap(tx, taken)
        if self._rhythm.heartbeat_seconds:
            attesting.end(tx)

    def _refused(self, error: BaseException, request: Request, taken: list[Gap]) -> Refusal:
        """The answer where judging or recording failed; what was taken to be recorded is counted again."""
        for gap in taken:
            self._outage.add(gap)
        if not isinstance(error, FAILURES):
            _logger.error("a request could not be judged", exc_info=error)
        return self._unavailable(str(error), request)


def _ask(active: Active, raw: bytes | str | Mapping[str, object], caller: Caller) -> Asked | IntakeError:
    try:
        return deciding.ask(active, raw, caller)
    except IntakeError as error:
        return error


class _Reply(Future["Answer"]):
    """The Future that a caller holds: the store ends it, and a failure of the store ends it in `unavailable`."""

    def __init__(self, world: World, request: Request, refused: _Refused, bound: _Bound) -> None:
        super().__init__()
        self._bound = bound
        self._world = world
        self._request = request
        self._refused = refused
        self.taken: list[Gap] = []
        self.news: list[News] = []

    def set_result(self, result: Answer) -> None:
        checkpoints = self._world.checkpoints
        if checkpoints.newest:
            result = evidence.with_checkpoint(result, checkpoints.newest)
        super().set_result(self._bound(result))
        checkpoints.nudge()
        telling.tell(self._world, result, self._request)
        telling.tell_news(self._world, self.news)

    def set_exception(self, exception: BaseException | None) -> None:
        if exception is None or isinstance(exception, IntakeError):
            super().set_exception(exception)
        else:
            super().set_result(self._refused(exception, self._request, self.taken))

    def give_up(self, error: BaseException) -> None:
        """End in `unavailable`, unless the caller has stopped waiting."""
        if self.set_running_or_notify_cancel():
            self.set_exception(error)
