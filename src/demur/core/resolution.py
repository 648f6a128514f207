"""Request + what sources learned -> Facts: the row of values that conditions read.

- What the caller claims fills only the slots of source `request`; a resolved slot is filled by its source or is
  unknown, and a claim never stands in for a source that failed (S2.2).
- A slot is a value, absent or unknown; nothing else (S2.1).
- One decision sees one time (S2.4): `time.now` is the instant given here.
- Every fact in the row can tell its source and its age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import schema as schemas
from demur.core.terms import Missing, Request, State, Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.schema import Schema


class Provenance(msgspec.Struct, frozen=True):
    """Where a resolved fact came from: source, the instant it was learned, and why it is unknown."""

    source: str
    at: Timestamp
    why: str = ""


class Approval(msgspec.Struct, frozen=True):
    """A review that people approved, as a fact (S7.1): the rules it satisfies, by id and digest."""

    review_id: str
    rules: tuple[tuple[str, str], ...]


class Facts(msgspec.Struct, frozen=True):
    """One request, ready to be judged. `values` is indexed by slot."""

    request: Request
    values: list[State]
    now: Timestamp
    approvals: tuple[Approval, ...] = ()
    provenance: dict[int, Provenance] = {}
