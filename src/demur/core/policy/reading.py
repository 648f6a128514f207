"""Reading tables key by key: every finding is noted with its place, and reading goes on.

- A `Report` collects problems; at one place only the first is kept, since others there follow from it.
- `Keys` checks one table against the keys that it may have. Its methods give the value, or a default after noting
  what was expected and what was found, so that one run shows everything that is wrong.
"""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from demur.core.policy.located import Entry, Items, Located, Scalar, Table, describe, shorten
from demur.core.terms import parse_duration
from demur.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

E = TypeVar("E", bound=StrEnum)

TOKEN = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
"""What an id may look like (S5.5)."""

_MAX_GUESSES = 200
_MAX_CANDIDATES = 2_000
_GUESS_CUTOFF = 0.6


class Report:
    """The problems found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._places: set[tuple[str, int, int]] = set()
        self._nearest: dict[tuple[str, tuple[str, ...]], str] = {}

    def note(self, file: str, at: Located | Entry, message: str, hint: str = "", *, code: str = "invalid") -> None:
        """Note a problem at the place of a value or key."""
        self.add(Problem(file, at.line, at.column, message, hint, code))

    def add(self, problem: Problem) -> None:
        """Note a problem, unless its place has one already."""
        place = (problem.file, problem.line, problem.column)
        if problem.line and place in self._places:
            return
        self._places.add(place)
        self.problems.append(problem)

    def guess(self, word: str, known: Iterable[str]) -> str:
        """`did you mean ...?` where a known word is near, or the known words where they are few, or nothing."""
        candidates = sorted(set(known))
        near = self.nearest(word, candidates)
        if near:
            return f"did you mean `{near}`?"
        return "expected one of " + quoted(candidates) if 0 < len(candidates) <= _FEW else ""

    def nearest(self, word: str, known: Collection[str]) -> str:
        """The known word most like this one, or nothing.

        The work is capped: a hostile document cannot buy an unbounded search with its mistakes.
        """
        candidates = tuple(known)[:_MAX_CANDIDATES]
        found = self._nearest.get((word, candidates))
        if found is None:
            found = nearest(word, candidates) if len(self._nearest) < _MAX_GUESSES else ""
            self._nearest[word, candidates] = found
        return found


_FEW = 12


def nearest(word: str, candidates: Collection[str]) -> str:
    """The candidate most like the word, or nothing; case is ignored."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(word[:64].lower(), by_lower, n=1, cutoff=_GUESS_CUTOFF)
    return by_lower[found[0]] if found else ""


def quoted(words: Iterable[str]) -> str:
    """The words in backticks, with commas."""
    return ", ".join(f"`{word}`" for word in words)


