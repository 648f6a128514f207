"""Request + what sources learned -> Facts: the row of values that conditions read.

- What the caller claims fills only the slots of source `request`; a resolved slot is filled by its source or is
  unknown, and a claim never stands in for a source that failed (S2.2).
- A slot is a value, absent or unknown; nothing else (S2.1).
- One decision sees one time (S2.4): `time.now` is the instant given here.
- Every fact in the row can tell its source and its age.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from demur.core.conform import ConformError, conform
from demur.core.schema import BUILT_IN, REQUEST, Slot, argument_name
from demur.core.terms import Missing, Request, State, Timestamp, Value

if TYPE_CHECKING:
    from demur.core.schema import Schema

_ARGUMENT = "action."
_BUILT_IN_PLACE = {path: index for index, path in enumerate(BUILT_IN)}
_CLAIMABLE = ("subject", "actor", "resource", "context")


class Provenance(msgspec.Struct, frozen=True):
    """Where a resolved fact came from: source, the instant it was learned, and why it is unknown."""

    source: str
    at: Timestamp
    why: str = ""


class Approval(msgspec.Struct, frozen=True):
    """A review that people approved, as a fact (S7.1): the rules it satisfies, by id and digest."""

    review_id: str
    rules: tuple[tuple[str, str], ...]


class Learned(msgspec.Struct, frozen=True):
    """What a source learned about one fact, and when; `why` says what went wrong where it is unknown."""

    state: State
    at: Timestamp
    why: str = ""


class Facts(msgspec.Struct, frozen=True):
    """One request, ready to be judged. `values` is indexed by slot."""

    request: Request
    values: list[State]
    now: Timestamp
    approvals: tuple[Approval, ...] = ()
    provenance: dict[int, Provenance] = {}
    understands: frozenset[str] | None = None
    """The obligation types that whoever asks is registered to carry out; `None` where the executor says so (S6.4)."""


class Layout(msgspec.Struct, frozen=True):
    """How a row is filled for one schema; made once, when policies load."""

    empty: tuple[State, ...]
    arguments: dict[str, tuple[tuple[int, str], ...]]
    """Per declared action: slot and name of each argument."""
    claims: tuple[tuple[int, str, tuple[str, ...], Slot], ...]
    """Slot, root and path of each fact that the caller claims."""
    resolved: dict[str, tuple[int, str]]
    """Path to slot and source of every fact that a source or Demur itself provides."""

    @classmethod
    def of(cls, schema: Schema) -> Layout:
        """The layout of a schema's slots."""
        places = {(slot.path, slot.type): index for index, slot in enumerate(schema.slots)}
        arguments = {
            name: tuple(
                (places[fact.path, fact.type], argument_name(fact.path))
                for fact in action.arguments
                if (fact.path, fact.type) in places
            )
            for name, action in schema.actions.items()
        }
        declared = tuple((index, slot) for index, slot in enumerate(schema.slots) if slot.path not in BUILT_IN)
        return cls(
            empty=tuple(_start(slot) for slot in schema.slots),
            arguments=arguments,
            claims=tuple(_claim(index, slot) for index, slot in declared if _is_claim(slot)),
            resolved={slot.path: (index, slot.source) for index, slot in declared if slot.source != REQUEST},
        )


def resolve(request: Request, schema: Schema, learned: Mapping[str, Learned], now: Timestamp) -> Facts:
    """The facts of one request; `learned` holds what sources and counters said, by path. Never raises."""
    return fill(request, Layout.of(schema), learned, now)


def fill(request: Request, layout: Layout, learned: Mapping[str, Learned], now: Timestamp) -> Facts:
    """`resolve` with the layout at hand."""
    row = list(layout.empty)
    row[: len(BUILT_IN)] = _built_in(request, now)
    for slot, name in layout.arguments.get(request.action, ()):
        row[slot] = request.arguments.get(name, Missing.ABSENT)
    for index, root, names, declared in layout.claims:
        row[index] = _claimed(_properties(request, root), names, declared)
    provenance: dict[int, Provenance] = {}
    _place(row, provenance, layout, learned)
    return Facts(request, row, now, (), provenance)


