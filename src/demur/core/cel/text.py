"""Strings: code points, never bytes; regular expressions run on RE2, in time linear in the text.

RE2 has no backtracking, so no pattern can hang. What is left to bound is its size: the text of a pattern, the memory
of its program, and the steps charged for each run.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Protocol

import re2

from demur.core.cel.overload import Library, Overload
from demur.core.cel.truth import Fault
from demur.core.schema import Kind

if TYPE_CHECKING:
    from demur.core.terms import Value

MAX_PATTERN = 1_000
"""Code points of a regular expression."""
MAX_PROGRAM = 1_000
"""Instructions of its program: RE2's worst case takes a step for each of them at each byte of the text."""
MAX_PATTERN_MEMORY = 1 << 20
"""Bytes that RE2 may use for one pattern, its program and its automaton together."""
CHARACTERS_PER_STEP = 64
"""Text is charged by the piece: one step of the cost budget buys this many characters of a plain search or copy."""
_UNSEEN_PATTERN_STEPS = 2_000
"""What it is worth to compile a pattern that is not written out, within the memory below."""
_UNSEEN_PATTERN_MEMORY = 1 << 18


class Pattern(Protocol):
    """A compiled regular expression."""

    @property
    def programsize(self) -> int: ...
    def search(self, text: bytes) -> object: ...


def compile_pattern(pattern: str, max_memory: int = MAX_PATTERN_MEMORY) -> Pattern:
    """The compiled pattern; raises `ValueError` saying what is wrong with it."""
    if len(pattern) > MAX_PATTERN:
        message = f"a regular expression has at most {MAX_PATTERN} characters, found {len(pattern)}"
        raise ValueError(message)
    options = re2.Options()
    options.max_mem = max_memory
    options.log_errors = False
    options.never_capture = True
    try:
        compiled: Pattern = re2.compile(_bytes(pattern), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        message = f"not a regular expression of RE2: {reason[:80]}"
        raise ValueError(message) from error
    if compiled.programsize > MAX_PROGRAM:
        message = f"the regular expression is too large: {compiled.programsize} instructions, at most {MAX_PROGRAM}"
        raise ValueError(message)
    return compiled


def is_found(pattern: Pattern, text: str) -> bool:
    """Whether the pattern matches anywhere in the text."""
    return pattern.search(_bytes(text)) is not None


def search_cost(text: str, program: int) -> int:
    """Steps of running a program of so many instructions over the text, at worst."""
    return 1 + len(text) * program // CHARACTERS_PER_STEP


def _bytes(text: str) -> bytes:
    # A lone surrogate has no UTF-8; RE2 reads these bytes as U+FFFD, as it does any other fault of the encoding.
    return text.encode(errors="surrogatepass")


def _matches(text: str, pattern: str) -> bool | Fault:
    try:
        compiled = compile_pattern(pattern, _UNSEEN_PATTERN_MEMORY)
    except ValueError as error:
        return Fault(str(error))
    return is_found(compiled, text)


def _unseen_cost(text: str, _: str) -> int:
    return _UNSEEN_PATTERN_STEPS + search_cost(text, MAX_PROGRAM)


def _pair_cost(left: str, right: str) -> int:
    return 1 + (len(left) + len(right)) // CHARACTERS_PER_STEP


def _contains(text: str, part: str) -> Value:
    return part in text


_STRINGS = (Kind.STRING, Kind.STRING)

OVERLOADS: Library = {
    "size": {(Kind.STRING,): Overload(Kind.INT, len)},
    "_+_": {_STRINGS: Overload(Kind.STRING, operator.add, _pair_cost)},
    "contains": {_STRINGS: Overload(Kind.BOOL, _contains, _pair_cost)},
    "startsWith": {_STRINGS: Overload(Kind.BOOL, str.startswith, _pair_cost)},
    "endsWith": {_STRINGS: Overload(Kind.BOOL, str.endswith, _pair_cost)},
    "matches": {_STRINGS: Overload(Kind.BOOL, _matches, _unseen_cost)},
}
