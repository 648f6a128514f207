"""What a set means once it is read: the row of facts, guards, namespaces, metadata (S2, S3.6, S4.1)."""

from __future__ import annotations

import pytest

from demur.core.policy.document import AnyOf, Condition, Narrowing, Panel
from demur.core.schema import BUILT_IN, Await, Change, Kind, Obtain, Type, Visibility, Window
from demur.core.terms import Audience, Category, Disposition, Effect, Timestamp
from tests.core.policy.written import SHOP, loaded, problems, shop_problems, shop_rule

INT, DOUBLE, STRING = Type(Kind.INT), Type(Kind.DOUBLE), Type(Kind.STRING)


def test_built_in_facts_have_the_first_slots_in_their_order() -> None:
    slots = loaded(SHOP).schema.slots
    assert [slot.path for slot in slots[: len(BUILT_IN)]] == list(BUILT_IN)
    assert [(slot.type.kind.value, slot.optional) for slot in slots[: len(BUILT_IN)]] == list(BUILT_IN.values())


def test_slots_after_them_are_facts_then_counters_then_arguments() -> None:
    slots = loaded(SHOP).schema.slots[len(BUILT_IN) :]
    assert [(slot.path, slot.source) for slot in slots] == [
        ("subject.actions", "request"),
        ("subject.level", "request"),
        ("subject.role", "request"),
        ("subject.roles", "request"),
        ("usage.refunded_today", "usage"),
        ("usage.refunds_today", "usage"),
        ("action.amount", "request"),
        ("action.country", "request"),
        ("action.express", "request"),
        ("action.note", "request"),
    ]


def test_two_actions_may_declare_one_argument_with_different_types() -> None:
    slots = loaded("""
        demur: 1
        namespace: shop
        actions:
          refund: {arguments: {amount: int}}
          weigh: {arguments: {amount: double}}
          cancel: {arguments: {amount: {type: int, optional: true}}}
        """).schema.slots
    arguments = [(slot.path, slot.type, slot.optional) for slot in slots[len(BUILT_IN) :]]
    assert arguments == [("action.amount", DOUBLE, False), ("action.amount", INT, True)]


def test_a_fact_keeps_everything_that_is_declared_of_it() -> None:
    schema = loaded("""
        demur: 1
        namespace: shop
        sources: {wards: {kind: static, file: data/wards.yaml, key: resource.id, timeout: 200ms, ttl: 5s}}
        facts:
          resource.consent: {type: bool, source: wards, optional: true, obtain: {how: ask, by: clinician}}
          resource.review: {type: bool, source: wards, await: {event: done}, recheck_at_redeem: true}
          resource.since: {type: timestamp, one_of: ["2026-01-01T00:00:00Z"], visible: {end_user: direction}}
          context.ticket: {type: string, bound: true, change: {cost: 2}, personal: true, secret: true, unit: kg}
        """).schema
    facts = schema.facts
    assert facts["resource.consent"].obtain == Obtain("ask", "clinician")
    assert facts["resource.consent"].optional
    assert facts["resource.review"].awaits == Await("done")
    assert facts["resource.review"].recheck_at_redeem
    assert facts["resource.since"].one_of == (Timestamp(1_767_225_600_000_000_000),)
    assert facts["resource.since"].visible == {Audience.END_USER: Visibility.DIRECTION}
    ticket = facts["context.ticket"]
    assert (ticket.bound, ticket.personal, ticket.secret, ticket.unit) == (True, True, True, "kg")
    assert ticket.change == Change(2.0)
    wards = schema.sources["wards"]
    assert (wards.kind, wards.timeout_ms, wards.ttl_ms) == ("static", 200, 5_000)
    assert wards.settings == {"file": "data/wards.yaml", "key": "resource.id"}


def test_types_nest() -> None:
    facts = loaded("""
        demur: 1
        namespace: shop
        facts:
          subject.a: list<map<string, list<int>>>
          subject.b: {object: {name: string, age: {type: int, optional: true}, type: string}}
          subject.c: {list: {object: {x: double}}}
        """).schema.facts
    assert str(facts["subject.a"].type) == "list<map<string, list<int>>>"
    assert str(facts["subject.b"].type) == "object{name: string, age?: int, type: string}"
    assert str(facts["subject.c"].type) == "list<object{x: double}>"


