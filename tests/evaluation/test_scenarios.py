"""Cases beside the policies: what they say, how they are judged, and how a difference is told."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from demur.adapters.documents import parse
from demur.adapters.zones import TzdataZones
from demur.core.policy.index import PolicySet
from demur.core.policy.load import load
from demur.core.resolution import Learned
from demur.core.terms import Missing, parse_timestamp
from demur.errors import PolicyError
from demur.evaluation.scenarios import Verdict, check_suite, read_suites, run, run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demur.core.terms import Request, Timestamp

ZONES = TzdataZones()
POLICIES = """
demur: 1
namespace: shop
zone: UTC
sources:
  account: {kind: python}
  plans: {kind: static, table: {ann: {plan: gold}}, key: subject.id}
facts:
  subject.role: string
  subject.plan: {type: string, source: plans, optional: true}
  account.frozen: {type: bool, source: account}
  account.until: {type: timestamp, source: account, optional: true}
usage: {today: {actions: [refund], by: [subject.id], window: {calendar: day}}}
actions: {refund: {arguments: {amount: {type: int, change: true}}}}
rules:
  - id: small
    effect: permit
    actions: [refund]
    when:
      - {name: within, expr: action.amount <= 100, explain: at most 100}
      - {name: clerk, expr: 'subject.role == "clerk"', explain: a clerk}
  - id: frozen
    effect: forbid
    actions: [refund]
    category: state_conflict
    when: [{name: is-frozen, expr: account.frozen, explain: frozen}]
    obligations: [{id: tell, type: notify}]
  - id: late
    effect: forbid
    actions: [refund]
    category: temporal
    when: [{name: is-late, expr: 'has(account.until) && time.now > account.until', explain: late}]
  - id: gold
    effect: review
    actions: [refund]
    when: [{name: gold, expr: 'has(subject.plan) && subject.plan == "gold" && usage.today > 3', explain: gold}]
    review: {role: boss}
"""
DEFAULTS = """
defaults:
  request:
    subject: {type: user, id: ann, properties: {role: clerk}}
    action: {name: refund, properties: {amount: 100}}
    resource: {type: invoice, id: i-1}
  facts: {account.frozen: false, usage.today: 0}
  absent: [account.until, subject.plan]
