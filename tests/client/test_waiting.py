"""Waiting for people, whatever the service does meanwhile: a lost answer costs time, and nothing false is a grant (S7)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import demur
from demur import wiring
from demur.core.access import Role
from demur.core.terms import Outcome
from demur.errors import RulingError
from demur.server.app import build
from tests.api.serving import Serving, serving
from tests.client.hostile import Asked, Hostile, allow, reply
from tests.client.running import POLICY, START_SECONDS, token

REQUEST: dict[str, Any] = {
    "subject": {"type": "user", "id": "ann"},
    "action": {"name": "refund", "properties": {"amount": 60_000}},
    "resource": {"type": "invoice", "id": "i-9"},
}
REVIEW = "5f0c1b2a3d4e5f60"


@contextmanager
def service(folder: Path, port: int) -> Iterator[Serving]:
    """The service of this folder on this port; again and again on the same home."""
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "shop.yaml").write_text(POLICY)
    with serving(folder, policies) as served:
        served.add("agent-1")
        server = uvicorn.Server(
            uvicorn.Config(
                build(served.service), host="127.0.0.1", port=port, lifespan="off", log_config=None, ws="none"
            )
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        end = time.monotonic() + START_SECONDS
        while not server.started and time.monotonic() < end:
            time.sleep(0.01)
        assert server.started
        yield served
        server.should_exit = True
        thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def test_a_service_that_is_restarted_meanwhile_costs_time_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    found: list[Any] = []
    with demur.connect(f"http://127.0.0.1:{port}", credential="key-of-agent-1-clinic") as gate:
        with service(tmp_path, port) as served:
            person = token(served.add_person("bea", Role.REVIEWER))
            answer: Any = gate.decide(REQUEST)
            waiting = threading.Thread(target=lambda: found.append(answer.wait(60)))
            waiting.start()
        parts = wiring.open_desk(tmp_path / "clinic")
        parts.gate.rule(answer.review_id, verdict="approve", reason="while nobody served", credential=person)
        parts.gate.close()
        with service(tmp_path, port):
            waiting.join(60)
            (grant,) = found
            assert isinstance(grant, demur.Grant)
            assert isinstance(gate.redeem(grant.token, grant.arguments), demur.Redemption)


def claimed(asked: Asked, **more: Any) -> dict[str, Any]:
    """What a sound service would answer to a claim of the request above."""
    action = {**REQUEST["action"], "resource": REQUEST["resource"]}
    told = allow(asked)
    return {**told, "action_intent": action, **more}


def deferral(asked: Asked) -> dict[str, Any]:
    told = allow(asked)["context"]
    refusal = {
        "refused_action": REQUEST["action"],
        "refusal_reason": {
            "category": "requires_human",
            "disposition": "await_review",
            "policy_reference": None,
            "explanation": "a person decides",
        },
        "remediation": {
            "remediable": False,
            "next_step": "wait",
            "missing_conditions": [],
            "suggested_modifications": [],
            "compliant_alternatives": [],
        },
        "escalation_available": False,
        "escalation_context": {},
        "obligations": [],
    }
    waiting = {"review_id": REVIEW, "deadline": "2030-01-01T00:00:00Z", "status": "pending_review"}
    context = {name: value for name, value in told.items() if name != "grant"}
    return {"decision": False, "context": {**context, "outcome": "defer", "refusal": refusal, "deferral": waiting}}


def saying(claim: Callable[[Asked], Any]) -> Callable[[socket.socket, Asked, int], None]:
    """A service that defers, says that it was approved, and answers the claim so."""

    def say(connection: socket.socket, asked: Asked, _: int) -> None:
        if asked.path.endswith("/status"):
            told: Any = {"review_id": REVIEW, "status": "approved", "deadline": "", "timeout_action": "deny"}
        elif asked.path.endswith("/claim"):
            told = claim(asked)
        else:
            told = deferral(asked)
        reply(connection, told if isinstance(told, bytes) else json.dumps(told).encode())

    return say


def without_intent(asked: Asked) -> dict[str, Any]:
    told = claimed(asked)
    del told["action_intent"]
    return told


def test_a_sound_claim_is_a_grant() -> None:
    """What the tests below change a little at a time."""
    with Hostile(saying(claimed)) as there, demur.connect(there.url) as gate:
        answer: Any = gate.decide(REQUEST)
        assert isinstance(answer.wait(20), demur.Grant)
        assert isinstance(gate.claim(REVIEW), demur.Grant)


@pytest.mark.parametrize(
    "claim",
    [
        lambda asked: claimed(asked, action_intent={"name": "erase", "properties": {}}),
        lambda asked: claimed(asked, action_intent={"name": "refund", "properties": {"amount": 1, "to": "me"}}),
        lambda asked: claimed(
            asked,
            action_intent={
                "name": "refund",
                "properties": {"amount": 60_000},
                "resource": {"type": "invoice", "id": "i-10"},
            },
        ),
        lambda asked: claimed(asked, action_intent="refund"),
        without_intent,
        lambda asked: claimed(asked, decision=False),
        lambda asked: claimed(asked, context={"outcome": "allow"}),
        lambda asked: {"decision": True},
        lambda asked: b"{",
        lambda asked: b"",
        lambda asked: b"null",
        lambda asked: b'{"decision": true, "decision": true}',
    ],
)
def test_what_is_no_answer_about_this_action_is_no_grant(claim: Callable[[Asked], Any]) -> None:
    with Hostile(saying(claim)) as there, demur.connect(there.url, timeout_seconds=5) as gate:
        answer: Any = gate.decide(REQUEST)
        found = answer.wait(1.5)
        assert not isinstance(found, demur.Grant)
        assert found.outcome in {Outcome.DEFER, Outcome.UNAVAILABLE}


def test_a_service_that_says_nothing_of_the_review_leaves_it_waiting() -> None:
    def say(connection: socket.socket, asked: Asked, number: int) -> None:
        if number == 0:
            reply(connection, json.dumps(deferral(asked)).encode())
        elif number % 2:
            connection.close()
        else:
            reply(connection, b"<html>a proxy</html>", kind="text/html")

    with Hostile(say) as there, demur.connect(there.url, timeout_seconds=2) as gate:
        answer: Any = gate.decide(REQUEST)
        assert answer.wait(1) is answer
    with pytest.raises(RulingError), Hostile(_conflict) as there, demur.connect(there.url) as gate:
        gate.claim(REVIEW)


def _conflict(connection: socket.socket, _: Asked, __: int) -> None:
    reply(connection, b'{"detail": "not yours"}', status=409)
