"""The whole service put together: FastAPI as the shell, and the hot routes before it.

FastAPI describes and validates what is asked seldom. What is asked a thousand times a second does not pass through it,
since its validation and routing alone would cost more than the answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.requests import Request as HttpRequest

from demur.errors import DemurError
from demur.server import authzen, guard, problems

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

    from demur.server.service import Answering, Service

_logger = logging.getLogger("demur")


class Front:
    """The ASGI application: reads and answers hot requests itself and hands the others to `api`, guarded alike."""

    def __init__(self, service: Service, api: FastAPI) -> None:
        self.api = api
        self._service = service
        self._limits = service.settings.limits
        self._hot: dict[tuple[str, str], Answering] = {
            (method, path): answering for method, path, _, answering in authzen.ROUTES if "{" not in path
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the beginning and the end of the service."""
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        answering = self._hot.get((scope["method"], scope["path"]))
        if answering is None:
            await self._hand_on(scope, receive, send)
            return
        limited = guard.bounded(scope, receive, self._limits, max_bytes=self._limits.max_body_bytes)
        response = await self._answer(answering, HttpRequest(scope, limited))
        guard.headed(response.raw_headers, guard.request_id(scope))
        await response(scope, receive, send)

    def route(self, answering: Answering) -> Callable[[HttpRequest], Awaitable[Response]]:
        """The same for FastAPI's router, where a path has parameters."""

        async def endpoint(request: HttpRequest) -> Response:
            return await self._answer(answering, request)

        return endpoint

    async def _answer(self, answering: Answering, request: HttpRequest) -> Response:
        try:
            return await answering(self._service, request)
        except DemurError as error:
            return problems.of(error)
        except Exception:  # the edge: whatever happened, nobody is left without an answer, and none of it is an allow
            _logger.exception("a request could not be answered")
            return problems.broken()

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = guard.request_id(scope)

        async def send_headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = guard.headed(list(message.get("headers", ())), named)
            await send(message)

        try:
            # FastAPI would call whatever goes wrong here a malformed body.
            body = await guard.read_body(scope, receive, self._limits, max_bytes=self._limits.max_body_bytes)
        except DemurError as error:
            await problems.of(error)(scope, receive, send_headed)
            return
        await self.api(scope, guard.replayed(body, receive), send_headed)


def build(service: Service) -> Front:
    """The application over an open service."""
    api = FastAPI(title="Demur")
    front = Front(service, api)
    for method, path, _, answering in authzen.ROUTES:
        if "{" in path:
            api.router.add_route(path, front.route(answering), methods=[method])
    return front
