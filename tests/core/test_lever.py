"""The levers as values: what a stop and an opening cover, and what cannot be asked of them (S12)."""

from __future__ import annotations

from typing import Any

import pytest

from demur.core import lever
from demur.core.lever import Levers, Opening, Stop
from demur.core.terms import Timestamp
from demur.errors import RulingError

NOW = Timestamp(1_000)
LATER = NOW.plus(60)


def stop(**scope: Any) -> Stop:
    known: dict[str, Any] = {"id": "s1", "since": NOW, "operator": "o"}
    return Stop(**(known | scope))


def opening(**scope: Any) -> Opening:
    known: dict[str, Any] = {"id": "g1", "opened_at": NOW, "until": LATER, "operator": "o", "subject": "ann"}
    return Opening(**(known | {"actions": ("refund",)} | scope))


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({}, True),
        ({"actions": ("refund",)}, True),
        ({"actions": ("list", "re*d")}, True),
        ({"actions": ("Refund",)}, False),
        ({"actions": ("list",)}, False),
        ({"actor": "bot"}, True),
        ({"actor": "other"}, False),
        ({"actor": "other", "actions": ("refund",)}, False),
        ({"actor": "bot", "actions": ("list",)}, False),
    ],
)
def test_a_stop_covers_actions_and_actor_together(scope: dict[str, Any], covered: bool) -> None:
    assert stop(**scope).covers("refund", "bot") is covered


@pytest.mark.parametrize(
    ("action", "subject", "now", "covered"),
    [
        ("refund", "ann", NOW, True),
        ("refund", "ann", Timestamp(LATER.nanos - 1), True),
        ("refund", "ann", LATER, False),
        ("refund", "bob", NOW, False),
        ("list", "ann", NOW, False),
    ],
)
def test_an_opening_covers_its_subject_and_actions_until_its_end(
    action: str, subject: str, now: Timestamp, covered: bool
) -> None:
    assert opening().covers(action, subject, now) is covered


def test_one_more_stop_leaves_the_others_on() -> None:
    levers = lever.with_stop(lever.with_stop(lever.NONE, stop(actor="a")), stop(id="s2", actor="b"))
    assert [item.id for item in levers.stops] == ["s1", "s2"]
    assert lever.without_stop(levers, "s1").stops == (stop(id="s2", actor="b"),)


def test_the_same_stop_twice_is_an_error_whatever_the_order_of_its_actions() -> None:
    levers = lever.with_stop(lever.NONE, stop(actions=("a", "b")))
    with pytest.raises(RulingError, match="just this is stopped already, by `s1`"):
        lever.with_stop(levers, stop(id="s2", actions=("b", "a")))


def test_a_stop_that_is_not_on_cannot_be_released() -> None:
    with pytest.raises(RulingError, match="expected a stop that is on, found `s2`"):
        lever.without_stop(Levers((stop(),)), "s2")


def test_an_opening_that_has_ended_cannot_be_ended() -> None:
    with pytest.raises(RulingError, match="expected an opening that has not ended, found `g2`"):
        lever.without_opening(Levers((), (opening(),)), "g2")


def test_an_opening_without_actions_is_an_error() -> None:
    with pytest.raises(RulingError, match="expected the actions that glass is broken for, found none"):
        lever.with_opening(lever.NONE, opening(actions=()))


def test_so_many_levers_and_no_more() -> None:
    full = Levers(tuple(stop(id=str(n), actor=str(n)) for n in range(256)), tuple(opening() for _ in range(256)))
    with pytest.raises(RulingError, match="expected at most 256"):
        lever.with_stop(full, stop())
    with pytest.raises(RulingError, match="expected at most 256"):
        lever.with_opening(full, opening())


def test_an_opening_is_open_until_its_end_and_then_has_ended() -> None:
    levers = Levers((), (opening(),))
    assert (levers.is_open("g1", NOW), levers.is_open("g1", LATER), levers.is_open("g2", NOW)) == (True, False, False)
    assert (lever.ended(levers, NOW), lever.ended(levers, LATER)) == ((), (opening(),))


@pytest.mark.parametrize("seconds", [1, 900, 3_600])
def test_an_opening_lasts_an_hour_at_most(seconds: int) -> None:
    assert lever.check_seconds(seconds) == seconds


@pytest.mark.parametrize("pattern", ["", "x" * 129, "refnd", "REFUND", "*x"])
def test_a_pattern_that_is_about_nothing_is_an_error(pattern: str) -> None:
    with pytest.raises(RulingError, match="expected a pattern"):
        lever.check_actions([pattern], ["refund", "list"])


def test_patterns_count_once_each() -> None:
    assert lever.check_actions(["re*", "list", "re*"], ["refund", "list"]) == ("re*", "list")
