"""How alike two cases are, by hand and against a second, naive implementation."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core.precedent import Candidate, Case, Likeness, Ruled, alike, compare, rank
from demur.core.terms import Duration, Missing, Timestamp

HOUR = 3_600 * 10**9
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False, width=32), st.integers(-5, 5)
)
TEXTS = st.sampled_from(["", "a", "b", "a b", "b a", "a b c", "Überweisung", "日本 語", "\0"])
SCALARS = st.one_of(
    NUMBERS,
    TEXTS,
    st.booleans(),
    st.none(),
    st.builds(Timestamp, st.integers(-(2**62), 2**62)),
    st.builds(Duration, st.integers(-(2**62), 2**62)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
STATES = st.one_of(VALUES, st.sampled_from(list(Missing)))
PARTS = st.dictionaries(st.sampled_from(["p.a", "p.b", "p.c"]), STATES, max_size=3)
CASES = st.builds(
    Case,
    st.sampled_from(["pay", "send"]),
    st.sampled_from(["account", "order"]),
    PARTS,
    PARTS,
    st.dictionaries(st.sampled_from(["p.a", "p.b"]), st.sampled_from(["cent", "mg"]), max_size=2),
)


# By hand.


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (100, 100, 1.0),
        (100, 100.0, 1.0),
        (80, 100, 0.8),
        (100, 80, 0.8),
        (-80, -100, 0.8),
        (-1, 1, 0.0),
        (0, 1, 0.0),
        (True, 1, 0.0),
        (True, True, 1.0),
        ("EUR", "EUR", 1.0),
        ("EUR", "USD", 0.0),
        ("EUR", "eur", 0.0),
        ("a b c", "c b d", 0.5),
        ("1", 1, 0.0),
        (None, None, 1.0),
        (None, False, 0.0),
        ([1, 2, 3], [3, 2], 2 / 3),
        ([1, 1, 2], [2, 1], 1.0),
        ([], [], 1.0),
        ([], [1], 0.0),
        ([[1], {"a": 1}], [{"a": 1.0}, [1]], 1.0),
        ({"a": 80, "b": 1}, {"a": 100, "c": 1}, 0.8 / 3),
        ({}, {}, 1.0),
        (Timestamp(0), Timestamp(24 * HOUR), 0.5),
        (Duration(60), Duration(30), 0.5),
        (Duration(60), 60, 0.0),
        (Missing.ABSENT, 1, 0.0),
        (Missing.UNKNOWN, 1, 0.0),
    ],
)
def test_how_alike_two_values_are(here: Any, there: Any, expected: float) -> None:
    assert alike(here, there) == pytest.approx(expected)


def test_the_mean_is_weighted_arguments_before_facts_and_prose_last() -> None:
    here = Case("pay", "account", {"action.amount": 80, "action.note": "two words"}, {"subject.role": "clerk"})
    there = Case("pay", "account", {"action.amount": 100, "action.note": "other ones"}, {"subject.role": "clerk"})
    assert compare(here, there).similarity == pytest.approx((2 * 0.8 + 0.5 * 0 + 1 * 1) / 3.5)


@pytest.mark.parametrize(("action", "kind", "factor"), [("pay", "order", 0.5), ("send", "account", 0.25)])
def test_another_action_or_type_of_resource_lowers_it(action: str, kind: str, factor: float) -> None:
    here, there = Case("pay", "account", {"action.amount": 80}), Case(action, kind, {"action.amount": 80})
    assert compare(here, there).similarity == factor


def test_numbers_of_two_units_are_not_compared() -> None:
    here = Case("pay", "account", {"action.amount": 80}, units={"action.amount": "EUR cent"})
    there = Case("pay", "account", {"action.amount": 80}, units={"action.amount": "EUR"})
    (part,) = compare(here, there).compared
    assert (part.alike, part.words) == (0.0, "in another unit there")


def test_the_explanation_names_what_differs_most_first() -> None:
    here = Case("pay", "account", {"action.amount": 100, "action.to": "x", "action.ids": [1, 2]}, {"subject.role": "a"})
    there = Case("pay", "account", {"action.amount": 104, "action.to": "y", "action.ids": [2, 3]}, {})
    assert compare(here, there).explanation == (
        "the same action on the same type of resource; action.to: different; action.ids: 1 of 3 in common; "
        "subject.role: only here; action.amount: 4% higher there"
    )


def test_the_words_tell_no_value() -> None:
    here = Case("pay", "account", {"action.amount": 48_113, "action.to": "Jörg Müller"}, {"subject.role": "oncologist"})
    there = Case("pay", "account", {"action.amount": 51_977, "action.to": "Ann Lee"}, {"subject.role": "surgeon"})
    told = compare(here, there).explanation
    assert [word for word in ("48", "51", "Jörg", "Ann", "oncologist", "surgeon") if word in told] == []


def candidate(name: str, ruled: Ruled, similarity: float, order: int = 0) -> Candidate:
    return Candidate(name, order, ruled, Likeness(similarity, "", ()))


def test_a_near_denied_case_stands_before_far_approved_ones() -> None:
    cases = [candidate("far", Ruled.APPROVED, 0.4), candidate("near", Ruled.DENIED, 0.98)]
    assert [one.id for one in rank(cases, 3)] == ["near", "far"]


def test_of_equals_the_denied_comes_first_and_then_the_newest() -> None:
    cases = [
        candidate("old", Ruled.APPROVED, 0.5, 1),
        candidate("new", Ruled.APPROVED, 0.5, 2),
        candidate("no", Ruled.DENIED, 0.5, 0),
    ]
    assert [one.id for one in rank(cases, 3)] == ["no", "new", "old"]


# Properties.


@given(CASES)
def test_a_case_is_wholly_like_itself(case: Case) -> None:
    assert compare(case, case).similarity == 1.0
    assert compare(case, case).differences == ()


@given(CASES, CASES)
def test_likeness_is_the_same_in_both_directions_and_between_none_and_whole(one: Case, other: Case) -> None:
    found = compare(one, other)
    assert found.similarity == compare(other, one).similarity
    assert 0.0 <= found.similarity <= 1.0
    assert all(0.0 <= part.alike <= 1.0 for part in found.compared)


@given(st.lists(NUMBERS, min_size=3, max_size=3).map(sorted))
def test_what_is_farther_away_is_not_more_alike(numbers: list[float]) -> None:
    low, middle, high = numbers
    assert alike(low, middle) >= alike(low, high)
    assert alike(high, middle) >= alike(high, low)


@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=3, max_size=3).map(sorted), st.sampled_from([Timestamp, Duration])
)
def test_instants_and_durations_farther_away_are_not_more_alike(nanos: list[int], kind: Any) -> None:
    low, middle, high = map(kind, nanos)
    assert alike(low, middle) >= alike(low, high)
    assert alike(high, middle) >= alike(high, low)


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)), st.integers(10, 20))
def test_one_more_item_that_the_other_lacks_makes_lists_less_alike(one: set[int], other: set[int], more: int) -> None:
    before, after = alike(sorted(one), sorted(other)), alike([*sorted(one), more], sorted(other))
    assert after < before or before == 0.0


@given(
    st.lists(st.tuples(st.sampled_from(list(Ruled)), st.integers(0, 4), st.integers(0, 3)), max_size=8),
    st.integers(-1, 6),
)
def test_ranking_shows_the_most_alike_and_each_outcome(drawn: list[tuple[Ruled, int, int]], limit: int) -> None:
    cases = [candidate(f"c{index}", ruled, like / 4, order) for index, (ruled, like, order) in enumerate(drawn)]
    shown = rank(cases, limit)
    assert len(shown) == max(0, min(limit, len(cases)))
    assert [one.likeness.similarity for one in shown] == sorted(
        (one.likeness.similarity for one in shown), reverse=True
    )
    if limit >= 2:
        assert {one.ruled for one in shown} == {one.ruled for one in cases}
    # What is left out is no more alike than what is shown, but for the one that is there for its outcome.
    shown_ids = {one.id for one in shown}
    left = [one.likeness.similarity for one in cases if one.id not in shown_ids]
    worse = [one for one in shown if left and one.likeness.similarity < max(left)]
    assert len(worse) <= (1 if limit >= 2 else 0)
    assert rank(reversed(cases), limit) == shown


# A second implementation: exact fractions, no shortcuts, written from the formula in the docstring alone.


def naive(here: Any, there: Any) -> Fraction:
    if isinstance(here, bool) or isinstance(there, bool) or here is None or there is None:
        return Fraction(type(here) is type(there) and here == there)
    if isinstance(here, (int, float)) and isinstance(there, (int, float)):
        return ratio(Fraction(here), Fraction(there))
    if type(here) is not type(there):
        return Fraction(0)
    if isinstance(here, Duration):
        return ratio(Fraction(here.nanos), Fraction(there.nanos))
    if isinstance(here, Timestamp):
        day = Fraction(24 * HOUR)
        return day / (day + abs(here.nanos - there.nanos))
    if isinstance(here, str):
        words, others = here.split(), there.split()
        return overlap(words, others) if max(len(words), len(others)) > 1 else Fraction(here == there)
    if isinstance(here, list):
        return overlap(here, there)
    keys = list(dict.fromkeys([*here, *there]))
    both = [naive(here[key], there[key]) if key in here and key in there else Fraction(0) for key in keys]
    return sum(both, Fraction(0)) / len(both) if both else Fraction(1)


def ratio(here: Fraction, there: Fraction) -> Fraction:
    largest = max(abs(here), abs(there))
    return max(Fraction(0), 1 - abs(here - there) / largest) if largest else Fraction(1)


def overlap(here: list[Any], there: list[Any]) -> Fraction:
    """Jaccard's index by comparing each with each."""
    either: list[Any] = []
    for item in (*here, *there):
        if not any(same(item, known) for known in either):
            either.append(item)
    both = [item for item in either if any(same(item, x) for x in here) and any(same(item, x) for x in there)]
    return Fraction(len(both), len(either)) if either else Fraction(1)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return type(one) is type(other) and one == other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(itertools.starmap(same, zip(one, other, strict=True)))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return (type(one) is type(other) and one == other) or ({type(one), type(other)} == {int, float} and one == other)


def naive_whole(here: Case, there: Case) -> Fraction:
    top = bottom = Fraction(0)
    for weight, ours, theirs in ((2, here.arguments, there.arguments), (1, here.facts, there.facts)):
        for path in ours.keys() | theirs.keys():
            one, other = ours.get(path, Missing.ABSENT), theirs.get(path, Missing.ABSENT)
            missing = isinstance(one, Missing), isinstance(other, Missing)
            if all(missing):
                continue
            prose = any(isinstance(value, str) and len(value.split()) > 1 for value in (one, other))
            scaled = Fraction(weight) * (Fraction(1, 4) if prose else 1)
            is_comparable = not any(missing) and here.units.get(path, "") == there.units.get(path, "")
            top, bottom = top + scaled * (naive(one, other) if is_comparable else 0), bottom + scaled
    factor = Fraction(1 if here.action == there.action else "1/4") * (
        1 if here.resource_type == there.resource_type else Fraction(1, 2)
    )
    return factor * (top / bottom if bottom else 1)


@given(CASES, CASES)
def test_likeness_is_what_the_formula_says(one: Case, other: Case) -> None:
    assert compare(one, other).similarity == pytest.approx(float(naive_whole(one, other)), abs=1e-9)
