"""Conditions over values that nobody declared: types read off the values, mixed ones checked as they are read."""

from __future__ import annotations

import json
import math
from types import MappingProxyType

import pytest

from demur.core.cel import Fault, Result, Scope, Unknown, Variable, adhoc, check, infer, json_text, to_json
from demur.core.cel.lattice import DYN
from demur.core.terms import Duration, Timestamp, Value
from demur.errors import ConditionError
from tests.core.cel.given import ZONES

MIXED: list[tuple[str, Result]] = [
    ('[1, "a"][0] + 1', 2),
    ('[1, "a"][1] + 1', Fault("no such overload: `_+_` on string, int")),
    ('[1, "a"][0] < 1.5', True),
    ('[1, "a"][0] == 1.0', True),
    ('[1, "a"][1] == 1', False),
    ('[true, "a"][0] == 1', False),
    ('[true, "a"][0] && true', True),
    ('[true, "a"][1] && true', Fault("no such overload: `&&` and `||` need bool")),
    ('[true, "a"][1] && false', False),
    ('![true, "a"][1]', Fault("no such overload: `!` on string")),
    ('[true, "a"][1] ? 1 : 2', Fault("no such overload: `?:` on string")),
    ('[{"a": 1}, "b"][0].a', 1),
    ('[{"a": 1}, "b"][1].a', Fault("no such overload: `.a` on string")),
    ('has([{"a": 1}, "b"][0].b)', False),
    ('has([{"a": 1}, "b"][1].a)', Fault("no such overload: `has` on string")),
    ('[[1, 2], "b"][0].all(x, x > 0)', True),
    ('[[1, 2], "b"][1].all(x, x > 0)', Fault("no such overload: `macro` on string")),
    ('1.0 in [1, "a"]', True),
    ('true in [1, "a"]', False),
    ('{1: "a", "b": 2}[1.0]', "a"),
    ('true in {1: "a", "b": 2}', False),
    ('1 in {true: "a", "b": 2}', False),
    ('true in {true: "a", "b": 2}', True),
    ('{true: "a", "b": 1} == {1: "a", "b": 1}', False),
    ('{1: "a", "b": 2}[1.5]', Fault("no such key `1.5`")),
    ('{1: "a", "b": 2}[0.0 / 0.0]', Fault("no such key `nan`")),
    ('{1: "a", "b": 2}[1.0 / 0.0]', Fault("no such key `inf`")),
    ('false in {0: "a", "b": 2}', False),
    ('0 in {false: "a", "b": 2}', False),
    ('false in {false: "a", "b": 2}', True),
    ('0 in {0: "a", "b": 2}', True),
    ('[["a"], "a"][0] == [["a"], "a"][1]', False),
    ('[["a"], "a"][1] == [["a"], "a"][0]', False),
    ('[{"a": 1}, "a"][0] == [{"a": 1}, "a"][1]', False),
    ('[1, "a"][1] == "a"', True),
    ('[1, "a"] == [1, "a"]', True),
    ('[1, "a"] == [1.0, "a"]', True),
    ('[1, "a"] == [true, "a"]', False),
    ('[true, "a"] == [1, "a"]', False),
    ('[[1, 2], "b"][0][0.0 / 0.0]', Fault("an index is a whole number")),
    ('[[1, 2], "b"][0] + [3]', [1, 2, 3]),
    ('[[1, 2], "b"][0][1.0]', 2),
    ('[[1, 2], "b"][0][0.5]', Fault("an index is a whole number")),
    ('size([1, "ab"][1])', 2),
    ('size([1, "ab"][0])', Fault("no such overload: `size` on int")),
    ('[1, "a"].map(x, x == 1)', [True, False]),
    ("[1, null] == [1, null]", True),
    ('{[1, "a"][0]: 2}[1]', 2),
    ('{[1.5, "a"][0]: 2}', Fault("no such overload: `{:}` on double")),
    ('[timestamp(0), 1][0].getFullYear("+01:00")', 1970),
    ('["a", 1][0].matches("^a$")', True),
    ('["a", 1][1].matches("^a$")', Fault("no such overload: `matches` on int, string")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), MIXED, ids=[text for text, _ in MIXED])
