"""Whatever is sent, nobody gets a 5xx for their own mistake, and nothing becomes an allow."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from demur.core.access import Identity, Role
from demur.server.guard import MAX_CALLERS, Pace
from demur.server.problems import TooManyError
from demur.server.settings import Limits

from .serving import HERE, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demur.gateway import Gateway

ONE = "/access/v1/evaluation"
ASKED: dict[str, Any] = {
    "subject": {"type": "user", "id": "alice"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "record-1"},
}
FIXTURE = HERE / "authzen_fixture"
JSON = {"Content-Type": "application/json"}
PATHS = [ONE, "/access/v1/evaluations", "/access/v1/search/action", "/grants/redeem"]


@pytest.fixture(scope="module")
def pdp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("pdp"), FIXTURE) as running:
        running.client.headers.update(running.add("harness"))
        yield running


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 33 + b"]" * 33, id="deep lists"),
        pytest.param(b'{"a":' * 100_00 + b"1" + b"}" * 100_00, id="very deep objects"),
        pytest.param(b'{"subject": {}, "subject": {}}', id="a member twice"),
        pytest.param(json.dumps(ASKED).encode()[:-1] + b', "x": {"a": 1, "a": 2}}', id="twice where nobody looks"),
        pytest.param(b'{"subject": "\xff\xfe"}', id="bad UTF-8"),
        pytest.param(b'{"subject": {"type": "user", "id": "\\ud800"}}', id="half a character"),
        pytest.param(b'{"subject": NaN}', id="not a number"),
        pytest.param(b'{"subject": 1e999}', id="beyond doubles"),
        pytest.param(b'{"subject": 12345678901234567890}', id="beyond 2^53"),
        pytest.param(b"\x00" * 64, id="zeros"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="text"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_request_is_a_400(path: str, body: bytes, pdp: Serving) -> None:
    """S1.2"""
    answer = pdp.client.post(path, content=body, headers=JSON)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["type"] == "urn:demur:problem:malformed"


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
def test_a_body_beyond_the_cap_is_not_read(path: str, pdp: Serving) -> None:
    answer = pdp.client.post(path, content=b" " * (256 * 1024 + 1), headers=JSON)

    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_a_body_that_hides_its_length_is_capped_all_the_same(pdp: Serving) -> None:
    chunks = (b" " * 65_536 for _ in range(5))

    assert pdp.client.post(ONE, content=chunks, headers=JSON).status_code == 413


@pytest.mark.parametrize("length", ["9" * 30, "-1", "1 000", "0x10"])
def test_an_absurd_length_is_never_believed(length: str, pdp: Serving) -> None:
    answer = pdp.client.post(ONE, content=json.dumps(ASKED), headers={**JSON, "Content-Length": length})

    assert answer.status_code in {200, 400, 413}


@pytest.mark.parametrize("name", ["a b", "x" * 257, "é", "\x7f", "a\tb"])
def test_a_request_id_that_is_no_token_does_not_come_back(name: str, pdp: Serving) -> None:
    answer = pdp.client.post(ONE, json=ASKED, headers={b"X-Request-ID": name.encode()})

    assert answer.status_code == 200
    assert "x-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", ONE, 200),
        ("GET", ONE, 405),
        ("GET", "/nowhere", 404),
        ("GET", "/health/live", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/ledger/tile/0/../../x", 404),
    ],
)
def test_every_response_has_the_headers_that_keep_browsers_honest(
    method: str, path: str, status: int, pdp: Serving
) -> None:
    pdp.client.headers.update(pdp.add("auditor", Role.CALLER, Role.AUDITOR))
    answer = pdp.client.request(method, path, json=ASKED if method == "POST" else None)

    assert answer.status_code == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


def test_the_page_of_the_documents_fetches_nothing(pdp: Serving) -> None:
    page = pdp.client.get("/docs")

    assert "<script" not in page.text
    assert "src=" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/grants/redeem" in page.text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer nobody-knows-this", "bearer\u00a0x"])
def test_nobody_that_we_know_gets_a_401(header: str, pdp: Serving) -> None:
    answer = pdp.client.post(ONE, json=ASKED, headers={b"Authorization": header.encode()})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "decision" not in answer.json()


def test_a_caller_without_the_subject_is_refused_and_told_nothing(pdp: Serving) -> None:
    """S1.1"""
    narrow = pdp.add("narrow", subjects=("user:bob",))
    answer = pdp.client.post(ONE, json=ASKED, headers=narrow)
    batch = pdp.client.post("/access/v1/evaluations", json={"evaluations": [ASKED]}, headers=narrow)

    assert answer.status_code == 403
    assert "alice" not in answer.text
    assert [item["decision"] for item in batch.json()["evaluations"]] == [False]


def test_searches_find_nobody_whom_the_caller_may_not_speak_for(pdp: Serving) -> None:
    narrow = pdp.add("narrow", subjects=("user:bob",))
    asked = {**ASKED, "subject": {"type": "user"}}
    found = pdp.client.post("/access/v1/search/subject", json=asked, headers=narrow).json()

    assert found["results"] == [{"type": "user", "id": "bob"}]


def test_whoever_asks_too_fast_waits(tmp_path: Path) -> None:
    with serving(tmp_path, FIXTURE, limits=Limits(per_caller_per_second=1, per_caller_burst=2)) as running:
        eager, calm = running.add("eager"), running.add("calm")
        codes = [running.client.post(ONE, json=ASKED, headers=eager).status_code for _ in range(3)]
        other = running.client.post(ONE, json=ASKED, headers=calm)

    assert codes == [200, 200, 429]
    assert other.status_code == 200


def test_more_than_can_be_taken_on_is_unavailable_and_recorded_as_a_gap(tmp_path: Path) -> None:
    """S5.2"""
    with serving(tmp_path, FIXTURE, limits=Limits(max_in_flight=0)) as running:
        key = running.add("harness")
        answer = running.client.post(ONE, json=ASKED, headers=key)
        world = running.service.tenants.parts("clinic").world

    leaves = [json.loads(record.leaf) for record in _records(tmp_path)]
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["decision"] is False
    assert answer.json()["context"]["outcome"] == "unavailable"
    assert [leaf["count"] for leaf in leaves if leaf["type"] == "gap"] == [1]
    assert world.log == "clinic"


def test_a_mistake_of_ours_is_a_500_and_never_an_allow(pdp: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> tuple[Identity, Gateway]:
        message = "a secret path /home/x"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(type(pdp.service), "enter", broken)
    answer = pdp.client.post(ONE, json=ASKED)

    assert answer.status_code == 500
    assert "decision" not in answer.json()
    assert "secret" not in answer.text


def test_a_tenants_store_that_fails_is_unavailable(tmp_path: Path) -> None:
    """S5.1: nothing is released that is not recorded."""
    with serving(tmp_path, FIXTURE) as running:
        key = running.add("harness")
        running.service.tenants.parts("clinic").world.store.close()
        answer = running.client.post(ONE, json=ASKED, headers=key)
        health = running.client.get("/health/refusing")

    assert (answer.status_code, answer.json()["decision"]) == (503, False)
    assert (health.status_code, health.json()["type"]) == (503, "urn:demur:problem:refusing")
    assert str(tmp_path) not in answer.text + health.text


def test_an_answer_that_comes_too_late_is_unavailable_and_is_not_given_behind_our_back(tmp_path: Path) -> None:
    """S5.2: whoever was told `unavailable` finds no grant on the record."""
    with serving(tmp_path, FIXTURE, limits=Limits(answer_seconds=0.2)) as running:
        key, world = running.add("harness"), running.service.tenants.parts("clinic").world
        is_held = threading.Event()
        held = world.store.submit(lambda _: is_held.wait(30))
        answer = running.client.post(ONE, json=ASKED, headers=key)
        is_held.set()
        held.result(30)

    assert (answer.status_code, answer.json()["decision"]) == (503, False)
    assert [leaf["type"] for leaf in map(json.loads, (record.leaf for record in _records(tmp_path)))].count(
        "decision"
    ) == 0


@pytest.mark.parametrize("locale", ["de-DE,de;q=0.9", "*", ";;;,,,", "../../etc/passwd", "x" * 5_000, "\xff\xfe", "zh"])
def test_whatever_language_is_asked_for_there_is_an_answer(locale: str, pdp: Serving) -> None:
    asked = {**ASKED, "subject": {"type": "user", "id": "bob"}, "action": {"name": "write"}}
    answer = pdp.client.post(ONE, json=asked, headers={b"Accept-Language": locale.encode("latin-1")})

    assert answer.status_code == 200
    assert answer.json()["context"]["refusal"]["refusal_reason"]["explanation"]


def test_a_refusal_speaks_the_callers_language(pdp: Serving) -> None:
    asked = {**ASKED, "subject": {"type": "user", "id": "bob"}, "action": {"name": "write"}}
    words = [
        pdp.client.post(ONE, json=asked, headers={"Accept-Language": locale}).json()["context"]["refusal"][
            "refusal_reason"
        ]["explanation"]
        for locale in ("en", "de", "en;q=0.5")
    ]

    assert words[0] == words[2]
    assert words[0] != words[1]


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    pace = Pace(10, 5, clock=lambda: now[0])
    for _ in range(5):
        pace.take("desk")
    with pytest.raises(TooManyError, match="at most 10 requests a second"):
        pace.take("desk")
    now[0] = 0.1
    pace.take("desk")
    with pytest.raises(TooManyError):
        pace.take("desk")


def test_paces_take_bounded_memory() -> None:
    pace = Pace(10, 5, clock=lambda: 0.0)
    for number in range(MAX_CALLERS + 10):
        pace.take(f"caller-{number}")

    assert len(pace._buckets) == MAX_CALLERS


def _records(folder: Path) -> list[Any]:
    from contextlib import closing

    from demur.wiring import open_reader

    with closing(open_reader(folder / "clinic")) as reader:
        return list(reader.records())
