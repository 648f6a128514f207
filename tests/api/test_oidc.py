"""People log in by an identity provider, over real HTTP; whatever comes back that was not begun here is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.testclient import TestClient

from demur.core.access import Role
from demur.server.app import build
from demur.server.trust import Provider
from demur.steps.enrolling import LOCAL
from tests.api.enrolled import Enrolled, enrolled

KEY, STRANGER = ECKey.generate_key("P-256", {"kid": "one"}), ECKey.generate_key("P-256", {"kid": "one"})
CLIENT, SECRET, SUBJECT = "demur", "not so secret", "248289761001"


class Idp(ThreadingHTTPServer):
    """A provider that checks the client, the code, and its verifier, as RFC 6749 and RFC 7636 say."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.codes: dict[str, dict[str, str]] = {}
        self.claims: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.key = KEY
        self.exchanges = 0

    def grant(self, asked: dict[str, str]) -> str:
        """What happens in the browser: somebody logs in at the provider and is sent back with a code."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return code

    def exchange(self, form: dict[str, str], auth: str) -> tuple[int, dict[str, Any]]:
        self.exchanges += 1
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        is_client = auth == "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or not is_client or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        if asked["code_challenge"] != challenge or asked["code_challenge_method"] != "S256":
            return 400, {"error": "invalid_grant"}
        now = int(time.time())  # noqa: TID251  (a provider has a clock of its own)
        claims = {"iss": self.url, "aud": CLIENT, "sub": SUBJECT, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        told = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        return 200, {"id_token": jwt.encode({"alg": "ES256", "kid": "one"}, told, self.key), "token_type": "Bearer"}


class Answer(BaseHTTPRequestHandler):
    server: Idp

    def do_GET(self) -> None:
        idp = self.server
        if self.path == "/jwks":
            self.tell(200, {"keys": [KEY.as_dict(private=False)]})
        elif self.path == "/.well-known/openid-configuration":
            told = {"issuer": idp.url, "authorization_endpoint": idp.url + "/authorize"}
            told |= {"token_endpoint": idp.url + "/token", "jwks_uri": idp.url + "/jwks"}
            self.tell(200, told | idp.document)
        else:
            self.tell(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.tell(*self.server.exchange(form, self.headers.get("authorization", "")))

    def tell(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def idp() -> Iterator[Idp]:
    with Idp() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Desk:
    """A service with a provider, and a browser."""

    def __init__(self, service: Enrolled, idp: Idp, browser: TestClient) -> None:
        self.service, self.idp, self.browser = service, idp, browser

    def begin(self) -> dict[str, str]:
        """What the browser is sent to the provider with."""
        found = self.browser.get("/login/oidc", follow_redirects=False)
        assert found.status_code == 303, found.text
        address = urlsplit(found.headers["location"])
        assert f"{address.scheme}://{address.netloc}{address.path}" == self.idp.url + "/authorize"
        return {name: values[0] for name, values in parse_qs(address.query).items()}

    def back(self, **said: str) -> httpx2.Response:
        return self.browser.get("/login/oidc/callback", params=said, follow_redirects=False)


@pytest.fixture
def desk(tmp_path: Path, idp: Idp) -> Iterator[Desk]:
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET + "\n")
    with enrolled(tmp_path) as service:
        service.people().add("mara", by=LOCAL, roles=[Role.OPERATOR], provider=(idp.url, SUBJECT))
        provider = Provider(issuer=idp.url, client_id=CLIENT, client_secret_file=str(secret), tenant="clinic")
        running = service.service
        running.settings = msgspec.structs.replace(running.settings, provider=provider)
        with TestClient(build(running), base_url="https://pdp.example.com", raise_server_exceptions=False) as browser:
            yield Desk(service, idp, browser)


def test_a_person_logs_in_and_gets_the_roles_of_their_account(desk: Desk) -> None:
    asked = desk.begin()
    found = desk.back(state=asked["state"], code=desk.idp.grant(asked))

    assert (found.status_code, found.headers["refresh"]) == (200, "0; url=/me")
    cookies = found.headers.get_list("set-cookie")
    assert any(one.startswith("__Host-demur=demur-session-") and "SameSite=strict" in one for one in cookies)
    me = desk.browser.get("/me").json()
    assert (me["id"], me["tenant"], me["roles"]) == ("user:mara", "clinic", ["operator"])


def test_what_is_asked_is_a_code_for_us_with_a_challenge_and_a_nonce(desk: Desk) -> None:
    asked = desk.begin()

    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", CLIENT, "openid")
    assert asked["redirect_uri"] == "https://pdp.example.com/login/oidc/callback"
    assert asked["code_challenge_method"] == "S256"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert desk.begin()["state"] != asked["state"]


def test_the_cookie_of_the_way_there_no_script_reads(desk: Desk) -> None:
    cookie = desk.browser.get("/login/oidc", follow_redirects=False).headers["set-cookie"]

    assert cookie.startswith("__Host-demur-oidc=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}


def test_an_answer_in_another_browser_is_refused(desk: Desk) -> None:
    asked = desk.begin()
    desk.browser.cookies.clear()

    assert desk.back(state=asked["state"], code=desk.idp.grant(asked)).status_code == 401
    assert desk.idp.exchanges == 0


@pytest.mark.parametrize("state", ["", "guess", "\xe9"])
def test_an_answer_with_another_state_is_refused(desk: Desk, state: str) -> None:
    asked = desk.begin()

    assert desk.back(state=state, code=desk.idp.grant(asked)).status_code == 401
    assert desk.idp.exchanges == 0


def test_an_answer_that_is_replayed_is_refused_here_and_its_code_there(desk: Desk) -> None:
    asked = desk.begin()
    cookie = desk.browser.cookies["__Host-demur-oidc"]
    code = desk.idp.grant(asked)
    assert desk.back(state=asked["state"], code=code).status_code == 200

    assert desk.back(state=asked["state"], code=code).status_code == 401
    desk.browser.cookies.set("__Host-demur-oidc", cookie)
    assert desk.back(state=asked["state"], code=code).status_code == 401
    assert desk.idp.exchanges == 1


def test_a_code_that_was_used_elsewhere_is_refused(desk: Desk) -> None:
    asked = desk.begin()
    code = desk.idp.grant(asked)
    desk.idp.codes.pop(code)

    assert desk.back(state=asked["state"], code=code).status_code == 401


def test_a_code_that_was_given_to_another_browser_is_refused(desk: Desk) -> None:
    stolen = desk.idp.grant(desk.begin())
    asked = desk.begin()

    assert desk.back(state=asked["state"], code=stolen).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 7},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another-client"]},
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"iss": "https://evil.example.org"},
        {"exp": 1},
        {"sub": None},
        {"sub": 7},
    ],
)
def test_an_id_token_that_is_not_for_this_login_is_refused(desk: Desk, claims: dict[str, Any]) -> None:
    desk.idp.claims = claims
    asked = desk.begin()

    found = desk.back(state=asked["state"], code=desk.idp.grant(asked))
    assert found.status_code == 401
    assert "demur-session" not in str(found.headers)


def test_an_id_token_of_a_stranger_is_refused(desk: Desk) -> None:
    desk.idp.key = STRANGER
    asked = desk.begin()

    assert desk.back(state=asked["state"], code=desk.idp.grant(asked)).status_code == 401


def test_somebody_whom_nobody_added_does_not_get_in(desk: Desk) -> None:
    desk.idp.claims = {"sub": "somebody-else"}
    asked = desk.begin()

    assert desk.back(state=asked["state"], code=desk.idp.grant(asked)).status_code == 403


@pytest.mark.parametrize("said", [{"error": "access_denied"}, {}, {"code": ""}, {"iss": "https://evil.example.org"}])
def test_a_no_of_the_provider_and_an_answer_of_another_let_nobody_in(desk: Desk, said: dict[str, str]) -> None:
    asked = desk.begin()
    code = {"code": desk.idp.grant(asked)} if "iss" in said or "error" in said else {}

    assert desk.back(**{"state": asked["state"], **code, **said}).status_code == 401


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example.org"},
        {"token_endpoint": "http://evil.example.org/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
    ],
)
def test_a_provider_that_says_to_be_another_is_not_asked(desk: Desk, document: dict[str, Any]) -> None:
    desk.idp.document = document

    assert desk.browser.get("/login/oidc", follow_redirects=False).status_code == 503


def test_where_the_provider_is_gone_the_others_still_log_in(desk: Desk) -> None:
    desk.idp.shutdown()
    desk.idp.server_close()

    assert desk.browser.get("/login/oidc", follow_redirects=False).status_code == 503
    assert desk.browser.get("/login").status_code == 200
