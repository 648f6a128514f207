"""What holds of every decision, whatever the rules and facts; and that a second implementation agrees.

Clauses: S3.1 to S3.6, S7.1.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demur.core.decision import decide, explain
from demur.core.policy.document import AnyOf, Condition, Documents, Namespace, Rule
from demur.core.policy.explanation import Truth
from demur.core.policy.index import PolicySet
from demur.core.resolution import Approval, Facts
from demur.core.terms import Category, Missing, Outcome, State, parse_duration, parse_timestamp
from demur.evaluation import oracle
from tests.core.rulebook import (
    ABSENT,
    DECLARED,
    PLACES,
    UNKNOWN,
    ZONES,
    condition,
    documents,
    facts,
    narrow,
    obligation,
    rule,
)

if TYPE_CHECKING:
    from demur.core.decision import Decision

STRICTNESS = {Outcome.ALLOW: 0, Outcome.DEFER: 1, Outcome.DENY: 2}
OPS = ("==", "!=", "<", "<=", ">", ">=")
INTS = (-1, 0, 1, 5, 6, 100, 2**53 - 1)
DOUBLES = (-1.5, -0.0, 0.0, 0.25, 0.5, 1.0, 1e308)
NAMES = ("clerk", "boss", "", "Ärztin", "T-1")
TIMES = ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00.000000001Z", "2026-12-01T00:00:00Z")
SPANS = ("0s", "90s", "-1h")
# Instants and spans, numbers of two types, text, lists, flags; guarded and unguarded; failing and computed.
TEMPLATES = (
    "action.amount {op} {int}",
    "{int} {op} action.amount",
    "action.amount in [{int}, {int}]",
    "account.limit {op} {int}",
    "has(account.limit) && account.limit {op} {int}",
    "!has(account.limit) || account.limit {op} {int}",
    "has(account.limit)",
    "has(context.ticket) && context.ticket in [{name}, {name}]",
    "risk.score {op} {double}",
    "risk.score in [{double}, {double}]",
    "subject.role == {name}",
    "subject.role != {name}",
    "subject.role in [{name}, {name}]",
    "subject.role in []",
    "subject.role < {name}",
    "context.ticket == {name}",
    "!has(context.ticket)",
    "{name} in subject.roles",
    "{name} in subject.roles || {name} in subject.roles",
    "{name} in context.tags",
    "account.frozen",
    "account.frozen == {flag}",
    "account.frozen != {flag}",
    "account.until {op} timestamp({time})",
    "timestamp({time}) {op} time.now",
    "time.now < account.until",
    "account.wait {op} duration({span})",
    "action.amount <= account.limit",
    "100 / action.amount {op} {int}",
    "subject.roles.exists(r, r == {name})",
    "size(subject.roles) {op} {int}",
    "subject.role.startsWith({name})",
    "account.frozen ? action.amount {op} {int} : risk.score {op} {double}",
    "usage.today {op} {int}",
    "true",
    "false",
)


def _chosen(template: str, draw: Any) -> str:
    while "{" in template:
        head, _, tail = template.partition("{")
        kind, _, rest = tail.partition("}")
        pools: dict[str, tuple[Any, ...]] = {"op": OPS, "int": INTS, "double": DOUBLES, "span": SPANS, "time": TIMES}
        value = draw(st.sampled_from(pools.get(kind) or (NAMES if kind == "name" else ("true", "false"))))
        quoted = json.dumps(value, ensure_ascii=False) if kind in {"name", "span", "time"} else str(value)
        template = f"{head}{_double(quoted) if kind == 'double' else quoted}{rest}"
    return template


def _double(text: str) -> str:
    return text if "." in text or "e" in text else f"{text}.0"


@st.composite
def texts(draw: Any, depth: int = 2) -> str:
    """The text of a condition."""
    shape = draw(st.sampled_from(["plain"] * 4 + ["and", "or", "not"])) if depth else "plain"
    match shape:
        case "and" | "or":
            left, right = draw(texts(depth - 1)), draw(texts(depth - 1))
            return f"({left}) {'&&' if shape == 'and' else '||'} ({right})"
        case "not":
            return f"!({draw(texts(depth - 1))})"
        case _:
            return _chosen(draw(st.sampled_from(TEMPLATES)), draw)


@st.composite
def clauses(draw: Any) -> Condition | AnyOf:
    if draw(st.booleans()):
        return condition(draw(texts()))
    members = draw(st.lists(texts(1), min_size=1, max_size=3))
    return AnyOf(name="any", conditions=tuple(condition(text) for text in members))


FORBIDDING = [None, *(Category(name) for name in oracle._ORDER)]
DUTIES = (
    {"obligations": (obligation("log", level="full"),)},
    {"obligations": (obligation("log", level="short"), obligation("notify", to="boss"))},
    {"obligations": (obligation("notify", to="boss"),), "grant_seconds": 10},
    {"narrows": (narrow("rows", at_most=10),), "grant_seconds": 60},
    {"narrows": (narrow("rows", at_least=11),)},
    {"narrows": (narrow("rows", at_least=2, at_most=20), narrow("mode", set="safe"))},
    {"narrows": (narrow("rows", set=5),)},
)


@st.composite
def rules(draw: Any, name: str) -> Rule:
    effect = draw(st.sampled_from(["permit", "permit", "review", "forbid"]))
    more: dict[str, Any] = dict(draw(st.sampled_from(DUTIES))) if draw(st.integers(0, 2)) == 0 else {}
    if effect == "forbid":
        more = {"category": draw(st.sampled_from(FORBIDDING)), "obligations": more.get("obligations", ())}
    return rule(
        name,
        effect,
        *draw(st.lists(clauses(), max_size=2)),
        unless=draw(st.lists(clauses(), max_size=1)),
        actions=draw(st.sampled_from([("*",), ("*",), ("pay",), ("p*", "refund"), ("*a*y",), ("other",)])),
        resources=draw(st.sampled_from([("*",), ("*",), ("invoice",), ("in*ce",), ("record", "*e")])),
        namespace=draw(st.sampled_from(["test", "test", "ward"])),
        **more,
    )


@st.composite
def sets(draw: Any) -> tuple[Rule, ...]:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=6))
    return tuple(draw(rules(name)) for name in names)


VALUES: dict[str, st.SearchStrategy[State]] = {
    "action.amount": st.sampled_from(INTS),
    "account.limit": st.sampled_from(INTS),
    "usage.today": st.sampled_from(INTS),
    "risk.score": st.sampled_from((*DOUBLES, float("nan"), float("inf"))),
    "subject.roles": st.lists(st.sampled_from(NAMES), max_size=3),
    "context.tags": st.lists(st.sampled_from(NAMES), max_size=3),
    "account.frozen": st.booleans(),
    "account.until": st.sampled_from([parse_timestamp(text) for text in TIMES]),
    "account.wait": st.sampled_from([parse_duration(text) for text in SPANS]),
}
MISSING = st.sampled_from([UNKNOWN, ABSENT])
ROWS = st.fixed_dictionaries(
    {
        path: MISSING | VALUES.get(path, st.sampled_from(NAMES)) | VALUES.get(path, st.sampled_from(NAMES))
        for path in DECLARED
    }
)
OWNED = st.sampled_from([("*",), ("pay",), ("re*", "plan"), ()])
PLACE = st.tuples(st.sampled_from(["pay", "plan", "never-declared"]), st.sampled_from(["invoice", "record", "else"]))


@st.composite
def cases(draw: Any) -> tuple[Documents, Facts]:
    """Rules, and one request's facts with approvals, some of them for an older rule."""
    made = draw(sets())
    approvals = tuple(
        Approval("rev", tuple((item.id, draw(st.sampled_from([item.digest, "sha256:older"]))) for item in named))
        for named in draw(st.lists(st.lists(st.sampled_from(made), max_size=2), max_size=2) if made else st.just([]))
    )
    action, resource = draw(PLACE)
    ward = Namespace(name="ward", owns=draw(OWNED))
    row = facts(draw(ROWS), action=action, resource=resource, approvals=approvals)
    return documents(*made, namespaces={"ward": ward}), row


