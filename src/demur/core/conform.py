"""Does a value have its declared type? The one home of this rule, for what is claimed and for what is resolved.

- Numbers take their declared type first: `1` for a double becomes `1.0`; `1.0` for an int is refused.
- Integers beyond +-(2^53-1), non-finite doubles, lone surrogates and nesting over 32 are refused.
- Timestamps are RFC 3339 text or instants with an offset; durations are text such as `90s`, or spans.
- An object has its declared fields and no others; only optional ones may be left out.
- What comes back is a fresh copy, so nobody can change it afterwards from outside.

Clauses: S1.2, S1.3, S2.1.
"""

from __future__ import annotations

import datetime as _dt
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from demur.core.schema import Kind, Type
from demur.core.terms import MAX_INT, NANOS, Duration, Timestamp, Value, parse_duration, parse_timestamp

__all__ = ["MAX_DEPTH", "ConformError", "conform", "describe"]

MAX_DEPTH = 32
"""Deepest nesting of lists, maps and objects in one value (S1.2)."""

_MAX_DURATION_SECONDS = 315_576_000_000
_MIN_SECONDS = -62_135_596_800
_MAX_SECONDS = 253_402_300_799
_EPOCH = _dt.datetime(1970, 1, 1, tzinfo=_dt.UTC)
_MICROSECOND = _dt.timedelta(microseconds=1)
_RFC3339_TIME = "an RFC 3339 time such as `2026-11-20T09:00:00Z`"
_SPAN = "a duration such as `90s`, at most 10,000 years"


class ConformError(ValueError):
    """A value does not have its declared type. `pointer` is the JSON pointer (RFC 6901) within the value.

    `found` names the kind of what was found and never quotes it: the value may be secret.
    """

    def __init__(self, pointer: str, expected: str, found: str) -> None:
        place = f"at `{pointer}`: " if pointer else ""
        super().__init__(f"{place}expected {expected}, found {found}")
        self.pointer = pointer
        self.expected = expected
        self.found = found


_Reading: TypeAlias = Callable[[object, Type, str, int], Value]


def conform(value: object, type: Type) -> Value:  # noqa: A002  (the field's word)
    """The value in the form that conditions read; raises `ConformError` where it does not have the type."""
    return _READ[type.kind](value, type, "", 0)


def describe(value: object) -> str:
    """What a value is, in the words of the condition language and without its content."""
    if isinstance(value, int) and not isinstance(value, bool) and not -MAX_INT <= value <= MAX_INT:
        return "an int beyond 2^53-1"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    if isinstance(value, str) and not _is_unicode(value):
        return "a string with a lone surrogate"
    return next((words for kinds, words in _WORDS if isinstance(value, kinds)), "a value of no declared type")


def _null(value: object, _declared: Type, at: str, _depth: int) -> Value:
    if value is not None:
        raise ConformError(at, "null", describe(value))
    return None


def _bool(value: object, _declared: Type, at: str, _depth: int) -> Value:
    if not isinstance(value, bool):
        raise ConformError(at, "a bool", describe(value))
    return value


def _int(value: object, _declared: Type, at: str, _depth: int) -> Value:
    if isinstance(value, int) and not isinstance(value, bool) and -MAX_INT <= value <= MAX_INT:
        return int(value)
    raise ConformError(at, "an int within +-(2^53-1)", describe(value))


def _double(value: object, _declared: Type, at: str, _depth: int) -> Value:
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool) and -MAX_INT <= value <= MAX_INT:
        return float(value)
    raise ConformError(at, "a finite double", describe(value))


def _string(value: object, _declared: Type, at: str, _depth: int) -> Value:
    if isinstance(value, str) and _is_unicode(value):
        return str.__str__(value)
    raise ConformError(at, "a string", describe(value))


