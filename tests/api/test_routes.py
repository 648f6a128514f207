"""Demur's own resources over HTTP: one story for each noun."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from demur.core.access import Role
from demur.core.ledger import merkle, note, tile
from demur.core.ledger.proof import Proof
from demur.server.routes.policies import MAX_PROPOSAL_BYTES

from .serving import HERE, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = "/access/v1/evaluation"
ASKED: dict[str, Any] = {
    "subject": {"type": "user", "id": "alice"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "record-1"},
}
DENIED = {**ASKED, "subject": {"type": "user", "id": "bob"}, "action": {"name": "write"}}
FIXTURE = HERE / "authzen_fixture"


@pytest.fixture
def pdp(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path, FIXTURE, tenants=("clinic", "other")) as running:
        running.client.headers.update(running.add("desk"))
        yield running


def grant(pdp: Serving) -> dict[str, Any]:
    context: dict[str, Any] = pdp.client.post(ONE, json=ASKED).json()["context"]
    return context["grant"] | {"audit_id": context["audit_id"]}


def test_a_grant_is_redeemed_once_and_its_end_is_recorded(pdp: Serving) -> None:
    """S6.1, S6.3"""
    given = grant(pdp)
    body = {"token": given["token"], "arguments": {}}
    first = pdp.client.post("/grants/redeem", json=body).json()
    second = pdp.client.post("/grants/redeem", json=body)
    ended = pdp.client.post(f"/grants/{given['id']}/complete", json={"status": "success"}).json()

    assert first["redeemed"] is True
    assert (second.status_code, second.json()["redeemed"], second.json()["decision"]) == (200, False, False)
    assert ended == {"recorded": True}


def test_other_arguments_than_granted_are_not_redeemed(pdp: Serving) -> None:
    """S6.2"""
    told = pdp.client.post("/grants/redeem", json={"token": grant(pdp)["token"], "arguments": {"method": "PUT"}}).json()

    assert told["redeemed"] is False


def test_a_grant_of_one_tenant_is_worth_nothing_in_another(pdp: Serving) -> None:
    """S5.6"""
    body = {"token": grant(pdp)["token"], "arguments": {}}
    other = pdp.client.post("/grants/redeem", json=body, headers=pdp.add("thief", tenant="other")).json()

    assert other["redeemed"] is False
    assert pdp.client.post("/grants/redeem", json=body).json()["redeemed"] is True


def test_an_operator_takes_a_grant_back_and_a_program_cannot(pdp: Serving) -> None:
    """S6.1, S7.4"""
    given = grant(pdp)
    path, body = f"/grants/{given['id']}/revoke", {"reason": "the customer called"}
    by_program = pdp.client.post(path, json=body, headers=pdp.add("robot", Role.OPERATOR))
    by_person = pdp.client.post(path, json=body, headers=pdp.add_person("mara", Role.OPERATOR))
    redeemed = pdp.client.post("/grants/redeem", json={"token": given["token"], "arguments": {}}).json()

    assert by_program.status_code == 403
    assert (by_person.status_code, by_person.json()) == (200, {"recorded": True})
    assert redeemed["redeemed"] is False


def test_a_decision_is_told_again_to_whoever_asked_and_to_nobody_else(pdp: Serving) -> None:
    denied = pdp.client.post(ONE, json=DENIED).json()
    path = f"/decisions/{denied['context']['audit_id']}"
    again = pdp.client.get(path)
    others = [pdp.client.get(path, headers=pdp.add("nosy")), pdp.client.get(path, headers=pdp.add("x", tenant="other"))]

    assert again.json()["context"]["refusal"]["refusal_reason"] == denied["context"]["refusal"]["refusal_reason"]
    assert [one.status_code for one in others] == [404, 404]


def test_the_token_of_a_grant_is_not_told_again(pdp: Serving) -> None:
    given = grant(pdp)
    again = pdp.client.get(f"/decisions/{given['audit_id']}")

    assert again.json()["decision"] is True
    assert given["token"] not in again.text


def test_an_auditor_reads_every_decision(pdp: Serving) -> None:
    sequence = grant(pdp)["audit_id"].partition("/")[2]
    auditor = pdp.add("auditor", Role.AUDITOR)

    assert pdp.client.get(f"/ledger/decisions/{sequence}", headers=auditor).json()["decision"] is True
    assert pdp.client.get("/ledger/decisions/0", headers=auditor).status_code == 404
    assert pdp.client.get("/ledger/decisions/x", headers=auditor).status_code == 400


def test_the_ledger_over_http_proves_itself(pdp: Serving) -> None:
    """Source: C2SP tlog-tiles, tlog-proof."""
    for _ in range(3):
        grant(pdp)
    parts = pdp.service.tenants.parts("clinic")
    parts.world.checkpoints.close()  # signs what is not signed yet
    auditor = pdp.add("auditor", Role.AUDITOR)
    state = pdp.client.get("/ledger", headers=auditor).json()
    size = state["checkpoint_size"]
    leaves = pdp.client.get("/ledger/records", headers=auditor).content.splitlines()[:size]
    hashes = pdp.client.get(f"/ledger/{tile.path(0, 0, size)}", headers=auditor).content
    bundle = pdp.client.get(f"/ledger/{tile.entries_path(0, size)}", headers=auditor).content
    checkpoint = note.parse(pdp.client.get("/ledger/checkpoint", headers=auditor).text.encode())
    proof = pdp.client.get("/ledger/proof?sequence=2", headers=auditor).text

    assert size >= 4
    assert hashes == b"".join(map(merkle.leaf_hash, leaves))
    assert tile.unbundle(bundle) == tuple(leaves)
    assert proof.startswith("c2sp.org/tlog-proof@v1\nindex 2\n")
    assert Proof(2, (), checkpoint).text.splitlines()[-1] == proof.splitlines()[-1]


def test_a_stop_stops_and_its_release_lets_go(pdp: Serving) -> None:
    """S12"""
    mara = pdp.add_person("mara", Role.OPERATOR)
    stopped = pdp.client.post("/levers/stops", json={"actions": ["read"], "reason": "a test"}, headers=mara).json()
    denied = pdp.client.post(ONE, json=ASKED).json()
    listed = pdp.client.get("/levers", headers=mara).json()
    pdp.client.post(f"/levers/stops/{stopped['id']}/release", json={"reason": "it is over"}, headers=mara)

    assert denied["decision"] is False
    assert [one["id"] for one in listed["stops"]] == [stopped["id"]]
    assert pdp.client.post(ONE, json=ASKED).json()["decision"] is True


def test_broken_glass_opens_and_ends(pdp: Serving) -> None:
    """S12"""
    mara = pdp.add_person("mara", Role.OPERATOR)
    body = {"subject": {"type": "user", "id": "bob"}, "actions": ["write"], "seconds": 60, "reason": "an emergency"}
    opened = pdp.client.post("/levers/glass", json=body, headers=mara).json()
    allowed = pdp.client.post(ONE, json=DENIED).json()["decision"]
    pdp.client.post(f"/levers/glass/{opened['id']}/end", json={"reason": "it is over"}, headers=mara)

    assert allowed is True
    assert pdp.client.post(ONE, json=DENIED).json()["decision"] is False


def test_a_session_is_quarantined_and_lifted(pdp: Serving) -> None:
    """S8.3"""
    mara = pdp.add_person("mara", Role.OPERATOR)
    body = {"caller": "agent:desk", "subject": ASKED["subject"], "session": "s-1", "reason": "it does not stop"}
    held = pdp.client.post("/sessions/quarantine", json=body, headers=mara).json()
    during = pdp.client.post(ONE, json={**ASKED, "session": "s-1"}).json()["decision"]
    listed = pdp.client.get("/sessions", headers=mara).json()["sessions"]
    pdp.client.post(f"/sessions/{held['id']}/lift", json={"reason": "it was mended"}, headers=mara)

    assert during is False
    assert [one["key"] for one in listed] == [held["id"]]
    assert pdp.client.post(ONE, json={**ASKED, "session": "s-1"}).json()["decision"] is True


def test_a_person_is_held_exported_and_erased(pdp: Serving) -> None:
    """S5.5"""
    grant(pdp)
    mara = pdp.add_person("mara", Role.ADMINISTRATOR, Role.OPERATOR)
    asked = {"person": "user:alice", "reason": "she asked for it"}
    export = pdp.client.post("/subjects/export", json={"person": "user:alice"}, headers=mara).json()["export"]
    hold = pdp.client.post("/subjects/holds", json=asked, headers=mara).json()["id"]
    held = pdp.client.post("/subjects/erase", json=asked, headers=mara)
    pdp.client.post(f"/subjects/holds/{hold}/release", json={"reason": "the case was closed"}, headers=mara)
    erased = pdp.client.post("/subjects/erase", json=asked, headers=mara).json()

    assert export
    assert held.status_code == 409
    assert erased["state"] == "completed"


def test_policies_are_proposed_by_one_and_put_in_force_by_another(pdp: Serving) -> None:
    """S12"""
    before = pdp.client.get("/policies", headers=pdp.add("reader", Role.AUDITOR)).json()["policy_version"]
    text = (FIXTURE / "policies.yaml").read_text(encoding="utf-8").replace("rules:", FORBID)
    author, other = pdp.add_person("ada", Role.AUTHOR, Role.APPROVER), pdp.add_person("bea", Role.APPROVER)
    proposed = pdp.client.post("/policies/proposals", json={"files": {"policies.yaml": text}}, headers=author)
    version = proposed.json()
    unchanged = pdp.client.post(ONE, json=ASKED).json()["decision"]
    by_author = pdp.client.post("/policies/activate", json=version, headers=author)
    by_other = pdp.client.post("/policies/activate", json=version, headers=other)
    denied = pdp.client.post(ONE, json=ASKED).json()["decision"]
    back = pdp.client.post("/policies/rollback", headers=other)

    assert (proposed.status_code, unchanged) == (201, True)
    assert by_author.status_code == 403
    assert (by_other.status_code, by_other.json(), denied) == (200, version, False)
    assert back.json()["policy_version"] == before
    assert pdp.client.post(ONE, json=ASKED).json()["decision"] is True
    assert pdp.client.post("/policies/rollback", headers=other).status_code == 409


FORBID = """rules:
  - id: nobody-reads
    effect: forbid
    category: policy_violation
    actions: [read]
    when:
      - {name: always, expr: subject.type == "user", explain: a user asks}
