"""Which refused attempts belong together, and which went against advice (S8.1, S8.2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core import denial, intake
from demur.core.denial import Advice, Attempt, Denials
from demur.core.intake import Caller
from demur.core.terms import Disposition, Missing, Timestamp

from .given_policies import policies

NOW = Timestamp(10**18)
TOOLS = policies(
    """
demur: 1
namespace: tools
actions:
  remove: {arguments: {path: string, why: {type: string, optional: true}}}
  erase: {same_as: remove, arguments: {path: string, why: {type: string, optional: true}}}
  read: {arguments: {path: string}}
rules: [{id: read, effect: permit, actions: [read]}]
"""
)


def form(action: str, **arguments: Any) -> str:
    body: dict[str, Any] = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": action, "properties": arguments},
        "resource": {"type": "disk", "id": "D-1"},
    }
    return denial.link_form(intake.read(body, TOOLS.schema, caller=Caller()), TOOLS.schema)


@pytest.mark.parametrize(
    "again",
    [
        form("remove", path="/Data  All"),
        form("remove", path=" /data all "),
        form("remove", path="/da\u200bta all"),
        form("remove", path="\uff0fdata all"),
        form("erase", path="/DATA ALL"),
    ],
)
def test_reworded_attempts_and_equivalent_tools_are_linked(again: str) -> None:
    assert again == form("remove", path="/data all")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": "x"}, {"b": "X", "a": 1.0}),
        ({"a": {"B": [" x "], "a": None}}, {"A": {"a": None, "b": ["X"]}}),
        ({"a": True}, {"A": True}),
    ],
)
def test_arguments_that_nobody_declared_are_linked_as_well(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert form("unheard-of", **one) == form("unheard-of", **other)


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": True}), ({"a": 1}, {"a": "1"}), ({"a": ["x", "y"]}, {"a": ["y", "x"]}), ({"a": {}}, {"a": []})],
)
def test_values_that_mean_something_else_are_not_linked(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert form("unheard-of", **one) != form("unheard-of", **other)


@pytest.mark.parametrize(
    "other", [form("remove", path="/data"), form("read", path="/data all"), form("remove", path="/data all", why="x")]
)
def test_another_attempt_is_not_linked(other: str) -> None:
    assert other != form("remove", path="/data all")


@given(st.text(max_size=40))
def test_a_normal_text_is_its_own_normal_text(text: str) -> None:
    once = denial.normal_text(text)
    assert denial.normal_text(once) == once


def repeats(advice: Advice, *attempts: Attempt, at: Timestamp = NOW) -> int:
    known = Denials()
    for number, attempt in enumerate(attempts):
        known = denial.note(known, attempt, advice, sequence=number, now=at)
    return known.repeats


SAME = Attempt(b"link", b"exact", b"facts")
REWORDED = Attempt(b"link", b"other", b"facts")
INFORMED = Attempt(b"link", b"exact", b"more")
ELSEWHERE = Attempt(b"else", b"exact", b"facts")
LATER = NOW.plus(60)


@pytest.mark.parametrize(
    ("advice", "second", "count"),
    [
        (Advice(Disposition.NEVER_RETRY), SAME, 1),
        (Advice(Disposition.NEVER_RETRY), REWORDED, 1),
        (Advice(Disposition.NEVER_RETRY), INFORMED, 0),
        (Advice(Disposition.NEVER_RETRY), ELSEWHERE, 0),
        (Advice(Disposition.MODIFY), SAME, 1),
        (Advice(Disposition.MODIFY), REWORDED, 0),
        (Advice(Disposition.RETRY_AFTER, LATER), REWORDED, 1),
        (Advice(Disposition.RETRY_AFTER, NOW), SAME, 0),
        (Advice(Disposition.RETRY_AFTER), SAME, 0),
        (Advice(Disposition.RETRY_AFTER, LATER), SAME, 1),
        (Advice(Disposition.RETRY_AFTER, LATER), INFORMED, 0),
        (Advice(Disposition.RETRY_AFTER, LATER, may_reword=True), REWORDED, 0),
        (Advice(Disposition.RETRY_AFTER, LATER, may_reword=True), SAME, 1),
        (Advice(Disposition.RETRY_AFTER, may_reword=True), SAME, 0),
        (Advice(Disposition.MODIFY), INFORMED, 0),
        (Advice(Disposition.MODIFY, LATER), SAME, 1),
        (Advice(Disposition.MODIFY, NOW), SAME, 0),
        (Advice(Disposition.NEVER_RETRY, NOW), SAME, 0),
        (Advice(Disposition.NEVER_RETRY, may_reword=True), REWORDED, 0),
        (Advice(Disposition.NEVER_RETRY, may_reword=True), SAME, 1),
        (Advice(Disposition.SUPPLY_CONTEXT), SAME, 0),
        (Advice(Disposition.WAIT), SAME, 0),
        (Advice(Disposition.SEEK_AUTHORITY), SAME, 0),
        (Advice(Disposition.AWAIT_REVIEW), SAME, 0),
    ],
)
def test_only_what_the_last_advice_was_against_is_a_repeat(advice: Advice, second: Attempt, count: int) -> None:
    assert repeats(advice, SAME, second) == count


def test_a_chain_names_its_first_record() -> None:
    known = Denials()
    for number in range(10):
        known = denial.note(known, SAME, Advice(Disposition.NEVER_RETRY), sequence=number + 7, now=NOW)
    chain = known.chain(b"link")
    assert chain is not None
    assert (chain.first, chain.attempts, chain.repeats) == (7, 10, 9)


def test_at_the_limit_a_key_is_due_and_lifting_begins_anew() -> None:
    known = Denials()
    for number in range(4):
        known = denial.note(known, SAME, Advice(Disposition.NEVER_RETRY), sequence=number, now=NOW)
    assert not denial.is_due(known, 4)
    assert denial.is_due(known, 3)
    held = denial.quarantine(known, sequence=9, now=NOW)
    assert not denial.is_due(held, 3)
    assert not denial.is_due(denial.lift(held), 3)


def test_policies_that_declare_no_limit_quarantine_nobody() -> None:
    known = Denials()
    for number in range(100):
        known = denial.note(known, SAME, Advice(Disposition.NEVER_RETRY), sequence=number, now=NOW)
    assert known.repeats == 99
    assert not denial.is_due(known, 0)


def test_repeats_of_all_chains_of_a_key_add_up() -> None:
    known = Denials()
    for number, attempt in enumerate((SAME, ELSEWHERE, SAME, ELSEWHERE)):
        known = denial.note(known, attempt, Advice(Disposition.NEVER_RETRY), sequence=number, now=NOW)
    assert (known.repeats, [chain.repeats for chain in known.chains]) == (2, [1, 1])


def test_what_is_forgotten_is_a_free_key_that_nobody_used_for_thirty_days() -> None:
    known = denial.note(Denials(), SAME, Advice(Disposition.NEVER_RETRY), sequence=1, now=NOW)
    days = 24 * 3_600
    assert denial.current(known, NOW.plus(30 * days - 1)) == known
    assert denial.current(known, NOW.plus(30 * days)) == Denials()
    held = denial.quarantine(known, sequence=2, now=NOW)
    assert denial.current(held, NOW.plus(400 * days)) == held


def test_the_chain_that_nobody_touched_for_longest_is_forgotten_first() -> None:
    known = Denials()
    for number in range(denial.MAX_CHAINS):
        attempt = Attempt(str(number).encode(), b"", b"")
        known = denial.note(known, attempt, Advice(Disposition.WAIT), sequence=number, now=NOW)
    for link in (b"0", b"new"):
        known = denial.note(known, Attempt(link, b"", b""), Advice(Disposition.WAIT), sequence=100, now=NOW)
    assert (known.chain(b"0") is None, known.chain(b"1") is None) == (False, True)


def test_what_is_remembered_is_bounded() -> None:
    known = Denials()
    for number in range(denial.MAX_CHAINS + 20):
        attempt = Attempt(str(number).encode(), b"", b"")
        known = denial.note(known, attempt, Advice(Disposition.WAIT), sequence=number, now=NOW)
    assert len(known.chains) == denial.MAX_CHAINS


def test_absent_unknown_and_a_value_are_three_different_facts() -> None:
    forms = {denial.facts_form({"a.b": state}, "p") for state in (Missing.ABSENT, Missing.UNKNOWN, "absent")}
    assert len(forms) == 3
