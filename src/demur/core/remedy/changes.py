"""A changed request or world, and its judgement: the only thing that makes a remedy more than a guess.

- A changed argument or claim makes another request: typed, checked and digested as at intake, so that an approval of
  the old one no longer counts (S7.1).
- What a source says may hang on the request. A resolved fact that may hang on something changed is `Unknown`, unless
  the caller learns it again (`learn`); the old value is never carried over (S2.2).
- Time and usage facts are changed like any other fact. Everything else stays as it was: "other facts unchanged".

Clauses: S2, S7.1, S9.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from demur.core import intake, resolution
from demur.core.conform import ConformError, conform
from demur.core.decision import Decision, decide
from demur.core.remedy.chart import TIME, Chart, chart_of
from demur.core.resolution import Facts, Layout, Learned
from demur.core.schema import REQUEST, Fact
from demur.core.terms import Entity, Missing, Request, State, Timestamp, Value
from demur.errors import IntakeError

if TYPE_CHECKING:
    from demur.core.policy.index import PolicySet

_ARGUMENT = "action."


class Changes(msgspec.Struct, frozen=True):
    """What is different: facts by path (absent: left out), or another action with all of its arguments."""

    values: dict[str, State] = {}
    action: str = ""
    arguments: dict[str, Value] = {}


Judge: TypeAlias = Callable[[Changes], Decision]
"""Judges one request in full with these changes.

