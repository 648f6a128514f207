"""Tokens of issuers that are trusted, and every way known to us of passing off another (RFC 8725)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from demur.adapters.clock import ManualClock
from demur.core.access import Identity, Role
from demur.core.terms import Entity, parse_timestamp
from demur.errors import ConfigurationError, StoreError
from demur.server import trust
from demur.server.problems import UnauthenticatedError
from demur.server.tokens import Tokens
from demur.server.trust import Issuer

START = parse_timestamp("2026-11-20T09:00:00Z")
NOW = START.seconds
ISSUER, AUDIENCE = "https://id.example.org", "https://gate.example.org"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "desk", "iat": NOW, "exp": NOW + 300}


class Pace:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def keys(*listed: Key) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in listed]})


def signed(key: Key = RSA, algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> bytes:
    told = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    named = {"alg": algorithm, "kid": key.kid} if header is None else {"alg": algorithm, **header}
    return jwt.encode(named, told, key, algorithms=[algorithm], registry=JWSRegistry(algorithms=[algorithm])).encode()


def raw(header: object, claims: object, signature: bytes = b"") -> bytes:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


class World:
    """One issuer whose keys stand in a file."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.file = folder / "jwks.json"
        self.file.write_text(keys(RSA, EC, ED))
        self.clock, self.pace = ManualClock(START), Pace()
        settings = {"jwks_file": str(self.file), "tenant": "clinic", "roles": (Role.CALLER,), **more}
        self.issuer = Issuer(issuer=ISSUER, audience=AUDIENCE, **settings)
        trust.check_issuer("platform", self.issuer)
        self.tokens = Tokens({"platform": self.issuer}, self.clock, pace=self.pace)

    def ask(self, token: bytes) -> Identity:
        return asyncio.run(self.tokens.identify(token))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "Ed25519"), (ED, "EdDSA")]
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # issuers still say so instead of Ed25519
def test_a_token_says_who_calls(world: World, key: Key, algorithm: str) -> None:
    found = world.ask(signed(key, algorithm))

    assert (found.claims or {})["sub"] == "desk"
    assert msgspec.structs.replace(found, claims=None) == Identity(
        id="agent:platform/desk",
        tenant="clinic",
        roles=frozenset({Role.CALLER}),
        actor=Entity(type="agent", id="platform/desk"),
        expires_at=START.plus(330),
    )


def test_claims_say_tenant_roles_actor_and_subject(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "tenant": "",
        "tenant_claim": "org",
        "roles": (),
        "roles_claim": "scope",
        "actor_claim": "azp",
    }
    more |= {"subject_type": "user", "roles_of": {"gate:call": (Role.CALLER,), "gate:audit": (Role.AUDITOR,)}}
    found = World(tmp_path, **more).ask(signed(org="ward", scope="openid gate:audit gate:call", azp="robot"))

    assert (found.tenant, set(found.roles), found.subjects) == ("ward", {Role.CALLER, Role.AUDITOR}, ("user:desk",))
    assert found.actor == Entity(type="agent", id="platform/robot")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://another.example.org"},
        {"aud": None},
        {"aud": [AUDIENCE + "/"]},
        {"iss": "https://evil.example.org"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"exp": NOW - 31},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"exp": 2**53},
        {"exp": NOW + 100 * 86_400},
        {"nbf": NOW + 31},
        {"nbf": "tomorrow"},
        {"iat": NOW + 31},
        {"sub": None},
        {"sub": ""},
        {"sub": "*"},
        {"sub": "a b"},
        {"sub": "desk\n"},
        {"sub": ["desk"]},
        {"sub": 7},
        {"sub": "x" * 300},
    ],
)
def test_a_token_that_is_not_for_us_or_not_for_now_is_worth_nothing(world: World, claims: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError):
        world.ask(signed(**claims))


@pytest.mark.parametrize("claims", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"aud": ["another", AUDIENCE]}])
def test_clocks_may_differ_a_little(world: World, claims: dict[str, Any]) -> None:
    assert world.ask(signed(**claims)).id == "agent:platform/desk"


