"""The grant that the present execution stands on, so that a meter next to the resource can name it.

`demur.guard` and `demur.permit` set it around what they let run, each thread and each task its own. Whoever executes
without them hands a `Carried` to the meter, made from the `Redemption`.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Carried:
    """A redeemed grant, and the key under which its arguments are marked for the meter."""

    grant_id: str
    mark_key: str = field(default="", repr=False)


CURRENT: ContextVar[Carried | None] = ContextVar("demur.carried", default=None)
"""The innermost redeemed grant of this thread or task; `None` outside of one."""
