"""One value has one byte form, and it is RFC 8785's."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from demur.core import canonical
from demur.core.terms import MAX_INT, Duration, Timestamp

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_every_json_value_is_encoded_as_the_rfc8785_package_does(value: object) -> None:
    assert canonical.encode(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_the_samples_of_rfc_8785_have_their_published_form(vectors: Path, name: str) -> None:
    value = json.loads((vectors / "jcs" / "input" / f"{name}.json").read_text())
    assert canonical.encode(value) == (vectors / "jcs" / "output" / f"{name}.json").read_bytes().strip()


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, MAX_INT + 1, "\ud800", {"a": "\udfff"}, {1: 2}, b"x", {1, 2}, {"\ud800": 1}]
)
def test_what_json_cannot_say_has_no_form(value: object) -> None:
    with pytest.raises(ValueError, match=r"form|text"):
        canonical.encode(value)


def test_times_are_written_as_their_text() -> None:
    assert canonical.encode([Timestamp(0), Duration(1_500_000_000)]) == b'["1970-01-01T00:00:00Z","1.5s"]'


def test_true_and_one_have_different_digests() -> None:
    assert canonical.digest({"a": True}) != canonical.digest({"a": 1})
