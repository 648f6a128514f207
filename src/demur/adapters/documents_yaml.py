"""One YAML text -> a tree of located values, from libyaml's events and with a stack of our own."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs leave out what the module imports for others

from demur.core.policy.located import Entry, Items, Located, Plain, Scalar, SourceDocument, Table, describe
from demur.core.terms import MAX_INT
from demur.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 32
MAX_VALUES = 2_000_000
"""Values in one file: what a file of the largest size can need, and far below what would exhaust memory."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_FIRST = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
_MAX_DIGITS = 32
_BLOCK: Final = "|>"
_Event: TypeAlias = Any
"""An event of libyaml: always with marks, tag and anchor, which the stubs do not promise."""
_Mark: TypeAlias = Any


class _StopError(Exception):
    """Reading cannot go on; the problem has been noted."""


class _Open:
    """A list or table that has not ended yet."""

    __slots__ = ("column", "entries", "items", "key", "line", "seen")

    def __init__(self, line: int, column: int, *, is_table: bool) -> None:
        self.line = line
        self.column = column
        self.items: list[Located] = []
        self.entries: list[Entry] | None = [] if is_table else None
        self.seen: dict[str, int] = {}
        self.key: Scalar | None = None

    @property
    def wants_key(self) -> bool:
        return self.entries is not None and self.key is None

    def close(self) -> Located:
        if self.entries is None:
            return Items(tuple(self.items), self.line, self.column)
        return Table(tuple(self.entries), self.line, self.column)


class _Builder:
    """Builds the tree; `problems` grows as findings are made."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = text.split("\n")
        self.problems: list[Problem] = []
        self.open: list[_Open] = []
        self.root: Located | None = None
        self.documents = 0
        self.count = 0
        self.take: dict[type[yaml.Event], Callable[[_Event], None]] = {
            yaml.ScalarEvent: self.scalar,
            yaml.MappingStartEvent: self.start,
            yaml.SequenceStartEvent: self.start,
            yaml.MappingEndEvent: self.end,
            yaml.SequenceEndEvent: self.end,
            yaml.AliasEvent: self.alias,
            yaml.DocumentStartEvent: self.document,
        }

    def note(self, mark: _Mark, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, message, hint))

    def document(self, event: _Event) -> None:
        self.documents += 1
        if self.documents > 1:
            self.note(
                event.start_mark, "expected one document in a file, found another", "put it into a file of its own"
            )
            raise _StopError
        if event.version not in {None, (1, 2)} or event.tags:
            self.note(event.start_mark, "expected YAML 1.2 without directives, found a directive", "remove the line")

    def alias(self, event: _Event) -> None:
        hint = "quote the text, or write the value out: `*` begins an alias"
        self.note(event.start_mark, f"aliases are refused, found `*{event.anchor}`", hint)
        self.place(Scalar(None, event.start_mark.line + 1, event.start_mark.column + 1))

    def plainly(self, event: _Event) -> None:
        """Refuse what would make the value more than it looks."""
        if event.anchor is not None:
            self.note(event.start_mark, f"anchors are refused, found `&{event.anchor}`", "quote the text, if it is one")
        if event.tag is not None:
            hint = "quote the text, if it is one: `!` at its beginning makes a tag"
            self.note(event.start_mark, f"tags are refused, found `{event.tag}`", hint)

    def start(self, event: _Event) -> None:
        mark = event.start_mark
        if event.anchor is not None or event.tag is not None:
            self.plainly(event)
        if self.open and self.open[-1].wants_key:
            self.note(mark, "expected a text as key, found a list or table", "quote the key")
            raise _StopError
        if len(self.open) >= MAX_DEPTH:
            self.note(mark, f"expected nesting of at most {MAX_DEPTH}, found deeper nesting")
            raise _StopError
        self.open.append(_Open(mark.line + 1, mark.column + 1, is_table=isinstance(event, yaml.MappingStartEvent)))

    def end(self, _event: _Event) -> None:
        self.place(self.open.pop().close())

    def scalar(self, event: _Event) -> None:
        self.count += 1
        mark = event.start_mark
        if self.count > MAX_VALUES:
            self.note(mark, f"expected at most {MAX_VALUES} values in a file, found more")
            raise _StopError
        if event.anchor is not None or event.tag is not None:
            self.plainly(event)
        line, column = mark.line + 1, mark.column + 1
        if event.end_mark.line != mark.line:
            self.place(Scalar(event.value, line, column, self.origins(event)))
        elif event.style:
            self.place(Scalar(event.value, line, column, ((0, line, column + 1),)))
        else:
            self.place(Scalar(self.resolve(event.value, event), line, column))

    def resolve(self, text: str, event: _Event) -> Plain:
        """The value of a plain scalar in YAML 1.2's core schema (section 10.3)."""
        if text[:1] in _FIRST and text:
            return self.number(text, event)
        if text in _BOOL:
            return _BOOL[text]
        return None if text in _NULL else text

    def number(self, text: str, event: _Event) -> Plain:
        if _NOT_FINITE.fullmatch(text):
            self.note(event.start_mark, f"expected a finite number, found `{text}`", "quote it, if it is a text")
            return 0
        if _INT.fullmatch(text):
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            whole = int(text, base) if len(text) <= _MAX_DIGITS else MAX_INT + 1
            if abs(whole) <= MAX_INT:
                return whole
            self.note(
                event.start_mark,
                f"expected an integer within +-(2^53-1), found `{text[:40]}`",
                "quote it, if it is a text",
            )
            return 0
        if _FLOAT.fullmatch(text):
            number = float(text)
            if math.isfinite(number):
                return number
            self.note(event.start_mark, f"expected a finite number, found `{text[:40]}`")
            return 0
        return text

    def place(self, value: Located) -> None:
        """Put a finished value where it belongs."""
        if not self.open:
            self.root = value
            return
        owner = self.open[-1]
        if owner.entries is None:
            owner.items.append(value)
        elif owner.key is None:
            owner.key = self.key(value)
        else:
            self.entry(owner, owner.entries, owner.key, value)
            owner.key = None

    def key(self, value: Located) -> Scalar:
        if isinstance(value, Scalar) and isinstance(value.value, str):
            return value
        shown = describe(value)
        self.problems.append(
            Problem(self.file, value.line, value.column, f"expected a text as key, found {shown}", "quote the key")
        )
        return Scalar(shown, value.line, value.column)

    def entry(self, owner: _Open, entries: list[Entry], key: Scalar, value: Located) -> None:
        name = str(key.value)
        before = owner.seen.setdefault(name, key.line)
        if len(owner.seen) == len(entries):
            hint = f"`{name}` is on line {before} already"
            self.problems.append(Problem(self.file, key.line, key.column, f"duplicate key `{name}`", hint))
            return
        entries.append(Entry(name, key.line, key.column, value))

    def origins(self, event: _Event) -> tuple[tuple[int, int, int], ...]:
        """Where the pieces of a text on several lines stand, found by looking for each line of the file in the text."""
        pieces: list[tuple[int, int, int]] = []
        first, last = event.start_mark, event.end_mark
        at = 0
        for number in range(first.line, min(last.line + 1, len(self.lines))):
            line = self.lines[number]
            begin = first.column if number == first.line else 0
            if number == first.line and event.style:
                begin = len(line) if event.style in _BLOCK else begin + 1
            piece = line[begin : last.column if number == last.line else None].strip(" \t\r")
            found = event.value.find(piece.rstrip("'\"\\"), at) if piece else -1
            if found >= 0:
                pieces.append((found, number + 1, line.index(piece, begin) + 1))
                at = found + len(piece)
        return tuple(pieces)


