"""Conversions: `int`, `double`, `string`, `bool`, `timestamp`, `duration`. A value that does not convert is a fault."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from demur.core.cel.arithmetic import fit
from demur.core.cel.overload import Library, Overload
from demur.core.cel.times import duration_text, from_seconds, timestamp_text, to_duration, to_timestamp
from demur.core.cel.truth import Fault
from demur.core.schema import Kind

if TYPE_CHECKING:
    from demur.core.terms import Timestamp, Value

_INT_LIMIT = float(2**63)
_LONGEST = 400
"""Characters of a text that is read as a number; the longest exact double has fewer."""
_INT = re.compile(r"\s*([+-]?[0-9]+)\s*", re.ASCII)
_DOUBLE = re.compile(
    r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+|inf|infinity|nan)(?:e[+-]?[0-9]+)?\s*", re.ASCII | re.IGNORECASE
)
_TRUE = frozenset({"1", "t", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "false", "FALSE", "False"})
_PLAIN_DIGITS = 6
"""From this decimal exponent on, and below -4, a double is written with an exponent."""


def double_text(number: float) -> str:
    """The shortest digits that read back as the same double: `0.1`, `100000`, `1e+06`, `1e-07`, `inf`, `nan`."""
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else ("inf" if number > 0 else "-inf")
    sign, digits, exponent = _decimal(number)
    if not -4 <= exponent < _PLAIN_DIGITS:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, rest = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}" + (f".{rest}" if rest else "")


def _decimal(number: float) -> tuple[str, str, int]:
    """Sign, significant digits and decimal exponent of the shortest form."""
    mantissa, _, exponent = f"{number!r}".partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign, "0", 0
    leading = len(whole + fraction) - len(digits)
    return sign, digits.rstrip("0"), len(whole) - 1 - leading + int(exponent or "0")


def _int_from_double(number: float) -> int | Fault:
    if not -_INT_LIMIT < number < _INT_LIMIT:
        return Fault("the double does not fit into a 64-bit integer")
    return int(number)


def _int_from_string(text: str) -> int | Fault:
    match = _INT.fullmatch(text) if len(text) <= _LONGEST else None
    return fit(int(match[1])) if match else Fault(f"`{text[:40]}` is not an integer")


def _int_from_timestamp(instant: Timestamp) -> int:
    return instant.seconds


def _double_from_string(text: str) -> float | Fault:
    if len(text) > _LONGEST or _DOUBLE.fullmatch(text) is None:
        return Fault(f"`{text[:40]}` is not a number")
    try:
        return float(text)
    except ValueError:
        return Fault(f"`{text[:40]}` is not a number")


def _bool_from_string(text: str) -> bool | Fault:
    if text in _TRUE:
        return True
    return False if text in _FALSE else Fault(f"`{text[:40]}` is not a bool")


def _bool_text(value: object) -> str:
    return "true" if value is True else "false"


def _same(value: Value) -> Value:
    return value


OVERLOADS: Library = {
    "int": {
        (Kind.INT,): Overload(Kind.INT, _same),
        (Kind.DOUBLE,): Overload(Kind.INT, _int_from_double),
        (Kind.STRING,): Overload(Kind.INT, _int_from_string),
        (Kind.TIMESTAMP,): Overload(Kind.INT, _int_from_timestamp),
    },
    "double": {
        (Kind.DOUBLE,): Overload(Kind.DOUBLE, _same),
        (Kind.INT,): Overload(Kind.DOUBLE, float),
        (Kind.STRING,): Overload(Kind.DOUBLE, _double_from_string),
    },
    "string": {
        (Kind.STRING,): Overload(Kind.STRING, _same),
        (Kind.BOOL,): Overload(Kind.STRING, _bool_text),
        (Kind.INT,): Overload(Kind.STRING, str),
        (Kind.DOUBLE,): Overload(Kind.STRING, double_text),
        (Kind.TIMESTAMP,): Overload(Kind.STRING, timestamp_text),
        (Kind.DURATION,): Overload(Kind.STRING, duration_text),
    },
    "bool": {(Kind.BOOL,): Overload(Kind.BOOL, _same), (Kind.STRING,): Overload(Kind.BOOL, _bool_from_string)},
    "timestamp": {
        (Kind.TIMESTAMP,): Overload(Kind.TIMESTAMP, _same),
        (Kind.STRING,): Overload(Kind.TIMESTAMP, to_timestamp),
        (Kind.INT,): Overload(Kind.TIMESTAMP, from_seconds),
    },
    "duration": {
        (Kind.DURATION,): Overload(Kind.DURATION, _same),
        (Kind.STRING,): Overload(Kind.DURATION, to_duration),
    },
}
