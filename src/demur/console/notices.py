"""What a page tells after something was done. Addresses carry the word, never the text, so nobody can plant one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "approved": "Approved. The requester can go on once everybody needed has approved.",
    "rejected": "Denied. The requester is told why.",
    "taken": "You hold this review now.",
    "released": "Released. Anybody with the role can take it.",
    "assigned": "Assigned.",
    "delegated": "Delegated.",
    "bulk": "Ruled on the whole group.",
}
