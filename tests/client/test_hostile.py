"""Whatever a service says that is not wholly an answer to this question is `unavailable`, never an allow (S5.2)."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.client import AsyncClient, Client
from demur.core.terms import Audience, Outcome
from demur.errors import AccessError, ConfigurationError, IntakeError
from tests.client.hostile import Asked, Hostile, allow, reply

if TYPE_CHECKING:
    from tests.client.hostile import Say

REQUEST = {
    "subject": {"type": "user", "id": "ann"},
    "action": {"name": "refund", "properties": {"amount": 90}},
    "resource": {"type": "invoice", "id": "i-9"},
}


def changed(asked: Asked, **members: Any) -> dict[str, Any]:
    sound = allow(asked)
    return {**sound, "context": {**sound["context"], **members}}


def drip(connection: socket.socket, _: Asked, __: int) -> None:
    """A header that goes on for ever, a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.02)


def drip_body(connection: socket.socket, _: Asked, __: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.02)


def flood(connection: socket.socket, _: Asked, __: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b"{")
    while True:
        connection.sendall(b" " * 65_536)


def zipped(connection: socket.socket, asked: Asked, _: int) -> None:
    body = gzip.compress(json.dumps(allow(asked)).encode())
    reply(connection, body, extra="Content-Encoding: gzip\r\n")


def half(connection: socket.socket, asked: Asked, _: int) -> None:
    body = json.dumps(allow(asked)).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[:-10])


def twice(connection: socket.socket, asked: Asked, _: int) -> None:
    reply(connection, b'{"decision": false, ' + json.dumps(allow(asked)).encode()[1:])


def silent(connection: socket.socket, _: Asked, __: int) -> None:
    connection.recv(1)


MOODS: dict[str, Say] = {
    "silent": silent,
    "hangs up": lambda connection, asked, _: None,
    "header without end": drip,
    "body without end": drip_body,
    "too much": flood,
    "compressed": zipped,
    "half an answer": half,
    "a name twice": twice,
    "not HTTP": lambda connection, asked, _: connection.sendall(b"SSH-2.0-OpenSSH\r\n"),
    "empty": lambda connection, asked, _: reply(connection, b""),
    "no JSON": lambda connection, asked, _: reply(connection, b"allow"),
    "not UTF-8": lambda connection, asked, _: reply(connection, b'{"decision": "\xff"}'),
    "deep": lambda connection, asked, _: reply(connection, b"[" * 200_000),
    "a list": lambda connection, asked, _: reply(connection, json.dumps([allow(asked)]).encode()),
    "true": lambda connection, asked, _: reply(connection, b"true"),
    "bare true": lambda connection, asked, _: reply(connection, {"decision": True}),
    "true without a grant": lambda connection, asked, _: reply(connection, changed(asked, grant=None)),
    "grant that is text": lambda connection, asked, _: reply(connection, changed(asked, grant="g-1")),
    "true as a deny": lambda connection, asked, _: reply(connection, changed(asked, outcome="deny")),
    "text as decision": lambda connection, asked, _: reply(connection, {**allow(asked), "decision": "true"}),
    "other request": lambda connection, asked, _: reply(connection, changed(asked, request_id="another")),
    "no request": lambda connection, asked, _: reply(connection, changed(asked, request_id=None)),
    "other request in the header": lambda connection, asked, _: reply(
        connection, allow(asked), extra="X-Request-ID: another\r\n"
    ),
    "HTML": lambda connection, asked, _: reply(connection, allow(asked), kind="text/html"),
    "text": lambda connection, asked, _: reply(connection, allow(asked), kind="text/plain; charset=utf-8"),
    "no type": lambda connection, asked, _: reply(connection, allow(asked), kind=""),
    "created": lambda connection, asked, _: reply(connection, allow(asked), status=201),
    "no content": lambda connection, asked, _: reply(connection, b"", status=204),
    "partial": lambda connection, asked, _: reply(connection, allow(asked), status=206),
    "not found": lambda connection, asked, _: reply(connection, allow(asked), status=404),
    "conflict": lambda connection, asked, _: reply(connection, allow(asked), status=409),
    "broken": lambda connection, asked, _: reply(connection, allow(asked), status=500),
    "bad gateway": lambda connection, asked, _: reply(connection, b"<html>", status=502, kind="text/html"),
    "an allow with 503": lambda connection, asked, _: reply(connection, allow(asked), status=503),
}


ENDLESS = {"silent", "header without end", "body without end"}


def seconds(mood: str) -> float:
    """A deadline: short where it is what ends the question, long where a busy machine must not be."""
    return 0.8 if mood in ENDLESS else 20.0


