"""Generated documents say what the program says today."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demur.cli.exits import MEANINGS, ExitCode
from tests.docs import generate


def test_the_document_of_the_command_is_its_help() -> None:
    assert generate.COMMANDS.read_text(encoding="utf-8") == generate.commands(), "renew it with `make docs`"


def test_the_published_schema_is_the_one_that_the_command_prints() -> None:
    assert generate.SCHEMA.read_text(encoding="utf-8") == generate.printed("schema"), "renew it with `make docs`"
    assert json.loads(generate.printed("schema"))["$schema"].startswith("https://json-schema.org/")


def test_every_exit_code_has_its_meaning_in_the_document() -> None:
    text = generate.COMMANDS.read_text(encoding="utf-8")

    assert set(MEANINGS) == set(ExitCode)
    assert [code for code, meaning in MEANINGS.items() if f"{code.value:>2}  {meaning}" not in text] == []


@pytest.mark.slow
def test_help_answers_at_once() -> None:
    """Nothing heavy is imported for it: best of several starts, because the machine may be busy."""
    command = Path(sys.executable).with_name("demur")
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([command, "--help"], check=True, capture_output=True, env={**os.environ, "COLUMNS": "100"})
        seconds.append(time.perf_counter() - started)

    assert min(seconds) < 0.25
