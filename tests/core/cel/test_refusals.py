"""What a refusal carries besides its message: what was expected, what was found, a hint, and nothing endless."""

from __future__ import annotations

import pytest

from demur.core.cel import Scope, Variable, adhoc, check
from demur.core.cel.tokens import MAX_BYTES
from demur.errors import ConditionError
from tests.core.cel.given import INT, SCOPE, ZONES

INT64 = "-9223372036854775808 to 9223372036854775807"
LONG = "n" * 100


def refusal(text: str) -> ConditionError:
    with pytest.raises(ConditionError) as caught:
        check(text, SCOPE)
    return caught.value


FIELDS = [
    # the text itself
    ("1 2", "an operator or the end", "`2`"),
    ('1 "a"', "an operator or the end", "a text"),
    ("1 +", "a value", "the end"),
    ("if", "a name", "if"),
    (". 1", "a name", "`1`"),
    ("a & b", "", "&"),
    ("1 \u202e== 1", "", "U+202E"),
    ("9223372036854775808", INT64, "9223372036854775808"),
    ("1" * 50, INT64, "1" * 37 + "..."),
    ("1" * 40, INT64, "1" * 40),
    ("f(1 2)", "`)` or `,`", "`2`"),
    ("[1 2]", "`]` or `,`", "`2`"),
    ("{1: 1 2}", "`}` or `,`", "`2`"),
    ("{1 1}", "`:` after the key", "`1`"),
    ("x[1 2]", "`]`", "`2`"),
    ("a ? 1 2", "`:` of the choice", "`2`"),
    ("a. 1", "the name of a field or function", "`1`"),
    ("1" * 5_000, INT64, "1" * 37 + "..."),
    ("0x" + "f" * 5_000, INT64, "0x" + "f" * 35 + "..."),
    ("1" * 41, INT64, "1" * 37 + "..."),
    ("(" * 65, "at most 64 levels", "more"),
    # types
    ("action.dry && action.amount", "bool", "int"),
    ('action.dry ? 1 : "a"', "int", "string"),
    ('["a", 1]', "string", "int"),
    ('{"a": 1, "b": 2.0}', "int", "double"),
    ('{"a": 1, 2: 1}', "string", "int"),
    ("{1.5: 1}", "bool, int or string", "double"),
    ("subject.role.first", "a map or an object", "string"),
    ("resource.owner.nmae", "one of the declared fields", "nmae"),
    # names
    ("actoin.amount < 5", "a declared fact", "actoin.amount"),
    (LONG, "a declared fact", "n" * 80),
    (f"resource.owner.{LONG}", "one of the declared fields", "n" * 80),
    ('subject.role.startswith("a")', "a method", "startswith"),
    ("dyn(1)", "a function", "dyn"),
    (f"{LONG}(1)", "a function", "n" * 80),
    # operands
    ('action.amount == "5"', "two values of one type", "int and string"),
    ('action.amount != "5"', "two values of one type", "int and string"),
    (
        'action.amount in ["a"]',
        "a value and a list of its type, or a key and a map",
        "int and list<string>",
    ),
    ("-subject.role", "double; int", "string"),
    ("subject.role.size(1)", "list; map; string", "string and int"),
    ("size()", "list; map; string", "nothing"),
    ("int(action.dry)", "double; int; string; timestamp", "bool"),
    (
        'subject.roles["a"]',
        "list and int; map and bool; map and double; map and int; map and string",
        "list<string> and string",
    ),
    # what is written out
    ('timestamp("2026-13-01T00:00:00Z")', "a timestamp", "2026-13-01T00:00:00Z"),
    ('duration("5 days")', "a duration", "5 days"),
    (f'duration("{LONG}")', "a duration", "n" * 40),
    ('subject.role.matches("[")', "a regular expression", ""),
    ('time.now.getHours("Europe/Berln")', "a time zone", "Europe/Berln"),
    (f'time.now.getHours("{LONG}")', "a time zone", "n" * 64),
    # has and the macros
    ("has(1)", "a path with a dot", ""),
    ("subject.roles.all(r)", "2 arguments", "1"),
    ("subject.roles.all(r, true, true)", "2 arguments", "3"),
    ("subject.roles.map(r, true, true, r)", "2 arguments", "4"),
    ("subject.roles.all(1, true)", "a name", ""),
    ("subject.role.all(r, true)", "a list or a map", "string"),
    ("resource.counts.all(a, " * 5 + "true" + ")" * 5, "at most 4 levels", "more"),
]


@pytest.mark.parametrize(("text", "expected", "found"), FIELDS, ids=[text[:60] for text, _, _ in FIELDS])
def test_what_was_expected_and_found_are_fields_of_their_own(text: str, expected: str, found: str) -> None:
    caught = refusal(text)
    assert (caught.expected, caught.found) == (expected, found)


