r"""One byte form for one value: RFC 8785 (JSON Canonicalization Scheme), and its SHA-256.

    encode({"b": 1.0, "a": "é"}) == b'{"a":"\xc3\xa9","b":1}'

- Member names are sorted by their UTF-16 code units, numbers are written as ECMAScript writes them, and strings are
  escaped only where JSON demands it.
- Instants and durations are written as their text (RFC 3339, `90s`); the schema has typed them already.
- What JSON cannot say (NaN, infinities, lone surrogates, integers beyond 2^53-1, names that are not text) is refused:
  such a value has no canonical form, so it must not get a digest.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping

import msgspec

from demur.core.terms import MAX_INT, Duration, Timestamp

_ESCAPE = re.compile(r'[\x00-\x1f"\\]')
_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_EXPONENT_TEXT_FROM = 21
"""ECMAScript writes numbers from 10^21 on with an exponent."""
_EXPONENT_TEXT_BELOW = -6
_plain = msgspec.json.Encoder(order="sorted").encode


def encode(value: object) -> bytes:
    """The canonical bytes of `value`; raises `ValueError` where it has none."""
    try:
        return _plain(value) if _is_plain(value) else _text(value).encode()
    except UnicodeEncodeError as error:
        message = "a lone surrogate has no canonical form"
        raise ValueError(message) from error


def digest(value: object) -> str:
    """`sha256:` and the hex SHA-256 of the canonical bytes; raises `ValueError` where there are none."""
    return "sha256:" + hashlib.sha256(encode(value)).hexdigest()


def _is_plain(value: object) -> bool:
    """Whether the fast encoder writes `value` canonically: no doubles, no times, only short ASCII without controls."""
    if isinstance(value, str):
        return value.isascii() and value.isprintable()
    if isinstance(value, dict):
        for name, item in value.items():
            if type(name) is not str or not (name.isascii() and name.isprintable()):
                return False
            # Text, as most members are, is looked at here: this runs for every action that is asked for.
            if not (item.isascii() and item.isprintable() if type(item) is str else _is_plain(item)):
                return False
        return True
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -MAX_INT <= value <= MAX_INT
    return isinstance(value, (list, tuple)) and all(map(_is_plain, value))


def _text(value: object) -> str:
    match value:
        case bool() | None:
            return _WORDS[value]
        case str() | Timestamp() | Duration():
            return _quote(str(value))
        case int():
            return _integer(value)
        case float():
            return _number(value)
        case Mapping():
            return _object(value)
        case list() | tuple():
            return "[" + ",".join(map(_text, value)) + "]"
        case _:
            message = f"`{type(value).__name__}` has no canonical form; expected what JSON can say"
            raise ValueError(message)


_WORDS = {None: "null", True: "true", False: "false"}


def _object(members: Mapping[object, object]) -> str:
    for name in members:
        if not isinstance(name, str):
            message = f"a member name must be text, found `{name!r}`"
            raise ValueError(message)  # noqa: TRY004  (callers learn one error: no canonical form)
    names = sorted((name for name in members if isinstance(name, str)), key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(f"{_quote(name)}:{_text(members[name])}" for name in names) + "}"


def _quote(text: str) -> str:
    return '"' + _ESCAPE.sub(lambda match: _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}", text) + '"'


def _integer(value: int) -> str:
    if not -MAX_INT <= value <= MAX_INT:
        message = "an integer beyond 2^53-1 has no canonical form"
        raise ValueError(message)
    return str(value)


def _number(value: float) -> str:
    """ECMAScript's `Number::toString` (ECMA-262, 6.1.6.1.20), from Python's shortest round-trip digits."""
    if not math.isfinite(value):
        message = f"`{value}` has no canonical form"
        raise ValueError(message)
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or "0") if whole != "0" else len(digits) - len(fraction) + int(exponent or "0")
    digits = digits.rstrip("0")
    return sign + _place(digits, point)


def _place(digits: str, point: int) -> str:
    """`digits` with the decimal point after the first `point` of them."""
    count = len(digits)
    if count <= point <= _EXPONENT_TEXT_FROM:
        return digits + "0" * (point - count)
    if 0 < point <= _EXPONENT_TEXT_FROM:
        return f"{digits[:point]}.{digits[point:]}"
    if _EXPONENT_TEXT_BELOW < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
