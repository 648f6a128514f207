"""What reviewers read of a service: lists of reviews, and one review. Raised, not answered, where nothing can be read.

Clauses: S7, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from demur.client import asking
from demur.errors import RulingError, StoreError

if TYPE_CHECKING:
    from demur.client.line import Reply


class ReviewPage(msgspec.Struct, frozen=True):
    """Reviews as JSON has them, the earliest deadline first; `next_token` gives the next page, "" at the end."""

    reviews: tuple[dict[str, object], ...]
    next_token: str


class _Page(msgspec.Struct):
    next_token: str = ""


class _Listed(msgspec.Struct):
    reviews: tuple[dict[str, object], ...]
    page: _Page


# Made here and not used: threads that convert into a type for the first time at the same moment crash the library.
_KNOWN = msgspec.json.Decoder(_Listed)


def path(review_id: str = "", /, **query: str | int) -> str:
    """Where reviews are listed by these filters; those that are empty are left out."""
    asked = urlencode({name: value for name, value in query.items() if value})
    return f"/reviews{review_id}" + (f"?{asked}" if asked else "")


def page(reply: Reply) -> ReviewPage:
    """The page that this is; raises as `members`."""
    try:
        found = msgspec.convert(members(reply), _Listed)
    except msgspec.ValidationError as error:
        raise StoreError(f"expected reviews from the service, found something else: {error}") from error
    return ReviewPage(found.reviews, found.page.next_token)


def members(reply: Reply) -> dict[str, object]:
    """The members of the reply; raises `AccessError`, `IntakeError`, `RulingError` where there is no such review, and
    `StoreError` for whatever else is no answer.
    """
    asking.raise_for(reply)
    if reply.status == 404:
        raise RulingError(str(reply.members.get("detail") or "there is no such review"))
    if reply.status != 200:
        raise StoreError(f"the reviews cannot be read: the service answered with the status {reply.status}")
    return reply.members
