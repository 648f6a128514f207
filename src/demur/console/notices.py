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
    "delegated": "Lent. It ends by itself.",
    "delegation_ended": "Ended. Nobody stands in any more.",
    "lifted": "The quarantine is lifted; the session's count begins anew.",
    "quarantined": "The session is quarantined. Everything it asks is refused.",
    "stopped": "Stopped. What the stop covers is refused from now on.",
    "stop_off": "The stop is off.",
    "glass_opened": "Glass is broken. Every use is recorded and reviewed afterwards.",
    "glass_ended": "The opening has ended; its unused grants are worth nothing.",
    "revoked": "The grant is revoked.",
    "proposed": "Proposed. Somebody else with the role approver puts it in force.",
    "activated": "In force. Every decision from now on is judged by these policies.",
    "rolled_back": "Rolled back. What was in force before is in force again.",
    "removed": "Removed.",
    "standing_granted": "Granted. It is in force once everybody whom the rule asks for has agreed.",
    "standing_ended": "The standing approval has ended.",
    "bulk": "Ruled on the whole group.",
}
