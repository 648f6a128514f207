"""The library: what each operator and function gives, and where it fails."""

from __future__ import annotations

import calendar
import datetime as dt
import math

import pytest

from demur.core.cel import Fault, Result
from demur.core.cel.text import MAX_PATTERN, MAX_PROGRAM, compile_pattern
from demur.core.terms import Duration, State, Timestamp, parse_timestamp
from tests.core.cel.given import evaluate

NOW = {"time.now": parse_timestamp("2009-02-13T23:31:30.123456789Z")}
OUT_OF_RANGE = Fault("the instant lies outside the years 0001 to 9999")
TOO_LONG = Fault("the duration does not fit into 64 bits of nanoseconds")
OVERFLOW = Fault("integer overflow")

GIVES: list[tuple[str, Result]] = [
    # integers
    ("9223372036854775807 + 1", OVERFLOW),
    ("-9223372036854775807 - 2", OVERFLOW),
    ("3037000500 * 3037000500", OVERFLOW),
    ("-(-9223372036854775807 - 1)", OVERFLOW),
    ("(-9223372036854775807 - 1) / -1", OVERFLOW),
    ("(-9223372036854775807 - 1) % -1", OVERFLOW),
    ("9223372036854775806 + 1", 2**63 - 1),
    ("-7 / 2", -3),
    ("7 / -2", -3),
    ("-7 % 2", -1),
    ("7 % -2", 1),
    ("5 % -1", 0),
    ("(-9223372036854775807 - 1) % 3", -2),
    ("0 / -3", 0),
    ("0 % -3", 0),
    ("1 / 0", Fault("division by zero")),
    ("1 % 0", Fault("modulus by zero")),
    # doubles
    ("1.0 / 0.0", math.inf),
    ("-1.0 / 0.0", -math.inf),
    ("1.0 / -0.0", -math.inf),
    ("0.0 / 0.0 == 0.0 / 0.0", False),
    ("0.0 / 0.0 != 0.0 / 0.0", True),
    ("0.0 / 0.0 < 1.0", False),
    ("0.0 / 0.0 in [0.0 / 0.0]", False),
    ("[0.0 / 0.0] == [0.0 / 0.0]", False),
    ("1e308 * 10.0", math.inf),
    ("7.5 / 2.5", 3.0),
    ("-7.5 / 2.5", -3.0),
    ("-1.0 / -0.0", math.inf),
    ("1.5 - 4.0", -2.5),
    ("0.0 == -0.0", True),
    # text
    ('size("a\\U0001f600é")', 3),
    ('"\\uffff" < "\\U0001f600"', True),
    ('"e\\u0301" == "\\u00e9"', False),
    ('size("\\U0010ffff\\ud7ff\\ue000")', 3),
    ('"abc".contains("")', True),
    ('"Straße".endsWith("ße")', True),
    ('"abc".startsWith("abcd")', False),
    ('"aXb".matches("^[a-z]+$")', False),
    ('"héllo".matches("^h.llo$")', True),
    ('matches("a\\nb", "a.b")', False),
    (r"R'\d' == r'\d'", True),
    (r"size(r'\') + size(R'''\''')", 2),
    ("'''a\rb\r\nc''' == 'a\\nb\\nc'", True),
    # lists and maps
    ("[1, 2][2]", Fault("index 2 is out of range for a list of 2")),
    ("[1, 2][-1]", Fault("index -1 is out of range for a list of 2")),
    ('{"a": 1}.b', Fault("no such key `b`")),
    ('{"a": 1}["b"]', Fault("no such key `b`")),
    ("{1: 2}[3]", Fault("no such key `3`")),
    ('{"a": 1, "a": 2}', Fault("the key `a` stands twice in a map")),
    ('has({"a": 1}.a)', True),
    ('has({"a": 1}.b)', False),
    ("[1] + [2, 3]", [1, 2, 3]),
    ("2 in {1: 1, 2: 2}", True),
    ("true in {true: 1}", True),
    ("[[1], [2]] == [[1], [2]]", True),
    ("[1, 2] != [1]", True),
    ('{"a": [1]} == {"a": [1]}', True),
    ('{"a": 1} == {"b": 1}', False),
    ('{"a": 1} == {"a": 2}', False),
    ('{"a": 1} == {"a": 1, "b": 2}', False),
    ('{"a": 1, "b": 2} == {"a": 1}', False),
    ('{"a": 1} != {"a": 1}', False),
    ('["a", "b"] == ["a", "b"]', True),
    ('["a", "b"] == ["a", "c"]', False),
    ("[1, 2] == [1, 3]", False),
    ("[1, 2] != [1, 2]", False),
    ("[1, 2] != [2, 1]", True),
    ('{"a": "x"} == {"a": "x"}', True),
    ("{}.size()", 0),
    ("{1: 2, 3: 4,}.size()", 2),
    ("false in {true: 1}", False),
    ("[3, 1, 2][1]", 1),
    ("resource.labels.env", "prod"),
    ("resource.labels.nope", Fault("no such key `nope`")),
    ("resource.owner.name", "Ann"),
    ("has(resource.owner.email)", False),
    ("resource.owners[1].email", "bo@example.org"),
    ("resource.owners[0].email", Fault("no such key `email`")),
    # conversions
    ('int("-42")', -42),
    ('int("9223372036854775808")', OVERFLOW),
    ('int("1.0")', Fault("`1.0` is not an integer")),
    ('int("１")', Fault("`１` is not an integer")),
    ('int("1_0")', Fault("`1_0` is not an integer")),
    ("int(-1.9)", -1),
    ("int(9223372036854775807.0)", Fault("the double does not fit into a 64-bit integer")),
    ("int(-9223372036854775808.0)", Fault("the double does not fit into a 64-bit integer")),
    ("int(0.0 / 0.0)", Fault("the double does not fit into a 64-bit integer")),
    ('int(timestamp("1969-12-31T23:59:59.5Z"))', -1),
    ('double("1e400")', math.inf),
    ('double("1_0")', Fault("`1_0` is not a number")),
    ('double("0x10")', Fault("`0x10` is not a number")),
    ("double(3)", 3.0),
    ('bool("t")', True),
    ('bool("FALSE")', False),
    ('bool("yes")', Fault("`yes` is not a bool")),
    ("string(true)", "true"),
    ("string(false)", "false"),
    ("string(100.0)", "100"),
    ("string(120.5)", "120.5"),
    ("string(0.05)", "0.05"),
    ("string(0.0001)", "0.0001"),
    ("string(0.00012)", "0.00012"),
    ("string(0.00001)", "1e-05"),
    ("string(100000.0)", "100000"),
    ("string(1000000.0)", "1e+06"),
    ("string(1234567.0)", "1.234567e+06"),
    ("string(-2.5)", "-2.5"),
    ("string(0.0)", "0"),
    ("string(-0.0)", "-0"),
    ("string(1e300)", "1e+300"),
    ("string(1.0 / 0.0)", "inf"),
    ("string(-1.0 / 0.0)", "-inf"),
    ("string(0.0 / 0.0)", "nan"),
    ('double("infe5")', Fault("`infe5` is not a number")),
    ('double("1e5x" + "y")', Fault("`1e5xy` is not a number")),
    ("string(-5)", "-5"),
    ("string(1.0)", "1"),
    ("string(0.1)", "0.1"),
    ("string(-0.0)", "-0"),
    ("string(123456.75)", "123456.75"),
    ("string(999999.0)", "999999"),
    ("string(1000000.0)", "1e+06"),
    ("string(123456789.0)", "1.23456789e+08"),
    ("string(0.0001)", "0.0001"),
    ("string(0.00001)", "1e-05"),
    ("string(1.5e300)", "1.5e+300"),
    ("string(5e-324)", "5e-324"),
    ("string(1.0 / 0.0)", "inf"),
    ("string(-1.0 / 0.0)", "-inf"),
    ("string(0.0 / 0.0)", "nan"),
    ('string(duration("1h30m"))', "5400s"),
    ('string(duration("-0.5s"))', "-0.500s"),
    ('string(duration("1us"))', "0.000001s"),
    ('string(timestamp("2021-06-30T22:15:00+05:30"))', "2021-06-30T16:45:00Z"),
    ('string(timestamp("0001-01-01T00:00:00.12Z"))', "0001-01-01T00:00:00.120Z"),
    ('string(timestamp("9999-12-31T23:59:59.123456789Z"))', "9999-12-31T23:59:59.123456789Z"),
    ('string(timestamp("2020-01-01T00:00:00.123456Z"))', "2020-01-01T00:00:00.123456Z"),
    ("timestamp(1)", Timestamp(1_000_000_000)),
    ("timestamp(int(string(253402300800)))", OUT_OF_RANGE),
    ('timestamp(string(1) + "x")', Fault("`1x` is not an RFC 3339 time such as `2026-11-20T09:00:00Z`")),
    ('duration(string(1) + "x")', Fault("`1x` is not a duration such as `90s` or `1h30m`")),
    ('timestamp(string(2020) + "-01-01T00:00:00+24:00")',
     Fault("`2020-01-01T00:00:00+24:00` is not an RFC 3339 time such as `2026-11-20T09:00:00Z`")),
    ('timestamp("2020-01-01T00:00:00-23:59") == timestamp("2020-01-01T23:59:00Z")', True),
    # times
    ('timestamp("9999-12-31T23:59:59Z") + duration("1s")', OUT_OF_RANGE),
    ('timestamp("9999-12-31T23:59:59Z") + duration("0.5s") > timestamp("9999-12-31T23:59:59Z")', True),
    ('timestamp("0001-01-01T00:00:00Z") - duration("0s") == timestamp("0001-01-01T00:00:00Z")', True),
    ('timestamp(int(string(253402300799))) == timestamp("9999-12-31T23:59:59Z")', True),
    ('timestamp(-62135596800) == timestamp("0001-01-01T00:00:00Z")', True),
    ("timestamp(int(string(-62135596801)))", OUT_OF_RANGE),
    ('duration("315576000000.999999999s") > duration("-315576000000.999999999s")', True),
    ('duration(string(315576000001) + "s")', Fault("the duration `315576000001s` exceeds 10000 years")),
    ('duration("-" + string(315576000001) + "s")', Fault("the duration `-315576000001s` exceeds 10000 years")),
    ('duration("0.5s").getMilliseconds()', 500),
    ('timestamp("0001-01-01T00:00:00Z") - duration("1ns")', OUT_OF_RANGE),
    ('timestamp("9999-12-31T23:59:59Z") - timestamp("0001-01-01T00:00:00Z")', TOO_LONG),
    ('duration("9223372036s") + duration("1s")', TOO_LONG),
    ('duration("-9223372036s") - duration("1s")', TOO_LONG),
    ('duration("200000000000s") + duration("0s")', TOO_LONG),
    ('duration("1s") - duration("200000000000s")', TOO_LONG),
    ('duration("200000000000s") - duration("199999999999s")', TOO_LONG),
    ('duration("-200000000000s") + duration("199999999999s")', TOO_LONG),
    ('duration("315576000000s") > duration("1s")', True),
    ('timestamp("2000-01-01T00:00:00Z") + duration("200000000000s") > timestamp("8000-01-01T00:00:00Z")', True),
    ('duration("1h") - duration("30m")', Duration(1_800_000_000_000)),
    ('duration("-90.5s").getSeconds()', -90),
    ('duration("-90.5s").getMilliseconds()', -500),
    ('duration("-90s").getMinutes()', -1),
    ('duration("36h").getHours()', 36),
    ('duration("9223372037s") + duration("-1s")', TOO_LONG),
    ('duration("-1s") + duration("9223372037s")', TOO_LONG),
    ('duration("9223372037s") - duration("1s")', TOO_LONG),
    ('duration("1s") - duration("-9223372035s")', Duration(9_223_372_036 * 10**9)),
    ('duration("1s") + duration("2s")', Duration(3 * 10**9)),
    ('duration("-9223372036.854775808s") + duration("0s")', Duration(-(2**63))),
    ('duration("9223372036.854775807s") - duration("0s")', Duration(2**63 - 1)),
    ('duration("-90s").getHours()', 0),
]  # fmt: skip

