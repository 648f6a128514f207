"""The to-do scenario of AuthZEN's interoperability events: what its harness compares, byte by byte."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .serving import HERE, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = os.environ.get("DEMUR_VECTORS", "")
pytestmark = pytest.mark.skipif(not VECTORS, reason="DEMUR_VECTORS names no folder of vectors")
KNOWN: dict[str, Any] = (
    json.loads(Path(VECTORS, "authzen/todo-1_0.json").read_text(encoding="utf-8"))
    if VECTORS
    else {"evaluation": [], "evaluations": []}
)


@pytest.fixture(scope="module")
def todo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("todo"), HERE / "todo_fixture") as running:
        running.client.headers.update(running.add("backend"))
        yield running


def test_the_vectors_are_all_there() -> None:
    assert (len(KNOWN["evaluation"]), len(KNOWN["evaluations"])) == (40, 3)


@pytest.mark.parametrize("case", KNOWN["evaluation"])
def test_evaluation(case: dict[str, Any], todo: Serving) -> None:
    answer = todo.client.post("/access/v1/evaluation", json=case["request"])

    assert answer.status_code == 200
    assert answer.json()["decision"] is case["expected"]


@pytest.mark.parametrize("case", KNOWN["evaluations"])
def test_evaluations(case: dict[str, Any], todo: Serving) -> None:
    """S5.3: a batch without context is answered with bare decisions."""
    answer = todo.client.post("/access/v1/evaluations", json=case["request"])

    assert answer.status_code == 200
    assert answer.content == json.dumps({"evaluations": case["expected"]}, separators=(",", ":")).encode()
