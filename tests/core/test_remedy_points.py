"""Which values a condition proposes for a fact, and in which order they are tried: the table of docs/spec/remedies.md.

Clauses: S9.1, S9.2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from demur.core.cel.evaluate import constant
from demur.core.cel.ir import Const
from demur.core.remedy import points
from demur.core.schema import Fact, Kind, Type
from demur.core.terms import NANOS, Duration, Missing, Timestamp, parse_timestamp
from tests.core import rulebook
from tests.core.rulebook import ABSENT, PLACES, SLOTS, UNKNOWN

if TYPE_CHECKING:
    from demur.core.cel.ir import Node

LINKS = rulebook.policy_set()
NOON = parse_timestamp("2026-11-20T12:00:00Z")


def proposed(text: str, path: str, **changed: Any) -> set[str]:
    """What is proposed for the fact, written out, so that 1, 1.0 and true are three."""
    row = rulebook.facts({name.replace("__", "."): state for name, state in changed.items()}).values

    def read(node: Node) -> object:
        return constant(node) if isinstance(node, Const) else LINKS.link(node)(row)

    slot = PLACES[path]
    return written(points.turning(rulebook.condition(text).node, slot, SLOTS[slot].type, row, read))


def written(values: Any) -> set[str]:
    return {repr(value) for value in values}


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("action.amount <= 5", 5),
        ("5 > action.amount", 5),
        ("action.amount * 2 + 1 <= 10", 4),
        ("3 * action.amount > 10", 3),
        ("action.amount * 3 > 10", 3),
        ("(action.amount + 4) * 2 <= 20", 6),
        ("2 * (action.amount + 4) <= 20", 6),
        ("-(action.amount + 4) > -10", 6),
        ("-action.amount > -3", 3),
        ("10 - action.amount >= 4", 6),
        ("action.amount + 7 + 2 <= 20", 11),
        ("action.amount - account.limit > 20", 520),
        ("action.amount + account.limit > 600", 100),
        ("action.amount * 3 <= 27021597764222975", 9_007_199_254_740_991),  # exact beyond what a double holds
        ("account.frozen || action.amount > 5", 5),
        ("action.amount > 5 || account.frozen", 5),
        ('["a", "b"].exists(x, action.amount > 5)', 5),
    ],
)
def test_a_comparison_is_solved_for_a_whole_number(text: str, bound: int) -> None:
    """The bound, rounded down, and its neighbours."""
    assert proposed(text, "action.amount") == written((bound - 1, bound, bound + 1))


@pytest.mark.parametrize("limit", [500, ABSENT])
@pytest.mark.parametrize(
    "text",
    [
        "(has(account.limit) ? account.limit : 0) < 400",
        "has(account.limit) && account.limit < 400",
        "account.limit < 400 || !has(account.limit)",
    ],
)
def test_a_fact_that_may_be_absent_is_solved_for_as_if_it_were_there(text: str, limit: Any) -> None:
    assert proposed(text, "account.limit", account__limit=limit) == written((399, 400, 401))


@pytest.mark.parametrize(("is_frozen", "bound"), [(True, 100), (False, 50)])
def test_the_branch_that_is_taken_is_solved(*, is_frozen: bool, bound: int) -> None:
    text = "(account.frozen ? action.amount : action.amount * 2) <= 100"
    assert proposed(text, "action.amount", account__frozen=is_frozen) == written((bound - 1, bound, bound + 1))


@pytest.mark.parametrize(
    ("text", "constants"),
    [
        ("action.amount * action.amount <= 100", (100,)),
        ("-(action.amount * action.amount) > -100", (-100,)),
        ("(action.amount > 3 ? action.amount : 5) == 9", (3, 5, 9)),
        ("action.amount < action.amount + 7", (7,)),
        ("100 / action.amount == 20", (100, 20, 5)),  # and what the one is of the other
        ("[1, 2].exists(x, action.amount == x * x + 40)", (40,)),
    ],
)
def test_where_no_bound_can_be_solved_for_the_constants_are_proposed(text: str, constants: tuple[int, ...]) -> None:
    near = {repr(value + step) for value in constants for step in (-1, 0, 1)}
    assert proposed(text, "action.amount") >= near


def test_a_bound_that_nobody_knows_proposes_nothing() -> None:
    assert proposed("action.amount < account.limit", "action.amount", account__limit=UNKNOWN) == set()
    assert proposed("[1, 2].exists(x, x > action.amount)", "action.amount") == set()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("risk.score < 0.5", (0.5, 0.49, 0.51, 0.499999, 0.500001)),
        ("risk.score * 2.0 < 0.5", (0.25, 0.24, 0.26, 0.249999, 0.250001)),
        ("risk.score > 250.0", (250.0, 249.0, 251.0, 249.9999, 250.0001)),
        ("risk.score > 0.0", (0.0, -0.01, 0.01, -1e-06, 1e-06)),
        ("risk.score * 3.0 < 1.0", (1 / 3, 0.323333333333, 0.343333333333, 0.333332333333, 0.333334333333)),
        ("int(risk.score) < 5", (5.0, 4.99, 5.01, 4.999999, 5.000001)),
    ],
)
def test_about_a_bound_of_doubles_plain_numbers_and_the_very_next_are_proposed(
    text: str, values: tuple[float, ...]
) -> None:
    """0.49 before 0.49999999999999994: steps of a hundredth and a millionth of the bound's size, twelve places."""
    nearest = (math.nextafter(values[0], -math.inf), math.nextafter(values[0], math.inf))
    assert proposed(text, "risk.score") == written((*values, *nearest))


