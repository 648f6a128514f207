"""Plain data that remembers where it was written: what a document reader hands to the loader.

- A scalar is text, a bool, an int, a float or null; `Items` is a list, `Table` a mapping with text keys.
- Lines and columns count from 1. A text that spans several lines, or is quoted, keeps the origins of its pieces, so
  that an error inside a condition names the line and column in the file.
"""

from __future__ import annotations

from typing import TypeAlias, Union

import msgspec

from demur.errors import Problem

Plain: TypeAlias = Union[None, bool, int, float, str]
Unlocated: TypeAlias = Union[Plain, "list[Unlocated]", "dict[str, Unlocated]"]


class Scalar(msgspec.Struct, frozen=True, gc=False):
    """One scalar. `origins` lists (offset in the text, line, column) of its pieces, in order; empty for one piece."""

    value: Plain
    line: int
    column: int
    origins: tuple[tuple[int, int, int], ...] = ()


class Items(msgspec.Struct, frozen=True):
    """A list."""

    items: tuple[Located, ...]
    line: int
    column: int


class Entry(msgspec.Struct, frozen=True):
    """One key of a table and its value."""

    key: str
    line: int
    column: int
    value: Located


class Table(msgspec.Struct, frozen=True):
    """A mapping; keys are unique."""

    entries: tuple[Entry, ...]
    line: int
    column: int


Located: TypeAlias = Union[Scalar, Items, Table]


class SourceDocument(msgspec.Struct, frozen=True):
    """One file as read. `root` is missing where the file could not be read at all; `problems` says why."""

    file: str
    root: Located | None
    problems: tuple[Problem, ...] = ()


def place(scalar: Scalar, line: int, column: int) -> tuple[int, int]:
    """The line and column in the file of a line and column (from 1) within the scalar's text."""
    text = scalar.value
    if not isinstance(text, str) or (line == 1 and not scalar.origins):
        return scalar.line, scalar.column + column - 1
    lines = text.split("\n")
    offset = sum(len(part) + 1 for part in lines[: line - 1]) + column - 1
    start, at_line, at_column = 0, scalar.line, scalar.column
    for origin in scalar.origins:
        if origin[0] > offset:
            break
        start, at_line, at_column = origin
    return at_line, at_column + offset - start


def plain(node: Located) -> Unlocated:
    """The value without its places."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [plain(item) for item in node.items]
        case Table():
            return {entry.key: plain(entry.value) for entry in node.entries}


_MAX_SHOWN = 60


def describe(node: Located) -> str:
    """What was found, for a message: `the text ...`, `the int ...`, `a list`, `a table` or `nothing`."""
    match node:
        case Items():
            return "a list"
        case Table():
            return "a table"
    match node.value:
        case None:
            return "nothing"
        case bool():
            return f"the bool `{str(node.value).lower()}`"
        case int():
            return f"the int `{node.value}`"
        case float():
            return f"the number `{node.value}`"
        case str():
            return f"the text `{shorten(node.value)}`"


def shorten(text: str) -> str:
    """The text on one line and not too long, for a message."""
    line = text.strip().replace("\n", " ")
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 3] + "..."
