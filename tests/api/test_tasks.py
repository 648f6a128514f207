"""A deferral is taken up, followed and given up, by whoever asked and by nobody else (AuthZEN's profile; S7)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from tests.api.desk import REQUESTS, Desk, desk, pay, requested, simple

ERROR = "urn:openid:authzen:access-request:error:"
AMOUNTS = iter(range(1_000, 1_000_000))


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("tasks")) as one:
        yield one


@pytest.fixture
def body() -> dict[str, Any]:
    return pay(next(AMOUNTS))


def wrong(response: Any, status: int, word: str) -> None:
    assert (response.status_code, response.json()["type"]) == (status, ERROR + word), response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_deferral_says_where_and_until_when_it_can_be_taken_up(at: Desk, body: dict[str, Any]) -> None:
    context = at.defer(body)
    assert context["reason"] == "approval_required"
    assert context["evaluation_id"] == context["audit_id"]
    assert context["evaluated_at"] == context["as_of"]
    access = context["access_request"]
    assert access["endpoint"] == "https://pdp.example.com/access/v1/requests"
    assert access["expires_at"] == context["deferral"]["deadline"]
    assert access["template"] == "desk/large"
    assert access["display"]["description"]


def test_a_plain_denial_cannot_be_taken_up(at: Desk) -> None:
    told = at.evaluate(simple("note"))["context"]
    assert "access_request" not in told
    denial = {"evaluation_id": told["audit_id"], "expires_at": "2099-01-01T00:00:00Z"}
    wrong(at.submit({**simple("note"), "denial": denial}), 400, "not_requestable")


def test_submitted_approved_and_asked_again_it_is_granted_once(at: Desk, body: dict[str, Any]) -> None:
    context = at.defer(body)
    taken = at.submit(requested(body, context))
    task = taken.json()["task"]
    assert (taken.status_code, task["status"]) == (202, "pending")
    assert taken.headers["location"] == task["status_endpoint"] == f"https://pdp.example.com{REQUESTS}/{task['id']}"
    assert task["progress"] == {"current_step": 1, "total_steps": 1}
    assert int(at.client.get(task["status_endpoint"], headers=at.agent).headers["retry-after"]) > 0
    assert at.rule(task["id"]).status_code == 200
    told = at.client.get(task["status_endpoint"], headers=at.agent).json()
    assert told["task"]["status"] == "approved"
    assert told["result"]["mode"] == "reevaluate"
    approval = told["result"]["approval"]
    granted = at.evaluate({**body, "context": {"approval": approval}})
    assert granted["decision"] is True
    assert granted["context"]["approval"] == {"id": approval["id"], "approved_until": approval["approved_until"]}
    again = at.evaluate({**body, "context": {"approval": approval}})
    assert again["decision"] is False
    assert again["context"]["next_action"] == "request"


def test_of_reviewers_and_rules_nothing_is_told_with_a_task_but_what_they_wrote(at: Desk, body: dict[str, Any]) -> None:
    context = at.defer(body)
    task = at.submit(requested(body, context)).json()["task"]["id"]
    at.rule(task)
    told = at.client.get(f"{REQUESTS}/{task}", headers=at.agent).text
    assert "mara" not in told
    assert "supervisor" not in told
    assert json.loads(told)["task"]["reason"] == "looked at it"


def test_the_same_key_and_body_give_the_same_task_and_one_record(at: Desk, body: dict[str, Any]) -> None:
    asked = requested(body, at.defer(body))
    store = at.served.service.tenants.parts("clinic").world.store
    before = store.read(lambda tx: tx.head.size)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: at.submit(asked, key=f"k-{body['action']}"), range(8)))
    assert len({one.json()["task"]["id"] for one in found}) == 1
    leaves = [record.leaf for record in store.records(before) if b'"access_requested"' in record.leaf]
    assert len(leaves) == 1


def test_a_key_is_not_used_again_for_something_else(at: Desk, body: dict[str, Any]) -> None:
    asked = requested(body, at.defer(body))
    key = f"other-{body['action']}"
    assert at.submit(asked, key=key).status_code == 202
    wrong(at.submit({**asked, "client": {"id": "another"}}, key=key), 409, "duplicate_request")
    other = pay(next(AMOUNTS))
    wrong(at.submit(requested(other, at.defer(other)), key=key), 409, "duplicate_request")


def test_two_callers_may_use_the_same_key(at: Desk, body: dict[str, Any]) -> None:
    mine, theirs = requested(body, at.defer(body)), requested(body, at.defer(body, at.rival))
    key = f"shared-{body['action']}"
    assert at.submit(mine, key=key).status_code == 202
    assert at.submit(theirs, at.rival, key=key).status_code == 202


@pytest.mark.parametrize(
    "change",
    [
        {"action": {"name": "pay", "properties": {"amount": 101}}},
        {"action": {"name": "note"}},
        {"subject": {"type": "user", "id": "bob"}},
        {"subject": {"type": "user", "id": "ann", "properties": {"is_frozen": False}}},
        {"resource": {"type": "account", "id": "a-2"}},
    ],
)
def test_another_action_than_the_deferred_one_is_refused(
    at: Desk, body: dict[str, Any], change: dict[str, Any]
) -> None:
    asked = requested(body, at.defer(body))
    wrong(at.submit({**asked, **change}), 400, "invalid_denial_binding")


@pytest.mark.parametrize(
    "named", ["clinic/999999", "other/0", "0", "", "clinic/-1", "clinic/1e3", "clinic/٣", "x" * 5_000]
)
def test_a_forged_evaluation_binds_to_nothing(at: Desk, body: dict[str, Any], named: str) -> None:
    asked = requested(body, at.defer(body))
    asked["denial"]["evaluation_id"] = named
    wrong(at.submit(asked), 400, "invalid_denial_binding")


def test_another_caller_s_deferral_is_as_unknown_as_one_that_there_is_not(at: Desk, body: dict[str, Any]) -> None:
    context = at.defer(body)
    wrong(at.submit(requested(body, context), at.rival), 400, "invalid_denial_binding")
    wrong(at.submit(requested(body, context), at.foreign), 400, "invalid_denial_binding")
    task = context["deferral"]["review_id"]
    for who in (at.rival, at.foreign):
        wrong(at.client.get(f"{REQUESTS}/{task}", headers=who), 404, "unknown_task")
        wrong(at.client.post(f"{REQUESTS}/{task}/cancel", headers=who), 404, "unknown_task")
    assert at.client.get(f"{REQUESTS}/{task}", headers=at.agent).json()["task"]["status"] == "pending"


def test_a_second_credential_of_the_same_agent_follows_what_it_took_up_but_cannot_give_it_up(
    at: Desk, body: dict[str, Any]
) -> None:
    second = at.served.add("agent-b")
    known = at.served.known.identities
    known[b"key-of-agent-b-clinic"] = msgspec.structs.replace(
        known[b"key-of-agent-b-clinic"], actor=known[b"key-of-agent-clinic"].actor
    )
    task = at.defer(body)["deferral"]["review_id"]
    wrong(at.client.get(f"{REQUESTS}/{task}", headers=second), 404, "unknown_task")
    context = at.defer(body, second)
    assert context["deferral"]["review_id"] == task
    assert at.submit(requested(body, context), second).status_code == 202
    assert at.client.get(f"{REQUESTS}/{task}", headers=second).status_code == 200
    wrong(at.client.post(f"{REQUESTS}/{task}/cancel", headers=second), 404, "unknown_task")


def test_whoever_asked_may_give_it_up_and_then_it_is_over(at: Desk, body: dict[str, Any]) -> None:
    context = at.defer(body)
    task = context["deferral"]["review_id"]
    ended = at.client.post(f"{REQUESTS}/{task}/cancel", json={"reason": "not needed"}, headers=at.agent)
    assert (ended.status_code, ended.json()["task"]["status"]) == (200, "cancelled")
    assert "links" not in ended.json()["task"]
    wrong(at.client.post(f"{REQUESTS}/{task}/cancel", headers=at.agent), 409, "invalid_task_state")
    assert at.rule(task).status_code == 409
    assert at.defer(body)["deferral"]["review_id"] != task


def test_past_its_deadline_it_cannot_be_taken_up_approved_or_given_up(at: Desk) -> None:
    context = at.defer(simple("hurry"))
    task = context["deferral"]["review_id"]
    time.sleep(1.1)
    wrong(at.submit(requested(simple("hurry"), context)), 410, "expired_denial")
    assert at.rule(task).status_code == 409
    wrong(at.client.post(f"{REQUESTS}/{task}/cancel", headers=at.agent), 409, "invalid_task_state")
    assert at.client.get(f"{REQUESTS}/{task}", headers=at.agent).json()["task"]["status"] == "expired"


def test_an_approval_for_another_action_or_a_forged_one_changes_nothing(at: Desk, body: dict[str, Any]) -> None:
    task = at.defer(body)["deferral"]["review_id"]
    at.rule(task)
    approval = {"id": task, "approved_until": "2099-01-01T00:00:00Z"}
    other = at.evaluate({**pay(next(AMOUNTS)), "context": {"approval": approval}})
    assert (other["decision"], other["context"]["reason"]) == (False, "out_of_scope")
    for forged in ("0" * 16, "", "x" * 10_000, "'; --", "../etc"):
        told = at.evaluate({**pay(next(AMOUNTS)), "context": {"approval": {"id": forged}}})
        assert told["decision"] is False
        if forged:
            assert told["context"]["reason"] == "approval_unverifiable"
    theirs = at.evaluate({**body, "context": {"approval": approval}}, at.rival)
    assert (theirs["decision"], theirs["context"]["reason"]) == (False, "approval_unverifiable")


@pytest.mark.parametrize("approval", [None, 7, "x", [], {"id": 7}, {"id": None}, {"state": "eyJ"}])
def test_an_approval_of_any_shape_is_only_a_hint(at: Desk, approval: object) -> None:
    assert at.evaluate({**pay(next(AMOUNTS)), "context": {"approval": approval}})["decision"] is False


def test_an_approved_action_that_is_forbidden_meanwhile_stays_denied(at: Desk, body: dict[str, Any]) -> None:
    frozen = {**body, "subject": {"type": "user", "id": "ann", "properties": {"is_frozen": False}}}
    task = at.defer(frozen)["deferral"]["review_id"]
    at.rule(task)
    frozen["subject"] = {"type": "user", "id": "ann", "properties": {"is_frozen": True}}
    told = at.evaluate({**frozen, "context": {"approval": {"id": task}}})
    assert (told["decision"], told["context"]["reason"]) == (False, "policy_denied")


def test_the_requester_s_own_name_approves_nothing(at: Desk) -> None:
    body = pay(next(AMOUNTS), subject="mara")
    task = at.defer(body)["deferral"]["review_id"]
    refused = at.rule(task)
    assert refused.status_code == 409
    assert "somebody else" in refused.json()["detail"]


def test_several_actions_at_once_are_refused(at: Desk, body: dict[str, Any]) -> None:
    asked = requested(body, at.defer(body))
    assert at.submit({**asked, "items": []}).status_code == 400


@pytest.mark.parametrize("part", ["subject", "action", "resource", "denial"])
def test_a_submission_without_one_of_its_parts_is_malformed(at: Desk, body: dict[str, Any], part: str) -> None:
    asked = requested(body, at.defer(body))
    del asked[part]
    assert at.submit(asked).status_code == 400


def test_what_a_requester_says_is_kept_sealed_and_bounded(at: Desk, body: dict[str, Any]) -> None:
    asked = requested(body, at.defer(body)) | {"context": {"business_justification": "Kundin Größe 日本"}}
    assert at.submit(asked).status_code == 202
    store = at.served.service.tenants.parts("clinic").world.store
    assert not any(b"Kundin" in record.leaf for record in store.records())
    assert at.submit({**asked, "context": {"business_justification": "x" * 20_000}}).status_code == 400


def test_a_gate_can_wait_for_its_review(at: Desk, body: dict[str, Any]) -> None:
    task = at.defer(body)["deferral"]["review_id"]
    assert at.gate.wait(task, 0.05).value == "pending_review"
    ruling = threading.Timer(0.2, lambda: at.rule(task))
    ruling.start()
    assert at.gate.wait(task, 30).value == "approved"
    ruling.join()
