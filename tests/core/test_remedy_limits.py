"""What is offered beside what, how much of it, and who may know: repairs, other actions and their limits.

Clauses: S2.3, S3.3, S9.1, S9.2, S9.4.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from demur.core.decision import Decision, decide
from demur.core.policy.index import PolicySet
from demur.core.remedy import Changes, NoRemedy, Remedies, find, rejudge, showing
from demur.core.remedy.chart import Kind
from demur.core.remedy.offers import Direction, OtherAction, Part, Repair, order
from demur.core.resolution import Approval, Facts, Learned
from demur.core.schema import Visibility
from demur.core.terms import Audience, Missing, Outcome, State
from tests.core.given_policies import NOW, policies
from tests.core.test_remedy import facts

CORE = "core: {kind: static, table: {}}"
BY_SCOPE = "table: {kind: static, table: {}, key: action.scope}"


def shop(*rules: str, arguments: str = "", declared: str = "", actions: str = "") -> PolicySet:
    written = "\n".join(f"  - {{actions: [pay], {rule}}}" for rule in rules)
    sources = f"sources: {{{CORE}{', ' + BY_SCOPE if 'scope' in arguments else ''}}}"
    return policies(
        f"demur: 1\nnamespace: t\n{sources}\nfacts:\n  core.none: {{type: int, source: core}}\n{declared}\n"
        f"actions:\n  pay: {{arguments: {{{arguments}}}}}\n{actions}\nrules:\n{written}\n"
    )


def when(*expressions: str, word: str = "when") -> str:
    return f"{word}: [" + ", ".join(f"{{name: c{at}, expr: {text!r}}}" for at, text in enumerate(expressions)) + "]"


def permit(*expressions: str, name: str = "p") -> str:
    return f"id: {name}, effect: permit, {when(*expressions)}"


def forbid(*expressions: str, name: str = "f", word: str = "when") -> str:
    return f"id: {name}, effect: forbid, {when(*expressions, word=word)}"


PERMIT = "id: p, effect: permit"
REVIEW = "review: {role: boss}"


def given(policy_set: PolicySet, learned: dict[str, State] | None = None, **arguments: Any) -> Facts:
    return facts(policy_set, learned or {}, action={"name": "pay", "properties": arguments})


def remedied(policy_set: PolicySet, asked: Facts, table: dict[str, int] | None = None) -> Remedies:
    def learn(request: Any, _: frozenset[str]) -> dict[str, Learned]:
        return {"table.limit": Learned((table or {})[request.arguments["scope"]], NOW)} if table else {}

    return find(decide(asked, policy_set), lambda changes: rejudge(asked, policy_set, changes, learn), now=NOW)


def told(remedies: Remedies) -> list[tuple[dict[str, object], str]]:
    return [({part.path: part.value for part in item.parts}, item.leads_to.value) for item in remedies.repairs]


def ints(names: str) -> str:
    return ", ".join(f"{name}: {{type: int, change: true}}" for name in names)


def test_after_a_set_that_contains_a_repair_others_still_get_their_turn() -> None:
    """S9.1"""
    policy_set = shop(permit("action.a == 1 || (action.b == 1 && action.c == 1)"), arguments=ints("abc"))
    assert told(remedied(policy_set, given(policy_set, a=0, b=0, c=0))) == [
        ({"action.a": 1}, "allow"),
        ({"action.b": 1, "action.c": 1}, "allow"),
    ]


def test_a_fact_that_no_rule_in_the_way_reads_is_passed_over_and_the_next_is_tried() -> None:
    policy_set = shop(permit("action.a < 5"), forbid("action.b > 3", name="f"), arguments=ints("ab"))
    assert told(remedied(policy_set, given(policy_set, a=1, b=9))) == [({"action.b": 3}, "allow")]


def test_beside_what_leads_to_an_allow_two_repairs_to_a_review_are_offered() -> None:
    reviews = [f"id: r{name}, effect: review, {REVIEW}, {when(f'action.{name} == 1')}" for name in "bcd"]
    policy_set = shop(permit("action.a == 1"), *reviews, arguments=ints("abcd"))
    found = remedied(policy_set, given(policy_set, a=0, b=0, c=0, d=0))
    assert told(found) == [({"action.a": 1}, "allow"), ({"action.b": 1}, "defer"), ({"action.c": 1}, "defer")]
    assert found.review_available is True


def test_no_more_than_four_repairs_lead_to_an_allow() -> None:
    """S9.1"""
    either = " || ".join(f"action.{name} == 1" for name in "abcdef")
    policy_set = shop(permit(either), arguments=ints("abcdef"))
    found = remedied(policy_set, given(policy_set, None, **dict.fromkeys("abcdef", 0)))
    assert told(found) == [({f"action.{name}": 1}, "allow") for name in "abcd"]


def test_where_only_a_review_grants_a_change_may_lead_to_it() -> None:
    policy_set = shop(f"id: r, effect: review, {REVIEW}, {when('action.a < 5')}", arguments=ints("a"))
    assert told(remedied(policy_set, given(policy_set, a=9))) == [({"action.a": 4}, "defer")]


def test_after_a_deferral_a_change_that_leads_to_an_allow_is_offered() -> None:
    policy_set = shop(PERMIT, f"id: r, effect: review, {REVIEW}, {when('action.a > 5')}", arguments=ints("a"))
    found = remedied(policy_set, given(policy_set, a=9))
    assert (told(found), found.review_available) == ([({"action.a": 5}, "allow")], True)


def test_of_two_reviews_the_one_that_nobody_approved_must_fall() -> None:
    """S7.1: what is obtained leaves the request as it was, so the approval of the other one still counts."""
    policy_set = shop(
        f"id: r, effect: review, {REVIEW}, {when('action.a > 5')}",
        f"id: s, effect: review, {REVIEW}, {when('!core.checked')}",
        arguments=ints("a"),
        declared="  core.checked: {type: bool, source: core, obtain: {how: have it checked, by: desk}}",
    )
    approved = Approval("rev-1", (("t/r", policy_set.rule("t/r").digest),))
    asked = msgspec.structs.replace(given(policy_set, {"core.checked": False}, a=9), approvals=(approved,))
    assert decide(asked, policy_set).outcome is Outcome.DEFER
    assert told(remedied(policy_set, asked)) == [({"core.checked": True}, "allow")]


def test_an_exception_makes_a_forbid_fall() -> None:
    policy_set = shop(PERMIT, forbid("action.a > 10", word="unless", name="f"), arguments=ints("a"))
    assert told(remedied(policy_set, given(policy_set, a=5))) == [({"action.a": 11}, "allow")]


def test_a_forbid_may_fall_by_what_is_looked_up() -> None:
    """S2.2: the scope itself forbids nothing; the limit that is looked up by it does."""
    policy_set = shop(
        PERMIT,
        forbid('action.scope != "none"', "table.limit < 10", name="f"),
        arguments="scope: {type: string, one_of: [all, one], change: true}",
        declared="  table.limit: {type: int, source: table}",
    )  # fmt: skip
    found = remedied(policy_set, given(policy_set, {"table.limit": 5}, scope="all"), {"all": 5, "one": 20})
    assert told(found) == [({"action.scope": "one"}, "allow")]


def test_two_facts_meet_every_rule_that_reads_one_of_them() -> None:
    forbids = [
        f"id: {name}, effect: forbid, {when(text)}"
        for name, text in (("a", "action.n > 3"), ("b", "action.n > 5"), ("c", "action.m > 1"))
    ]
    policy_set = shop(PERMIT, *forbids, arguments=ints("mn"))
    assert told(remedied(policy_set, given(policy_set, m=9, n=9))) == [({"action.m": 1, "action.n": 3}, "allow")]


def test_a_name_that_another_rule_has_for_a_text_is_tried() -> None:
    policy_set = shop(
        PERMIT,
        forbid('action.s.startsWith("long")', name="f"),
        permit('action.s == "short"', "core.none > 0", name="q"),
        permit('action.s == "long again"', "core.none > 0", name="r"),
        arguments="s: {type: string, change: true}",
    )  # fmt: skip
    assert told(remedied(policy_set, given(policy_set, {"core.none": 0}, s="long text"))) == [
        ({"action.s": "short"}, "allow")
    ]


def test_what_was_found_for_one_list_is_not_offered_for_another() -> None:
    policy_set = shop(permit("size(action.l) < 3"), arguments="l: {type: list<string>, change: true}")
    for items in (list("abcd"), list("xyz")):
        assert told(remedied(policy_set, given(policy_set, l=items))) == [({"action.l": items[:2]}, "allow")]


def test_where_no_permit_is_left_one_look_is_enough() -> None:
    """S3.3"""
    policy_set = shop(permit("core.none > 0", "action.a < 5"), arguments=ints("a"))
    found = remedied(policy_set, given(policy_set, {"core.none": 0}, a=9))
    assert (found.repairs, found.probes, found.judgements) == ((), 1, 0)


def test_with_300_rules_60_looks_are_all() -> None:
    """S9.1, and the limits of docs/spec/remedies.md."""
    rules = [f"id: p{at}, effect: permit, {when(f'action.a <= {-at}', 'core.none > 0')}" for at in range(299)]
    policy_set = shop(*rules, permit("size(action.s) == action.a", name="q"), arguments=ints("a") + ", s: {type: string, change: true}")  # fmt: skip
    asked = given(policy_set, {"core.none": 1}, a=1, s="")
    refusal = decide(asked, policy_set)
    found = find(refusal, lambda _: refusal, now=NOW)
    assert (found.reason, found.probes) == (NoRemedy.LIMIT_REACHED, 60)


def test_judgements_of_other_actions_count_too() -> None:
    """S9.1: 8 other actions and 192 values are 200."""
    others = "\n".join(f"  o{at}: {{}}" for at in range(10))
    offered = ", ".join(f"{{action: o{at}}}" for at in range(10))
    many = ", ".join(map(str, range(300)))
    policy_set = shop(
        f"{PERMIT}, alternatives: [{offered}], {when('action.a >= 0')}",
        arguments=f"a: {{type: int, change: true, one_of: [-1, {many}]}}",
        actions=others,
    )
    asked = given(policy_set, a=-1)
    refusal = decide(asked, policy_set)
    judged: list[Changes] = []

    def judge(changes: Changes) -> Decision:
        judged.append(changes)
        return refusal

    found = find(refusal, judge, now=NOW)
    assert (found.reason, found.judgements, len(judged)) == (NoRemedy.LIMIT_REACHED, 200, 200)
    assert [item.action for item in judged if item.action] == [f"o{at}" for at in range(8)]


OTHERS = """
  ask: {arguments: {a: int, c: {type: string, one_of: [x, y], optional: true}, d: {type: string, optional: true}}}
  tell: {}
  beg: {}
