"""The doors: a person logs in by name and password, chooses a password by a one-time link, and logs out.

1. a request from another site's page is turned away before anything is read of it
2. whoever failed too often waits
3. the password is checked, at the same cost for a name that nobody has; the same words for every failure
4. a fresh login takes the place of the one whose cookie came along, so that nobody can plant one

A browser keeps the credential where no script reads it. A program gets it in the answer, to send it as a bearer token.

Clauses: S7.4.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
from starlette.responses import JSONResponse, RedirectResponse, Response

from demur.core import intake, roster
from demur.core.login import check_password
from demur.errors import AccessError, IntakeError
from demur.server import cookies, pages
from demur.server.problems import UnauthenticatedError
from demur.server.throttle import Throttle
from demur.wiring import callers

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from demur.server.service import Answering, Service
    from demur.steps.people import People

AT_A_TIME = 2
"""Passwords that are hashed at a time: each takes 64 MiB and a core."""
MAX_FIELD = 4_096
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")
"""A path and query on this origin. Browsers read `//host` and `/\\host` as another host."""


class Doors:
    """The ways in and out of one service."""

    def __init__(self, *, provider: str = "") -> None:
        """`provider` is the path that leads to an identity provider, "" where there is none."""
        self._provider = provider
        self._throttle = Throttle()
        self._hashing = asyncio.Semaphore(AT_A_TIME)

    def routes(self) -> tuple[tuple[str, str, Answering], ...]:
        """Method, path and who answers; everybody may knock."""
        return (
            ("GET", "/login", self.show),
            ("POST", "/login", self.log_in),
            ("POST", "/logout", self.log_out),
            ("GET", "/me", self.me),
            ("GET", "/welcome", self.welcome),
            ("POST", "/welcome", self.choose),
        )

    async def show(self, service: Service, request: HttpRequest) -> Response:
        """The page on which a person logs in."""
        wanted = within(request.query_params.get("next", ""))
        return pages.log_in(service.tenants.names, provider=self._provider, wanted=wanted)

    async def log_in(self, service: Service, request: HttpRequest) -> Response:
        """Log in by name and password; a browser is sent on with a cookie, a program gets the credential."""
        cookies.check_origin(request)
        sent = await fields(request)
        tenant, name, password = (_field(sent, part) for part in ("tenant", "name", "password"))
        who, address = f"{tenant}/{name}", _address(request)
        self._throttle.check(who, address)
        people = _people(service, tenant)
        account = await asyncio.to_thread(people.find, name) if people else None
        async with self._hashing:
            kept = account.password if account else ""
            is_right = await asyncio.to_thread(callers.is_password, kept, password)
        if not is_right or account is None or people is None:
            self._throttle.fail(who, address)
            if not _wants_json(request):
                wanted = within(sent.get("next", ""))
                shown = {"wanted": wanted, "name": name, "failure": pages.WRONG}
                return pages.log_in(service.tenants.names, provider=self._provider, **shown)
            raise UnauthenticatedError("expected a name and its password, found something else")
        self._throttle.succeed(who)
        return await enter(service, request, people, account.id, wanted=within(sent.get("next", "")))

    async def log_out(self, service: Service, request: HttpRequest) -> Response:
        """End the login that the cookie or the bearer token names."""
        raw = cookies.kept(request)
        if raw:
            cookies.check_origin(request)
            cookies.check_token(request, raw, (await fields(request)).get("token", ""))
            digest = roster.digest(raw)
            for name in service.tenants.names:
                await asyncio.to_thread(callers.people(service.tenants.parts(name)).log_out, digest)
        else:
            identity = await service.identities.identify(request)
            people = callers.people(service.tenants.parts(identity.tenant))
            sent = request.headers["authorization"].partition(" ")[2].strip()
            await asyncio.to_thread(people.log_out, roster.digest(sent))
        response = Response(status_code=204) if _wants_json(request) else RedirectResponse("/login", 303)
        cookies.take_back(response, secure=is_secure(service))
        return response

    async def me(self, service: Service, request: HttpRequest) -> Response:
        """Who calls, and what they may do; a browser's pages learn here what they send beside the cookie."""
        identity = await service.identities.identify(request)
        raw = cookies.kept(request) if "authorization" not in request.headers else b""
        told = {"id": identity.id, "tenant": identity.tenant, "roles": sorted(identity.roles)}
        if not raw:
            return JSONResponse(told)
        token = cookies.token(raw)
        return JSONResponse({**told, "token": token}) if _wants_json(request) else pages.logged_in(identity.name, token)

    async def welcome(self, service: Service, request: HttpRequest) -> Response:
        """The page on which whoever holds a link chooses a password."""
        return pages.choose(service.tenants.names, request.query_params.get("link", "")[:MAX_FIELD])

    async def choose(self, service: Service, request: HttpRequest) -> Response:
        """Choose a password by a one-time link."""
        cookies.check_origin(request)
        sent = await fields(request)
        tenant, link, password = (_field(sent, part) for part in ("tenant", "link", "password"))
        address = _address(request)
        self._throttle.check(f"{tenant}/", address)
        check_password(password)
        people = _people(service, tenant)
        if people is None or not await asyncio.to_thread(people.awaits, link):
            self._throttle.fail(f"{tenant}/", address)
            raise AccessError("expected a link that is in force, found one that was used, has ended or is none")
        async with self._hashing:
            kept = await asyncio.to_thread(callers.hash_password, password)
        name = await asyncio.to_thread(people.choose_password, link, kept)
        return JSONResponse({"name": name}) if _wants_json(request) else RedirectResponse("/login", 303)


