"""A value has its declared type or it is refused, with the place, what was expected and what was found (S1.2, S1.3)."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core.conform import MAX_DEPTH, ConformError, conform
from demur.core.schema import Field, Kind, Type
from demur.core.terms import MAX_INT, Duration, Timestamp

NULL, BOOL, INT, DOUBLE, STRING, DYN = (
    Type(kind) for kind in (Kind.NULL, Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.DYN)
)
TIMESTAMP, DURATION = Type(Kind.TIMESTAMP), Type(Kind.DURATION)
INTS = Type(Kind.LIST, element=INT)
LIMITS = Type(Kind.MAP, key=STRING, element=DOUBLE)
PERSON = Type(Kind.OBJECT, fields=(Field("name", STRING), Field("a/b", INTS, optional=True)))
NINE = Timestamp(1_795_165_200 * 10**9)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        (None, NULL, None),
        (True, BOOL, True),
        (MAX_INT, INT, MAX_INT),
        (-MAX_INT, INT, -MAX_INT),
        (Level.ONE, INT, 1),
        (1, DOUBLE, 1.0),
        (0.5, DOUBLE, 0.5),
        ("grün 👍 \x00", STRING, "grün 👍 \x00"),
        (Colour.RED, STRING, "red"),
        ("2026-11-20T09:00:00Z", TIMESTAMP, NINE),
        ("2026-11-20T10:00:00.000+01:00", TIMESTAMP, NINE),
        (dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC), TIMESTAMP, NINE),
        (dt.datetime(2026, 11, 20, 11, tzinfo=dt.timezone(dt.timedelta(hours=2))), TIMESTAMP, NINE),
        (NINE, TIMESTAMP, NINE),
        ("1h30m", DURATION, Duration(5_400 * 10**9)),
        (dt.timedelta(milliseconds=-5), DURATION, Duration(-5_000_000)),
        ((1, 2), INTS, [1, 2]),
        ({"day": 1, "week": 2.5}, LIMITS, {"day": 1.0, "week": 2.5}),
        (OrderedDict(name="Ann"), PERSON, {"name": "Ann"}),
        ({"name": "Ann", "a/b": []}, PERSON, {"name": "Ann", "a/b": []}),
        ({"x": [1, None, {"y": 0.5}]}, DYN, {"x": [1, None, {"y": 0.5}]}),
    ],
)
def test_a_value_of_the_type_is_taken_in_its_read_form(value: object, declared: Type, expected: object) -> None:
    found = conform(value, declared)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "declared", "message"),
    [
        (0, NULL, "expected null, found an int"),
        (1, BOOL, "expected a bool, found an int"),
        ("true", BOOL, "expected a bool, found a string"),
        (True, INT, "expected an int within +-(2^53-1), found a bool"),
        (1.0, INT, "expected an int within +-(2^53-1), found a double"),
        (MAX_INT + 1, INT, "expected an int within +-(2^53-1), found an int beyond 2^53-1"),
        (-MAX_INT - 1, DOUBLE, "expected a finite double, found an int beyond 2^53-1"),
        (float("nan"), DOUBLE, "expected a finite double, found a number that is not finite"),
        (float("-inf"), DOUBLE, "expected a finite double, found a number that is not finite"),
        (False, DOUBLE, "expected a finite double, found a bool"),
        (None, STRING, "expected a string, found null"),
        (b"x", STRING, "expected a string, found a value of no declared type"),
        ("\ud800", STRING, "expected a string, found a string with a lone surrogate"),
        ("tomorrow", TIMESTAMP, "expected an RFC 3339 time such as `2026-11-20T09:00:00Z`, found other text"),
        (
            "2026-13-01T00:00:00Z",
            TIMESTAMP,
            "expected an RFC 3339 time such as `2026-11-20T09:00:00Z`, found other text",
        ),
        (
            dt.datetime.fromisoformat("2026-01-01T00:00:00"),
            TIMESTAMP,
            "expected an RFC 3339 time such as `2026-11-20T09:00:00Z`, found a time without an offset",
        ),
        (
            dt.date(2026, 1, 1),
            TIMESTAMP,
            "expected an RFC 3339 time such as `2026-11-20T09:00:00Z`, found a value of no declared type",
        ),
        (Timestamp(10**30), TIMESTAMP, "expected a time within the years 0001 to 9999, found a time outside them"),
        (5, DURATION, "expected a duration such as `90s`, at most 10,000 years, found an int"),
        ("9" * 5_000 + "h", DURATION, "expected a duration such as `90s`, at most 10,000 years, found other text"),
        ("999999999999h", DURATION, "expected a duration such as `90s`, at most 10,000 years, found a longer one"),
        ("abc", INTS, "expected a value of type list<int>, found a string"),
        ({1}, INTS, "expected a value of type list<int>, found a value of no declared type"),
        ([1, "x"], INTS, "at `/1`: expected an int within +-(2^53-1), found a string"),
        ([], LIMITS, "expected a value of type map<string, double>, found a list"),
        ({1: 2.0}, LIMITS, "expected a string, found an int"),
        ({"a/~": "x"}, LIMITS, "at `/a~1~0`: expected a finite double, found a string"),
        ({}, PERSON, "at `/name`: expected a value of type string, found nothing"),
        ({"name": "Ann", "age": 1}, PERSON, "at `/age`: expected no such field, found an int"),
        ({"name": "Ann", "a/b": [True]}, PERSON, "at `/a~1b/0`: expected an int within +-(2^53-1), found a bool"),
        ({"x": object()}, DYN, "at `/x`: expected a value of some type, found a value of no declared type"),
    ],
)
def test_anything_else_is_refused_with_place_and_reason(value: object, declared: Type, message: str) -> None:
    with pytest.raises(ConformError) as caught:
        conform(value, declared)

    assert str(caught.value) == message


def test_a_refusal_never_quotes_the_value() -> None:
    with pytest.raises(ConformError) as caught:
        conform("hunter2", INT)

    assert "hunter2" not in str(caught.value)


def test_nesting_ends_at_the_limit_even_for_a_list_within_itself() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(ConformError, match=f"expected nesting of at most {MAX_DEPTH}, found deeper nesting"):
        conform(endless, DYN)


def test_the_deepest_value_that_may_be_nested_is_taken() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]

    assert conform(deep, DYN) == deep
    with pytest.raises(ConformError):
        conform([deep], DYN)


def test_what_comes_back_is_a_copy() -> None:
    given_rows = [1]
    found = conform(given_rows, INTS)
    given_rows.append(2)

    assert found == [1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from([NULL, BOOL, INT, DOUBLE, STRING, TIMESTAMP, DURATION, INTS, LIMITS, PERSON, DYN])


@given(JSON, TYPES)
def test_any_value_is_taken_or_refused_and_taking_twice_changes_nothing(value: object, declared: Type) -> None:
    try:
        found = conform(value, declared)
    except ConformError:
        return

    assert conform(found, declared) == found
