"""Text to tree: what is no condition is refused with its place, what was expected and what was found."""

from __future__ import annotations

import pytest

from demur.core.cel.parse import MAX_DEPTH, parse
from demur.core.cel.syntax import Apply, Literal, Logic, Path, Ternary
from demur.core.cel.tokens import MAX_BYTES
from demur.errors import ConditionError
from tests.core.cel.given import evaluate

REFUSED = [
    ("", 1, 1, "expected a value, found the end"),
    ("1 +", 1, 4, "expected a value, found the end"),
    ("1 2", 1, 3, "expected an operator or the end, found `2`"),
    ('1 "a"', 1, 3, "expected an operator or the end, found a text"),
    ("(1", 1, 3, "expected `)`, found the end"),
    ("[1, 2", 1, 6, "expected `]` or `,`, found the end"),
    ("[,]", 1, 2, "expected a value, found `,`"),
    ("{1 2}", 1, 4, "expected `:` after the key, found `2`"),
    ("{1: 2", 1, 6, "expected `}` or `,`, found the end"),
    ("size(1,)", 1, 8, "expected a value, found `)`"),
    ("a ? b", 1, 6, "expected `:` of the choice, found the end"),
    ("a.", 1, 3, "expected the name of a field or function, found the end"),
    ("a.true", 1, 3, "expected the name of a field or function, found `true`"),
    (".1a", 1, 3, "expected an operator or the end, found `a`"),
    ("a[1", 1, 4, "expected `]`, found the end"),
    ("!-1", 1, 2, "expected a value, found `-`"),
    ("a\n  = b", 2, 3, "unexpected character `=`"),
    ("if", 1, 1, "`if` is a reserved word"),
    ("1u", 1, 1, "unsigned integers are outside the language: `1u`"),
    ('b"x"', 1, 1, 'bytes are outside the language: `b"`'),
    ("9223372036854775808", 1, 1, "the integer `9223372036854775808` does not fit into 64 bits"),
    ("-9223372036854775809", 1, 2, "the integer `-9223372036854775809` does not fit into 64 bits"),
    ("0x8000000000000000", 1, 1, "the integer `0x8000000000000000` does not fit into 64 bits"),
    ("1e400", 1, 1, "the number `1e400` is too large for a double"),
    ('"abc', 1, 1, 'the text that begins with " does not end'),
    ("'a\nb'", 1, 1, "the text that begins with ' does not end"),
    (r'"a\q"', 1, 3, r"`\q` is not an escape of a character"),
    (r'"\400"', 1, 2, r"`\4` is not an escape of a character"),
    (r'"\ud800"', 1, 2, r"`\ud800` is not an escape of a character"),
    (r'"\udfff"', 1, 2, r"`\udfff` is not an escape of a character"),
    (r'"\U00110000"', 1, 2, r"`\U00110000` is not an escape of a character"),
    ("a\0b", 1, 2, "the text holds a NUL character"),
    ('"\ud800"', 1, 2, "the text holds a lone surrogate, which is no character"),
    ("\u0430.b", 1, 1, "unexpected character `\u0430`"),
    ("1 \u202e== 1", 1, 3, "unexpected character `U+202E`"),
    ("a & b", 1, 3, "unexpected character `&`"),
    ("`a b`", 1, 1, "expected a value, found `a b`"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"), REFUSED, ids=[case[0].encode("unicode_escape").decode() for case in REFUSED]
)
def test_a_text_outside_the_language_is_refused_at_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column, str(caught.value)) == (line, column, message)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a = b", "write `==` to compare; a condition assigns nothing"),
        ("a & b", "write `&&`"),
        ("a and b", "write `&&`"),
        ("a or b", "write `||`"),
        ("\u0430.b", "this is CYRILLIC SMALL LETTER A; names and operators are ASCII"),
        ('"a\n', "a text on one line ends with the quote it began with"),
        (r'"\d"', "in a regular expression write r'...' or double the backslash"),
    ],
)
def test_a_refusal_says_what_to_do(text: str, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert caught.value.hint == hint


def test_the_expected_and_the_found_are_fields_of_their_own() -> None:
    with pytest.raises(ConditionError) as caught:
        parse("(1 2")
    assert (caught.value.expected, caught.value.found) == ("`)`", "`2`")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 2 - 3", 5),
        ("100 / 10 / 5", 2),
        ("-2 - -3", 1),
        ("1 + 2 == 3 && 2 < 3", True),
        ("true || false && false", True),
        ("true || false && false && true", True),
        ("false || true && true && true", True),
        ("false && true || true && true && true || false", True),
        ("true && true && true == false", False),
        ("(true || false) && false", False),
        ("false ? 1 : true ? 2 : 3", 2),
        ("1 < 2 == true", True),
        ("!true || true", True),
        ("-1 in [-1]", True),
        ("// remark\n1 // more", 1),
        ("[1, 2,].size()", 2),
        ("- 9223372036854775807 - 1", -(2**63)),
        ("r'\\d' + \"\\x41\\u00e9\\U0001F600\\101\"", "\\dA\u00e9\U0001f600A"),
        ("'''a\r\nb'c''d'''", "a\nb'c''d"),
        ("{'a-b': 1}.`a-b`", 1),
        (".5 + 1e1", 10.5),
        ("0x1F", 31),
    ],
)
def test_operators_bind_and_literals_read_as_in_cel(text: str, value: object) -> None:
    found = evaluate(text)
    assert (type(found), found) == (type(value), value)