For changed arguments and claims the caller needs a changed row. Facts that a source derives from a changed path (the
key of a table, the text in which a detector looks, whom a counter counts) it learns again or leaves unknown;
`dependents` names them, and `rejudge` does it all. Raises `IntakeError` where the changed request could not be asked.
"""

Learn: TypeAlias = Callable[[Request, frozenset[str]], Mapping[str, Learned]]
"""Learns these paths for a changed request; what it leaves out stays unknown."""


def rejudge(facts: Facts, policy_set: PolicySet, changes: Changes, learn: Learn | None = None) -> Decision:
    """The decision that the changed request would get; raises `IntakeError` where it would be refused at intake."""
    chart = chart_of(policy_set)
    request = _asked(facts.request, changes, chart)
    row = list(facts.values)
    hanging = dependents(chart, facts.request, changes)
    for slot in hanging:
        row[slot] = Missing.UNKNOWN
    if learn is not None and hanging:
        slots = policy_set.schema.slots
        known = learn(request, frozenset(slots[slot].path for slot in hanging))
        for slot in hanging:
            if (item := known.get(slots[slot].path)) is not None:
                row[slot] = item.state
    now = changes.values.get(TIME, facts.now)
    assert isinstance(now, Timestamp)
    _place(row, request, changes, chart, now)
    approvals = facts.approvals if request.digest == facts.request.digest else ()
    return decide(Facts(request, row, now, approvals, facts.provenance, facts.understands), policy_set)


def dependents(chart: Chart, request: Request, changes: Changes) -> frozenset[int]:
    """The slots of resolved facts that may be different once the request is changed like this."""
    paths = set(changes.values)
    if changes.action:
        paths |= {"action.name", *(_ARGUMENT + name for name in (*request.arguments, *changes.arguments))}
    found: frozenset[int] = frozenset()
    for path in paths:
        found = found.union(*chart.hanging(path))
    return found


def _asked(request: Request, changes: Changes, chart: Chart) -> Request:
    """The request with the changes that are its own; the same request where none is."""
    if changes.action:
        return _other_action(request, changes, chart)
    arguments, claims = dict(request.arguments), {}
    for path, state in changes.values.items():
        fact = chart.fact(request.action, path)
        if fact is None or fact.source != REQUEST:
            continue
        if path.startswith(_ARGUMENT):
            _set(arguments, (path.removeprefix(_ARGUMENT),), _typed(state, fact))
        else:
            claims[path] = _typed(state, fact)
    if not claims and arguments == request.arguments:
        return request
    typed = intake.retype(request.action, arguments, chart.policy_set.schema)
    return _digested(msgspec.structs.replace(_claiming(request, claims), arguments=typed), chart)


def _other_action(request: Request, changes: Changes, chart: Chart) -> Request:
    schema = chart.policy_set.schema
    declared = schema.actions.get(changes.action)
    if declared is not None:
        names = {fact.path.removeprefix(_ARGUMENT): fact.optional for fact in declared.arguments}
        wrong = [name for name in changes.arguments if name not in names]
        wrong += [name for name, is_optional in names.items() if not is_optional and name not in changes.arguments]
        if wrong:
            raise IntakeError(
                f"/action/properties/{wrong[0]}", expected=f"the arguments of `{changes.action}`", found="others"
            )
        if declared.resource_types and request.resource.type not in declared.resource_types:
            raise IntakeError("/resource/type", expected="a type of this action", found="another")
    arguments = intake.retype(changes.action, changes.arguments, schema)
    return _digested(msgspec.structs.replace(request, action=changes.action, arguments=arguments), chart)


def _digested(request: Request, chart: Chart) -> Request:
    return msgspec.structs.replace(request, digest=intake.digest(request, chart.policy_set.schema))


def _typed(state: State, fact: Fact) -> State:
    if isinstance(state, Missing):
        if state is Missing.ABSENT and fact.optional:
            return state
        raise IntakeError(_pointer(fact.path), expected=f"a value of type {fact.type}", found="nothing")
    try:
        typed = conform(state, fact.type)
    except ConformError as error:
        raise IntakeError(_pointer(fact.path), expected=error.expected, found=error.found) from error
    if fact.one_of and typed not in fact.one_of:
        raise IntakeError(_pointer(fact.path), expected="one of the values declared", found="another")
    return typed


def _pointer(path: str) -> str:
    """Where in a request this argument or claim stands, as intake says it."""
    root, *names = path.split(".")
    return "/" + "/".join((root, *names) if root == "context" else (root, "properties", *names))


def _claiming(request: Request, claims: Mapping[str, State]) -> Request:
    """The request with these claims set, or left out where absent."""
    parts = {
        "subject": dict(request.subject.properties),
        "actor": dict(request.actor.properties),
        "resource": dict(request.resource.properties),
        "context": dict(request.context),
    }
    for path, state in claims.items():
        root, *names = path.split(".")
        _set(parts[root], tuple(names), state)

    def entity(old: Entity, properties: dict[str, Value]) -> Entity:
        return old if properties == old.properties else msgspec.structs.replace(old, properties=properties)

    return msgspec.structs.replace(
        request,
        subject=entity(request.subject, parts["subject"]),
        actor=entity(request.actor, parts["actor"]),
        resource=entity(request.resource, parts["resource"]),
        context=parts["context"],
    )


def _set(members: dict[str, Value], names: tuple[str, ...], state: State) -> None:
    """Set or remove a member; objects on the way are copied, never changed in place."""
    name, *rest = names
    if rest:
        inner = members.get(name)
        copy: dict[str, Value] = dict(inner) if isinstance(inner, dict) else {}
        _set(copy, tuple(rest), state)
        members[name] = copy  # type: ignore[assignment]  # a mapping keyed by text is a mapping of values
    elif isinstance(state, Missing):
        members.pop(name, None)
    else:
        members[name] = state


def _place(row: list[State], request: Request, changes: Changes, chart: Chart, now: Timestamp) -> None:
    """Fill in what the changed request says itself, and the facts that are different."""
    if changes.action:
        schema = chart.policy_set.schema
        fresh = resolution.fill(request, Layout.of(schema), {}, now).values
        for index, slot in enumerate(schema.slots):
            if slot.source in {REQUEST, ""}:
                row[index] = fresh[index]
    for path, state in changes.values.items():
        row[chart.slot(request.action, path)] = state
