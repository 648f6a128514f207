"""Killed in the middle of any transition of a review: all of it or nothing, and never an approval for two grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.injected import is_possible
from tests.faults.transitions import HARM, TRANSITIONS, Torn, Transition

if TYPE_CHECKING:
    from pathlib import Path

LINES = 8


@pytest.mark.slow
@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda one: one.name)
def test_killed_between_two_steps_of_a_transition_nothing_is_lost_or_counts_twice(
    tmp_path: Path, transition: Transition
) -> None:
    torn = Torn(tmp_path / "homes", transition)
    assert (torn.before == torn.after) == transition.is_silent

    torn.at_lines(LINES)

    assert torn.examples == []
    assert {name: torn.counts[name] for name in HARM} == dict.fromkeys(HARM, 0)
    assert torn.counts["points"] >= LINES // 2
    assert torn.counts["took place"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda one: one.name)
def test_killed_at_a_system_call_of_a_transition_nothing_is_lost_or_counts_twice(
    tmp_path: Path, transition: Transition
) -> None:
    if not is_possible():
        pytest.skip("there is no strace here that may attach to a process; Debian has it in `strace`")
    torn = Torn(tmp_path / "homes", transition)

    torn.at_calls()

    assert torn.examples == []
    assert torn.counts["points"] > 0
    assert torn.counts["took place"] > 0
