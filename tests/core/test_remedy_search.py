"""Which values are tried, in which order, and where the search ends."""

from __future__ import annotations

import msgspec
import pytest

from demur.core.decision import Decision, decide
from demur.core.policy.index import PolicySet
from demur.core.remedy import Changes, Remedies, find, rejudge
from demur.core.terms import Audience, Value, parse_timestamp
from tests.core.given_policies import NOW, policies
from tests.core.test_remedy import facts

ARGUMENTS = """
  n: {type: int, change: true}
  m: {type: int, optional: true, change: true}
  r: {type: double, change: true}
  s: {type: string, change: true}
  l: {type: list<string>, change: true}
  f: {type: bool, change: true}
  t: {type: timestamp, change: true}
  d: {type: duration, change: true}
"""
GIVEN: dict[str, object] = {
    "n": 9, "r": 0.9, "s": "long text", "l": ["a", "b", "c"], "f": False, "t": "2026-11-20T12:00:00Z", "d": "90s",
}  # fmt: skip


def permitted_when(*conditions: str, arguments: str = "") -> PolicySet:
    written = ", ".join(f"{{name: c{at}, expr: {text!r}, explain: x}}" for at, text in enumerate(conditions))
    declared = arguments or "{" + ", ".join(line.strip() for line in ARGUMENTS.strip().splitlines()) + "}"
    return policies(
        f"demur: 1\nnamespace: t\nactions: {{pay: {{arguments: {declared}}}}}\n"
        f"rules: [{{id: p, effect: permit, actions: [pay], when: [{written}]}}]"
    )


def remedied(policy_set: PolicySet, arguments: dict[str, object], judged: list[Changes] | None = None) -> Remedies:
    given = facts(policy_set, {}, action={"name": "pay", "properties": arguments})

    def judge(changes: Changes) -> Decision:
        if judged is not None:
            judged.append(changes)
        return rejudge(given, policy_set, changes)

    return find(decide(given, policy_set), judge, now=NOW)


@pytest.mark.parametrize(
    ("condition", "path", "value"),
    [
        ("action.n <= 5", "action.n", 5),
        ("action.n < 5", "action.n", 4),
        ("5 > action.n", "action.n", 4),
        ("action.n > 20", "action.n", 21),
        ("action.n != 9", "action.n", 8),
        ("action.n in [3, 12]", "action.n", 12),
        ("!(action.n in [8, 9])", "action.n", 10),
        ("action.n * 2 + 1 <= 10", "action.n", 4),
        ("10 - action.n >= 4", "action.n", 6),
        ("-action.n > -3", "action.n", 2),
        ("100 / action.n == 20", "action.n", 5),
        ("has(action.m) && action.m > 3", "action.m", 4),
        ("action.r < 0.5", "action.r", 0.499999),
        ("double(action.n) <= action.r * 10.0 - 2.0", "action.n", 7),
        ('action.s == "short"', "action.s", "short"),
        ('action.s.startsWith("REF-")', "action.s", "REF-"),
        ("size(action.s) <= 4", "action.s", "long"),
        ("size(action.l) < 3", "action.l", ["a", "b"]),
        ('!("b" in action.l)', "action.l", ["a", "c"]),
        ('"d" in action.l', "action.l", ["a", "b", "c", "d"]),
        ('action.l.all(x, x != "a" && x != "c")', "action.l", ["b"]),
        ('action.l.exists(x, x == "z")', "action.l", ["a", "b", "c", "z"]),
        ("action.f", "action.f", True),
        ('action.t < timestamp("2026-11-20T10:00:00Z")', "action.t", "2026-11-20T09:59:59Z"),
        ('action.t - time.now <= duration("2h")', "action.t", "2026-11-20T11:00:00Z"),
        ('action.d <= duration("60s")', "action.d", "60s"),
    ],
)
def test_the_nearest_value_that_does_is_offered(condition: str, path: str, value: Value) -> None:
    """S9.2"""
    found = remedied(permitted_when(condition), GIVEN)
    offered = {part.path: part.value for item in found.repairs if len(item.parts) == 1 for part in item.parts}
    assert offered[path] == value


def test_a_text_that_nobody_named_is_not_invented() -> None:
    """S9.2: any other will do, and that is what is said; where not any will do, nothing is."""
    (found,) = remedied(permitted_when('action.s != "long text" && !(action.s in ["x", "y"])'), GIVEN).repairs
    assert [(part.value, part.is_any, part.other_than) for part in found.parts] == [
        (None, True, ("long text", "x", "y"))
    ]
    shown = found.to_dict(Audience.AGENT)
    assert shown is not None
    assert (shown["supply"], shown["other_than"]) == (["action.s"], {"action.s": ["long text", "x", "y"]})
    assert "long text" not in str(found.to_dict(Audience.END_USER))
    assert remedied(permitted_when('!action.s.startsWith("long")'), GIVEN).repairs == ()


def test_two_facts_are_measured_against_each_other_in_either_order() -> None:
    """S9.1: `m` can be settled only by a rule about `n`, and the other way round."""
    for condition in ("action.n == 3", "action.m == 3"):
        policy_set = permitted_when("has(action.m) && action.n == action.m", f"has(action.m) && {condition}")
        found = remedied(policy_set, {**GIVEN, "n": 40, "m": 70})
        assert [[(part.path, part.value) for part in item.parts] for item in found.repairs] == [
            [("action.m", 3), ("action.n", 3)]
        ]


