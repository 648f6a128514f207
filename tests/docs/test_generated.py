"""Generated documents say what the program says today."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from demur import wiring
from demur.cli.exits import MEANINGS, ExitCode
from tests.docs import generate

EXAMPLES = generate.DOCS.parent / "examples"
STARTS = 5
POLICIES = sorted(path for path in EXAMPLES.rglob("*.yaml") if "data" not in path.parts)


def test_the_document_of_the_command_is_its_help() -> None:
    assert generate.COMMANDS.read_text(encoding="utf-8") == generate.commands(), "renew it with `make docs`"


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_published_schema_takes_the_policies_of_the_examples(path: Path) -> None:
    jsonschema.validate(wiring.read_mapping(path), json.loads(generate.printed("schema")))


def test_the_published_schema_refuses_what_is_no_policy() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"demur": 1, "rules": [{"id": "x", "effect": "maybe"}]}, json.loads(generate.printed("schema"))
        )


def test_every_exit_code_has_its_meaning_in_the_document() -> None:
    text = generate.COMMANDS.read_text(encoding="utf-8")

    assert set(MEANINGS) == set(ExitCode)
    assert [code for code, meaning in MEANINGS.items() if f"{code.value:>2}  {meaning}" not in text] == []


@pytest.mark.slow
def test_help_answers_at_once() -> None:
    """Nothing heavy is imported for it. Time of the processor, since the machine may be busy with other tests."""
    command = Path(sys.executable).with_name("demur")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(STARTS):
        subprocess.run([command, "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert seconds / STARTS < 0.25