async def enter(
    service: Service,
    request: HttpRequest,
    people: People,
    person_id: str,
    *,
    is_sent: bool = False,
    wanted: str = "",
) -> Response:
    """A fresh login for somebody who proved who they are, `is_sent` where another site sent their browser here.

    `wanted` is the page that they wanted, as `within` gave it.

    Raises `AccessError` and `StoreError`.
    """
    before = roster.digest(cookies.kept(request))
    credential = await asyncio.to_thread(people.log_in, person_id, instead_of=before)
    if not is_sent and not _is_browser(request):
        return JSONResponse({"credential": credential})
    landing = wanted or service.landing
    response = pages.step_on(landing) if is_sent else RedirectResponse(landing, 303)
    cookies.put(response, credential, secure=is_secure(service))
    return response


def within(path: str) -> str:
    """The path of a page of ours that somebody may be sent to, "" for anything else: no other site, no other door."""
    is_ours = bool(_PATH.fullmatch(path)) and not path.startswith(("/login", "/logout", "/welcome"))
    return path if is_ours else ""


async def fields(request: HttpRequest) -> dict[str, str]:
    """The fields of a form or of a JSON object; raises `IntakeError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == "application/json":
        try:
            return msgspec.convert(dict(intake.parse(body)), dict[str, str])
        except msgspec.ValidationError as error:
            raise IntakeError("", expected="an object of texts", found="something else") from error
    if kind != "application/x-www-form-urlencoded":
        raise IntakeError("", expected="a form or JSON", found=f"`{kind[:40]}`")
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=8)
    except ValueError as error:
        raise IntakeError("", expected="a form", found="something else") from error
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _field(sent: dict[str, str], name: str) -> str:
    found = sent.get(name, "")
    if not found or len(found) > MAX_FIELD:
        raise IntakeError(f"/{name}", expected=f"1 to {MAX_FIELD} characters", found=f"{len(found)}")
    return found


def _people(service: Service, tenant: str) -> People | None:
    return callers.people(service.tenants.parts(tenant)) if tenant in service.tenants.names else None


def _address(request: HttpRequest) -> str:
    return request.client.host if request.client else ""


def _is_browser(request: HttpRequest) -> bool:
    """Browsers say where a request comes from, on every POST; what they then get no script may read."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def _wants_json(request: HttpRequest) -> bool:
    return "text/html" not in request.headers.get("accept", "")


def is_secure(service: Service) -> bool:
    """Whether browsers reach the service over HTTPS."""
    return service.base_url.startswith("https:")
