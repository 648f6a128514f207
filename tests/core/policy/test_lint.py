"""Findings about policies that load: each is shown, and what may be right is left alone."""

from __future__ import annotations

import pytest

from demur.core.policy.lint import lint
from demur.core.policy.load import load
from tests.core.policy.written import SHOP, ZONES, loaded, source

ALL_USED = """
demur: 1
namespace: shop
zone: UTC
facts:
  subject.role: string
  subject.level: {type: int, optional: true}
  resource.price: double
  resource.since: timestamp
actions:
  refund: {arguments: {amount: int, urgent: bool}}
rules:
  - id: everything
    effect: permit
    actions: [refund]
    when:
      - {name: a, expr: subject.role != "" && resource.price > 0.0, explain: x}
      - {name: b, expr: 'has(subject.level) && resource.since < time.now', explain: x}
"""


def codes(text: str) -> list[str]:
    return [problem.code for problem in lint(loaded(text))]


def messages(text: str) -> list[str]:
    return [problem.message for problem in lint(loaded(text))]


def with_condition(*exprs: str, key: str = "when") -> str:
    conditions = ", ".join(f"{{name: n{i}, expr: {expr!r}, explain: x}}" for i, expr in enumerate(exprs))
    return ALL_USED + f"  - {{id: r, effect: permit, actions: [refund], {key}: [{conditions}]}}\n"


def test_a_sound_set_has_no_findings() -> None:
    assert codes(ALL_USED) == []


@pytest.mark.parametrize(
    "exprs",
    [
        ('subject.role == "a"', 'subject.role == "b"'),
        ('subject.role == "a" && subject.role != "a"',),
        ('subject.role in ["a", "b"] && subject.role in ["c"]', 'subject.role == "d"'),
        ('!(subject.role in ["a", "b"])', 'subject.role == "b"'),
        ("action.amount > 5 && action.amount < 3",),
        ("action.amount > 5", "action.amount <= 5"),
        ("action.amount > 3 && action.amount < 4",),
        ("action.amount == 7 && action.amount < 7",),
        ("5 < action.amount && 3 > action.amount",),
        ("resource.price > 1.0 && resource.price < 1.0",),
        ("action.urgent", "!action.urgent"),
        ("has(subject.level)", "!has(subject.level)"),
        ('resource.since > timestamp("2026-01-02T00:00:00Z")', 'resource.since < timestamp("2026-01-01T00:00:00Z")'),
        ("false",),
        ("!true",),
    ],
)
def test_conditions_that_contradict_each_other_are_found(exprs: tuple[str, ...]) -> None:
    assert codes(with_condition(*exprs)) == ["impossible"]


def test_a_condition_that_stands_under_when_and_unless_is_a_contradiction() -> None:
    text = ALL_USED + (
        "  - {id: r, effect: permit, actions: [refund], when: [{name: a, expr: action.urgent, explain: x}],"
        " unless: [{name: b, expr: action.urgent, explain: x}]}\n"
    )
    assert codes(text) == ["impossible"]


@pytest.mark.parametrize(
    "exprs",
    [
        ('subject.role == "a" || subject.role == "b"',),
        ("action.amount > 3 && action.amount < 5",),
        ("action.amount >= 5 && action.amount <= 5",),
        ("resource.price > 3.0 && resource.price < 4.0",),
        ('subject.role != "a" && subject.role != "b"',),
        ("action.amount > 5 || action.amount < 3",),
        ('subject.role in ["a", "b"] && subject.role == "b"',),
        ("action.urgent != true && action.amount > 1",),
        ("!(action.amount > 5 && action.amount < 10)",),
        ("!(action.amount > 5 && action.amount < 3)",),
    ],
)
def test_conditions_that_can_hold_together_are_left_alone(exprs: tuple[str, ...]) -> None:
    assert codes(with_condition(*exprs)) == []


def test_a_permit_that_holds_only_where_a_forbid_holds_is_found() -> None:
    text = with_condition('subject.role == "a"', "action.amount > 1")
    text += (
        """  - {id: f, effect: forbid, actions: ["*"], when: [{name: z, expr: 'subject.role == "a"', explain: x}]}\n"""
    )
    assert messages(text) == ["`shop/r` never takes effect: whenever it holds, `shop/f` forbids"]


def test_a_forbid_without_conditions_shadows_everything_that_it_covers() -> None:
    text = ALL_USED + '  - {id: f, effect: forbid, actions: ["ref*"]}\n'
    assert codes(text) == ["shadowed"]