def stated(request: Request, path: str) -> State:
    """What the request itself says at a path: a built-in fact, an argument or a claim; absent where it says nothing.

    For sources that look something up by a part of the request. `time.now` is no part of it and unknown here.
    """
    if path in BUILT_IN:
        return _built_in(request, Missing.UNKNOWN)[_BUILT_IN_PLACE[path]]
    root, _, rest = path.partition(".")
    if root == "action":
        return request.arguments.get(argument_name(path), Missing.ABSENT)
    value: Value = _properties(request, root) if root in _CLAIMABLE else None  # type: ignore[assignment]  # as below
    for name in rest.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return Missing.ABSENT
        value = value[name]
    return value


def with_approvals(facts: Facts, approvals: tuple[Approval, ...]) -> Facts:
    """The same facts, to be judged again with what people approved (S7.2)."""
    return msgspec.structs.replace(facts, approvals=approvals)


def with_understood(facts: Facts, understands: frozenset[str] | None) -> Facts:
    """The same facts, for a caller who is registered for these obligation types (S6.4)."""
    return facts if understands is None else msgspec.structs.replace(facts, understands=understands)


def with_learned(facts: Facts, layout: Layout, learned: Mapping[str, Learned]) -> Facts:
    """The same facts with some of them learned afresh (S4.2, S6.2)."""
    row = list(facts.values)
    provenance = dict(facts.provenance)
    _place(row, provenance, layout, learned)
    return msgspec.structs.replace(facts, values=row, provenance=provenance)


def _place(row: list[State], provenance: dict[int, Provenance], layout: Layout, learned: Mapping[str, Learned]) -> None:
    for path, item in learned.items():
        place = layout.resolved.get(path)
        if place is not None:
            slot, source = place
            row[slot] = item.state
            provenance[slot] = Provenance(source, item.at, item.why)


def _start(slot: Slot) -> State:
    """An argument that this action does not have is absent; whatever nobody filled in is unknown."""
    return Missing.ABSENT if slot.path.startswith(_ARGUMENT) and slot.source == REQUEST else Missing.UNKNOWN


def _is_claim(slot: Slot) -> bool:
    return slot.source == REQUEST and slot.path.partition(".")[0] in _CLAIMABLE


def _claim(index: int, slot: Slot) -> tuple[int, str, tuple[str, ...], Slot]:
    root, *path = slot.path.split(".")
    return index, root, tuple(path), slot


def _built_in(request: Request, now: State) -> tuple[State, ...]:
    """In the order of `schema.BUILT_IN`."""
    model = request.model
    return (
        request.subject.type,
        request.subject.id,
        request.actor.type,
        request.actor.id,
        request.caller,
        request.action,
        request.resource.type,
        request.resource.id,
        request.session or Missing.ABSENT,
        model.name if model else Missing.ABSENT,
        model.version if model and model.version else Missing.ABSENT,
        now,
    )


def _properties(request: Request, root: str) -> Mapping[str, Value]:
    match root:
        case "subject":
            return request.subject.properties
        case "actor":
            return request.actor.properties
        case "resource":
            return request.resource.properties
        case _:
            return request.context


def _claimed(members: Mapping[str, Value], path: tuple[str, ...], slot: Slot) -> State:
    """What the caller claims. Left out, an optional fact is absent and another one unknown (S2.1)."""
    value: Value = members  # type: ignore[assignment]  # a mapping keyed by text is a mapping of values
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return Missing.ABSENT if slot.optional else Missing.UNKNOWN
        value = value[name]
    if len(path) == 1:
        return value
    try:
        return conform(value, slot.type)
    except ConformError:
        return Missing.UNKNOWN
