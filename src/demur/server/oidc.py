"""People log in by an identity provider: OpenID Connect, authorization code with PKCE (RFC 7636, RFC 9700).

1. the browser gets one random cookie; state, nonce and the code's verifier are derived from it, so that any replica
   can take the answer, and nobody without that cookie can
2. the provider sends the browser back with a code; state, and the issuer where it says one (RFC 9207), must be ours
3. the code is exchanged with its verifier; a cookie is good for one exchange, so a code that is replayed finds none
4. the id token is checked as every token (`tokens`), for this client, with this nonce
5. only people whom an administrator added with this issuer and subject get in; the provider says who, never what

Endpoints come from the provider's own document, over HTTPS, and must name the issuer that was asked for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]  # published without types
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]  # as above
from starlette.responses import RedirectResponse, Response

from demur import wiring
from demur.core.access import Role
from demur.errors import AccessError, ConfigurationError, StoreError
from demur.server import login, trust
from demur.server.login import Doors
from demur.server.problems import UnauthenticatedError
from demur.server.tokens import Tokens
from demur.server.trust import Issuer
from demur.wiring import callers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request as HttpRequest

    from demur.server.service import Answering, Service
    from demur.server.trust import Provider

BEGIN, BACK = "/login/oidc", "/login/oidc/callback"
COOKIE, PLAIN_COOKIE = "__Host-demur-oidc", "demur-oidc"
COOKIE_SECONDS = 600
FETCH_SECONDS = 5.0
FRESH_SECONDS = 3_600.0
MAX_ANSWER = 256 * 1_024
_NO = "expected the way back from the provider as it was begun here, found another"


class Endpoints(msgspec.Struct, frozen=True):
    """What the provider says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Exchanged(msgspec.Struct, frozen=True):
    id_token: str


_endpoints = msgspec.json.Decoder(Endpoints)
_exchanged = msgspec.json.Decoder(_Exchanged)


def doors(service: Service) -> tuple[tuple[str, str, Answering], ...]:
    """Every way in and out: method, path and who answers."""
    provider = service.settings.provider
    if provider is None:
        return Doors().routes()
    client = Client(provider)
    return (*Doors(provider=BEGIN).routes(), ("GET", BEGIN, client.begin), ("GET", BACK, client.come_back))


