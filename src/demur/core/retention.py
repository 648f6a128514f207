"""How long what was sealed is kept: classes of records with a period each, and the presets.

- A class names types of records, actions by pattern, and a period in days. The first class that a record falls into
  counts. What falls into none is kept.
- A period ends payloads, never records: leaves, chain and tree stay as they are, and so does every proof.
- Only what decisions left behind can end (`TYPES`). What operators did, who signs and who is held stays readable.
- The presets are floors that others ask for, and nobody's legal advice: whoever operates the gate answers for the
  period that applies.

Clauses: S5.5, S12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.policy import patterns
from demur.core.terms import Timestamp, parse_timestamp
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.record import Json

TYPES = ("blocked", "decision", "glass_used", "inquiry", "review_assigned", "review_cancelled", "review_ruled")
"""The types of records whose sealed values can end. Nothing that stands in the state of the gate is sealed in them,
but for live grants, waiting reviews and quarantines, which are looked at one by one.
"""
MAX_CLASSES = 16
MAX_PATTERNS = 16
MAX_DAYS = 36_525
_SECONDS = 86_400


class RetentionClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records of these types about these actions end `days` days after they were made. No `actions` means all."""

    name: str
    days: int
    types: tuple[str, ...] = TYPES
    actions: tuple[str, ...] = ()

    def covers(self, leaf: Mapping[str, object]) -> bool:
        """Whether the record with this leaf falls into this class."""
        if leaf.get("type") not in self.types:
            return False
        intent = leaf.get("action_intent")
        action = intent.get("action") if isinstance(intent, dict) else None
        return not self.actions or (
            isinstance(action, str) and any(patterns.matches(pattern, action) for pattern in self.actions)
        )

    def before(self, now: Timestamp) -> Timestamp:
        """Records of this class made before this instant have ended."""
        return now.plus(-self.days * _SECONDS)


PRESETS: Mapping[str, tuple[RetentionClass, ...]] = {
    # Regulation (EU) 2024/1689, Art. 19(1) and 26(6): at least six months. No six months have more than 184 days.
    "eu-ai-act": (RetentionClass(name="eu-ai-act", days=184),),
    # 45 CFR 164.316(b)(2)(i): six years, of which two can be leap years.
    "hipaa": (RetentionClass(name="hipaa", days=6 * 365 + 2),),
}
"""Classes under a name, as others ask for them."""


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    retention: int
    classes: tuple[RetentionClass, ...]


def read(document: object) -> tuple[RetentionClass, ...]:
    """The classes of `{"retention": 1, "classes": [...]}`; raises `ConfigurationError`."""
    try:
        found = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        message = f"expected classes with a name and a period in days, found otherwise: {error}"
        raise ConfigurationError(message) from error
    if found.retention != 1:
        raise ConfigurationError(f"expected `retention: 1`, found `{found.retention}`")
    return check(found.classes)


def check(classes: tuple[RetentionClass, ...]) -> tuple[RetentionClass, ...]:
    """The classes, unchanged; raises `ConfigurationError` where one could not be meant or not be recorded."""
    if not 0 < len(classes) <= MAX_CLASSES:
        raise ConfigurationError(f"expected 1 to {MAX_CLASSES} classes, found {len(classes)}")
    if len({item.name for item in classes}) != len(classes):
        message = "expected names of classes that differ, found one twice"
        raise ConfigurationError(message)
    for item in classes:
        _check(item)
    return classes


def class_of(leaf: Mapping[str, object], classes: tuple[RetentionClass, ...]) -> RetentionClass | None:
    """The first class that the record falls into."""
    return next((item for item in classes if item.covers(leaf)), None)


def ended(leaf: Mapping[str, object], classes: tuple[RetentionClass, ...], now: Timestamp) -> RetentionClass | None:
    """The class whose period the record has outlived; `None` where it is kept."""
    if "commit_root" not in leaf:
        return None
    found = class_of(leaf, classes)
    return found if found is not None and parse_timestamp(str(leaf["timestamp"])) < found.before(now) else None


def told(classes: tuple[RetentionClass, ...], now: Timestamp) -> list[Json]:
    """The classes as a record tells them."""
    return [
        {"class": item.name, "days": item.days, "before": str(item.before(now)), "types": list(item.types)}
        for item in classes
    ]


def explains(leaf: Mapping[str, object], retention: Mapping[str, object]) -> bool:
    """Whether a `retention` record tells why the values of a record are gone: a class of it, of before its end."""
    first, last, classes = retention.get("first"), retention.get("last"), retention.get("classes")
    sequence, made = leaf.get("sequence"), parse_timestamp(str(leaf.get("timestamp")))
    if not (isinstance(first, int) and isinstance(last, int) and isinstance(classes, list)):
        return False
    return (
        isinstance(sequence, int)
        and first <= sequence <= last
        and any(
            leaf.get("type") in item.get("types", ()) and made < parse_timestamp(str(item.get("before")))
            for item in classes
        )
    )


def _check(item: RetentionClass) -> None:
    if not 0 < item.days <= MAX_DAYS:
        raise ConfigurationError(f"expected 1 to {MAX_DAYS} days in class `{item.name[:64]}`, found {item.days}")
    if not _is_name(item.name):
        raise ConfigurationError(f"expected a class named in a-z, 0-9, `_`, `.` and `-`, found `{item.name[:64]}`")
    if not item.types or not set(item.types) <= set(TYPES):
        raise ConfigurationError(
            f"expected types of records among `{'`, `'.join(TYPES)}` in class `{item.name}`",
            hint="other records hold what the gate still goes by, or what operators did",
        )
    if len(item.actions) > MAX_PATTERNS or not all(0 < len(pattern) <= 128 for pattern in item.actions):
        raise ConfigurationError(f"expected at most {MAX_PATTERNS} patterns of 1 to 128 characters in `{item.name}`")


def _is_name(name: str) -> bool:
    return 0 < len(name) <= 64 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.-")
