from __future__ import annotations

import re
from itertools import product

import pytest

from demur.core.policy.patterns import expand, includes, matches, overlap

PATTERNS = ["".join(letters) for length in range(4) for letters in product("ab*", repeat=length)]
NAMES = ["".join(letters) for length in range(6) for letters in product("abc", repeat=length)]
LANGUAGE = {
    pattern: {name for name in NAMES if re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name)}
    for pattern in PATTERNS
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_the_regular_expression_matches(pattern: str) -> None:
    assert {name for name in NAMES if matches(pattern, name)} == LANGUAGE[pattern]


@pytest.mark.parametrize("outer", PATTERNS)
def test_a_pattern_includes_another_exactly_when_it_matches_all_its_names(outer: str) -> None:
    found = {inner for inner in PATTERNS if includes(outer, inner)}
    assert found == {inner for inner in PATTERNS if LANGUAGE[inner] <= LANGUAGE[outer]}


@pytest.mark.parametrize("left", PATTERNS)
def test_patterns_overlap_exactly_when_a_name_fits_both(left: str) -> None:
    found = {right for right in PATTERNS if overlap(left, right)}
    assert found == {right for right in PATTERNS if LANGUAGE[left] & LANGUAGE[right]}


def test_nothing_but_the_star_is_special() -> None:
    assert not matches("a.c", "abc")
    assert not matches("[ab]", "a")
    assert not matches("a?", "ab")
    assert matches("récord.*", "récord.ü")


def test_case_counts() -> None:
    assert not matches("refund", "Refund")
    assert not matches("REFUND*", "refund_all")


def test_expanding_keeps_the_order_of_the_names() -> None:
    assert expand(["b", "a*"], ["ab", "b", "c", "a"]) == ("ab", "b", "a")


def test_a_hostile_pattern_takes_no_exponential_time() -> None:
    assert not matches("*a" * 60 + "b", "a" * 5_000)
    assert not overlap("*a" * 60 + "b", "*b" * 60 + "a")
