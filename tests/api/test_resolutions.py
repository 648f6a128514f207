"""What becomes of a review, over HTTP: status with the reason, a stream of its own, and the claim of its grant (S7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demur.core.access import Role
from demur.server import events
from demur.server.route import Call
from demur.server.routes import resolutions

from .desk import Desk, desk, pay, requested, simple

URL = "https://pdp.example.com"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("resolutions")) as found:
        yield found


def opened(at: Desk, amount: int) -> str:
    review: str = at.defer(pay(amount))["deferral"]["review_id"]
    return review


def claim(at: Desk, review: str, who: dict[str, str] | None = None) -> Any:
    return at.client.post(f"/reviews/{review}/claim", headers=who or at.agent)


def status(at: Desk, review: str) -> Any:
    return at.client.get(f"/reviews/{review}/status", headers=at.agent).json()


def test_a_status_has_the_reason_and_where_the_grant_is_claimed(at: Desk) -> None:
    review = opened(at, 1_001)
    assert "reason" not in status(at, review)
    assert "claim_endpoint" not in status(at, review)
    at.rule(review)
    told = status(at, review)
    assert told["reason"] == "looked at it"
    assert told["claim_endpoint"] == f"{URL}/reviews/{review}/claim"


def test_an_approval_is_claimed_redeemed_once_and_gone(at: Desk) -> None:
    review = opened(at, 1_002)
    at.rule(review)
    first, again = claim(at, review), claim(at, review)
    assert first.status_code == 200
    assert first.json()["context"]["grant"] == again.json()["context"]["grant"]
    assert first.json()["action_intent"] == {
        "name": "pay",
        "properties": {"amount": 1_002},
        "resource": {"type": "account", "id": "a-1"},
    }
    body = {"token": first.json()["context"]["grant"]["token"], "arguments": {"amount": 1_002}}
    assert at.client.post("/grants/redeem", json=body, headers=at.agent).json()["redeemed"] is True
    refused = claim(at, review).json()
    assert refused["decision"] is False
    assert refused["context"]["refusal"]["refusal_reason"]["category"] == "state_conflict"
    assert "claim_endpoint" not in status(at, review)


def test_what_waits_still_is_a_deferral_and_what_was_denied_a_refusal_in_the_caller_s_language(at: Desk) -> None:
    review = opened(at, 1_003)
    assert claim(at, review).json()["context"]["deferral"]["review_id"] == review
    at.rule(review, "reject")
    told = at.client.post(f"/reviews/{review}/claim", headers={**at.agent, "Accept-Language": "fr"}).json()
    reason = told["context"]["refusal"]["refusal_reason"]["explanation"]
    assert reason == (
        "«\u00a0pay\u00a0» a été examiné et refusé par une personne. "
        "La personne chargée de l’examen a écrit\u00a0: looked at it"
    )


def test_a_claim_is_for_the_caller_it_was_opened_for(at: Desk) -> None:
    review = opened(at, 1_004)
    at.rule(review)
    for who in (at.rival, at.foreign):
        assert claim(at, review, who).status_code == 404
    assert claim(at, review, at.mara).status_code == 403
    assert claim(at, "0" * 16).status_code == 404
    assert claim(at, "%00%ff" * 30).status_code == 404
    assert claim(at, review).json()["decision"] is True


def test_a_credential_that_lost_the_subject_claims_nothing(at: Desk) -> None:
    review = opened(at, 1_005)
    at.rule(review)
    narrowed = at.served.add("agent", subjects=("user:bob",))
    assert claim(at, review, narrowed).status_code == 403
    at.served.add("agent")
    assert claim(at, review).json()["decision"] is True


def test_an_access_request_tells_the_reason_too(at: Desk) -> None:
    body = pay(1_006)
    task = at.submit(requested(body, at.defer(body))).json()["task"]
    at.rule(task["id"])
    told = at.client.get(task["status_endpoint"], headers=at.agent).json()
    assert told["task"]["reason"] == "looked at it"
    assert told["result"]["claim_endpoint"] == f"{URL}/reviews/{task['id']}/claim"


def test_a_stream_is_for_the_requester_alone_and_for_those_who_ask_for_one(at: Desk) -> None:
    path, wanted = f"/reviews/{opened(at, 1_007)}/events", {"Accept": "text/event-stream"}
    for who, code in ((at.rival, 404), (at.foreign, 404), (at.mara, 403)):
        assert at.client.get(path, headers={**who, **wanted}).status_code == code
    assert at.client.get(path, headers=at.agent).status_code == 400
    assert at.client.get(path, headers={**at.agent, **wanted, "Last-Event-ID": "x" * 65}).status_code == 400


def test_a_stream_of_what_has_ended_says_so_and_ends(at: Desk) -> None:
    review = opened(at, 1_008)
    at.rule(review)
    told = at.client.get(f"/reviews/{review}/events", headers={**at.agent, "Accept": "text/event-stream"})
    assert told.headers["content-type"].startswith("text/event-stream")
    [event] = [block for block in told.text.split("\n\n") if block.startswith("id:")]
    assert json.loads(event.split("data: ")[1]) == status(at, review)
    mark = event.splitlines()[0].removeprefix("id: ")
    again = at.client.get(
        f"/reviews/{review}/events", headers={**at.agent, "Accept": "text/event-stream", "Last-Event-ID": mark}
    )
    assert "data:" not in again.text


def test_the_stream_of_a_review_that_silence_denied_ends_by_itself(at: Desk) -> None:
    review = at.defer(simple("hurry"))["deferral"]["review_id"]
    told = at.client.get(f"/reviews/{review}/events", headers={**at.agent, "Accept": "text/event-stream"})
    states = [json.loads(line[6:])["status"] for line in told.text.splitlines() if line.startswith("data: ")]
    assert states == ["pending_review", "expired"]


def test_a_stream_tells_a_ruling_as_it_happens_and_nothing_of_other_reviews(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "POLL_SECONDS", 0.02)
    mine, other = opened(at, 1_009), opened(at, 1_010)

    async def watch() -> list[str]:
        service = at.served.service
        identity = at.served.known.identities[at.agent["Authorization"].removeprefix("Bearer ").encode()]
        call = Call(service, FakeRequest(mine), identity, at.gate)  # type: ignore[arg-type]  # what the route reads of it
        task = await resolutions._task(call)
        stream = resolutions._statuses(call, task, "")
        first = [await anext(stream), await anext(stream)]
        await asyncio.to_thread(at.rule, other)
        await asyncio.to_thread(at.rule, mine)
        return [chunk.decode() for chunk in first] + [chunk.decode() async for chunk in stream]

    told = [json.loads(chunk.split("data: ")[1]) for chunk in asyncio.run(watch()) if "data: " in chunk]
    assert [one["status"] for one in told] == ["pending_review", "approved"]
    assert {one["review_id"] for one in told} == {mine}


class FakeRequest:
    def __init__(self, review: str) -> None:
        self.path_params = {"review": review}


def test_the_claim_of_a_full_service_is_unavailable(tmp_path: Path) -> None:
    with desk(tmp_path) as at:
        review = opened(at, 1_011)
        at.rule(review)
        at.served.service._in_flight = at.served.service.settings.limits.max_in_flight
        refused = claim(at, review)
        assert refused.status_code == 503
        assert refused.json()["decision"] is False
        at.served.service._in_flight = 0
        assert claim(at, review).json()["decision"] is True


def test_an_auditor_is_no_requester(at: Desk) -> None:
    review = opened(at, 1_012)
    auditor = at.served.add_person("aud", Role.AUDITOR)
    assert claim(at, review, auditor).status_code == 403
