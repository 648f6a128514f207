"""More is asked than is taken on: told at once, at little cost, and counted (S5.2)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import uvicorn
from uvicorn.server import ServerState

from demur import wiring
from demur.server import overload
from demur.server.running import _Patient
from demur.server.settings import Limits
from tests.api.serving import HERE, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Message, Receive, Scope, Send

ONE, MANY = "/access/v1/evaluation", "/access/v1/evaluations"
ASKED = {
    "subject": {"type": "user", "id": "alice@acmecorp.com"},
    "action": {"name": "can_read"},
    "resource": {"type": "record", "id": "101"},
}
FIXTURE = HERE / "authzen_fixture"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path, FIXTURE, limits=Limits(max_in_flight=0)) as running:
        yield running


def counted(home: Path) -> list[int]:
    reader = wiring.open_reader(home)
    try:
        leaves = [json.loads(record.leaf) for record in reader.records()]
    finally:
        reader.close()
    return [leaf["count"] for leaf in leaves if leaf["type"] == "gap"]


@pytest.mark.parametrize("path", [ONE, MANY])
def test_a_known_caller_is_turned_away_before_anything_is_read(full: Serving, path: str) -> None:
    key = full.add("harness")
    answer = full.client.post(path, content=b"not JSON at all", headers=key)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["decision"] is False
    assert answer.json()["context"]["outcome"] == "unavailable"


def test_a_stranger_is_nobody_then_too(full: Serving) -> None:
    assert full.client.post(ONE, json=ASKED).status_code == 401
    assert full.client.post(ONE, json=ASKED, headers={"Authorization": "Bearer nobody"}).status_code == 401


def test_everybody_who_is_turned_away_is_counted(tmp_path: Path) -> None:
    """S5.2"""
    with serving(tmp_path, FIXTURE, limits=Limits(max_in_flight=0)) as running:
        key = running.add("harness")
        codes = {running.client.post(ONE, json=ASKED, headers=key).status_code for _ in range(25)}

    assert codes == {503}
    assert sum(counted(tmp_path / "clinic")) == 25


def test_each_is_told_in_a_language_of_theirs(full: Serving) -> None:
    key = full.add("harness")
    said = {
        language: full.client.post(ONE, json=ASKED, headers={**key, "Accept-Language": language}).text
        for language in ("en", "de", "en", "de")
    }

    assert "No decision can be made" in said["en"]
    assert "No decision can be made" not in said["de"]


def test_however_many_languages_are_asked_for_little_is_kept(full: Serving) -> None:
    key = full.add("harness")
    for number in range(overload.MAX_SAME + 10):
        full.client.post(ONE, json=ASKED, headers={**key, "Accept-Language": f"x-{number}"})

    assert len(full.service.overload._written) <= overload.MAX_SAME


def test_an_answer_is_told_to_many_for_a_moment_only(full: Serving) -> None:
    clock = [0.0]
    full.service.overload = overload.Overload(lambda: clock[0])
    key = full.add("harness")

    def told_at(instant: float) -> object:
        clock[0] = instant
        return full.client.post(ONE, json=ASKED, headers=key).json()["context"]["as_of"]

    first, same, later = told_at(0.0), told_at(overload.SAME_SECONDS / 2), told_at(overload.SAME_SECONDS * 2)
    assert first == same != later


class Line(asyncio.Transport):
    """A connection that only notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_read = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return False


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    if scope["path"] == "/full":
        scope["extensions"][overload.REST]()
    await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
    end: Message = {"type": "http.response.body", "body": b"", "more_body": False}
    await send(end)


@pytest.mark.parametrize(("path", "is_read"), [("/full", False), ("/other", True)])
def test_a_connection_rests_after_somebody_was_turned_away_on_it(path: str, *, is_read: bool) -> None:
    async def ask() -> tuple[bool, bool]:
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        config.load()
        line = Line()
        connection = _Patient(config, ServerState(), {}, asyncio.get_running_loop())
        connection.connection_made(line)
        connection.data_received(f"GET {path} HTTP/1.1\r\nHost: pdp\r\n\r\n".encode())
        await asyncio.gather(*connection.tasks)
        after_answer = line.is_read
        connection._resume()
        return after_answer, line.is_read

    assert asyncio.run(ask()) == (is_read, True)
