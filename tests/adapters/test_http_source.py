"""Facts from a service: ids stay where they are put, and a service that misbehaves leaves its facts unknown (S2.1)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.adapters.breaker import UnfitError
from demur.adapters.http_source import HttpOpener, expand
from demur.adapters.sources import DeclaredSources, open_sources
from demur.core.schema import Source
from demur.core.terms import Missing
from demur.errors import ConfigurationError
from tests.adapters.facts import BOOL, INT, NOW, STRING, request, schema
from tests.client.hostile import Asked, Hostile, reply

if TYPE_CHECKING:
    import socket

    from tests.client.hostile import Say

PERSON = {"vip": True, "limits": {"max/amount": 500, "~note": None, "list": [{"note": "x"}]}, "note": "ñ"}
POINTERS = {"crm.limit": "/limits/max~1amount"}
ENDLESS = 0.02


def opened(url: str, path: str = "/people/{id}", *, timeout_ms: int = 2_000, **settings: Any) -> DeclaredSources:
    sent = {"id": "subject.id"}
    known: dict[str, Any] = {"service": "crm", "path": path, "parameters": sent, "key": ["subject.id"]}
    source = Source(name="crm", kind="http", settings={**known, **settings}, timeout_ms=timeout_ms)
    declared = schema(
        source, {"crm.vip": BOOL, "crm.limit": INT, "crm.note": STRING}, optional=frozenset({"crm.note", "crm.limit"})
    )
    return open_sources(declared, {"http": HttpOpener({"crm": url}, {"crm": "tök".encode().hex()})})


def learn(sources: DeclaredSources, subject: str = "ann") -> dict[str, Any]:
    found = sources.learn(request(subject=subject), {"crm": ("crm.vip", "crm.limit", "crm.note")}, NOW)
    return {path: item.state for path, item in found.items()}


def why(sources: DeclaredSources, subject: str = "ann") -> str:
    found = sources.learn(request(subject=subject), {"crm": ("crm.note",)}, NOW)["crm.note"]
    assert found.state is Missing.UNKNOWN
    return found.why


def tell(connection: socket.socket, _: Asked, __: int) -> None:
    reply(connection, PERSON)


def test_facts_are_found_by_name_and_by_pointer() -> None:
    with Hostile(tell) as service:
        assert learn(opened(service.url, pointers=POINTERS)) == {"crm.vip": True, "crm.limit": 500, "crm.note": "ñ"}
    assert service.asked[0].path == "/people/ann"
    assert service.asked[0].headers["authorization"] == f"Bearer {'tök'.encode().hex()}"


@pytest.mark.parametrize(
    ("pointer", "state"),
    [
        ("/limits/~0note", Missing.ABSENT),
        ("/limits/none", Missing.ABSENT),
        ("/limits/list/0/note", "x"),
        ("/limits/list/1/note", Missing.ABSENT),
        ("/limits/list/-1/note", Missing.ABSENT),
        ("/note/deeper", Missing.UNKNOWN),
        ("/limits", Missing.UNKNOWN),
    ],
)
def test_a_pointer_to_nothing_is_absent_and_to_something_else_unknown(pointer: str, state: object) -> None:
    with Hostile(tell) as service:
        assert learn(opened(service.url, pointers={"crm.note": pointer}))["crm.note"] == state


@pytest.mark.parametrize(
    "subject",
    ["", ".", "..", "../admin", "a/b", "a\\b", "/", "//evil.example", "a\nb", "a\x00", "ann/../bo", "\x7f"],
)
def test_an_id_that_would_be_another_path_is_not_sent(subject: str) -> None:
    with Hostile(tell) as service:
        sources = opened(service.url)
        for _ in range(8):
            assert "id" in why(sources, subject)
        assert service.asked == []
        assert learn(sources)["crm.vip"] is True  # nobody can open the circuit with nonsense


@pytest.mark.parametrize(
    "subject",
    [
        "@evil.example",
        "ann?x=1",
        "ann#x",
        "%2e%2e",
        "%2Fadmin",
        ":80",
        "änn 漢",
        "a&b=c",
        "..;x",
        "{id}",
        "a+b",
        "....",
    ],
)
def test_an_id_arrives_as_it_is_within_its_segment(subject: str) -> None:
    with Hostile(tell) as service:
        assert learn(opened(service.url), subject)["crm.vip"] is True
        assert learn(opened(service.url, "/find?of={id}&as=json"), subject)["crm.vip"] is True
    first, second = (urlsplit(asked.path) for asked in service.asked)
    assert (first.path.count("/"), unquote(first.path)) == (2, f"/people/{subject}")
    assert (first.query, first.fragment) == ("", "")
    assert parse_qs(second.query, strict_parsing=True) == {"of": [subject], "as": ["json"]}


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_id_changes_the_host_or_the_shape_of_the_path(one: str, other: str) -> None:
    try:
        target = expand("/a/{one}/b?c={other}", {"one": one, "other": other})
    except (UnfitError, UnicodeEncodeError):
        return
    parts = urlsplit(f"https://host.example{target}")
    assert parts.netloc == "host.example"
    first, second, third, fourth = parts.path.split("/")
    assert (first, second, unquote(third), fourth) == ("", "a", one, "b")
    assert third not in {"", ".", ".."}
    assert parse_qs(parts.query, keep_blank_values=True) == {"c": [other]}


def endless_header(connection: socket.socket, _: Asked, __: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"a")
        time.sleep(ENDLESS)


def silent(connection: socket.socket, _: Asked, __: int) -> None:
    connection.recv(1)


def flood(connection: socket.socket, _: Asked, __: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    while True:
        connection.sendall(b" " * 65_536)


MOODS: dict[str, Say] = {
    "silent": silent,
    "hangs up": lambda connection, _, __: None,
    "header without end": endless_header,
    "too much": flood,
    "broken": lambda connection, _, __: reply(connection, PERSON, status=500),
    "not yours": lambda connection, _, __: reply(connection, PERSON, status=401),
    "moved": lambda connection, _, __: reply(connection, PERSON, status=302, extra="Location: /people/bo\r\n"),
    "not found": lambda connection, _, __: reply(connection, PERSON, status=404),
    "HTML": lambda connection, _, __: reply(connection, PERSON, kind="text/html"),
    "compressed": lambda connection, _, __: reply(connection, PERSON, extra="Content-Encoding: gzip\r\n"),
    "a list": lambda connection, _, __: reply(connection, b"[]"),
    "no JSON": lambda connection, _, __: reply(connection, b"{"),
    "a name twice": lambda connection, _, __: reply(connection, b'{"note": "a", "note": "b"}'),
    "deep": lambda connection, _, __: reply(connection, b'{"note":' + b"[" * 100_000),
    "another type": lambda connection, _, __: reply(connection, {"note": 5}),
    "not UTF-8": lambda connection, _, __: reply(connection, b'{"note": "\xff"}'),
}


@pytest.mark.parametrize("mood", MOODS)
def test_a_service_that_misbehaves_leaves_its_facts_unknown(mood: str) -> None:
    with Hostile(MOODS[mood]) as service:
        sources = opened(service.url, timeout_ms=400)
        began = time.monotonic()
        assert why(sources)
        assert time.monotonic() - began < 30  # it ends, however long the other side goes on
        assert service.asked
        sources.close()


def test_a_passing_failure_is_tried_once_more() -> None:
    def sometimes(connection: socket.socket, _: Asked, place: int) -> None:
        reply(connection, PERSON, status=200 if place else 503)

    with Hostile(sometimes) as service:
        assert learn(opened(service.url))["crm.vip"] is True
    assert len(service.asked) == 2


def test_a_404_means_none_where_the_policy_says_so() -> None:
    with Hostile(MOODS["not found"]) as service:
        assert learn(opened(service.url, absent_on_404=True))["crm.note"] is Missing.ABSENT


def test_the_circuit_opens_and_the_service_is_left_alone() -> None:
    with Hostile(MOODS["broken"]) as service:
        sources = opened(service.url)
        said = [why(sources) for _ in range(9)]
    assert "not asked for now" in said[-1]
    assert len(service.asked) == 5


def test_a_redirect_is_not_followed_and_the_token_stays_here() -> None:
    with Hostile(tell) as other:
        moved: Say = lambda connection, asked, _: reply(  # noqa: E731  (as the moods above)
            connection, b"", status=307, extra=f"Location: {other.url}{asked.path}\r\n"
        )
        with Hostile(moved) as service:
            assert "307" in why(opened(service.url))
        assert other.asked == []


def test_what_was_learned_is_remembered_for_the_ttl_alone() -> None:
    with Hostile(tell) as service:
        source = Source(
            name="crm",
            kind="http",
            settings={"service": "crm", "path": "/p/{id}", "parameters": {"id": "subject.id"}, "key": ["subject.id"]},
            ttl_ms=1_000,
        )
        sources = open_sources(schema(source, {"crm.vip": BOOL}), {"http": HttpOpener({"crm": service.url})})
        for subject, seconds in (("ann", 0.0), ("ann", 0.9), ("bo", 0.9), ("ann", 1.5)):
            sources.learn(request(subject=subject), {"crm": ("crm.vip",)}, NOW.plus(seconds))
    assert [asked.path for asked in service.asked] == ["/p/ann", "/p/bo", "/p/ann"]


@pytest.mark.parametrize(
    "url", ["", "crm.example", "ftp://crm.example", "http://crm.example", "https://u:p@crm.example", "https://h/?a=b"]
)
def test_a_service_that_cannot_be_asked_safely_does_not_open(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEMUR_SERVICE_CRM", raising=False)
    with pytest.raises(ConfigurationError):
        opened(url)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile(tell) as service, Hostile(tell) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert learn(opened(service.url))["crm.vip"] is True
        assert proxy.asked == []
    assert json.dumps(service.asked[0].members) == "{}"
