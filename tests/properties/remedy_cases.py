"""Small random policies, requests and worlds, in which every repair can be found by trying.

A case is drawn by `pick`, which chooses one of several options: Hypothesis in the tests, chance in long runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from demur.adapters.zones import TzdataZones
from demur.core import cel
from demur.core.decision import Decision, decide
from demur.core.policy.document import AnyOf, Condition, Documents, Panel, Rule
from demur.core.policy.index import PolicySet
from demur.core.remedy import Changes, Remedies, find, rejudge
from demur.core.resolution import Facts, Learned
from demur.core.schema import (
    BUILT_IN,
    Action,
    Await,
    Change,
    Counter,
    Fact,
    Kind,
    Obtain,
    Schema,
    Slot,
    Source,
    Type,
    Window,
)
from demur.core.terms import (
    Category,
    Effect,
    Entity,
    Missing,
    Outcome,
    Request,
    State,
    Timestamp,
    parse_timestamp,
)
from demur.evaluation.solver import Domain

Pick = Callable[[Sequence[Any]], Any]

ZONES = TzdataZones()
NOW = parse_timestamp("2026-11-20T09:00:00Z")
UNKNOWN, ABSENT = Missing.UNKNOWN, Missing.ABSENT
TEXT, TEXTS = Type(Kind.STRING), Type(Kind.LIST, element=Type(Kind.STRING))
DUE = tuple(parse_timestamp(text) for text in ("2026-11-20T09:00:00Z", "2026-11-25T00:00:00Z", "2026-12-01T00:00:00Z"))

ARGUMENTS = (
    Fact(path="action.amount", type=Type(Kind.INT), change=Change()),
    Fact(path="action.count", type=Type(Kind.INT), optional=True, change=Change(2.0)),
    Fact(path="action.rate", type=Type(Kind.DOUBLE), change=Change(1.5)),
    Fact(path="action.scope", type=TEXT, optional=True, change=Change(), one_of=("one", "ward", "all")),
    Fact(path="action.tags", type=TEXTS, change=Change(3.0)),
    Fact(path="action.urgent", type=Type(Kind.BOOL), change=Change(0.5)),
    Fact(path="action.due", type=Type(Kind.TIMESTAMP), change=Change(2.5)),
    Fact(path="action.pin", type=Type(Kind.INT), secret=True, change=Change()),
    Fact(path="action.note", type=TEXT, optional=True),
)
FACTS = (
    Fact(path="account.busy", type=Type(Kind.BOOL), source="account", awaits=Await("released")),
    Fact(path="account.frozen", type=Type(Kind.BOOL), source="account"),
    Fact(path="account.limit", type=Type(Kind.INT), source="account", optional=True),
    Fact(path="context.ticket", type=TEXT, optional=True, change=Change(2.0), bound=True),
    Fact(path="resource.consent", type=Type(Kind.BOOL), source="staff", optional=True, obtain=Obtain("ask", "clerk")),
    Fact(path="scopes.weight", type=Type(Kind.INT), source="scopes"),
    Fact(path="subject.role", type=TEXT, source="staff", obtain=Obtain("ask somebody who holds it")),
)
SLOTS = (
    *(Slot(path, Type(Kind(kind)), optional, "") for path, (kind, optional) in BUILT_IN.items()),
    *(Slot(fact.path, fact.type, fact.optional, fact.source) for fact in FACTS),
    Slot("usage.today", Type(Kind.INT), False, "usage"),
    *(Slot(fact.path, fact.type, fact.optional, fact.source) for fact in ARGUMENTS),
)
PLACES = {slot.path: index for index, slot in enumerate(SLOTS)}
SCHEMA = Schema(
    facts={fact.path: fact for fact in FACTS},
    actions={"pay": Action(name="pay", arguments=ARGUMENTS)},
    sources={
        "account": Source(name="account", kind="python"),
        "staff": Source(name="staff", kind="static", settings={"key": "subject.id"}),
        "scopes": Source(name="scopes", kind="static", settings={"key": "action.scope"}),
    },
    counters={
        "usage.today": Counter(path="usage.today", actions=("*",), key=("subject.id",), window=Window("day", "UTC"))
    },
    slots=SLOTS,
)
SCOPE = cel.Scope(
    {slot.path: cel.Variable(index, slot.type, slot.optional) for index, slot in enumerate(SLOTS)}, ZONES.is_zone
)
WEIGHTS: dict[State, State] = {"one": 1, "ward": 4, "all": 9, ABSENT: 0}
"""What the table of scopes says: a fact that hangs on an argument."""

VALUES: dict[str, tuple[State, ...]] = {
    "action.amount": (-1, 0, 1, 2, 3, 4, 5, 6),
    "action.count": (-1, 0, 1, 2, 3, 4, 6, ABSENT),
    "action.rate": (-0.01, 0.0, 0.01, 0.49, 0.5, 0.51, 1.0),
    "action.scope": ("one", "ward", "all", ABSENT),
    "action.tags": ([], ["a"], ["b"], ["a", "b"], ["a", "b", "c"]),
    "action.urgent": (True, False),
    "action.due": tuple(Timestamp(item.nanos + step * 10**9) for item in DUE for step in (-1, 0, 1)),
    "account.busy": (True, False),
    "context.ticket": ("T-1", "T-2", "T-9", ABSENT),
    "resource.consent": (True, False, ABSENT),
    "subject.role": ("clerk", "boss"),
}
FIXED: dict[str, tuple[State, ...]] = {
    "action.pin": (1, 5),
    "action.note": ("hello", ABSENT),
    "account.frozen": (False, False, False, True, UNKNOWN),
    "account.limit": (2, 5, ABSENT, UNKNOWN),
    "usage.today": (0, 2, 3),
}
COSTS = {fact.path: fact.change.cost for fact in (*ARGUMENTS, *FACTS) if fact.change is not None} | {
    "account.busy": 10.0,
    "resource.consent": 5.0,
    "subject.role": 5.0,
}

OPS = ("<=", "<", ">=", ">", "==", "!=")
POOLS: dict[str, tuple[str, ...]] = {
    "op": OPS,
    "int": ("0", "3", "5"),
    "double": ("0.0", "0.5"),
    "scope": ('"one"', '"ward"', '"all"'),
    "tag": ('"a"', '"b"'),
    "ticket": ('"T-1"', '"T-2"'),
    "role": ('"clerk"', '"boss"'),
    "flag": ("true", "false"),
    "due": ('timestamp("2026-11-25T00:00:00Z")', 'timestamp("2026-12-01T00:00:00Z")', "time.now"),
}
TEMPLATES = (
    "action.amount {op} {int}",
    "action.amount {op} {int}",
    "{int} {op} action.amount",
    "action.amount in [{int}, {int}]",
    "action.amount > {int} && action.amount <= {int}",
    "has(account.limit) && action.amount {op} account.limit",
    "usage.today + action.amount {op} {int}",
    "action.amount * 2 {op} {int}",
    "has(action.count) && action.count {op} {int}",
    "has(action.count) && action.count {op} action.amount",
    "!has(action.count)",
    "action.amount + (has(action.count) ? action.count : 0) {op} {int}",
    "action.rate {op} {double}",
    "action.rate * 2.0 {op} {double}",
    "has(action.scope) && action.scope {equal} {scope}",
    "has(action.scope) && action.scope in [{scope}, {scope}]",
    "has(action.scope) && action.scope.startsWith({scope})",
    "has(action.scope)",
    "scopes.weight {op} {int}",
    "{tag} in action.tags",
    "size(action.tags) {op} 1",
    "action.tags.exists(t, t == {tag})",
    "action.tags.all(t, t != {tag})",
    "action.urgent",
    "action.urgent == {flag}",
    "action.urgent ? action.amount {op} {int} : action.rate {op} {double}",
    "action.due {op} {due}",
    'action.due - time.now > duration("120h")',
    "account.busy",
    "account.frozen",
    "has(context.ticket)",
    "has(context.ticket) && context.ticket {equal} {ticket}",
    "has(resource.consent) && resource.consent",
    "subject.role {equal} {role}",
    "subject.role in [{role}, {role}]",
    "usage.today < {int}",
    "action.pin == {int}",
    "has(action.note)",
    "true",
    "100 / action.amount {op} 20",
)
POOLS["equal"] = ("==", "!=")


@cache
def condition(text: str) -> Condition:
    return Condition(name="c", expr=text, explanation=text, node=cel.check(text, SCOPE).node)


def text(pick: Pick, depth: int = 1) -> str:
    shape = pick(("plain", "plain", "plain", "and", "or", "not")) if depth else "plain"
    match shape:
        case "and" | "or":
            return f"({text(pick, depth - 1)}) {'&&' if shape == 'and' else '||'} ({text(pick, depth - 1)})"
        case "not":
            return f"!({text(pick, depth - 1)})"
    found = pick(TEMPLATES)
    while "{" in found:
        head, _, tail = found.partition("{")
        name, _, rest = tail.partition("}")
        found = f"{head}{pick(POOLS[name])}{rest}"
    return found


def clause(pick: Pick) -> Condition | AnyOf:
    if pick((True, True, False)):
        return condition(text(pick))
    return AnyOf(name="any", conditions=tuple(condition(text(pick, 0)) for _ in range(2)))


CATEGORIES = (None, None, None, Category.QUOTA_EXCEEDED, Category.STATE_CONFLICT, Category.CATEGORICAL)


def rule(pick: Pick, name: str) -> Rule:
    effect = Effect(pick(("permit", "forbid", "forbid", "permit", "review")))
    return Rule(
        id=name,
        namespace="t",
        effect=effect,
        actions=("*",),
        when=tuple(clause(pick) for _ in range(pick((1, 2) if effect is Effect.PERMIT else (1, 1, 2)))),
        unless=tuple(clause(pick) for _ in range(pick((0, 0, 1)))),
        category=pick(CATEGORIES) if effect is Effect.FORBID else None,
        panel=Panel(role="boss") if effect is Effect.REVIEW else None,
        digest=f"sha256:{name}",
    )


@dataclass(frozen=True)
class Case:
    documents: Documents
    facts: Facts
    variables: tuple[str, ...]
    """The changeable facts that rules of the case read."""
    written: str
    """The text of all conditions."""

    def world(self, changes: Mapping[str, State]) -> Facts:
        """The facts with these ones different, what hangs on them looked up again."""
        values = list(self.facts.values)
        for path, state in changes.items():
            values[PLACES[path]] = state
        values[PLACES["scopes.weight"]] = WEIGHTS[values[PLACES["action.scope"]]]
        now = values[PLACES["time.now"]]
        assert isinstance(now, Timestamp)
        return msgspec.structs.replace(self.facts, values=values, now=now)

    def domains(self) -> list[Domain]:
        row = self.facts.values
        return [
            Domain(path, [value for value in self._values(path) if value != row[PLACES[path]]], COSTS[path])
            for path in self.variables
        ]

    def _values(self, path: str) -> list[State]:
        """The values to try. A role that no rule names is nothing that anybody could be told to bring about."""
        return [value for value in VALUES[path] if path != "subject.role" or f'"{value}"' in self.written]

    def policy_set(self) -> PolicySet:
        return PolicySet.build(self.documents, ZONES)


def case(pick: Pick) -> Case:
    """Two to five rules and one request about them."""
    rules = tuple(rule(pick, name) for name in "abcde"[: pick((2, 3, 3, 4, 5))])
    row: list[State] = ["user", "ann", "agent", "bot", "app", "pay", "invoice", "r-1", ABSENT, ABSENT, ABSENT, NOW]
    row += [pick(VALUES.get(slot.path) or FIXED.get(slot.path) or (UNKNOWN,)) for slot in SLOTS[len(row) :]]
    row[PLACES["scopes.weight"]] = WEIGHTS[row[PLACES["action.scope"]]]
    told = {fact.path.partition(".")[2]: row[PLACES[fact.path]] for fact in ARGUMENTS}
    ticket = row[PLACES["context.ticket"]]
    person = Entity(type="user", id="ann")
    asked = Request(
        subject=person,
        actor=Entity(type="agent", id="bot"),
        action="pay",
        arguments={name: value for name, value in told.items() if not isinstance(value, Missing)},
        resource=Entity(type="invoice", id="r-1"),
        context={} if isinstance(ticket, Missing) else {"ticket": ticket},
        session="",
        trace_id="",
        request_id="",
        caller="app",
        model=None,
        digest="sha256:before",
    )
    documents = Documents(schema=SCHEMA, rules=rules, namespaces={}, digest="sha256:set")
    written = " ".join(item.expr for one in rules for item in _conditions(one))
    read = tuple(path for path in VALUES if path in written or (path == "action.scope" and "scopes.weight" in written))
    return Case(documents, Facts(asked, row, NOW), read, written)


def _conditions(one: Rule) -> list[Condition]:
    parts = (*one.when, *one.unless)
    return [item for part in parts for item in (part.conditions if isinstance(part, AnyOf) else (part,))]


def refused(one: Case) -> tuple[Decision, Remedies]:
    """The decision about a case and its remedies, as a gate that can learn every fact again would find them."""
    policies = one.policy_set()
    decision = decide(one.facts, policies)

    def judge(changes: Changes) -> Decision:
        return rejudge(one.facts, policies, changes, lambda _, paths: _learned(one, changes, paths))

    return decision, find(decision, judge, now=NOW)


def _learned(one: Case, changes: Changes, paths: frozenset[str]) -> dict[str, Learned]:
    world = one.world(changes.values)
    return {path: Learned(world.values[PLACES[path]], NOW) for path in paths}


def is_refusal(decision: Decision) -> bool:
    return decision.outcome is not Outcome.ALLOW and decision.category is not Category.CATEGORICAL
