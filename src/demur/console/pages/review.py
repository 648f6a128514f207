"""One review on one screen: all that somebody needs to decide it well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.core.access import Act
from demur.server.problems import NotFoundError

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit


async def review(visit: Visit) -> Response:
    """What waits, why, and what a verdict does."""
    named = visit.path("review")
    found = await visit.run(lambda: visit.gate.review(named))
    if found is None:
        raise NotFoundError("expected the id of a review that this caller may see, found another")
    return visit.show("review.html", review=found.review, request=found, told=found.to_dict())


PAGES = (Page("/desk/reviews/{review}", Act.REVIEW_READ, review, title="Review"),)