@pytest.mark.parametrize(
    "forbid",
    [
        "actions: [refund], resources: [invoice]",
        "actions: [refund], unless: [{name: z, expr: action.urgent, explain: x}]",
        "actions: [refund], when: [{name: z, expr: action.urgent, explain: x}]",
    ],
)
def test_a_forbid_that_does_not_always_hold_shadows_nothing(forbid: str) -> None:
    assert codes(ALL_USED + f"  - {{id: f, effect: forbid, {forbid}}}\n") == []


def test_rules_and_conditions_that_say_the_same_are_found() -> None:
    twice = with_condition("action.urgent", "action.urgent")
    assert codes(twice) == ["duplicate"]
    copy = "  - {id: %s, effect: forbid, actions: [refund], when: [{name: n, expr: action.urgent, explain: x}]}\n"
    assert messages(ALL_USED + copy % "a" + copy % "b") == [
        "`shop/b` has the effect, coverage and conditions of `shop/a`"
    ]


def test_a_pattern_that_fits_no_action_is_found() -> None:
    assert codes(ALL_USED + '  - {id: r, effect: forbid, actions: ["send_*"]}\n') == ["covers-nothing"]


def test_an_action_that_nothing_permits_is_found_where_it_is_declared() -> None:
    text = ALL_USED.replace("actions:\n", "actions:\n  ship: {}\n", 1)
    document = source(text)
    found = lint(load([document], ZONES.is_zone), [document])
    assert [str(problem) for problem in found] == [
        "policies.yaml:11:3: no permit and no review covers `ship`: it is always denied"
    ]


def test_a_shipped_condition_that_permits_what_it_should_prevent_is_found() -> None:
    use = "{use: insufficient-role, with: {required: clerk}}"
    rule = "  - {id: r, effect: %s, actions: [refund], %s: [" + use + "]}\n"
    assert codes(ALL_USED + rule % ("permit", "when")) == ["inverted"]
    assert codes(ALL_USED + rule % ("permit", "unless")) == []
    assert codes(ALL_USED + rule % ("forbid", "when")) == []


def test_a_forbid_that_reaches_into_another_namespace_is_found() -> None:
    """S3.6."""
    documents = [
        source("{demur: 1, namespace: a, owns: [x], rules: [{id: r, effect: forbid, actions: [x, y]}]}", "1.yaml"),
        source("{demur: 1, namespace: b, owns: [y]}", "2.yaml"),
    ]
    found = lint(load(documents, ZONES.is_zone))
    assert [problem.message for problem in found] == ["`a/r` forbids what `a` does not own: `y`"]


def test_missing_words_are_found() -> None:
    """S10."""
    rule = (
        "  - {id: r, effect: permit, actions: [refund], messages: {agent: {de: nein}},"
        " when: [{name: bare, expr: action.urgent}]}\n"
    )
    assert messages(ALL_USED + rule) == [
        "`shop/r` has conditions without `explain`: `bare`",
        "`shop/r` has no message in the fallback locale `en` for `agent`",
    ]


def test_what_nobody_reads_is_found_with_its_place() -> None:
    document = source(SHOP + "rules: [{id: r, effect: permit, actions: ['*']}]\nsources: {s: {kind: python}}\n")
    found = lint(load([document], ZONES.is_zone), [document])
    assert [(problem.line, problem.column, problem.message) for problem in found] == [
        (6, 3, "no rule reads the fact `subject.role`"),
        (7, 3, "no rule reads the fact `subject.roles`"),
        (8, 3, "no rule reads the fact `subject.level`"),
        (9, 3, "no rule reads the fact `subject.actions`"),
        (11, 3, "no rule reads the counter `usage.refunds_today`"),
        (12, 3, "no rule reads the counter `usage.refunded_today`"),
        (17, 11, "no fact comes from the source `s`"),
    ]


def test_what_a_key_a_counter_or_a_detector_reads_is_used() -> None:
    text = """
        demur: 1
        namespace: shop
        sources:
          s: {kind: static, table: {a: {frozen: true}}, key: subject.team}
          p: {kind: python, key: [subject.unit]}
          c: {kind: content}
        facts:
          subject.team: string
          subject.unit: string
          subject.group: string
          subject.note: string
          context.ticket: {type: string, bound: true}
          found.frozen: {type: bool, source: s}
          found.code: {type: bool, source: c, detect: {what: code, in: subject.note}}
          found.other: {type: bool, source: p}
        usage: {n: {actions: [x], by: [subject.group]}}
        rules:
          - id: r
            effect: permit
            actions: [x]
            when: [{name: a, expr: found.frozen && found.code && found.other && usage.n < 5, explain: x}]
        """
    assert codes(text) == []


def test_every_finding_is_a_warning() -> None:
    found = lint(loaded(SHOP))
    assert found
    assert {problem.severity for problem in found} == {"warning"}
