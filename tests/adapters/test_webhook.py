"""Webhooks: signed, never redirected, never into the inside; what is not taken is told apart from what is not there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from demur.adapters import public_addresses, webhook
from demur.adapters.outbox import RejectedError, UnreachableError
from demur.adapters.outbox_events import Event
from demur.adapters.public_addresses import AddressError
from demur.adapters.webhook import Webhook
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NEXT = "whsec_" + base64.b64encode(bytes(24)).decode()
EVENT = Event("clinic.a/41", "urn:demur:log:clinic.a", "governance.refusal", '{"id":"clinic.a/41","ü":1}'.encode())


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.status = 204
        self.body = b""
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?a=b"


class _Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()


def hook(url: str, secrets: str = SECRET) -> Webhook:
    return Webhook(url, secrets, now=lambda: 1_763_716_800, is_private_allowed=True)


def send(url: str) -> None:
    with closing(hook(url)) as sink:
        sink.send(EVENT)


def test_an_event_arrives_signed_so_that_the_receiver_can_check_it() -> None:
    """Checked as the specification tells receivers to: HMAC over id, timestamp and the body as it came."""
    with receiving() as receiver:
        sink = hook(receiver.url, f"{SECRET} {NEXT}")
        sink.send(EVENT)
        sink.send(EVENT)
        sink.close()
    (headers, body), (again, _) = receiver.taken
    assert body == EVENT.body
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["host"] == f"127.0.0.1:{receiver.server_address[1]}"
    assert headers["webhook-id"] == again["webhook-id"]
    assert "." not in headers["webhook-id"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = [
        "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in (KEY, bytes(24))
    ]
    assert headers["webhook-signature"].split(" ") == wanted


def test_the_example_of_the_specification_is_signed_as_it_says() -> None:
    """The vector of the Standard Webhooks reference libraries."""
    keys = webhook.read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert (
        webhook.signatures(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_other_events_have_other_ids() -> None:
    ids = {
        webhook.message_id(Event(name, source, "", b""))
        for name, source in (("a/1", "urn:a"), ("a/2", "urn:a"), ("a/1", "urn:b"))
    }
    assert len(ids) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 410, 500, 301, 302, 307])
def test_what_is_refused_is_an_events_fault_and_nothing_is_followed(status: int) -> None:
    with receiving() as receiver:
        receiver.status = status
        with pytest.raises(RejectedError, match=f"answered {status}"):
            send(receiver.url)
    assert len(receiver.taken) == 1


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_cannot_be_taken_now_is_no_events_fault(status: int) -> None:
    with receiving() as receiver:
        receiver.status = status
        with pytest.raises(UnreachableError, match=f"answered {status}"):
            send(receiver.url)


def test_a_receiver_that_is_not_there_is_waited_for() -> None:
    with receiving() as receiver:
        url = receiver.url
    with pytest.raises(UnreachableError, match="cannot be reached"):
        send(url)


def test_an_answer_without_end_is_cut_off() -> None:
    with receiving() as receiver:
        receiver.body = b"x" * (4 * webhook.MAX_ANSWER_BYTES)
        send(receiver.url)
    assert len(receiver.taken) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.7", "169.254.169.254", "2130706433", "0"])
def test_private_addresses_are_refused(host: str) -> None:
    sink = Webhook(f"https://{host}/", SECRET, now=lambda: 0)
    with pytest.raises(UnreachableError, match="expected a"):
        sink.send(EVENT)
    sink.close()


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("nonsense", False),
    ],
)
def test_an_address_in_disguise_is_seen_through(address: str, is_public: bool) -> None:
    assert public_addresses.is_public(address) is is_public


def test_a_name_that_leads_nowhere_has_no_address() -> None:
    with pytest.raises(AddressError, match="found none"):
        public_addresses.resolve("nowhere.invalid", 443)
    with pytest.raises(AddressError, match="found none"):
        public_addresses.resolve("a" * 70 + ".example", 443)


@pytest.mark.parametrize(
    ("url", "is_private_allowed"),
    [("http://example.com/", False), ("https://user:pw@example.com/", False), ("ftp://example.com", True), ("", True)],
)
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str, is_private_allowed: bool) -> None:
    with pytest.raises(ConfigurationError, match="expected a URL") as caught:
        Webhook(url, SECRET, now=lambda: 0, is_private_allowed=is_private_allowed)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "hunter2-hunter2-hunter2-hunter2", "whsec_%%%"])
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a secret") as caught:
        hook("http://127.0.0.1/", secret)
    assert "hunter2" not in str(caught.value)
