"""System calls that fail: the gate refuses, loses nothing and answers again once the fault is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.faults.injected import is_possible
from tests.faults.reports import HARM

if TYPE_CHECKING:
    from pathlib import Path

POINTS = 60


@pytest.mark.slow
def test_a_fault_at_any_call_loses_nothing_and_is_recovered_from(tmp_path: Path, root: Path) -> None:
    if not is_possible():
        pytest.skip("there is no strace here that may attach to a process; Debian has it in `strace`")
    words = ["calls", "calls-test", "--folder", str(tmp_path / "homes"), "--number", str(POINTS)]
    command = [sys.executable, "-m", "tests.faults", "--out", str(tmp_path), *words]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=500, check=False)
    report = json.loads((tmp_path / "calls-test.json").read_text())
    counts = Counter(report["counts"])
    assert report["examples"] == []
    assert told.returncode == 0
    assert {name: counts[name] for name in (*HARM, "stuck", "strange")} == dict.fromkeys((*HARM, "stuck", "strange"), 0)
    assert counts["points"] > POINTS
    # The faults were felt: some calls were refused, and of every kind of fault there were some.
    assert counts["unavailable"] > 0
    assert all(counts[fault] > 0 for fault in ("EIO", "ENOSPC", "KILL", "NOTHING", "LIMIT"))