class Client:
    """This service as a client of the provider. For one event loop."""

    def __init__(self, provider: Provider) -> None:
        """Raises `ConfigurationError` where the file of the client's secret cannot be read."""
        self._provider = provider
        self._secret = _read(provider.client_secret_file)
        self._known: tuple[float, Endpoints, Tokens] | None = None
        self._used: dict[bytes, float] = {}

    async def begin(self, service: Service, request: HttpRequest) -> Response:
        """Send the browser to the provider."""
        del request
        endpoints, _ = await self._discover()
        seed = secrets.token_urlsafe(32)
        address = prepare_grant_uri(
            endpoints.authorization_endpoint,
            self._provider.client_id,
            "code",
            redirect_uri=service.base_url + BACK,
            scope="openid",
            state=_derived(seed, "state"),
            nonce=_derived(seed, "nonce"),
            code_challenge=create_s256_code_challenge(_derived(seed, "verifier")),
            code_challenge_method="S256",
        )
        response = RedirectResponse(address, 303)
        secure = login.is_secure(service)
        # Lax: the way back comes from the provider's site.
        response.set_cookie(
            COOKIE if secure else PLAIN_COOKIE,
            seed,
            max_age=COOKIE_SECONDS,
            path="/",
            secure=secure,
            httponly=True,
            samesite="lax",
        )
        return response

    async def come_back(self, service: Service, request: HttpRequest) -> Response:
        """Take what the provider says, and let whoever is known in."""
        secure = login.is_secure(service)
        name = COOKIE if secure else PLAIN_COOKIE
        seed, told = request.cookies.get(name, ""), request.query_params
        code = self._code(seed, told)
        claims = await self._exchange(service, code, seed)
        people = callers.people(service.tenants.parts(self._provider.tenant))
        account = await asyncio.to_thread(people.find_provided, self._provider.issuer, claims["sub"])
        if account is None:
            raise AccessError(
                "expected a person who is known here, found another",
                hint="an administrator adds people by their subject",
            )
        response = await login.enter(service, request, people, account.id, is_sent=True)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
        return response

    def _code(self, seed: str, told: QueryParams) -> str:
        """Steps 2 and 3, first half; raises `UnauthenticatedError`."""
        state, code = told.get("state", ""), told.get("code", "")
        is_ours = bool(seed) and hmac.compare_digest(state.encode(), _derived(seed, "state").encode())
        if not is_ours or told.get("iss", self._provider.issuer) != self._provider.issuer:
            raise UnauthenticatedError(_NO)
        if not code or len(told.getlist("code")) != 1 or len(told.getlist("state")) != 1 or "error" in told:
            raise UnauthenticatedError("expected a code of the provider, found none")
        self._take(hashlib.sha256(seed.encode()).digest())
        return code

    def _take(self, mark: bytes) -> None:
        now = time.monotonic()
        self._used = {one: at for one, at in self._used.items() if now - at < COOKIE_SECONDS}
        if mark in self._used:
            raise UnauthenticatedError(_NO)
        self._used[mark] = now

    async def _exchange(self, service: Service, code: str, seed: str) -> Mapping[str, Any]:
        """Steps 3 and 4; raises `UnauthenticatedError` and `StoreError`."""
        endpoints, tokens = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": service.base_url + BACK,
            "client_id": self._provider.client_id,
            "code_verifier": _derived(seed, "verifier"),
        }
        auth = (self._provider.client_id, self._secret) if self._secret else None
        raw = await _ask("POST", endpoints.token_endpoint, form, auth)
        try:
            sent = _exchanged.decode(raw).id_token
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnauthenticatedError("expected an id token of the provider, found none") from error
        _, _, claims = await tokens.claims(sent.encode())
        nonce, audience = claims.get("nonce"), claims.get("aud")
        is_fresh = isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), _derived(seed, "nonce").encode())
        is_shared = isinstance(audience, list) and len(audience) > 1
        party = claims.get("azp", None if is_shared else self._provider.client_id)
        if not is_fresh or party != self._provider.client_id or not isinstance(claims.get("sub"), str):
            raise UnauthenticatedError("expected an id token for this login, found another")
        return claims

    async def _discover(self) -> tuple[Endpoints, Tokens]:
        """Where the provider answers, and who checks its tokens; raises `StoreError`."""
        now = time.monotonic()
        if self._known is None or now - self._known[0] > FRESH_SECONDS:
            issuer = self._provider.issuer
            raw = await _ask("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
            try:
                endpoints = _endpoints.decode(raw)
                for url in (endpoints.authorization_endpoint, endpoints.token_endpoint, endpoints.jwks_uri):
                    trust.check_url(url)
            except (msgspec.DecodeError, UnicodeDecodeError, ConfigurationError) as error:
                raise StoreError("the provider does not say where it answers") from error
            if endpoints.issuer != issuer:
                raise StoreError("the provider says to be another")
            self._known = (now, endpoints, self._tokens(endpoints))
        return self._known[1], self._known[2]

    def _tokens(self, endpoints: Endpoints) -> Tokens:
        issuer = Issuer(
            issuer=endpoints.issuer,
            audience=self._provider.client_id,
            jwks_url=endpoints.jwks_uri,
            tenant=self._provider.tenant,
            roles=(Role.AUDITOR,),  # unused: roles are those of the account
        )
        return Tokens({"provider": issuer}, wiring.clock())


async def _ask(method: str, url: str, form: dict[str, str] | None = None, auth: tuple[str, str] | None = None) -> bytes:
    """What the provider answers; raises `StoreError` where it cannot be reached, `UnauthenticatedError` for its no."""
    try:
        async with (
            httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream(method, url, data=form, auth=auth) as response,
        ):
            raw = b""
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > MAX_ANSWER:
                    raise StoreError("the provider answers too much")
    except httpx2.HTTPError as error:
        raise StoreError("the provider cannot be reached") from error
    if response.status_code in {400, 401, 403}:
        raise UnauthenticatedError("expected a code that the provider knows, found one that it refuses")
    if response.status_code != 200:
        raise StoreError("the provider does not answer as agreed")
    return raw


def _derived(seed: str, purpose: str) -> str:
    raw = hmac.new(seed.encode(), purpose.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"the client's secret cannot be read: {error.strerror}") from error
