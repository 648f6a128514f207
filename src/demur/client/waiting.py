"""Deferrals that can be waited for: the service is asked again and again how the review stands.

A review that nobody ruled on is denied at its deadline (S7.3), and one of which nothing can be learned is pending: only
the service's own word makes it approved. After an approval the program asks for the action again, and gets its grant.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.review import Deferral, ReviewState
from demur.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 10.0
_FACTOR = 1.5


class Pending(Deferral, frozen=True, kw_only=True):
    """A deferral that a `Client` was given."""

    ask: Callable[[str, float], ReviewState]

    def wait(self, timeout: float) -> ReviewState:
        """How the review stands as soon as it is settled, or `pending_review` after `timeout` seconds.

        Raises `AccessError` where the credential does not serve any more.
        """
        return self.ask(self.review_id, timeout)


class AsyncPending(Deferral, frozen=True, kw_only=True):
    """A deferral that an `AsyncClient` was given."""

    ask: Callable[[str, float], Coroutine[object, object, ReviewState]]

    async def wait(self, timeout: float) -> ReviewState:  # noqa: ASYNC109  (the same name as where it blocks)
        """As `Pending.wait`."""
        return await self.ask(self.review_id, timeout)


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