"""


def others(*rules: str, learned: dict[str, State] | None = None, **arguments: Any) -> Remedies:
    policy_set = policies(
        f"demur: 1\nnamespace: t\nsources: {{{CORE}}}\nfacts:\n  core.none: {{type: int, source: core}}\n"
        "  core.held: {type: bool, source: core, confidential: true}\n"
        f"actions:\n  pay: {{arguments: {{_a: int, a: int, c: string, d: int}}}}{OTHERS}\nrules:\n"
        "  - {id: ask, effect: permit, actions: [ask, tell, beg]}\n"
        f"  - {{id: beg, effect: review, actions: [beg], {REVIEW}}}\n" + "\n".join(f"  - {{{rule}}}" for rule in rules)
    )
    asked = given(policy_set, learned or {"core.none": 0}, **{"_a": 0, "a": 1, "c": "x", "d": 2, **arguments})
    return remedied(policy_set, asked)


def named(remedies: Remedies) -> list[tuple[str, str]]:
    return [(item.action, item.leads_to.value) for item in remedies.alternatives]


def test_other_actions_are_offered_once_what_is_allowed_first() -> None:
    """S9.2"""
    offered = "[{action: beg, explain: ask first}, {action: tell}, {action: tell}, {action: ask}]"
    found = others(f"id: f, effect: forbid, actions: [pay], alternatives: {offered}")
    assert named(found) == [("tell", "allow"), ("ask", "allow"), ("beg", "defer")]
    assert (found.judgements, found.review_available) == (3, True)
    agent = [item.to_dict(Audience.AGENT) for item in found.alternatives]
    assert agent == [
        {"action": "tell", "leads_to": "allow", "as_of": str(NOW)},
        {"action": "ask", "leads_to": "allow", "as_of": str(NOW), "arguments": {"a": 1, "c": "x"}},
        {"action": "beg", "leads_to": "defer", "as_of": str(NOW), "explanation": "ask first"},
    ]


@pytest.mark.parametrize(("c", "arguments"), [("y", {"a": 1, "c": "y"}), ("z", {"a": 1})])
def test_arguments_that_fit_the_other_action_are_carried_over(c: str, arguments: dict[str, object]) -> None:
    """S9.2: `_a` is none of its arguments, `d` is of another type, and of `c` it takes only what it declares."""
    (found,) = others("id: f, effect: forbid, actions: [pay], alternatives: [{action: ask}]", c=c).alternatives
    assert found.arguments == arguments


def test_after_a_deferral_no_other_action_that_defers_is_offered() -> None:
    rule = f"id: r, effect: review, actions: [pay], {REVIEW}, alternatives: [{{action: beg}}, {{action: tell}}]"
    assert named(others(rule)) == [("tell", "allow")]


@pytest.mark.parametrize(("resource", "expected"), [("letter", [("tell", "allow")]), ("invoice", [])])
def test_where_nothing_permits_the_permits_that_do_not_hold_offer(resource: str, expected: list[Any]) -> None:
    rule = f"id: p, effect: permit, actions: [pay], resources: [{resource}], alternatives: [{{action: tell}}], {when('core.none > 0')}"
    assert named(others(rule)) == expected


def test_what_a_confidential_rule_offers_instead_is_for_those_who_run_demur() -> None:
    """S2.3"""
    found = others(
        f"id: a, effect: forbid, actions: [pay], alternatives: [{{action: tell}}], {when('core.held')}",
        "id: z, effect: forbid, actions: [pay], alternatives: [{action: ask}]",
        learned={"core.held": True, "core.none": 0},
    )
    assert {item.action: item.is_confidential for item in found.alternatives} == {"tell": True, "ask": False}
    assert {item.action for item in found.alternatives if item.to_dict(Audience.AGENT) is None} == {"tell"}
    assert all(item.to_dict(Audience.OPERATOR) for item in found.alternatives)


TEXT = "s: {type: string, change: true}"


@pytest.mark.parametrize(
    ("condition", "arguments", "s", "expected"),
    [
        ('"x" != action.s', TEXT, "x", [(None, True, ("x",))]),
        ('!(action.s in ["", "-", "--"])', TEXT, "-", [(None, True, ("", "-", "--"))]),
        ('!(action.s in ["x", subject.id])', TEXT, "x", []),
        ('action.s != "x"', "s: {type: string, change: true, one_of: [x, y]}", "x", [("y", False, ())]),
    ],
)
def test_any_text_will_do_where_rules_only_tell_some_from_others(
    condition: str, arguments: str, s: str, expected: list[Any]
) -> None:
    """S9.2"""
    policy_set = shop(permit(condition), arguments=arguments)
    found = remedied(policy_set, given(policy_set, s=s))
    assert [(part.value, part.is_any, part.other_than) for item in found.repairs for part in item.parts] == expected


@pytest.mark.parametrize("type_", ["timestamp", "duration", "int", "double", "bool", "string", "list<string>"])
def test_what_need_only_be_there_is_supplied(type_: str) -> None:
    policy_set = shop(permit("has(action.s)"), arguments=f"s: {{type: {type_}, optional: true, change: true}}")
    (found,) = remedied(policy_set, given(policy_set)).repairs
    assert [(part.value, part.is_any, part.visible) for part in found.parts] == [(None, True, {})]
    for audience in Audience:
        shown = found.to_dict(audience)
        assert shown is not None
        assert shown["supply"] == ["action.s"]


def test_two_texts_have_each_their_own_exceptions() -> None:
    arguments = "s: {type: string, change: true}, t: {type: string, change: true}"
    policy_set = shop(permit('action.s != "x"', 'action.t != "y"'), arguments=arguments)  # fmt: skip
    (found,) = remedied(policy_set, given(policy_set, s="x", t="y")).repairs
    assert {part.path: part.other_than for part in found.parts} == {"action.s": ("x",), "action.t": ("y",)}


@pytest.mark.parametrize(
    ("rules", "table", "is_confidential"),
    [
        ((forbid("core.held", name="a"), permit('action.scope == "one"')), None, False),
        ((forbid("core.held", 'action.scope == "x"', name="a"), permit('action.scope == "one"')), None, True),
        ((forbid("core.held", name="a"), permit("table.limit > 10")), True, False),
        ((forbid("core.held", 'action.scope == "x"', name="a"), permit("table.limit > 10")), True, True),
        ((forbid("core.held", "table.limit < 0", name="a"), permit('action.scope == "one"')), True, True),
    ],
)  # fmt: skip
def test_what_a_confidential_rule_reads_or_looks_up_is_no_remedy_below_operator(
    rules: tuple[str, ...], table: object, *, is_confidential: bool
) -> None:
    """S2.3"""
    policy_set = shop(
        *rules,
        arguments="scope: {type: string, one_of: [all, one], change: true}",
        declared="  core.held: {type: bool, source: core, confidential: true}\n  table.limit: {type: int, source: table}",
    )
    learned: dict[str, State] = {"core.held": False, "table.limit": 5}
    found = remedied(policy_set, given(policy_set, learned, scope="all"), {"all": 5, "one": 20} if table else None)
    assert [item.is_confidential for item in found.repairs] == [is_confidential]


@pytest.mark.parametrize(
    ("condition", "arguments", "visible"),
    [
        ("action.n <= action.m", "m: {type: int, visible: {agent: hide}}", {"end_user": "direction", "agent": "direction"}),
        ("action.n <= action.m", "m: {type: int, visible: {end_user: show}}", {}),
        ("action.n <= 5", "m: int", {"end_user": "direction"}),
    ],
)  # fmt: skip
def test_what_an_argument_is_measured_against_guards_it(
    condition: str, arguments: str, visible: dict[str, str]
) -> None:
    """S9.4"""
    policy_set = shop(permit(condition), arguments=f"n: {{type: int, change: true}}, {arguments}")
    (found,) = remedied(policy_set, given(policy_set, n=9, m=5)).repairs
    assert found.parts[0].visible == {Audience(name): Visibility(level) for name, level in visible.items()}


def test_every_condition_that_reads_a_fact_guards_it() -> None:
    """S9.4: the first is guarded, the second is not; neither is another fact's."""
    policy_set = shop(
        permit("action.n <= core.low", "action.n <= core.high", "action.k < 5"),
        arguments="n: {type: int, change: true}, k: {type: int, change: true, visible: {end_user: show}}",
        declared="  core.low: {type: int, source: core, visible: {agent: direction, end_user: show}}\n"
        "  core.high: {type: int, source: core, visible: {end_user: show}}",
    )
    (found,) = remedied(policy_set, given(policy_set, {"core.low": 5, "core.high": 6}, n=9, k=9)).repairs
    assert {part.path: part.visible for part in found.parts} == {
        "action.k": {},
        "action.n": {Audience.AGENT: Visibility.DIRECTION},
    }


