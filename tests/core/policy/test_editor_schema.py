"""The JSON Schema for editors: it knows the keys and closed sets of the loader, and agrees with it on documents."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from demur.adapters.documents import parse
from demur.core.desk.risk import Risk
from demur.core.policy import counters, declarations, drafts, facts, heading, library
from demur.core.policy.located import plain
from demur.core.schema import Visibility
from demur.core.terms import Audience, Disposition, Effect
from demur.evaluation import scenario_reading
from tests.core.policy.test_problem_vectors import VECTORS

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "src" / "demur" / "core" / "policy" / "policy.schema.json"
SCHEMA: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
DEFINED: dict[str, Any] = SCHEMA["definitions"]
VALIDATOR = Draft7Validator(SCHEMA)
WRITTEN = [
    path
    for folder in (ROOT / "examples", ROOT / "src" / "demur" / "cli" / "starter")
    for path in sorted(folder.rglob("*.yaml"))
    if "data" not in path.parts
]
BEYOND_A_SCHEMA = {
    "condition_argument_of_other_action", "condition_argument_of_some_actions", "condition_argument_of_two_types",
    "condition_guard_in_other_group_member", "condition_ill_typed", "condition_guard_of_unknown_fact", "condition_in_block", "condition_in_folded_block",
    "condition_in_quotes", "condition_int_and_double", "condition_name_twice", "condition_not_bool",
    "condition_unguarded", "condition_unknown_fact", "counter_optional_key", "counter_sum_of_text",
    "counter_unknown_action", "counter_unknown_key_fact", "counter_without_zone", "desk_fact_of_the_desk_declared",
    "desk_hours_without_zone", "desk_risk_of_secret", "desk_risk_of_unknown_fact", "desk_risk_thresholds_fall",
    "desk_risk_unguarded", "desk_shed_that_skips_the_lower", "fact_argument_under_facts",
    "fact_built_in", "fact_detect_in_unknown", "fact_detect_without_content", "fact_one_of_wrong_type",
    "fact_prefix_of_another", "fact_type_inside_list", "fact_unknown_source", "fact_usage", "fact_without_source",
    "heading_test_without_suffix", "heading_unknown_zone", "namespace_action_not_owned", "namespace_permit_not_owned",
    "rule_alternative_unknown", "rule_id_twice", "rule_narrow_text_limit", "rule_narrow_unknown_argument",
    "rule_narrow_wrong_type", "rule_reads_peak_of_no_desk", "rule_review_levels_out_of_order", "rule_review_unknown_rota",
    "rule_obligation_two_meanings", "rule_unknown_action", "rule_unknown_action_with_conditions",
    "shipped_allow_list_unknown_action", "shipped_code_in_number", "shipped_quota_without_day", "source_key_unknown",
    "source_outside_folder",
}  # fmt: skip
"""Defects that lie in what names refer to, in conditions, or in several places at once."""


def values(options: type[StrEnum]) -> set[str]:
    return {option.value for option in options}


def alternative(name: str, key: str) -> dict[str, Any]:
    """The member of `anyOf` or `oneOf` of a definition that has this property."""
    options = DEFINED[name].get("anyOf") or DEFINED[name]["oneOf"]
    return dict(next(option for option in options if key in option.get("properties", {})))


def test_the_published_copy_is_the_shipped_one() -> None:
    assert (ROOT / "docs" / "policy.schema.json").read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (DEFINED["policies"]["properties"], heading.KEYS),
        (DEFINED["rule"]["properties"], drafts._KEYS),
        (alternative("fact", "source")["properties"], facts._FACT_KEYS),
        (alternative("argument", "unit")["properties"], set(facts._FACT_KEYS) - set(facts._NOT_FOR_ARGUMENTS)),
        (DEFINED["tests"]["properties"]["cases"]["items"]["properties"], scenario_reading._CASE_KEYS),
        (DEFINED["tests"]["properties"]["defaults"]["properties"], scenario_reading._DEFAULT_KEYS),
        (
            DEFINED["tests"]["properties"]["cases"]["items"]["properties"]["expect"]["properties"],
            scenario_reading.EXPECTED,
        ),
    ],
    ids=["document", "rule", "fact", "argument", "case", "defaults", "expect"],
)
def test_it_knows_the_keys_that_the_loader_knows(found: dict[str, object], known: tuple[str, ...]) -> None:
    assert set(found) == set(known)


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (DEFINED["rule"]["properties"]["effect"]["enum"], values(Effect)),
        (DEFINED["rule"]["properties"]["category"]["enum"], drafts._FORBID_CATEGORIES),
        (DEFINED["rule"]["properties"]["disposition"]["enum"], values(Disposition)),
        (DEFINED["rule"]["properties"]["messages"]["properties"], values(Audience)),
        (DEFINED["rule"]["properties"]["review"]["properties"]["risk"]["enum"], values(Risk)),
        (alternative("fact", "source")["properties"]["visible"]["properties"]["agent"]["enum"], values(Visibility)),
        (alternative("fact", "source")["properties"]["detect"]["properties"]["what"]["enum"], values(facts.Detector)),
        (
            DEFINED["counter"]["properties"]["window"]["oneOf"][0]["properties"]["calendar"]["enum"],
            values(counters.Calendar),
        ),
        ({item["properties"]["kind"]["const"] for item in DEFINED["source"]["oneOf"]}, values(declarations.SourceKind)),
        (
            {item["properties"]["use"]["const"] for item in DEFINED["condition"]["anyOf"][1:]},
            values(library.Shipped),
        ),
    ],
    ids=["effect", "category", "disposition", "audience", "risk", "visible", "detect", "calendar", "kind", "use"],
)
def test_it_knows_the_closed_sets_that_the_loader_knows(found: list[str], known: tuple[str, ...]) -> None:
    assert set(found) == set(known)


@pytest.mark.parametrize("shipped", library.Shipped)
def test_it_knows_the_parameters_of_shipped_conditions(shipped: library.Shipped) -> None:
    options = DEFINED["condition"]["anyOf"][1:]
    parameters = next(o["properties"]["with"] for o in options if o["properties"]["use"]["const"] == shipped)
    needs, known = library.PARAMETERS[shipped]
    assert set(parameters["properties"]) == set(known)
    assert set(parameters["required"]) == set(needs)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_shipped_document_is_valid(path: Path) -> None:
    root = parse(path.read_bytes(), path.name).root
    assert root is not None
    assert [error.message for error in VALIDATOR.iter_errors(plain(root))] == []


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_defect_that_a_schema_can_see_is_seen(path: Path) -> None:
    document = parse(str(yaml.safe_load(path.read_text(encoding="utf-8"))["document"]).encode(), path.name)
    if document.root is None or document.problems:
        return
    assert VALIDATOR.is_valid(plain(document.root)) == (path.stem in BEYOND_A_SCHEMA)
