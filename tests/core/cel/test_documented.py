"""Every example of docs/conditions.md gives what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from demur.adapters.zones import TzdataZones
from demur.core.cel import Fault, Unknown, adhoc, to_json

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "conditions.md").read_text("utf-8")
FACTS = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
CELL = re.compile(r"(?<!\\)\|")
ZONES = TzdataZones()


def examples() -> list[tuple[str, str]]:
    """The last two cells of each row of a table whose last column is `gives`."""
    found, is_example = [], False
    for line in PAGE.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in CELL.split(line)[1:-1]]
        if not cells:
            is_example = False
        elif cells[-1] == "gives":
            is_example = True
        elif is_example and not cells[-1].startswith("---"):
            found.append((cells[-2].strip("`"), cells[-1].strip("`")))
    return found


def test_the_page_has_its_examples() -> None:
    assert len(examples()) >= 40


@pytest.mark.parametrize(("text", "gives"), examples(), ids=[text for text, _ in examples()])
def test_an_example_gives_what_the_page_says(text: str, gives: str) -> None:
    result = adhoc(text, FACTS, ZONES)
    assert not isinstance(result, Fault | Unknown)
    assert json.dumps(to_json(result), ensure_ascii=False) == json.dumps(json.loads(gives), ensure_ascii=False)
