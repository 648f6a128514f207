"""Time zones come from the package that Demur ships with; a name reaches a zone or nothing (S2.4)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from demur.adapters.zones import TzdataZones
from demur.core.terms import NANOS, Timestamp, parse_timestamp

ZONES = TzdataZones()
BEGINNING = Timestamp(-62_135_596_800 * NANOS)
END = Timestamp(253_402_300_799 * NANOS)


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        ("UTC", "2026-07-01T00:00:00Z", 0),
        ("Europe/Berlin", "2026-01-01T00:00:00Z", 3_600),
        ("Europe/Berlin", "2026-03-29T00:59:59Z", 3_600),
        ("Europe/Berlin", "2026-03-29T01:00:00Z", 7_200),
        ("Europe/Berlin", "2026-10-25T00:59:59Z", 7_200),
        ("Europe/Berlin", "2026-10-25T01:00:00Z", 3_600),
        ("Asia/Kathmandu", "2026-01-01T00:00:00Z", 20_700),
        ("America/St_Johns", "2026-01-01T00:00:00Z", -12_600),
        ("Australia/Lord_Howe", "2026-04-04T14:59:59Z", 39_600),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", 37_800),
        ("Etc/GMT+5", "2026-01-01T00:00:00Z", -18_000),
    ],
)
def test_the_offset_at_an_instant(zone: str, at: str, expected: int) -> None:
    """Rules of the zones as published: European Union, Nepal, Newfoundland, Lord Howe (half an hour of summer time)."""
    assert ZONES.offset(zone, parse_timestamp(at)) == expected


def test_an_hour_in_which_the_offset_changes_is_not_remembered() -> None:
    """Lord Howe begins summer time at 02:00 local time, which is half past the hour in UTC."""
    zones = TzdataZones()
    moments = ("2026-10-03T15:00:00Z", "2026-10-03T15:29:59Z", "2026-10-03T15:30:00Z", "2026-10-03T15:00:01Z")

    assert [zones.offset("Australia/Lord_Howe", parse_timestamp(at)) for at in moments] == [
        37_800,
        37_800,
        39_600,
        37_800,
    ]


@pytest.mark.parametrize("at", [BEGINNING, END])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles"])
def test_the_first_and_the_last_instant_have_an_offset(zone: str, at: Timestamp) -> None:
    assert abs(ZONES.offset(zone, at)) <= 16 * 3_600


@pytest.mark.parametrize(
    "name",
    [
        *("", "Europe", "europe/berlin", "Europe/Berlin ", "Europe/Berlin\n", "Europe/Berlin\0", "EUROPE/BERLIN"),
        *("../zones", "Europe/../Europe/Berlin", "/etc/passwd", "Europe//Berlin", "./UTC", "tzdata.zi", "zone.tab"),
        *("__init__.py", "Mars/Olympus", "Europe\\Berlin", "UTC+1", "é", "\ud800"),
    ],
)
def test_a_name_that_is_no_zone_reaches_nothing(name: str) -> None:
    assert not ZONES.is_zone(name)
    with pytest.raises(KeyError):
        ZONES.offset(name, END)


def test_the_version_is_that_of_the_database() -> None:
    year, release = ZONES.version[:4], ZONES.version[4:]

    assert int(year) >= 2025
    assert release.isalpha()


def test_threads_agree_and_memory_stays_bounded() -> None:
    zones = TzdataZones()
    hours = [Timestamp(hour * 3_600 * NANOS) for hour in range(6_000)]
    with ThreadPoolExecutor(4) as pool:
        rounds = list(pool.map(lambda _: [zones.offset("Europe/Berlin", at) for at in hours], range(4)))

    assert rounds[0] == rounds[1] == rounds[2] == rounds[3]
    assert len(zones._hours) <= 4_096
