"""Precedents and standing approvals over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from demur.core.access import Role
from tests.api.desk import Desk, desk, pay

if TYPE_CHECKING:
    from collections.abc import Iterator

WHY = "three months of such payments were checked"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("standing")) as one:
        yield one


def scope(at: Desk, **changes: Any) -> dict[str, Any]:
    soon = at.gate._world.clock.now().plus(3_600)
    return {
        "rule": "desk/large",
        "action": "pay",
        "resource_type": "account",
        "subject": "user:bea",
        "arguments": {"action.amount": {"at_most": 500}},
        "uses": 1,
        "expires_at": str(soon),
        **changes,
    }


def grant(at: Desk, who: dict[str, str] | None = None, **changes: Any) -> Any:
    return at.client.post("/standing", json={"scope": scope(at, **changes), "reason": WHY}, headers=who or at.mara)


def outcome(at: Desk, amount: int, subject: str) -> str:
    told: str = at.evaluate(pay(amount, subject=subject))["context"]["outcome"]
    return told


def test_what_is_approved_in_advance_is_granted_as_often_as_was_said(at: Desk) -> None:
    made = grant(at).json()
    assert (made["status"], made["granted"], made["quorum"]) == ("live", 1, 1)
    assert [outcome(at, 300, "bea"), outcome(at, 300, "bea"), outcome(at, 300, "cid")] == ["allow", "defer", "defer"]
    (listed,) = at.client.get("/standing", headers=at.mara).json()["standing"]
    assert (listed["standing_id"], listed["status"], listed["used"]) == (made["standing_id"], "used_up", 1)
    assert (listed["granted_by"], listed["reasons"]) == (["mara"], [WHY])


def test_a_revoked_one_grants_nothing(at: Desk) -> None:
    made = grant(at, subject="user:dan").json()
    path = f"/standing/{made['standing_id']}/revoke"
    assert at.client.post(path, json={"reason": " "}, headers=at.mara).status_code == 409
    assert at.client.post(path, json={"reason": "it is over"}, headers=at.mara).json()["status"] == "revoked"
    assert at.client.post(path, json={"reason": "again"}, headers=at.mara).status_code == 409
    assert outcome(at, 300, "dan") == "defer"


def test_a_proposal_comes_from_precedents_and_makes_nothing(at: Desk) -> None:
    for amount in (200, 250, 300):
        at.rule(at.defer(pay(amount, subject="eva"))["deferral"]["review_id"])
    denied = at.defer(pay(900, subject="eva"))["deferral"]["review_id"]
    at.rule(denied, "reject")
    waiting = at.defer(pay(260, subject="eva"))["deferral"]["review_id"]
    before = len(at.client.get("/standing", headers=at.mara).json()["standing"])
    proposed = at.client.get(f"/reviews/{waiting}/standing", headers=at.mara).json()
    assert proposed["scope"]["arguments"] == {"action.amount": {"at_least": 200, "at_most": 300}}
    assert (proposed["approved_within"], proposed["denied_within"], proposed["covers_review"]) == (3, 0, True)
    assert len(at.client.get("/standing", headers=at.mara).json()["standing"]) == before
    made = at.client.post("/standing", json={"scope": proposed["scope"], "reason": WHY}, headers=at.mara)
    assert made.json()["status"] == "live"
    assert outcome(at, 260, "eva") == "allow"
    shown = at.client.get(f"/reviews/{waiting}/precedents", params={"limit": 2}, headers=at.mara).json()["precedents"]
    assert [one["outcome"] for one in shown] == ["approved", "denied"]
    assert at.client.get(f"/reviews/{waiting}", headers=at.mara).json()["similar_past_decisions"][0] == shown[0]


def test_a_review_with_too_few_precedents_is_no_ground_for_a_proposal(at: Desk) -> None:
    assert at.client.get("/reviews/none/standing", headers=at.mara).status_code == 409
    assert at.client.get("/reviews/none/precedents", headers=at.mara).json() == {"precedents": []}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"subject": "*"}, 409),
        ({"uses": 0}, 409),
        ({"uses": "many"}, 400),
        ({"expires_at": "tomorrow"}, 409),
        ({"expires_at": "2099-01-01T00:00:00Z"}, 409),
        ({"arguments": {"action.amount": {"at_most": "much"}}}, 400),
        ({"arguments": {"action.amount": {"up_to": 5}}}, 400),
        ({"colour": "red"}, 400),
        ({"subject": "user:mara"}, 409),
    ],
)
def test_an_unsound_scope_is_refused(at: Desk, changes: dict[str, Any], status: int) -> None:
    assert grant(at, **changes).status_code == status


def test_neither_programs_nor_other_roles_nor_other_tenants_grant(at: Desk) -> None:
    program = at.served.add("standing-robot", Role.REVIEWER)
    theirs = at.served.add_person("otto", Role.REVIEWER, tenant="other")
    assert grant(at, program).status_code == 403
    assert grant(at, at.agent).status_code == 403
    assert at.client.get("/standing", headers=theirs).json() == {"standing": []}
    made = grant(at, subject="user:fay").json()["standing_id"]
    assert at.client.post(f"/standing/{made}/revoke", json={"reason": "x"}, headers=theirs).status_code == 409
