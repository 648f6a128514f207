"""What a search for remedies may touch, what it may cost, and how a changed request is judged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from demur.core import intake, resolution
from demur.core.decision import Decision, decide
from demur.core.intake import Caller
from demur.core.policy.index import PolicySet
from demur.core.remedy import Changes, NoRemedy, Remedies, find, ground, rejudge
from demur.core.remedy.ground import MAX_JUDGEMENTS
from demur.core.resolution import Approval, Facts, Learned
from demur.core.terms import Audience, Missing, Outcome, State, parse_timestamp
from demur.errors import IntakeError
from tests.core.given_policies import NOW, policies

SHOP = policies("""
demur: 1
namespace: shop
sources:
  table: {kind: static, table: {}, key: action.scope}
  fixed: {kind: static, table: {}}
  keyed: {kind: python, key: [resource.id]}
  opaque: {kind: python}
facts:
  account.open: {type: bool, source: opaque}
  fixed.limit: {type: int, source: fixed}
  keyed.limit: {type: int, source: keyed}
  table.limit: {type: int, source: table}
  subject.team: {type: string, optional: true}
  context.order.urgent: {type: bool, optional: true, change: true}
  context.ticket: {type: string, optional: true, bound: true, change: true}
usage:
  by_scope: {actions: [pay], by: [action.scope], window: {calendar: day, zone: UTC}}
  by_person: {actions: [pay], by: [subject.id], window: {last: 1h}}
actions:
  pay:
    arguments:
      amount: {type: int, change: true}
      scope: {type: string, one_of: [one, all], change: true}
      pin: {type: int, optional: true, secret: true, change: true}
  ask: {resources: [letter], arguments: {amount: int, why: string}}
rules:
  - id: pay
    effect: permit
    actions: [pay]
    when:
      - {name: open, expr: account.open && action.amount <= fixed.limit && action.amount <= keyed.limit, explain: open}
      - {name: table, expr: action.amount <= table.limit, explain: the table agrees}
      - {name: few, expr: usage.by_scope + usage.by_person < 5, explain: few}
  - {id: ask, effect: permit, actions: [ask]}
  - {id: large, effect: review, actions: [pay], review: {role: boss}, when: [{name: large, expr: action.amount > 50, explain: large}]}
