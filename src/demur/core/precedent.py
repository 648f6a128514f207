"""How alike two cases are, and which decided ones to show beside the one that waits.

- The measure is Gower's coefficient (J. C. Gower, "A general coefficient of similarity and some of its properties",
  Biometrics 27(4), 1971): the weighted mean of one number for each thing compared.

      likeness = same action * same type * sum(weight * alike) / sum(weight)

  `same action` is 1, for another action 1/4; `same type` of resource is 1, for another 1/2. Where nothing is left to
  compare, the mean is 1.
- `alike` lies between 0 and 1, is 1 for equal values, and is the same in both directions:

      numbers, durations    1 - |x - y| / max(|x|, |y|), at least 0; of two units, 0
      instants              DAY / (DAY + |x - y|)
      lists                 Jaccard's index of the sets of their items
      maps                  the mean over all keys of either
      texts of several words    Jaccard's index of the sets of their words
      everything else       1 or 0

- An argument weighs 2, a fact 1, a text of several words a quarter of that: what people write differs in every case.
  What one case has and the other lacks is 0; what both lack is left out.
- A case that was denied is never crowded out: among two or more shown there is one of each outcome, where there is one.

Clauses: S7, S10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.terms import NANOS, Duration, Missing, State, Timestamp, Value, to_json

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

OTHER_ACTION, OTHER_TYPE = 0.25, 0.5
ARGUMENT_WEIGHT, FACT_WEIGHT, PROSE_FACTOR = 2.0, 1.0, 0.25
DAY = 86_400 * NANOS
MAX_TOLD = 5
"""Differences named in an explanation."""


class Ruled(StrEnum):
    """What people decided."""

    APPROVED = "approved"
    DENIED = "denied"


class Case(msgspec.Struct, frozen=True):
    """What is compared of one request. Values by path, such as `action.amount`; `units` by path, as declared."""

    action: str
    resource_type: str
    arguments: dict[str, State]
    facts: dict[str, State] = {}
    units: dict[str, str] = {}


class Difference(msgspec.Struct, frozen=True):
    """One thing compared: its value in the case that waits and in the one decided, and how alike (0 to 1) they are.

    `words` compare without telling either value, so that both can be masked (S10).
    """

    path: str
    here: State
    there: State
    alike: float
    weight: float
    words: str

    def to_dict(self) -> dict[str, object]:
        """For consoles: the path, both values as JSON (`null` where there is none), and the words."""
        sides = (None if isinstance(state, Missing) else to_json(state) for state in (self.here, self.there))
        here, there = sides
        return {"argument": self.path, "here": here, "there": there, "alike": self.alike, "explanation": self.words}


class Likeness(msgspec.Struct, frozen=True):
    """How alike two cases are, 0 to 1, with everything that was compared, in order of path."""

    similarity: float
    explanation: str
    compared: tuple[Difference, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs, that which tells most first."""
        return tuple(sorted((one for one in self.compared if one.alike < 1), key=_loss))


class Candidate(msgspec.Struct, frozen=True):
    """A decided case; `order` grows with time."""

    id: str
    order: int
    ruled: Ruled
    likeness: Likeness


def compare(here: Case, there: Case) -> Likeness:
    """How alike a case that waits is to one that was decided."""
    factor = 1.0 if here.action == there.action else OTHER_ACTION
    factor *= 1.0 if here.resource_type == there.resource_type else OTHER_TYPE
    compared = (
        *_parts(here.arguments, there.arguments, (here.units, there.units), ARGUMENT_WEIGHT),
        *_parts(here.facts, there.facts, (here.units, there.units), FACT_WEIGHT),
    )
    whole = math.fsum(part.weight for part in compared)
    mean = math.fsum(part.weight * part.alike for part in compared) / whole if whole else 1.0
    return Likeness(factor * min(mean, 1.0), _explain(here, there, compared), compared)


def rank(candidates: Iterable[Candidate], limit: int) -> tuple[Candidate, ...]:
    """At most `limit` candidates, the most alike first; of equals a denied one first, then the newest.

    From a limit of two on, one of each outcome is among them, where there is one.
    """
    ordered = sorted(candidates, key=_place)
    chosen = ordered[: max(limit, 0)]
    if limit < len(Ruled):
        return tuple(chosen)
    for ruled in Ruled:
        if all(one.ruled is not ruled for one in chosen):
            nearest = next((one for one in ordered if one.ruled is ruled), None)
            chosen = chosen if nearest is None else [*chosen[: limit - 1], nearest]
    return tuple(chosen)


