"""The types and values of the generated conditions as Demur holds them."""

from __future__ import annotations

import datetime as _dt
from typing import Any

from demur.core.schema import Kind, Type
from demur.core.terms import Duration, Timestamp

_EPOCH = _dt.datetime(1970, 1, 1, tzinfo=_dt.UTC)
_MICROSECOND = _dt.timedelta(microseconds=1)


def declared(text: str) -> Type:
    """The type named by a text such as `list<int>`."""
    if text.startswith("list<"):
        return Type(Kind.LIST, element=declared(text[5:-1]))
    if text.startswith("map<"):
        return Type(Kind.MAP, key=Type(Kind.STRING), element=Type(Kind.INT))
    return Type(Kind(text))


def held(value: Any) -> Any:
    """A value of Python's as Demur holds it."""
    if isinstance(value, _dt.datetime):
        return Timestamp((value - _EPOCH) // _MICROSECOND * 1_000)
    return Duration(value // _MICROSECOND * 1_000) if isinstance(value, _dt.timedelta) else value