""")
LEARNED: dict[str, State] = {
    "account.open": True, "fixed.limit": 90, "keyed.limit": 80, "table.limit": 70, "usage.by_scope": 0, "usage.by_person": 0,
}  # fmt: skip


def facts(policy_set: PolicySet, learned: dict[str, State], **asked: Any) -> Facts:
    body = {
        "subject": {"type": "user", "id": "ann"},
        "resource": {"type": "letter", "id": "r-1"},
        "action": {"name": "pay", "properties": {"amount": 60, "scope": "all", "pin": 7}},
        **asked,
    }
    request = intake.read(body, policy_set.schema, caller=Caller())
    known = {path: Learned(state, NOW) for path, state in learned.items()}
    return resolution.resolve(request, policy_set.schema, known, NOW)


ASKED = facts(SHOP, LEARNED)


def changed(values: dict[str, State], given: Facts = ASKED) -> Decision:
    return rejudge(given, SHOP, Changes(values=values))


def unknown(decision: Decision) -> set[str]:
    return {
        slot.path
        for slot, state in zip(SHOP.schema.slots, decision.facts.values, strict=True)
        if state is Missing.UNKNOWN and slot.path in LEARNED
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, set()),
        ({"action.amount": 5}, {"account.open"}),
        ({"action.scope": "one"}, {"account.open", "table.limit", "usage.by_scope"}),
        ({"context.ticket": "T-1"}, {"account.open"}),
        ({"fixed.limit": 5}, set()),
        ({"time.now": NOW.plus(60)}, set()),
    ],
)
def test_what_may_hang_on_a_change_is_unknown_until_learned_again(values: dict[str, State], expected: set[str]) -> None:
    """S2.2: the key of a table, whom a counter counts, and a source that does not say what it looks at."""
    assert unknown(changed(values)) == expected


def test_another_action_leaves_only_what_is_not_looked_up_by_the_action() -> None:
    decision = rejudge(ASKED, SHOP, Changes(action="ask", arguments={"amount": 60, "why": "late"}))
    assert decision.outcome is Outcome.ALLOW
    assert unknown(decision) == {"account.open", "table.limit", "usage.by_scope"}
    assert decision.facts.values[SHOP.slot("action.name")] == "ask"
    assert decision.facts.values[SHOP.slot("action.scope")] is Missing.ABSENT


def test_what_is_learned_again_counts() -> None:
    asked: list[tuple[str, frozenset[str]]] = []

    def learn(request: Any, paths: frozenset[str]) -> dict[str, Learned]:
        asked.append((request.arguments["scope"], paths))
        return {path: Learned({**LEARNED, "table.limit": 10}[path], NOW) for path in (*paths, "fixed.limit")}

    decision = rejudge(ASKED, SHOP, Changes(values={"action.amount": 40, "action.scope": "one"}), learn)
    assert asked == [("one", frozenset({"account.open", "table.limit", "usage.by_scope"}))]
    assert decision.outcome is Outcome.DENY
    assert decision.facts.values[SHOP.slot("table.limit")] == 10


def test_a_changed_request_is_another_action_so_approvals_of_the_old_one_do_not_count() -> None:
    """S7.1"""
    approved = Approval("rev-1", (("shop/large", SHOP.rule("shop/large").digest),))
    given = msgspec.structs.replace(ASKED, approvals=(approved,))
    same, other = changed({"fixed.limit": 100}, given), changed({"action.amount": 61}, given)
    assert (same.facts.approvals, same.facts.request.digest) == ((approved,), ASKED.request.digest)
    assert (other.facts.approvals, other.outcome) == ((), Outcome.DEFER)
    assert other.facts.request.digest == intake.digest(other.facts.request, SHOP.schema) != ASKED.request.digest


def test_a_changed_request_reads_back_as_its_row_says() -> None:
    """S1.3: claims are set where they stand, left out where absent, and the refused request stays as it was."""
    given = facts(SHOP, LEARNED, context={"order": {"urgent": False, "no": 3}, "ticket": "T-1"})
    decision = changed({"context.order.urgent": True, "context.ticket": Missing.ABSENT, "action.amount": 2}, given)
    request = decision.facts.request
    assert request.context == {"order": {"urgent": True, "no": 3}}
    assert request.arguments == {"amount": 2, "scope": "all", "pin": 7}
    assert given.request.context == {"order": {"urgent": False, "no": 3}, "ticket": "T-1"}
    layout = resolution.Layout.of(SHOP.schema)
    fresh = resolution.fill(request, layout, {}, NOW).values
    paths = ("context.order.urgent", "context.ticket", "action.amount", "action.scope")
    assert [decision.facts.values[SHOP.slot(path)] for path in paths] == [fresh[SHOP.slot(path)] for path in paths]


@pytest.mark.parametrize(
    "changes",
    [
        Changes(values={"action.scope": "ward"}),
        Changes(values={"action.amount": "5"}),
        Changes(values={"action.amount": Missing.ABSENT}),
        Changes(values={"context.ticket": 5}),
        Changes(action="ask", arguments={"amount": 1}),
        Changes(action="ask", arguments={"amount": 1, "why": "x", "more": 1}),
        Changes(action="ask", arguments={"amount": "1", "why": "x"}),
    ],
)
def test_what_intake_would_refuse_is_no_request(changes: Changes) -> None:
    """S1.2"""
    with pytest.raises(IntakeError):
        rejudge(ASKED, SHOP, changes)


def test_another_action_must_fit_the_resource() -> None:
    given = facts(SHOP, LEARNED, resource={"type": "invoice", "id": "r-1"})
    with pytest.raises(IntakeError):
        rejudge(given, SHOP, Changes(action="ask", arguments={"amount": 1, "why": "x"}))


def remedied(policy_set: PolicySet, given: Facts, seen: list[Changes] | None = None) -> Remedies:
    def judge(changes: Changes) -> Decision:
        if seen is not None:
            seen.append(changes)
        return rejudge(given, policy_set, changes)

    return find(decide(given, policy_set), judge, now=NOW)


def one_action(rules: str, more: str = "") -> PolicySet:
    return policies(f"demur: 1\nnamespace: t\nzone: Europe/Berlin\n{more}\nrules:\n{rules}")


def test_who_asks_and_secrets_are_never_part_of_a_remedy() -> None:
    """S9.3, S1.5"""
    policy_set = one_action(
        """
  - id: p
    effect: permit
    actions: [pay]
    when:
      - {name: a, expr: 'subject.id == "boss" || actor.id == "robot" || resource.id == "r-2"', explain: x}
  - id: q
    effect: permit
    actions: [pay]
    when: [{name: pin, expr: action.pin == 1234, explain: x}]
