"""The review as a state machine (S7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core import review as reviews
from demur.core.review import Panel, Review, Reviewer, ReviewState, Ruling, Verdict
from demur.core.terms import Timestamp
from demur.errors import RulingError

OPENED = Timestamp(0)
DEADLINE = OPENED.plus(3_600)
PENDING = Review(
    id="r",
    panels=(Panel("bank/a", "d1", "teller", 1), Panel("bank/b", "d2", "boss", 2)),
    opened_at=OPENED,
    deadline=DEADLINE,
)
TELLER = Reviewer("tess", frozenset({"teller"}))
BOSSES = [Reviewer(name, frozenset({"boss"})) for name in ("bo", "bea", "bill")]
BOTH = Reviewer("zoe", frozenset({"boss", "teller"}))


def rule(
    review: Review,
    who: Reviewer,
    verdict: Verdict = Verdict.APPROVE,
    *,
    seconds: float = 1,
    barred: tuple[str, ...] = (),
) -> Review:
    now = OPENED.plus(seconds)
    ruling = Ruling(f"p-{who.name}", tuple(sorted(who.roles)), verdict, now)
    return reviews.rule(review, ruling, reviewer=who, barred=barred, now=now)


def after(*people: Reviewer) -> ReviewState:
    review = PENDING
    for person in people:
        review = rule(review, person)
    return review.state


@pytest.mark.parametrize(
    ("people", "state"),
    [
        ((TELLER,), ReviewState.PENDING),
        ((TELLER, BOSSES[0]), ReviewState.PENDING),
        ((TELLER, BOSSES[0], BOSSES[1]), ReviewState.APPROVED),
        ((BOSSES[0], BOSSES[1]), ReviewState.PENDING),
        ((BOTH, BOSSES[0]), ReviewState.APPROVED),
    ],
)
def test_every_rule_needs_its_quorum(people: tuple[Reviewer, ...], state: ReviewState) -> None:
    assert after(*people) is state


def test_one_denial_denies() -> None:
    assert rule(rule(PENDING, TELLER), BOSSES[0], Verdict.REJECT).state is ReviewState.DENIED


@pytest.mark.parametrize("seconds", [3_600, 3_601, 10**6])
def test_at_the_deadline_and_later_no_verdict_counts(seconds: int) -> None:
    with pytest.raises(RulingError, match="deadline"):
        rule(PENDING, TELLER, seconds=seconds)
    assert PENDING.state_at(OPENED.plus(seconds)) is ReviewState.EXPIRED


def test_just_before_the_deadline_a_verdict_counts() -> None:
    assert rule(PENDING, TELLER, seconds=3_599.999).rulings


def test_the_barred_may_not_rule() -> None:
    with pytest.raises(RulingError, match="somebody else"):
        rule(PENDING, TELLER, barred=("tess",))


def test_after_a_verdict_is_in_nobody_rules_again() -> None:
    approved = rule(rule(PENDING, BOTH), BOSSES[0])
    with pytest.raises(RulingError, match="approved"):
        rule(approved, BOSSES[1])


def test_an_unused_approval_expires_after_as_long_as_it_could_have_waited() -> None:
    approved = rule(rule(PENDING, BOTH), BOSSES[0], seconds=100)
    assert approved.state_at(OPENED.plus(3_699)) is ReviewState.APPROVED
    assert approved.state_at(OPENED.plus(3_700)) is ReviewState.EXPIRED


@given(
    st.lists(
        st.tuples(st.sampled_from([TELLER, BOTH, *BOSSES]), st.sampled_from(list(Verdict)), st.integers(0, 5_000)),
        max_size=8,
    )
)
def test_no_sequence_of_verdicts_approves_without_every_quorum_in_time(
    steps: list[tuple[Reviewer, Verdict, int]],
) -> None:
    review, counted = PENDING, {}
    for who, verdict, seconds in sorted(steps, key=lambda step: step[2]):
        try:
            review = rule(review, who, verdict, seconds=seconds)
        except RulingError:
            continue
        assert seconds < 3_600
        counted[who.name] = (who, verdict)
    approving = [who for who, verdict in counted.values() if verdict is Verdict.APPROVE]
    has_all = sum("teller" in w.roles for w in approving) >= 1 and sum("boss" in w.roles for w in approving) >= 2
    if review.state is ReviewState.APPROVED:
        assert has_all
        assert len(approving) == len(counted)
