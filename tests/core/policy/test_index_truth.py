"""Every kind of condition, over every kind of value: the index says what evaluating the condition says."""

from __future__ import annotations

import itertools

import pytest

from demur.core import cel
from demur.core.decision import decide
from demur.core.policy.document import Condition
from demur.core.terms import State, parse_duration, parse_timestamp
from tests.core.rulebook import ABSENT, UNKNOWN, ZONES, condition, facts, policy_set, rule

OPS = ("==", "!=", "<", "<=", ">", ">=")
NINE = 'timestamp("2026-11-20T09:00:00Z")'
TEXTS = [
    *(f"action.amount {op} 5" for op in OPS),
    *(f"5 {op} action.amount" for op in OPS),
    *(f"risk.score {op} 0.5" for op in OPS),
    *(f"0.5 {op} risk.score" for op in OPS),
    *(f"account.until {op} {NINE}" for op in OPS),
    *(f'account.wait {op} duration("90s")' for op in OPS),
    *(f'subject.role {op} "clerk"' for op in OPS),
    *(f"account.frozen {op} true" for op in ("==", "!=")),
    "account.frozen",
    "action.amount in [5, 7]",
    "action.amount in [5, 7] || action.amount == 6",
    "action.amount in [5, 7] || action.amount != 7",
    "action.amount > 5 && action.amount < 7",
    "action.amount > 6 || action.amount < 6",
    "risk.score in [0.5, 1.0]",
    "risk.score != 0.5 || risk.score > 2.0",
    f"account.until in [{NINE}]",
    'subject.role in ["clerk", "boss"]',
    'subject.role == "clerk" || subject.role == "boss"',
    'subject.role != "clerk" && subject.role != "boss"',
    "subject.role in []",
    "has(context.ticket)",
    'has(context.ticket) && context.ticket == "a"',
    '!has(context.ticket) || context.ticket == "a"',
    '!(has(context.ticket) && context.ticket == "a")',
    '!(context.ticket == "a")',
    '!(!(context.ticket == "a") && has(context.ticket))',
    'context.ticket == "a" || subject.role == "clerk"',
    'has(context.ticket) || subject.role == "clerk"',
    '"a" in context.tags',
    '"a" in context.tags || "b" in context.tags',
    '"a" in context.tags && "b" in context.tags',
    '"a" in context.tags || "a" in subject.roles',
    '!("a" in context.tags) && !("b" in context.tags)',
    "action.amount <= account.limit",
    "10 / action.amount > 1",
    "10 / action.amount > 1 || account.frozen",
    "has(account.limit) && 10 / account.limit > 1",
    "account.frozen ? action.amount > 5 : risk.score > 0.5",
    "subject.roles.exists(r, r == subject.role)",
    "true",
    "false",
]
VALUES: dict[str, list[State]] = {
    "action.amount": [4, 5, 6, 7, 8, 0],
    "risk.score": [0.25, 0.5, 0.75, 1.0, 3.0, float("nan"), float("inf"), -0.0],
    "account.until": [
        parse_timestamp(f"2026-11-20T{text}Z") for text in ("08:59:59", "09:00:00", "09:00:00.000000001")
    ],
    "account.wait": [parse_duration(text) for text in ("89s", "90s", "91s", "-1s")],
    "subject.role": ["clerk", "boss", "clerks", "", "nurse"],
    "account.frozen": [True, False],
    "context.ticket": ["a", "b"],
    "context.tags": [[], ["a"], ["b"], ["a", "b"], ["c", "c"]],
    "subject.roles": [["clerk"], ["a", "boss"], []],
    "account.limit": [0, 5, 6],
}


def rows() -> list[dict[str, State]]:
    """Every value of every fact beside changing values of the others, then all known, unknown and absent."""
    columns = {path: [*values, UNKNOWN, ABSENT] for path, values in VALUES.items()}
    length = 3 * max(map(len, columns.values()))
    mixed = [
        {path: values[(step * (1 + shift)) % len(values)] for shift, (path, values) in enumerate(columns.items())}
        for step in range(length)
    ]
    single = [{**mixed[0], path: value} for path, values in columns.items() for value in values]
    return [*mixed, *single, dict.fromkeys(VALUES, UNKNOWN), dict.fromkeys(VALUES, ABSENT)]


def told(item: Condition, row: dict[str, State], *, is_unless: bool) -> str:
    result = cel.link(item.node, ZONES)(facts(row).values)
    if isinstance(result, bool):
        return "true" if result is not is_unless else "false"
    return "unknown" if isinstance(result, cel.Unknown) else "failed"


def joined(*truths: str) -> str:
    return next((truth for truth in ("false", "unknown", "failed") if truth in truths), "true")


def found(row: dict[str, State], policies: object) -> dict[str, str]:
    decision = decide(facts(row), policies)  # type: ignore[arg-type]  # a PolicySet
    masks = {"true": decision.true_mask, "unknown": decision.unknown_mask, "failed": decision.failed_mask}
    named = {name: truth for truth, mask in masks.items() for name in decision.bucket.ids(mask)}
    return {item.id: named.get(item.id, "false") for item in decision.bucket.rules}


@pytest.mark.parametrize("cap", [None, 0], ids=["tables", "programs"])
def test_alone_and_as_an_exception(cap: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3.1, one rule per condition in one set, so that rules share tables and programs."""
    if cap is not None:
        monkeypatch.setattr("demur.core.policy.tables.MAX_TABLE_BYTES", cap)
    policies = policy_set(
        *(rule(f"+ {text}", "permit", text) for text in TEXTS),
        *(rule(f"- {text}", "permit", unless=[text]) for text in TEXTS),
    )
    for row in rows():
        expected = {f"+ {text}": told(condition(text), row, is_unless=False) for text in TEXTS}
        expected |= {f"- {text}": told(condition(text), row, is_unless=True) for text in TEXTS}
        assert found(row, policies) == expected


def test_two_conditions_of_one_rule() -> None:
    """S3.1: two requirements, and a requirement with an exception, in every pairing."""
    pairs = list(itertools.combinations(TEXTS, 2))[::3]
    policies = policy_set(
        *(rule(f"{a} & {b}", "permit", a, b) for a, b in pairs),
        *(rule(f"{a} - {b}", "permit", unless=[a, b]) for a, b in pairs),
    )
    for row in rows()[::5]:
        plain = {text: told(condition(text), row, is_unless=False) for text in TEXTS}
        turned = {text: told(condition(text), row, is_unless=True) for text in TEXTS}
        expected = {f"{a} & {b}": joined(plain[a], plain[b]) for a, b in pairs}
        expected |= {f"{a} - {b}": joined(turned[a], turned[b]) for a, b in pairs}
        assert found(row, policies) == expected
