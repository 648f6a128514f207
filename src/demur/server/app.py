"""The whole service put together: FastAPI as the shell, and the hot routes before it.

FastAPI describes and validates what is asked seldom. What is asked a thousand times a second does not pass through it,
since its validation and routing alone would cost more than the answer.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from demur.core import intake
from demur.errors import DemurError
from demur.server import authzen, docs, guard, openapi, problems
from demur.server.oidc import doors
from demur.server.routes import ROUTES, health

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Scope, Send

    from demur.server.service import Answering, Service

    Endpoint = Callable[[HttpRequest], Awaitable[Response]]

_logger = logging.getLogger("demur")


class Front:
    """The ASGI application: reads and answers hot requests itself and hands the others to `api`, guarded alike."""

    def __init__(self, service: Service, api: FastAPI) -> None:
        self.api = api
        self._service = service
        self._limits = service.settings.limits
        self._caps = {
            (route.method, route.path): max(route.max_bytes, self._limits.max_body_bytes)
            for route in ROUTES
            if route.max_bytes > intake.MAX_BYTES
        }
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
        limited = guard.bounded(scope, receive, self._limits.max_body_bytes)
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

    def _most(self, scope: Scope) -> int:
        """Bytes that a body may have: more where a route takes more, from somebody whose API key or login we know."""
        most = self._caps.get((scope["method"], scope["path"]))
        if most is None or not self._service.identities.recognise(HttpRequest(scope)):
            return self._limits.max_body_bytes
        return most

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = guard.request_id(scope)

        async def send_headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = guard.headed(list(message.get("headers", ())), named)
            await send(message)

        try:
            # FastAPI would call whatever goes wrong here a malformed body.
            body = await guard.read_body(scope, receive, self._most(scope))
        except DemurError as error:
            await problems.of(error)(scope, receive, send_headed)
            return
        await self.api(scope, guard.replayed(body, receive), send_headed)


def build(service: Service) -> Front:
    """The application over an open service."""
    api = FastAPI(title=openapi.TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    front = Front(service, api)
    known = [*authzen.ROUTES, *((method, path, None, answering) for method, path, answering in health.OPEN)]
    for method, path, act, answering in known:
        more = openapi.hot(path, is_open=act is None)
        _add(api, method, path, front.route(answering), answering.__doc__ or "", more)
    for route in ROUTES:
        endpoint = front.route(route.answer)
        _add(api, route.method, route.path, endpoint, route.handling.__doc__ or "", openapi.operation(route))
    for method, path, answering in doors(service):
        api.router.add_route(path, front.route(answering), methods=[method], include_in_schema=False)
    written = openapi.document(api, ROUTES)
    api.router.add_route("/openapi.json", lambda _: JSONResponse(written), include_in_schema=False)
    api.router.add_route("/docs", lambda _: docs.page(written), include_in_schema=False)
    api.add_exception_handler(HTTPException, _http_problem)
    return front


def _add(api: FastAPI, method: str, path: str, endpoint: Endpoint, doc: str, more: dict[str, object]) -> None:
    summary, _, rest = doc.partition("\n")
    api.add_api_route(
        path,
        endpoint,
        methods=[method],
        response_model=None,
        summary=summary.rstrip("."),
        description=" ".join(rest.split()),
        operation_id=f"{method} {path}",
        openapi_extra=more,
    )


async def _http_problem(request: HttpRequest, error: Exception) -> Response:
    """What the framework itself refuses: a path or a method that there is not."""
    del request
    status = error.status_code if isinstance(error, HTTPException) else 500
    word = "not_found" if status == 404 else "not_allowed" if status == 405 else "refused"
    response = problems.problem(status, word, HTTPStatus(status).phrase, "")
    for name, value in (getattr(error, "headers", None) or {}).items():
        response.headers[name] = value
    return response
