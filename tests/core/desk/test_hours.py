"""Open hours: counted instant by instant over real zones, clock changes and holidays (S2.4).

The oracle walks minute by minute over `zoneinfo` with the same release of the tz database; it shares no code with what
it checks.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from demur.adapters.zones import TzdataZones
from demur.core.desk import hours
from demur.core.desk.plan import Hours, Window
from demur.core.terms import Timestamp, parse_timestamp

ZONES = TzdataZones()
NAMES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC", "Africa/Casablanca")
MINUTE = dt.timedelta(minutes=1)


def is_open(plan: Hours, at: dt.datetime) -> bool:
    """Whether the wall clock at this instant lies in a window that opened today or yesterday, by definition."""
    wall = at.astimezone(ZoneInfo(plan.zone))
    for back in (0, 1):
        day = wall.date() - dt.timedelta(days=back)
        if day.isoformat() in plan.holidays:
            continue
        minute = (wall.hour * 60 + wall.minute) + back * 1440
        for window in plan.windows:
            closes = window.closes if window.closes > window.opens else window.closes + 1440
            if day.weekday() in window.days and window.opens <= minute < closes:
                return True
    return False


def moment(text: str) -> Timestamp:
    return parse_timestamp(text)


def as_datetime(at: Timestamp) -> dt.datetime:
    return dt.datetime.fromtimestamp(at.seconds, tz=dt.UTC)


WINDOWS = st.builds(
    Window,
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    opens=st.integers(0, 1439),
    closes=st.integers(0, 1440),
)
QUIET = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]),
    st.lists(WINDOWS, min_size=1, max_size=3),
    st.sets(st.sampled_from(["2026-06-02", "2026-06-03", "2026-06-08"])),
    st.integers(0, 10 * 1440),
    st.integers(0, 4 * 1440),
)
def test_it_counts_the_minutes_that_the_wall_clock_counts(
    zone: str, windows: list[Window], holidays: set[str], start: int, span: int
) -> None:
    plan = Hours(zone, tuple(windows), tuple(sorted(holidays)))
    begins = QUIET + start * MINUTE
    counted = sum(is_open(plan, begins + number * MINUTE) for number in range(span))
    first = Timestamp(int(begins.timestamp()) * 1_000_000_000)
    last = first.plus(span * 60)
    assert hours.between(plan, first, last, ZONES.offset) == counted * 60
    assert hours.is_open(plan, first, ZONES.offset) is is_open(plan, begins)


@settings(max_examples=60, deadline=None)
@given(st.lists(WINDOWS, min_size=1, max_size=3), st.integers(0, 10 * 1440), st.integers(1, 3_000))
def test_after_so_many_open_seconds_so_many_have_passed(windows: list[Window], start: int, minutes: int) -> None:
    plan = Hours("Europe/Berlin", tuple(windows))
    first = Timestamp(int((QUIET + start * MINUTE).timestamp()) * 1_000_000_000)
    # A desk that is hardly ever open does not reach so many minutes within the days that are looked at.
    assume(hours.between(plan, first, first.plus((hours.MAX_DAYS - 3) * 86_400), ZONES.offset) >= minutes * 60)
    end = hours.after(plan, first, minutes * 60, ZONES.offset)
    assert hours.between(plan, first, end, ZONES.offset) == minutes * 60
    assert not hours.between(plan, first, end.plus(-1), ZONES.offset) >= minutes * 60


NIGHT = Window((5,), 22 * 60, 6 * 60)


@pytest.mark.parametrize(
    ("start", "end", "open_hours"),
    [
        ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", 7),  # Saturday night, spring: 02:00 to 03:00 does not exist
        ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", 9),  # Saturday night, autumn: 02:00 to 03:00 comes twice
        ("2026-06-06T12:00:00Z", "2026-06-08T12:00:00Z", 8),
    ],
)
def test_a_night_over_a_clock_change_is_as_long_as_it_is(start: str, end: str, open_hours: int) -> None:
    plan = Hours("Europe/Berlin", (NIGHT,))
    assert hours.between(plan, moment(start), moment(end), ZONES.offset) == open_hours * 3_600


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("2026-03-29T02:30", "2026-03-29T01:30:00Z"),  # skipped: as the time before the change would give
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),  # twice: the first of the two
        ("2026-07-01T00:00", "2026-06-30T22:00:00Z"),
    ],
)
def test_a_local_time_is_one_instant(wall: str, utc: str) -> None:
    seconds = (dt.datetime.fromisoformat(wall) - dt.datetime(1970, 1, 1)) // dt.timedelta(seconds=1)  # noqa: DTZ001
    assert str(hours.instant("Europe/Berlin", seconds, ZONES.offset)) == utc


@pytest.mark.parametrize("zone", NAMES)
def test_local_time_and_instant_are_inverse_away_from_changes(zone: str) -> None:
    at = moment("2026-07-15T12:34:56Z")
    assert hours.instant(zone, hours.local(zone, at, ZONES.offset), ZONES.offset) == at


def test_a_desk_that_never_opens_counts_as_always_open() -> None:
    every_day = tuple((dt.date(2026, 1, 1) + dt.timedelta(days=day)).isoformat() for day in range(800))
    shut = Hours("UTC", (Window(tuple(range(7)), 0, 1440),), every_day)
    start = moment("2026-02-01T00:00:00Z")
    assert hours.after(shut, start, 90, ZONES.offset) == start.plus(90)


def test_a_desk_without_hours_is_always_open() -> None:
    start = moment("2026-02-01T00:00:00Z")
    assert hours.is_open(None, start, ZONES.offset)
    assert hours.after(None, start, 90, ZONES.offset) == start.plus(90)
    assert hours.between(None, start, start.plus(-5), ZONES.offset) == 0


def test_overlapping_windows_count_once() -> None:
    plan = Hours("UTC", (Window((0,), 8 * 60, 12 * 60), Window((0,), 10 * 60, 11 * 60)))
    monday = moment("2026-06-01T00:00:00Z")
    assert hours.between(plan, monday, monday.plus(86_400), ZONES.offset) == 4 * 3_600