def test_a_square_of_doubles_proposes_doubles() -> None:
    assert proposed("risk.score * risk.score < 0.25", "risk.score") >= written((0.25, 0.24, 0.26))


def test_a_bound_too_large_for_a_double_is_none() -> None:
    assert proposed("risk.score * 1e-300 < 1e300", "risk.score") >= written((1e-300, 1e300))


def test_about_an_instant_or_a_duration_a_second_and_a_nanosecond_are_proposed() -> None:
    steps = (-NANOS, -1, 0, 1, NANOS)
    until = proposed('account.until <= timestamp("2026-11-20T12:00:00Z")', "account.until")
    assert until == written(Timestamp(NOON.nanos + step) for step in steps)
    wait = proposed('account.wait <= duration("90s")', "account.wait", account__wait=Duration(NANOS))
    assert wait == written(Duration(90 * NANOS + step) for step in steps)


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("account.frozen", "account.frozen", (True, False)),
        ("account.frozen == true", "account.frozen", (True, False)),
        ('action.note == "x"', "action.note", ("x",)),
        ('"x" != action.note', "action.note", ("x",)),
        ("action.note in context.tags", "action.note", ("urgent",)),
        ('action.note.startsWith("REF")', "action.note", ("REF",)),
        ('action.note.matches("a+")', "action.note", ("a+",)),
        ("action.amount in [3, 12]", "action.amount", (2, 3, 4, 11, 12, 13)),
        ("action.note in context.tags", "context.tags", (["urgent"], ["urgent", "hello"], ["hello"])),
        ('"nurse" in subject.roles', "subject.roles", (["clerk"], ["clerk", "nurse", "nurse"], ["nurse"])),
        ("size(action.note) <= 3", "action.note", ("hel", "he")),
        ("3 >= size(action.note)", "action.note", ("hel", "he")),
        ("size(action.note) < 5", "action.note", ("hell",)),
        ("size(action.note) <= 0", "action.note", ("",)),
        ("int(action.note) > 3", "action.note", ()),
    ],
)
def test_flags_texts_and_lists_take_what_the_condition_names(text: str, path: str, values: tuple[Any, ...]) -> None:
    assert proposed(text, path) == written(values)


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ('"d" in context.tags', "context.tags", ([], ["d"])),
        ('context.tags.exists(x, x == "z")', "context.tags", (["z"], [])),
        ("size(action.note) <= 3", "action.note", ()),
        ("size(context.tags) <= 3", "context.tags", ()),
    ],
)
def test_what_is_absent_begins_with_nothing(text: str, path: str, values: tuple[Any, ...]) -> None:
    assert proposed(text, path, **{path.replace(".", "__"): ABSENT}) == written(values)


