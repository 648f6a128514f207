"""The instants at which a condition on the time turns, and the earliest that leads out of a refusal.

Clauses: S2.4, S4.1, S9.2.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from demur.core.decision import decide
from demur.core.policy.index import PolicySet
from demur.core.remedy import Remedies, clocks, find, rejudge
from demur.core.remedy.offers import Direction
from demur.core.schema import Visibility
from demur.core.terms import Audience, Outcome, Timestamp, parse_timestamp
from tests.core import rulebook
from tests.core.given_policies import policies
from tests.core.rulebook import PLACES, ZONES
from tests.core.test_remedy import facts

DAY, HOUR, MINUTE = 86_400, 3_600, 60
NINE = parse_timestamp("2026-11-20T09:00:00Z")
EVERY_HOUR = {hour * HOUR for hour in range(24)}


def turns(text: str, now: Timestamp = NINE, horizon: int = DAY) -> set[Timestamp]:
    return set(clocks.turns(rulebook.condition(text).node, PLACES["time.now"], now, horizon, ZONES))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("time.now.getHours() < 3", {0, 3 * HOUR, 4 * HOUR}),
        ("time.now.getHours() in [8, 23]", {0, 8 * HOUR, 9 * HOUR, 23 * HOUR}),
        ("time.now.getHours() > 40", {0}),
        (
            "time.now.getHours() * 60 + time.now.getMinutes() >= 510",
            {0, 60 * MINUTE, 61 * MINUTE, 510 * MINUTE, 511 * MINUTE},
        ),
        (
            "time.now.getHours() * 60 + time.now.getMinutes() >= 1",
            {0, MINUTE, 2 * MINUTE, 60 * MINUTE, 61 * MINUTE},
        ),
        ("time.now.getHours() * 60 + time.now.getMinutes() >= 1450", {0, 60 * MINUTE, 61 * MINUTE}),
        ("time.now.getMinutes() >= 20", EVERY_HOUR | {hour + 20 * MINUTE for hour in EVERY_HOUR}),
        ("time.now.getMinutes() >= 70", EVERY_HOUR),
        ("time.now.getDayOfWeek() in [1, 2]", {0}),
        ("time.now.getDate() == 1", {0}),
        ("time.now.getHours(subject.role) < 3", {0, 3 * HOUR, 4 * HOUR}),  # a zone that is not declared counts as UTC
        ('time.now.getHours("+05:00") < 3', {19 * HOUR, 22 * HOUR, 23 * HOUR}),
        ('time.now < timestamp("2026-11-21T00:00:00Z")', set()),
        ("account.until.getHours() < 3", set()),
        ("account.until.getHours() < 3 && action.amount < 3", set()),
    ],
)  # fmt: skip
def test_a_clock_turns_at_the_times_of_day_that_it_is_compared_with(text: str, seconds: set[int]) -> None:
    found = turns(text)
    assert {instant.seconds % DAY for instant in found} == seconds
    assert all(instant.nanos % 1_000_000_000 == 0 for instant in found)


def test_seconds_are_looked_at_every_hour() -> None:
    assert {instant.seconds % DAY for instant in turns("time.now.getSeconds() < 10")} >= EVERY_HOUR


def test_every_day_within_the_horizon_is_there() -> None:
    found = turns("time.now.getDayOfWeek() == 1", horizon=14 * DAY)
    midnights = {parse_timestamp("2026-11-21T00:00:00Z").plus(day * DAY) for day in range(14)}
    assert found >= midnights


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2027-03-27T12:00:00Z", {"2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z"}),
        ("2026-10-24T12:00:00Z", {"2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}),
    ],
)
def test_midnight_moves_with_daylight_saving(now: str, expected: set[str]) -> None:
    """S2.4"""
    found = turns('time.now.getDayOfWeek("Europe/Berlin") == 1', parse_timestamp(now), 2 * DAY)
    assert {str(instant) for instant in found} >= expected


def at(policy_set: PolicySet, now: str, learned: dict[str, Any] | None = None) -> Remedies:
    moment = parse_timestamp(now)
    given = facts(policy_set, dict(learned or {}), action={"name": "pay"})
    values = list(given.values)
    values[policy_set.slot("time.now")] = moment
    given = msgspec.structs.replace(given, values=values, now=moment)
    return find(decide(given, policy_set), lambda changes: rejudge(given, policy_set, changes), now=moment)


def rules(*written: str, more: str = "") -> PolicySet:
    lines = "\n".join(f"  - {{actions: [pay], {item}}}" for item in written)
    return policies(f"demur: 1\nnamespace: t\nzone: UTC\n{more}\nactions: {{pay: {{}}}}\nrules:\n{lines}\n")


def told(remedies: Remedies) -> list[tuple[str, str]]:
    return [(str(item.earliest), item.leads_to.value) for item in remedies.awaits]


def when(expr: str) -> str:
    return f"when: [{{name: c, expr: {expr!r}, explain: x}}]"


PERMIT = "id: p, effect: permit"
UNTIL_NOON = "id: f, effect: forbid, " + when('time.now < timestamp("2026-11-20T12:00:00Z")')
REVIEW_UNTIL_TWO = "id: r, effect: review, review: {role: boss}, " + when(
    'time.now < timestamp("2026-11-20T14:00:00Z")'
)


def test_an_instant_that_allows_comes_with_an_earlier_one_that_leads_to_a_review() -> None:
    """S9.2: what is allowed first, and of reviews only the earliest."""
    policy_set = rules(PERMIT, UNTIL_NOON, REVIEW_UNTIL_TWO)
    found = at(policy_set, "2026-11-20T09:00:00Z")
    assert told(found) == [("2026-11-20T14:00:00Z", "allow"), ("2026-11-20T12:00:00Z", "defer")]
    assert [item.as_of for item in found.awaits] == [NINE, NINE]
    assert found.review_available is True


def test_after_a_deferral_only_an_instant_that_allows_is_offered() -> None:
    policy_set = rules(PERMIT, UNTIL_NOON, REVIEW_UNTIL_TWO)
    found = at(policy_set, "2026-11-20T13:00:00Z")
    assert told(found) == [("2026-11-20T14:00:00Z", "allow")]


def test_where_only_a_review_is_to_be_had_its_earliest_instant_is_offered() -> None:
    policy_set = rules(PERMIT, UNTIL_NOON, "id: r, effect: review, review: {role: boss}")
    (found,) = at(policy_set, "2026-11-20T09:00:00Z").awaits
    assert (str(found.earliest), found.leads_to, found.as_of) == ("2026-11-20T12:00:00Z", Outcome.DEFER, NINE)
    assert [(part.path, part.value, part.direction, part.event) for part in found.parts] == [
        ("time.now", "2026-11-20T12:00:00Z", Direction.HIGHER, "the time comes")
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('time.now < timestamp("2026-11-20T12:00:00Z")', ["2026-11-20T12:00:00Z"]),
        ('time.now <= timestamp("2026-11-20T12:00:00Z")', ["2026-11-20T12:00:00.000000001Z"]),
        ('time.now < timestamp("2026-12-04T09:00:00Z")', ["2026-12-04T09:00:00Z"]),  # 14 days to the second
        ('time.now < timestamp("2026-12-04T09:00:01Z")', []),
        ("time.now < core.opens", ["2026-11-20T15:00:00Z"]),
        ('time.now + duration("1h") < core.opens', ["2026-11-20T14:00:00Z"]),
        ("time.now.getHours() < 17", ["2026-11-20T17:00:00Z"]),
        ("time.now.getMinutes() < 30", ["2026-11-20T09:30:00Z"]),
    ],
)
def test_the_earliest_instant_at_which_a_forbid_falls_is_offered(condition: str, expected: list[str]) -> None:
    more = "sources: {core: {kind: static, table: {}}}\nfacts: {core.opens: {type: timestamp, source: core}}"
    policy_set = rules(PERMIT, f"id: f, effect: forbid, {when(condition)}", more=more)
    learned = {"core.opens": parse_timestamp("2026-11-20T15:00:00Z")}
    assert [str(item.earliest) for item in at(policy_set, "2026-11-20T09:00:00Z", learned).awaits] == expected


COUNTED = "usage: {today: {actions: [pay], by: [subject.id], window: {calendar: day}}}"


@pytest.mark.parametrize("used", [1, 5])
def test_at_the_start_of_the_next_window_the_count_is_nothing(used: int) -> None:
    """S4.1"""
    policy_set = rules(f"{PERMIT}, {when('usage.today < 1')}", more=COUNTED)
    (found,) = at(policy_set, "2026-11-20T09:00:00Z", {"usage.today": used}).awaits
    assert str(found.earliest) == "2026-11-21T00:00:00Z"
    assert [(part.path, part.value, part.direction, part.event, part.visible) for part in found.parts] == [
        ("time.now", "2026-11-21T00:00:00Z", Direction.HIGHER, "the time comes", {}),
        ("usage.today", 0, Direction.LOWER, "the window ends", {}),
    ]


def test_a_count_that_is_nothing_already_is_no_part_of_it() -> None:
    policy_set = rules(f"{PERMIT}, {when('usage.today < 1')}", UNTIL_NOON, more=COUNTED)
    (found,) = at(policy_set, "2026-11-20T09:00:00Z", {"usage.today": 0}).awaits
    assert [part.path for part in found.parts] == ["time.now"]


def test_a_rule_about_the_time_may_fall_because_a_window_ends() -> None:
    """S9.2: at night it is the count that is over, the hour stands as it stood."""
    both = f"id: f, effect: forbid, {when('time.now.getHours() >= 0')}".replace(
        "}]", '}, {name: used, expr: "usage.today >= 3", explain: x}]'
    )
    policy_set = rules(PERMIT, both, more=COUNTED)
    found = at(policy_set, "2026-11-20T09:00:00Z", {"usage.today": 3})
    assert told(found) == [("2026-11-21T00:00:00Z", "allow")]


SECRETIVE = """
sources: {core: {kind: static, table: {}}}
facts:
  core.held: {type: bool, source: core, confidential: true}
  core.opens: {type: timestamp, source: core%s}
