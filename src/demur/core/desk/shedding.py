"""When the desk is full: whether another deferral is queued, and when to ask again for one that is not.

- The lowest risks are turned away first, as the policies declare; a risk that no line names is always queued.
- What is turned away is denied, never allowed, and may be asked for again.
- The time to ask again is honest: when as many reviews as are too many are likely to have ended, at the pace that was
  measured, and not before what the policies declare.

Clauses: S3.2, S7.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

import msgspec

from demur.core.desk import hours
from demur.core.desk.risk import Risk
from demur.core.terms import Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.desk.plan import Desk, Shed
    from demur.core.desk.timing import Service

MAX_AGAIN_SECONDS = 14 * 86_400
"""The farthest time to ask again that is told (S9.2)."""


class Overload(msgspec.Struct, frozen=True):
    """A deferral is not queued: so many wait, the limit for its risk, and when to ask again."""

    waiting: int
    limit: int
    risk: Risk
    again: Timestamp

    def to_dict(self) -> dict[str, Union[int, str]]:
        """As the record of the deny tells it."""
        return {"waiting": self.waiting, "limit": self.limit, "risk": self.risk.value, "again": str(self.again)}


def find(desk: Desk, risk: Risk, waiting: int) -> Shed | None:
    """The declared line by which a deferral of this risk is turned away while so many wait."""
    hit = [item for item in desk.shed if waiting >= item.over and risk.rank <= item.up_to.rank]
    return min(hit, key=lambda item: item.over, default=None)


def again(
    desk: Desk,
    line: Shed,
    waiting: int,
    service: Service | None,
    now: Timestamp,
    offset: Callable[[str, Timestamp], int],
) -> Timestamp:
    """When it makes sense to ask again."""
    least = now.plus(line.again)
    if service is None:
        return least
    room = hours.after(desk.hours, now, (waiting - line.over + 1) * service.pace, offset)
    return min(max(least, room), now.plus(MAX_AGAIN_SECONDS))
