"""Who is on duty: weekly shifts, shifts over midnight, dated ones and turns, in local time (S2.4)."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.adapters.zones import TzdataZones
from demur.core.desk.plan import Rota, Shift, Window
from demur.core.desk.rota import on_duty
from demur.core.terms import Timestamp, parse_timestamp

ZONES = TzdataZones()
BERLIN = ZoneInfo("Europe/Berlin")


def duty(at: str, *shifts: Shift) -> set[str]:
    return set(on_duty(Rota("Europe/Berlin", shifts), parse_timestamp(at), ZONES.offset))


NIGHT = Shift(people=("mara",), window=Window((4,), 22 * 60, 6 * 60))


@pytest.mark.parametrize(
    ("at", "who"),
    [
        ("2026-11-20T20:59:59Z", set[str]()),
        ("2026-11-20T21:00:00Z", {"mara"}),
        ("2026-11-21T04:59:59Z", {"mara"}),
        ("2026-11-21T05:00:00Z", set[str]()),
    ],
)
def test_a_shift_over_midnight_ends_on_the_next_day(at: str, who: set[str]) -> None:
    assert duty(at, NIGHT) == who


def test_a_dated_shift_begins_and_ends_at_its_instants() -> None:
    shift = Shift(
        people=("otto",), since=parse_timestamp("2026-12-24T00:00:00Z"), until=parse_timestamp("2026-12-25T00:00:00Z")
    )
    assert duty("2026-12-23T23:59:59Z", shift) == set()
    assert duty("2026-12-24T00:00:00Z", shift) == {"otto"}
    assert duty("2026-12-25T00:00:00Z", shift) == set()


def test_everybody_in_a_shift_of_the_moment_is_on_duty() -> None:
    always = Shift(people=("ines", "wim"))
    assert duty("2026-11-20T22:00:00Z", always, NIGHT) == {"ines", "wim", "mara"}
    assert duty("2026-11-20T22:00:00Z") == set()


def test_hands_change_at_the_same_local_time_after_the_clocks_did() -> None:
    turns = Shift(people=("a", "b"), since=parse_timestamp("2026-10-19T07:00:00Z"), turn_days=7)
    assert duty("2026-10-26T07:59:59Z", turns) == {"a"}  # still 08:59:59 in Berlin, an hour later in UTC
    assert duty("2026-10-26T08:00:00Z", turns) == {"b"}


@given(st.integers(0, 400 * 24), st.integers(1, 10), st.integers(1, 5))
def test_turns_go_round_by_local_days(hour: int, days: int, people: int) -> None:
    names = tuple("abcde"[:people])
    since = dt.datetime(2026, 1, 5, 9, tzinfo=BERLIN)
    at = since.astimezone(dt.UTC) + dt.timedelta(hours=hour)
    walls = at.astimezone(BERLIN).replace(tzinfo=None) - since.replace(tzinfo=None)
    expected = names[walls // dt.timedelta(days=1) // days % people]
    shift = Shift(people=names, since=Timestamp(int(since.timestamp()) * 1_000_000_000), turn_days=days)
    found = on_duty(Rota("Europe/Berlin", (shift,)), Timestamp(int(at.timestamp()) * 1_000_000_000), ZONES.offset)
    assert found == {expected}