def test_values_of_mixed_types_are_checked_when_they_are_read(text: str, value: Result) -> None:
    found = adhoc(text, {}, ZONES)
    assert (type(found), found) == (type(value), value)


def test_what_no_type_could_satisfy_is_refused() -> None:
    with pytest.raises(ConditionError, match="`-` does not take dyn and string"):
        adhoc('[1, "a"][1] - "b"', {}, ZONES)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (-(2**63), "int"), (2**63 - 1, "int"),
        (None, "null"), (True, "bool"), (1, "int"), (1.0, "double"), ("a", "string"), (Timestamp(0), "timestamp"),
        (Duration(0), "duration"), ([], "list<dyn>"), ([1, 2], "list<int>"), ([1, 2.0], "list<dyn>"),
        ([[1], []], "list<list<int>>"), ({"a": 1}, "map<string, int>"), ({"a": 1, "b": "x"}, "map<string, dyn>"),
        ({"a": {"b": [True]}}, "map<string, map<string, list<bool>>>"), ({1: "x"}, "map<int, string>"),
    ],
)  # fmt: skip
def test_a_type_is_read_off_the_value(value: object, type_: str) -> None:
    assert str(infer(value)) == type_


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**63, "`x`: expected an integer of 64 bits, found a larger one"),
        ("\ud800", "`x`: expected text, found a lone surrogate, which is no character"),
        ({"\ud800": 1}, "`x`: expected text, found a lone surrogate, which is no character"),
        (b"a", "`x`: expected a value of JSON, found something else"),
        ({1.5: 1}, "`x`: expected keys that are text, int or bool, found another key"),
        (object(), "`x`: expected a value of JSON, found something else"),
    ],
)
def test_a_value_that_is_no_json_is_refused(value: object, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        adhoc("x", {"x": value}, ZONES)
    assert str(caught.value) == message


def test_a_value_nested_too_deep_is_refused() -> None:
    value: object = 1
    for _ in range(32):
        value = [value]
    assert adhoc("x == x", {"x": value}, ZONES) is True
    with pytest.raises(ConditionError, match="at most 32 levels of nesting"):
        adhoc("x == x", {"x": [value]}, ZONES)


def test_maps_nested_too_deep_are_refused() -> None:
    value: object = 1
    for _ in range(32):
        value = {"a": value}
    assert adhoc("x == x", {"x": value}, ZONES) is True
    with pytest.raises(ConditionError) as caught:
        adhoc("x == x", {"x": {"a": value}}, ZONES)
    assert str(caught.value) == "`x`: expected at most 32 levels of nesting, found more"
    assert (caught.value.expected, caught.value.found) == ("at most 32 levels of nesting", "more")


@pytest.mark.parametrize("value", [{"a": b"x"}, [b"x"], {"a": [{"b": b"x"}]}])
def test_what_is_no_json_within_a_value_is_told_by_the_name_of_the_value(value: object) -> None:
    with pytest.raises(ConditionError) as caught:
        adhoc("x == x", {"x": value}, ZONES)
    assert str(caught.value) == "`x`: expected a value of JSON, found something else"


def test_a_mapping_is_a_map_and_a_sequence_a_list_of_whatever_class() -> None:
    assert adhoc("x.a + size(y)", {"x": MappingProxyType({"a": 1}), "y": range(3)}, ZONES) == 4
    assert adhoc("[x, 1][0] == {'a': 1}", {"x": MappingProxyType({"a": 1})}, ZONES) is True
    assert adhoc("size([x, 1][0])", {"x": range(3)}, ZONES) == 3
    assert adhoc("[x, 1][0]['a']", {"x": MappingProxyType({"a": 1})}, ZONES) == 1
    assert adhoc("[x, 1][0][2]", {"x": range(3)}, ZONES) == 2


def test_what_is_named_unknown_stays_unknown_whatever_its_type_would_be() -> None:
    assert adhoc("x.y > 1 && z", {"z": True}, ZONES, unknown=["x"]) == Unknown(("x",))
    assert adhoc("x.y > 1 && z", {"z": False}, ZONES, unknown=["x"]) is False
    assert adhoc("x", {"x": 1}, ZONES, unknown={"x"}) == Unknown(("x",))


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("size(x)", "int"),
        ("x + 1", "int"),
        ("x + y", "dyn"),
        ("x + [1]", "dyn"),
        ("x < 1", "bool"),
        ("x.y", "dyn"),
        ("has(x.y)", "bool"),
        ("x[0]", "dyn"),
        ("x in y", "bool"),
        ("string(x)", "string"),
        ("x.getHours()", "int"),
        ('x.contains("a")', "bool"),
        ("x - timestamp(0)", "duration"),
        ("x ? 1 : y", "dyn"),
    ],
)
def test_what_is_known_of_a_type_is_known_before_the_value_is(text: str, type_: str) -> None:
    scope = Scope({"x": Variable(0, DYN), "y": Variable(1, DYN)}, lambda _: True, dynamic=True)
    assert str(check(text, scope).type) == type_


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('size(x) == "a"', "`==` does not take int and string"),
        ("has(x.y) + 1", "`+` does not take bool and int"),
        ("(x in y) < 1", "`<` does not take bool and int"),
        ("x + 1 + 1.5", "`+` does not take int and double"),
        ("x % 1.5", "`%` does not take dyn and double"),
    ],
)
def test_what_is_known_of_a_type_is_used(text: str, message: str) -> None:
    scope = Scope({"x": Variable(0, DYN), "y": Variable(1, DYN)}, lambda _: True, dynamic=True)
    with pytest.raises(ConditionError) as caught:
        check(text, scope)
    assert str(caught.value) == message


