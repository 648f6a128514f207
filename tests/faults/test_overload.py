"""Ten times the load: whoever is let in is answered, the rest are told when to come back, and then all is as before.

`python -m tests.faults.overload 60` is the long version.
"""

from __future__ import annotations

import pytest

from tests.faults import overload


@pytest.mark.slow
def test_ten_times_the_load_is_turned_away_in_order_and_leaves_nothing_behind() -> None:
    phases, wrong = overload.run(3)
    assert wrong == []
    assert len(phases["overload"].turned_away) > overload.IN_FLIGHT
