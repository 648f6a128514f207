"""The shape of a library entry: one operator or function for one combination of argument types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, Union

from demur.core.cel.truth import Fault
from demur.core.schema import Kind
from demur.core.terms import Duration, Timestamp, Value

if TYPE_CHECKING:
    from collections.abc import Sequence


class Zones(Protocol):
    """Time zones; raises `KeyError` for one that does not exist."""

    def offset(self, zone: str, at: Timestamp) -> int: ...


@dataclass(frozen=True, slots=True)
class Overload:
    """`call` takes values of exactly the kinds it is listed under, and `zones` first where `zoned` is set.

    `cost` tells from the same values how many steps the call is worth; without it the call is worth one.
    """

    result: Kind
    call: Callable[..., Value | Fault]
    cost: Callable[..., int] | None = None
    zoned: bool = False


Library: TypeAlias = Mapping[str, Mapping[tuple[Kind, ...], Overload]]
"""Overloads by operator or function, then by the kinds of the arguments."""

_KINDS: dict[type, Kind] = {
    type(None): Kind.NULL,
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.DOUBLE,
    str: Kind.STRING,
    Timestamp: Kind.TIMESTAMP,
    Duration: Kind.DURATION,
    list: Kind.LIST,
    tuple: Kind.LIST,
    dict: Kind.MAP,
}


def kind_of(value: object) -> Kind:
    """The kind of a value at run time; objects count as maps."""
    kind = _KINDS.get(value.__class__)
    if kind is None:
        return Kind.MAP if isinstance(value, Mapping) else Kind.LIST
    return kind


def no_overload(op: str, args: Sequence[object]) -> Fault:
    """The fault of an operation on values that it does not take."""
    return Fault(f"no such overload: `{op}` on {', '.join(kind_of(arg).value for arg in args)}")


Plain: TypeAlias = Union[bool, int, float, str, Timestamp, Duration]