def read_tree(text: str, file: str) -> SourceDocument:
    """The document; where it is not YAML, `root` is missing and the problem says what the parser expected."""
    builder = _Builder(text, file)
    # libyaml reads NUL as the end of its input; what stood behind it would be left out in silence.
    if "\0" in text:
        before = text[: text.index("\0")]
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        return SourceDocument(
            file, None, (Problem(file, *place, "expected printable text, found the character U+0000"),)
        )
    try:
        parser = CParser(text)
        take = builder.take
        while (event := parser.get_event()) is not None:
            accept = take.get(type(event))
            if accept is not None:
                accept(event)
    except _StopError:
        return SourceDocument(file, None, tuple(builder.problems))
    except yaml.YAMLError as error:
        return SourceDocument(file, None, (*builder.problems, _syntax(error, builder)))
    if builder.root is None:
        return SourceDocument(
            file, None, (Problem(file, 1, 1, "expected a document, found nothing", "see docs/policies.md"),)
        )
    return SourceDocument(file, builder.root, tuple(builder.problems))


def _syntax(error: yaml.YAMLError, builder: _Builder) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        words = " ".join(part for part in (error.problem, error.context) if part)
        line = builder.lines[mark.line] if mark.line < len(builder.lines) else ""
        hint = _hint(str(error.problem), line, mark.column)
        begun = error.context_mark
        if not hint and begun is not None and begun.line != mark.line:
            hint = f"what does not end here begins on line {begun.line + 1}, column {begun.column + 1}"
        return Problem(builder.file, mark.line + 1, mark.column + 1, f"expected YAML: {words}", hint)
    if isinstance(error, yaml.reader.ReaderError):
        before = "\n".join(builder.lines)[: error.position]
        code = error.character if isinstance(error.character, int) else ord(str(error.character)[:1] or "?")
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        return Problem(builder.file, *place, f"expected printable text, found the character U+{code:04X}")
    return Problem(builder.file, 1, 1, f"expected YAML: {str(error).splitlines()[0]}")


def _hint(problem: str, line: str, column: int) -> str:
    if "mapping values" in problem:
        return "quote the text, or write it as a block after `|`: a colon and a space begin a value"
    if line[column : column + 1] == "\t" or line[: column + 1].strip(" ") == "\t":
        return "indent with spaces; tabs are not allowed"
    if "invalid Unicode character escape" in problem:
        return "write the character itself, or as `\\U0001F600`"
    if "alphabetic" in problem:
        return "quote the text: `*` and `&` at its beginning have a meaning in YAML"
    if "expected key" in problem or "expected <block end>" in problem or "cannot start" in problem:
        return "check the indentation and the quotes: a text that begins with a quote or bracket ends with it"
    return ""
