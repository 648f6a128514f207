"""Wilson's interval against published values."""

import math

import pytest

from demur.evaluation.intervals import Z_95, Share, wilson

# Table I, method 3 (score, without continuity correction) of Newcombe, Statistics in Medicine 17 (1998), 857-872.
PUBLISHED = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("successes", "trials", "low", "high"), PUBLISHED)
def test_the_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    share = wilson(successes, trials)
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


def test_the_bounds_solve_the_equation_that_defines_them() -> None:
    """Wilson 1927: the bounds are those p with |share - p| = z * sqrt(p (1 - p) / n)."""
    share = wilson(7, 40)
    for bound in (share.low, share.high):
        assert abs(7 / 40 - bound) == pytest.approx(Z_95 * math.sqrt(bound * (1 - bound) / 40), rel=1e-12)


def test_success_and_failure_mirror_each_other() -> None:
    few, many = wilson(3, 50), wilson(47, 50)
    assert (few.low, few.high) == pytest.approx((1 - many.high, 1 - many.low))


def test_no_success_reaches_exactly_zero_and_full_success_exactly_one() -> None:
    assert wilson(0, 9).low == 0.0
    assert wilson(9, 9).high == 1.0


def test_without_trials_nothing_is_known() -> None:
    assert wilson(0, 0) == Share(0, 0, 0.0, 1.0)
    assert wilson(0, 0).value is None
    assert str(wilson(0, 0)) == "-"


def test_a_share_reads_as_count_percent_and_interval() -> None:
    assert str(wilson(81, 263)) == "81/263 30.8 % [25.5, 36.6]"


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (1, 0)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= successes <= trials"):
        wilson(successes, trials)