def test_a_token_without_a_role_is_nobodys(tmp_path: Path) -> None:
    served = World(tmp_path, roles=(), roles_claim="scope", roles_of={"gate:call": (Role.CALLER,)})
    for scope in ("", "caller", "administrator", ["gate:cal"], [["gate:call"]], {"gate:call": 1}, 7, None):
        with pytest.raises(UnauthenticatedError):
            served.ask(signed(scope=scope))


def forged_by_public_key(kind: str) -> bytes:
    secret = RSA.as_pem(private=False) if kind == "pem" else json.dumps(RSA.as_dict(private=False)).encode()
    told = raw({"alg": "HS256", "kid": "rsa"}, CLAIMS).rpartition(b".")[0]
    mark = hmac.new(secret, told, hashlib.sha256).digest()
    return told + b"." + base64.urlsafe_b64encode(mark).rstrip(b"=")


def stretched(token: bytes) -> bytes:
    header, claims, signature = token.split(b".")
    return b".".join([header, claims[:-4] + b"AAAA", signature])


@pytest.mark.parametrize(
    "token",
    [
        raw({"alg": "none"}, CLAIMS),
        raw({"alg": "None", "kid": "rsa"}, CLAIMS),
        raw({"alg": "nOnE", "kid": "rsa"}, CLAIMS, b"x"),
        raw({}, CLAIMS),
        raw({"alg": ["RS256"], "kid": "rsa"}, CLAIMS),
        raw({"alg": {"RS256": 1}}, CLAIMS),
        raw({"alg": "RS256", "kid": "rsa"}, CLAIMS),
        raw({"alg": "RS256", "kid": "rsa"}, CLAIMS, b"\x00" * 256),
        raw({"alg": "ES256", "kid": "ec"}, CLAIMS, b"\x00" * 64),
        forged_by_public_key("pem"),
        forged_by_public_key("jwk"),
        signed(OctKey.import_key("k" * 32), "HS256", {"kid": "rsa"}),
        signed(STRANGER),
        signed(STRANGER, header={"kid": "rsa", "jwk": STRANGER.as_dict(private=False)}),
        signed(STRANGER, header={"kid": "rsa", "jku": "https://evil.example.org/jwks.json"}),
        signed(STRANGER, header={"kid": "../../../../dev/null"}),
        signed(STRANGER, header={"kid": "rsa' OR '1'='1"}),
        signed(STRANGER, header={"kid": "x" * 2_000}),
        signed(RSA, "RS512"),
        signed(RSA, header={"kid": "ec"}),
        stretched(signed()),
        signed()[:-5],
        signed() + b".x",
        signed() + b"A" * 10_000,
        b"eyJ" + b"A" * 9_000,
        b"eyJ..",
        b"eyJ.eyJ.eyJ",
        b"eyJhbGciOiJSUzI1NiJ9.bnVsbA.AA",
        b"eyJhbGciOiJSUzI1NiJ9.W10.AA",
        b"\xff\xfe.\xff.\xff",
        b"eyJ" + b"." * 100,
    ],
)
def test_what_the_issuer_did_not_sign_as_agreed_is_worth_nothing(world: World, token: bytes) -> None:
    with pytest.raises(UnauthenticatedError):
        world.ask(token)


def test_without_a_key_id_the_one_key_that_fits_is_meant(world: World) -> None:
    assert world.ask(signed(header={})).id == "agent:platform/desk"
    assert world.ask(signed(EC, "ES256", {})).id == "agent:platform/desk"


def test_a_key_for_encrypting_signs_nothing(tmp_path: Path) -> None:
    served = World(tmp_path)
    served.file.write_text(json.dumps({"keys": [{**RSA.as_dict(private=False), "use": "enc"}]}))

    with pytest.raises(UnauthenticatedError):
        served.ask(signed())


def test_a_secret_among_the_keys_is_left_out(tmp_path: Path) -> None:
    secret = OctKey.import_key("k" * 32, {"kid": "oct"})
    served = World(tmp_path)
    served.file.write_text(json.dumps({"keys": [secret.as_dict(private=True), EC.as_dict(private=False)]}))

    with pytest.raises(UnauthenticatedError):
        served.ask(signed(secret, "HS256"))
    assert served.ask(signed(EC, "ES256")).id == "agent:platform/desk"


