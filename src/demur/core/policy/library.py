"""The shipped conditions: common reasons for a "no", checked once and explained in the same words everywhere.

    - use: insufficient-role
      with: {required: [nurse, clinician]}

- Each holds when what its name says is the case, so it stands under `when` of a forbid or review, or under `unless` of
  a permit.
- A use is expanded into a condition in CEL over the rule's own facts, with an explanation; what is recorded and
  digested is the expanded form.
- A fact that may be absent counts against the requester where it stands for a right (a role, an allow list).

Clauses: S3.1, S4.1.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from demur.core.policy.facts import CONTENT, USAGE, Detector
from demur.core.policy.heading import is_known_zone
from demur.core.policy.located import Scalar, describe, shorten
from demur.core.policy.reading import Keys, quoted, texts_of
from demur.core.schema import Kind, Type, argument_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from demur.core.policy.declarations import Declarations
    from demur.core.policy.layout import View
    from demur.core.schema import Counter


class Shipped(StrEnum):
    """The names for `use`."""

    CONTAINS_CODE = "contains-code"
    INSUFFICIENT_ROLE = "insufficient-role"
    ACTION_NOT_ON_ALLOW_LIST = "action-not-on-allow-list"
    DAILY_QUOTA_EXCEEDED = "daily-quota-exceeded"
    OUTSIDE_HOURS = "outside-hours"


class Day(StrEnum):
    """The days of the week, in order."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


PARAMETERS: Mapping[Shipped, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Shipped.CONTAINS_CODE: (("in",), ("in",)),
    Shipped.INSUFFICIENT_ROLE: (("required",), ("administrators", "required", "role")),
    Shipped.ACTION_NOT_ON_ALLOW_LIST: (("allowed",), ("allowed",)),
    Shipped.DAILY_QUOTA_EXCEEDED: (("usage", "limit"), ("limit", "usage")),
    Shipped.OUTSIDE_HOURS: (("from", "to"), ("days", "from", "to", "zone")),
}
"""The parameters of each: those needed, and all of them."""