def test_a_flag_or_a_declared_value_tells_an_end_user_no_number() -> None:
    """S9.4"""
    policy_set = shop(
        permit("action.f || action.n < 3"),
        arguments="f: {type: bool, change: true}, n: {type: int, visible: {end_user: show}}",
    )
    (found,) = remedied(policy_set, given(policy_set, f=False, n=9)).repairs
    assert found.parts[0].visible == {}
    declared = shop(permit('action.s == "one"'), arguments="s: {type: string, one_of: [one, all], change: true}")
    (other,) = remedied(declared, given(declared, s="all")).repairs
    assert (other.parts[0].value, other.parts[0].visible) == ("one", {})


def test_a_fact_says_how_it_comes_about_in_its_own_way_only() -> None:
    """S9.2"""
    marks = "change: true, obtain: {how: ask for it, by: desk}"
    policy_set = shop(
        permit("action.n < 5", "core.seen"),
        arguments=f"n: {{type: int, {marks}}}",
        declared="  core.seen: {type: bool, source: core, obtain: {how: show it, by: boss}, await: {event: it is seen}}",
    )
    (found,) = remedied(policy_set, given(policy_set, {"core.seen": False}, n=9)).repairs
    assert [(part.kind, part.how, part.by, part.event) for part in found.parts] == [
        (Kind.CHANGE, "", "", ""),
        (Kind.OBTAIN, "show it", "boss", ""),
    ]


