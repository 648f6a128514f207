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
from tests.docs.test_examples_run import DOCUMENTS, FENCE, ROOT, Block, blocks, execute


def renewed(text: str, folder: Path) -> str:
    """The console block with what its commands print now; as it stands where all of it still fits."""
    lines: list[str] = []
    is_fresh = True
    for step, output, code in transcript.run(transcript.read(text.splitlines()), folder):
        fits = bool(transcript.pattern(step.expected).fullmatch(transcript.printed(output)))
        is_fresh = is_fresh and fits and code == step.exit_code
        lines.append("$ " + step.command.replace("\n", "\n> "))
        is_abridged = any(line == "..." or "[..]" in line for line in step.expected)
        lines += step.expected if fits and is_abridged else [line.rstrip() for line in output.rstrip().splitlines()]
        lines += [f"[exit {code}]"] if code else []
    return text if is_fresh else "\n".join(lines) + "\n"


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


def _run(block: Block, folder: Path, names: dict[str, object]) -> str:
    execute(block, folder, names)
    return block.text


if __name__ == "__main__":
    for document in [Path(name).resolve() for name in sys.argv[1:]] or DOCUMENTS:
        renew(document)
