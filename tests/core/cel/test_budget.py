"""The cost budget, to the step: what just fits gives an answer, one round more is a fault.

A round of a macro costs the nodes of its body; calls that build, compare or search cost what their operands are worth.
"""

from __future__ import annotations

import pytest

from demur.core.cel import Fault, Result, adhoc
from demur.core.cel.meter import MAX_STEPS
from demur.errors import ConditionError
from tests.core.cel.given import ZONES

SPENT = Fault(f"the condition costs more than {MAX_STEPS} steps")
GIVEN: dict[str, object] = {
    "ints": [7] * 7_975,
    "halves": [0.5] * 496,
    "half": [0.5],
    "mixed": [[1], "x"],
    "letters": "a" * 64,
    "pattern": "a",
}


def beside(part: str, terms: int) -> str:
    """As `padding`, with one part more."""
    return f"({part} && " + " && ".join(["a == 1"] * terms) + ")"


def padding(terms: int) -> str:
    """A part of 1 + 3 * `terms` nodes that is never evaluated where it stands after a true operand of `||`."""
    return "(" + " && ".join(["a == 1"] * terms) + ")"


EXACT = [
    # nodes of the body, 1,000 a round
    (f"l.all(a, !false || {padding(332)})", 1_000),
    (f"l.exists(a, !true && {padding(332)})", 1_000),
    (f"l.exists_one(a, !true && {padding(332)})", 1_000),
    (f"l.filter(a, !true && {padding(332)}).size() == 0", 1_000),
    (f"l.map(a, !false || {padding(332)}).size() > 0", 1_000),
    (f"l.map(a, !false || {padding(331)}, a + 1).size() > 0", 1_000),
    # 998 nodes, and 999: a macro within, without and with a filter
    (f"l.all(a, !false || {beside('[1].map(b, b).size() == 1', 329)})", 1_002),
    (f"l.all(a, !false || {beside('[1].map(b, true, b).size() == 1', 329)})", 1_001),
    # 3 nodes and 1 + 7,975 // 8 steps: members of a kind that Python finds as CEL does
    ("l.all(a, a in ints)", 1_000),
    # 992 nodes and 4 * (1 + 1) steps: members that are compared one by one
    (f"l.all(a, 0.5 in half || {padding(329)})", 1_000),
    # 6 nodes and 1 + 496 + 496 steps: a list that is built
    ("l.all(a, (halves + halves).size() > 0)", 1_001),
    # 992 nodes, and 990, and 4 * (1 + 1) steps: lists that are compared
    (f"l.all(a, half == half || {padding(329)})", 1_000),
    (f"l.all(a, !(half != half) || {padding(328)})", 1_002),
    # 990 nodes and 4 * (1 + 1) steps: the same, of a type that is known only when it is read
    (f"l.all(a, mixed[0] == mixed[0] || {padding(327)})", 1_002),
    # 999 nodes and one step for a call that is worth no more
    (f"l.all(a, !(size(mixed[0]) < 1) || {padding(330)})", 1_000),
    # 996 nodes, one step for the size and 1 + 1 + 1 for the list, whose type is known only when it is read
    (f"l.all(a, size(mixed[0] + mixed[0]) > 0 || {padding(328)})", 1_000),
    # 995 nodes and 1 + (64 + 64) / 64 steps: text that is built
    (f"l.all(a, size(letters + letters) > 0 || {padding(329)})", 1_002),
    # 3 nodes, 2,000 steps for a pattern that is not written out, and 1 + 64 * 1,000 / 64 for running it
    ("l.all(a, letters.matches(pattern))", 332),
]


def given(rounds: int) -> dict[str, object]:
    return {**GIVEN, "l": [7] * rounds}


@pytest.mark.parametrize(("text", "rounds"), EXACT, ids=[text[:50] for text, _ in EXACT])
def test_the_budget_is_kept_to_the_step(text: str, rounds: int) -> None:
    found: list[Result] = [adhoc(text, given(count), ZONES) for count in (rounds, rounds + 1)]
    assert found[1] == SPENT
    assert isinstance(found[0], bool)


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        (" && ".join(["size(s + s) > 0"] * 33), {"s": "x" * 1_000_000}),
        ("(l + l).size() > 0", {"l": [1] * 500_000}),
        ("l == l", {"l": [1] * 250_000}),
        ("l != l", {"l": [1] * 250_000}),
        ("1 == 1 && l == []", {"l": [1] * 250_000}),
        ("m[0] == m[0]", {"m": [[1] * 250_000, "x"]}),
        ("(m[0] + m[0]).size() > 0", {"m": [[1] * 500_000, "x"]}),
        ("0.5 in d", {"d": [1.5] * 250_000}),
        ("m[0] in m", {"m": [[1] * 250_000, "x"]}),
        ("s.matches(t)", {"s": "x" * 64_000, "t": "y"}),
        ("s.matches('y')", {"s": "x" * 16_000_000}),
    ],
    ids=[
        "text",
        "lists",
        "equal",
        "unequal",
        "a part",
        "late equal",
        "late lists",
        "member",
        "late member",
        "pattern",
        "search",
    ],
)
def test_what_builds_compares_or_searches_is_charged_without_macros_too(text: str, bind: dict[str, object]) -> None:
    assert adhoc(text, bind, ZONES) == SPENT


def test_a_long_condition_is_charged_for_what_it_searches() -> None:
    """Few looks into a list cost nothing; some hundred of them are counted."""
    looks = ["7 in l"] * 100
    bind: dict[str, object] = {"l": [7] * 100_000}
    assert adhoc(" && ".join(looks[:80]), bind, ZONES) is True
    assert adhoc(" && ".join(looks), bind, ZONES) == SPENT


def test_a_pattern_that_is_written_out_costs_its_program_over_the_text() -> None:
    """A longer pattern and a longer text cost more."""
    narrow, wide = "l.exists(a, letters.matches('b'))", "l.exists(a, letters.matches('(a{90}b{90}c{90}d{90}){2}'))"
    assert adhoc(narrow, given(3_000), ZONES) is False
    assert adhoc(wide, given(3_000), ZONES) == SPENT
    assert adhoc(narrow, given(3_000) | {"letters": "a" * 64_000}, ZONES) == SPENT


def test_a_pattern_that_is_a_fact_has_less_memory_than_one_that_is_written_out() -> None:
    found = adhoc("'abcde'.matches(p)", {"p": r"\pL{20}"}, ZONES)
    assert isinstance(found, Fault)
    assert "pattern too large" in found.message
    with pytest.raises(ConditionError, match="the regular expression is too large"):
        adhoc(r"'abcde'.matches(r'\pL{20}')", {}, ZONES)