@pytest.mark.parametrize(
    ("current", "value", "expected"),
    [
        (9, 5, Direction.LOWER),
        (5, 9, Direction.HIGHER),
        (False, True, Direction.OTHER),
        (Missing.ABSENT, 5, Direction.OTHER),
        ("a", "b", Direction.OTHER),
        (NOW, NOW.plus(1), Direction.HIGHER),
    ],
)
def test_the_direction_is_that_of_numbers_and_times(current: State, value: State, expected: Direction) -> None:
    assert showing.direction(current, value) is expected


def test_repairs_are_told_cheapest_first_then_allowed_then_earliest() -> None:
    """S9.1"""

    def repair(path: str, leads_to: Outcome = Outcome.ALLOW, cost: float = 1.0, seconds: int = -1) -> Repair:
        earliest = None if seconds < 0 else NOW.plus(seconds)
        part = Part(kind=Kind.CHANGE, path=path, value=1)
        return Repair(parts=(part,), leads_to=leads_to, cost=cost, as_of=NOW, earliest=earliest)

    expected = [
        repair("b"), repair("c"), repair("c", seconds=5), repair("c", seconds=9),
        repair("a", Outcome.DEFER), repair("a", cost=2.0),
    ]  # fmt: skip
    expected_backwards = expected[::-1]
    assert sorted(expected_backwards, key=order) == expected


