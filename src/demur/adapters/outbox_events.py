"""From a record of the ledger to the event that tells of it: CloudEvents 1.0, and nothing that the record does not say.

A leaf names nobody but by pseudonyms (S5.4), so neither does an event, and erasing a person leaves nothing to recall.

    {"specversion": "1.0", "id": "clinic/41", "source": "urn:demur:log:clinic", "type": "governance.refusal",
     "subject": "clinic/41", "time": "2026-11-20T09:00:00Z", "datacontenttype": "application/json",
     "data": {"audit_id": "clinic/41", "record_hash": "<64 hex>", "record": "decision", "outcome": "deny", ...}}

Source and id are the same however often a record is told of: whoever has seen them has seen the event. `record_hash`
lets whoever receives it ask for the proof that the record stands in the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.ledger import chain
from demur.core.record import RESERVED

if TYPE_CHECKING:
    from demur.ports import StoredRecord

ALLOW, REFUSAL = "governance.allow", "governance.refusal"
_KINDS = {
    **{
        f"review_{name}": f"governance.review.{name}"
        for name in ("assigned", "released", "escalated", "reminded", "expired", "cancelled", "superseded")
    },
    **{f"delegation_{name}": f"governance.review.delegation_{name}" for name in ("opened", "closed")},
    **{
        f"standing_{name}": f"governance.standing.{name}" for name in ("opened", "agreed", "used", "revoked", "expired")
    },
    "policy_activated": "governance.policy.activated",
    "session_quarantined": "governance.session.quarantined",
    "session_lifted": "governance.session.lifted",
    **{
        name: f"governance.lever.{name}"
        for name in ("stop_on", "stop_off", "glass_opened", "glass_used", "glass_ended")
    },
    **{f"grant_{name}": f"governance.grant.{name}" for name in ("redeemed", "completed", "revoked", "refused")},
    **{name: f"governance.ledger.{name}" for name in ("gap", "key_event", "rollback_accepted", "restored")},
    "blocked": REFUSAL,
}
_encode = msgspec.json.Encoder(order="sorted").encode


class Event(msgspec.Struct, frozen=True):
    """One event: its attributes that matter on the way, and its JSON form."""

    id: str
    source: str
    kind: str
    body: bytes


def event(record: StoredRecord) -> Event | None:
    """The event that tells of a record, None for records that nobody outside needs to learn of.

    Raises `LedgerError` where the record is none.
    """
    leaf = chain.read_leaf(record.leaf)
    kind = _kind(leaf)
    if not kind:
        return None
    log = str(leaf["log"])
    audit_id, source = f"{log}/{record.sequence}", f"urn:demur:log:{log}"
    told = {name: value for name, value in leaf.items() if name not in RESERVED}
    data = told | {"audit_id": audit_id, "record_hash": record.record_hash.hex(), "record": leaf["type"]}
    body = {
        "specversion": "1.0",
        "id": audit_id,
        "source": source,
        "type": kind,
        "subject": audit_id,
        "time": leaf["timestamp"],
        "datacontenttype": "application/json",
        "data": data,
    }
    return Event(audit_id, source, kind, _encode(body))


def _kind(leaf: dict[str, object]) -> str:
    match leaf["type"]:
        case "decision":
            return ALLOW if leaf.get("outcome") == "allow" else REFUSAL
        case "review_ruled":
            return f"governance.review.{leaf.get('state')}"
        case other:
            return _KINDS.get(str(other), "")
