"""Risk is a product of four levels that facts raise and never lower (S3.3, S5.5)."""

from __future__ import annotations

import itertools

import pytest

from demur.core.cel.ir import Const
from demur.core.desk import novelty, reading
from demur.core.desk.novelty import Past
from demur.core.desk.plan import Mark, Measure, Scale
from demur.core.desk.risk import Level, Risk, assess
from demur.core.schema import Kind, Type
from demur.core.terms import Missing, State

LEVELS = range(4)
RANKS = list(Risk)
NODE = Const(value=True, type=Type(Kind.BOOL))


def overall(floor: Risk, *levels: int) -> Risk:
    severity, reversibility, blast, new = (Level(level, "why") for level in levels)
    return assess(floor=floor, severity=severity, reversibility=reversibility, blast_radius=blast, novelty=new).overall


@pytest.mark.parametrize("levels", list(itertools.product(LEVELS, repeat=4)))
def test_the_whole_is_the_product_or_what_the_rule_says(levels: tuple[int, ...]) -> None:
    product = 1
    for level in levels:
        product *= level + 1
    counted = 0 if product < 8 else 1 if product < 48 else 2 if product < 128 else 3
    for floor in Risk:
        assert RANKS.index(overall(floor, *levels)) == max(counted, RANKS.index(floor))


@pytest.mark.parametrize("levels", list(itertools.product(range(3), repeat=4)))
def test_a_higher_level_never_lowers_the_whole(levels: tuple[int, ...]) -> None:
    before = overall(Risk.LOW, *levels).rank
    for place in range(4):
        raised = [level + (index == place) for index, level in enumerate(levels)]
        assert overall(Risk.LOW, *raised).rank >= before


def test_the_explanation_shows_the_product_and_what_the_rule_says() -> None:
    low = Level(0, "why")
    found = assess(floor=Risk.HIGH, severity=Level(2, "why"), reversibility=low, blast_radius=low, novelty=low)
    assert found.explanation == "3 x 1 x 1 x 1 = 3 of 256, which is low; the rule says at least high"


SCALE = Scale(path="action.amount", thresholds=(100, 1_000))


@pytest.mark.parametrize(
    ("state", "level"),
    [(99, 0), (100, 1), (999.5, 1), (1_000, 2), (Missing.ABSENT, 0), (Missing.UNKNOWN, 3), (10**15, 2)],
)
def test_a_number_has_a_level_for_each_threshold_it_reaches(state: State, level: int) -> None:
    found = reading.read(Measure((SCALE,)), lambda _: state, lambda _: False)
    assert found is not None
    assert found.level == level


@pytest.mark.parametrize(
    ("state", "level"), [("gold", 2), ("tin", 1), (True, 3), (Missing.UNKNOWN, 3), (Missing.ABSENT, 0)]
)
def test_a_value_has_its_level(state: State, level: int) -> None:
    scale = Scale(path="account.tier", steps={"gold": 2, "true": 3}, otherwise=1)
    found = reading.read(Measure((scale,)), lambda _: state, lambda _: False)
    assert found is not None
    assert found.level == level


@pytest.mark.parametrize(("truth", "level"), [(True, 2), (False, 0), (None, 2)])
def test_what_is_not_known_counts_as_true(truth: bool | None, level: int) -> None:
    mark = Mark(level=2, expr="true", node=NODE, explanation="it is abroad")
    found = reading.read(Measure((), (mark,)), lambda _: 0, lambda _: truth)
    assert found is not None
    assert found.level == level


def test_the_highest_of_several_counts() -> None:
    marks = tuple(Mark(level=level, expr=str(level), node=NODE) for level in (1, 3, 2))
    found = reading.read(Measure((SCALE,), marks), lambda _: 500, lambda mark: mark.level < 3)
    assert found == Level(2, "`2`")


def test_an_explanation_holds_no_value_of_a_fact() -> None:
    scales = (SCALE, Scale(path="subject.name", steps={"ann": 1}))
    for scale in scales:
        found = reading.read(Measure((scale,)), lambda _: "Zoë 4711", lambda _: False)
        assert found is not None
        assert "4711" not in found.explanation


def test_nothing_declared_reads_nothing() -> None:
    assert reading.read(None, lambda _: 0, lambda _: False) is None


@pytest.mark.parametrize(
    ("past", "level"),
    [
        ((), 3),
        ((Past("x", is_approved=True),) * 12, 2),
        ((Past("me", is_approved=True), Past("x", is_approved=True)), 1),
        ((Past("me", is_approved=True),) * 3, 0),
        ((Past("me", is_approved=False),) * 12, 2),
    ],
)
def test_what_the_same_agent_was_approved_for_is_less_new(past: tuple[Past, ...], level: int) -> None:
    assert novelty.of("me", past).level == level
