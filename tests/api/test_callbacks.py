"""Callbacks: signed, once, to hosts that were configured, never to an address inside; a restart loses none."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from demur.adapters.clock import ManualClock
from demur.core.terms import parse_timestamp
from demur.errors import IntakeError
from demur.server.callbacks import Teller, check
from demur.server.settings import Callbacks
from demur.wiring.addresses import AddressError, resolve
from tests.api.desk import Desk, desk, pay, requested

SECRET = "a secret of more than 24 bytes"
HOST = "hooks.example.com"


@dataclass
class Receiver:
    """An HTTPS server on this machine, for the name `hooks.example.com`."""

    port: int
    trust: ssl.SSLContext
    status: int = 200
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    chain, secret = certificate(tmp_path_factory.mktemp("tls"))
    receiving: Receiver

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiving.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiving.status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    receiving = Receiver(server.server_port, ssl.create_default_context(cafile=str(chain)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield receiving
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def at(tmp_path: Path, receiver: Receiver) -> Iterator[Desk]:
    receiver.got.clear()
    receiver.status = 200
    (tmp_path / "secret").write_text(SECRET)
    with desk(tmp_path) as one:
        callbacks = Callbacks(
            hosts=("public.example.com",),
            internal_hosts=(f"{HOST}:{receiver.port}",),
            secret_file=str(tmp_path / "secret"),
        )
        one.served.service.settings = msgspec.structs.replace(one.served.service.settings, callbacks=callbacks)
        with stamina.set_testing(True, attempts=1):
            yield one


def teller(at: Desk, receiver: Receiver, lookup: Callable[..., str] = lambda *_, **__: "127.0.0.1") -> Teller:
    service = at.served.service
    clock = ManualClock(parse_timestamp("2026-11-20T09:00:00Z"))
    return Teller(
        service.tenants, service.settings.callbacks, clock, service.base_url, trust=receiver.trust, lookup=lookup
    )


def wait_for(at: Desk, receiver: Receiver, amount: int, **callback: Any) -> str:
    body = pay(amount)
    called = {"endpoint": f"https://{HOST}:{receiver.port}/done?x=1", "state": "s-1", **callback}
    taken = at.submit(requested(body, at.defer(body), callback=called))
    assert taken.status_code == 202, taken.text
    return str(taken.json()["task"]["id"])


def test_the_end_of_a_task_is_told_once_and_signed(at: Desk, receiver: Receiver) -> None:
    task = wait_for(at, receiver, 1_000)
    telling = teller(at, receiver)
    assert telling.tell() == 0
    at.rule(task)
    assert (telling.tell(), telling.tell()) == (1, 0)
    telling.close()
    ((headers, body),) = receiver.got
    endpoint = f"https://pdp.example.com/access/v1/requests/{task}"
    assert json.loads(body) == {
        "state": "s-1",
        "task": {
            "id": task,
            "status": "approved",
            "status_endpoint": endpoint,
            "reason": "looked at it",
            "claim_endpoint": f"https://pdp.example.com/reviews/{task}/claim",
        },
    }
    assert headers["host"] == f"{HOST}:{receiver.port}"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mark = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mark}"


def test_one_that_did_not_arrive_is_told_later_by_whoever_runs_then(at: Desk, receiver: Receiver) -> None:
    task = wait_for(at, receiver, 1_001)
    at.rule(task, "reject")
    receiver.status = 500
    first = teller(at, receiver)
    assert first.tell() == 0
    first.close()
    receiver.status = 200
    second = teller(at, receiver)
    for _ in range(200):
        if second.tell():
            break
        threading.Event().wait(0.05)
    second.close()
    assert [json.loads(body)["task"]["status"] for _, body in receiver.got] == ["denied", "denied"]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_a_redirect_is_not_followed_and_counts_as_failed(at: Desk, receiver: Receiver) -> None:
    at.rule(wait_for(at, receiver, 1_002))
    receiver.status = 307
    telling = teller(at, receiver)
    assert telling.tell() == 0
    telling.close()
    assert len(receiver.got) == 1


def test_only_the_events_that_were_asked_for_are_told(at: Desk, receiver: Receiver) -> None:
    at.rule(wait_for(at, receiver, 1_003, events=["approved"]), "reject")
    telling = teller(at, receiver)
    assert telling.tell() == 0
    telling.close()
    assert receiver.got == []
    assert at.gate.callbacks() == ()


def test_a_callback_that_was_taken_is_nobody_else_s_meanwhile(at: Desk, receiver: Receiver) -> None:
    at.rule(wait_for(at, receiver, 1_004))
    assert len(at.gate.callbacks()) == 1
    assert at.gate.callbacks() == ()


def test_a_certificate_of_another_name_is_not_spoken_to(at: Desk, receiver: Receiver) -> None:
    service = at.served.service
    other = f"other.example.com:{receiver.port}"
    callbacks = msgspec.structs.replace(service.settings.callbacks, internal_hosts=(other,))
    service.settings = msgspec.structs.replace(service.settings, callbacks=callbacks)
    at.rule(wait_for(at, receiver, 1_005, endpoint=f"https://{other}/"))
    telling = teller(at, receiver)
    assert telling.tell() == 0
    telling.close()
    assert receiver.got == []


def test_a_public_name_that_leads_inside_is_not_called(at: Desk, receiver: Receiver) -> None:
    asked: list[tuple[str, bool]] = []

    def inside(host: str, port: int, *, is_private_allowed: bool) -> str:
        asked.append((host, is_private_allowed))
        return resolve("127.0.0.1", port, is_private_allowed=is_private_allowed)

    at.rule(wait_for(at, receiver, 1_006, endpoint="https://public.example.com/"))
    telling = teller(at, receiver, inside)
    assert telling.tell() == 0
    telling.close()
    assert asked == [("public.example.com", False)]
    assert receiver.got == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "192.168.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "100.64.0.1",
    ],
)
def test_addresses_inside_are_none_of_a_public_host(address: str) -> None:
    with pytest.raises(AddressError):
        resolve(address, 443)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://public.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "https://evil.example.com/",
        "https://public.example.com.evil.example.com/",
        "https://public.example.com@evil.example.com/",
        "https://user:word@public.example.com/",
        "https://public.example.com:8443/",
        "https://public.example.com/#x",
        "https://public.example.com\\@evil.example.com/",
        "https://public.example.com/\r\nHost: evil",
        "https://pubIic.example.com/",
        "https://public.example.com:99999999/",
        "file:///etc/passwd",
        "//public.example.com/",
        "https://",
        "",
        "https://public.example.com/" + "x" * 3_000,
    ],
)
def test_what_is_not_configured_or_not_https_is_refused_when_it_is_asked_for(endpoint: str) -> None:
    with pytest.raises(IntakeError, match="/callback/endpoint"):
        check(endpoint, Callbacks(hosts=("public.example.com",), secret_file="secret"))


def test_without_configured_hosts_nothing_is_called(at: Desk, receiver: Receiver) -> None:
    service = at.served.service
    service.settings = msgspec.structs.replace(service.settings, callbacks=Callbacks())
    body = pay(1_007)
    asked = requested(body, at.defer(body), callback={"endpoint": f"https://{HOST}:{receiver.port}/"})
    assert at.submit(asked).status_code == 400