def _timestamp(value: object, _declared: Type, at: str, _depth: int) -> Value:
    match value:
        case Timestamp() if _MIN_SECONDS <= value.seconds <= _MAX_SECONDS:
            return value
        case str():
            try:
                return parse_timestamp(value)
            except ValueError:
                raise ConformError(at, _RFC3339_TIME, "other text") from None
        case _dt.datetime() if value.utcoffset() is not None:
            instant = Timestamp((value - _EPOCH) // _MICROSECOND * 1_000)
            return _timestamp(instant, _declared, at, _depth)
        case _dt.datetime():
            raise ConformError(at, _RFC3339_TIME, "a time without an offset")
        case Timestamp():
            raise ConformError(at, "a time within the years 0001 to 9999", "a time outside them")
        case _:
            raise ConformError(at, _RFC3339_TIME, describe(value))


def _duration(value: object, _declared: Type, at: str, _depth: int) -> Value:
    match value:
        case Duration() if abs(value.nanos) <= _MAX_DURATION_SECONDS * NANOS:
            return value
        case str():
            try:
                span = parse_duration(value)
            except ValueError:
                raise ConformError(at, _SPAN, "other text") from None
            return _duration(span, _declared, at, _depth)
        case _dt.timedelta():
            return _duration(Duration(value // _MICROSECOND * 1_000), _declared, at, _depth)
        case Duration():
            raise ConformError(at, _SPAN, "a longer one")
        case _:
            raise ConformError(at, _SPAN, describe(value))


def _list(value: object, declared: Type, at: str, depth: int) -> Value:
    if not isinstance(value, (list, tuple)):
        raise ConformError(at, f"a value of type {declared}", describe(value))
    element, inner = declared.element or _DYN, _deeper(at, depth)
    read = _READ[element.kind]
    return [read(item, element, f"{at}/{index}", inner) for index, item in enumerate(value)]


def _map(value: object, declared: Type, at: str, depth: int) -> Value:
    if not isinstance(value, Mapping):
        raise ConformError(at, f"a value of type {declared}", describe(value))
    element, key_type, inner = declared.element or _DYN, declared.key or _TEXT, _deeper(at, depth)
    read, read_key = _READ[element.kind], _READ[key_type.kind]
    known: dict[Value, Value] = {}
    for key, item in value.items():
        known[read_key(key, key_type, at, inner)] = read(item, element, _step(at, key), inner)
    return known


def _object(value: object, declared: Type, at: str, depth: int) -> Value:
    if not isinstance(value, Mapping):
        raise ConformError(at, f"a value of type {declared}", describe(value))
    inner, known = _deeper(at, depth), {}
    for field in declared.fields:
        if field.name in value:
            known[field.name] = _READ[field.type.kind](value[field.name], field.type, _step(at, field.name), inner)
        elif not field.optional:
            raise ConformError(_step(at, field.name), f"a value of type {field.type}", "nothing")
    if len(value) > len(known):
        names = [field.name for field in declared.fields]
        extra = next(key for key in value if key not in names)
        raise ConformError(_step(at, extra), "no such field", describe(value[extra]))
    return known  # type: ignore[return-value]  # a dict keyed by str is a mapping of values; mypy holds keys invariant


def _dyn(value: object, declared: Type, at: str, depth: int) -> Value:
    """Any value that some type could describe."""
    if value is None or isinstance(value, bool):
        return value
    for kinds, read in _INFERRED:
        if isinstance(value, kinds):
            return read(value, declared, at, depth)
    raise ConformError(at, "a value of some type", describe(value))


def _deeper(at: str, depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise ConformError(at, f"nesting of at most {MAX_DEPTH}", "deeper nesting")
    return depth + 1


def _step(at: str, key: object) -> str:
    name = key if isinstance(key, str) and _is_unicode(key) else describe(key)
    return f"{at}/{name.replace('~', '~0').replace('/', '~1')}"


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_DYN = Type(Kind.DYN)
_TEXT = Type(Kind.STRING)
_READ: dict[Kind, _Reading] = {
    Kind.NULL: _null,
    Kind.BOOL: _bool,
    Kind.INT: _int,
    Kind.DOUBLE: _double,
    Kind.STRING: _string,
    Kind.TIMESTAMP: _timestamp,
    Kind.DURATION: _duration,
    Kind.LIST: _list,
    Kind.MAP: _map,
    Kind.OBJECT: _object,
    Kind.DYN: _dyn,
}
_INFERRED: tuple[tuple[tuple[type, ...], _Reading], ...] = (
    ((list, tuple), _list),
    ((Mapping,), _map),
    ((_dt.datetime, Timestamp), _timestamp),
    ((_dt.timedelta, Duration), _duration),
    ((int,), _int),
    ((float,), _double),
    ((str,), _string),
)
_WORDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((type(None),), "null"),
    ((bool,), "a bool"),
    ((int,), "an int"),
    ((float,), "a double"),
    ((str,), "a string"),
    ((Timestamp, _dt.datetime), "a timestamp"),
    ((Duration, _dt.timedelta), "a duration"),
    ((list, tuple), "a list"),
    ((Mapping,), "a map"),
)
