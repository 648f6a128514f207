"""Hostile conditions and hostile facts: each ends in a clear refusal or fault, quickly, and within bounded memory."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from demur.adapters.zones import TzdataZones
from demur.core.cel import Fault, Result, adhoc
from demur.core.cel.meter import MAX_STEPS
from demur.errors import ConditionError

if TYPE_CHECKING:
    from collections.abc import Mapping

ZONES = TzdataZones()
SECONDS = 5.0
"""Of the processor. Far above what each case takes (under half a second), far below what any would take unbounded."""
SPENT = Fault(f"the condition costs more than {MAX_STEPS} steps")
NUMBERS = list(range(2_000))
LONG = "x" * 250_000
TOO_DEEP = "the condition is nested more than 64 deep"
TOO_LONG = "a condition has at most 65536 bytes"


def timed(text: str, bind: Mapping[str, object] | None = None) -> Result | ConditionError:
    began = time.process_time()
    try:
        return adhoc(text, bind or {}, ZONES)
    except ConditionError as error:
        return error
    finally:
        assert time.process_time() - began < SECONDS


REFUSED: dict[str, tuple[str, str]] = {
    "10000_brackets": ("(" * 10_000 + "1" + ")" * 10_000, TOO_DEEP),
    "60000_open_brackets": ("(" * 60_000, TOO_DEEP),
    "60000_list_brackets": ("[" * 60_000, TOO_DEEP),
    "20000_maps": ("{1:" * 20_000, TOO_DEEP),
    "10000_calls": ("size(" * 10_000, TOO_DEEP),
    "60000_negations": ("!" * 60_000 + "true", TOO_DEEP),
    "60000_minus_signs": ("-" * 60_000 + "1", TOO_DEEP),
    "9000_choices": ("true?1:" * 9_000 + "1", TOO_DEEP),
    "30000_fields": ("a" + ".b" * 30_000, TOO_DEEP),
    "20000_indexes": ("a" + "[0]" * 20_000, TOO_DEEP),
    "9000_methods": ("a" + ".size()" * 9_000, TOO_DEEP),
    "30000_additions": ("1" + "+1" * 30_000, TOO_DEEP),
    "one_megabyte": ("1" + "+1" * 500_000, TOO_LONG),
    "one_megabyte_of_wide_letters": ("'" + "\U0001f600" * 20_000 + "'", TOO_LONG),
    "5_nested_macros": ("l.all(a," * 5 + "true" + ")" * 5, "macros nest at most 4 deep"),
    "open_text": ('"' + "a" * 60_000, "does not end"),
    "open_triple_text": ("'''" + "''" * 30_000, "does not end"),
    "bad_escapes": ('"' + "\\q" * 30_000 + '"', "is not an escape of a character"),
    "open_quoted_names": ("`" * 60_000, "unexpected character"),
    "integer_of_10000_digits": ("1" * 10_000, "does not fit into 64 bits"),
    "hexadecimal_of_10000_digits": ("0x" + "f" * 10_000, "does not fit into 64 bits"),
    "double_of_10000_digits": ("1" * 10_000 + ".5", "is too large for a double"),
    "exponent_of_10000_digits": ("1e" + "9" * 10_000, "is too large for a double"),
    "nul": ("l\0", "the text holds a NUL character"),
    "surrogate": ("'\udc00'", "the text holds a lone surrogate"),
    "escaped_surrogate": (r"'\udc00'", "is not an escape of a character"),
    "cyrillic_name": ("\u0430 == 1", "unexpected character"),
    "full_width_digit": ("１ == 1", "unexpected character"),
    "right_to_left_override": ("1 \u202e== 1", "unexpected character"),
    "no_break_space": ("1\u00a0== 1", "unexpected character"),
    "name_of_65000_letters": ("a" * 65_000, "is not declared"),
    "repetition_of_repetitions": ("'a'.matches('((a{100}){100}){100}')", "invalid repetition size"),
    "repeated_class_of_letters": (r"'a'.matches('\\pL{1000}')", "pattern too large"),
    "pattern_of_a_thousand_steps": ("'a'.matches('(a|ab|b|ba|.){200}z')", "the regular expression is too large"),
    "pattern_of_2000_letters": (f"'a'.matches('{'a' * 2_000}')", "at most 1000 characters"),
    "duration_of_5000_digits": (f"duration('{'1' * 5_000}s')", "a duration has at most 100 characters"),
    "only_line_ends": ("\n" * 60_000 + "@", "unexpected character"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_text_is_refused(name: str) -> None:
    text, message = REFUSED[name]
    found = timed(text, {"l": [1]})
    assert isinstance(found, ConditionError)
    assert message in str(found)
    assert len(str(found)) < 300


COSTLY: dict[str, tuple[str, dict[str, object]]] = {
    "nested_macros": ("l.all(a,l.all(b,l.all(c,l.all(d,a+b+c+d>=0))))", {"l": NUMBERS}),
    "macros_that_build": ("l.map(a,l.map(b,l.map(c,l)))", {"l": NUMBERS}),
    "absorbed_by_or": ("l.all(a,l.all(b,l.all(c,a+b+c>=0))) || true", {"l": NUMBERS}),
    "text_built_in_a_macro": ("l.map(a,s+s+s+s+s+s+s+s+s+s).size()", {"l": NUMBERS, "s": LONG}),
    "text_built_in_a_list": ("[" + "s+s," * 10_000 + "s].size()", {"s": LONG}),
    "lists_built": ("l.map(a,l+l+l+l).size()", {"l": NUMBERS}),
    "lists_compared": ("l.all(a,m==m)", {"l": NUMBERS, "m": [NUMBERS] * 100}),
    "lists_searched": ("l.all(a,!(0.5 in m))", {"l": NUMBERS, "m": [1.5] * 10_000}),
    "texts_searched_in_lists": ("l.all(a,!('q' in m))", {"l": NUMBERS, "m": ["x"] * 50_000}),
    "texts_searched": (
        "||".join(["s.contains(t)"] * 4_000), {"s": LONG, "t": "x" * 125_000 + "y" + "x" * 1_000},
    ),
    "pattern_over_a_long_text": ("s.matches('(a|ab|b|ba|.){60}z')", {"s": "ab" * 125_000}),
    "patterns_made_of_facts": ("l.exists(x, s.matches(string(x) + p))", {"l": NUMBERS, "s": "ab", "p": "(a?){400}"}),
    "patterns_that_fail": ("l.exists(x, s.matches(string(x) + p))", {"l": NUMBERS, "s": "ab", "p": r"\pL{1000}"}),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
def test_what_costs_too_much_ends_in_a_fault(name: str) -> None:
    assert timed(*COSTLY[name]) == SPENT


@pytest.mark.parametrize("name", ["text_built_in_a_macro", "text_built_in_a_list", "lists_built", "macros_that_build"])
def test_what_costs_too_much_stays_within_bounded_memory(name: str) -> None:
    tracemalloc.start()
    try:
        timed(*COSTLY[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000_000


FACTS: dict[str, tuple[str, str, str]] = {
    "long_number": ("int(s) == 1", "9" * 100_000, "is not an integer"),
    "long_double": ("double(s) == 1.0", "9" * 100_000, "is not a number"),
    "long_time": ("timestamp(s) > timestamp(0)", "9" * 100_000, "is not an RFC 3339 time"),
    "long_duration": ("duration(s) > duration('1s')", "1h" * 100_000, "at most 100 characters"),
    "huge_duration": ("duration(s) > duration('1s')", "1" * 90 + "h", "exceeds 10000 years"),
    "zone_that_is_a_path": ("timestamp(0).getHours(s) == 1", "../../etc/passwd", "is not a time zone"),
    "zone_with_nul": ("timestamp(0).getHours(s) == 1", "UTC\0", "is not a time zone"),
    "long_zone": ("timestamp(0).getHours(s) == 1", "A" * 100_000, "is not a time zone"),
    "long_pattern": ("'a'.matches(s)", "a" * 100_000, "at most 1000 characters"),
    "key_that_is_missing": ("{'a': 1}[s] == 1", "k" * 100_000, "no such key"),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_hostile_fact_ends_in_a_short_fault(name: str) -> None:
    text, value, message = FACTS[name]
    found = timed(text, {"s": value})
    assert isinstance(found, Fault)
    assert message in found.message
    assert len(found.message) < 200


@pytest.mark.parametrize(
    "text",
    [
        "s.matches('(x+x+)+y')",
        "s.matches('(x*)*(x*)*(x*)*y')",
        "s.matches('(x|x|x)*y')",
        "s.matches('^(([a-z])+.)+[A-Z]$')",
    ],
)
def test_a_pattern_that_hangs_other_engines_is_answered(text: str) -> None:
    assert timed(text, {"s": "x" * 50_000}) is False


def test_long_flat_conditions_are_answered() -> None:
    assert timed("true" + "&&true" * 10_000) is True
    assert timed("has(m.a)" + "".join(f"&&has(m.a{n})" for n in range(4_000)), {"m": {"a": 1}}) is False
    assert timed("x in [" + ",".join(str(n) for n in range(9_000)) + "]", {"x": 8_999}) is True
    assert timed("{" + ",".join(f"{n}:1" for n in range(7_000)) + "}.size()") == 7_000


def test_a_misspelling_among_thousands_of_like_names_is_refused_quickly() -> None:
    found = timed("a" * 79, {f"{'a' * 70}{n}": 1 for n in range(5_000)})
    assert isinstance(found, ConditionError)


def test_the_deepest_condition_runs_from_a_deep_stack() -> None:
    """The depth that the caps allow fits under Python's limit with hundreds of the caller's frames to spare."""

    def dive(frames: int) -> object:
        return dive(frames - 1) if frames else timed("size([" * 31 + "1" + "])" * 31)

    assert dive(300) == 1
