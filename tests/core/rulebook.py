"""Rules, facts and policy sets in a few words, for tests of the decision."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from demur.adapters.zones import TzdataZones
from demur.core import cel
from demur.core.policy.document import AnyOf, Condition, Documents, Namespace, Narrowing, Obligation, Panel, Rule
from demur.core.policy.index import PolicySet
from demur.core.resolution import Approval, Facts
from demur.core.schema import BUILT_IN, Action, Counter, Kind, Schema, Slot, Type, Window
from demur.core.terms import Effect, Entity, Missing, Request, State, Timestamp, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demur.core.policy.document import Clause

ZONES = TzdataZones()
NOW = parse_timestamp("2026-11-20T09:00:00Z")
UNKNOWN, ABSENT = Missing.UNKNOWN, Missing.ABSENT

TEXTS = Type(Kind.LIST, element=Type(Kind.STRING))
DECLARED: dict[str, tuple[Type, bool, str]] = {
    "action.amount": (Type(Kind.INT), False, "request"),
    "action.note": (Type(Kind.STRING), True, "request"),
    "subject.role": (Type(Kind.STRING), False, "request"),
    "subject.roles": (TEXTS, False, "request"),
    "context.ticket": (Type(Kind.STRING), True, "request"),
    "context.tags": (TEXTS, True, "request"),
    "account.frozen": (Type(Kind.BOOL), False, "account"),
    "account.limit": (Type(Kind.INT), True, "account"),
    "account.until": (Type(Kind.TIMESTAMP), True, "account"),
    "account.wait": (Type(Kind.DURATION), True, "account"),
    "risk.score": (Type(Kind.DOUBLE), False, "risk"),
    "usage.today": (Type(Kind.INT), False, "usage"),
}
SLOTS = (
    *(Slot(path, Type(Kind(kind)), optional, "") for path, (kind, optional) in BUILT_IN.items()),
    *(Slot(path, kind, optional, source) for path, (kind, optional, source) in DECLARED.items()),
)
PLACES = {slot.path: index for index, slot in enumerate(SLOTS)}
SCHEMA = Schema(
    actions={
        name: Action(name=name, resource_types=("invoice", "record")) for name in ("pay", "refund", "plan", "read")
    },
    counters={"usage.today": Counter(path="usage.today", actions=("*",), key=("subject.id",), window=Window())},
    slots=SLOTS,
)
SCOPE = cel.Scope(
    {slot.path: cel.Variable(index, slot.type, slot.optional) for index, slot in enumerate(SLOTS)}, ZONES.is_zone
)
KNOWN: dict[str, State] = {
    "action.amount": 100,
    "action.note": "hello",
    "subject.role": "clerk",
    "subject.roles": ["clerk", "nurse"],
    "context.ticket": "T-1",
    "context.tags": ["urgent"],
    "account.frozen": False,
    "account.limit": 500,
    "account.until": parse_timestamp("2026-12-01T00:00:00Z"),
    "account.wait": ABSENT,
    "risk.score": 0.25,
    "usage.today": 3,
}


@cache
def condition(text: str) -> Condition:
    """The checked condition of that text, named by it."""
    return Condition(name=text, expr=text, explanation=f"{text} holds", node=cel.check(text, SCOPE).node)


def any_of(*texts: str) -> AnyOf:
    return AnyOf(name="any", conditions=tuple(condition(text) for text in texts))


def rule(
    name: str,
    effect: str = "permit",
    *when: str | Clause,
    unless: Iterable[str | Clause] = (),
    actions: tuple[str, ...] = ("*",),
    **more: Any,
) -> Rule:
    """A rule of namespace `test` whose digest follows from its name."""

    def clauses(parts: Iterable[str | Clause]) -> tuple[Clause, ...]:
        return tuple(condition(part) if isinstance(part, str) else part for part in parts)

    return Rule(
        id=name,
        namespace=more.pop("namespace", "test"),
        effect=Effect(effect),
        actions=actions,
        when=clauses(when),
        unless=clauses(unless),
        digest=more.pop("digest", f"sha256:{name}"),
        panel=Panel(role="boss") if effect == "review" else None,
        **more,
    )


def obligation(kind: str, **properties: Any) -> Obligation:
    return Obligation(id=kind, type=kind, properties=properties)


def narrow(argument: str, **limits: Any) -> Narrowing:
    return Narrowing(argument=argument, **limits)


def documents(*rules: Rule, namespaces: dict[str, Namespace] | None = None) -> Documents:
    return Documents(schema=SCHEMA, rules=rules, namespaces=namespaces or {}, digest="sha256:set")


def policy_set(*rules: Rule, namespaces: dict[str, Namespace] | None = None) -> PolicySet:
    return PolicySet.build(documents(*rules, namespaces=namespaces), ZONES)


def request(action: str = "pay", resource: str = "invoice") -> Request:
    person = Entity(type="user", id="ann")
    return Request(
        subject=person,
        actor=Entity(type="agent", id="bot"),
        action=action,
        arguments={},
        resource=Entity(type=resource, id="r-1"),
        context={},
        session="",
        trace_id="",
        request_id="",
        caller="app",
        model=None,
        digest="sha256:action",
    )


def facts(
    changed: Mapping[str, State] | None = None,
    *,
    action: str = "pay",
    resource: str = "invoice",
    approvals: tuple[Approval, ...] = (),
    now: Timestamp = NOW,
) -> Facts:
    """Every fact known as in `KNOWN`, but for those in `changed`."""
    asked = request(action, resource)
    values: list[State] = [
        "user", "ann", "agent", "bot", "app", action, resource, "r-1", ABSENT, ABSENT, ABSENT, now,
    ]  # fmt: skip
    values += [{**KNOWN, **(changed or {})}[path] for path in DECLARED]
    return Facts(asked, values, now, approvals)


def approval(*rules: Rule, digest: str | None = None) -> Approval:
    """People approved these rules as they are, or as they were under `digest`."""
    return Approval("rev-1", tuple((item.id, digest or item.digest) for item in rules))
