"""Equality of all values, lists and maps: size, concatenation, index, membership."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from demur.core.cel.overload import Library, Overload, kind_of
from demur.core.cel.truth import Fault
from demur.core.schema import Kind

if TYPE_CHECKING:
    from demur.core.terms import Value

MISSING = object()
"""Stands for a key that is not there."""

_STEPS_PER_MEMBER = 4
_NUMBERS = frozenset({Kind.INT, Kind.DOUBLE})


def is_list(value: object) -> bool:
    """Whether a value is a list; text is not one."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def equal(left: object, right: object) -> bool:
    """CEL's equality: by kind and value, numbers across kinds, NaN never; lists and maps member by member."""
    if isinstance(left, Mapping):
        return isinstance(right, Mapping) and _equal_maps(left, right)
    if is_list(left) and isinstance(left, Sequence):
        if not (isinstance(right, Sequence) and is_list(right)) or len(left) != len(right):
            return False
        return all(equal(one, other) for one, other in zip(left, right, strict=True))
    kind, other_kind = kind_of(left), kind_of(right)
    return (kind is other_kind or (kind in _NUMBERS and other_kind in _NUMBERS)) and bool(left == right)


def find(entries: Mapping[Value, Value], key: object) -> object:
    """The entry of a map, or `MISSING`; a whole double finds an integer key, a bool never does."""
    kind = kind_of(key)
    if kind is Kind.DOUBLE:
        if not isinstance(key, float) or not math.isfinite(key) or key != int(key):
            return MISSING
        key, kind = int(key), Kind.INT
    if kind not in (Kind.BOOL, Kind.INT, Kind.STRING) or not isinstance(key, str | int):
        return MISSING
    value = entries.get(key, MISSING)
    if value is MISSING or isinstance(key, str) or key not in (0, 1):
        return value
    # Python takes `1` and `true` for one key; CEL does not.
    return value if any(stored == key and kind_of(stored) is kind for stored in entries) else MISSING


def is_member(value: object, members: Sequence[object]) -> bool:
    """`value in members` for a kind whose members Python finds as CEL does: any scalar but doubles."""
    return value in members


def contains(value: object, members: Sequence[object]) -> bool:
    """`value in members` for any kinds."""
    return any(equal(value, member) for member in members)


def no_key(key: object) -> Fault:
    """The fault of reading a key that a map does not have."""
    shown = f"`{key[:64]}`" if isinstance(key, str) else f"`{str(key)[:64]}`"
    return Fault(f"no such key {shown}")


def _equal_maps(left: Mapping[Value, Value], right: Mapping[Value, Value]) -> bool:
    if len(left) != len(right):
        return False
    for key, value in left.items():
        other = find(right, key)
        if other is MISSING or not equal(value, other):
            return False
    return True


def _unequal(left: object, right: object) -> bool:
    return not equal(left, right)


def _concatenate(left: Sequence[Value], right: Sequence[Value]) -> Value:
    return [*left, *right]


def _at(items: Sequence[Value], index: int) -> Value | Fault:
    if 0 <= index < len(items):
        return items[index]
    return Fault(f"index {index} is out of range for a list of {len(items)}")


def _at_double(items: Sequence[Value], index: float) -> Value | Fault:
    if not math.isfinite(index) or index != int(index):
        return Fault("an index is a whole number")
    return _at(items, int(index))


def _entry(entries: Mapping[Value, Value], key: Value) -> Value | Fault:
    value = find(entries, key)
    return no_key(key) if value is MISSING else value  # type: ignore[return-value]  # MISSING is the only non-value


def _has_key(key: Value, entries: Mapping[Value, Value]) -> bool:
    return find(entries, key) is not MISSING


def _extent(value: object, _: object) -> int:
    """Steps of comparing with the value: all its members, at every depth."""
    count, pending = 0, [value]
    while pending:
        part = pending.pop()
        count += 1
        if isinstance(part, Mapping):
            pending.extend(part.values())
        elif isinstance(part, Sequence) and not isinstance(part, str):
            pending.extend(part)
    return count * _STEPS_PER_MEMBER


def _extent_of_members(_: object, members: object) -> int:
    return _extent(members, None)


def _length_of_sum(left: Sequence[Value], right: Sequence[Value]) -> int:
    return 1 + len(left) + len(right)


_KEYS = (Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING)

OVERLOADS: Library = {
    "size": {(Kind.LIST,): Overload(Kind.INT, len), (Kind.MAP,): Overload(Kind.INT, len)},
    "_+_": {(Kind.LIST, Kind.LIST): Overload(Kind.LIST, _concatenate, _length_of_sum)},
    "_[_]": {
        (Kind.LIST, Kind.INT): Overload(Kind.DYN, _at),
        **{(Kind.MAP, key): Overload(Kind.DYN, _entry) for key in _KEYS},
    },
    "@in": {
        **{(kind, Kind.LIST): Overload(Kind.BOOL, contains, _extent_of_members) for kind in Kind},
        **{(key, Kind.MAP): Overload(Kind.BOOL, _has_key) for key in _KEYS},
    },
    "_==_": {(left, right): Overload(Kind.BOOL, equal, _extent) for left in Kind for right in Kind},
    "_!=_": {(left, right): Overload(Kind.BOOL, _unequal, _extent) for left in Kind for right in Kind},
}

MIXED: Library = {"_[_]": {(Kind.LIST, Kind.DOUBLE): Overload(Kind.DYN, _at_double)}}
"""A double that happens to be whole finds a member; only for values whose kind is not known before they are read."""
