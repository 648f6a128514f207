"""A route: method, path, what whoever calls must be allowed to do, and who answers; everything else follows from it.

    Route("POST", "/grants/redeem", Act.GRANT_USE, redeem, reads=Redeeming, answers=Redeemed)

From this one table the application is built, the OpenAPI document is written, and the tests walk every route with every
role and tenant. Bodies are read as intake reads them (no member twice, no number that is none), then as their struct.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec
from starlette.responses import Response

from demur.core import intake
from demur.errors import AccessError, IntakeError
from demur.server import identify

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from demur.core.access import Act, Identity
    from demur.gateway import Gateway
    from demur.server.service import Service
    from demur.wiring import Parts

T = TypeVar("T")
Body = TypeVar("Body", bound=msgspec.Struct)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a route: who calls, which gate is theirs, and what they sent."""

    service: Service
    request: HttpRequest
    identity: Identity
    gate: Gateway
    body: object = None

    @property
    def parts(self) -> Parts:
        """The caller's tenant."""
        return self.service.tenants.parts(self.identity.tenant)

    @property
    def credential(self) -> str:
        """What a person rules and moves levers by (S7.4); raises `AccessError` for a program."""
        if not self.identity.is_person:
            raise AccessError(
                "expected a person who logged in, found a program", hint="log in, and send that credential"
            )
        return identify.credential(self.request).decode("ascii", "replace")

    def given(self, kind: type[Body]) -> Body:
        """The body, as the struct that the route reads."""
        assert isinstance(self.body, kind)
        return self.body

    def path(self, name: str) -> str:
        """A parameter of the path."""
        return str(self.request.path_params[name])

    def number(self, name: str, default: int, *, most: int) -> int:
        """A whole number of the query, from 0 to `most`; raises `IntakeError`."""
        text = self.request.query_params.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 17) or int(text) > most:
            raise IntakeError(f"?{name}", expected=f"a whole number from 0 to {most}", found=f"`{text[:40]}`")
        return int(text)

    async def run(self, work: Callable[[], T]) -> T:
        """What a step returns that waits for the store, without holding up anybody else."""
        return await asyncio.to_thread(work)


Handling: TypeAlias = Callable[[Call], Awaitable[object]]
"""Answers a call with a struct, a mapping or a finished response."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `reads` and `answers` are structs; `act` is None where everybody may ask.

    The first line of the docstring of `handling` is the summary that documents show, the rest the description.
    """

    method: str
    path: str
    act: Act | None
    handling: Handling
    reads: type[msgspec.Struct] | None = None
    answers: type | None = None
    status: int = 200
    media_type: str = "application/json"
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the query: name and what it is."""
    example: Mapping[str, object] | None = None
    """A body that could be sent."""
    max_bytes: int = intake.MAX_BYTES
    """How large the body may be, where that is more than the settings allow for all."""

    def __post_init__(self) -> None:
        if self.reads is not None:
            # What a type looks like is worked out once, before threads could do it at the same moment.
            msgspec.json.Decoder(self.reads)

    async def answer(self, service: Service, request: HttpRequest) -> Response:
        """The response; raises whatever `handling` raises."""
        if self.act is None:
            raise AccessError("expected a route that knows who calls, found one that does not")
        identity, gate = await service.enter(request, self.act)
        call = Call(service, request, identity, gate, await self._read(request))
        told = await self.handling(call)
        if isinstance(told, Response):
            return told
        if told is None:
            return Response(status_code=204)
        return Response(_encode(told), self.status, media_type="application/json")

    async def _read(self, request: HttpRequest) -> msgspec.Struct | None:
        if self.reads is None:
            return None
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent != "application/json":
            raise IntakeError("", expected="the content type `application/json`", found=f"`{sent[:64]}`")
        members = intake.parse(await request.body(), max_bytes=self.max_bytes)
        try:
            return msgspec.convert(members, self.reads)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            pointer = place.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
            raise IntakeError(
                pointer, expected="what the documents of this route say", found=message.lower()
            ) from error