""",
        "actions: {pay: {arguments: {pin: {type: int, secret: true, change: true}}}}",
    )
    given = facts(policy_set, {}, action={"name": "pay", "properties": {"pin": 1}})
    seen: list[Changes] = []
    found = remedied(policy_set, given, seen)
    assert (found.reason, seen) == (NoRemedy.NOTHING_TO_CHANGE, [])


def test_a_mark_on_a_fact_that_a_source_provides_is_no_change_of_a_request() -> None:
    """S9.3"""
    policy_set = one_action(
        "  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: core.limit > 5, explain: x}]}",
        "sources: {core: {kind: static, table: {}}}\nfacts: {core.limit: {type: int, source: core, change: true}}\n"
        "actions: {pay: {}}",
    )
    found = remedied(policy_set, facts(policy_set, {"core.limit": 1}, action={"name": "pay"}))
    assert found.reason is NoRemedy.NOTHING_TO_CHANGE


@pytest.mark.parametrize(
    ("extra", "reason"),
    [("category: categorical", "categorical"), ("disposition: never_retry", "never_retry"), ("", None)],
)
def test_where_the_policy_says_never_nothing_is_even_tried(extra: str, reason: str | None) -> None:
    """S9.3"""
    policy_set = one_action(
        f"""
  - {{id: p, effect: permit, actions: [pay]}}
  - id: f
    effect: forbid
    {extra or "category: policy_violation"}
    actions: [pay]
    when: [{{name: a, expr: action.n > 3, explain: x}}]
""",
        "actions: {pay: {arguments: {n: {type: int, change: true}}}}",
    )
    given = facts(policy_set, {}, action={"name": "pay", "properties": {"n": 9}})
    seen: list[Changes] = []
    found = remedied(policy_set, given, seen)
    assert (found.reason.value if found.reason else None) == reason
    assert len(seen) == (0 if reason else 1)


def test_an_allow_needs_no_remedy() -> None:
    policy_set = one_action("  - {id: p, effect: permit, actions: [pay]}", "actions: {pay: {}}")
    found = remedied(policy_set, facts(policy_set, {}, action={"name": "pay"}))
    assert found == Remedies(reason=NoRemedy.ALLOWED, as_of=NOW)


def test_a_judge_that_refuses_everything_is_asked_at_most_200_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9.1"""
    monkeypatch.setattr(ground, "MIN_PROBES", 1_000)
    limits = "".join(
        f"  - {{id: p{n}, effect: permit, actions: [pay], when: [{{name: a, expr: action.n <= {-n}, explain: x}}]}}\n"
        for n in range(300)
    )
    policy_set = one_action(limits, "actions: {pay: {arguments: {n: {type: int, change: true}}}}")
    given = facts(policy_set, {}, action={"name": "pay", "properties": {"n": 1}})
    refusal = decide(given, policy_set)
    asked: list[Changes] = []

    def judge(changes: Changes) -> Decision:
        asked.append(changes)
        return refusal

    found = find(refusal, judge, now=NOW)
    assert found.repairs == ()
    assert found.reason is NoRemedy.LIMIT_REACHED
    assert len(asked) == found.judgements <= MAX_JUDGEMENTS
    assert len(asked) > 150


def test_what_the_judge_does_not_confirm_is_not_offered() -> None:
    """S9.1: the row promises an allow, the full judgement says no, or that there can be no such request."""
    policy_set = one_action(
        "  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: action.n <= 3, explain: x}]}",
        "actions: {pay: {arguments: {n: {type: int, change: true}}}}",
    )
    given = facts(policy_set, {}, action={"name": "pay", "properties": {"n": 9}})
    refusal = decide(given, policy_set)

    def never(_: Changes) -> Decision:
        raise IntakeError("/action", expected="something", found="else")

    assert find(refusal, lambda _: refusal, now=NOW).repairs == ()
    assert find(refusal, never, now=NOW).repairs == ()