PARTS = {
    "getFullYear": 2009, "getMonth": 1, "getDate": 13, "getDayOfMonth": 12, "getDayOfWeek": 5, "getDayOfYear": 43,
    "getHours": 23, "getMinutes": 31, "getSeconds": 30, "getMilliseconds": 123,
}  # fmt: skip


def is_same(found: object, wanted: object) -> bool:
    return type(found) is type(wanted) and (found == wanted or (found != found and wanted != wanted))  # noqa: PLR0124


@pytest.mark.parametrize(("text", "value"), GIVES, ids=[text for text, _ in GIVES])
def test_what_a_condition_gives(text: str, value: Result) -> None:
    assert is_same(evaluate(text), value), evaluate(text)


@pytest.mark.parametrize(("part", "value"), PARTS.items())
def test_a_part_of_the_calendar_in_utc(part: str, value: int) -> None:
    assert evaluate(f"time.now.{part}()", NOW) == value
    assert evaluate(f'time.now.{part}("UTC")', NOW) == value


@pytest.mark.parametrize(
    ("part", "zone", "value"),
    [
        ("getDate", "Europe/Berlin", 14),
        ("getDayOfWeek", "Europe/Berlin", 6),
        ("getHours", "America/New_York", 18),
        ("getHours", "+05:30", 5),
        ("getMinutes", "+05:30", 1),
        ("getMinutes", "-02:30", 1),
        ("getHours", "02:00", 1),
        ("getSeconds", "-00:00", 30),
    ],
)
def test_a_part_of_the_calendar_in_a_zone(part: str, zone: str, value: int) -> None:
    """S2.4: the zone is written in the condition, never the host's."""
    assert evaluate(f'time.now.{part}("{zone}")', NOW) == value


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../etc/passwd", "+24:00", "+5:30", "Z", "x" * 500])
def test_a_zone_that_does_not_exist_fails_when_it_is_read(zone: str) -> None:
    given: dict[str, State] = {**NOW, "subject.role": zone}
    assert evaluate("time.now.getHours(subject.role)", given) == Fault(f"`{zone[:64]}` is not a time zone")


