"""Obligations of a no: channels are told and lines logged after the answer; failures are counted and change nothing."""

from __future__ import annotations

import http.server
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demur.adapters.notifying import ATTEMPTS, Carried, Notice, Notifier
from demur.errors import ConfigurationError
from demur.wiring import Parts, Settings, open_gate

# One of Apprise's many plugins imports it; nothing here uses that one.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
POLICY = """
demur: 1
namespace: shop
actions:
  erase: {arguments: {item: string}}
rules:
  - id: never
    effect: forbid
    actions: [erase]
    obligations:
      - {id: tell, type: notify, properties: {to: desk, level: high}}
      - {id: line, type: log, properties: {level: low}}
      - {id: other, type: page, properties: {to: somebody}}
"""
ASKED: dict[str, Any] = {
    "subject": {"type": "user", "id": "ann-the-person"},
    "action": {"name": "erase", "properties": {"item": "a-private-thing"}},
    "resource": {"type": "thing", "id": "t-1"},
}


def event(*obligations: dict[str, object], action: str = "erase") -> dict[str, object]:
    reason = {"category": "policy_violation", "policy_reference": "shop/never"}
    refusal = {"refused_action": {"name": action}, "refusal_reason": reason, "obligations": list(obligations)}
    context = {"outcome": "deny", "audit_id": "default/7", "refusal": refusal}
    return {"type": "governance.refusal", "data": {"context": context}}


def notify(to: object = "desk") -> dict[str, object]:
    return {"id": "tell", "type": "notify", "properties": {"to": to}}


def notifier(send: Callable[[Notice], bool], *urls: str) -> Notifier:
    return Notifier({"desk": urls or ("x://",)}, opener=lambda url: send, pause=lambda seconds: None)


def test_a_channel_is_told_of_the_rule_and_the_record() -> None:
    told: list[Notice] = []

    def take(notice: Notice) -> bool:
        told.append(notice)
        return True

    one = notifier(take)
    one(event(notify()))

    assert [notice.title for notice in told] == ["deny: erase, shop/never, record default/7"]
    assert one.carried == Carried(sent=1)


def test_a_channel_that_fails_is_tried_again_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[Notice] = []

    def broken(notice: Notice) -> bool:
        tries.append(notice)
        raise OSError

    one = notifier(broken)
    one(event(notify()))

    assert len(tries) == ATTEMPTS
    assert one.carried == Carried(failed=1)
    assert "the obligation tell could not be carried out: URL 1 of the channel `desk`" in caplog.text


def test_a_channel_that_recovers_is_told_once() -> None:
    answers = iter([False, True])
    one = notifier(lambda notice: next(answers))
    one(event(notify()))

    assert one.carried == Carried(sent=1)


def test_a_channel_whose_code_breaks_is_counted_too() -> None:
    def defect(notice: Notice) -> bool:
        raise KeyError

    one = notifier(defect)
    with pytest.raises(KeyError):
        one(event(notify()))
    assert one.carried == Carried(failed=1)


def test_a_channel_that_nobody_configured_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    one = notifier(lambda notice: True)
    one(event(notify("els\newhere")))

    assert one.carried == Carried(failed=1)
    assert "no channel `els?ewhere` is configured" in caplog.text


def test_without_any_channel_notices_are_left_to_others() -> None:
    one = Notifier({})
    one(event(notify()))

    assert one.carried == Carried(left=1)


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("low", "INFO"),
        ("medium", "WARNING"),
        ("high", "ERROR"),
        ("critical", "CRITICAL"),
        ("loud", "ERROR"),
        (7, "ERROR"),
    ],
)
def test_a_line_is_logged_at_its_level(level: object, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "demur.duties")
    Notifier({})(event({"id": "line", "type": "log", "properties": {"level": level}}, action="er\nase" + "x" * 999))

    (record,) = caplog.records
    assert record.levelname == logged
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 400


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"type": "governance.refusal"},
        {"type": "governance.refusal", "data": []},
        event({}),
        {"type": "governance.allow"},
    ],
)
def test_what_carries_no_obligation_is_passed_over(strange: dict[str, object]) -> None:
    one = Notifier({})
    one(strange)

    assert one.carried == Carried()


@pytest.mark.parametrize("url", ["nonsense", "unknown-kind://secret-token", ""])
def test_a_url_that_is_not_understood_is_refused_without_being_said(url: str) -> None:
    with pytest.raises(ConfigurationError, match="number 1 of the channel `desk`") as caught:
        Notifier({"desk": [url]})
    assert "secret-token" not in str(caught.value)


def test_a_channel_without_urls_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a list of URLs for the channel `desk`"):
        Notifier({"desk": "json://localhost"})


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the standard library)
        """Nothing: a test's output is its own."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.bodies = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def gate(tmp_path: Path, channels: dict[str, list[str]]) -> Parts:
    (tmp_path / "p.yaml").write_text(POLICY)
    return open_gate(Settings(tmp_path, channels=channels))


def test_a_refusal_reaches_a_real_channel_and_names_nobody(tmp_path: Path, receiver: Any) -> None:
    parts = gate(tmp_path, {"desk": [f"json://127.0.0.1:{receiver.server_port}/"]})
    assert parts.gate.decide(ASKED).outcome == "deny"
    parts.gate.close()

    (body,) = receiver.bodies
    assert "shop/never" in body["title"]
    assert "ann-the-person" not in json.dumps(body)
    assert "a-private-thing" not in json.dumps(body)
    assert parts.notifier.carried == Carried(sent=1, logged=1)


def test_no_answer_waits_for_a_channel_that_hangs(tmp_path: Path) -> None:
    parts = gate(tmp_path, {})
    gone = threading.Event()
    slow = Notifier({"desk": ["x://"]}, opener=lambda url: lambda notice: gone.wait(30))
    slow.attach(parts.world.observer)
    slow.attach(parts.world.observer)
    begun = time.monotonic()
    answers = [parts.gate.decide(ASKED).outcome for _ in range(20)]
    took = time.monotonic() - begun
    gone.set()
    parts.gate.close()

    assert answers == ["deny"] * 20
    assert took < 5
    assert slow.carried == Carried(sent=20, logged=20)
