"""Deadlines never outlast the rule, estimates never outlast the deadline (S7.3)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.adapters.zones import TzdataZones
from demur.core.desk import shedding, timing
from demur.core.desk.plan import NO_DESK, Desk, Hours, Shed, Timeouts, Window
from demur.core.desk.risk import Risk
from demur.core.desk.timing import Served, Service, Times
from demur.core.terms import Timestamp, parse_timestamp

ZONES = TzdataZones()
NOW = parse_timestamp("2026-11-20T15:00:00Z")  # a Friday, 16:00 in Berlin
OFFICE = Hours("Europe/Berlin", (Window((0, 1, 2, 3, 4), 9 * 60, 17 * 60),))
SECONDS = st.integers(1, 40 * 86_400)
DESKS = st.builds(
    Desk,
    hours=st.sampled_from([None, OFFICE]),
    timeouts=st.none()
    | st.builds(
        Timeouts,
        least=SECONDS,
        most=st.just(0) | SECONDS,
        by_risk=st.dictionaries(st.sampled_from(Risk), SECONDS, max_size=4),
    ),
)
SERVICES = st.none() | st.builds(Service, median=st.floats(0, 1e6), p90=st.floats(0, 1e7), pace=st.floats(0, 1e5))


def times(desk: Desk, risk: Risk, within: int, ahead: int = 0, service: Service | None = None) -> Times:
    return timing.times(desk, risk=risk, within=within, ahead=ahead, service=service, now=NOW, offset=ZONES.offset)


@given(DESKS, st.sampled_from(Risk), SECONDS, st.integers(0, 5_000), SERVICES)
def test_no_deadline_outlasts_the_rule_and_no_estimate_the_deadline(
    desk: Desk, risk: Risk, within: int, ahead: int, service: Service | None
) -> None:
    found = times(desk, risk, within, ahead, service)
    assert NOW < found.deadline <= NOW.plus(within)
    assert (found.estimated is None) is (service is None)
    assert found.estimated is None or NOW <= found.estimated <= found.deadline


@given(st.sampled_from(Risk), SECONDS)
def test_without_timeouts_the_rule_alone_says_it(risk: Risk, within: int) -> None:
    assert times(NO_DESK, risk, within).deadline == NOW.plus(within)


def test_a_risk_waits_in_open_hours() -> None:
    desk = Desk(hours=OFFICE, timeouts=Timeouts(by_risk={Risk.HIGH: 2 * 3_600}))
    assert str(times(desk, Risk.HIGH, 30 * 86_400).deadline) == "2026-11-23T09:00:00Z"  # an hour on Monday
    assert times(desk, Risk.LOW, 86_400).deadline == NOW.plus(86_400)


def test_least_and_most_are_of_the_clock() -> None:
    desk = Desk(timeouts=Timeouts(least=600, most=3_600, by_risk={Risk.LOW: 86_400, Risk.CRITICAL: 60}))
    assert times(desk, Risk.LOW, 30 * 86_400).deadline == NOW.plus(3_600)
    assert times(desk, Risk.CRITICAL, 30 * 86_400).deadline == NOW.plus(600)
    assert times(desk, Risk.CRITICAL, 599).deadline == NOW.plus(599)


def test_a_desk_known_to_need_longer_gets_longer_up_to_the_rule() -> None:
    desk = Desk(timeouts=Timeouts(by_risk={Risk.LOW: 600}))
    slow = Service(median=60, p90=1_200, pace=30)
    assert times(desk, Risk.LOW, 86_400, 0, slow).deadline == NOW.plus(1_200)
    assert times(desk, Risk.LOW, 86_400, 100, slow).deadline == NOW.plus(3_000)
    assert times(desk, Risk.LOW, 1_800, 100, slow).deadline == NOW.plus(1_800)


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=40))
def test_median_and_p90_are_those_of_the_sorted_list(took: list[int]) -> None:
    served = [Served(NOW, NOW.plus(seconds)) for seconds in took]
    found = timing.measure(NO_DESK, served, ZONES.offset)
    assert found is not None
    ordered = sorted(took)
    assert found.median == ordered[math.ceil(len(took) / 2) - 1]
    assert found.p90 == ordered[math.ceil(len(took) * 9 / 10) - 1]
    assert found.pace == pytest.approx((ordered[-1] - ordered[0]) / (len(took) - 1))


def test_too_few_say_nothing() -> None:
    assert timing.measure(NO_DESK, [Served(NOW, NOW.plus(1))] * 2, ZONES.offset) is None


def test_a_night_between_is_not_counted() -> None:
    evening, morning = NOW.plus(1_800), parse_timestamp("2026-11-23T08:30:00Z")
    found = timing.measure(Desk(hours=OFFICE), [Served(evening, morning)] * 3, ZONES.offset)
    assert found == Service(median=3_600.0, p90=3_600.0, pace=0.0)


LINES = (Shed(100, Risk.LOW, 60), Shed(500, Risk.MEDIUM, 60))


@pytest.mark.parametrize(
    ("risk", "waiting", "limit"),
    [
        (Risk.LOW, 99, 0),
        (Risk.LOW, 100, 100),
        (Risk.MEDIUM, 100, 0),
        (Risk.MEDIUM, 500, 500),
        (Risk.LOW, 10_000, 100),
        (Risk.HIGH, 10_000, 0),
        (Risk.CRITICAL, 10_000, 0),
    ],
)
def test_the_lowest_risks_are_turned_away_first(risk: Risk, waiting: int, limit: int) -> None:
    found = shedding.find(Desk(shed=LINES), risk, waiting)
    assert (found.over if found else 0) == limit


def again(waiting: int, service: Service | None) -> Timestamp:
    return shedding.again(Desk(shed=LINES), LINES[0], waiting, service, NOW, ZONES.offset)


def test_the_time_to_ask_again_is_when_there_is_probably_room() -> None:
    pace = Service(median=1, p90=1, pace=30)
    assert again(100, None) == NOW.plus(60)
    assert again(100, pace) == NOW.plus(60)
    assert again(109, pace) == NOW.plus(300)
    assert again(10**9, pace) == NOW.plus(14 * 86_400)
