"""The life of each standing approval, as the ledger tells it: opened, complete, used, revoked, ended.

What is told: a use of one that was not in force, and more redeemed grants on one than it had uses. Those that ended
are forgotten, but for what their last grants need; the rest is as many as a log may have at a time.

Clauses: S7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.reconciliation.findings import Kind

if TYPE_CHECKING:
    from demur.core.reconciliation.findings import Tell
    from demur.core.reconciliation.lives import Index, Leaf

MAX_ENDED = 1_000
"""Standing approvals that ended and are remembered for grants that were given on them shortly before."""


class Stands(msgspec.Struct):
    """One standing approval."""

    uses: int
    until: int
    is_complete: bool
    is_over: bool = False
    redeemed: int = 0


class Standings:
    """Follows the standing approvals of one log."""

    def __init__(self, index: Index, tell: Tell) -> None:
        self._index = index
        self._tell = tell
        self._known: dict[str, Stands] = {}

    def open(self, leaf: Leaf, until: int) -> None:
        """Opened, by the first of its people."""
        self._known[leaf.standing] = Stands(leaf.uses, until, leaf.state == "live")

    def agree(self, leaf: Leaf) -> None:
        """Granted by one more person."""
        found = self._known.get(leaf.standing)
        if found is not None:
            found.is_complete = leaf.state == "live"

    def use(self, leaf: Leaf, at: int) -> None:
        """A grant was given on it."""
        found = self._known.get(leaf.standing)
        self._index[f"standing:{leaf.grant}"] = leaf.standing.encode()
        in_force = found is not None and found.is_complete and not found.is_over and at < found.until
        if not in_force or not 0 < leaf.use <= leaf.uses:
            self._report(leaf, at)

    def redeem(self, leaf: Leaf, at: int) -> None:
        """A grant was redeemed; whether it was given on a standing approval is looked up."""
        name = self._index.get(f"standing:{leaf.grant}")
        found = self._known.get(name.decode()) if name is not None else None
        if found is not None:
            found.redeemed += 1
            if found.redeemed > found.uses:
                self._report(leaf, at)

    def end(self, leaf: Leaf) -> None:
        """Revoked, or over by time."""
        found = self._known.pop(leaf.standing, None)
        if found is None:
            return
        found.is_over = True
        self._known[leaf.standing] = found
        over = [name for name, one in self._known.items() if one.is_over]
        for name in over[:-MAX_ENDED]:
            del self._known[name]

    def _report(self, leaf: Leaf, at: int) -> None:
        self._tell(Kind.GRANTED_BEYOND_STANDING, nanos=at, records=(leaf.sequence,), grant=leaf.grant)
