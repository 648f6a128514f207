"""A page: path, what its visitor must be allowed to do, and who draws it; one table of them makes the whole console.

    Page("/desk/ledger", Act.CHECKPOINT_READ, ledger, title="Ledger", group="Evidence")
    Page("/desk/ledger", Act.LEDGER_READ, verify, method="POST")

- A page with a `group` stands in the navigation of those who may see it.
- What changes something is a POST with the field `token`, or with the header that scripts send, and is answered by a
  redirect (303), so that going back or loading anew does nothing twice.
- Forms work without scripts; htmx asks for the same pages and takes a part of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, RedirectResponse, Response

from demur.console import notices
from demur.console.drawing import Link
from demur.core import access
from demur.core.access import ALLOWED
from demur.errors import IntakeError
from demur.server import cookies, guard, identify
from demur.server.route import Call

if TYPE_CHECKING:
    from demur.console.drawing import Drawing
    from demur.console.lines import Lines
    from demur.core.access import Act, Identity
    from demur.server.service import Service

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
MAX_FIELDS = 500
MAX_FIELD = 200_000
"""Longest field of a form, in characters: a document of policies."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, or with `method` POST one thing that a page can do. `title` and `group` place it in the navigation."""

    path: str
    act: Act
    handling: Handling
    title: str = ""
    group: str = ""
    method: str = "GET"

    @property
    def link(self) -> Link:
        """How the navigation names it."""
        return Link(self.path, self.title, self.group, ALLOWED[self.act])

    def is_for(self, identity: Identity) -> bool:
        """Whether this person's roles allow it."""
        return not identity.roles.isdisjoint(ALLOWED[self.act])

    async def answer(self, service: Service, request: HttpRequest, drawing: Drawing, lines: Lines) -> Response:
        """The response; raises whatever `handling` raises."""
        fields = await _fields(request) if self.method == "POST" else {}
        request = _with_token(request, fields)
        identity, gate = await service.enter(request, self.act)
        return await self.handling(
            Visit(service, request, identity, gate, page=self, drawing=drawing, lines=lines, fields=fields)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Call):
    """A call of a page: beside whoever calls and their gate, what they typed, how pages are drawn, and what waits."""

    page: Page
    drawing: Drawing
    lines: Lines
    fields: Mapping[str, tuple[str, ...]]

    def field(self, name: str) -> str:
        """What stands in a field of the form that was sent; "" where it was not."""
        return self.fields.get(name, ("",))[0]

    def every(self, name: str) -> tuple[str, ...]:
        """What stands in all fields of this name."""
        return self.fields.get(name, ())

    def query(self, name: str) -> str:
        """A parameter of the address; "" where there is none."""
        return self.request.query_params.get(name, "")

    def may(self, act: Act) -> bool:
        """Whether whoever calls could do this: what they may not is not offered."""
        return not self.identity.roles.isdisjoint(ALLOWED[act])

    def check(self, act: Act) -> None:
        """Raises `AccessError` unless whoever calls may do this."""
        access.check(self.identity, act, tenant=self.identity.tenant, now=self.service.clock.now())

    def show(self, template: str, /, *, status: int = 200, **values: object) -> Response:
        """The page that a template makes of these values, with what every page has."""
        path = self.request.url.path
        every = {
            "me": self.identity,
            "now": self.service.clock.now(),
            "token": cookies.token(identify.credential(self.request)),
            "navigation": self.drawing.navigation(self.identity, path),
            "here": path,
            "notice": notices.WORDS.get(self.query("did"), ""),
            "title": self.page.title,
        }
        return respond(self.drawing.draw(template, every | values), status)

    def back(self, path: str, *, did: str = "", **query: str) -> Response:
        """On to a page after something was done; `did` is a word of `notices.WORDS` that it tells there."""
        told = {name: text for name, text in {**query, "did": did}.items() if text}
        return RedirectResponse(path + (f"?{urlencode(told)}" if told else ""), 303)


Handling: TypeAlias = Callable[[Visit], Awaitable[Response]]


def respond(text: str, status: int = 200) -> Response:
    """HTML with the content policy of the console: no inline script or style, nothing from elsewhere."""
    return HTMLResponse(text, status, {"Content-Security-Policy": CSP})


async def _fields(request: HttpRequest) -> dict[str, tuple[str, ...]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind != "application/x-www-form-urlencoded":
        raise IntakeError("", expected="a form", found=f"`{kind[:40]}`")
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise IntakeError("", expected="a form", found="something else") from error
    for name, values in found.items():
        if any(len(value) > MAX_FIELD for value in values):
            raise IntakeError(f"/{name[:40]}", expected=f"at most {MAX_FIELD} characters", found="more")
    return {name: tuple(values) for name, values in found.items()}


def _with_token(request: HttpRequest, fields: Mapping[str, tuple[str, ...]]) -> HttpRequest:
    """The request with the token of its form where a script would have sent it; a header that came along counts."""
    if "token" not in fields or guard.header(request.scope, cookies.TOKEN_HEADER.lower().encode()):
        return request
    sent = fields["token"][0].encode("latin-1", "replace")
    headers = [*request.scope["headers"], (cookies.TOKEN_HEADER.lower().encode(), sent)]
    return HttpRequest({**request.scope, "headers": headers})