def test_two_cheap_changes_come_before_many_dear_ones() -> None:
    """S9.1"""
    declared = ", ".join(f"x{at}: {{type: int, change: {{cost: 5}}}}" for at in range(6))
    dear = " || ".join(f"action.x{at} == 1" for at in range(6))
    cheap = "a: {type: int, change: {cost: 1}}, b: {type: int, change: {cost: 1}}"
    policy_set = permitted_when(f"{dear} || (action.a == 1 && action.b == 1)", arguments=f"{{{declared}, {cheap}}}")
    given: dict[str, object] = {**{f"x{at}": 0 for at in range(6)}, "a": 0, "b": 0}
    found = remedied(policy_set, given)
    assert [item.cost for item in found.repairs][:2] == [2.0, 5.0]


def test_where_nothing_can_help_nothing_is_judged() -> None:
    """S3.3: a forbid that holds whatever is changed ends the search at once."""
    policy_set = policies("""
demur: 1
namespace: t
facts: {subject.team: string}
actions: {pay: {arguments: {n: {type: int, change: true}}}}
rules:
  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: action.n < 5, explain: x}]}
  - {id: f, effect: forbid, actions: [pay], when: [{name: a, expr: 'action.n > 2000 || subject.team == "x"', explain: x}]}
""")
    given = facts(
        policy_set,
        {},
        action={"name": "pay", "properties": {"n": 9}},
        subject={"type": "user", "id": "ann", "properties": {"team": "x"}},
    )
    judged: list[Changes] = []

    def judge(changes: Changes) -> Decision:
        judged.append(changes)
        return rejudge(given, policy_set, changes)

    found = find(decide(given, policy_set), judge, now=NOW)
    assert (found.repairs, judged, found.probes) == ((), [], 1)


def test_no_more_than_200_judgements_over_all_sets() -> None:
    """S9.1"""
    many = ", ".join(map(str, range(1, 300)))
    declared = ", ".join(f"{name}: {{type: int, change: true, one_of: [0, {many}]}}" for name in "abc")
    policy_set = permitted_when("action.a > 0 || action.b > 0 || action.c > 0", arguments=f"{{{declared}}}")
    given = facts(policy_set, {}, action={"name": "pay", "properties": {"a": 0, "b": 0, "c": 0}})
    refusal = decide(given, policy_set)
    judged: list[Changes] = []

    def judge(changes: Changes) -> Decision:
        judged.append(changes)
        return refusal

    assert find(refusal, judge, now=NOW).judgements == len(judged) == 200


def test_a_secret_is_not_carried_over_to_another_action() -> None:
    """S1.5, S9.2"""
    policy_set = policies("""
demur: 1
namespace: t
actions:
  pay: {arguments: {pin: {type: int, secret: true}, n: int}}
  ask: {arguments: {pin: {type: int, secret: true, optional: true}, n: int}}
rules:
  - {id: a, effect: permit, actions: [ask]}
  - {id: f, effect: forbid, actions: [pay], alternatives: [{action: ask}], when: [{name: a, expr: action.n > 0, explain: x}]}
""")
    (other,) = remedied(policy_set, {"pin": 1234, "n": 5}).alternatives
    assert other.arguments == {"n": 5}


def awaited(text: str, now: str, learned: dict[str, int]) -> list[str]:
    policy_set, moment = policies(text), parse_timestamp(now)
    given = facts(policy_set, dict(learned), action={"name": "pay"})
    values = list(given.values)
    values[policy_set.slot("time.now")] = moment
    given = msgspec.structs.replace(given, values=values, now=moment)
    found = find(decide(given, policy_set), lambda changes: rejudge(given, policy_set, changes), now=moment)
    return [str(item.earliest) for item in found.awaits]


def test_a_count_ends_with_its_window_and_not_before() -> None:
    """S4.1: the hours open at ten, but the quota is used up until midnight."""
    text = """
demur: 1
namespace: t
zone: Europe/Berlin
usage: {today: {actions: [pay], by: [subject.id], window: {calendar: day}}}
actions: {pay: {}}
rules:
  - id: p
    effect: permit
    actions: [pay]
    when: [{name: few, expr: usage.today < 3, explain: x}]
    unless: [{use: outside-hours, with: {from: "10:00", to: "17:00"}}]
"""
    assert awaited(text, "2026-11-20T07:00:00Z", {"usage.today": 2}) == ["2026-11-20T09:00:00Z"]
    assert awaited(text, "2026-11-20T07:00:00Z", {"usage.today": 3}) == ["2026-11-21T09:00:00Z"]


def test_a_day_after_the_clocks_changed_begins_by_the_new_time() -> None:
    """S2.4: Monday in Berlin begins at 23:00 UTC once summer time has ended."""
    text = """
demur: 1
namespace: t
actions: {pay: {}}
rules:
  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: 'time.now.getDayOfWeek("Europe/Berlin") == 1', explain: x}]}
"""
    assert awaited(text, "2026-10-23T12:00:00Z", {}) == ["2026-10-25T23:00:00Z"]
