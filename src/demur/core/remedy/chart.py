"""What of one action may be changed, obtained or awaited, which rules read it, and what else hangs on it.

- Only what the schema marks can be part of a remedy. Who asks, for whom and through whom never is, and neither is a
  secret (S9.3): the built-in facts cannot be marked at all.
- A change is the requester's own: a mark on a fact that a source provides is no change of a request.
- A chart is made once for a set of policies, and remembered.

Clauses: S2.2, S9.2, S9.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from demur.core.schema import BUILT_IN, DESK, REQUEST, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demur.core.policy.bucket import Bucket
    from demur.core.policy.index import PolicySet
    from demur.core.schema import Schema, Slot
    from demur.core.terms import Value

TIME = "time.now"
OBTAIN_COST = 5.0
"""What it costs, in the order of repairs, that somebody else must act. A change costs what the schema says."""
AWAIT_COST = 10.0
"""What it costs that a state must come about by itself."""
MAX_VARIABLES = 16
"""Of one action, so many facts are tried at most, cheapest first."""
MAX_SITES = 1_024
"""Pairs of action and resource type that one chart remembers."""

_DEFAULT_KEY = ("subject.type", "subject.id", "resource.type", "resource.id")


class Kind(StrEnum):
    """How a fact comes to be different (S9.2)."""

    CHANGE = "change"
    OBTAIN = "obtain"
    AWAIT = "await"


@dataclass(frozen=True, slots=True)
class Variable:
    """A fact that may be different, and what that costs. `certain` and `doubtful` are slots that hang on it."""

    slot: int
    fact: Fact
    kind: Kind
    cost: float
    readers: int
    """The rules of the bucket that read it or what certainly or possibly hangs on it."""
    certain: frozenset[int]
    doubtful: frozenset[int]

    @property
    def path(self) -> str:
        """The path of the fact."""
        return self.fact.path


@dataclass(frozen=True, slots=True)
class Site:
    """One action on one type of resource: its rules, its variables cheapest first, and its clocks."""

    bucket: Bucket
    covering: int
    variables: tuple[Variable, ...]
    readers: Mapping[int, int]
    """Slot to the rules that read it."""
    confidential: int
    """The rules that read a confidential fact."""
    clocks: int
    """The rules that read the time or a usage fact whose window ends."""


class Chart:
    """One set of policies, seen by what can be different."""

    def __init__(self, policy_set: PolicySet) -> None:
        self.policy_set = policy_set
        self.time = policy_set.slot(TIME)
        schema = policy_set.schema
        self._places = {(slot.path, slot.type): index for index, slot in enumerate(schema.slots)}
        self._first = {slot.path: index for index, slot in reversed(list(enumerate(schema.slots)))}
        self._arguments = {
            name: {fact.path: fact for fact in declared.arguments} for name, declared in schema.actions.items()
        }
        self._keys = tuple(_keys(slot, schema) for slot in schema.slots)
        self._hanging: dict[str, tuple[frozenset[int], frozenset[int]]] = {}
        self._sites: dict[tuple[str, str], Site] = {}
        self.proposals: dict[tuple[str, int, int], tuple[Value, ...]] = {}
        """Rule, place of the condition and slot to the values at which the condition turns whatever else holds."""
        self.measures: dict[tuple[str, str, int], tuple[tuple[Fact, ...], bool]] = {}
        """Action, resource type and slot to what the fact is measured against."""
        self.exceptions: dict[tuple[str, str, int], tuple[str, ...] | None] = {}
        """Action, resource type and slot to the texts that rules tell from others, where that is all they ask."""

    def fact(self, action: str, path: str) -> Fact | None:
        """The declaration of a path as this action knows it; `None` for a built-in or usage fact."""
        return self._arguments.get(action, {}).get(path) or self.policy_set.schema.facts.get(path)

    def slot(self, action: str, path: str) -> int:
        """The slot of a path as this action knows it; raises `KeyError`."""
        fact = self.fact(action, path)
        return self._first[path] if fact is None else self._places[path, fact.type]

    def hanging(self, path: str) -> tuple[frozenset[int], frozenset[int]]:
        """The slots that are looked up by this path, and those whose source does not say what they hang on."""
        found = self._hanging.get(path)
        if found is None:
            if len(self._hanging) >= MAX_SITES:
                self._hanging.clear()
            found = self._hanging[path] = self._find_hanging(path)
        return found

    def site(self, action: str, resource_type: str) -> Site:
        """The rules and variables of one action, remembered."""
        found = self._sites.get((action, resource_type))
        if found is None:
            if len(self._sites) >= MAX_SITES:
                self._sites.clear()
                self.measures.clear()
                self.exceptions.clear()
            found = self._sites[action, resource_type] = self._make(action, resource_type)
        return found

    def _find_hanging(self, path: str) -> tuple[frozenset[int], frozenset[int]]:
        certain = frozenset(
            index for index, keys in enumerate(self._keys) if keys and any(_touches(key, path) for key in keys)
        )
        if path == TIME or self._is_resolved(path):
            return certain, frozenset()
        return certain, frozenset(index for index, keys in enumerate(self._keys) if keys is None)

    def _is_resolved(self, path: str) -> bool:
        fact = self.policy_set.schema.facts.get(path)
        return path in self.policy_set.schema.counters or (fact is not None and fact.source != REQUEST)

    def _make(self, action: str, resource_type: str) -> Site:
        policies = self.policy_set
        bucket, covering = policies.bucket(action, resource_type)
        readers: dict[int, int] = {}
        for place, rule in enumerate(bucket.rules):
            for slot in policies.reads(rule.id):
                readers[slot] = readers.get(slot, 0) | 1 << place
        schema, slots = policies.schema, policies.schema.slots
        hidden = [slot for slot in readers if (fact := self.fact(action, slots[slot].path)) and fact.confidential]
        clocks = [slot for slot in readers if slot == self.time or _ends(slots[slot].path, schema)]
        variables = self._variables(action, readers)
        return Site(bucket, covering, variables, readers, _union(readers, hidden), _union(readers, clocks))

    def _variables(self, action: str, readers: Mapping[int, int]) -> tuple[Variable, ...]:
        declared = self.policy_set.schema.actions.get(action)
        facts = [*(declared.arguments if declared else ()), *self.policy_set.schema.facts.values()]
        found: list[Variable] = []
        for fact in facts:
            how = _how(fact)
            if how is None:
                continue
            slot = self._places[fact.path, fact.type]
            certain, doubtful = self.hanging(fact.path)
            reading = _union(readers, {slot, *certain, *doubtful})
            if reading:
                found.append(Variable(slot, fact, *how, reading, certain & readers.keys(), doubtful & readers.keys()))
        found.sort(key=lambda item: (item.cost, item.path))
        return tuple(found[:MAX_VARIABLES])


@lru_cache(maxsize=8)
def chart_of(policy_set: PolicySet) -> Chart:
    """The chart of these policies, remembered."""
    return Chart(policy_set)


def _how(fact: Fact) -> tuple[Kind, float] | None:
    """How this fact comes to be different, and the cost; `None` where it may not be part of a remedy (S9.3)."""
    if fact.secret or fact.path in BUILT_IN:
        return None
    if fact.change is not None and fact.source == REQUEST:
        return Kind.CHANGE, fact.change.cost
    if fact.obtain is not None:
        return Kind.OBTAIN, OBTAIN_COST
    return (Kind.AWAIT, AWAIT_COST) if fact.awaits is not None else None


def _ends(path: str, schema: Schema) -> bool:
    """Whether this is a usage fact whose window ends one day."""
    counter = schema.counters.get(path)
    return counter is not None and bool(counter.window.calendar or counter.window.seconds)


def _keys(slot: Slot, schema: Schema) -> tuple[str, ...] | None:
    """The paths that a fact is looked up by; `None` where it may be any."""
    if slot.path in schema.counters:
        return schema.counters[slot.path].key
    if slot.source in {REQUEST, DESK, ""}:
        return ()
    source = schema.sources.get(slot.source)
    if source is None:
        return None
    keys = _stated(source.settings.get("key"))
    match source.kind:
        case "static":
            return keys
        case "content":
            fact = schema.facts.get(slot.path)
            return (fact.detect.of,) if fact is not None and fact.detect is not None else None
        case _:
            return keys or (_DEFAULT_KEY if source.ttl_ms else None)


def _stated(key: Value) -> tuple[str, ...]:
    if isinstance(key, str):
        return (key,)
    return tuple(map(str, key)) if isinstance(key, (list, tuple)) else ()


def _touches(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _union(readers: Mapping[int, int], slots: Iterable[int]) -> int:
    mask = 0
    for slot in slots:
        mask |= readers.get(slot, 0)
    return mask
