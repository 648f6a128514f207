"""The documents shown in docs/policies.md load without a finding, pass their own tests, and every key is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from demur.adapters.documents import parse
from demur.core.policy import counters, declarations, drafts, facts, heading
from demur.core.policy.library import PARAMETERS, Shipped
from demur.core.policy.lint import lint
from demur.core.policy.load import load
from demur.evaluation import scenario_reading
from demur.evaluation.scenarios import run_folder
from tests.core.policy.written import ZONES

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
POLICIES, TESTS = re.findall(r"^```yaml\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_policies_in_the_guide_load_without_a_finding() -> None:
    document = parse(POLICIES.encode(), "policies.yaml")
    assert [str(finding) for finding in lint(load([document], ZONES.is_zone), [document])] == []


def test_the_tests_in_the_guide_pass(tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(POLICIES, encoding="utf-8")
    (tmp_path / "policies.test.yaml").write_text(TESTS, encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "invoices.yaml").write_text("i-2: {consent: true}\n", encoding="utf-8")
    found = list(run_folder(tmp_path))
    assert [(v.name, [str(d) for d in v.differences]) for v in found if not v.passed] == []
    assert len(found) == 6


@pytest.mark.parametrize(
    "word",
    sorted({
        *heading.KEYS, *drafts._KEYS, *facts._FACT_KEYS, *scenario_reading._CASE_KEYS, *scenario_reading.EXPECTED,
        *(unit.value for unit in counters.Calendar), *(kind.value for kind in declarations.SourceKind),
        *(shipped.value for shipped in Shipped), *(name for _, names in PARAMETERS.values() for name in names),
    }),
)  # fmt: skip
def test_every_word_of_the_format_stands_in_the_guide(word: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", GUIDE)
