"""Types as documents write them: `string`, `list<int>`, `map<string, double>`, `{object: {name: type}}`.

A list or map of objects is written as a table too: `{list: {object: {...}}}`, `{map: {object: {...}}}`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from demur.core.policy.located import Entry, Located, Scalar, Table, describe, place, shorten
from demur.core.policy.reading import Keys, nearest, quoted
from demur.core.schema import Field, Kind, Type
from demur.errors import Problem

if TYPE_CHECKING:
    from demur.core.policy.reading import Report

MAX_DEPTH = 16
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)

_SIMPLE = {
    kind.value: Type(kind) for kind in (Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.TIMESTAMP, Kind.DURATION)
}
_STRING = Type(Kind.STRING)
_OTHER_WORDS = {
    "str": "string",
    "text": "string",
    "enum": "string",
    "integer": "int",
    "long": "int",
    "uint": "int",
    "float": "double",
    "number": "double",
    "decimal": "double",
    "boolean": "bool",
    "date": "timestamp",
    "datetime": "timestamp",
    "time": "timestamp",
    "timedelta": "duration",
    "array": "list<...>",
    "list": "list<...>",
    "map": "map<string, ...>",
    "dict": "map<string, ...>",
    "object": "{object: {...}}",
}
_KINDS = (*_SIMPLE, "list<...>", "map<string, ...>")
_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|[<>,]|\S)", re.ASCII)


def read_type(report: Report, file: str, node: Located, depth: int = 0) -> Type | None:
    """The type, or nothing after noting what is wrong with it."""
    if depth > MAX_DEPTH:
        report.note(file, node, f"expected types nested at most {MAX_DEPTH} deep, found more")
        return None
    match node:
        case Scalar(value=str(text)) if text.strip():
            return _Text(report, file, node, text).read()
        case Table():
            return _table(report, file, node, depth)
        case _:
            report.note(file, node, f"expected a type, found {describe(node)}", f"write one of {quoted(_KINDS)}")
            return None


def _table(report: Report, file: str, node: Table, depth: int) -> Type | None:
    keys = Keys(report, file, node, "a type", known=("object", "list", "map"))
    if len(node.entries) != 1:
        report.note(file, node, "expected exactly one of `object`, `list`, `map` in a type", code="missing-key")
        return None
    if keys.has("object"):
        return _object(report, file, keys.entries("object"), depth)
    for key, kind in (("list", Kind.LIST), ("map", Kind.MAP)):
        if keys.has(key):
            element = read_type(report, file, keys.values[key], depth + 1)
            return None if element is None else Type(kind, element, _STRING if kind is Kind.MAP else None)
    return None


def _object(report: Report, file: str, entries: tuple[Entry, ...], depth: int) -> Type | None:
    fields = [_field(report, file, entry, depth) for entry in entries]
    found = tuple(field for field in fields if field is not None)
    return Type(Kind.OBJECT, fields=found) if len(found) == len(fields) else None


def _field(report: Report, file: str, entry: Entry, depth: int) -> Field | None:
    if not IDENTIFIER.fullmatch(entry.key):
        report.note(file, entry, f"expected a name of letters, digits and `_`, found `{shorten(entry.key)}`")
        return None
    node = entry.value
    if isinstance(node, Table) and any(inner.key in {"type", "optional"} for inner in node.entries):
        keys = Keys(report, file, node, "a field", known=("type", "optional"), needs=("type",))
        declared = read_type(report, file, keys.values["type"], depth + 1) if keys.has("type") else None
        return None if declared is None else Field(entry.key, declared, keys.flag("optional"))
    declared = read_type(report, file, node, depth + 1)
    return None if declared is None else Field(entry.key, declared)


class _Text:
    """Reads `list<map<string, int>>` by recursive descent; one problem is noted at most."""

    def __init__(self, report: Report, file: str, node: Scalar, text: str) -> None:
        self.report = report
        self.file = file
        self.node = node
        self.tokens = [(match[1], match.start(1)) for match in _TOKEN.finditer(text)]
        self.at = 0
        self.has_failed = False

    def read(self) -> Type | None:
        found = self.type(0)
        if not self.has_failed and self.at < len(self.tokens):
            self.fail("the end of the type")
        return None if self.has_failed else found

    def type(self, depth: int) -> Type | None:
        word = self.word()
        if depth > MAX_DEPTH:
            self.fail(f"types nested at most {MAX_DEPTH} deep")
            return None
        is_open = self.at + 1 < len(self.tokens) and self.tokens[self.at + 1][0] == "<"
        if word in _SIMPLE and not is_open:
            self.at += 1
            return _SIMPLE[word]
        if word in {"list", "map"} and is_open:
            self.at += 2
            return self.parameters(Kind(word), depth)
        near = _OTHER_WORDS.get(word.lower()) or nearest(word, _SIMPLE)
        self.fail("a type", f"did you mean `{near}`?" if near else f"write one of {quoted(_KINDS)}")
        return None

    def parameters(self, kind: Kind, depth: int) -> Type | None:
        if kind is Kind.MAP:
            self.take("string", "`string`: the keys of a map are text")
            self.take(",", "`,`")
        element = None if self.has_failed else self.type(depth + 1)
        if not self.has_failed:
            self.take(">", "`>`")
        return None if element is None else Type(kind, element, _STRING if kind is Kind.MAP else None)

    def word(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, token: str, expected: str) -> None:
        if self.has_failed:
            return
        if self.word() == token:
            self.at += 1
        else:
            self.fail(expected)

    def fail(self, expected: str, hint: str = "") -> None:
        self.has_failed = True
        text = str(self.node.value)
        offset = self.tokens[self.at][1] if self.at < len(self.tokens) else len(text)
        line, column = place(self.node, 1, offset + 1)
        found = f"`{shorten(self.word())}`" if self.word() else "the end of the text"
        self.report.add(Problem(self.file, line, column, f"expected {expected}, found {found}", hint))
