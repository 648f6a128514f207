"""Verdicts whose giver is still known.

A quorum is of distinct people. Whoever was erased and comes back has another pseudonym, and nobody can tell them from
somebody else, so the verdicts of the erased count towards no quorum any more. What was approved before stays approved.

Clauses: S5.5, S7.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.errors import ForgottenError

if TYPE_CHECKING:
    from demur.core.review import Review, Ruling
    from demur.ports import Transaction, Vault


def attributable(tx: Transaction, vault: Vault, review: Review) -> Review:
    """The review with those verdicts alone that can be told from anybody else's."""
    known = tuple(ruling for ruling in review.rulings if _is_known(tx, vault, ruling))
    return review if known == review.rulings else msgspec.structs.replace(review, rulings=known)


def _is_known(tx: Transaction, vault: Vault, ruling: Ruling) -> bool:
    sealed = tx.find_sealed(ruling.sequence) if ruling.sequence else None
    if sealed is None:
        return not ruling.sequence  # kept before verdicts named their records
    try:
        said = vault.unseal(sealed)
    except ForgottenError:
        return False
    return not ruling.on_behalf or "about" in said
