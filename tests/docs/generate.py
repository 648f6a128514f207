"""Writes the document that is generated: `docs/cli.md`, from the commands' own help.

Run by `make docs`; `test_generated.py` compares.
"""

from __future__ import annotations

from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

from demur.cli.main import WIDTH, app

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = DOCS / "cli.md"
INTRODUCTION = """# The command `demur`

Generated from the commands' own `--help` by `make docs`; a test compares the two. With `--json` every command prints
one JSON document per line, errors included: `{"error": {"message": "...", "hint": "..."}}`. Without it, errors stand on
standard error. `demur --install-completion` teaches your shell the commands.
"""


def paths(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group, by its words."""
    found = [path]
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            found += paths(inner, (*path, name))
    return found


def printed(*words: str) -> str:
    """What the command prints."""
    answer = CliRunner().invoke(app, list(words), prog_name="demur", env={"COLUMNS": str(WIDTH), "TERM": "dumb"})
    if answer.exit_code != 0:
        raise SystemExit(answer.output)
    return "\n".join(line.rstrip() for line in answer.output.splitlines()).strip() + "\n"


def commands() -> str:
    """The text of docs/cli.md."""
    sections = [INTRODUCTION]
    for path in paths(get_command(app)):
        title = " ".join(("demur", *path))
        sections.append(f"## {title}\n\n```text\n{printed(*path, '--help')}```\n")
    return "\n".join(sections)


if __name__ == "__main__":
    COMMANDS.write_text(commands(), encoding="utf-8")