def alike(here: State, there: State) -> float:
    """How alike two values are, 0 to 1."""
    if isinstance(here, Missing) or isinstance(there, Missing):
        return float(here is there)
    if _is_number(here) and _is_number(there):
        return _near(here, there)  # type: ignore[arg-type]  # what _is_number says
    if isinstance(here, Duration) and isinstance(there, Duration):
        return _near(here.nanos, there.nanos)
    if isinstance(here, Timestamp) and isinstance(there, Timestamp):
        return DAY / (DAY + abs(here.nanos - there.nanos))
    if isinstance(here, str) and isinstance(there, str):
        return _shared(here.split(), there.split()) if _is_prose(here, there) else float(here == there)
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        keys = here.keys() | there.keys()
        parts = [alike(here.get(key, Missing.ABSENT), there.get(key, Missing.ABSENT)) for key in keys]
        return math.fsum(parts) / len(parts) if parts else 1.0
    if isinstance(here, (list, tuple)) and isinstance(there, (list, tuple)):
        return _shared([_frozen(item) for item in here], [_frozen(item) for item in there])
    return float(_frozen(here) == _frozen(there))


def _parts(
    here: Mapping[str, State], there: Mapping[str, State], units: tuple[Mapping[str, str], ...], weight: float
) -> list[Difference]:
    parts = []
    for path in sorted(here.keys() | there.keys()):
        one, other = here.get(path, Missing.ABSENT), there.get(path, Missing.ABSENT)
        if isinstance(one, Missing) and isinstance(other, Missing):
            continue
        is_comparable = units[0].get(path, "") == units[1].get(path, "")
        found = alike(one, other) if is_comparable else 0.0
        words = _words(one, other, found) if is_comparable else "in another unit there"
        scale = PROSE_FACTOR if _is_prose(one, other) else 1.0
        parts.append(Difference(path, one, other, found, weight * scale, words))
    return parts


def _near(here: float, there: float) -> float:
    """1 - |x - y| / max(|x|, |y|), at least 0. Numbers of different signs, and anything beside zero, are not near."""
    if here == there:
        return 1.0
    largest = max(abs(here), abs(there))
    away = abs(here - there) / largest if math.isfinite(largest) else math.inf
    return max(0.0, 1.0 - away)


def _shared(here: Sequence[Hashable], there: Sequence[Hashable]) -> float:
    """Jaccard's index: what both have, of what either has."""
    either = {*here, *there}
    return len({*here}.intersection(there)) / len(either) if either else 1.0


def _is_number(value: State) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_prose(here: State, there: State) -> bool:
    return any(isinstance(value, str) and len(value.split()) > 1 for value in (here, there))


def _frozen(value: Value) -> Hashable:
    """The value as something that sets can hold; 1 and 1.0 are one value, 1 and true are two."""
    if isinstance(value, Mapping):
        return "map", frozenset((_frozen(key), _frozen(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "list", tuple(_frozen(item) for item in value)
    if isinstance(value, (bool, str, Timestamp, Duration)):
        return type(value), value
    return "number", value


def _words(here: State, there: State, found: float) -> str:
    if found == 1.0:
        return "the same"
    if isinstance(there, Missing):
        return "only here" if there is Missing.ABSENT else "not known there"
    if isinstance(here, Missing):
        return "only there" if here is Missing.ABSENT else "not known here"
    if isinstance(here, Timestamp) and isinstance(there, Timestamp):
        return "earlier there" if there < here else "later there"
    if isinstance(here, Duration) and isinstance(there, Duration):
        return _amount(here.nanos, there.nanos)
    if _is_number(here) and _is_number(there):
        return _amount(here, there)  # type: ignore[arg-type]  # what _is_number says
    if isinstance(here, (list, tuple)) and isinstance(there, (list, tuple)):
        either = len({_frozen(item) for item in (*here, *there)})
        return f"{round(found * either)} of {either} in common"
    return "partly the same" if found else "different"


def _amount(here: float, there: float) -> str:
    direction = "higher" if there > here else "lower"
    if not here or (here < 0) is not (there < 0) or not math.isfinite(here) or not math.isfinite(there):
        return f"{direction} there"
    percent = abs(there / here - 1) * 100
    return f"{'less than 1' if percent < 1 else round(percent)}% {direction} there"


def _explain(here: Case, there: Case, compared: Sequence[Difference]) -> str:
    action = "the same action" if here.action == there.action else "another action"
    same_type = here.resource_type == there.resource_type
    subject = f"{action} on {'the same' if same_type else 'another'} type of resource"
    telling = sorted((part for part in compared if part.alike < 1), key=_loss)
    if not telling:
        return f"{subject}; everything compared is the same" if compared else subject
    told = [f"{part.path}: {part.words}" for part in telling[:MAX_TOLD]]
    more = len(telling) - MAX_TOLD
    return "; ".join([subject, *told, *([f"and {more} more"] if more > 0 else [])])


def _loss(part: Difference) -> tuple[float, str]:
    return part.weight * (part.alike - 1), part.path


def _place(one: Candidate) -> tuple[float, bool, int, str]:
    return -one.likeness.similarity, one.ruled is not Ruled.DENIED, -one.order, one.id


__all__ = ["Candidate", "Case", "Difference", "Likeness", "Ruled", "alike", "compare", "rank"]