def test_cheaper_repairs_come_first_and_none_contains_another() -> None:
    """S9.1"""
    policy_set = one_action(
        """
  - {id: p, effect: permit, actions: [pay], unless: [{name: a, expr: action.a > 1 && action.b > 1, explain: x}]}
  - {id: q, effect: permit, actions: [pay], when: [{name: c, expr: action.c == 1, explain: x}]}
""",
        "actions: {pay: {arguments: {a: {type: int, change: {cost: 3}}, b: {type: int, change: {cost: 1}}, "
        "c: {type: int, change: {cost: 2}}}}}",
    )
    given = facts(policy_set, {}, action={"name": "pay", "properties": {"a": 5, "b": 5, "c": 5}})
    found = remedied(policy_set, given)
    assert [([part.path for part in item.parts], item.cost) for item in found.modifications] == [
        (["action.b"], 1.0),
        (["action.c"], 2.0),
        (["action.a"], 3.0),
    ]
    assert remedied(policy_set, given) == found


def test_four_changes_are_too_many() -> None:
    """S9.1"""
    conditions = ", ".join(f"{{name: {name}, expr: action.{name} == 1, explain: x}}" for name in "abcd")
    declared = ", ".join(f"{name}: {{type: int, change: true}}" for name in "abcd")
    policy_set = one_action(
        f"  - {{id: p, effect: permit, actions: [pay], when: [{conditions}]}}",
        f"actions: {{pay: {{arguments: {{{declared}}}}}}}",
    )
    three = facts(policy_set, {}, action={"name": "pay", "properties": {"a": 1, "b": 2, "c": 3, "d": 4}})
    four = facts(policy_set, {}, action={"name": "pay", "properties": {"a": 0, "b": 2, "c": 3, "d": 4}})
    assert [len(item.parts) for item in remedied(policy_set, three).repairs] == [3]
    assert remedied(policy_set, four).repairs == ()


def test_remedies_can_be_written_and_read_back() -> None:
    policy_set = one_action(
        "  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: action.n <= 3, explain: x}]}",
        "actions: {pay: {arguments: {n: {type: int, change: true}}}}",
    )
    found = remedied(policy_set, facts(policy_set, {}, action={"name": "pay", "properties": {"n": 9}}))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Remedies) == found
    shown = found.to_dict(Audience.AGENT)["suggested_modifications"]
    assert isinstance(shown, list)
    assert shown[0]["as_of"] == str(NOW)


HOURS = one_action(
    """
  - {id: p, effect: permit, actions: [pay], when: [{name: early, expr: 'time.now.getHours("Europe/Berlin") < 3', explain: x}]}
""",
    "actions: {pay: {}}",
)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-10-24T12:00:00Z", "2026-10-24T22:00:00Z"),  # summer time, two hours ahead
        ("2026-10-25T12:00:00Z", "2026-10-25T23:00:00Z"),  # the clocks went back that night
        ("2027-03-27T12:00:00Z", "2027-03-27T23:00:00Z"),
        ("2027-03-28T12:00:00Z", "2027-03-28T22:00:00Z"),  # and forward that one
    ],
)
def test_midnight_is_that_of_the_declared_zone(now: str, expected: str) -> None:
    """S2.4, S9.2"""
    moment = parse_timestamp(now)
    given = facts(HOURS, {}, action={"name": "pay"})
    values = list(given.values)
    values[HOURS.slot("time.now")] = moment
    found = remedied(HOURS, msgspec.structs.replace(given, values=values, now=moment))
    assert [str(item.earliest) for item in found.awaits] == [expected]


def test_a_rolling_window_has_let_go_of_everything_once_it_has_passed() -> None:
    """S4.1, S9.2"""
    policy_set = one_action(
        "  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: usage.lately < 3, explain: x}]}",
        "usage: {lately: {actions: [pay], by: [subject.id], window: {last: 1h}}, "
        "ever: {actions: [pay], by: [subject.id]}}\nactions: {pay: {}}",
    )
    found = remedied(policy_set, facts(policy_set, {"usage.lately": 3}, action={"name": "pay"}))
    assert [str(item.earliest) for item in found.awaits] == ["2026-11-20T10:00:01Z"]


def test_what_counts_for_ever_does_not_end() -> None:
    policy_set = one_action(
        "  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: usage.ever < 3, explain: x}]}",
        "usage: {ever: {actions: [pay], by: [subject.id]}}\nactions: {pay: {}}",
    )
    found = remedied(policy_set, facts(policy_set, {"usage.ever": 3}, action={"name": "pay"}))
    assert found.repairs == ()
