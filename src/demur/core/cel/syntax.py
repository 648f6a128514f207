"""What the parser sees: untyped nodes with their place in the text.

`at` is the offset of the node's leading token (of the operator for an infix one), `depth` the height of the tree.
"""

from __future__ import annotations

from typing import TypeAlias, Union

import msgspec


class Literal(msgspec.Struct, frozen=True, gc=False):
    """A constant."""

    at: int
    depth: int
    value: None | bool | int | float | str


class Path(msgspec.Struct, frozen=True):
    """`a.b.c`: a name and what may be selections from it. `rooted` is the leading dot that skips macro variables."""

    at: int
    depth: int
    parts: tuple[str, ...]
    rooted: bool


class Field(msgspec.Struct, frozen=True):
    """`operand.name` where the operand is no path, or the name is quoted."""

    at: int
    depth: int
    operand: Syntax
    name: str


class Apply(msgspec.Struct, frozen=True):
    """An operator, function or method; a method's target is its first argument."""

    at: int
    depth: int
    name: str
    args: tuple[Syntax, ...]
    style: str
    """`operator`, `function` or `method`."""


class Logic(msgspec.Struct, frozen=True):
    """A chain of `&&` or of `||`."""

    at: int
    depth: int
    name: str
    args: tuple[Syntax, ...]


class Ternary(msgspec.Struct, frozen=True):
    """`condition ? yes : no`."""

    at: int
    depth: int
    condition: Syntax
    yes: Syntax
    no: Syntax


class ListOf(msgspec.Struct, frozen=True):
    """`[a, b]`."""

    at: int
    depth: int
    items: tuple[Syntax, ...]


class MapOf(msgspec.Struct, frozen=True):
    """`{k: v}`."""

    at: int
    depth: int
    keys: tuple[Syntax, ...]
    values: tuple[Syntax, ...]


Syntax: TypeAlias = Union[Literal, Path, Field, Apply, Logic, Ternary, ListOf, MapOf]
