"""The examples' policies: their cases pass, every situation is among them, and their words suit a reader."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from demur import wiring
from demur.core.policy.document import Rule
from demur.core.terms import Audience, Effect
from demur.evaluation import scenarios

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ["clinic", "recommendations"]
LOCALES = ["en", "de"]

SITUATIONS = [
    ("clinic", "never-delete-in-bulk", "categorical", "never_retry"),
    ("clinic", "consent-on-file", "insufficient_context", "supply_context"),
    ("clinic", "administrators-only", "scope_exceeded", "seek_authority"),
    ("clinic", "read-only-maintenance", "temporal", "retry_after"),
    ("clinic", "record-under-review", "state_conflict", "wait"),
    ("clinic", "high-dose-needs-pharmacist", "requires_human", "await_review"),
    ("clinic", "large-purge-needs-two", "requires_human", "await_review"),
    ("recommendations", "account_under_regulatory_review", "state_conflict", "seek_authority"),
    ("recommendations", "frozen_account", "state_conflict", "wait"),
    ("recommendations", "single_transfer_limit", "policy_violation", "modify"),
    ("recommendations", "daily_transfer_limit", "quota_exceeded", "retry_after"),
    ("recommendations", "restricted_asset", "policy_violation", "modify"),
    ("recommendations", "no_code_generation_for_basic_users", "policy_violation", "modify"),
    ("recommendations", "refund_requests_need_review", "requires_human", "await_review"),
    ("recommendations", "rate_limit_protect", "quota_exceeded", "retry_after"),
]


def refusing_rules() -> list[Rule]:
    rules = [rule for name in NAMES for rule in wiring.load_policies(EXAMPLES / name).rules]
    return [rule for rule in rules if rule.effect is not Effect.PERMIT]


def cases(name: str) -> list[scenarios.Case]:
    return [case for suite in scenarios.read_suites(wiring.read_tests(EXAMPLES / name)) for case in suite.cases]


@pytest.mark.parametrize("name", NAMES)
def test_every_case_passes(name: str) -> None:
    verdicts = list(scenarios.run_folder(EXAMPLES / name))

    assert [(verdict.name, list(map(str, verdict.differences))) for verdict in verdicts if not verdict.passed] == []
    assert len(verdicts) >= 50


@pytest.mark.parametrize(("name", "rule", "category", "disposition"), SITUATIONS)
def test_a_situation_is_a_case(name: str, rule: str, category: str, disposition: str) -> None:
    wanted = {"triggering_policy": f"{name}/{rule}", "category": category, "disposition": disposition}

    assert any(wanted.items() <= case.expect.items() for case in cases(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_that_refuses_is_expected_by_a_case(name: str) -> None:
    expected = {str(case.expect.get("triggering_policy", "")) for case in cases(name)}
    refusing = {rule.id for rule in wiring.load_policies(EXAMPLES / name).rules if rule.effect is not Effect.PERMIT}

    assert refusing - expected == set()


@pytest.mark.parametrize(
    "file",
    [file for name in NAMES for file in sorted((EXAMPLES / name).glob("*.test.yaml"))],
    ids=lambda file: file.stem,
)
def test_a_file_of_cases_has_a_control_and_enough_cases(file: Path) -> None:
    outcomes = Counter(
        case.expect.get("outcome") for case in cases(file.parent.name) if Path(case.file).name == file.name
    )

    assert outcomes["allow"] >= 1
    assert outcomes["deny"] + outcomes["defer"] >= 2
    assert outcomes.total() >= 5


@pytest.mark.parametrize("rule", refusing_rules(), ids=lambda rule: rule.id)
def test_a_refusing_rule_speaks_both_languages(rule: Rule) -> None:
    for texts in rule.messages.values():
        assert sorted(texts) == sorted(LOCALES)
        assert len(set(texts.values())) == len(LOCALES)


@pytest.mark.parametrize("rule", refusing_rules(), ids=lambda rule: rule.id)
def test_an_end_user_reads_plain_sentences_without_the_words_of_the_policy(rule: Rule) -> None:
    paths = set(wiring.load_policies(EXAMPLES / rule.namespace).schema.facts)
    for text in rule.messages.get(Audience.END_USER, {}).values():
        assert text.endswith(".")
        assert text == " ".join(text.split())
        assert not re.search(r"[_`{}<>=]", text)
        assert not any(path in text for path in paths)


def test_only_the_confidential_rule_has_no_words_for_the_end_user() -> None:
    silent = [rule.id for rule in refusing_rules() if Audience.END_USER not in rule.messages]

    assert silent == ["recommendations/account_under_regulatory_review"]
