"""Facts from a verified token: never from the request, and unknown where there was no token (S2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import demur
from demur.adapters.claims_source import open_claims
from demur.adapters.sources import open_sources
from demur.core.schema import Source
from demur.core.terms import Missing
from tests.adapters.facts import BOOL, NOW, STRING, request, schema

if TYPE_CHECKING:
    from pathlib import Path

CLAIMS = {"department": "billing", "employment": {"grade": "senior"}, "mfa": True, "subject.plan": "x", "n": None}
POLICY = """
demur: 1
namespace: shop
sources:
  token: {kind: claims, ttl: 1h, pointers: {subject.grade: /employment/grade}}
facts:
  subject.grade: {type: string, source: token, optional: true}
actions: {refund: {}}
rules:
  - id: seniors
    effect: permit
    actions: [refund]
    when:
      - {name: senior, expr: 'has(subject.grade) && subject.grade == "senior"', explain: the requester is senior}
"""
TYPES = {"subject.department": STRING, "subject.grade": STRING, "subject.mfa": BOOL, "subject.n": STRING}


def learn(claims: dict[str, Any] | None) -> dict[str, Any]:
    source = Source(name="token", kind="claims", settings={"pointers": {"subject.grade": "/employment/grade"}})
    declared = schema(source, TYPES, optional=frozenset(TYPES))
    asked = msgspec.structs.replace(request(), claims=claims)
    found = open_sources(declared, {"claims": open_claims}).learn(asked, {"token": tuple(TYPES)}, NOW)
    return {path: item.state for path, item in found.items()}


def test_claims_are_found_by_name_and_by_pointer() -> None:
    assert learn(CLAIMS) == {
        "subject.department": "billing",
        "subject.grade": "senior",
        "subject.mfa": True,
        "subject.n": Missing.ABSENT,
    }


def test_a_claim_that_the_token_lacks_is_absent() -> None:
    assert set(learn({}).values()) == {Missing.ABSENT}


def test_without_a_token_nothing_is_known() -> None:
    assert set(learn(None).values()) == {Missing.UNKNOWN}


@pytest.mark.parametrize("claim", [5, ["billing"], {"x": "y"}, "\ud800"])
def test_a_claim_of_another_type_is_unknown(claim: object) -> None:
    assert learn({"department": claim})["subject.department"] is Missing.UNKNOWN


def test_what_the_request_says_of_itself_is_no_claim(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(POLICY)
    asked = {
        "subject": {"type": "user", "id": "ann", "properties": {"grade": "senior"}},
        "action": {"name": "refund"},
        "resource": {"type": "invoice", "id": "i"},
        "claims": {"employment": {"grade": "senior"}},
        "context": {"claims": {"employment": {"grade": "senior"}}},
    }

    def outcome(gate: demur.Gateway, claims: dict[str, object] | None) -> str:
        return gate.decide(asked, caller=demur.Caller("agent", claims=claims)).outcome.value

    with demur.open(tmp_path) as gate:
        assert outcome(gate, None) == "deny"
        assert outcome(gate, {"employment": {"grade": "junior"}}) == "deny"
        assert outcome(gate, {"employment": {"grade": "senior"}}) == "allow"
        assert outcome(gate, {"employment": {"grade": "junior"}}) == "deny"  # nothing of another's token is remembered