def test_a_token_that_was_checked_still_ends(world: World) -> None:
    token = signed()
    world.ask(token)
    world.clock.advance(330)

    with pytest.raises(UnauthenticatedError, match="has ended"):
        world.ask(token)


def test_a_key_that_was_taken_back_is_worth_nothing_in_time(world: World) -> None:
    token = signed()
    world.ask(token)
    world.file.write_text(keys(EC))
    world.pace.now += 301

    with pytest.raises(UnauthenticatedError):
        world.ask(token)


def test_where_keys_cannot_be_had_the_last_ones_count_for_a_while_and_then_nobody_is_let_in(world: World) -> None:
    world.ask(signed())
    world.file.unlink()
    world.pace.now += 3_899
    assert world.ask(signed()).id == "agent:platform/desk"
    world.pace.now += 2

    with pytest.raises((StoreError, UnauthenticatedError)):
        world.ask(signed(sub="another"))


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"keys": 7}', '{"keys": [7, {}]}', '{"keys": [{"kty": "RSA"}]}', "\xff"]
)
def test_what_is_no_set_of_keys_lets_nobody_in(tmp_path: Path, content: str) -> None:
    served = World(tmp_path)
    served.file.write_text(content)

    with pytest.raises((StoreError, UnauthenticatedError)):
        served.ask(signed())


@pytest.mark.parametrize(
    "more",
    [
        {"algorithms": ("none",)},
        {"algorithms": ("HS256",)},
        {"algorithms": ("RS256", "HS512")},
        {"algorithms": ()},
        {"skew_seconds": 3_600},
        {"stale_seconds": 10**6},
        {"tenant": ""},
        {"tenant_claim": "org"},
        {"roles": ()},
        {"jwks_url": "https://id.example.org/jwks.json"},
        {"jwks_file": ""},
        {"jwks_file": "", "jwks_url": "http://id.example.org/jwks.json"},
        {"jwks_file": "", "jwks_url": "file:///etc/passwd"},
    ],
)
def test_settings_that_could_let_a_stranger_in_are_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        World(tmp_path, **more)


class Served(ThreadingHTTPServer):
    """An issuer over HTTP that counts who asks."""

    body = keys(RSA)
    status = 200
    asked = 0


class Answer(BaseHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def remote(served: Served, folder: Path) -> World:
    return World(folder, jwks_file="", jwks_url=f"http://127.0.0.1:{served.server_port}/jwks.json")


def test_keys_over_http_are_asked_for_once_in_a_while(served: Served, tmp_path: Path) -> None:
    world = remote(served, tmp_path)

    async def ask() -> None:
        await asyncio.gather(*(world.tokens.identify(signed(sub=f"desk-{number}")) for number in range(20)))

    asyncio.run(ask())
    assert served.asked == 1


def test_guessed_key_ids_do_not_make_us_ask_each_time(served: Served, tmp_path: Path) -> None:
    world = remote(served, tmp_path)
    for number in range(20):
        with pytest.raises(UnauthenticatedError):
            world.ask(signed(STRANGER, header={"kid": f"guess-{number}"}))

    assert served.asked == 1


def test_a_fresh_key_is_learned_when_its_first_token_comes(served: Served, tmp_path: Path) -> None:
    world = remote(served, tmp_path)
    world.ask(signed())
    served.body = keys(RSA, EC)
    world.pace.now += 11

    assert world.ask(signed(EC, "ES256")).id == "agent:platform/desk"


@pytest.mark.parametrize(("status", "body"), [(500, "{}"), (302, "{}"), (200, "x" * 300_000), (200, "<html>")])
def test_an_issuer_that_answers_something_else_gives_no_keys(
    served: Served, tmp_path: Path, status: int, body: str
) -> None:
    served.status, served.body = status, body

    with pytest.raises((StoreError, UnauthenticatedError)):
        remote(served, tmp_path).ask(signed())
