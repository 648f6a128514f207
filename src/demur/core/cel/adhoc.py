"""One condition over values that nobody declared, for `demur policy eval`; and values back into JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, Union, cast

import msgspec

from demur.core.cel import lattice
from demur.core.cel.check import check
from demur.core.cel.evaluate import link
from demur.core.cel.scope import Scope, Variable
from demur.core.cel.times import duration_text, timestamp_text
from demur.core.terms import Duration, Missing, State, Timestamp, Value
from demur.errors import ConditionError

if TYPE_CHECKING:
    from demur.core.cel.overload import Zones
    from demur.core.cel.truth import Result
    from demur.core.schema import Type

Json: TypeAlias = Union[None, bool, int, float, str, "list[Json]", "dict[str, Json]"]

MAX_VALUE_DEPTH = 32
"""Nesting of a value given from outside, as at intake (S1.2)."""
_INT64 = 2**63
_SCALARS: dict[type, Type] = {
    type(None): lattice.NULL,
    bool: lattice.BOOL,
    int: lattice.INT,
    float: lattice.DOUBLE,
    str: lattice.STRING,
    Timestamp: lattice.TIMESTAMP,
    Duration: lattice.DURATION,
}


def adhoc(text: str, bind: Mapping[str, object], zones: Zones, *, unknown: Collection[str] = ()) -> Result:
    """Check and evaluate `text` with the variables of `bind`; those named in `unknown` could not be learned.

    Types are read off the values: whole numbers are int, others double; members of mixed types are checked when they
    are read. Raises `ConditionError` for a text outside the language or a value that is no JSON.
    """
    variables: dict[str, Variable] = {}
    row: list[State] = []
    for name, value in bind.items():
        variables[name] = Variable(len(row), infer(value, name))
        row.append(cast("Value", value))
    for name in sorted(set(unknown)):
        variables[name] = Variable(len(row), lattice.DYN)
        row.append(Missing.UNKNOWN)
    scope = Scope(variables, _zone_test(zones), dynamic=True)
    return link(check(text, scope).node, zones)(row)


def infer(value: object, name: str = "") -> Type:
    """The type of a value from outside; raises `ConditionError` where it has none. `name` tells which in the error."""
    return _infer(value, name, MAX_VALUE_DEPTH)


def to_json(value: Value) -> Json:
    """A value as JSON: times as text; doubles that JSON lacks as `NaN`, `Infinity`, `-Infinity`; keys as text."""
    match value:
        case Timestamp():
            return timestamp_text(value)
        case Duration():
            return duration_text(value)
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {_key_text(key): to_json(item) for key, item in value.items()}
        case _:
            return [to_json(item) for item in value]


def json_text(value: Value) -> str:
    """A value as JSON text. Infinities are written as a number too large for a double (`1e999`), which is JSON and is
    read back as an infinity by readers that have one; NaN, which no JSON number can be, is the text `NaN`.
    """
    match value:
        case float() if math.isinf(value):
            return "1e999" if value > 0 else "-1e999"
        case Mapping():
            members = (f"{_quoted(_key_text(key))}:{json_text(item)}" for key, item in value.items())
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join(json_text(item) for item in value) + "]"
        case _:
            return _quoted(to_json(value))


def _quoted(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _key_text(key: Value) -> str:
    return key if isinstance(key, str) else ("true" if key is True else "false" if key is False else str(key))


def _infer(value: object, name: str, depth: int) -> Type:
    scalar = _SCALARS.get(value.__class__)
    if scalar is not None:
        return _checked_scalar(value, scalar, name)
    if depth == 0:
        raise _unfit(name, f"at most {MAX_VALUE_DEPTH} levels of nesting", "more")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str | int) for key in value):
            raise _unfit(name, "keys that are text, int or bool", "another key")
        keys = lattice.join_all([_infer(key, name, 0) for key in value])
        items = lattice.join_all([_infer(item, name, depth - 1) for item in value.values()])
        return lattice.map_of(keys or lattice.DYN, items or lattice.DYN)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        items = lattice.join_all([_infer(item, name, depth - 1) for item in value])
        return lattice.list_of(items or lattice.DYN)
    raise _unfit(name, "a value of JSON", "something else")


def _checked_scalar(value: object, type_: Type, name: str) -> Type:
    if type_ is lattice.INT and isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise _unfit(name, "an integer of 64 bits", "a larger one")
    if type_ is lattice.STRING and isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _unfit(name, "text", "a lone surrogate, which is no character") from error
    return type_


def _unfit(name: str, expected: str, found: str) -> ConditionError:
    return ConditionError(f"`{name[:80]}`: expected {expected}, found {found}", expected=expected, found=found)


def _zone_test(zones: Zones) -> _ZoneTest:
    return _ZoneTest(zones)


class _ZoneTest:
    """Whether a zone exists, asked of the zones themselves."""

    __slots__ = ("zones",)

    def __init__(self, zones: Zones) -> None:
        self.zones = zones

    def __call__(self, zone: str) -> bool:
        try:
            self.zones.offset(zone, Timestamp(0))
        except KeyError:
            return False
        return True
