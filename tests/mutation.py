"""Mutation tests: mutmut makes the broken programs, this runs the tests on each. `make mutate` starts it.

mutmut itself starts pytest again for each mutant and names the tests one by one. That is slow, and some names of ours
(conditions with backslashes) are not found again, which mutmut counts as a kill. So here:

- the tests are collected once, and each mutant is a fork of that process;
- only a failed test kills; whatever else goes wrong is `suspicious`;
- a mutant meets only the tests of what it belongs to: those that mutmut saw calling it first, then the others, since
  what is remembered from one test to the next hides callers from mutmut; of the condition language only the former;
- what the package remembers is forgotten before the fork, or a mutant would live on what the program knew;
- what runs while modules are loaded was over before the fork: such mutants get processes of their own.

Arguments: names of mutants, `*` allowed; without them, all that have no verdict yet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import mutmut.__main__ as mutmut
import pytest
from _pytest.config import _prepareconfig
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.runners.harness import PytestRunner
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import change_cwd

if TYPE_CHECKING:
    from collections.abc import Iterable

MUTANTS = Path("mutants")
KILLED, SURVIVED, NO_TESTS, SUSPICIOUS = 1, 0, 33, 35
LOADING = (
    "*.library.x__merge__*", "*.times.x__getters__*", "*.times.x__in_zone__*", "*.times.x__of_instant__*",
    "*.times.x__of_span__*",
)  # fmt: skip
"""Functions that run while modules are loaded: they build the tables of the library."""
_CONCERNS = (
    (".core.cel.", ("/cel/", "test_cel_")),
    (".remedy.points.", ("test_remedy_points", "test_remedy_search", "test_remedy_seeds")),
    (".remedy.clocks.", ("test_remedy_times", "test_remedy.py")),
    (".remedy.times.", ("test_remedy_times", "test_remedy.py", "test_remedy_search")),
    (".remedy.changes.", ("test_remedy_changes", "test_remedy.py")),
    (".remedy.chart.", ("test_remedy_changes", "test_remedy_limits", "test_remedy.py")),
    (
        ".core.remedy.",
        ("test_remedy_limits", "test_remedy_search", "test_remedy.py", "test_remedy_showing", "test_remedy_seeds"),
    ),
    (".core.refusal.", ("core/test_refusal", "core/test_disclosure", "core/test_remediable")),
    (".core.disclosure.", ("core/test_disclosure", "core/test_refusal", "core/test_remediable")),
    (".core.", ("core/test_decision", "core/test_grant", "test_index_truth")),
)
"""Part of a mutant's name, and parts of the names of the tests that it meets."""
_LAST = ("tests/core/cel/test_conformance.py", "tests/properties/")
"""Many tests that seldom are the first to fail."""


