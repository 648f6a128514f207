"""What holds for every condition: any text is answered, learning never flips a truth, the checked form is portable."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core.cel import Checked, Fault, Scope, Unknown, Variable, check, link
from demur.core.cel.ir import Node
from demur.core.cel.tokens import tokenize
from demur.core.terms import Missing, State
from demur.errors import ConditionError
from tests.core.cel.given import SCOPE, ZONES, FewZones
from tests.properties.condition_texts import VARIABLES, Writer, values
from tests.properties.condition_values import declared, held

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = [
    "a", "action.amount", "resource.note", "subject.roles", "has(", "size(", "1", "2.5",
    '"x"', "'", '"', "true", "null", "in",
    "&&", "||", "!", "-", "?", ":", "(", ")", "[", "]", "{", "}", ",", ".", "==", "<", "+", "%", ".all(x,",
    ".map(x,", "x",
    "`", "\\", "//", "\n", "r'",
    "é", "\ud800", "\0", "\U0001f600", "1e", "0x", "timestamp(", ".matches(",
]  # fmt: skip
SAMPLE = Scope(
    {path: Variable(slot, declared(text)) for slot, (path, text) in enumerate(VARIABLES.items())},
    FewZones.OFFSETS.__contains__,
)
TRUTHS = st.randoms(use_true_random=False)


def is_answered(text: str) -> bool:
    try:
        return isinstance(check(text, SCOPE), Checked)
    except ConditionError as error:
        return error.line >= 1 and error.column >= 1 and str(error) != ""


@given(st.text())
def test_any_text_is_checked_or_refused(text: str) -> None:
    assert is_answered(text)


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.lists(st.sampled_from(WORDS)).map("".join))
def test_any_run_of_words_is_checked_or_refused(text: str) -> None:
    assert is_answered(text)


@given(TRUTHS, st.data())
def test_a_damaged_condition_is_checked_or_refused(rng: Random, data: st.DataObject) -> None:
    text = Writer(rng).write("bool", 3)
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    assert is_answered(text[:first] + data.draw(st.sampled_from(WORDS)) + text[last:])


@given(st.text())
def test_tokens_lie_in_the_text_in_order(text: str) -> None:
    try:
        offsets = [offset for _, _, offset in tokenize(text)]
    except ConditionError:
        return
    assert offsets == sorted(offsets)
    assert offsets[-1] == len(text)


def row(given_: dict[str, Any]) -> list[State]:
    return [held(given_[path]) for path in VARIABLES]


def hide(row_: Sequence[State], slots: set[int]) -> list[State]:
    return [Missing.UNKNOWN if slot in slots else state for slot, state in enumerate(row_)]


@pytest.mark.parametrize("seed", range(600))
def test_learning_a_fact_never_flips_a_truth(seed: int) -> None:
    """S3.3: what is true or false with facts unknown is the same whatever they turn out to be."""
    rng = Random(seed)
    program = link(check(Writer(rng).write("bool", 4), SAMPLE).node, ZONES)
    full = row(values(rng))
    hidden = {slot for slot in range(len(full)) if rng.random() < 0.4}
    before = program(hide(full, hidden))
    if isinstance(before, bool):
        for _ in range(5):
            learned = row(values(rng))
            assert program([learned[slot] if slot in hidden else state for slot, state in enumerate(full)]) is before


@pytest.mark.parametrize("seed", range(600))
def test_what_is_unknown_names_only_hidden_facts_and_is_settled_by_them(seed: int) -> None:
    rng = Random(seed)
    program = link(check(Writer(rng).write("bool", 4), SAMPLE).node, ZONES)
    full = row(values(rng))
    hidden = {slot for slot in range(len(full)) if rng.random() < 0.4}
    paths = list(VARIABLES)
    found = program(hide(full, hidden))
    if isinstance(found, Unknown):
        assert list(found.paths) == sorted(set(found.paths))
        assert set(found.paths) <= {paths[slot] for slot in hidden}
        assert found.paths
    assert not isinstance(program(full), Unknown)


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack], ids=["json", "msgpack"])
@pytest.mark.parametrize("seed", range(200))
def test_the_checked_form_survives_being_written_and_read(seed: int, codec: Any) -> None:
    rng = Random(seed)
    node = check(Writer(rng).write("bool", 4), SAMPLE).node
    again = codec.decode(codec.encode(node), type=Node)
    assert again == node
    for _ in range(3):
        full = row(values(rng))
        assert repr(link(again, ZONES)(full)) == repr(link(node, ZONES)(full))


@pytest.mark.parametrize("seed", range(200))
def test_a_condition_says_the_same_within_a_macro(seed: int) -> None:
    """The metered evaluation and the direct one are two ways to the same value."""
    rng = Random(seed)
    text = Writer(rng).write("bool", 3)
    full = row(values(rng))
    alone = link(check(text, SAMPLE).node, ZONES)(full)
    within = link(check(f"[0].all(only, {text})", SAMPLE).node, ZONES)(full)
    assert within == alone or (isinstance(within, Fault) and isinstance(alone, Fault))
