"""Everything that a condition can call, and how it is written: as an operator, a function or a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel import arithmetic, containers, conversions, text, times

if TYPE_CHECKING:
    from demur.core.cel.overload import Library, Overload
    from demur.core.schema import Kind

_PARTS: tuple[Library, ...] = (
    arithmetic.OVERLOADS,
    containers.OVERLOADS,
    text.OVERLOADS,
    times.OVERLOADS,
    conversions.OVERLOADS,
)


def _merge(parts: tuple[Library, ...]) -> dict[str, dict[tuple[Kind, ...], Overload]]:
    merged: dict[str, dict[tuple[Kind, ...], Overload]] = {}
    for part in parts:
        for name, overloads in part.items():
            merged.setdefault(name, {}).update(overloads)
    return merged


STATIC: Library = _merge(_PARTS)
"""Overloads for arguments whose kinds are known when the condition is checked."""

DYNAMIC: Library = _merge((*_PARTS, arithmetic.MIXED, containers.MIXED))
"""Overloads that are chosen by the kinds of the values."""

MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})

METHODS = frozenset({"size", *text.OVERLOADS} - {"_+_"} | {name for name in times.OVERLOADS if name.startswith("get")})
"""Functions that may be written `target.name(...)`."""

FUNCTIONS = frozenset({"size", "matches", *conversions.OVERLOADS})
"""Functions that may be written `name(...)`."""