def test_a_counter_keeps_its_window_and_its_key() -> None:
    counters = loaded(
        SHOP,
        """
        demur: 1
        namespace: shop
        usage:
          calls: {actions: ["*"], by: [caller.id, subject.role], window: {last: 1h}}
          ever: {actions: [refund], by: [subject.id]}
          year: {actions: [refund], by: [action.amount], window: {calendar: year, zone: Asia/Tokyo}}
        """,
    ).schema.counters
    assert counters["usage.calls"].window == Window(seconds=3_600)
    assert counters["usage.calls"].key == ("caller.id", "subject.role")
    assert counters["usage.ever"].window == Window()
    assert counters["usage.year"].window == Window(calendar="year", zone="Asia/Tokyo")
    assert counters["usage.refunds_today"].window == Window(calendar="day", zone="Europe/Berlin")
    assert counters["usage.refunded_today"].adds == "amount"


def test_a_rule_keeps_everything_that_is_written_in_it() -> None:
    rule = shop_rule("""
        effect: review
        actions: [refund, "sh*"]
        resources: [invoice, "order.*"]
        description: large ones
        disposition: await_review
        when:
          - {name: a, expr: subject.role == "clerk", explain: a clerk}
          - any:
              - {name: b, expr: time.now > timestamp("2026-01-01T00:00:00Z"), explain: late}
              - {name: c, expr: "true", explain: always}
        unless:
          - {name: d, expr: "subject.role == 'boss'", explain: a boss}
        messages: {end_user: {en: Wait, de: Warte}}
        obligations: [{id: tell, type: notify, properties: {to: ops, level: 3}}]
        grant_seconds: 90
        alternatives: [{action: ship, arguments: {country: DE}, explain: send it}]
        review: {role: head-clerk, quorum: 2, within: 4h, risk: high}
        owner: team
        tags: [x]
        controls: {soc2: [CC6.1]}
        """)
    assert (rule.id, rule.namespace, rule.effect) == ("shop/r", "shop", Effect.REVIEW)
    assert (rule.actions, rule.resources) == (("refund", "sh*"), ("invoice", "order.*"))
    assert rule.panel == Panel(role="head-clerk", quorum=2, seconds=14_400, risk="high")
    assert rule.disposition is Disposition.AWAIT_REVIEW
    first, group = rule.when
    assert isinstance(first, Condition)
    assert (first.name, first.expr, first.explanation) == ("a", 'subject.role == "clerk"', "a clerk")
    assert isinstance(group, AnyOf)
    assert [condition.name for condition in group.conditions] == ["b", "c"]
    assert rule.messages == {Audience.END_USER: {"en": "Wait", "de": "Warte"}}
    assert rule.obligations[0].properties == {"to": "ops", "level": 3}
    assert rule.alternatives[0].arguments == {"country": "DE"}
    assert (rule.grant_seconds, rule.owner, rule.tags, rule.controls) == (90, "team", ("x",), {"soc2": ("CC6.1",)})


def test_a_forbid_is_a_policy_violation_unless_it_says_otherwise() -> None:
    assert shop_rule("effect: forbid\nactions: [refund]").category is Category.POLICY_VIOLATION
    assert shop_rule("effect: forbid\nactions: [refund]\ncategory: temporal").category is Category.TEMPORAL
    assert shop_rule("effect: permit\nactions: [refund]").category is None


def test_narrowing_takes_the_type_of_the_argument() -> None:
    rule = shop_rule("""
        effect: permit
        actions: [refund]
        narrow: {amount: {at_most: 100, at_least: 1}, note: {set: checked}}
        """)
    assert rule.narrows == (
        Narrowing(argument="amount", at_most=100, at_least=1),
        Narrowing(argument="note", set="checked"),
    )