class Held:
    """The collected tests by name, and whether one has failed."""

    def __init__(self) -> None:
        self.items: dict[str, pytest.Item] = {}
        self.has_failed = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = {_name(item.nodeid): item for item in session.items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.has_failed |= report.failed

    def run(self, mutant: str, tests: Iterable[str]) -> int:
        """Run the tests until one fails; the exit code is mutmut's."""
        chosen = self._chosen(mutant, {_name(test) for test in tests})
        for place, item in enumerate(chosen):
            following = chosen[place + 1] if place + 1 < len(chosen) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.has_failed:
                return KILLED
        return SURVIVED if chosen else NO_TESTS

    def _chosen(self, mutant: str, calling: set[str]) -> list[pytest.Item]:
        """The tests that the mutant meets, the likeliest to fail first."""
        concerns = next(tests for part, tests in _CONCERNS if part in mutant)
        is_condition = ".core.cel." in mutant
        chosen = [
            item
            for name, item in self.items.items()
            if any(part in name for part in concerns) and (name in calling or not is_condition)
        ]
        return sorted(chosen, key=lambda item: (item.nodeid.startswith(_LAST), _name(item.nodeid) not in calling))


def forget() -> None:
    """Empty what functions of the package remember."""
    for name, module in list(sys.modules.items()):
        for value in list(vars(module).values()) if name.startswith("demur.") else ():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def _name(test: str) -> str:
    # A backslash is doubled each time that pytest makes a name of a name.
    return test.replace("\\", "")


def hold() -> Held:
    """Collect the selected tests, and leave pytest as it stands before the first one."""
    held = Held()
    args = ["--rootdir=.", "-s", "-p", "no:terminal", "-p", "no:cacheprovider"]
    found = _prepareconfig([*args, *config().pytest_add_cli_args_test_selection], plugins=[held])
    # pytest has no public way to stop before the first test.
    found._do_configure()
    session = pytest.Session.from_config(found)
    found.hook.pytest_sessionstart(session=session)
    found.hook.pytest_collection(session=session)
    # Nobody reads the tracebacks of thousands of tests that are meant to fail.
    pytest.Function.repr_failure = lambda *_: "failed"  # type: ignore[method-assign]
    return held


HELD: list[Held] = []
"""The one collection of tests, which every fork inherits."""


def collect(_: PytestRunner) -> int:
    """In place of mutmut's last step before the mutants, a run that has to fail: collect the tests."""
    set_mutant_under_test("")
    with change_cwd(MUTANTS):
        HELD.append(hold())
    forget()
    return KILLED


def run_tests(_: PytestRunner, *, mutant_name: str | None, tests: Iterable[str]) -> int:
    """Run in a fork for a mutant; the tests without one have passed when mutmut learned which calls what."""
    if mutant_name is None:
        return SURVIVED
    os.chdir(MUTANTS)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        return HELD[0].run(mutant_name, tests)
    except Exception:  # noqa: BLE001  (a fork must end with an exit code, and this is no kill)
        return SUSPICIOUS


def verdicts() -> dict[Path, dict[str, int | None]]:
    """The exit code of each mutant, by the file that mutmut keeps them in."""
    return {path: json.loads(path.read_text("utf-8"))["exit_code_by_key"] for path in sorted(MUTANTS.rglob("*.meta"))}


def run_while_loading(names: list[str]) -> None:
    """Try the mutants of what runs while modules are loaded, each in a process of its own."""
    for path, codes in verdicts().items():
        stored = json.loads(path.read_text("utf-8"))
        for mutant, code in codes.items():
            if code != KILLED and _is_among(mutant, LOADING) and _is_among(mutant, names or ["*"]):
                stored["exit_code_by_key"][mutant] = _alone(mutant)
        path.write_text(json.dumps(stored, indent=4), "utf-8")


def _is_among(mutant: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(mutant, pattern) for pattern in patterns)


def _alone(mutant: str) -> int:
    environment = {**os.environ, "MUTANT_UNDER_TEST": mutant, "PYTHONPATH": str(Path("mutants/src").resolve())}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/core/cel"]
    ended = subprocess.run(command, cwd=MUTANTS, env=environment, check=False, capture_output=True)
    # Where nothing can be loaded no test can be collected: exit codes 2 to 4.
    return SURVIVED if ended.returncode == 0 else KILLED


def report() -> str:
    """Counts for each file, then the names of what was not killed."""
    lines = []
    for path, codes in verdicts().items():
        counts = Counter(status_by_exit_code[code] for code in codes.values())
        if codes:
            told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            lines.append(f"{path.name.removesuffix('.meta')}: {told}")
    for codes in verdicts().values():
        lines += [f"{status_by_exit_code[code]} {mutant}" for mutant, code in codes.items() if code != KILLED]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Run the mutants and print the verdicts."""
    PytestRunner.run_forced_fail = collect  # type: ignore[assignment, method-assign]
    PytestRunner.run_tests = run_tests  # type: ignore[assignment, method-assign]
    mutmut._run(tuple(arguments), None)
    run_while_loading(arguments)
    sys.stdout.write(report())
    sys.stdout.flush()
    os._exit(0)  # pytest still stands before its first test; there is nothing to end in order.


if __name__ == "__main__":
    main(sys.argv[1:])
