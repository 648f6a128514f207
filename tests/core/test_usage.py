"""Windows of usage counters: calendar units in a declared zone, rolling spans, for ever (S4.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.adapters.zones import TzdataZones
from demur.core import usage
from demur.core.schema import Window
from demur.core.terms import NANOS, Timestamp, parse_timestamp

ZONES = TzdataZones()


def since(calendar: str, zone: str, now: str) -> str:
    return str(usage.since(Window(calendar=calendar, zone=zone), parse_timestamp(now), ZONES.offset))


@pytest.mark.parametrize(
    ("calendar", "zone", "now", "start"),
    [
        ("day", "UTC", "2026-11-20T09:00:00Z", "2026-11-20T00:00:00Z"),
        ("day", "Europe/Berlin", "2026-11-20T22:59:59Z", "2026-11-19T23:00:00Z"),
        ("day", "Europe/Berlin", "2026-11-20T23:00:00Z", "2026-11-20T23:00:00Z"),
        ("day", "Asia/Kathmandu", "2026-11-20T18:15:00Z", "2026-11-20T18:15:00Z"),
        ("day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z"),
        ("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z"),
        ("week", "UTC", "2026-11-20T09:00:00Z", "2026-11-16T00:00:00Z"),
        ("month", "America/New_York", "2026-11-20T09:00:00Z", "2026-11-01T04:00:00Z"),
        ("year", "UTC", "2026-11-20T09:00:00Z", "2026-01-01T00:00:00Z"),
        ("hour", "Asia/Kolkata", "2026-11-20T09:45:00Z", "2026-11-20T09:30:00Z"),
    ],
)
def test_a_calendar_window_begins_at_its_first_local_instant(calendar: str, zone: str, now: str, start: str) -> None:
    assert since(calendar, zone, now) == start


def test_a_rolling_window_begins_that_many_seconds_ago() -> None:
    assert usage.since(Window(seconds=60), Timestamp(100 * NANOS), ZONES.offset) == Timestamp(40 * NANOS)


def test_a_counter_without_a_window_counts_for_ever() -> None:
    assert str(usage.since(Window(), Timestamp(0), ZONES.offset)) == "0001-01-01T00:00:00Z"


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  (bounds are naive)
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Adelaide", "Asia/Tokyo"]),
)
def test_the_start_of_a_day_is_midnight_in_its_zone(moment: datetime, zone: str) -> None:
    now = Timestamp(int(moment.timestamp()) * NANOS)
    start = usage.since(Window(calendar="day", zone=zone), now, ZONES.offset)
    local = datetime.fromtimestamp(start.seconds, ZoneInfo(zone))
    assert (local.hour, local.minute, local.second) == (0, 0, 0)
    assert local.date() == moment.astimezone(ZoneInfo(zone)).date()