class Keys:
    """One table, checked against the keys that it may and must have. `what` names it in messages: `a rule`."""

    def __init__(
        self,
        report: Report,
        file: str,
        node: Located,
        what: str,
        *,
        known: Collection[str],
        needs: Collection[str] = (),
    ) -> None:
        self.report = report
        self.file = file
        self.node = node
        self.what = what
        self.values: dict[str, Located] = {}
        self.is_table = isinstance(node, Table)
        if not isinstance(node, Table):
            report.note(file, node, f"expected {what} as a table, found {describe(node)}")
            return
        meant: set[str] = set()
        for entry in node.entries:
            if entry.key in known:
                self.values[entry.key] = entry.value
            else:
                meant.add(self._unknown(entry, known))
        missing = [key for key in needs if key not in self.values and key not in meant]
        if missing:
            report.note(file, node, f"expected {quoted(missing)} in {what}, found no such key", code="missing-key")

    def _unknown(self, entry: Entry, known: Collection[str]) -> str:
        """Note a key that the table may not have; gives the key that was meant, if one is near."""
        near = self.report.nearest(entry.key, known)
        if near:
            hint = f"did you mean `{near}`?"
        elif " " in entry.key and isinstance(entry.value, Scalar) and entry.value.value is None:
            hint = "a comma in braces begins another key; quote the text, if it belongs to the one before"
        else:
            hint = "expected one of " + quoted(sorted(known)) if len(known) <= _FEW else ""
        message = f"unknown key `{shorten(entry.key)}` in {self.what}"
        self.report.note(self.file, entry, message, hint, code="unknown-key")
        return near

    def note(self, key: str, message: str, hint: str = "") -> None:
        """Note a problem at the value of a key, or at the table where the key is missing."""
        self.report.note(self.file, self.values.get(key, self.node), message, hint)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self.values

    def text(self, key: str, default: str = "") -> str:
        """A text that is not empty."""
        node = self.values.get(key)
        return default if node is None else text_of(self.report, self.file, node, f"a text for `{key}`") or default

    def token(self, key: str) -> str:
        """An id."""
        text = self.text(key)
        if text and not TOKEN.fullmatch(text):
            self.note(key, f"expected `{key}` as 1 to 64 of a-z, 0-9, `_`, `.`, `-`, found the text `{shorten(text)}`")
            return ""
        return text

    def flag(self, key: str) -> bool:
        """A bool; false where there is none."""
        node = self.values.get(key)
        if node is None:
            return False
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        hint = "YAML 1.2 knows only `true` and `false`" if isinstance(node, Scalar) else ""
        self.note(key, f"expected `true` or `false` for `{key}`, found {describe(node)}", hint)
        return False

    def whole(self, key: str, default: int, *, least: int, most: int) -> int:
        """An int within bounds."""
        node = self.values.get(key)
        if node is None:
            return default
        if isinstance(node, Scalar) and type(node.value) is int and least <= node.value <= most:
            return node.value
        self.note(key, f"expected an int from {least} to {most} for `{key}`, found {describe(node)}")
        return default

    def choice(self, key: str, options: type[E]) -> E | None:
        """One of a closed set."""
        found = self.one_of(key, [option.value for option in options])
        return options(found) if found else None

    def one_of(self, key: str, options: Sequence[str]) -> str:
        """One of the options, or nothing."""
        node = self.values.get(key)
        if node is None:
            return ""
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value in options:
            return node.value
        self.not_one_of(key, node, options)
        return ""

    def not_one_of(self, key: str, node: Located, options: Collection[str]) -> None:
        """Note that a value is none of the options."""
        word = node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""
        near = nearest(word, options) if word else ""
        self.report.note(
            self.file,
            node,
            f"expected one of {quoted(options)} for `{key}`, found {describe(node)}",
            f"did you mean `{near}`?" if near else "",
        )

    def milliseconds(self, key: str, default: int, *, most: int) -> int:
        """A duration written as `200ms`, `5s`, `4h`."""
        node = self.values.get(key)
        if node is None:
            return default
        found = node.value if isinstance(node, Scalar) else None
        try:
            span = parse_duration(found) if isinstance(found, str) else None
        except ValueError:
            span = None
        if span is None or span.nanos % 1_000_000 or not 0 <= span.nanos <= most * 1_000_000:
            self.note(
                key,
                f"expected a duration of at most {most // 1_000} s for `{key}`, found {describe(node)}",
                "write it as `200ms`, `90s`, `4h` or `1h30m`",
            )
            return default
        return span.nanos // 1_000_000

    def texts(self, key: str, *, least: int = 0) -> tuple[Scalar, ...]:
        """A list of distinct texts, with their places."""
        node = self.values.get(key)
        return () if node is None else texts_of(self.report, self.file, node, f"`{key}`", least=least)

    def items(self, key: str) -> tuple[Located, ...]:
        """A list of anything."""
        node = self.values.get(key)
        if node is None:
            return ()
        if isinstance(node, Items):
            return node.items
        self.note(key, f"expected a list for `{key}`, found {describe(node)}")
        return ()

    def entries(self, key: str) -> tuple[Entry, ...]:
        """The entries of a table."""
        node = self.values.get(key)
        if node is None:
            return ()
        if isinstance(node, Table):
            return node.entries
        self.note(key, f"expected a table for `{key}`, found {describe(node)}")
        return ()


def text_of(report: Report, file: str, node: Located, expected: str) -> str:
    """The text of a scalar, or nothing after noting what was found."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
        return node.value
    found = "an empty text" if isinstance(node, Scalar) and isinstance(node.value, str) else describe(node)
    is_other = isinstance(node, Scalar) and node.value is not None and not isinstance(node.value, str)
    report.note(file, node, f"expected {expected}, found {found}", "quote it" if is_other else "")
    return ""


def texts_of(report: Report, file: str, node: Located, what: str, *, least: int = 0) -> tuple[Scalar, ...]:
    """The distinct texts of a list, with their places."""
    if not isinstance(node, Items):
        hint = "put it in brackets" if isinstance(node, Scalar) and node.value is not None else ""
        report.note(file, node, f"expected a list of texts for {what}, found {describe(node)}", hint)
        return ()
    if len(node.items) < least:
        report.note(file, node, f"expected at least {least} for {what}, found an empty list")
    seen: set[str] = set()
    texts: list[Scalar] = []
    for item in node.items:
        text = text_of(report, file, item, f"a text in {what}")
        if text in seen:
            report.note(file, item, f"`{shorten(text)}` stands in {what} twice", "remove one of them")
        elif text and isinstance(item, Scalar):
            seen.add(text)
            texts.append(item)
    return tuple(texts)
