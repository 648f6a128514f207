"""The row of facts: which slot each fact has, and what the conditions of one rule may name.

- Built-in facts come first, in their order; then declared facts, usage counters, those of the desk and arguments, each
  in path order, so that the layout does not depend on the order of files.
- An argument has one slot for each type that actions declare it with. A rule may read the arguments of the actions
  that it covers: one that some of them lack, or declare as optional, may be absent; one that they declare with
  different types cannot be read.

Clauses: S2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core.cel.scope import Scope, Variable
from demur.core.policy import patterns
from demur.core.policy.facts import USAGE
from demur.core.schema import BUILT_IN, REQUEST, Kind, Slot, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from demur.core.schema import Action, Counter, Fact, Schema

_INT = Type(Kind.INT)


@dataclass(frozen=True, slots=True)
class View:
    """What the conditions of a rule may name, and why an argument cannot be read or may be absent."""

    scope: Scope
    actions: tuple[str, ...]
    """The declared actions that the rule covers."""
    conflicts: Mapping[str, str]
    """Path of an argument to the types that the actions declare."""
    lacking: Mapping[str, str]
    """Path of an optional argument to one covered action that does not have it."""

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The facts by path."""
        return self.scope.variables


def slots(
    facts: Iterable[Fact], counters: Iterable[Counter], actions: Iterable[Action], desk: Iterable[Slot] = ()
) -> tuple[Slot, ...]:
    """The columns of the row."""
    row = [Slot(path, Type(Kind(kind)), optional, "") for path, (kind, optional) in BUILT_IN.items()]
    row += [Slot(fact.path, fact.type, fact.optional, fact.source) for fact in sorted(facts, key=_path)]
    row += [Slot(counter.path, _INT, False, USAGE) for counter in sorted(counters, key=_counter_path)]  # noqa: FBT003  (a struct's field)
    row += desk
    arguments: dict[tuple[str, str], Slot] = {}
    for action in actions:
        for fact in action.arguments:
            key = (fact.path, str(fact.type))
            is_optional = fact.optional or (key in arguments and arguments[key].optional)
            arguments[key] = Slot(fact.path, fact.type, is_optional, REQUEST)
    return tuple(row + [arguments[key] for key in sorted(arguments)])


class Views:
    """The view of each set of covered actions, made once."""

    def __init__(self, schema: Schema, is_zone: Callable[[str], bool]) -> None:
        self._is_zone = is_zone
        self._actions = schema.actions
        self._places = {(slot.path, slot.type): index for index, slot in enumerate(schema.slots)}
        arguments = {fact.path for action in schema.actions.values() for fact in action.arguments}
        self._common = {
            slot.path: Variable(index, slot.type, slot.optional)
            for index, slot in enumerate(schema.slots)
            if slot.path not in arguments
        }
        self._known: dict[tuple[str, ...], View] = {}

    def of(self, wanted: Iterable[str]) -> View:
        """The view of a rule that covers these names and patterns."""
        covered = patterns.expand(wanted, self._actions)
        view = self._known.get(covered)
        if view is None:
            view = self._known[covered] = self._make(covered)
        return view

    def _make(self, covered: tuple[str, ...]) -> View:
        declared: dict[str, dict[str, Fact]] = {}
        for name in covered:
            for fact in self._actions[name].arguments:
                declared.setdefault(fact.path, {})[name] = fact
        variables = dict(self._common)
        conflicts: dict[str, str] = {}
        lacking: dict[str, str] = {}
        for path, by_action in declared.items():
            types = {fact.type for fact in by_action.values()}
            if len(types) > 1:
                conflicts[path] = ", ".join(f"`{fact.type}` in `{name}`" for name, fact in by_action.items())
                continue
            without = next((name for name in covered if name not in by_action), "")
            if without:
                lacking[path] = without
            is_optional = bool(without) or any(fact.optional for fact in by_action.values())
            found = next(iter(types))
            variables[path] = Variable(self._places[path, found], found, is_optional)
        return View(Scope(variables, self._is_zone), covered, conflicts, lacking)


def _path(fact: Fact) -> str:
    return fact.path


def _counter_path(counter: Counter) -> str:
    return counter.path
