"""The words that every stage shares: effects, outcomes, categories, times, entities and the request.

- A fact is a value, `Missing.ABSENT` (its source says there is none) or `Missing.UNKNOWN` (it could not be learned);
  the two are never mixed up (S2.1).
- Times are instants and durations in nanoseconds, UTC. Only this module turns them into text and back.
- A `Request` is what intake hands on: typed, complete, immutable. Nobody checks it again.

Clauses: S1.1, S2.1, S3.1, wire names.
"""

from __future__ import annotations

import datetime as _dt
import re
from enum import Enum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NANOS = 1_000_000_000
MAX_INT = 2**53 - 1
"""Largest integer a request may carry: the range in which every JSON reader agrees (RFC 7493)."""

_EPOCH = _dt.datetime(1970, 1, 1, tzinfo=_dt.UTC)
_MIN_SECONDS = -62_135_596_800
_MAX_SECONDS = 253_402_300_799
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_UNIT_NANOS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": NANOS, "m": 60 * NANOS, "h": 3_600 * NANOS}


class Effect(StrEnum):
    """What a rule does when its conditions hold (S3.1)."""

    PERMIT = "permit"
    REVIEW = "review"
    FORBID = "forbid"


class Outcome(StrEnum):
    """What is answered. `UNAVAILABLE` is no decision (S5.2)."""

    ALLOW = "allow"
    DEFER = "defer"
    DENY = "deny"
    UNAVAILABLE = "unavailable"


class Category(StrEnum):
    """Why not. The order of the first eight is the precedence of S3.4."""

    CATEGORICAL = "categorical"
    POLICY_VIOLATION = "policy_violation"
    SCOPE_EXCEEDED = "scope_exceeded"
    STATE_CONFLICT = "state_conflict"
    QUOTA_EXCEEDED = "quota_exceeded"
    TEMPORAL = "temporal"
    INSUFFICIENT_CONTEXT = "insufficient_context"
    INDETERMINATE = "indeterminate"
    REQUIRES_HUMAN = "requires_human"
    UNAVAILABLE = "unavailable"


class Disposition(StrEnum):
    """What the caller should do next."""

    NEVER_RETRY = "never_retry"
    MODIFY = "modify"
    SUPPLY_CONTEXT = "supply_context"
    RETRY_AFTER = "retry_after"
    WAIT = "wait"
    SEEK_AUTHORITY = "seek_authority"
    AWAIT_REVIEW = "await_review"


class Bar(StrEnum):
    """What keeps a request from being judged or put before people, a grant from being redeemed or an approval from
    being claimed, whatever the policies say (S7, S8.3, S12).
    """

    STOPPED = "stopped"
    QUARANTINED = "quarantined"
    OVERLOADED = "overloaded"
    REVIEW_DENIED = "review_denied"
    REVIEW_EXPIRED = "review_expired"
    REVIEW_ENDED = "review_ended"
    APPROVAL_USED = "approval_used"


class Audience(StrEnum):
    """Who reads an explanation, from the least to the most trusted (S10)."""

    END_USER = "end_user"
    AGENT = "agent"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class Missing(Enum):
    """The two ways in which a fact has no value (S2.1)."""

    ABSENT = "absent"
    UNKNOWN = "unknown"


ABSENT = Missing.ABSENT
"""What a source of facts returns where it knows that there is no value."""


class Timestamp(msgspec.Struct, frozen=True, order=True):
    """An instant, in nanoseconds since 1970-01-01T00:00:00Z, years 1 to 9999."""

    nanos: int

    @property
    def seconds(self) -> int:
        """Whole seconds since the epoch, rounded down."""
        return self.nanos // NANOS

    def plus(self, seconds: float) -> Timestamp:
        """The instant that many seconds later."""
        return Timestamp(self.nanos + round(seconds * NANOS))

    def __str__(self) -> str:
        return _instant(self.nanos)


@lru_cache(maxsize=256)
def _instant(nanos: int) -> str:
    """The instant, as RFC 3339 writes it. One answer writes the same one several times."""
    seconds, fraction = divmod(nanos, NANOS)
    text = _wall_clock(seconds)
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else text + "Z"