@pytest.mark.parametrize("mood", MOODS)
def test_a_hostile_reply_is_unavailable(mood: str) -> None:
    with Hostile(MOODS[mood]) as service, Client(service.url, timeout=seconds(mood)) as gate:
        answer = gate.decide(REQUEST)
        while not service.asked:  # a busy machine may not even get to asking within a short deadline
            answer = gate.decide(REQUEST)
        assert isinstance(answer, demur.Refusal)
        assert answer.outcome is Outcome.UNAVAILABLE
        assert answer.to_dict()["decision"] is False


@pytest.mark.parametrize("mood", ["silent", "too much", "true without a grant", "broken", "hangs up"])
def test_on_an_event_loop_too(mood: str) -> None:
    async def ask(url: str) -> Any:
        async with AsyncClient(url, timeout=seconds(mood)) as gate:
            return await gate.decide(REQUEST)

    with Hostile(MOODS[mood]) as service:
        assert asyncio.run(ask(service.url)).outcome is Outcome.UNAVAILABLE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with Hostile(lambda connection, asked, _: reply(connection, allow(asked))) as other:

        def move(connection: socket.socket, asked: Asked, _: int) -> None:
            reply(connection, allow(asked), status=status, extra=f"Location: {other.url}/access/v1/evaluation\r\n")

        with Hostile(move) as service, Client(service.url, credential="key") as gate:
            assert gate.decide(REQUEST).outcome is Outcome.UNAVAILABLE
        assert other.asked == []


def test_a_sound_reply_is_a_grant_for_what_was_asked() -> None:
    grants: Say = lambda connection, asked, _: reply(connection, allow(asked))  # noqa: E731  (as the moods above)
    with Hostile(grants) as service, Client(service.url, credential="key") as gate:
        answer = gate.decide(REQUEST)
    assert isinstance(answer, demur.Grant)
    assert (answer.action, answer.arguments, answer.token) == ("refund", {"amount": 90}, "g-1.secret")
    assert service.asked[0].headers["authorization"] == "Bearer key"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", timeout=1.0) as gate:
        assert gate.decide(REQUEST).outcome is Outcome.UNAVAILABLE
        assert gate.redeem("t", {}).to_dict()["decision"] is False  # type: ignore[union-attr]  # a refusal
        assert isinstance(gate.complete("g", "success"), demur.Refusal)


def test_what_failed_is_told_to_those_who_run_the_program_alone() -> None:
    with Hostile(MOODS["broken"]) as service, Client(service.url) as gate:
        answer = gate.decide(REQUEST)
    assert isinstance(answer, demur.Refusal)
    assert "500" in answer.explain(audience=Audience.OPERATOR)
    assert "500" not in answer.explain(audience=Audience.AGENT)


def test_a_malformed_request_is_an_error_of_the_program() -> None:
    said = {"status": 400, "detail": "at `/subject/id`: expected a string, found 5", "hint": "see"}

    def refuse(connection: socket.socket, _: Asked, __: int) -> None:
        reply(connection, said, status=400, kind="application/problem+json")

    with Hostile(refuse) as service, Client(service.url) as gate, pytest.raises(IntakeError) as caught:
        gate.decide(REQUEST)
    assert (caught.value.pointer, caught.value.expected, caught.value.found) == ("/subject/id", "a string", "5")
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_credential_that_does_not_serve_is_an_error(status: int) -> None:
    def refuse(connection: socket.socket, _: Asked, __: int) -> None:
        reply(connection, {"detail": "not yours"}, status=status, kind="application/problem+json")

    with Hostile(refuse) as service, Client(service.url) as gate, pytest.raises(AccessError, match="not yours"):
        gate.decide(REQUEST)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {1: 2}, "\ud800", {"a": {2}}])
def test_what_json_cannot_say_is_not_sent(value: object) -> None:
    request = {**REQUEST, "action": {"name": "refund", "properties": {"amount": value}}}
    with Hostile(MOODS["broken"]) as service, Client(service.url) as gate:
        with pytest.raises(IntakeError):
            gate.decide(request)
        assert service.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "demur.example",
        "ftp://demur.example",
        "https://",
        "https://u:p@demur.example",
        "http://demur.example",
        "https://h/?q",
    ],
)
def test_a_url_that_would_give_the_credential_away_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Client(url, credential="key")


@pytest.mark.parametrize("credential", ["a b", "key\r\nX: y", "schlüssel"])
def test_a_credential_that_is_no_header_is_refused(credential: str) -> None:
    with pytest.raises(ConfigurationError):
        Client("https://demur.example", credential=credential)


def test_a_caller_cannot_be_named_from_afar() -> None:
    with Client("https://demur.example") as gate, pytest.raises(ConfigurationError):
        gate.decide(REQUEST, caller=demur.Caller("somebody"))