usage: {today: {actions: [pay], by: [subject.id], window: {calendar: day}}}
"""
HELD = "id: a, effect: forbid, " + when("core.held && time.now < core.opens")
HELD_COUNT = "id: a, effect: forbid, " + when("core.held && usage.today >= 3")
HELD_ALONE = "id: a, effect: forbid, " + when("core.held")
LEARNED = {"core.held": True, "core.opens": parse_timestamp("2026-11-20T15:00:00Z"), "usage.today": 3}


@pytest.mark.parametrize(
    ("written", "learned", "is_confidential"),
    [
        ((PERMIT, HELD), {}, True),
        ((f"{PERMIT}, {when('usage.today < 3')}", HELD), {"core.held": True}, True),
        ((f"{PERMIT}, {when('time.now >= core.opens')}", HELD_COUNT), {"usage.today": 4}, True),
        ((f"{PERMIT}, {when('usage.today < 3')}", HELD_ALONE), {"core.held": False}, False),
        ((f"{PERMIT}, {when('time.now >= core.opens')}", HELD_ALONE), {"core.held": False}, False),
    ],
)
def test_an_instant_that_a_confidential_rule_reads_is_not_shown_below_operator(
    written: tuple[str, ...], learned: dict[str, Any], *, is_confidential: bool
) -> None:
    """S2.3"""
    (found,) = at(rules(*written, more=SECRETIVE % ""), "2026-11-20T09:00:00Z", LEARNED | learned).awaits
    assert found.is_confidential is is_confidential
    assert (found.to_dict(Audience.AGENT) is None) is is_confidential
    assert found.to_dict(Audience.OPERATOR) is not None


@pytest.mark.parametrize(
    ("mark", "visible", "shown"),
    [
        ("", {}, {"end_user": True, "agent": True}),
        (", visible: {end_user: direction}", {Audience.END_USER: Visibility.DIRECTION}, {"end_user": False, "agent": True}),
        (", visible: {agent: hide}", {Audience.AGENT: Visibility.DIRECTION}, {"end_user": True, "agent": False}),
        (", visible: {end_user: show, agent: show}", {}, {"end_user": True, "agent": True}),
    ],
)  # fmt: skip
def test_an_instant_read_off_a_guarded_fact_is_not_told(mark: str, visible: Any, shown: dict[str, bool]) -> None:
    """S9.4: that waiting would help is told, when is not."""
    policy_set = rules(f"{PERMIT}, {when('time.now >= core.opens')}", more=SECRETIVE % mark)
    (found,) = at(policy_set, "2026-11-20T09:00:00Z", LEARNED | {"core.held": False}).awaits
    assert found.parts[0].visible == visible
    for audience in (Audience.END_USER, Audience.AGENT):
        told_ = found.to_dict(audience)
        assert told_ is not None
        assert ("earliest" in told_) is shown[audience.value]
        assert ("2026-11-20T15" in str(told_)) is shown[audience.value]