"""


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"policies.yaml": "demur: 1\nrules: nonsense\n"}, 422),
        ({"../policies.yaml": ""}, 400),
        ({"/etc/policies.yaml": ""}, 400),
        ({"policies.py": ""}, 400),
        ({}, 400),
    ],
)
def test_a_proposal_that_is_none_changes_nothing(files: dict[str, str], status: int, pdp: Serving) -> None:
    author = pdp.add_person("ada", Role.AUTHOR)
    answer = pdp.client.post("/policies/proposals", json={"files": files}, headers=author)

    assert answer.status_code == status
    assert not list((pdp.homes["clinic"] / "proposals").glob("new-*"))


def test_policies_may_be_larger_than_a_request(pdp: Serving) -> None:
    author = pdp.add("writer", Role.AUTHOR)
    rows = {f"ward-{number}": {"beds": 20, "note": "x" * 60} for number in range(3_000)}
    text = json.dumps(rows)
    assert 256 * 1024 < len(text) < MAX_PROPOSAL_BYTES

    files = {"p.yaml": "demur: 1\nnamespace: shop\nowner: shop\n", "data/wards.json": text}
    assert pdp.client.post("/policies/proposals", json={"files": files}, headers=author).status_code == 201


@pytest.mark.parametrize("is_known", [True, False])
def test_a_proposal_beyond_its_cap_is_not_read(pdp: Serving, *, is_known: bool) -> None:
    """Nor one of a stranger beyond the cap of every other body."""
    headers = pdp.add("writer", Role.AUTHOR) if is_known else {"Authorization": "Bearer nobody"}
    most = MAX_PROPOSAL_BYTES if is_known else 256 * 1024
    answers = [
        pdp.client.post(
            "/policies/proposals", content=b" " * size, headers={**headers, "Content-Type": "application/json"}
        )
        for size in (most, most + 1)
    ]

    assert [answer.status_code for answer in answers] == [400 if is_known else 401, 413]


def test_what_was_put_in_force_stays_in_force_after_a_restart(tmp_path: Path) -> None:
    text = (FIXTURE / "policies.yaml").read_text(encoding="utf-8").replace("rules:", FORBID)
    with serving(tmp_path, FIXTURE) as pdp:
        author, other = pdp.add_person("ada", Role.AUTHOR), pdp.add_person("bea", Role.APPROVER)
        body = {"files": {"policies.yaml": text}}
        version = pdp.client.post("/policies/proposals", json=body, headers=author).json()
        pdp.client.post("/policies/activate", json=version, headers=other)
    with serving(tmp_path, FIXTURE) as pdp:
        answer = pdp.client.post(ONE, json=ASKED, headers=pdp.add("desk")).json()

    assert (answer["decision"], answer["context"]["policy_version"]) == (False, version["policy_version"])


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/refusing"])
def test_health_needs_no_credential(path: str, pdp: Serving) -> None:
    assert pdp.client.get(path, headers={"Authorization": ""}).status_code == 200
