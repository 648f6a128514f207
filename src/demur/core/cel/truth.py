"""The two results that are not values: a condition that cannot be known, and one that failed.

- `Unknown` names every unlearned fact that the result hangs on; `Fault` says what failed (S2.1, S3.2).
- Strict operators give Unknown (the union of the paths) before Fault. `&&`, `||`, `all` and `exists` are Kleene's:
  a deciding operand wins, then Unknown, then Fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

from demur.core.terms import Value

if TYPE_CHECKING:
    from collections.abc import Iterable


class Unknown(msgspec.Struct, frozen=True):
    """The result hangs on facts that could not be learned; `paths` are sorted."""

    paths: tuple[str, ...]


class Fault(msgspec.Struct, frozen=True):
    """The evaluation failed: an overflow, a missing key, an absent fact, the cost budget."""

    message: str


Result: TypeAlias = Union[Value, Unknown, Fault]

STOPS: frozenset[type[object]] = frozenset({Unknown, Fault})
"""The classes of results that stop a strict operator."""


def stop(results: Iterable[object]) -> Unknown | Fault:
    """What a strict operator gives when at least one operand is Unknown or a Fault."""
    paths: set[str] = set()
    fault = None
    for result in results:
        if isinstance(result, Unknown):
            paths.update(result.paths)
        elif isinstance(result, Fault) and fault is None:
            fault = result
    if paths:
        return Unknown(tuple(sorted(paths)))
    return fault or Fault("nothing stopped the evaluation")


def undecided(worst: Unknown | Fault | None, result: object) -> Unknown | Fault:
    """Fold one more undecided operand of `&&` or `||` into `worst`."""
    if not isinstance(result, Unknown | Fault):
        result = Fault("no such overload: `&&` and `||` need bool")
    return result if worst is None else stop((worst, result))
