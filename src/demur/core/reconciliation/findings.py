"""The kinds of findings: what each says, and how grave it is. The exact rules are in docs/spec/completeness.md.

- `critical`  something was done that no decision allowed, or evidence of it is missing or contradicts itself
- `warning`   something that should have been said was not said in time
- `info`      worth knowing, and explained by another record
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from demur.core.terms import parse_timestamp
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Severity(StrEnum):
    """How grave a finding is."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Kind(StrEnum):
    """What does not fit together."""

    # The ledger alone: grants.
    GRANTED_ON_DENIAL = "granted_on_denial"
    GRANTED_BEYOND_STANDING = "granted_beyond_standing"
    REDEEMED_WITHOUT_ALLOW = "redeemed_without_allow"
    REDEEMED_FOR_ANOTHER = "redeemed_for_another"
    REDEEMED_TWICE = "redeemed_twice"
    REDEEMED_EXPIRED = "redeemed_expired"
    REDEEMED_REVOKED = "redeemed_revoked"
    REDEEMED_WHILE_STOPPED = "redeemed_while_stopped"
    REDEEMED_IN_QUARANTINE = "redeemed_in_quarantine"
    REDEEMED_AFTER_GLASS = "redeemed_after_glass"
    REDEEMED_UNDER_OTHER_POLICIES = "redeemed_under_other_policies"
    STARTED_UNREDEEMED = "started_unredeemed"
    ENDED_UNREDEEMED = "ended_unredeemed"
    ENDED_TWICE = "ended_twice"
    START_WITHOUT_END = "start_without_end"
    # The ledger alone: silence.
    RECEIVED_UNDECIDED = "received_undecided"
    RECEIVED_UNAVAILABLE = "received_unavailable"
    ANSWERED_UNRECEIVED = "answered_unreceived"
    HEARTBEAT_GAP = "heartbeat_gap"
    EPOCH_GAP = "epoch_gap"
    EPOCH_FORKED = "epoch_forked"
    EPOCH_UNANNOUNCED = "epoch_unannounced"
    WRITER_GAP = "writer_gap"
    CANARY_MISSING = "canary_missing"
    CANARY_ALLOWED = "canary_allowed"
    # Meters: what they saw.
    EXECUTED_WITHOUT_GRANT = "executed_without_grant"
    EXECUTED_AFTER_DENIAL = "executed_after_denial"
    EXECUTED_ON_UNKNOWN_GRANT = "executed_on_unknown_grant"
    EXECUTED_UNREDEEMED = "executed_unredeemed"
    EXECUTED_REVOKED = "executed_revoked"
    EXECUTED_BEFORE_REDEMPTION = "executed_before_redemption"
    EXECUTED_LATE = "executed_late"
    EXECUTED_AFTER_END = "executed_after_end"
    EXECUTED_WHILE_STOPPED = "executed_while_stopped"
    EXECUTED_TWICE = "executed_twice"
    OTHER_ACTION = "other_action"
    ARGUMENTS_DIFFER = "arguments_differ"
    ENDED_UNSEEN = "ended_unseen"
    TURNED_AWAY = "turned_away"
    COUNTER_ALTERED = "counter_altered"
    # Meters: their statements.
    STATEMENT_MISSING = "statement_missing"
    STATEMENT_DIFFERS = "statement_differs"
    METER_SIGNATURE = "meter_signature"
    METER_UNREGISTERED = "meter_unregistered"
    METER_GAP = "meter_gap"
    METER_FORKED = "meter_forked"
    METER_SILENT = "meter_silent"


_WARNINGS = frozenset(
    {
        Kind.START_WITHOUT_END,
        Kind.RECEIVED_UNDECIDED,
        Kind.HEARTBEAT_GAP,
        Kind.EPOCH_GAP,
        Kind.EPOCH_UNANNOUNCED,
        Kind.CANARY_MISSING,
        Kind.EXECUTED_LATE,
        Kind.ENDED_TWICE,
        Kind.ENDED_UNSEEN,
        Kind.TURNED_AWAY,
        Kind.METER_UNREGISTERED,
        Kind.METER_SILENT,
    }
)
SEVERITIES: Mapping[Kind, Severity] = {
    kind: Severity.INFO
    if kind is Kind.RECEIVED_UNAVAILABLE
    else Severity.WARNING
    if kind in _WARNINGS
    else Severity.CRITICAL
    for kind in Kind
}


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that does not fit, with where to look: numbers of records, a statement of a meter, the time."""

    kind: Kind
    severity: Severity
    at: str = ""
    records: tuple[int, ...] = ()
    meter: str = ""
    statement: int | None = None
    grant: str = ""
    action: str = ""
    count: int = 1


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What still counts as in time, in seconds."""

    skew: float = 5
    """How far the clocks of gate and meters may differ."""
    end: float = 3_600
    """Within which an execution should have ended."""
    answer: float = 60
    """Within which a received request should have been answered."""
    late: float = 300
    """How long after its grant expired a redeemed action may still be carried out."""
    denial: float = 3_600
    """How long before an operation without a grant a denial of its action counts as its denial."""
    beats: float = 3
    """How many intervals of heartbeats, canaries and statements may pass without one."""


def nanos(text: str) -> int:
    """The instant in nanoseconds; raises `LedgerError` where the text is no time."""
    try:
        return parse_timestamp(text).nanos
    except ValueError as error:
        raise LedgerError(f"expected an RFC 3339 time in UTC, found `{text[:80]}`") from error


class Tell(Protocol):
    """Takes a finding."""

    def __call__(
        self,
        kind: Kind,
        *,
        nanos: int = 0,
        records: tuple[int, ...] = (),
        meter: str = "",
        statement: int | None = None,
        grant: str = "",
        action: str = "",
        count: int = 1,
    ) -> None: ...
