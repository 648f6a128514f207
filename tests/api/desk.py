"""A service whose policies defer payments to a supervisor, with callers and people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demur.core.access import Role
from tests.api.serving import Serving, serving

POLICY = """
demur: 1
namespace: desk
facts:
  subject.is_frozen: {type: bool, optional: true}
actions:
  pay: {arguments: {amount: {type: int, change: true}}}
  note: {}
  hurry: {}
rules:
  - id: small
    effect: permit
    actions: [pay]
    when: [{name: small, expr: action.amount <= 100, explain: it is small}]
  - id: large
    effect: review
    actions: [pay]
    when: [{name: large, expr: action.amount > 100, explain: it is large}]
    review: {role: supervisor, quorum: 1, within: 1h, risk: high}
  - id: frozen
    effect: forbid
    category: state_conflict
    actions: [pay]
    when: [{name: frozen, expr: has(subject.is_frozen) && subject.is_frozen, explain: it is frozen}]
  - id: in-a-hurry
    effect: review
    actions: [hurry]
    review: {role: supervisor, quorum: 1, within: 1s, risk: low}
"""
EVALUATION, REQUESTS = "/access/v1/evaluation", "/access/v1/requests"


@contextmanager
def desk(folder: Path, *, tenants: tuple[str, ...] = ("clinic", "other")) -> Iterator[Desk]:
    policies = folder / "policies"
    policies.mkdir()
    (policies / "desk.yaml").write_text(POLICY)
    with serving(folder, policies, tenants=tenants) as served:
        yield Desk(served)


class Desk:
    def __init__(self, served: Serving) -> None:
        self.served = served
        self.client = served.client
        self.agent = served.add("agent")
        self.rival = served.add("rival")
        self.foreign = served.add("agent", tenant="other")
        self.mara = served.add_person("mara", Role.REVIEWER)
        self.gate: Any = served.service.tenants.gate("clinic")

    def evaluate(self, body: dict[str, Any], who: dict[str, str] | None = None) -> Any:
        response = self.client.post(EVALUATION, json=body, headers=who or self.agent)
        assert response.status_code == 200, response.text
        return response.json()

    def defer(self, body: dict[str, Any], who: dict[str, str] | None = None) -> Any:
        told = self.evaluate(body, who)
        assert told["context"]["outcome"] == "defer", told
        return told["context"]

    def submit(self, body: dict[str, Any], who: dict[str, str] | None = None, *, key: str = "") -> Any:
        named = {"Idempotency-Key": key} if key else {}
        return self.client.post(REQUESTS, json=body, headers={**(who or self.agent), **named})

    def rule(self, review_id: str, verdict: str = "approve", who: dict[str, str] | None = None) -> Any:
        body = {"verdict": verdict, "reason": "looked at it"}
        return self.client.post(f"/reviews/{review_id}/rule", json=body, headers=who or self.mara)


def pay(amount: int, *, subject: str = "ann", **more: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "pay", "properties": {"amount": amount}},
        "resource": {"type": "account", "id": "a-1"},
        **more,
    }


def simple(name: str) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": name},
        "resource": {"type": "account", "id": "a-1"},
    }


def requested(body: dict[str, Any], context: dict[str, Any], **more: Any) -> dict[str, Any]:
    access = context["access_request"]
    denial = {
        "evaluation_id": context["evaluation_id"],
        "expires_at": access["expires_at"],
        "reason": context["reason"],
    }
    return {**body, "denial": denial, **more}