def test_metadata_of_the_document_is_inherited_and_added_to() -> None:
    rule = loaded("""
        demur: 1
        namespace: shop
        owner: risk
        tags: [pilot]
        controls: {soc2: [CC1.1]}
        rules:
          - {id: r, effect: permit, actions: [x], tags: [new, pilot], controls: {soc2: [CC6.1], hipaa: ["164"]}}
        """).rules[0]
    assert rule.owner == "risk"
    assert rule.tags == ("pilot", "new")
    assert rule.controls == {"soc2": ("CC1.1", "CC6.1"), "hipaa": ("164",)}


# ---------------------------------------------------------------- guards (S2.1)


HAS = "{name: h, expr: has(subject.level)}"
READ = "{name: r, expr: subject.level > 3}"
OTHER = "{name: o, expr: subject.role == 'x'}"
HAS_TOO = "{name: t, expr: has(subject.level) && subject.role == 'x'}"


@pytest.mark.parametrize(
    "clauses",
    [
        "when: [{name: a, expr: has(subject.level) && subject.level > 3}]",
        f"when: [{READ}, {HAS}]",
        f"when: [{HAS}]\nunless: [{READ}]",
        f"when: [{HAS}, {{any: [{READ}, {OTHER}]}}]",
        f"when: [{{any: [{HAS}, {HAS_TOO}]}}, {READ}]",
    ],
)
def test_a_guard_may_stand_in_the_condition_or_beside_it_under_when(clauses: str) -> None:
    """S2.1."""
    assert shop_problems("effect: permit\nactions: [refund]\n" + clauses) == []


@pytest.mark.parametrize(
    "clauses",
    [
        f"when: [{READ}]",
        f"unless: [{READ}]",
        f"when: [{READ}]\nunless: [{HAS}]",
        f"when: [{{any: [{HAS}, {OTHER}]}}, {READ}]",
        f"when: [{{any: [{HAS}, {READ}]}}]",
    ],
)
def test_an_optional_fact_without_a_guard_is_refused(clauses: str) -> None:
    """S2.1."""
    found = shop_problems("effect: permit\nactions: [refund]\n" + clauses)
    assert found == ["expected a guard for `subject.level`, found none: it may be absent"]


def test_an_argument_that_one_covered_action_lacks_needs_a_guard() -> None:
    """S2.1."""
    rule = "effect: permit\nactions: [refund, ship]\nwhen: [{name: a, expr: %s}]"
    assert shop_problems(rule % "has(action.amount) && action.amount > 3") == []
    assert shop_problems(rule % "action.amount > 3") == [
        "expected a guard for `action.amount`, found none: `ship` does not have it"
    ]


def test_one_text_means_something_else_over_other_actions() -> None:
    rule = "  - {id: r%d, effect: permit, actions: [%s], when: [{name: n, expr: action.amount > 3}]}\n"
    found = problems(SHOP + "rules:\n" + rule % (1, "refund") + rule % (2, "ship"))
    assert [line.split(": ", 1)[1] for line in found] == [
        "expected an argument of an action that the rule covers, found `action.amount`"
    ]


# ---------------------------------------------------------------- namespaces (S3.6)

ROOTS = "demur: 1\nnamespace: {0}\nowns: [{1}]\nrules: [{{id: r, effect: {2}, actions: [{3}]}}]\n"


def test_the_only_namespace_owns_everything() -> None:
    """S3.6."""
    assert loaded("{demur: 1, namespace: shop}").namespaces["shop"].owns == ("*",)


def test_several_roots_must_say_what_they_own() -> None:
    """S3.6."""
    assert problems("{demur: 1, namespace: shop}", "{demur: 1, namespace: bank, owns: [b.*]}") == [
        "1.yaml:1:23: expected `owns` for the namespace `shop`, found none"
    ]


