"""Types against the declared facts: what is ill-typed or misspelt never loads, and the refusal helps."""

from __future__ import annotations

import pytest

from demur.core.cel import Scope, Variable, check
from demur.core.cel.ir import Call, Const, FactRef, HasFact, Local, Macro, Select
from demur.core.schema import Kind, Type
from demur.core.terms import Duration, Timestamp, parse_timestamp
from demur.errors import ConditionError
from tests.core.cel.given import BOOL, INT, SCOPE, SLOTS, STRING, evaluate

COMPARE = "compare the value with something, so that it gives a bool"
CONVERT = "integers and doubles do not mix; convert one with `double(...)` or `int(...)`"
ZONE = "write a name of the tz database such as `Europe/Berlin`, or an offset such as `+01:00`"
SYNTAX = "the syntax is RE2's: no look-around and no back references"

REFUSED = [
    ("actoin.amount < 5", 1, 1, "`actoin.amount` is not declared", "did you mean `action.amount`?"),
    (
        "action < 5",
        1,
        1,
        "`action` is not declared",
        "`action` is no fact by itself; declared are `action.amount`, `action.dry`, `action.rate`",
    ),
    ("zebra", 1, 1, "`zebra` is not declared", "declare it under `facts` or among the arguments of the action"),
    ("action.amount < 5.0", 1, 15, "`<` does not take int and double", CONVERT),
    ("action.rate >= 5", 1, 13, "`>=` does not take double and int", "write `5.0` to compare with a double"),
    ("action.amount == action.rate", 1, 15, "`==` does not take int and double", CONVERT),
    ('action.amount == "5"', 1, 15, "`==` does not take int and string", ""),
    (
        "subject.role == null",
        1,
        14,
        "`==` does not take string and null",
        "a fact is never null; test with `has(...)` whether it is there",
    ),
    (
        'time.now < "2026-01-01T00:00:00Z"',
        1,
        10,
        "`<` does not take timestamp and string",
        "write the text as `timestamp(...)`",
    ),
    (
        'subject.role + 1 == "a"',
        1,
        14,
        "`+` does not take string and int",
        "turn the other operand into text with `string(...)`",
    ),
    ("-subject.role", 1, 1, "`-` does not take string", ""),
    ("!action.amount", 1, 2, "`!` needs bool, found int", COMPARE),
    ("action.dry && action.amount", 1, 15, "`&&` needs bool, found int", COMPARE),
    ("action.amount ? 1 : 2", 1, 1, "`?:` needs bool, found int", COMPARE),
    ('action.dry ? 1 : "a"', 1, 12, "both branches of `?:` have one type, found int and string", ""),
    (
        "action.dry ? 1 : 2.0",
        1,
        12,
        "both branches of `?:` have one type, found int and double",
        "write `1.0` to compare with a double",
    ),
    ('action.amount in ["a"]', 1, 15, "`in` does not take int and list<string>", ""),
    ("1 in resource.labels", 1, 3, "`in` does not take int and map<string, string>", ""),
    ('["a", 1]', 1, 7, "the items of a list have one type, found string and int", ""),
    (
        '{"a": 1, "b": 2.0}',
        1,
        15,
        "the values of a map have one type, found int and double",
        "write `1.0` to compare with a double",
    ),
    ("{1.5: 1}", 1, 2, "a key of a map is bool, int or string, found double", ""),
    ('resource.owner.nmae == "x"', 1, 1, "there is no field `nmae`", "did you mean `name`?"),
    ("resource.owner.zzz", 1, 1, "there is no field `zzz`", "its fields are `name`, `email`"),
    ("subject.role.first", 1, 1, "`.first` needs a map or an object, found string", ""),
    ('subject.role.startswith("a")', 1, 14, "there is no method `startswith`", "did you mean `startsWith`?"),
    (
        'startsWith(subject.role, "a")',
        1,
        1,
        "there is no function `startsWith`",
        "`startsWith` is written after its target: `x.startsWith(...)`",
    ),
    ("subject.role.int()", 1, 14, "there is no method `int`", "`int` is written before its argument: `int(x)`"),
    ("dyn(1)", 1, 1, "there is no function `dyn`", "see the list of functions in docs/conditions.md"),
    ("subject.role.size(1)", 1, 14, "`size` does not take string and int", ""),
    ("int(action.dry)", 1, 1, "`int` does not take bool", ""),
    ('subject.roles["a"]', 1, 14, "`[ ]` does not take list<string> and string", ""),
    ("size()", 1, 1, "`size` does not take nothing", ""),
    (
        'timestamp("2026-13-01T00:00:00Z")',
        1,
        11,
        "`2026-13-01T00:00:00Z` is not an RFC 3339 time such as `2026-11-20T09:00:00Z`",
        "",
    ),
    ('duration("5 days")', 1, 10, "`5 days` is not a duration such as `90s` or `1h30m`", ""),
    ('subject.role.matches("[")', 1, 22, "not a regular expression of RE2: missing ]: [", SYNTAX),
    ('subject.role.matches("(?=a)")', 1, 22, "not a regular expression of RE2: invalid perl operator: (?=", SYNTAX),
    ('time.now.getHours("Europe/Berln")', 1, 19, "`Europe/Berln` is not a time zone", ZONE),
    ('time.now.getHours("+25:00")', 1, 19, "`+25:00` is not a time zone", ZONE),
    ("has(subject)", 1, 1, "`has` takes one path, such as `has(resource.owner)`", ""),
    ("has(1)", 1, 1, "`has` takes one path, such as `has(resource.owner)`", ""),
    ("resource.labels[1]", 1, 16, "`[ ]` does not take map<string, string> and int", ""),
    ("resource.labels == 1", 1, 17, "`==` does not take map<string, string> and int", ""),
    ("1 == resource.labels", 1, 3, "`==` does not take int and map<string, string>", ""),
    ("subject.roles == 1", 1, 15, "`==` does not take list<string> and int", ""),
    ("1 == subject.roles", 1, 3, "`==` does not take int and list<string>", ""),
    ("subject.roles == resource.labels", 1, 15, "`==` does not take list<string> and map<string, string>", ""),
    ("subject.roles.map(r, r, r)", 1, 22, "`map` needs bool, found string", COMPARE),
    ("[1, action.dry && action.dry]", 1, 16, "the items of a list have one type, found int and bool", ""),
    ("[1, action.dry || action.dry || true]", 1, 16, "the items of a list have one type, found int and bool", ""),
    (
        '[{"a": 1}, {"a": "b"}]',
        1,
        12,
        "the items of a list have one type, found map<string, int> and map<string, string>",
        "",
    ),
    ('[{"a": 1}, {2: 1}]', 1, 12, "the items of a list have one type, found map<string, int> and map<int, int>", ""),
    ("has()", 1, 1, "`has` takes one path, such as `has(resource.owner)`", ""),
    ("has(resource.note, 1)", 1, 1, "`has` takes one path, such as `has(resource.owner)`", ""),
    ("has(subject.roles[0].x)", 1, 22, "`.x` needs a map or an object, found string", ""),
    ("has(subject.role.x.y)", 1, 5, "`.x` needs a map or an object, found string", ""),
    ("resource.counts.all(c, has(c.x))", 1, 28, "`.x` needs a map or an object, found int", ""),
    (
        "resource.labels.env + 1",
        1,
        21,
        "`+` does not take string and int",
        "turn the other operand into text with `string(...)`",
    ),
    ("has(resource.labels.env) + 1", 1, 26, "`+` does not take bool and int", ""),
    ("action.dry && {1: 2}", 1, 15, "`&&` needs bool, found map<int, int>", COMPARE),
    ("action.dry && [1]", 1, 15, "`&&` needs bool, found list<int>", COMPARE),
    ("action.dry && -action.amount", 1, 15, "`&&` needs bool, found int", COMPARE),
    ("action.dry && action.amount + 1", 1, 29, "`&&` needs bool, found int", COMPARE),
    ("action.dry && subject.roles[0]", 1, 28, "`&&` needs bool, found string", COMPARE),
    ("action.dry && size(subject.roles)", 1, 15, "`&&` needs bool, found int", COMPARE),
    ("action.dry && subject.roles.size()", 1, 29, "`&&` needs bool, found int", COMPARE),
    ("action.dry && (true ? 1 : 2)", 1, 21, "`&&` needs bool, found int", COMPARE),
    ("action.dry && 1", 1, 15, "`&&` needs bool, found int", COMPARE),
    ('action.dry && "a"', 1, 15, "`&&` needs bool, found string", COMPARE),
    ("action.dry && 1.5", 1, 15, "`&&` needs bool, found double", COMPARE),
    ("action.dry && null", 1, 15, "`&&` needs bool, found null", COMPARE),
    ("action.dry && subject.roles[0].x", 1, 32, "`.x` needs a map or an object, found string", ""),
    ("has(resource.nte)", 1, 5, "`resource.nte` is not declared", "did you mean `resource.note` or `resource.owner`?"),
    ("subject.roles.all(r)", 1, 15, "`all` takes a variable and a condition: `x.all(item, ...)`", ""),
    ("subject.roles.all(1, true)", 1, 19, "the first argument of `all` is a name, which stands for each member", ""),
    ("subject.roles.all(a.b, true)", 1, 19, "the first argument of `all` is a name, which stands for each member", ""),
    ("subject.role.all(r, true)", 1, 14, "`all` needs a list or a map, found string", ""),
    ("subject.roles.all(r, r)", 1, 22, "`all` needs bool, found string", COMPARE),
    ("resource.counts.all(r, r.x)", 1, 24, "`.x` needs a map or an object, found int", ""),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), REFUSED, ids=[case[0] for case in REFUSED])
