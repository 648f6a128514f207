"""What the documents show is what happens: every block marked `run` is executed.

The mark stands in the fence: ```` ```console run ```` is a transcript, ```` ```python run ```` is executed, and any
other kind followed by a path, such as ```` ```yaml run stage/policies.yaml ````, is written to that file. Blocks of one
document share a folder, in which the examples can be seen, and python blocks share their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli import transcript

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "docs" / "refusals.md",
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
]
FENCE = re.compile(r"^```(\w+) run\b *(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One marked block, with its kind, the path behind the mark and the line where it begins."""

    kind: str
    path: str
    text: str
    line: int


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], match[3], text.count("\n", 0, match.start()) + 1) for match in FENCE.finditer(text)
    ]


def execute(block: Block, folder: Path, names: dict[str, object]) -> None:
    match block.kind:
        case "console":
            transcript.check(block.text, folder)
        case "python":
            exec(compile(block.text, f"line {block.line}", "exec"), names)
        case _ if block.path:
            target = folder / block.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        case kind:
            pytest.fail(f"line {block.line}: expected `console`, `python` or a path to write to, found `{kind}`")


@pytest.mark.slow
# Two of Apprise's many plugins import what Python 3.13 will lack; nothing here uses those.
@pytest.mark.filterwarnings("ignore:'(imghdr|telnetlib)' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_examples_of_a_document_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    found = blocks(document)

    assert found, "nothing in this document is marked to run"
    for block in found:
        execute(block, tmp_path, names)
