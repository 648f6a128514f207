"""Replicas of the service that come and go under load: nothing lost, nothing contradictory, nothing done twice.

`python -m tests.faults.fleet 300` is the long version.
"""

from __future__ import annotations

import pytest

from tests.faults import fleet


@pytest.mark.slow
def test_replicas_ended_at_random_under_load_lose_nothing_and_contradict_nobody() -> None:
    counts, faults = fleet.run(8)
    assert faults == []
    assert [counts[name] for name in fleet.HARM] == [0, 0, 0]
    assert min(counts["answered"], counts["compared"], counts["granted"], counts["redeemed"]) > 10
    assert counts["SIGKILL"] + counts["SIGTERM"] > fleet.REPLICAS