def seen(decision: Decision) -> oracle.Verdict:
    """The decision in the oracle's words."""
    return oracle.Verdict(
        outcome=decision.outcome,
        category=decision.category or "",
        trigger=decision.trigger,
        determining=decision.determining,
        missing=decision.missing,
        faults=decision.faults,
        obligations=frozenset(f"{o.type} {json.dumps(o.properties, sort_keys=True)}" for o in decision.obligations),
        narrows=tuple(
            (n.argument, f"set {json.dumps(n.set)}" if n.set is not None else f"{n.at_least}..{n.at_most}")
            for n in decision.narrows
        ),
        grant_seconds=decision.grant_seconds,
    )


@given(cases())
def test_the_oracle_agrees(case: tuple[Documents, Facts]) -> None:
    """S3.1 to S3.6, S7.1"""
    written, row = case
    assert seen(decide(row, PolicySet.build(written, ZONES))) == oracle.judge(row, written, ZONES)


@given(cases(), st.randoms(use_true_random=False))
def test_order_and_duplicates_never_matter(case: tuple[Documents, Facts], chance: Any) -> None:
    """S3.3"""
    written, row = case
    mixed = [*written.rules, *chance.choices(written.rules, k=3)] if written.rules else []
    chance.shuffle(mixed)
    other = msgspec.structs.replace(written, rules=tuple(mixed))
    assert seen(decide(row, PolicySet.build(other, ZONES))) == seen(decide(row, PolicySet.build(written, ZONES)))