HINTS = [
    ("1u", "leave the letter out"),
    ("action\0.dry", r"write it as `\u0000` within quotes"),
    ("a; b", "a condition is one expression"),
    ("`a", "a quoted name holds letters, digits, `_`, `.`, `-`, `/` and spaces"),
    ("a | b", "write `||`"),
    ("'a\n'", "a text on one line ends with the quote it began with"),
    ("a not b", "write `!`"),
    ("a is b", "write `==`"),
    ('"""a', ""),
    ('"\\ud800"', ""),
    ("\ue000", "this is a character without a name; names and operators are ASCII"),
    ("(" * 65, "split it into several conditions"),
    ("null != subject.role", "a fact is never null; test with `has(...)` whether it is there"),
    ('time.age < "1h"', "write the text as `duration(...)`"),
    ("null + 1", ""),
    ("hass(resource.note)", "did you mean `has`?"),
    ("sise(subject.role)", "did you mean `size`?"),
    ("subject.role.has()", "`has` is written before its argument: `has(x)`"),
    ("subject.roles.exist(r, true)", "did you mean `exists`?"),
    ("all(subject.roles, r, true)", "`all` is written after its target: `x.all(...)`"),
    ('["a", 1]', ""),
    ("(1", ""),
    ("1 @ 2", ""),
    (LONG, "declare it under `facts` or among the arguments of the action"),
    (
        "resource == 1",
        "`resource` is no fact by itself; declared are `resource.consent`, `resource.counts`, `resource.labels`",
    ),
    ("[1, 2.0]", "write `1.0` to compare with a double"),
    ("subject.roles.all(member, membr == subject.role)", "did you mean `member`?"),
    ("resource.owner.nmae", "did you mean `name`?"),
]


@pytest.mark.parametrize(
    ("text", "hint"), HINTS, ids=[text[:60].encode("unicode_escape").decode() for text, _ in HINTS]
)
def test_the_hint_says_what_to_write(text: str, hint: str) -> None:
    assert refusal(text).hint == hint


def hint_among(names: list[str], text: str) -> str:
    scope = Scope({name: Variable(slot, INT) for slot, name in enumerate(names)}, lambda _: True)
    with pytest.raises(ConditionError) as caught:
        check(text, scope)
    return caught.value.hint


def test_the_guess_is_among_the_names_of_like_length_however_many_there_are() -> None:
    assert (
        hint_among([*(f"a.{number}" for number in range(600)), "zone.role"], "zone.rol") == "did you mean `zone.role`?"
    )


def test_a_guess_is_made_for_a_name_of_80_characters_and_for_no_longer_one() -> None:
    assert hint_among(["n" * 79], "n" * 80) == f"did you mean `{'n' * 79}`?"
    assert hint_among(["n" * 79], "n" * 81) == "declare it under `facts` or among the arguments of the action"


MESSAGES = [
    ("\n@", 1, "unexpected character `@`"),
    ('{"a": 1, 2: 1}', 10, "the keys of a map have one type, found string and int"),
    ("1" * 50, 1, f"the integer `{'1' * 37}...` does not fit into 64 bits"),
    ("-" + "1" * 50, 2, f"the integer `-{'1' * 37}...` does not fit into 64 bits"),
    ("1" * 50 + "u", 1, f"unsigned integers are outside the language: `{'1' * 37}...`"),
    ("1e" + "9" * 50, 1, f"the number `1e{'9' * 35}...` is too large for a double"),
    (LONG, 1, f"`{'n' * 80}` is not declared"),
    (f"subject.role.{LONG}", 1, f"`.{'n' * 80}` needs a map or an object, found string"),
    (f"resource.owner.{LONG}", 1, f"there is no field `{'n' * 80}`"),
    (f"subject.role.{LONG}()", 14, f"there is no method `{'n' * 80}`"),
    (f"{LONG}()", 1, f"there is no function `{'n' * 80}`"),
    (f'time.now.getHours("{LONG}")', 19, f"`{'n' * 64}` is not a time zone"),
    ("a `" + "n" * 60 + "`", 3, f"expected an operator or the end, found `{'n' * 40}`"),
    ("action.dry\n\n  && (1 +\n 2 3)", 4, "expected `)`, found `3`"),
]


@pytest.mark.parametrize(("text", "column", "message"), MESSAGES, ids=[text[:60] for text, _, _ in MESSAGES])
def test_the_message_shows_the_beginning_of_what_is_long(text: str, column: int, message: str) -> None:
    caught = refusal(text)
    assert (caught.column, str(caught)) == (column, message)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1" * (MAX_BYTES + 1), f"{MAX_BYTES + 1} characters"),
        ('"' + "é" * (MAX_BYTES // 2) + '"', f"{MAX_BYTES + 2} bytes"),
    ],
    ids=["characters", "bytes"],
)
def test_a_text_that_is_too_long_tells_its_size(text: str, found: str) -> None:
    caught = refusal(text)
    assert (caught.expected, caught.found) == (f"at most {MAX_BYTES} bytes", found)
    assert str(caught) == f"a condition has at most {MAX_BYTES} bytes, found {found.removesuffix(' bytes')}"


def test_a_line_begins_after_the_line_end() -> None:
    assert (refusal("\n@").line, refusal("@").line, refusal("\n\n\n@").line) == (2, 1, 4)


def test_a_text_of_just_the_allowed_size_is_read() -> None:
    assert check("1".rjust(MAX_BYTES), SCOPE).node is not None


def test_a_value_that_is_no_json_tells_what_was_expected_and_found() -> None:
    with pytest.raises(ConditionError) as caught:
        adhoc("1", {LONG: b"x"}, ZONES)
    assert (caught.value.expected, caught.value.found) == ("a value of JSON", "something else")
    assert str(caught.value) == f"`{'n' * 80}`: expected a value of JSON, found something else"
