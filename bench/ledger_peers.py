"""What others do with the same entry: `witness-log` and the audit of the Agent Governance Toolkit."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTRY = {
    "outcome": "allow",
    "policy_version": "sha256:" + "ab" * 32,
    "subject": "user:ann",
    "action": "refund",
    "resource": "invoice:i-1",
    "triggering_policy": "shop/refunds",
    "arguments": '{"amount":4200,"currency":"EUR","reason":"damaged on arrival"}',
}
"""What is recorded of one decision, by everybody."""


def witness_log(place: Path, *, is_synced: bool) -> Callable[[int], object]:
    """Appends one intent to a journal; durable only where `log.sync()` follows it."""
    from witness_log import JournaledLog

    log = JournaledLog.create(str(place / f"witness-{is_synced}"), os.urandom(32))

    def append(number: int) -> None:
        log.append_intent(json.dumps({**ENTRY, "n": number}).encode())
        if is_synced:
            log.sync()

    return append


def toolkit() -> Callable[[int], object]:
    """Appends one entry to the audit log of agent-governance-toolkit-core, which is in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from agentmesh.governance.audit import AuditLog

    log = AuditLog()

    def append(number: int) -> None:
        log.log("decision", "did:mesh:bench", "refund", resource="invoice:i-1", data={**ENTRY, "n": number})

    return append
