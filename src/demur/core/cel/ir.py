"""The checked form of a condition: small typed nodes, serialisable, without positions.

A `Node` is what the checker hands to the evaluator and to the index of rules. Every node is one of the tagged
structs below; `type` is the static type of the value. Operators are named as in the CEL specification
(`_==_`, `_<_`, `_+_`, `@in`, `size`, `startsWith` ...); the checker has chosen the overload already, so `op` is
unambiguous together with the types of `args`. Nodes form trees, so the garbage collector need not follow them
(`gc=False`): with thousands of rules it would do little else.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias, Union

import msgspec

from demur.core.schema import Kind, Type
from demur.core.terms import Duration, Timestamp

_BOOL = Type(Kind.BOOL)

Literal: TypeAlias = Union[None, bool, int, float, str, Timestamp, Duration]


class Const(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="const"):
    """A literal. Times are folded where the text is constant and the nanoseconds fit into 64 bits (years 1678 to 2262):
    `timestamp("2026-01-01T00:00:00Z")` is a `Const`.
    """

    value: None | bool | int | float | str
    type: Type
    """`value` of a timestamp or duration is its nanoseconds; `type` tells."""


class FactRef(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="fact"):
    """A declared fact, read from its slot."""

    path: str
    slot: int
    type: Type


class HasFact(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="has_fact"):
    """`has(path)`: true on a value, false on absent, unknown on unknown (S2.1)."""

    type: ClassVar[Type] = _BOOL
    path: str
    slot: int


class Local(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="local"):
    """A variable of a macro; `depth` counts the macros outward from this place, 0 is the innermost."""

    name: str
    depth: int
    type: Type


class Select(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="select"):
    """`operand.field` on a map or object; `test` makes it `has(operand.field)`."""

    operand: Node
    field: str
    test: bool
    type: Type


class Call(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="call"):
    """An operator or function over evaluated arguments; strict: an unknown or failed argument decides the result."""

    op: str
    args: tuple[Node, ...]
    type: Type


class And(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="and"):
    """Kleene conjunction: false wins, then unknown, then failure."""

    type: ClassVar[Type] = _BOOL
    args: tuple[Node, ...]


class Or(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="or"):
    """Kleene disjunction: true wins, then unknown, then failure."""

    type: ClassVar[Type] = _BOOL
    args: tuple[Node, ...]


class Not(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="not"):
    """Negation; unknown stays unknown."""

    type: ClassVar[Type] = _BOOL
    arg: Node


class Choose(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="choose"):
    """`condition ? yes : no`."""

    condition: Node
    yes: Node
    no: Node
    type: Type


class MakeList(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="list"):
    """A list literal."""

    items: tuple[Node, ...]
    type: Type


class MakeMap(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="map"):
    """A map literal; duplicate keys fail."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]
    type: Type


class Macro(msgspec.Struct, frozen=True, gc=False, tag_field="node", tag="macro"):
    """`range.name(variable, body)`; `filter_body` is the predicate of the three-argument `map`."""

    name: str
    range: Node
    variable: str
    body: Node
    filter_body: Node | None
    type: Type


Node: TypeAlias = Union[Const, FactRef, HasFact, Local, Select, Call, And, Or, Not, Choose, MakeList, MakeMap, Macro]
