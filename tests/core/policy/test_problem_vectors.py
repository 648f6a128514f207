"""Bad documents with one defect each: the exact message, place and hint that their author gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from demur.core.policy.load import load
from demur.errors import PolicyError
from tests.core.policy.written import ZONES, source

VECTORS = sorted((Path(__file__).parents[2] / "vectors" / "policies").glob("*.yaml"))


def read(path: Path) -> dict[str, object]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 40


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_defect_is_told_once_with_its_place_and_a_hint(path: Path) -> None:
    vector = read(path)
    with pytest.raises(PolicyError) as caught:
        load([source(str(vector["document"]))], ZONES.is_zone)
    found = [{"line": p.line, "column": p.column, "message": p.message, "hint": p.hint} for p in caught.value.problems]
    assert found == [vector["expect"]]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_message_is_lower_case_without_final_stop(path: Path) -> None:
    vector = read(path)
    expect = vector["expect"]
    assert isinstance(expect, dict)
    for text in (expect["message"], expect["hint"]):
        assert not text.endswith(".")
        assert not text or text[0] == text[0].lower() or text.startswith("YAML")
