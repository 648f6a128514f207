"""The import contracts hold, and each of them would notice a module in the wrong room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGE, ROOT

LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    return subprocess.run(
        [LINT, "--no-logo", "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts, to be broken."""
    shutil.copytree(PACKAGE, tmp_path / "src" / "demur", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept() -> None:
    answer = lint(ROOT)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("module", "text", "contract"),
    [
        ("utils.py", "", "The package is a stack"),
        ("core/helpers.py", "", "A stage of the core imports only earlier stages"),
        ("core/terms.py", "import demur.core.policy.document", "A stage of the core imports only earlier stages"),
        ("core/terms.py", "def f() -> None:\n    import demur.ports", "The package is a stack"),
        ("core/terms.py", "import time", "The core has no I/O"),
        ("core/terms.py", "import yaml", "The core has no I/O"),
        ("cli/main.py", "import demur.adapters", "Only wiring imports adapters"),
        ("core/ledger/leaf.py", "import demur.core.terms", "The ledger knows no domain type"),
        ("evaluation/oracle.py", "import demur.core.decision", "The oracle never sees the decision it checks"),
        ("errors.py", "import demur.core", "The package is a stack"),
    ],
)
def test_a_module_in_the_wrong_room_fails_the_build(copy: Path, module: str, text: str, contract: str) -> None:
    path = copy / "src" / "demur" / module
    before = path.read_text(encoding="utf-8") if path.exists() else '"""A stray module."""\n'
    path.write_text(f"{before}\n{text}\n", encoding="utf-8")

    answer = lint(copy)

    assert answer.returncode == 1
    assert any(contract in line and "BROKEN" in line for line in answer.stdout.splitlines()), answer.stdout