@pytest.mark.parametrize(
    ("text", "zone", "year"), [("0001-01-01T00:00:00Z", "-05:00", 0), ("9999-12-31T23:59:59Z", "+05:00", 10_000)]
)
def test_a_zone_may_carry_an_instant_out_of_the_calendar(text: str, zone: str, year: int) -> None:
    assert evaluate(f'timestamp("{text}").getFullYear("{zone}")') == year


@pytest.mark.parametrize(
    ("date", "day_of_year"),
    [
        ("2023-03-01", 59),
        ("2024-03-01", 60),
        ("1900-12-31", 364),
        ("2000-12-31", 365),
        ("2024-02-29", 59),
        ("2024-01-01", 0),
    ],
)
def test_the_day_of_the_year_knows_leap_years(date: str, day_of_year: int) -> None:
    assert evaluate(f'timestamp("{date}T12:00:00Z").getDayOfYear()') == day_of_year


@pytest.mark.parametrize("year", [1, 4, 100, 399, 400, 401, 1600, 1999, 2000, 2001, 2100, 2399, 2400, 9999])
def test_the_ends_of_years_and_of_february_are_where_the_calendar_has_them(year: int) -> None:
    last = dt.date(year, 2, 29 if calendar.isleap(year) else 28)
    for day in (dt.date(year, 1, 1), last, dt.date(year, 3, 1), dt.date(year, 12, 31)):
        text = f"{day.isoformat()}T00:00:00Z"
        assert evaluate(f'string(timestamp("{text}"))') == text
        assert evaluate(f'timestamp("{text}").getFullYear()') == year