def test_a_list_is_tried_with_and_without_what_a_macro_names_and_item_by_item() -> None:
    text = 'subject.roles.all(x, x != "b" && x != "c")'
    assert proposed(text, "subject.roles", subject__roles=list("abbcc")) == written(
        list(items) for items in ("acc", "abbccb", "b", "abb", "abbccc", "c", "a", "bbcc", "abcc", "abbc", "")
    )


def test_of_a_long_list_the_first_64_items_are_looked_at() -> None:
    """One less, alone, or none: the rest is never proposed."""
    roles = [f"r{at}" for at in range(70)]
    found = proposed("subject.roles.exists(x, size(x) > 9)", "subject.roles", subject__roles=roles)
    assert repr(["r63"]) in found
    assert repr(["r64"]) not in found


@pytest.mark.parametrize(
    ("values", "current", "expected"),
    [
        ([1, 8, 3, 12, 8], 9, [8, 12, 3, 1]),
        ([8, 10], 9, [8, 10]),  # of two at one distance the smaller
        ([1, 2, 3], 2, [1, 3]),
        ([3, 0, 1], ABSENT, [0, 1, 3]),
        ([-2, 1], 0, [1, -2]),
        ([ABSENT, 5], 9, [5, ABSENT]),
        ([0.49999999999999994, 0.4], 0.9, [0.4, 0.49999999999999994]),  # plain numbers first
        ([1.5, 7.5], 6.0, [7.5, 1.5]),
        ([Timestamp(1), Timestamp(5 * NANOS)], Timestamp(0), [Timestamp(5 * NANOS), Timestamp(1)]),
        ([True, False], ABSENT, [True, False]),
        (["b", "a", "b"], "c", ["b", "a"]),
        ([["b"], ["a"], ["b"], ["c"]], ["a"], [["b"], ["c"]]),
    ],
)
def test_values_are_tried_nearest_first_and_once(values: list[Any], current: Any, expected: list[Any]) -> None:
    assert points.nearest_first(values, current) == expected


@pytest.mark.parametrize(
    ("proposals", "current", "expected"),
    [
        ([["a", "x"], "text", ["a", "y"], ["x"]], ["a"], [["a", "x", "y"], ["x", "y"]]),
        ([["a", "x"]], ("a",), [["a", "x"], ["x"]]),
        ([["x"], ["y"]], ABSENT, [["x", "y"], ["x", "y"]]),
        ([["x"]], ABSENT, []),
        ([["a"], []], ["a"], []),
    ],
)
def test_what_each_list_adds_is_tried_all_together(
    proposals: list[Any], current: Any, expected: list[list[str]]
) -> None:
    """Two rules that each ask for an item of their own are met by one list."""
    assert points.together(proposals, current) == expected


@pytest.mark.parametrize(
    ("value", "more", "does"),
    [
        (5, {}, True),
        ("5", {}, False),
        (5, {"one_of": (1, 5)}, True),
        (5, {"one_of": (1, 2)}, False),
        (Missing.ABSENT, {"optional": True}, True),
        (Missing.ABSENT, {}, False),
    ],
)
def test_only_what_intake_would_take_is_proposed(value: Any, more: dict[str, Any], *, does: bool) -> None:
    """S1.2"""
    assert points.fits(value, Fact(path="action.n", type=Type(Kind.INT), source="request", **more)) is does
