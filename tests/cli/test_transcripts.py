"""Every transcript beside this file is what a person sees who types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import transcript

HERE = Path(__file__).parent
QUICK = {"start"}
"""The others start the command dozens of times."""
TRANSCRIPTS = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else [pytest.mark.slow])
    for path in sorted(HERE.glob("*.txt"))
]
ROOT = HERE.parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder from which the examples can be seen."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.mark.parametrize("path", TRANSCRIPTS)
def test_transcript(path: Path, folder: Path) -> None:
    transcript.check(path.read_text(encoding="utf-8"), folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$ echo yes\nno", "printed otherwise"),
        ("$ echo yes\nyes\nmore", "printed otherwise"),
        ("$ exit 3", "exit 3 instead of 0"),
        ("$ true\n[exit 1]", "exit 0 instead of 1"),
    ],
)
def test_the_runner_notices(text: str, message: str, folder: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        transcript.check(text, folder)


@pytest.mark.parametrize("text", ["$ echo 7 of 9\n[..] of 9", "$ seq 9\n1\n...\n9", "$ cat <<E\n> a\n> E\na"])
def test_the_runner_allows_for_what_varies(text: str, folder: Path) -> None:
    transcript.check(text, folder)
