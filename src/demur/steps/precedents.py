"""Precedents: what people ruled on cases like the one that waits.

Clauses: S7, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demur.core.terms import Request
    from demur.ports import Vault


def topic(vault: Vault, request: Request) -> bytes:
    """By which reviews of the same action on the same type of resource are found: `ReviewRow.topic`."""
    return vault.blind("topic", request.action, request.resource.type)