def test_an_ill_typed_condition_is_refused(text: str, line: int, column: int, message: str, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        check(text, SCOPE)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_the_line_and_column_of_a_later_line() -> None:
    with pytest.raises(ConditionError) as caught:
        check('action.dry\n  && subject.role == "é"\n  && subject.rol == "x"', SCOPE)
    assert (caught.value.line, caught.value.column) == (3, 6)


@pytest.mark.parametrize(
    ("text", "expected", "type_"),
    [
        ("action.amount <= 5", BOOL, "bool"),
        ("action.amount + 1", None, "int"),
        ("subject.roles + []", None, "list<string>"),
        ("[[], [1]]", None, "list<list<int>>"),
        ('[{}, {"a": 1}]', None, "list<map<string, int>>"),
        ('[{"a": 1}, {}]', None, "list<map<string, int>>"),
        ('[{"a": []}, {"b": [1]}]', None, "list<map<string, list<int>>>"),
        ("resource.owners.map(o, o.name)", None, "list<string>"),
        ("resource.labels.filter(k, k != resource.labels[k])", None, "list<string>"),
        ("time.now - time.now", None, "duration"),
        ('time.now + duration("1h")', None, "timestamp"),
        ('{"a": action.amount}', None, "map<string, int>"),
        ("resource.owner", None, "object{name: string, email?: string}"),
    ],
)
def test_the_type_of_a_condition(text: str, expected: Type | None, type_: str) -> None:
    assert str(check(text, SCOPE, expected).type) == type_


def test_a_condition_gives_what_is_expected_of_it() -> None:
    with pytest.raises(ConditionError) as caught:
        check("action.amount + 1", SCOPE, BOOL)
    assert str(caught.value) == "a condition of type bool is expected, this one is int"
    assert (caught.value.expected, caught.value.found) == ("bool", "int")


def test_no_condition_is_of_unknown_type() -> None:
    with pytest.raises(ConditionError, match="expected, this one is dyn"):
        check("[][0]", SCOPE, BOOL)


def test_a_fact_is_read_from_its_slot() -> None:
    assert check("action.rate", SCOPE).node == FactRef("action.rate", SLOTS["action.rate"], Type(Kind.DOUBLE))


def test_has_of_a_fact_reads_no_value() -> None:
    assert check("has(resource.note)", SCOPE).node == HasFact("resource.note", SLOTS["resource.note"])


def test_the_longest_declared_prefix_wins() -> None:
    scope = Scope(
        {"a.b": Variable(0, Type(Kind.MAP, key=STRING, element=INT)), "a.b.c": Variable(1, INT)}, lambda _: True
    )
    assert check("a.b.c", scope).node == FactRef("a.b.c", 1, INT)
    found = check("a.b.d", scope).node
    assert isinstance(found, Select)
    assert (found.field, found.operand) == ("d", FactRef("a.b", 0, Type(Kind.MAP, key=STRING, element=INT)))


def test_a_macro_variable_hides_a_fact_and_a_leading_dot_looks_past_it() -> None:
    scope = Scope({"x": Variable(0, INT), "l": Variable(1, Type(Kind.LIST, element=STRING))}, lambda _: True)
    hidden = check("l.map(x, x)", scope).node
    rooted = check("l.map(x, .x)", scope).node
    assert isinstance(hidden, Macro)
    assert isinstance(rooted, Macro)
    assert hidden.body == Local("x", 0, STRING)
    assert rooted.body == FactRef("x", 0, INT)


def test_a_macro_variable_hides_a_fact_within_has_and_a_leading_dot_looks_past_it() -> None:
    labels = Type(Kind.MAP, key=STRING, element=INT)
    scope = Scope(
        {
            "x.y": Variable(0, INT, optional=True),
            "x": Variable(1, labels),
            "l": Variable(2, Type(Kind.LIST, element=labels)),
        },
        lambda _: True,
    )
    hidden, rooted = check("l.all(x, has(x.y))", scope).node, check("l.all(x, has(.x.y))", scope).node
    within = check("l.all(x, has(.x.z))", scope).node
    assert isinstance(hidden, Macro)
    assert isinstance(rooted, Macro)
    assert isinstance(within, Macro)
    assert hidden.body == Select(Local("x", 0, labels), "y", True, BOOL)
    assert rooted.body == HasFact("x.y", 0)
    assert within.body == Select(FactRef("x", 1, labels), "z", True, BOOL)


def test_times_that_are_written_out_become_constants() -> None:
    node = check('time.now < timestamp("2026-01-01T00:00:00Z")', SCOPE).node
    assert isinstance(node, Call)
    assert node.args[1] == Const(parse_timestamp("2026-01-01T00:00:00Z").nanos, Type(Kind.TIMESTAMP))


@pytest.mark.parametrize("text", ['timestamp("0001-01-01T00:00:00Z")', 'duration("300000000000s")'])
def test_a_time_beyond_64_bits_of_nanoseconds_stays_a_call(text: str) -> None:
    assert isinstance(check(text, SCOPE).node, Call)
    assert isinstance(evaluate(text), Timestamp | Duration)


def test_macros_nest_four_deep_and_no_deeper() -> None:
    nested = "true"
    for _ in range(4):
        nested = f"resource.counts.all(i, {nested})"
    check(nested, SCOPE)
    with pytest.raises(ConditionError, match="macros nest at most 4 deep"):
        check(f"resource.counts.all(i, {nested})", SCOPE)


def test_macros_one_after_the_other_do_not_nest() -> None:
    check("resource.counts" + ".filter(i, i > 0)" * 10 + ".size() > 0", SCOPE)


def test_a_long_misspelling_costs_no_search() -> None:
    with pytest.raises(ConditionError) as caught:
        check("x" * 10_000, SCOPE)
    assert len(str(caught.value)) < 200