@given(cases(), rules("new"))
def test_adding_a_forbid_never_widens(case: tuple[Documents, Facts], added: Rule) -> None:
    """S3.3"""
    written, row = case
    forbid = rule("new", "forbid", *added.when, unless=added.unless, actions=added.actions, resources=added.resources)
    more = msgspec.structs.replace(written, rules=(*written.rules, forbid))
    before, after = (decide(row, PolicySet.build(docs, ZONES)) for docs in (written, more))
    assert STRICTNESS[after.outcome] >= STRICTNESS[before.outcome]


@given(cases(), ROWS)
def test_learning_a_fact_never_makes_the_answer_stricter(
    case: tuple[Documents, Facts], learned: dict[str, State]
) -> None:
    """S3.3"""
    written, row = case
    values = [
        learned[path] if state is UNKNOWN and (path := _path(slot)) in learned else state
        for slot, state in enumerate(row.values)
    ]
    policy_set = PolicySet.build(written, ZONES)
    before, after = decide(row, policy_set), decide(msgspec.structs.replace(row, values=values), policy_set)
    assert STRICTNESS[after.outcome] <= STRICTNESS[before.outcome]


def _path(slot: int) -> str:
    return next(path for path, place in PLACES.items() if place == slot)


@given(cases())
def test_unknown_alone_never_allows(case: tuple[Documents, Facts]) -> None:
    """S3.2: with nothing known, only a rule that needs to know nothing can permit."""
    written, row = case
    values = [UNKNOWN if _path(slot) in DECLARED else state for slot, state in enumerate(row.values)]
    blind = decide(msgspec.structs.replace(row, values=values), PolicySet.build(written, ZONES))
    known = decide(row, PolicySet.build(written, ZONES))
    assert blind.outcome is not Outcome.ALLOW or known.outcome is Outcome.ALLOW
    assert set(blind.determining) <= {*blind.permits, *blind.satisfied} or blind.outcome is not Outcome.ALLOW


@given(cases())
def test_an_approval_of_another_version_of_a_rule_is_ignored(case: tuple[Documents, Facts]) -> None:
    """S7.1"""
    written, row = case
    older = tuple(
        Approval(item.review_id, tuple((rule_id, "sha256:older") for rule_id, _ in item.rules))
        for item in row.approvals
    )
    policy_set = PolicySet.build(written, ZONES)
    with_older = decide(msgspec.structs.replace(row, approvals=older), policy_set)
    assert seen(with_older) == seen(decide(msgspec.structs.replace(row, approvals=()), policy_set))


@given(cases())
def test_the_explanation_says_of_every_rule_what_the_decision_found(case: tuple[Documents, Facts]) -> None:
    """S3.1"""
    written, row = case
    policy_set = PolicySet.build(written, ZONES)
    decision = decide(row, policy_set)
    told = {item.rule.id: item.truth for item in explain(row, policy_set, decision).rules}
    masks = {
        Truth.TRUE: decision.true_mask,
        Truth.UNKNOWN: decision.unknown_mask,
        Truth.ERROR: decision.failed_mask,
    }
    found = {rule_id: truth for truth, mask in masks.items() for rule_id in decision.bucket.ids(mask)}
    candidates = policy_set.candidates(row.request.action, row.request.resource.type)
    assert told == {item.id: found.get(item.id, Truth.FALSE) for item in candidates}


@pytest.mark.parametrize("cap", [0, 200])
@given(case=cases())
def test_without_tables_the_answer_is_the_same(case: tuple[Documents, Facts], cap: int) -> None:
    """S3.1: where a table would grow too large, its conditions are evaluated instead."""
    written, row = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("demur.core.policy.tables.MAX_TABLE_BYTES", cap)
        capped = seen(decide(row, PolicySet.build(written, ZONES)))
    assert capped == seen(decide(row, PolicySet.build(written, ZONES)))


def test_the_generated_cases_reach_every_outcome_and_category() -> None:
    """Else agreement would say little."""
    reached: set[str] = set()

    @settings(max_examples=400)
    @given(cases())
    def collect(case: tuple[Documents, Facts]) -> None:
        written, row = case
        decision = decide(row, PolicySet.build(written, ZONES))
        reached.add(f"{decision.outcome} {decision.category}")
        if any(isinstance(state, Missing) for state in row.values):
            reached.add("missing")

    collect()
    assert {"allow None", "defer requires_human", "deny scope_exceeded", "deny insufficient_context"} <= reached