def test_an_undeclared_name_is_refused() -> None:
    with pytest.raises(ConditionError, match="`y` is not declared"):
        adhoc("y || true", {"x": True}, ZONES)


def test_a_zone_is_asked_of_the_zones() -> None:
    assert adhoc('timestamp(0).getHours("Europe/Berlin")', {}, ZONES) == 1
    with pytest.raises(ConditionError, match="`Mars/Base` is not a time zone"):
        adhoc('timestamp(0).getHours("Mars/Base")', {}, ZONES)


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (None, None), (True, True), (1, 1), (1.0, 1.0), ("é", "é"), (math.inf, "Infinity"), (-math.inf, "-Infinity"),
        (math.nan, "NaN"), (Timestamp(1_500_000_000), "1970-01-01T00:00:01.500Z"), (Duration(120 * 10**9), "120s"),
        ([1, (2,)], [1, [2]]), ({1: True, "a": Duration(0)}, {"1": True, "a": "0s"}), ({False: 1}, {"false": 1}),
        ({True: 2}, {"true": 2}),
    ],
)  # fmt: skip
def test_a_value_as_json(value: Result, json: object) -> None:
    assert not isinstance(value, Unknown | Fault)
    assert to_json(value) == json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.inf, "1e999"),
        ([-math.inf, 1.0], "[-1e999,1.0]"),
        ({"a": math.nan, "é": "x"}, '{"a":"NaN","é":"x"}'),
        ({1: True}, '{"1":true}'),
        ({"a": [math.inf]}, '{"a":[1e999]}'),
        (Timestamp(0), '"1970-01-01T00:00:00Z"'),
    ],
)
def test_a_value_is_json_that_every_reader_takes(value: Value, text: str) -> None:
    assert json_text(value) == text
    assert json.loads(text) is not None
