"""What holds of every decision for a caller who is registered for some obligation types (S3.3, S3.5, S6.4)."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from demur.core.decision import decide
from demur.core.policy.document import Documents
from demur.core.policy.index import PolicySet
from demur.core.resolution import Facts
from demur.core.terms import Category, Missing, Outcome
from demur.evaluation import oracle
from tests.core.rulebook import ZONES
from tests.properties.test_decision_properties import cases, seen

TYPES = st.frozensets(st.sampled_from(["log", "notify", "Log", ""]))


def known(row: Facts, types: frozenset[str] | None) -> Facts:
    return msgspec.structs.replace(row, understands=types)


@given(cases(), TYPES)
def test_the_oracle_agrees_for_whoever_is_registered(case: tuple[Documents, Facts], types: frozenset[str]) -> None:
    """S3.3, S3.5, S6.4"""
    written, row = case
    row = known(row, types)
    assert seen(decide(row, PolicySet.build(written, ZONES))) == oracle.judge(row, written, ZONES)


@given(cases(), TYPES)
def test_an_allow_obliges_to_nothing_that_is_not_understood(
    case: tuple[Documents, Facts], types: frozenset[str]
) -> None:
    """S6.4"""
    written, row = case
    decision = decide(known(row, types), PolicySet.build(written, ZONES))
    if decision.outcome is Outcome.ALLOW:
        assert {item.type for item in decision.obligations} <= types
        assert decision.beyond == ()


@given(cases(), TYPES)
def test_being_registered_for_less_only_turns_allows_into_denials(
    case: tuple[Documents, Facts], types: frozenset[str]
) -> None:
    """S6.4"""
    written, row = case
    policies = PolicySet.build(written, ZONES)
    whole, part = decide(row, policies), decide(known(row, types), policies)
    if part.outcome is whole.outcome:
        assert seen(part) == seen(whole)
    else:
        assert (whole.outcome, part.outcome) == (Outcome.ALLOW, Outcome.DENY)
        assert part.category in {Category.POLICY_VIOLATION, Category.INSUFFICIENT_CONTEXT}
        assert part.beyond
        assert types.isdisjoint(part.beyond)


@given(cases(), TYPES, TYPES)
def test_being_registered_for_more_never_narrows(
    case: tuple[Documents, Facts], types: frozenset[str], more: frozenset[str]
) -> None:
    """S6.4"""
    written, row = case
    policies = PolicySet.build(written, ZONES)
    fewer = decide(known(row, types), policies)
    if fewer.outcome is Outcome.ALLOW:
        assert decide(known(row, types | more), policies).outcome is Outcome.ALLOW


@given(cases(), TYPES)
def test_not_knowing_a_fact_is_never_more_lenient_than_knowing_it(
    case: tuple[Documents, Facts], types: frozenset[str]
) -> None:
    """S3.3"""
    written, row = case
    policies = PolicySet.build(written, ZONES)
    learned = decide(known(row, types), policies).outcome
    for place in range(len(row.values)):
        values = list(row.values)
        values[place] = Missing.UNKNOWN
        less = decide(known(msgspec.structs.replace(row, values=values), types), policies).outcome
        if less is Outcome.ALLOW:
            assert learned is Outcome.ALLOW
