"""Quotas under concurrency: whoever races, the limit is met exactly (S4.2).

`DEMUR_RACES=1000` runs the long version.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import pytest

from demur.wiring import Settings, open_gate

if TYPE_CHECKING:
    from pathlib import Path

RACES = int(os.environ.get("DEMUR_RACES", "10"))
THREADS = 64
POLICY = """
demur: 1
namespace: rate
zone: UTC
usage:
  calls_today: {actions: [call], by: [subject.id], window: {calendar: day}}
actions: {call: {}}
rules:
  - id: hundred-a-day
    effect: permit
    actions: [call]
    when: [{name: within, expr: usage.calls_today < 100, explain: fewer than 100 calls today}]
"""


def call(subject: str) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "call"},
        "resource": {"type": "model", "id": "m"},
    }


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_sixty_four_threads_racing_at_99_of_100_get_one_grant(tmp_path: Path, kind: str) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "rate.yaml").write_text(POLICY)
    home = tmp_path / "home" if kind == "sqlite" else None
    gate = open_gate(Settings(tmp_path / "policies", home)).gate
    grants: list[int] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for race in range(RACES):
            subject = f"user-{race}"
            wait([gate.submit(call(subject)) for _ in range(99)])
            answers = list(pool.map(gate.decide, [call(subject)] * THREADS))
            grants.append(sum(answer.outcome == "allow" for answer in answers))
    gate.close()
    assert grants == [1] * RACES
