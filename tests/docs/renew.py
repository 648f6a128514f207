"""Writes anew what the commands of documents print: `python tests/docs/renew.py README.md docs/guides/*.md`.

Run by `make docs` over all documents. What still fits is left as it stands, so that `[..]` and `...` stay, and with
them the ids and times of an earlier run. `test_examples_run.py` compares.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.cli import transcript
from tests.docs.test_examples_run import DOCUMENTS, FENCE, ROOT, blocks, execute


def renewed(text: str, folder: Path) -> str:
    """The console block with what its commands print now."""
    lines: list[str] = []
    for step, output, code in transcript.run(transcript.read(text.splitlines()), folder):
        lines.append("$ " + step.command.replace("\n", "\n> "))
        fits = transcript.pattern(step.expected).fullmatch(transcript.printed(output))
        lines += step.expected if fits else [line.rstrip() for line in output.rstrip().splitlines()]
        lines += [f"[exit {code}]"] if code else []
    return "\n".join(lines) + "\n"


def renew(document: Path) -> None:
    """Run the blocks of a document in a folder of their own and write back those that printed something else."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "examples").symlink_to(ROOT / "examples")
        os.chdir(folder)
        names: dict[str, object] = {"__name__": "__main__"}
        texts = [
            renewed(block.text, folder) if block.kind == "console" else _run(block, folder, names)
            for block in blocks(document)
        ]
        os.chdir(ROOT)
    fresh = iter(texts)
    before = document.read_text(encoding="utf-8")
    after = FENCE.sub(lambda match: match[0].replace(match[3], next(fresh)), before)
    if after != before:
        document.write_text(after, encoding="utf-8")


def _run(block: object, folder: Path, names: dict[str, object]) -> str:
    execute(block, folder, names)
    return block.text


if __name__ == "__main__":
    for document in [Path(name).resolve() for name in sys.argv[1:]] or DOCUMENTS:
        renew(document)
