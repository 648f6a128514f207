"""The service with its desk: the API as it is, and beside it pages for people.

- A browser that is not logged in is sent to log in, and comes back to where it wanted to go.
- The cookie of a login is not sent where another site led here, as a link in a mail does. One step on our own page
  and it is; nobody who is logged in logs in again for a link.
- What cannot be done is told on a page, in the words of the problem document that the API would have given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec
from starlette.responses import RedirectResponse, Response

from demur.console.drawing import Drawing
from demur.console.files import PREFIX, Files
from demur.console.lines import Lines
from demur.console.page import respond
from demur.console.pages import PAGES
from demur.errors import DemurError
from demur.server import app, cookies, login, pages, problems
from demur.server.problems import NotFoundError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request as HttpRequest

    from demur.console.page import Page
    from demur.server.app import Front
    from demur.server.service import Answering, Service

    Endpoint = Callable[[HttpRequest], Awaitable[Response]]

HOME = "/desk"


def build(service: Service) -> Front:
    """The application over an open service: its API, and the desk at `/`."""
    front = app.build(service)
    service.landing = "/"
    links = [page.link for page in PAGES if page.group and page.method == "GET"]
    drawing, lines = Drawing(Files.read(), links), Lines()
    add = front.api.router.add_route

    async def static(_: Service, request: HttpRequest) -> Response:
        return drawing.files.respond(request)

    async def home(_: Service, request: HttpRequest) -> Response:
        identity = await service.identities.identify(request)
        first = next((page.path for page in PAGES if page.group and page.is_for(identity)), "/me")
        return RedirectResponse(first, 303)

    async def lost(_: Service, request: HttpRequest) -> Response:
        del request
        raise NotFoundError("expected the address of a page, found another")

    add("/", _endpoint(front, drawing, _told(home, drawing)), methods=["GET"], include_in_schema=False)
    add(PREFIX + "{name}", front.route(static), methods=["GET"], include_in_schema=False)
    for page in PAGES:
        add(
            page.path,
            _endpoint(front, drawing, _answering(page, drawing, lines)),
            [page.method],
            include_in_schema=False,
        )
    add(HOME + "/{rest:path}", _endpoint(front, drawing, _told(lost, drawing)), ["GET"], include_in_schema=False)
    return front


def _answering(page: Page, drawing: Drawing, lines: Lines) -> Answering:
    async def answer(service: Service, request: HttpRequest) -> Response:
        return await page.answer(service, request, drawing, lines)

    return _told(answer, drawing)


def _told(answering: Answering, drawing: Drawing) -> Answering:
    """The same, with errors told as pages and strangers sent to log in."""

    async def answer(service: Service, request: HttpRequest) -> Response:
        try:
            return await answering(service, request)
        except UnauthenticatedError:
            return _to_log_in(request)
        except DemurError as error:
            return _page_of(problems.of(error), request, drawing)

    return answer


def _endpoint(front: Front, drawing: Drawing, answering: Answering) -> Endpoint:
    guarded = front.route(answering)

    async def endpoint(request: HttpRequest) -> Response:
        response = await guarded(request)
        if response.media_type == problems.MEDIA_TYPE:  # a mistake of the service itself
            return _page_of(response, request, drawing)
        return response

    return endpoint


def _page_of(problem: Response, request: HttpRequest, drawing: Drawing) -> Response:
    told = msgspec.json.decode(problem.body, type=dict[str, object])
    page = respond(drawing.error(request.url.path, told), problem.status_code)
    if "retry-after" in problem.headers:
        page.headers["Retry-After"] = problem.headers["retry-after"]
    return page


def _to_log_in(request: HttpRequest) -> Response:
    is_reading = request.method in cookies.SAFE
    wanted = login.within(_asked(request) if is_reading else _form_of(request)) or HOME
    if is_reading and request.headers.get("sec-fetch-site") == "cross-site" and not cookies.kept(request):
        return pages.step_on(wanted)
    where = f"/login?next={quote(wanted, safe='/')}"
    if "hx-request" in request.headers:  # a script would follow the redirect and show the form inside the page
        return Response(status_code=204, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def _asked(request: HttpRequest) -> str:
    return quote(request.scope["path"], safe="/") + (f"?{request.url.query}" if request.url.query else "")


def _form_of(request: HttpRequest) -> str:
    """The page of ours whose form was sent, "" where the browser does not say."""
    sent = urlsplit(request.headers.get("referer", ""))
    return sent.path if sent.netloc == request.headers.get("host", "") else ""
