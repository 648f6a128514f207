"""What the gate asks of the clinic's record system. Here it is a table; in a clinic it would be a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import demur

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur import Request

RECORDS: dict[str, dict[str, object]] = {
    "r-2207": {
        "treating": ["dr-weber", "nurse-lind"],
        "consent": True,
        "under_review": False,
        "retention_ends": "2019-12-31T23:00:00Z",
    },
    "r-2208": {"treating": ["dr-weber"], "under_review": False},
    "r-2209": {"treating": ["dr-weber"], "consent": True, "under_review": True},
}
FACTS = ("treating", "consent", "under_review", "retention_ends")


def records(request: Request) -> Mapping[str, object]:
    """What is on file about the record. One that nobody has heard of raises, so that everything about it is unknown."""
    record = RECORDS[request.resource.id]
    return {f"resource.{name}": record.get(name, demur.ABSENT) for name in FACTS}
