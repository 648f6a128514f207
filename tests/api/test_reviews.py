"""Reviews over HTTP: lists, rulings by people, status for requesters, events that resume (S7, S10)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from demur.core.access import Role
from demur.server import events
from demur.server.events import Feed
from tests.api.desk import Desk, desk, pay
from tests.flows.shop import open_shop, refund

AMOUNTS = iter(range(1_000, 1_000_000))


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("reviews")) as one:
        yield one


def opened(at: Desk) -> str:
    return str(at.defer(pay(next(AMOUNTS)))["deferral"]["review_id"])


def test_the_list_is_in_pages_and_names_nobody(at: Desk) -> None:
    wanted = {opened(at) for _ in range(5)}
    found: list[str] = []
    token = ""
    while True:
        page = at.client.get("/reviews", params={"limit": 2, "token": token}, headers=at.mara)
        assert "ann" not in page.text
        found += [one["review_id"] for one in page.json()["reviews"]]
        assert len(page.json()["reviews"]) <= 2
        token = page.json()["page"]["next_token"]
        if not token:
            break
    assert wanted <= set(found)
    assert len(found) == len(set(found))


def test_the_list_can_be_narrowed(at: Desk) -> None:
    ruled, waiting = opened(at), opened(at)
    at.rule(ruled, "reject")

    def ids(**query: str) -> set[str]:
        page = at.client.get("/reviews", params={"limit": "1000", **query}, headers=at.mara).json()
        return {one["review_id"] for one in page["reviews"]}

    assert waiting in ids()
    assert ruled not in ids()
    assert ruled in ids(status="denied")
    assert {ruled, waiting} <= ids(status="all")
    assert waiting in ids(risk="high", role="supervisor")
    assert not ids(risk="low")
    assert not ids(role="nobody")


@pytest.mark.parametrize(
    "query", [{"status": "open"}, {"limit": "-1"}, {"limit": "many"}, {"token": "x"}, {"token": "1e9.a"}]
)
def test_a_malformed_filter_is_said_to_be_one(at: Desk, query: dict[str, str]) -> None:
    assert at.client.get("/reviews", params=query, headers=at.mara).status_code == 400


def test_a_reviewer_sees_what_is_asked_and_what_a_verdict_does(at: Desk) -> None:
    told = at.client.get(f"/reviews/{opened(at)}", headers=at.mara).json()
    assert told["action_intent"]["name"] == "pay"
    assert told["status"] == "pending_review"
    assert told["timeout_action"] == "deny"
    assert told["needed"] == [{"role": "supervisor", "quorum": 1, "policy": "desk/large"}]


def test_a_caller_reads_and_rules_on_nothing(at: Desk) -> None:
    review = opened(at)
    assert at.client.get("/reviews", headers=at.agent).status_code == 403
    assert at.client.get(f"/reviews/{review}", headers=at.agent).status_code == 403
    assert at.rule(review, who=at.agent).status_code == 403
    assert at.client.get(f"/reviews/{review}/status", headers=at.agent).json()["status"] == "pending_review"


def test_a_program_with_the_role_still_cannot_rule(at: Desk) -> None:
    review = opened(at)
    program = at.served.add("robot", Role.REVIEWER)
    assert at.rule(review, who=program).status_code == 403
    assert at.client.get(f"/reviews/{review}/status", headers=at.agent).json()["status"] == "pending_review"


def test_another_tenant_s_reviewer_finds_nothing(at: Desk) -> None:
    review = opened(at)
    theirs = at.served.add_person("olga", Role.REVIEWER, tenant="other")
    assert at.client.get(f"/reviews/{review}", headers=theirs).status_code == 404
    assert at.rule(review, who=theirs).status_code == 409
    assert at.client.get(f"/reviews/{review}/status", headers=at.agent).json()["status"] == "pending_review"


def test_the_status_is_the_requester_s_alone(at: Desk) -> None:
    review = opened(at)
    mine = at.client.get(f"/reviews/{review}/status", headers=at.agent)
    assert mine.json()["review_id"] == review
    assert int(mine.headers["retry-after"]) > 0
    for who in (at.rival, at.foreign):
        assert at.client.get(f"/reviews/{review}/status", headers=who).status_code == 404
    at.rule(review)
    approved = at.client.get(f"/reviews/{review}/status", headers=at.agent)
    assert approved.json()["status"] == "approved"
    assert approved.json()["approved_until"]
    assert "retry-after" not in approved.headers


@pytest.mark.parametrize(
    "body", [{}, {"verdict": "approve"}, {"verdict": "yes", "reason": "x"}, {"verdict": "approve", "reason": " "}]
)
def test_a_ruling_needs_a_verdict_and_a_reason(at: Desk, body: dict[str, str]) -> None:
    review = opened(at)
    assert at.client.post(f"/reviews/{review}/rule", json=body, headers=at.mara).status_code in {400, 409}
    assert at.client.get(f"/reviews/{review}/status", headers=at.agent).json()["status"] == "pending_review"


def test_a_second_verdict_is_refused(at: Desk) -> None:
    review = opened(at)
    assert at.rule(review, "reject").json()["status"] == "denied"
    assert at.rule(review, "approve").status_code == 409
    assert at.client.get(f"/reviews/{review}/status", headers=at.agent).json()["status"] == "denied"


def test_whoever_does_not_ask_for_a_stream_gets_none(at: Desk) -> None:
    assert at.client.get("/reviews/events", headers=at.mara).status_code == 400


def test_events_are_for_those_who_may_read_reviews(at: Desk) -> None:
    wanted = {**at.agent, "Accept": "text/event-stream"}
    assert at.client.get("/reviews/events", headers=wanted).status_code == 403


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 40])
def test_a_last_event_id_that_is_none_is_malformed(at: Desk, last: str) -> None:
    wanted = {**at.mara, "Accept": "text/event-stream", "Last-Event-ID": last}
    assert at.client.get("/reviews/events", headers=wanted).status_code == 400


async def told(stream: AsyncIterator[bytes], count: int) -> list[tuple[str, dict[str, Any]]]:
    """The next events, without comments."""
    found: list[tuple[str, dict[str, Any]]] = []
    while len(found) < count:
        lines = (await asyncio.wait_for(anext(stream), 20)).decode().splitlines()
        kinds = [line[7:] for line in lines if line.startswith("event: ")]
        found += [(kind, json.loads(next(line[6:] for line in lines if line.startswith("data: ")))) for kind in kinds]
    return found


def test_what_happens_is_told_as_it_happens_and_again_to_who_missed_it(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)

    async def listen() -> None:
        feed = Feed(shop.parts.world.store)
        live = feed.follow(None)
        assert (await anext(live)).startswith(b"retry: ")
        review = (await asyncio.to_thread(shop.gate.decide, refund(60_000, subject="bob"))).review_id
        opened, ruled = [
            *(await told(live, 1)),
            *(
                await _after(
                    live, lambda: shop.gate.rule(review, verdict="approve", reason="fine", credential=shop.manager)
                )
            ),
        ]
        assert (opened[0], opened[1]["review_id"], opened[1]["status"]) == (
            "governance.review.opened",
            review,
            "pending_review",
        )
        assert (ruled[0], ruled[1]["review_id"], ruled[1]["status"]) == ("governance.review.ruled", review, "approved")
        missed = feed.follow(int(opened[1]["audit_id"].rpartition("/")[2]))
        await anext(missed)
        assert await told(missed, 1) == [ruled]
        from_the_start = Feed(shop.parts.world.store).follow(0)
        await anext(from_the_start)
        assert await told(from_the_start, 2) == [opened, ruled]
        for stream in (live, missed, from_the_start):
            await stream.aclose()

    with shop.gate:
        asyncio.run(listen())


async def _after(stream: AsyncIterator[bytes], act: Any) -> list[tuple[str, dict[str, Any]]]:
    await asyncio.to_thread(act)
    return await told(stream, 1)


def test_one_that_reads_too_slowly_is_told_where_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUEUE", 2)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.01)
    shop = open_shop(tmp_path)

    async def listen() -> None:
        feed = Feed(shop.parts.world.store)
        slow = feed.follow(None)
        await anext(slow)
        for amount in range(60_000, 60_004):
            await asyncio.to_thread(shop.gate.decide, refund(amount, subject="bob"))
        while feed._clients:  # noqa: ASYNC110  (a look inside)
            await asyncio.sleep(0.01)
        (dropped,) = await told(slow, 1)
        assert dropped[0] == "dropped"
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        back = feed.follow(dropped[1]["resume_after"])
        await anext(back)
        assert len(await told(back, 4)) == 4
        await back.aclose()

    with shop.gate:
        asyncio.run(listen())


def test_a_quiet_stream_says_that_it_is_there_and_a_closed_feed_ends(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)

    async def listen() -> None:
        feed = Feed(shop.parts.world.store)
        quiet = feed.follow(None, heartbeat=0.01)
        await anext(quiet)
        assert await anext(quiet) == b": still here\n\n"
        feed.close()
        assert [kind for kind, _ in await told(quiet, 1)] == ["dropped"]
        with pytest.raises(StopAsyncIteration):
            await anext(quiet)

    with shop.gate:
        asyncio.run(listen())
