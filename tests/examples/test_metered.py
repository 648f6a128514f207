"""The metered table: what is written behind the gate's back is found (S5, S6)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).resolve().parents[2] / "examples" / "metered" / "run.py"


def test_the_program_tells_what_went_behind_the_gates_back() -> None:
    ended = subprocess.run([sys.executable, str(RUN)], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[1:] == [
        "through the gate: reconciled, 1 operations seen",
        "behind its back: findings, 2 operations seen",
        "  critical: executed_after_denial (refund), statement 1",
    ]