def test_an_inner_namespace_owns_what_the_outer_one_does_unless_it_says_less() -> None:
    """S3.6."""
    outer = "{demur: 1, namespace: shop, owns: ['s.*']}"
    assert loaded(outer, "{demur: 1, namespace: shop/a}").namespaces["shop/a"].owns == ("s.*",)
    assert loaded(outer, "{demur: 1, namespace: shop/a, owns: [s.a*]}").namespaces["shop/a"].owns == ("s.a*",)
    assert problems(outer, "{demur: 1, namespace: shop/a, owns: [t.a]}") == [
        "2.yaml:1:37: expected patterns within what `shop` owns, found `t.a`"
    ]


def test_namespaces_side_by_side_own_nothing_in_common() -> None:
    """S3.6."""
    assert problems("{demur: 1, namespace: a, owns: ['x*']}", "{demur: 1, namespace: b, owns: ['*y']}") == [
        "2.yaml:1:32: expected nothing that another namespace owns, found `*y`: `a` owns `x*`"
    ]
    assert problems("{demur: 1, namespace: a, owns: ['x*']}", "{demur: 1, namespace: b, owns: ['y*']}") == []


@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_only_a_forbid_may_reach_beyond_what_its_namespace_owns(effect: str) -> None:
    """S3.6."""
    found = problems(ROOTS.format("a", "a.x", effect, "a.y"), ROOTS.format("b", "b.x", "permit", "b.x"))
    assert bool(found) == (effect == "permit")


def test_one_namespace_may_span_documents_but_says_what_it_owns_once() -> None:
    """S3.6."""
    assert problems("{demur: 1, namespace: a, owns: [x]}", "{demur: 1, namespace: a, owns: [y]}") == [
        "2.yaml:1:32: expected the same `owns` for `a` as in 1.yaml, found other patterns"
    ]
    assert problems("{demur: 1, namespace: a, owns: [x]}", "{demur: 1, namespace: a}") == []


# ---------------------------------------------------------------- several documents


def test_a_document_may_use_what_another_one_declares() -> None:
    rules = """
        demur: 1
        namespace: shop
        rules: [{id: r, effect: permit, actions: [refund], when: [{name: a, expr: action.amount > 0}]}]
        """
    assert problems(rules, SHOP) == []


@pytest.mark.parametrize(
    ("key", "one", "other", "column"), [("zone", "UTC", "Asia/Tokyo", 32), ("locale", "en", "de", 34)]
)
def test_documents_agree_on_zone_and_locale(key: str, one: str, other: str, column: int) -> None:
    """S2.4."""
    found = problems(f"{{demur: 1, namespace: a, {key}: {one}}}", f"{{demur: 1, namespace: a, {key}: {other}}}")
    assert found == [f"2.yaml:1:{column}: expected one `{key}` for the set, found `{one}` in 1.yaml and `{other}` here"]


def test_every_problem_of_every_document_is_reported_in_document_order() -> None:
    first = "demur: 1\nnamespace: a\nfacts: {subject.x: strng, account.y: bool}\nrulez: []\n"
    second = (
        "demur: 1\nnamespace: a\ntags: 5\nrules: [{id: r, effect: permit, actions: [x], when: [{name: n, expr: y}]}]\n"
    )
    found = [line.split(" ")[0] for line in problems(first, second)]
    assert found == ["1.yaml:3:20:", "1.yaml:3:27:", "1.yaml:4:1:", "2.yaml:3:7:", "2.yaml:4:70:"]


def test_a_file_that_is_no_yaml_is_reported_before_anything_that_might_refer_to_it() -> None:
    found = problems(
        "demur: 1\nnamespace: a\nx: [\n", "demur: 1\nnamespace: a\nfacts: {account.y: {type: bool, source: s}}"
    )
    assert len(found) == 1
    assert found[0].startswith("1.yaml:4:1: expected YAML")


def test_a_declaration_stands_once_in_the_set() -> None:
    assert problems(SHOP, "{demur: 1, namespace: shop, facts: {subject.role: string}, actions: {ship: {}}}") == [
        "2.yaml:1:37: expected the fact `subject.role` to be declared once, found it again",
        "2.yaml:1:70: expected the action `ship` to be declared once, found it again",
    ]


def test_no_documents_are_an_empty_set_in_which_nothing_is_permitted() -> None:
    assert loaded().rules == ()