def test_a_value_that_may_not_be_shown_is_not_told_of_what_others_bring_about() -> None:
    """S9.4"""
    part = Part(kind=Kind.OBTAIN, path="core.score", value=7, how="ask", visible={Audience.AGENT: Visibility.DIRECTION})
    repair = Repair(parts=(part,), leads_to=Outcome.ALLOW, cost=5.0, as_of=NOW)
    agent: Any = repair.to_dict(Audience.AGENT)
    operator: Any = repair.to_dict(Audience.OPERATOR)
    assert agent["obtain"] == [{"fact": "core.score", "how": "ask"}]
    assert operator["obtain"] == [{"fact": "core.score", "how": "ask", "value": 7}]


@pytest.mark.parametrize(
    ("remedies", "reason"),
    [
        (Remedies(alternatives=(OtherAction(action="ask", leads_to=Outcome.ALLOW, as_of=NOW),), as_of=NOW), None),
        (Remedies(as_of=NOW), "none_found"),
        (Remedies(reason=NoRemedy.LIMIT_REACHED, as_of=NOW), "limit_reached"),
    ],
)
def test_a_reason_is_given_only_where_nothing_is_offered(remedies: Remedies, reason: str | None) -> None:
    assert remedies.to_dict(Audience.OPERATOR)["reason"] == reason
