"""The words of the checker's refusals: what was expected, what was found, and what the author may have meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from demur.core.cel.ir import Const
from demur.core.cel.library import FUNCTIONS, MACROS, METHODS, STATIC
from demur.core.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from demur.core.cel.ir import Node
    from demur.core.schema import Type

COMPARE = "compare the value with something, so that it gives a bool"
"""The hint where a bool is needed."""

_LONGEST_GUESS = 80
_GUESSES = 500
_NUMBERS = frozenset({Kind.INT, Kind.DOUBLE})


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names what is spelt most alike, or nothing."""
    if len(name) > _LONGEST_GUESS:
        return ""
    candidates = sorted(known, key=lambda other: abs(len(other) - len(name)))[:_GUESSES]
    found = difflib.get_close_matches(name, candidates, n=2, cutoff=0.7)
    return "did you mean " + " or ".join(f"`{other}`" for other in found) + "?" if found else ""


def unknown_fact(path: str, facts: Iterable[str]) -> str:
    """A hint for a path that is not declared."""
    known = list(facts)
    inner = [fact for fact in known if fact.startswith(path + ".")]
    if inner:
        shown = ", ".join(f"`{fact}`" for fact in sorted(inner)[:3])
        return f"`{path}` is no fact by itself; declared are {shown}"
    return nearest(path, known) or "declare it under `facts` or among the arguments of the action"


def unknown_call(name: str, style: str) -> str:
    """A hint for a function or method that does not exist."""
    known = FUNCTIONS | {"has"} if style == "function" else METHODS | MACROS
    if style == "function" and name in METHODS | MACROS:
        return f"`{name}` is written after its target: `x.{name}(...)`"
    if style == "method" and name in FUNCTIONS | {"has"}:
        return f"`{name}` is written before its argument: `{name}(x)`"
    return nearest(name, known) or "see the list of functions in docs/conditions.md"


def describe(name: str) -> str:
    """An operator or function as the author wrote it."""
    if name == "_[_]":
        return "[ ]"
    return name.strip("_@") if not name[0].isalpha() else name


def combinations(name: str) -> str:
    """What an operator or function takes, for the field `expected`."""
    if name in ("_==_", "_!=_"):
        return "two values of one type"
    if name == "@in":
        return "a value and a list of its type, or a key and a map"
    takes = sorted({" and ".join(kind.value for kind in kinds) for kinds in STATIC.get(name, {})})
    return "; ".join(takes)


def mismatch_hint(name: str, args: Sequence[Node]) -> str:
    """A hint for operands that do not go together."""
    types = [arg.type for arg in args]
    kinds = {type_.kind for type_ in types}
    if Kind.NULL in kinds and name in ("_==_", "_!=_"):
        return "a fact is never null; test with `has(...)` whether it is there"
    if kinds == _NUMBERS:
        return _number_hint(args)
    if kinds in ({Kind.STRING, Kind.TIMESTAMP}, {Kind.STRING, Kind.DURATION}):
        wanted = "timestamp" if Kind.TIMESTAMP in kinds else "duration"
        return f"write the text as `{wanted}(...)`"
    if name == "_+_" and Kind.STRING in kinds:
        return "turn the other operand into text with `string(...)`"
    return ""


def _number_hint(args: Sequence[Node]) -> str:
    for arg in args:
        if isinstance(arg, Const) and arg.type.kind is Kind.INT:
            return f"write `{arg.value}.0` to compare with a double"
    return "integers and doubles do not mix; convert one with `double(...)` or `int(...)`"


def listing(types: Sequence[Type]) -> str:
    """Types for a message: `int and string`."""
    return " and ".join(str(type_) for type_ in types)
