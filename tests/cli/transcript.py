"""A transcript is a shell session as text, run again and compared.

    # A comment.
    $ demur policy check policies        a command, run by the shell
    > ...                                its continuation lines
    ok: 3 rules                          what it prints, both streams in order
    [exit 13]                            how it ends; left out for 0

In expected output `[..]` stands for any text within a line, and a line `...` for any number of lines. A time (RFC 3339)
stands for any time, and an id or hash (16, 32 or 64 hex digits) for any other of that length.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TIMEOUT_SECONDS = 120
TOLERATED = re.compile(
    r"(?P<text>\[\.\.\])|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?P<hex>\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16})\b)"
)


@dataclass
class Step:
    """One command with what it should print and how it should end."""

    line: int
    command: str
    expected: list[str] = field(default_factory=list)
    exit_code: int = 0


def read(lines: Iterable[str]) -> list[Step]:
    steps: list[Step] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("$ "):
            steps.append(Step(number, line[2:]))
        elif line.startswith("> ") and steps and not steps[-1].expected:
            steps[-1].command += f"\n{line[2:]}"
        elif ending := re.fullmatch(r"\[exit (\d+)\]", line):
            steps[-1].exit_code = int(ending[1])
        elif steps and line and not line.startswith("# "):
            steps[-1].expected.append(line)
    return steps


def environment(home: Path) -> dict[str, str]:
    """A newcomer's shell: the console script first on the path, nothing configured, no colours."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "COLUMNS": "100",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "LANG": "C.UTF-8",
    }


def run(steps: Iterable[Step], folder: Path) -> Iterator[tuple[Step, str, int]]:
    """Run the steps one after the other in `folder`; gives each with what it printed and its exit code."""
    for step in steps:
        ended = subprocess.run(
            ["bash", "-c", step.command],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        yield step, ended.stdout, ended.returncode


def pattern(expected: list[str]) -> re.Pattern[str]:
    return re.compile("".join(r"(?:.*\n)*?" if line == "..." else like(line) + r" *\n" for line in expected))


def like(line: str) -> str:
    """A pattern for the line, in which what differs from run to run is left open."""
    found, end = "", 0
    for match in TOLERATED.finditer(line):
        opened = {"text": ".*", "time": r"\d{4}-\d\d-\d\dT[\d:.]+Z", "hex": f"[0-9a-f]{{{len(match[0])}}}"}
        found += re.escape(line[end : match.start()]) + opened[str(match.lastgroup)]
        end = match.end()
    return found + re.escape(line[end:])


def printed(output: str) -> str:
    """The output without empty lines, which a transcript cannot tell from its own."""
    return "".join(f"{line}\n" for line in output.splitlines() if line.strip())


def check(text: str, folder: Path) -> None:
    """Run a transcript and fail at the first step that prints or ends otherwise than it says."""
    for step, output, code in run(read(text.splitlines()), folder):
        where = f"line {step.line}: $ {step.command}\n{output}"
        assert code == step.exit_code, f"exit {code} instead of {step.exit_code} at {where}"
        assert pattern(step.expected).fullmatch(printed(output)), f"printed otherwise at {where}"
