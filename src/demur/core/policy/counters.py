"""Usage counters: which grants a `usage.*` fact counts, for whom, over which window.

- Keys are facts of the request that are always there, so that nobody can escape a counter by leaving one out.
- A calendar window needs a declared zone; a sum adds an int argument that every covered action must have.

Clauses: S2.4, S4.1.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from demur.core.policy import patterns
from demur.core.policy.declarations import read_patterns
from demur.core.policy.facts import USAGE
from demur.core.policy.heading import is_known_zone
from demur.core.policy.located import describe, shorten
from demur.core.policy.reading import Keys, quoted
from demur.core.schema import BUILT_IN, Counter, Kind, Window, argument_name, argument_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.policy.declarations import Declarations
    from demur.core.policy.heading import Heading
    from demur.core.policy.located import Entry
    from demur.core.schema import Fact

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_COUNTABLE = {Kind.STRING, Kind.INT, Kind.BOOL}
_MAX_WINDOW_MS = 366 * 86_400_000


class Calendar(StrEnum):
    """The calendar units that a window can have; a week begins on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


def read_counters(declared: Declarations, zone: str, is_zone: Callable[[str], bool]) -> dict[str, Counter]:
    """All counters by path, in path order."""
    counters: dict[str, Counter] = {}
    places: dict[str, tuple[str, int]] = {}
    for heading, entry in declared.counters:
        counter = _counter(declared, heading, entry, zone, is_zone)
        if counter is None:
            continue
        if counter.path in places:
            file, line = places[counter.path]
            message = f"expected the counter `{entry.key}` to be declared once, found it again"
            declared.report.note(heading.file, entry, message, f"it is declared in {file}, line {line}")
            continue
        places[counter.path] = (heading.file, entry.line)
        counters[counter.path] = counter
    return dict(sorted(counters.items()))


def _counter(
    declared: Declarations, heading: Heading, entry: Entry, zone: str, is_zone: Callable[[str], bool]
) -> Counter | None:
    if not _NAME.fullmatch(entry.key):
        message = f"expected a counter's name of letters, digits and `_`, found `{shorten(entry.key)}`"
        hint = f"conditions read it as `{USAGE}.{entry.key.removeprefix('usage.')}`; declare only the name"
        declared.report.note(heading.file, entry, message, hint if entry.key.startswith("usage.") else "")
        return None
    known = ("actions", "by", "description", "sum", "window")
    keys = Keys(declared.report, heading.file, entry.value, "a usage counter", known=known, needs=("actions", "by"))
    if not keys.is_table:
        return None
    actions = tuple(
        sorted(str(text.value) for text in read_patterns(declared.report, keys, "actions", declared.actions))
    )
    return Counter(
        path=f"{USAGE}.{entry.key}",
        actions=actions,
        key=_key(declared, keys, actions),
        window=_window(keys, zone, is_zone),
        adds=_adds(declared, keys, actions),
    )


def _key(declared: Declarations, keys: Keys, actions: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for text in keys.texts("by", least=1):
        path = str(text.value)
        why, hint = _why_no_key(declared, path, actions)
        if why:
            declared.report.note(keys.file, text, f"expected {why} for `by`, found `{shorten(path)}`", hint)
        else:
            found.append(path)
    return tuple(found)


def _why_no_key(declared: Declarations, path: str, actions: tuple[str, ...]) -> tuple[str, str]:
    """What was expected instead, and a hint; empty where the path can name whom to count."""
    kinds = declared.kinds(path)
    if not kinds:
        return "a declared fact", declared.report.guess(path, declared.paths())
    if kinds - _COUNTABLE:
        return "a string, int or bool", f"it has the type `{next(iter(kinds)).value}`"
    if path in BUILT_IN:
        return ("a fact that is always there", "it may be absent") if BUILT_IN[path][1] else ("", "")
    if path in declared.facts:
        is_optional = declared.facts[path].item.optional
        return ("a fact that is always there", "it is declared `optional`") if is_optional else ("", "")
    lacking = _lacking(declared, path, actions)
    return (f"an argument of every counted action ({quoted(lacking)} may lack it)", "") if lacking else ("", "")


def _lacking(declared: Declarations, path: str, actions: tuple[str, ...]) -> list[str]:
    """The covered actions in which the argument may be absent."""
    covered = patterns.expand(actions, declared.actions)
    return [name for name in covered if not _has(declared.actions[name].item.arguments, path)]


def _has(arguments: tuple[Fact, ...], path: str) -> bool:
    return any(fact.path == path and not fact.optional for fact in arguments)


def _window(keys: Keys, zone: str, is_zone: Callable[[str], bool]) -> Window:
    node = keys.values.get("window")
    if node is None:
        return Window()
    inner = Keys(keys.report, keys.file, node, "`window`", known=("calendar", "last", "zone"))
    if not inner.is_table:
        return Window()
    if inner.has("calendar") == inner.has("last"):
        found = "both" if inner.has("last") else "neither"
        hint = "leave `window` out to count without end"
        keys.note("window", f"expected either `calendar` or `last` in `window`, found {found}", hint)
        return Window()
    if inner.has("last"):
        return _last(inner)
    unit = inner.choice("calendar", Calendar)
    stated = inner.text("zone")
    if stated and not is_known_zone(inner, "zone", stated, is_zone):
        return Window()
    if not (stated or zone):
        hint = "add `zone: Europe/Berlin`, or `zone: UTC`, at the top of a document"
        inner.note("calendar", "expected a declared `zone` for a calendar window, found none", hint)
    return Window(calendar=unit.value, zone=stated or zone) if unit is not None else Window()


def _last(inner: Keys) -> Window:
    if inner.has("zone"):
        inner.note("zone", "expected `zone` only beside `calendar`, found it beside `last`")
    span = inner.milliseconds("last", 1_000, most=_MAX_WINDOW_MS)
    if span % 1_000 or not span:
        node = inner.values["last"]
        inner.note("last", f"expected whole seconds, at least one, for `last`, found {describe(node)}")
    return Window(seconds=span // 1_000)


def _adds(declared: Declarations, keys: Keys, actions: tuple[str, ...]) -> str:
    name = keys.text("sum")
    if not name:
        return ""
    path = argument_path(name)
    if name.startswith("action."):
        keys.note("sum", f"expected an argument's bare name for `sum`, found `{shorten(name)}`", f"write `{name[7:]}`")
        return ""
    arguments = declared.arguments(path)
    if not arguments:
        known = {argument_name(fact.path) for placed in declared.actions.values() for fact in placed.item.arguments}
        keys.note(
            "sum",
            f"expected an argument of an action for `sum`, found `{shorten(name)}`",
            declared.report.guess(name, known),
        )
        return ""
    covered = patterns.expand(actions, declared.actions)
    strange = [fact for fact in arguments if fact.type.kind is not Kind.INT]
    lacking = [action for action in covered if not _is_int(declared.actions[action].item.arguments, path)]
    if strange or lacking:
        found = f"type `{strange[0].type}`" if strange else f"none in {quoted(lacking[:5])}"
        keys.note("sum", f"expected an int argument `{name}` of every counted action for `sum`, found {found}")
        return ""
    return name


def _is_int(arguments: tuple[Fact, ...], path: str) -> bool:
    return any(fact.path == path and fact.type.kind is Kind.INT for fact in arguments)
