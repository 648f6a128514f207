"""Two tenants on one service: neither sees, spends or moves anything of the other's, whatever it guesses or was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demur.core.access import Role
from demur.server.settings import Limits
from tests.api.enrolled import Enrolled, bearer, enrolled

POLICY = """
demur: 1
namespace: shop
actions:
  list: {}
  refund: {}
rules:
  - {id: list, effect: permit, actions: [list]}
  - id: refund
    effect: review
    actions: [refund]
    review: {role: manager, quorum: 1, within: 1h, risk: high}
"""


@dataclass
class Both:
    """A service of two tenants with the same policies, and somebody of each who may do everything."""

    service: Enrolled
    programs: dict[str, str]
    people: dict[str, str]

    def ask(self, tenant: str, method: str, path: str, body: object = None, *, person: bool = False) -> httpx2.Response:
        credential = (self.people if person else self.programs)[tenant]
        return self.service.client.request(method, path, headers=bearer(credential), json=body)

    def told(self, tenant: str, action: str) -> dict[str, Any]:
        request = {
            "subject": {"type": "user", "id": "ann"},
            "action": {"name": action},
            "resource": {"type": "invoice", "id": "1"},
            "context": {},
        }
        found = self.ask(tenant, "POST", "/access/v1/evaluation", request)
        assert found.status_code == 200, found.text
        return {"decision": found.json()["decision"], **found.json()["context"]}

    def size(self, tenant: str) -> int:
        return self.service.service.tenants.parts(tenant).world.store.read(lambda tx: tx.head).size


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "shop.yaml").write_text(POLICY)
    with enrolled(tmp_path, policies, tenants=("ours", "theirs")) as service:
        names = ("ours", "theirs")
        programs = {name: service.program("desk", *Role, tenant=name) for name in names}
        people = {name: service.person("mara", *Role, tenant=name) for name in names}
        yield Both(service, programs, people)


def grant(told: dict[str, Any]) -> dict[str, Any]:
    assert told["decision"] is True
    found = told["grant"]
    assert isinstance(found, dict)
    return found


def test_the_same_name_in_two_tenants_is_two_callers(both: Both) -> None:
    ours, theirs = both.told("ours", "list"), both.told("theirs", "list")

    assert ours["audit_id"].split("/")[0] == "ours"
    assert theirs["audit_id"].split("/")[0] == "theirs"


def test_a_grant_of_another_tenant_cannot_be_spent_and_stays_good(both: Both) -> None:
    theirs = grant(both.told("theirs", "list"))
    body = {"token": theirs["token"], "arguments": {}}

    stolen = both.ask("ours", "POST", "/grants/redeem", body)
    assert stolen.json().get("redeemed") is not True
    assert '"decision":true' not in stolen.text.replace(" ", "")
    assert both.ask("theirs", "POST", "/grants/redeem", body).json() != stolen.json()


def test_a_grant_of_another_tenant_cannot_be_taken_back(both: Both) -> None:
    theirs = grant(both.told("theirs", "list"))
    path = f"/grants/{theirs.get('id') or theirs['grant_id']}/revoke"

    assert both.ask("ours", "POST", path, {"reason": "not mine"}, person=True).json()["recorded"] is False
    assert both.ask("theirs", "POST", path, {"reason": "mine"}, person=True).json() == {"recorded": True}


def test_a_decision_of_another_tenant_is_not_there(both: Both) -> None:
    log, number = both.told("theirs", "list")["audit_id"].split("/")

    assert both.ask("ours", "GET", f"/decisions/{log}/{number}").status_code == 404
    assert both.ask("theirs", "GET", f"/decisions/{log}/{number}").status_code == 200


def test_the_other_ledger_cannot_be_reached_by_any_path(both: Both) -> None:
    for _ in range(5):
        both.told("theirs", "list")

    ours = both.ask("ours", "GET", "/ledger/records?first=0").text
    assert '"log":"theirs"' not in ours.replace(" ", "")
    assert both.ask("ours", "GET", "/ledger").text != both.ask("theirs", "GET", "/ledger").text


def test_a_lever_of_another_tenant_stops_nothing_here_and_cannot_be_turned_off(both: Both) -> None:
    stop = both.ask("theirs", "POST", "/levers/stops", {"reason": "drill"}, person=True).json()["id"]

    assert both.told("ours", "list")["decision"] is True
    assert both.told("theirs", "list")["decision"] is False
    assert both.ask("ours", "GET", "/levers").json() == {"stops": [], "openings": []}
    assert both.ask("ours", "POST", f"/levers/stops/{stop}/release", {"reason": "x"}, person=True).status_code == 409
    assert both.told("theirs", "list")["decision"] is False


def test_people_and_programs_of_another_tenant_are_not_there(both: Both) -> None:
    both.service.program("secret", Role.CALLER, tenant="theirs")
    both.service.person("nobody-else", Role.REVIEWER, tenant="theirs")

    found = both.ask("ours", "GET", "/identities").text
    assert [word for word in ("secret", "nobody-else") if word in found] == []
    for method, path in (
        ("DELETE", "/identities/callers/secret"),
        ("POST", "/identities/callers/secret/rotate"),
        ("DELETE", "/identities/people/nobody-else"),
    ):
        assert both.ask("ours", method, path, {} if method == "POST" else None).status_code == 404


def test_policies_of_another_tenant_cannot_be_put_in_force(both: Both) -> None:
    text = POLICY.replace("refund", "pay")
    proposed = both.ask("theirs", "POST", "/policies/proposals", {"files": {"shop.yaml": text}})
    assert proposed.status_code == 201

    before = both.ask("ours", "GET", "/policies").json()
    assert both.ask("ours", "POST", "/policies/activate", proposed.json(), person=True).status_code >= 400
    assert both.ask("ours", "GET", "/policies").json() == before


def test_a_login_of_another_tenant_rules_nothing_here(both: Both) -> None:
    ours, theirs = (both.service.service.tenants.parts(name).world.reviewers for name in ("ours", "theirs"))

    assert theirs.identify(both.people["theirs"]).name == "mara"
    with pytest.raises(Exception, match="that nobody holds"):
        ours.identify(both.people["theirs"])


def test_one_tenant_that_asks_too_much_slows_no_caller_of_the_same_name_elsewhere(tmp_path: Path) -> None:
    slow = Limits(per_caller_per_second=1, per_caller_burst=3)
    with enrolled(tmp_path, tenants=("ours", "theirs"), limits=slow) as service:
        ours, theirs = (bearer(service.program("desk", Role.AUDITOR, tenant=name)) for name in ("ours", "theirs"))

        found = [service.client.get("/ledger", headers=ours).status_code for _ in range(5)]
        assert (found[0], found[-1]) == (200, 429)
        assert service.client.get("/ledger", headers=theirs).status_code == 200


def test_what_one_tenant_asks_leaves_no_trace_in_the_other(both: Both) -> None:
    before = both.size("theirs")
    for path in ("/levers", "/sessions", "/identities", "/policies", "/ledger"):
        assert both.ask("ours", "GET", path).status_code == 200
    both.told("ours", "list")
    both.told("ours", "refund")

    assert both.size("theirs") == before


def test_the_same_person_in_two_tenants_has_two_pseudonyms(both: Both) -> None:
    def by(tenant: str) -> set[str]:
        store = both.service.service.tenants.parts(tenant).world.store
        return {found["by"] for record in store.records() if "by" in (found := json.loads(record.leaf))}

    assert by("ours").isdisjoint(by("theirs"))


def test_a_credential_says_which_tenant_it_is_of_and_no_header_says_otherwise(both: Both) -> None:
    headers = bearer(both.programs["ours"]) | {"X-Tenant": "theirs", "X-Demur-Tenant": "theirs", "Host": "theirs"}
    found = both.service.client.get("/ledger", headers=headers)

    assert found.json() == both.ask("ours", "GET", "/ledger").json()
