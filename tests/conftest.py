"""What every test may rely on: the official vectors, deterministic generated cases, and no silent skips in CI."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SKIPPED: list[str] = []

if "MUTANT_UNDER_TEST" in os.environ:
    # `make mutate` calls every function through another one, so that what fits under the limit no longer does.
    sys.setrecursionlimit(5 * sys.getrecursionlimit())

# The same examples on every machine: a red build is red for everybody. `explore` is for looking for new ones.
settings.register_profile(
    "quick", derandomize=True, deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=200)
settings.register_profile("explore", settings.get_profile("quick"), derandomize=False, max_examples=2_000)
settings.load_profile(os.environ.get("DEMUR_TEST_PROFILE", "quick"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL server, one for all tests of this process."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of official test vectors (CEL, RFC 8785, RFC 6962), named by DEMUR_VECTORS."""
    folder = os.environ.get("DEMUR_VECTORS")
    if not folder:
        pytest.skip("DEMUR_VECTORS does not name a folder of official vectors")
    return Path(folder)


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    remember_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    remember_skip(report)


def remember_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        SKIPPED.append(f"{report.nodeid}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """In CI a test that did not run is a failure: nobody reads the list of skips of a green build."""
    yield
    if is_ci() and SKIPPED and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if is_ci() and SKIPPED:
        terminalreporter.section("skipped, which is a failure in CI", red=True)
        for line in SKIPPED:
            terminalreporter.line(line)