def test_chains_of_and_and_or_are_flat() -> None:
    tree = parse(" && ".join(["a.b"] * 1_000))
    assert isinstance(tree, Logic)
    assert (len(tree.args), tree.depth) == (1_000, 3)


def test_a_dotted_name_is_one_path_and_a_quoted_field_is_not() -> None:
    assert parse("a.b.c") == Path(0, 3, ("a", "b", "c"), rooted=False)
    assert parse(".a") == Path(1, 1, ("a",), rooted=True)
    assert not isinstance(parse("a.`b`"), Path)


def test_a_method_has_its_target_as_first_argument() -> None:
    assert parse("a.f(1)") == Apply(2, 2, "f", (Path(0, 1, ("a",), rooted=False), Literal(4, 1, 1)), "method")


def test_the_choice_binds_to_the_right() -> None:
    tree = parse("a ? 1 : b ? 2 : 3")
    assert isinstance(tree, Ternary)
    assert isinstance(tree.no, Ternary)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("(", ")"),
        ("[", "]"),
        ("f(", ")"),
        ("{1: ", "}"),
        ("a[", "]"),
        ("!", ""),
        ("-", ""),
        ("true ? 1 : ", ""),
        ("1 + (", ")"),
    ],
)
def test_nesting_is_capped_in_every_form(opening: str, closing: str) -> None:
    with pytest.raises(ConditionError, match="nested more than 64 deep"):
        parse(opening * (MAX_DEPTH + 1) + "a" + closing * (MAX_DEPTH + 1))
    parse(opening * 30 + "a" + closing * 30)


@pytest.mark.parametrize(
    "chain", ["1" + " + 1" * MAX_DEPTH, "a" + ".b" * MAX_DEPTH, "a" + "[0]" * MAX_DEPTH, "a" + ".f()" * MAX_DEPTH]
)
def test_a_chain_is_as_deep_as_it_is_long(chain: str) -> None:
    with pytest.raises(ConditionError, match="nested more than 64 deep"):
        parse(chain)


HIGH = "a" + ".f()" * (MAX_DEPTH - 1)
"""As high as a tree may be."""


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("[{}]", 1), ("{{}: 1}", 1), ("{{1: {}}}", 2), ("f({})", 1), ("x.f({})", 3), ("-{}", 1), ("!{}", 1), ("{}.`b c`", 255),
        ("{}[0]", 254), ("x[{}]", 2), ("{} + 1", 255), ("1 + {}", 3), ("{} && true", 255), ("true || {}", 6),
        ("{} ? 1 : 2", 255), ("true ? {} : 2", 6), ("true ? 1 : {}", 6), ("{}.g()", 255),
    ],
)  # fmt: skip
def test_every_form_adds_to_the_height_of_what_it_holds(text: str, column: int) -> None:
    parse(HIGH)
    with pytest.raises(ConditionError, match="nested more than 64 deep") as caught:
        parse(text.replace("{}", HIGH))
    assert caught.value.column == column


@pytest.mark.parametrize("base", ["(1)", "1.5", "true", "null", '"a"', "a", "[]", "{}", "-1"])
def test_what_holds_nothing_has_height_one(base: str) -> None:
    parse(base + ".f()" * (MAX_DEPTH - 1))
    with pytest.raises(ConditionError, match="nested more than 64 deep"):
        parse(base + ".f()" * MAX_DEPTH)


def test_a_path_has_64_names_at_most() -> None:
    assert parse("a" + ".b" * (MAX_DEPTH - 1)) == Path(0, MAX_DEPTH, ("a", *["b"] * (MAX_DEPTH - 1)), False)


def test_exactly_64_brackets_are_allowed() -> None:
    assert parse("(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1)) == Literal(MAX_DEPTH - 1, 1, 1)


def test_the_size_of_a_text_counts_bytes() -> None:
    fits = '"' + "é" * ((MAX_BYTES - 2) // 2) + '"'
    assert parse(fits) == Literal(0, 1, fits[1:-1])
    with pytest.raises(ConditionError, match=f"at most {MAX_BYTES} bytes, found {MAX_BYTES + 1}"):
        parse(fits + " ")
