"""The part of a gate that tells what people decided before: precedents of a review.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.accounting import Accounted
from demur.steps import precedents

if TYPE_CHECKING:
    from demur.steps.precedents import Precedent


class Consulting(Accounted):
    """What a reviewer may look up before ruling."""

    def precedents(self, review_id: str, *, limit: int = 3) -> tuple[Precedent, ...]:
        """What people ruled on cases most like this one, the most alike first; none where there is no such review.

        Of two or more, one was denied where any was. Nobody who was erased is in them. Raises `StoreError`.
        """
        world, policies = self._world, self._active.policies
        return world.store.read(lambda tx: precedents.find(tx, world.vault, policies, review_id, limit=limit))
