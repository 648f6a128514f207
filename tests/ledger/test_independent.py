"""Two verifiers that share no code with what wrote the ledger say the same of honest exports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demur.verifier import verify
from tests.ledger import exports

if TYPE_CHECKING:
    from tests.ledger.go_verifier import GoVerifier

SIZES = [(0, 0), (1, 1), (2, 1), (100, 100), (255, 255), (256, 255), (256, 256), (257, 250), (600, 512)]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "signed"), SIZES)
def test_both_verifiers_accept_an_honest_export(
    independent: GoVerifier, policy: Path, tmp_path: Path, size: int, signed: int
) -> None:
    made = exports.whole(exports.leaves(size), signed, earlier=(signed // 2,) if signed > 1 else ())
    folder = made.write(tmp_path / "export")

    report = verify.verify_export(str(folder), verify.read_policy(policy.read_bytes()))

    assert independent.verify(folder, policy, size) == f"accept {signed}"
    assert (report.verdict, report.records, report.beyond) == (verify.Verdict.ANCHORED, size, size - signed)


@pytest.mark.slow
def test_both_verifiers_accept_a_tree_of_three_levels(independent: GoVerifier, policy: Path, tmp_path: Path) -> None:
    folder = exports.whole(exports.leaves(66_000), 65_700).write(tmp_path / "export")

    report = verify.verify_export(str(folder), verify.read_policy(policy.read_bytes()))

    assert independent.verify(folder, policy, 66_000) == "accept 65700"
    assert (report.verdict, report.beyond) == (verify.Verdict.ANCHORED, 300)


def test_the_verifier_runs_alone(policy: Path, tmp_path: Path) -> None:
    """Without Demur and whatever else is installed: a copy of the file, in isolated mode, without site packages."""
    folder = exports.whole(exports.leaves(3)).write(tmp_path / "export")
    program = tmp_path / "verify.py"
    program.write_bytes(Path(verify.__file__).read_bytes())

    ended = subprocess.run(
        [sys.executable, "-I", "-S", program, folder, "--policy", policy], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[0] == "ANCHORED"
