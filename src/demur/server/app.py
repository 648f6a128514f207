"""The whole service put together: FastAPI as the shell, and the hot routes beside it as plain Starlette routes.

FastAPI describes and validates what is asked seldom. What is asked a thousand times a second goes through routes that
stand before its own, since its validation alone would cost more than the answer.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from demur.errors import DemurError
from demur.server import authzen, problems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

    from demur.server.service import Service

    Answering = Callable[[Service, HttpRequest], Awaitable[Response]]

HOT: tuple[tuple[str, str, Answering], ...] = (
    ("POST", "/access/v1/evaluation", authzen.evaluation),
    ("POST", "/access/v1/evaluations", authzen.evaluations),
)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,256}")


def build(service: Service) -> FastAPI:
    """The application over an open service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = FastAPI(title="Demur", lifespan=lifespan)
    for place, (method, path, answering) in enumerate(HOT):
        app.router.routes.insert(place, Route(path, _guarded(service, answering), methods=[method]))
    return app


def _guarded(service: Service, answering: Answering) -> Callable[[HttpRequest], Awaitable[Response]]:
    """A hot route: errors become problem documents, and the caller's request id comes back."""

    async def endpoint(request: HttpRequest) -> Response:
        try:
            response = await answering(service, request)
        except DemurError as error:
            response = problems.of(error)
        named = request.headers.get("x-request-id", "")
        if _REQUEST_ID.fullmatch(named):
            response.headers["X-Request-ID"] = named
        return response

    return endpoint
