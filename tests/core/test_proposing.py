"""Bounds proposed from what people approved."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from demur.core.precedent import Case
from demur.core.proposing import MAX_VALUES, is_within, propose
from demur.core.scope import Bound
from demur.core.terms import Missing

VALUES = st.one_of(
    st.integers(-20, 20),
    st.floats(-20, 20, width=16),
    st.booleans(),
    st.sampled_from(["EUR", "USD", "some words", ""]),
    st.lists(st.integers(0, 2), max_size=2),
    st.just(Missing.ABSENT),
)
CASES = st.builds(lambda a, b: case(a=a, b=b), VALUES, VALUES)


def case(**arguments: Any) -> Case:
    return Case("pay", "account", {f"action.{name}": value for name, value in arguments.items()})


def test_numbers_get_a_range_and_other_values_a_list() -> None:
    found = propose([case(amount=5, to="ann"), case(amount=9, to="bob"), case(amount=7, to="ann")], [])
    assert found.arguments == {
        "action.amount": Bound(at_least=5, at_most=9),
        "action.to": Bound(one_of=("ann", "bob")),
    }
    assert found.words["action.amount"] == "from 5 to 9, as approved"


def test_sentences_and_what_is_different_every_time_stay_free() -> None:
    many = [case(note=f"invoice {number}", to=f"r{number}") for number in range(MAX_VALUES + 1)]
    found = propose(many, [])
    assert found.arguments == {"action.note": Bound(is_free=True), "action.to": Bound(is_free=True)}
    assert found.words["action.to"] == f"{MAX_VALUES + 1} different values, so left free"


def test_an_argument_that_was_left_out_may_be_left_out() -> None:
    found = propose([case(amount=5, to="ann"), case(amount=5)], [])
    assert found.arguments["action.to"] == Bound(one_of=("ann",), may_be_absent=True)


def test_a_range_is_cut_where_something_within_was_denied() -> None:
    approved = [case(amount=value) for value in (10, 20, 30, 90)]
    found = propose(approved, [case(amount=50), case(amount=15)])
    assert found.arguments["action.amount"] == Bound(at_least=20, at_most=30)
    assert (found.approved, found.denied) == (2, 0)


def test_what_cannot_be_cut_away_is_told() -> None:
    found = propose([case(to="ann"), case(to="bob")], [case(to="ann")])
    assert (found.approved, found.denied) == (2, 1)


@given(st.lists(CASES, min_size=1, max_size=8))
def test_all_that_was_approved_lies_within_where_nothing_was_denied(approved: list[Case]) -> None:
    found = propose(approved, [])
    assert found.approved == len(approved)
    assert all(bound.kinds == 1 for bound in found.arguments.values())


@given(st.lists(CASES, min_size=1, max_size=8), st.lists(CASES, max_size=5))
def test_a_proposal_counts_what_lies_within_and_is_never_wider_than_without_denials(
    approved: list[Case], denied: list[Case]
) -> None:
    found, wide = propose(approved, denied), propose(approved, [])
    assert found.denied == sum(is_within(found.arguments, one) for one in denied)
    assert found.denied <= sum(is_within(wide.arguments, one) for one in denied)
    assert found.approved >= 1
    assert all(is_within(wide.arguments, one) for one in denied if is_within(found.arguments, one))
