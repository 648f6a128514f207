"""What a condition may name, and what checking it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from demur.core.cel.ir import Node
    from demur.core.schema import Type


@dataclass(frozen=True, slots=True)
class Variable:
    """One declared fact: where it stands in the row, its type, and whether it may be absent."""

    slot: int
    type: Type
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """The declared facts by dotted path. `is_zone` tells whether a time zone exists.

    `dynamic` allows values of mixed types, which are checked when they are read; it is for `policy eval` alone.
    """

    variables: Mapping[str, Variable]
    is_zone: Callable[[str], bool]
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """One read of an optional fact or field. `guarded` where the condition itself makes sure that it is present."""

    path: str
    line: int
    column: int
    guarded: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """A condition that is well typed. `guards` are the paths that are present whenever the condition is true."""

    node: Node
    type: Type
    uses: tuple[Use, ...]
    guards: frozenset[str]
