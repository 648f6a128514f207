"""The part of a gate that those use who wait for people: follow a review, take a deferral up, give it up.

`Gateway` is the whole of it.

Clauses: S7.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from demur.core import intake
from demur.core.review import ReviewState
from demur.core.task import Problem
from demur.desk import Desk
from demur.errors import RulingError
from demur.operating import LOCAL
from demur.steps import requesting
from demur.steps import telling as news
from demur.steps.requesting import Submission
from demur.steps.telling import News

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.intake import Caller
    from demur.core.task import Task
    from demur.ports import Transaction
    from demur.steps.requesting import Callback, Notice

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.02, 1.0
"""Between two looks at a review that somebody waits for."""
MAX_REASON = 4_000


class Reviewing(Desk):
    """What whoever asked for an action may do about its review."""

    def wait(self, review_id: str, timeout_seconds: float) -> ReviewState:
        """The state of a review once it is not pending any more, or when the time is over. Blocks.

        An approval is no grant: ask for the action again, with the same arguments (S7.2). Raises `RulingError` where
        there is no such review, and `StoreError`.
        """
        end = time.monotonic() + timeout_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            state = self._world.store.read(lambda tx: _state(tx, review_id))
            left = end - time.monotonic()
            if state is not ReviewState.PENDING or left <= 0:
                return state
            time.sleep(min(pause, left))
            pause = min(LAST_PAUSE_SECONDS, pause * 1.5)

    def request_access(
        self,
        request: bytes | str | Mapping[str, object],
        *,
        evaluation_id: str,
        caller: Caller = LOCAL,
        key: str = "",
        body: str = "",
        said: bytes = b"",
        callback: Callback | None = None,
    ) -> Task | Problem:
        """Take up a deferral (its `audit_id`) for the very action that was deferred; the task that its review is.

        The same `key` with the same `body` gives the same task. Raises `IntakeError` and `StoreError`.
        """
        active = self._in_force()
        asked = Submission(
            evaluation_id=evaluation_id,
            request=intake.read(request, active.policies.schema, caller=caller),
            key=key,
            body=body,
            said=said,
            callback=callback,
        )
        return self._do(active, lambda session: requesting.submit(session, asked))

    def task(self, review_id: str, *, caller: str = LOCAL.id) -> Task | None:
        """A review as this caller may follow it; `None` where it is not theirs. Raises `StoreError`."""
        return self._world.store.read(lambda tx: requesting.find(self._world, tx, caller, review_id))

    def cancel_request(self, review_id: str, *, caller: str = LOCAL.id, reason: str = "") -> Task | Problem:
        """Give up a review that was opened for this caller; raises `StoreError`."""
        text = reason[:MAX_REASON]
        ended = self._do(self._in_force(), lambda session: requesting.cancel(session, caller, review_id, text))
        if not isinstance(ended, Problem):
            told = {"review_id": ended.id, "status": ended.state.value}
            news.tell_news(self._world, [News("governance.review.cancelled", ended.id, dict(told))])
        return ended

    def callbacks(self, *, most: int = 16) -> tuple[Notice, ...]:
        """The callbacks that are due, each to be settled; raises `StoreError`."""
        if not self._world.store.read(requesting.has_due):
            return ()
        return self._do(self._active, lambda session: requesting.due(session, most=most))

    def settle_callback(self, notice_id: str, *, is_told: bool) -> None:
        """Whether a callback arrived; raises `StoreError`."""
        self._do(self._active, lambda session: requesting.settle(session, notice_id, is_told=is_told))


def _state(tx: Transaction, review_id: str) -> ReviewState:
    found = requesting.state_of(tx, review_id)
    if found is None:
        raise RulingError(f"there is no review `{review_id[:64]}`")
    return found
