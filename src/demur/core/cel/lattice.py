"""How types meet: the type of a list of several, and whether two values may be compared."""

from __future__ import annotations

from demur.core.schema import Kind, Type

NULL = Type(Kind.NULL)
BOOL = Type(Kind.BOOL)
INT = Type(Kind.INT)
DOUBLE = Type(Kind.DOUBLE)
STRING = Type(Kind.STRING)
TIMESTAMP = Type(Kind.TIMESTAMP)
DURATION = Type(Kind.DURATION)
DYN = Type(Kind.DYN)
NOTHING = Type(Kind.DYN, key=NULL)
"""The type of the members of an empty literal: no value has it, so it meets every type."""

SIMPLE: dict[Kind, Type] = {type_.kind: type_ for type_ in (NULL, BOOL, INT, DOUBLE, STRING, TIMESTAMP, DURATION, DYN)}


def list_of(element: Type) -> Type:
    """The type of a list."""
    return Type(Kind.LIST, element=element)


def map_of(key: Type, element: Type) -> Type:
    """The type of a map."""
    return Type(Kind.MAP, element=element, key=key)


def element_of(container: Type) -> Type:
    """The type of a list's members or of a map's values."""
    return container.element or DYN


def key_of(container: Type) -> Type:
    """The type of a map's keys."""
    return container.key or DYN


def join(left: Type, right: Type) -> Type | None:
    """The type that has the values of both, or None where they have nothing in common."""
    if left is right or right in (left, NOTHING):
        return left
    if left == NOTHING:
        return right
    if Kind.DYN in (left.kind, right.kind):
        return DYN
    if left.kind is Kind.LIST and right.kind is Kind.LIST:
        element = join(element_of(left), element_of(right))
        return None if element is None else list_of(element)
    if left.kind is Kind.MAP and right.kind is Kind.MAP:
        key, element = join(key_of(left), key_of(right)), join(element_of(left), element_of(right))
        return None if key is None or element is None else map_of(key, element)
    return None


def join_all(types: list[Type]) -> Type | None:
    """The type that has the values of all; `NOTHING` of none."""
    joined: Type | None = NOTHING
    for type_ in types:
        if joined is not None:
            joined = join(joined, type_)
    return joined
