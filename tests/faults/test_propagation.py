"""What one replica puts in force the others decide by; `python -m tests.faults.propagation` measures how soon."""

from __future__ import annotations

import pytest

from tests.faults import fleet, propagation


@pytest.mark.slow
def test_every_replica_decides_by_what_one_of_them_activated() -> None:
    took = propagation.run(2)

    assert len(took) == 2 * (fleet.REPLICAS - 1)