@pytest.mark.parametrize("month", range(1, 13))
@pytest.mark.parametrize("year", [1900, 1970, 2023, 2024])
def test_the_parts_of_a_date_are_those_of_the_calendar(year: int, month: int) -> None:
    for day in (dt.date(year, month, 1), dt.date(year, month, calendar.monthrange(year, month)[1])):
        assert evaluate(f'string(timestamp("{day.isoformat()}T00:00:00Z"))') == f"{day.isoformat()}T00:00:00Z"
    day = dt.date(year, month, 15)
    instant = f'timestamp("{day.isoformat()}T01:02:03Z")'
    assert evaluate(f"{instant}.getDayOfYear()") == day.timetuple().tm_yday - 1
    assert evaluate(f"{instant}.getMonth()") == month - 1
    assert evaluate(f"{instant}.getDayOfWeek()") == day.isoweekday() % 7
    assert evaluate(f"string({instant})") == f"{day.isoformat()}T01:02:03Z"


@pytest.mark.parametrize(
    ("call", "text", "what"),
    [
        ("timestamp", "x" * 60, f"`{'x' * 40}` is not an RFC 3339 time such as `2026-11-20T09:00:00Z`"),
        ("duration", "9" * 60 + "s", f"the duration `{'9' * 40}` exceeds 10000 years"),
    ],
)
def test_a_long_text_that_is_no_time_is_shown_by_its_beginning(call: str, text: str, what: str) -> None:
    assert evaluate(f"{call}(subject.role)", {"subject.role": text}) == Fault(what)