_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_DAY_MINUTES = 24 * 60
_ROLES = Type(Kind.LIST, Type(Kind.STRING))
_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a shipped condition may refer to."""

    view: View
    declared: Declarations
    counters: Mapping[str, Counter]
    zone: str
    is_zone: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Expansion:
    """The condition in CEL, and what is the case when it holds."""

    expr: str
    explanation: str


def expand(shipped: Shipped, keys: Keys, around: Surroundings) -> Expansion | None:
    """The condition that a use stands for, or nothing after noting what is wrong with its parameters."""
    match shipped:
        case Shipped.CONTAINS_CODE:
            return _contains_code(keys, around)
        case Shipped.INSUFFICIENT_ROLE:
            return _insufficient_role(keys, around)
        case Shipped.ACTION_NOT_ON_ALLOW_LIST:
            return _not_allowed(keys, around)
        case Shipped.DAILY_QUOTA_EXCEEDED:
            return _quota(keys, around)
        case Shipped.OUTSIDE_HOURS:
            return _outside_hours(keys, around)


def code_fact(path: str, declared: Declarations) -> str:
    """The bool fact that says whether a fact contains code: itself where it is one, or the one made for a text."""
    if path in declared.detects:
        return path
    return f"{CONTENT}.{Detector.CODE}.{path}" if declared.kinds(path) == {Kind.STRING} else ""


def _contains_code(keys: Keys, around: Surroundings) -> Expansion | None:
    path = keys.text("in")
    fact = code_fact(path, around.declared)
    variable = around.view.variables.get(path)
    if not path or not _is_readable(
        keys, "in", path, around, bool(fact), "a string, or a bool with `detect: {what: code}`"
    ):
        return None
    text = around.declared.detects[path][1] if path in around.declared.detects else path
    subject = f"the argument `{text.partition('.')[2]}`" if text.startswith("action.") else f"`{text}`"
    guard = f"has({path}) && " if variable is not None and variable.optional else ""
    return Expansion(guard + fact, f"{subject} contains program code")


def _insufficient_role(keys: Keys, around: Surroundings) -> Expansion | None:
    path = keys.text("role", "subject.role")
    variable = around.view.variables.get(path)
    has_type = variable is not None and variable.type in {Type(Kind.STRING), _ROLES}
    where = "role" if keys.has("role") else "required"
    if not _is_readable(keys, where, path, around, has_type, "a string or list<string>"):
        return None
    required = _names(keys, "required")
    exempt = _names(keys, "administrators") if keys.has("administrators") else ("administrator",)
    if variable is None or not required:
        return None
    allowed = _list(dict.fromkeys((*required, *exempt)))
    held = f"{path} in {allowed}" if variable.type.kind is Kind.STRING else f"{path}.exists(role, role in {allowed})"
    guard = f"has({path}) && " if variable.optional else ""
    words = f"the role {quoted(required)} is" if len(required) == 1 else f"one of the roles {quoted(required)} is"
    return Expansion(f"!({guard}{held})", f"{words} required")


def _not_allowed(keys: Keys, around: Surroundings) -> Expansion | None:
    node = keys.values.get("allowed")
    if isinstance(node, Scalar) and isinstance(node.value, str):
        path = node.value
        variable = around.view.variables.get(path)
        has_type = variable is not None and variable.type == _ROLES
        if variable is None or not _is_readable(keys, "allowed", path, around, has_type, "a list<string>"):
            _is_readable(keys, "allowed", path, around, has_type, "a list<string>")
            return None
        guard = f"has({path}) && " if variable.optional else ""
        return Expansion(f"!({guard}action.name in {path})", "the action is not on the allow list")
    names = _names(keys, "allowed")
    actions = around.declared.actions
    for item in texts_of(keys.report, keys.file, node, "`allowed`") if node is not None and actions else ():
        if str(item.value) not in actions:
            message = f"expected a declared action for `allowed`, found `{shorten(str(item.value))}`"
            keys.report.note(
                keys.file, item, message, keys.report.guess(str(item.value), actions), code="unknown-action"
            )
    return Expansion(f"!(action.name in {_list(names)})", f"the action is none of {quoted(names)}") if names else None


def _quota(keys: Keys, around: Surroundings) -> Expansion | None:
    name = keys.text("usage")
    path = name if name.startswith(f"{USAGE}.") else f"{USAGE}.{name}"
    counter = around.counters.get(path)
    if counter is None:
        if name:
            known = [other.removeprefix(f"{USAGE}.") for other in around.counters]
            message = f"expected a usage counter for `usage`, found `{shorten(name)}`"
            keys.note("usage", message, keys.report.guess(name.removeprefix(f"{USAGE}."), known))
        return None
    if counter.window.calendar != "day":
        keys.note(
            "usage",
            f"expected a counter with `window: {{calendar: day}}` for `usage`, found `{name}` with another window",
        )
        return None
    limit = _limit(keys, around)
    if not limit:
        return None
    if not counter.adds:
        return Expansion(f"{path} >= {limit}", "the daily quota is used up")
    argument = argument_path(counter.adds)
    variable = around.view.variables.get(argument)
    if variable is None or variable.type.kind is not Kind.INT:
        keys.note(
            "usage", f"expected a rule that covers only actions with the int argument `{counter.adds}`, found others"
        )
        return None
    amount = f"(has({argument}) ? {argument} : 0)" if variable.optional else argument
    return Expansion(f"{path} + {amount} > {limit}", "the daily quota would be exceeded")


def _limit(keys: Keys, around: Surroundings) -> str:
    node = keys.values.get("limit")
    if isinstance(node, Scalar) and isinstance(node.value, str):
        path = node.value
        variable = around.view.variables.get(path)
        has_type = variable is not None and variable.type.kind is Kind.INT and not variable.optional
        return path if _is_readable(keys, "limit", path, around, has_type, "an int that is always there") else ""
    if isinstance(node, Scalar) and type(node.value) is int and node.value >= 0:
        return str(node.value)
    if node is not None:
        keys.note("limit", f"expected an int of at least 0, or an int fact, for `limit`, found {describe(node)}")
    return ""


def _outside_hours(keys: Keys, around: Surroundings) -> Expansion | None:
    begin, end = _minutes(keys, "from"), _minutes(keys, "to")
    zone = keys.text("zone", around.zone)
    if zone and keys.has("zone") and not is_known_zone(keys, "zone", zone, around.is_zone):
        return None
    if not zone:
        hint = "write `zone: Europe/Berlin` here or at the top of a document"
        keys.report.note(keys.file, keys.node, "expected a declared `zone` for `outside-hours`, found none", hint)
        return None
    days = _days(keys)
    if begin is None or end is None or not days:
        return None
    if begin == end:
        keys.note("to", f"expected another time than `from` for `to`, found `{keys.text('to')}` for both")
        return None
    words = f"the time is outside {keys.text('from')} to {keys.text('to')} ({zone})"
    chosen = ", ".join(_NAMES[day] for day in days)
    return Expansion(
        f"!({_within(begin, end, days, zone)})", words if len(days) == len(_NAMES) else f"{words}, {chosen}"
    )


def _within(begin: int, end: int, days: tuple[int, ...], zone: str) -> str:
    """Whether now lies in the hours; of hours across midnight, the part after it belongs to the day before."""
    clock = f"time.now.getHours({_text(zone)}) * 60 + time.now.getMinutes({_text(zone)})"
    if begin < end:
        until = f" && {clock} < {end}" if end < _DAY_MINUTES else ""
        return f"{clock} >= {begin}{until}{_on(days, zone)}"
    late = f"{clock} >= {begin}{_on(days, zone)}"
    early = f"{clock} < {end}{_on(tuple((day + 1) % 7 for day in days), zone)}"
    return f"({late}) || ({early})"


def _on(days: tuple[int, ...], zone: str) -> str:
    if len(days) == len(_NAMES):
        return ""
    # CEL counts the days of the week from Sunday, 0 (cel-spec, getDayOfWeek).
    numbers = ", ".join(str(number) for number in sorted((day + 1) % 7 for day in days))
    return f" && time.now.getDayOfWeek({_text(zone)}) in [{numbers}]"


def _minutes(keys: Keys, key: str) -> int | None:
    node = keys.values.get(key)
    if node is None:
        return None
    match = _TIME.fullmatch(node.value) if isinstance(node, Scalar) and isinstance(node.value, str) else None
    minutes = int(match[1]) * 60 + int(match[2]) if match else _DAY_MINUTES + 1
    if minutes > _DAY_MINUTES or (key == "from" and minutes == _DAY_MINUTES):
        keys.note(key, f'expected a time of day such as `"08:30"` for `{key}`, found {describe(node)}')
        return None
    return minutes


def _days(keys: Keys) -> tuple[int, ...]:
    if not keys.has("days"):
        return tuple(range(len(_NAMES)))
    order = [day.value for day in Day]
    found: list[int] = []
    for text in keys.texts("days", least=1):
        if str(text.value) in order:
            found.append(order.index(str(text.value)))
        else:
            keys.not_one_of("days", text, order)
    return tuple(sorted(found))


def _names(keys: Keys, key: str) -> tuple[str, ...]:
    """One text, or a list of them."""
    node = keys.values.get(key)
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return (keys.text(key),)
    return tuple(str(text.value) for text in keys.texts(key, least=1))


def _is_readable(keys: Keys, key: str, path: str, around: Surroundings, has_type: bool, expected: str) -> bool:  # noqa: FBT001  (all callers name it)
    """Whether the rule can read the path and it has the type; notes the problem otherwise."""
    variable = around.view.variables.get(path)
    if variable is not None and has_type:
        return True
    if variable is not None:
        keys.note(key, f"expected {expected} for `{key}`, found `{path}` of type `{variable.type}`")
    elif path:
        message = f"expected a fact that this rule can read for `{key}`, found `{shorten(path)}`"
        keys.note(key, message, keys.report.guess(path, around.view.variables))
    return False


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(values: Mapping[str, None] | tuple[str, ...]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"
