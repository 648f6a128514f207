"""Deferrals that can be waited for: the service is asked again and again how the review stands, and then claimed.

A review that nobody ruled on is denied at its deadline (S7.3), and one of which nothing can be learned is pending: only
the service's own word ends it. What came of it is claimed, which judges the very action again; a claim whose answer is
lost is repeated, since it gives the same grant. So a service that is restarted meanwhile costs time and nothing else.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from demur.core.review import ReviewState
from demur.errors import AnswerError
from demur.waiting import Bound

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from demur.core.evidence import Answer

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 5.0
_FACTOR = 1.5


class AsyncPending(Bound, frozen=True, kw_only=True, dict=True, eq=False):
    """A deferral that an `AsyncClient` was given."""

    async def wait(self, timeout_seconds: float) -> Answer:
        """What came of the review: the `Grant`, or the `Refusal` with what the reviewer wrote; this deferral where that
        takes longer than `timeout_seconds`.

        Whatever fails on the way ends in `unavailable`, never in a grant. Raises `AccessError` where the credential
        does not serve any more, and `IntakeError` where the request had secret arguments, which are not kept.
        """
        resume = cast("Callable[[AsyncPending, float], Coroutine[object, object, Answer]]", self.resume)
        return await resume(self, timeout_seconds)


def pauses() -> Iterator[float]:
    """How long to wait before each look, in seconds: short at first, then longer."""
    seconds = FIRST_SECONDS
    while True:
        yield seconds
        seconds = min(seconds * _FACTOR, LONGEST_SECONDS)


def read_state(members: Mapping[str, object]) -> ReviewState:
    """How a review stands, from its status document; raises `AnswerError`."""
    said = members.get("status")
    try:
        return ReviewState(said) if isinstance(said, str) else _none()
    except ValueError as error:
        raise AnswerError(f"expected the status of a review, found `{str(said)[:40]}`") from error


def _none() -> ReviewState:
    raise AnswerError("expected the status of a review, found none")