"""
SET = PolicySet.build(load([parse(POLICIES.encode(), "p.yaml")], ZONES.is_zone), ZONES)


def no_sources(request: Request, wanted: Mapping[str, Sequence[str]], now: Timestamp) -> Mapping[str, Learned]:
    """Sources that know only the plan, so that a test sees what was asked of them."""
    assert set(wanted) <= {"plans"}, "a callable of the host is never asked"
    return {path: Learned("gold", now) for path in wanted.get("plans", ())}


def verdict(case: str, defaults: str = DEFAULTS) -> Verdict:
    body = "\n".join("    " + line for line in dedent(case).strip().splitlines())
    text = f"demur-test: 1\n{defaults}cases:\n  - name: it\n{body}\n"
    (suite,) = read_suites([parse(text.encode(), "a.test.yaml")])
    check_suite(suite, SET.schema)
    return run(suite.cases[0], SET, no_sources)


def refused(text: str) -> list[str]:
    def read() -> None:
        (suite,) = read_suites([parse(dedent(text).encode(), "a.test.yaml")])
        check_suite(suite, SET.schema)

    with pytest.raises(PolicyError) as caught:
        read()
    return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


@pytest.mark.parametrize(
    "case",
    [
        "expect: {outcome: allow, determining: [shop/small], failed: [], missing_facts: []}",
        "request: {action: {properties: {amount: 101}}}\nexpect: {outcome: deny, category: scope_exceeded}",
        "request: {action: {properties: {amount: 101}}}\nexpect: {disposition: modify, failed: [within]}",
        "facts: {account.frozen: true}\nexpect: {outcome: deny, category: state_conflict, obligations: [tell]}",
        "facts: {account.frozen: true}\nexpect: {triggering_policy: shop/frozen, failed: [is-frozen], disposition: wait}",
        "unknown: [account.frozen]\nexpect: {category: insufficient_context, missing_facts: [account.frozen]}",
        "facts: {account.until: '2025-12-31T00:00:00Z'}\nexpect: {category: temporal}",
        "facts: {account.until: '2026-06-01T00:00:00Z'}\nexpect: {outcome: allow}",
        "facts: {account.until: '2026-06-01T00:00:00Z'}\nnow: '2026-06-01T00:00:01Z'\nexpect: {outcome: deny}",
        "facts: {subject.plan: gold, usage.today: 4}\nexpect: {outcome: defer, category: requires_human}",
        "facts: {subject.plan: gold, usage.today: 4}\nexpect: {disposition: await_review}",
        "facts: {subject.plan: gold, usage.today: 4}\napproved: [shop/gold]\nexpect: {outcome: allow}",
        "facts: {subject.plan: gold, usage.today: 4}\napproved: [shop/other]\nexpect: {outcome: defer}",
        "request: {action: {properties: {amout: 1}}}\nexpect: {malformed: /action/properties/amout}",
    ],
)
def test_a_case_that_comes_out_as_expected_passes(case: str) -> None:
    found = verdict(case)
    assert found.passed, [str(difference) for difference in found.differences]


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("expect: {outcome: deny}", "outcome: expected `deny`, found `allow`"),
        ("expect: {category: temporal}", "category: expected `temporal`, found none"),
        ("expect: {determining: [shop/frozen]}", "determining: expected [shop/frozen], found [shop/small]"),
        ("facts: {account.frozen: true}\nexpect: {failed: []}", "failed: expected [], found [is-frozen]"),
        ("expect: {malformed: /subject}", "malformed: expected `/subject`, found none"),
        (
            "unknown: [account.frozen]\nexpect: {missing_facts: []}",
            "missing_facts: expected [], found [account.frozen]",
        ),
    ],
)
def test_a_difference_says_what_was_expected_and_what_was_found(case: str, told: str) -> None:
    assert [str(difference) for difference in verdict(case).differences] == [told]


def test_a_request_that_intake_refuses_fails_a_case_that_expects_an_outcome() -> None:
    """S1.2."""
    found = verdict("request: {action: {properties: {amount: many}}}\nexpect: {outcome: deny}")
    told = "malformed: at `/action/properties/amount`: expected an int within +-(2^53-1), found a string"
    assert [str(difference) for difference in found.differences] == [f"outcome: expected `deny`, found {told}"]


def test_what_a_case_does_not_say_comes_from_static_sources() -> None:
    defaults = DEFAULTS.replace(", subject.plan]", "]")
    assert verdict("facts: {usage.today: 4}\nexpect: {outcome: defer}", defaults).passed


def test_a_source_is_not_asked_for_what_a_case_says() -> None:
    asked: list[str] = []

    def learn(_: Request, wanted: Mapping[str, Sequence[str]], __: Timestamp) -> Mapping[str, Learned]:
        asked.extend(path for paths in wanted.values() for path in paths)
        return {}

    text = f"demur-test: 1\n{DEFAULTS}cases: [{{name: n, expect: {{outcome: allow}}}}]\n"
    (suite,) = read_suites([parse(text.encode(), "a.test.yaml")])
    assert run(suite.cases[0], SET, learn).passed
    assert asked == []


def test_what_nobody_says_is_unknown() -> None:
    """S2.1."""
    defaults = DEFAULTS.replace("account.frozen: false, ", "")
    assert verdict("expect: {missing_facts: [account.frozen], outcome: deny}", defaults).passed


def test_the_last_word_about_a_fact_wins() -> None:
    assert verdict("absent: [account.until]\nunknown: [usage.today]\nexpect: {outcome: allow}").passed


def test_a_case_knows_its_file_line_and_name() -> None:
    found = verdict("expect: {outcome: allow}")
    assert (found.file, found.name) == ("a.test.yaml", "it")
    assert found.line == DEFAULTS.count("\n") + 3


def test_requests_are_merged_member_by_member_and_lists_as_a_whole() -> None:
    (suite,) = read_suites(
        [
            parse(
                b"demur-test: 1\ndefaults: {request: {a: {b: 1, c: [1, 2]}, d: x}}\n"
                b"cases: [{name: n, request: {a: {c: [3]}, d: {e: 1}}, expect: {outcome: allow}}]\n",
                "a.test.yaml",
            )
        ]
    )
    assert suite.cases[0].request == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}
    assert suite.cases[0].now == parse_timestamp("2026-01-01T00:00:00Z")


def test_the_states_of_facts_are_kept_apart() -> None:
    """S2.1."""
    (suite,) = read_suites(
        [
            parse(
                b"demur-test: 1\ndefaults: {unknown: [a.b], facts: {c.d: 1}}\n"
                b"cases: [{name: n, facts: {a.b: null}, absent: [c.d], expect: {outcome: allow}}]\n",
                "a.test.yaml",
            )
        ]
    )
    states = {path: given.state for path, given in suite.cases[0].facts.items()}
    assert states == {"a.b": None, "c.d": Missing.ABSENT}


HEAD = "demur-test: 1\ncases:\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "  - {name: n, expect: {outcom: allow}}\n", ["3:24: unknown key `outcom` in `expect`"]),
        (HEAD + "  - {name: n, expect: {}}\n", ["3:23: expected at least one key in `expect`, found none"]),
        (HEAD + "  - {name: n}\n", ["3:5: expected `expect` in a case, found no such key"]),
        (
            HEAD + "  - {name: n, facts: {account.frozn: true}, expect: {outcome: allow}}\n",
            ["3:23: expected a declared fact, found `account.frozn`"],
        ),
        (
            HEAD + "  - {name: n, facts: {subject.role: x}, expect: {outcome: allow}}\n",
            ["3:23: expected a fact from a source, found the claim `subject.role`"],
        ),
        (
            HEAD + "  - {name: n, facts: {account.frozen: 1}, expect: {outcome: allow}}\n",
            ["3:23: expected a bool for `account.frozen`, found an int"],
        ),
        (
            HEAD + "  - {name: n, now: today, expect: {outcome: allow}}\n",
            ["3:20: expected a time such as `2026-11-20T09:00:00Z` for `now`, found `today`"],
        ),
        (
            HEAD + "  - {name: n, absent: [account.frozen], unknown: [account.frozen], expect: {outcome: allow}}\n",
            ["3:24: expected `account.frozen` to be said once, found it under `absent` too"],
        ),
        (
            HEAD + "  - {name: n, expect: {outcome: permit}}\n",
            ["3:33: expected one of `allow`, `defer`, `deny` for `outcome`, found the text `permit`"],
        ),
        (
            HEAD + "  - {name: n, expect: {outcome: allow}}\n  - {name: n, expect: {outcome: deny}}\n",
            ["4:12: expected case names that are unique in a file, found `n` again"],
        ),
        ("demur-test: 2\ncases: []\n", ["1:13: expected format version `1` for `demur-test`, found the int `2`"]),
    ],
)
def test_a_mistake_in_a_test_is_told_with_its_place(text: str, told: list[str]) -> None:
    assert refused(text) == told


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("name", ["clinic", "recommendations"])
def test_the_cases_of_an_example_pass(root: Path, name: str) -> None:
    failed = [(v.name, [str(d) for d in v.differences]) for v in run_folder(root / "examples" / name) if not v.passed]
    assert failed == []


def test_a_folder_without_tests_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICIES, encoding="utf-8")
    with pytest.raises(PolicyError, match=r"expected at least one `\*.test.yaml` file, found none"):
        list(run_folder(tmp_path))


def test_tests_may_stand_apart_from_their_policies(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICIES, encoding="utf-8")
    case = "cases: [{name: n, expect: {outcome: allow}}]\n"
    (tmp_path / "tests" / "a.test.yaml").write_text(f"demur-test: 1\npolicies: ../policies\n{DEFAULTS}{case}")
    assert [v.passed for v in run_folder(tmp_path / "tests")] == [True]