@pytest.mark.parametrize(
    ("call", "what"),
    [("int", "an integer"), ("double", "a number"), ("bool", "a bool")],
)
def test_a_long_text_that_does_not_convert_is_shown_by_its_beginning(call: str, what: str) -> None:
    given: dict[str, State] = {"subject.role": "x" * 60}
    assert evaluate(f"{call}(subject.role)", given) == Fault(f"`{'x' * 40}` is not {what}")


def test_a_text_that_only_looks_like_a_number_is_shown_by_its_beginning() -> None:
    given: dict[str, State] = {"subject.role": "infe" + "5" * 60}
    assert evaluate("double(subject.role)", given) == Fault(f"`infe{'5' * 36}` is not a number")


@pytest.mark.parametrize("call", ["int", "double"])
def test_a_text_of_400_characters_is_the_longest_number(call: str) -> None:
    assert evaluate(f"{call}(subject.role)", {"subject.role": "7".rjust(400, "0")}) == 7
    assert isinstance(evaluate(f"{call}(subject.role)", {"subject.role": "7".rjust(401, "0")}), Fault)


def test_a_duration_of_100_characters_is_the_longest() -> None:
    given: dict[str, State] = {"subject.role": "7s".rjust(100, "0")}
    assert evaluate("duration(subject.role)", given) == Duration(7 * 10**9)
    given = {"subject.role": "7s".rjust(101, "0")}
    assert evaluate("duration(subject.role)", given) == Fault("a duration has at most 100 characters")


def test_a_long_key_is_shown_by_its_beginning() -> None:
    given: dict[str, State] = {"subject.role": "k" * 100}
    assert evaluate("resource.labels[subject.role]", given) == Fault(f"no such key `{'k' * 64}`")
    twice = f'{{subject.role: 1, "{"k" * 100}": 2}}'
    assert evaluate(twice, given) == Fault(f"the key `{'k' * 64}` stands twice in a map")


def test_a_pattern_that_is_a_fact_is_compiled_when_it_is_read() -> None:
    assert evaluate("resource.note.matches(subject.role)", {"subject.role": "^n$"}) is True
    broken = evaluate("resource.note.matches(subject.role)", {"subject.role": "("})
    assert broken == Fault("not a regular expression of RE2: missing ): (")


def test_a_pattern_may_be_as_large_as_its_bounds() -> None:
    assert evaluate("resource.note.matches(subject.role)", {"subject.role": f"[{'n' * (MAX_PATTERN - 2)}]"}) is True
    largest = next(size for size in range(900, 1_100) if compile_pattern(f"a{{{size}}}").programsize == MAX_PROGRAM)
    assert evaluate("resource.note.matches(subject.role)", {"subject.role": f"a{{{largest}}}"}) is False
    assert isinstance(evaluate("resource.note.matches(subject.role)", {"subject.role": f"a{{{largest + 1}}}"}), Fault)


def test_a_lone_surrogate_in_a_pattern_or_a_text_is_no_error_of_the_program() -> None:
    assert isinstance(evaluate("resource.note.matches(subject.role)", {"subject.role": "(\ud800"}), Fault)
    assert evaluate("resource.note.matches(subject.role)", {"resource.note": "\ud800n", "subject.role": "n$"}) is True


def test_a_broken_pattern_is_told_in_short_and_only_in_the_fault(capfd: pytest.CaptureFixture[str]) -> None:
    found = evaluate("resource.note.matches(subject.role)", {"subject.role": "(" + "a" * 200})
    assert found == Fault("not a regular expression of RE2: " + ("missing ): (" + "a" * 200)[:80])
    assert capfd.readouterr() == ("", "")


def test_the_size_of_a_pattern_is_bounded() -> None:
    given: dict[str, State] = {"subject.role": "a" * (MAX_PATTERN + 1)}
    assert evaluate("resource.note.matches(subject.role)", given) == Fault(
        f"a regular expression has at most {MAX_PATTERN} characters, found {MAX_PATTERN + 1}"
    )
    given = {"subject.role": "(a{90}b{90}c{90}d{90}){3}"}
    found = evaluate("resource.note.matches(subject.role)", given)
    assert isinstance(found, Fault)
    assert found.message.startswith("the regular expression is too large")


def test_membership_of_a_fact_in_a_fact() -> None:
    assert evaluate("subject.role in subject.roles") is True
    assert evaluate("subject.role in subject.roles", {"subject.role": "x"}) is False
    assert evaluate("action.rate in [1.0, 1.5]") is True
    assert evaluate("action.amount in [1, 2]") is False
    assert evaluate("action.amount in resource.counts", {"action.amount": 3}) is True
