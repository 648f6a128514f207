"""The queue: what waits for people, the earliest deadline first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.core.access import Act
from demur.core.review import ReviewState

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit

SHOWN = 50


async def queue(visit: Visit) -> Response:
    """The reviews that wait."""
    found = await visit.run(lambda: visit.gate.reviews(states=(ReviewState.PENDING,), limit=SHOWN))
    return visit.show("queue.html", reviews=found)


PAGES = (Page("/desk", Act.REVIEW_READ, queue, title="Queue", group="Desk"),)
