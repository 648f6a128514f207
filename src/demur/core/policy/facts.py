"""Declarations of sources, facts, arguments and usage counters, read into the schema's types.

- A declared fact has a path of two or more names, and no path begins with another one.
- What a request claims stands under `subject`, `actor`, `resource` or `context`; arguments are declared with their
  action, usage counters under `usage`, and everything else comes from a named source (S2.2).

Clauses: S1.2, S1.3, S1.5, S2, S10.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from demur.core.conform import ConformError, conform
from demur.core.policy.located import Scalar, Table, describe, plain, shorten
from demur.core.policy.reading import Keys
from demur.core.policy.types import read_type
from demur.core.schema import BUILT_IN, REQUEST, Await, Change, Fact, Kind, Obtain, Visibility, argument_path
from demur.core.terms import Audience

if TYPE_CHECKING:
    from demur.core.policy.located import Entry, Located
    from demur.core.policy.reading import Report
    from demur.core.schema import Type
    from demur.core.terms import Value


class Detector(StrEnum):
    """What a content source can look for."""

    CODE = "code"


_FACT_KEYS = (
    "await", "bound", "change", "confidential", "description", "detect", "obtain", "one_of", "optional", "personal",
    "recheck_at_redeem", "secret", "source", "type", "unit", "visible",
)  # fmt: skip
_NOT_FOR_ARGUMENTS = {
    "await": "an argument is what the caller passes; it does not change by itself",
    "bound": "arguments are part of the action digest always",
    "detect": "declare the detected fact under `facts`",
    "recheck_at_redeem": "the actual arguments are compared when a grant is redeemed",
    "source": "the request is the source of every argument",
}
_CLAIMED = ("subject", "actor", "resource", "context")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII)
_MAX_PATH = 256
_MAX_COST = 1_000_000
_RESERVED = frozenset({"true", "false", "null", "in"})
_RESERVED_FIRST = frozenset(
    {
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "namespace",
        "package", "return", "var", "void", "while",
    }
)  # fmt: skip
USAGE = "usage"
ACTION = "action"
CONTENT = "content"


def read_fact(report: Report, file: str, entry: Entry) -> tuple[Fact, tuple[str, str] | None] | None:
    """A fact, and what to detect in which other fact where it is a finding about content."""
    if not _is_path(report, file, entry):
        return None
    keys, declared = _open(report, file, entry.value, "a fact", _FACT_KEYS)
    if declared is None:
        return None
    source = keys.text("source", REQUEST)
    first = entry.key.partition(".")[0]
    if source == REQUEST and first not in _CLAIMED:
        _not_claimed(report, file, entry, first)
    if keys.flag("bound") and (first != "context" or source != REQUEST):
        keys.note("bound", "expected `bound` only for a claimed fact under `context`, found it elsewhere")
    if source == REQUEST and keys.flag("recheck_at_redeem"):
        keys.note(
            "recheck_at_redeem", "expected a named `source` beside `recheck_at_redeem`, found a claim of the caller"
        )
    return _fact(report, keys, entry.key, declared, source), _detect(report, keys, declared)


def read_argument(report: Report, file: str, entry: Entry) -> Fact | None:
    """An argument of an action."""
    if not _is_path(report, file, entry, prefix=ACTION):
        return None
    keys, declared = _open(report, file, entry.value, "an argument", _FACT_KEYS)
    if declared is None:
        return None
    for key, why in _NOT_FOR_ARGUMENTS.items():
        if keys.has(key):
            keys.note(key, f"expected no `{key}` for an argument, found one", why)
    return _fact(report, keys, argument_path(entry.key), declared, REQUEST)


def _open(report: Report, file: str, node: Located, what: str, known: tuple[str, ...]) -> tuple[Keys, Type | None]:
    """The table of a declaration and its type; a bare type is a declaration too."""
    is_long = isinstance(node, Table) and not any(entry.key in {"object", "list", "map"} for entry in node.entries)
    if not is_long:
        return Keys(report, file, Table((), node.line, node.column), what, known=known), read_type(report, file, node)
    keys = Keys(report, file, node, what, known=known, needs=("type",))
    return keys, read_type(report, file, keys.values["type"]) if keys.has("type") else None


def _fact(report: Report, keys: Keys, path: str, declared: Type, source: str) -> Fact:
    return Fact(
        path=path,
        type=declared,
        source=source,
        description=keys.text("description"),
        unit=keys.text("unit"),
        optional=keys.flag("optional"),
        change=_change(report, keys),
        obtain=_obtain(report, keys),
        awaits=_await(report, keys),
        personal=keys.flag("personal"),
        confidential=keys.flag("confidential"),
        secret=keys.flag("secret"),
        bound=keys.flag("bound"),
        visible=_visible(report, keys),
        recheck_at_redeem=keys.flag("recheck_at_redeem"),
        one_of=_one_of(keys, declared),
    )


def _is_path(report: Report, file: str, entry: Entry, *, prefix: str = "") -> bool:
    path = argument_path(entry.key) if prefix else entry.key
    names = path.split(".")
    if not _PATH.fullmatch(path) or len(path) > _MAX_PATH or (prefix and "." in entry.key):
        what = "an argument's name of letters, digits and `_`" if prefix else "a path such as `subject.role`"
        report.note(file, entry, f"expected {what}, found `{shorten(entry.key)}`")
        return False
    reserved = next((name for name in names if name in _RESERVED), "") or (
        names[0] if names[0] in _RESERVED_FIRST else ""
    )
    if reserved:
        report.note(file, entry, f"expected a path without words of the condition language, found `{reserved}`")
        return False
    if path in BUILT_IN:
        report.note(file, entry, f"expected a fact that is not built in, found `{path}`", "leave the declaration out")
        return False
    if names[0] == USAGE or (names[0] == CONTENT and not prefix):
        hint = "declare a counter under the key `usage`" if names[0] == USAGE else "choose another first name"
        report.note(file, entry, f"expected another first name than `{names[0]}`: Demur fills it itself", hint)
        return False
    return True


def _not_claimed(report: Report, file: str, entry: Entry, first: str) -> None:
    if first == ACTION:
        message = f"expected an argument to be declared with its action, found `{entry.key}` under `facts`"
        report.note(file, entry, message, "declare it under `actions: <name>: arguments:`, or give it a `source`")
        return
    claimed = ", ".join(f"`{name}`" for name in _CLAIMED)
    report.note(
        file,
        entry,
        f"expected a `source` for `{shorten(entry.key)}`, found none",
        f"a request claims only facts under {claimed}",
        code="missing-key",
    )


def _detect(report: Report, keys: Keys, declared: Type) -> tuple[str, str] | None:
    node = keys.values.get("detect")
    if node is None:
        return None
    inner = Keys(report, keys.file, node, "`detect`", known=("in", "what"), needs=("what", "in"))
    what, path = inner.choice("what", Detector), inner.text("in")
    if declared.kind is not Kind.BOOL:
        keys.note("detect", f"expected the type `bool` beside `detect`, found `{declared}`")
    return (what.value, path) if what is not None and path else None


def _change(report: Report, keys: Keys) -> Change | None:
    node = keys.values.get("change")
    if node is None or (isinstance(node, Scalar) and node.value is False):
        return None
    if isinstance(node, Scalar) and node.value is True:
        return Change()
    if not isinstance(node, Table):
        keys.note("change", f"expected `true` or a table with `cost` for `change`, found {describe(node)}")
        return None
    inner = Keys(report, keys.file, node, "`change`", known=("cost",), needs=("cost",))
    cost = inner.values.get("cost")
    value = cost.value if isinstance(cost, Scalar) else None
    if cost is not None and (type(value) not in {int, float} or not 0 <= float(value or 0) <= _MAX_COST):
        inner.note("cost", f"expected a number from 0 to {_MAX_COST} for `cost`, found {describe(cost)}")
        return None
    return Change(float(value)) if isinstance(value, (int, float)) else None


def _obtain(report: Report, keys: Keys) -> Obtain | None:
    node = keys.values.get("obtain")
    if node is None:
        return None
    inner = Keys(report, keys.file, node, "`obtain`", known=("by", "how"), needs=("how",))
    how = inner.text("how")
    return Obtain(how, inner.text("by")) if how else None


def _await(report: Report, keys: Keys) -> Await | None:
    node = keys.values.get("await")
    if node is None:
        return None
    event = Keys(report, keys.file, node, "`await`", known=("event",), needs=("event",)).text("event")
    return Await(event) if event else None


def _visible(report: Report, keys: Keys) -> dict[Audience, Visibility]:
    node = keys.values.get("visible")
    if node is None:
        return {}
    inner = Keys(report, keys.file, node, "`visible`", known=[audience.value for audience in Audience])
    found = {audience: inner.choice(audience.value, Visibility) for audience in Audience}
    return {audience: shown for audience, shown in found.items() if shown is not None}


def _one_of(keys: Keys, declared: Type) -> tuple[Value, ...]:
    values: list[Value] = []
    for item in keys.items("one_of"):
        value = typed(keys, item, declared, "`one_of`")
        if value is not None and value not in values:
            values.append(value)
    if keys.has("one_of") and not values and not keys.items("one_of"):
        keys.note("one_of", "expected at least one value for `one_of`, found none")
    return tuple(values)


def typed(keys: Keys, node: Located, declared: Type, what: str) -> Value:
    """The value in its declared type, or null after noting that it has another."""
    try:
        return conform(plain(node), declared)
    except ConformError as error:
        at = f" at `{error.pointer}`" if error.pointer else ""
        message = f"expected {error.expected} in {what}{at}, found {describe(node)}"
        keys.report.note(keys.file, node, message, f"the declared type is `{declared}`")
        return None