@lru_cache(maxsize=256)
def _wall_clock(seconds: int) -> str:
    """The second, as RFC 3339 writes it. Many instants of one answer fall into one second."""
    return (_EPOCH + _dt.timedelta(seconds=seconds)).isoformat()[:19]


class Duration(msgspec.Struct, frozen=True, order=True):
    """A span of time in nanoseconds, negative allowed."""

    nanos: int

    def __str__(self) -> str:
        sign = "-" if self.nanos < 0 else ""
        seconds, fraction = divmod(abs(self.nanos), NANOS)
        return f"{sign}{seconds}" + (f".{fraction:09d}".rstrip("0") if fraction else "") + "s"


def parse_timestamp(text: str) -> Timestamp:
    """The instant written as RFC 3339; raises `ValueError` where it is not one or lies outside years 1 to 9999."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        message = f"`{text[:40]}` is not an RFC 3339 time such as `2026-11-20T09:00:00Z`"
        raise ValueError(message)
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    moment = _dt.datetime(year, month, day, hour, minute, second, tzinfo=_dt.UTC)
    seconds = (moment - _EPOCH) // _dt.timedelta(seconds=1)
    if match[9]:
        offset = int(match[10]) * 3_600 + int(match[11]) * 60
        seconds -= offset if match[9] == "+" else -offset
    if not _MIN_SECONDS <= seconds <= _MAX_SECONDS:
        message = f"`{text[:40]}` lies outside the years 0001 to 9999"
        raise ValueError(message)
    return Timestamp(seconds * NANOS + int((match[7] or "").ljust(9, "0")))


def parse_duration(text: str) -> Duration:
    """The duration written as in CEL and Go (`90s`, `1h30m`, `-1.5h`); raises `ValueError` otherwise."""
    body = text[1:] if text[:1] in {"+", "-"} else text
    total, end = 0, 0
    if body == "0":
        return Duration(0)
    for match in _DURATION.finditer(body):
        if match.start() != end:
            break
        whole, _, fraction = match[1].partition(".")
        unit = _UNIT_NANOS[match[2]]
        total += int(whole or "0") * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        end = match.end()
    if end != len(body) or not body:
        message = f"`{text[:40]}` is not a duration such as `90s` or `1h30m`"
        raise ValueError(message)
    return Duration(-total if text[0] == "-" else total)


if TYPE_CHECKING:
    Value: TypeAlias = Union[
        None, bool, int, float, str, Timestamp, Duration, "Sequence[Value]", "Mapping[Value, Value]"
    ]
else:
    # Decoders of stored structs meet this name; a recursive union is beyond them, and values are conformed anyway.
    Value = Any
"""A value of a fact: JSON's values, with instants and durations parsed."""

State: TypeAlias = Union["Value", Missing]
"""A fact as known: a value, absent, or unknown."""


def to_json(value: object) -> object:
    """The value as JSON says it: instants and durations as text, everything else as it is."""
    kind = type(value)
    if kind in _JSON_SCALARS:
        return value
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return str(value)


_JSON_SCALARS = frozenset({str, int, bool, float, type(None)})


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """AuthZEN's subject or resource, or our actor: a typed id with the properties that the caller claims."""

    type: str
    id: str
    properties: dict[str, Value] = {}

    @property
    def name(self) -> str:
        """`type:id`, by which a person's key is found."""
        return f"{self.type}:{self.id}"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The model that proposed the action, as far as the caller knows it."""

    name: str
    version: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One action intent (S1.1): who, acting through whom, wants to do what to which resource.

    `arguments` are AuthZEN's `action.properties`, typed by the schema where the action is declared. `digest` is the
    action digest of S1.3, `sha256:` and 64 hex digits. `caller` is the authenticated principal that asked.
    """

    subject: Entity
    actor: Entity
    action: str
    arguments: dict[str, Value]
    resource: Entity
    context: dict[str, Value]
    session: str
    trace_id: str
    request_id: str
    caller: str
    model: Model | None
    digest: str
    claims: dict[str, object] | None = None
    """What a verified token says of the caller; `None` without one. No part of the action, and kept only as facts."""
