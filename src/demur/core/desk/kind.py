"""What the last ended reviews of one kind tell: an action on a type of resource.

Clauses: S7.3.
"""

from __future__ import annotations

import msgspec

from demur.core.desk.novelty import Past
from demur.core.desk.timing import Service


class Kind(msgspec.Struct, frozen=True):
    """How long they took, `None` where they are too few, and for whom they were approved."""

    service: Service | None
    past: tuple[Past, ...]
