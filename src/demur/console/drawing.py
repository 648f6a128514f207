"""Templates into HTML: one Jinja environment for the whole life of the service, autoescaping and strict.

A value that is not there is an error, never an empty place; text from outside is text, whatever it looks like, and
characters that would change how the rest of a line reads are shown by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from demur.console import notices, telling
from demur.console.files import HTMX, Files
from demur.server import cookies, identify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request as HttpRequest

    from demur.console.page import Page, Visit
    from demur.core.access import Identity

KEYS = {
    "/desk": "q",
    "/desk/overview": "o",
    "/desk/decisions": "d",
    "/desk/policies": "p",
    "/desk/playground": "y",
    "/desk/ledger": "l",
    "/desk/sessions": "s",
    "/desk/levers": "v",
    "/desk/people": "e",
}
"""By page: the key that, after `g`, leads to it."""


class Drawing:
    """Draws the pages of one service."""

    def __init__(self, files: Files, pages: Sequence[Page]) -> None:
        self.files = files
        self._pages = tuple(page for page in pages if page.group and page.method == "GET")
        self._jinja = Environment(
            loader=PackageLoader("demur.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=telling.visible,
        )
        self._jinja.globals.update(static=files.url, htmx=HTMX if files.has(HTMX) else "")
        self._jinja.filters.update(telling.FILTERS)

    def page(self, visit: Visit, template: str, values: Mapping[str, object]) -> str:
        """The page of a visit: `values`, and what every page has."""
        return self._jinja.get_template(template).render(
            {
                "me": visit.identity,
                "now": visit.service.clock.now(),
                "token": cookies.token(identify.credential(visit.request)),
                "navigation": self._navigation(visit.identity, visit.request.url.path),
                "here": visit.request.url.path,
                "notice": notices.WORDS.get(visit.query("did"), ""),
                "title": visit.page.title,
                **values,
            }
        )

    def error(self, request: HttpRequest, told: Mapping[str, object]) -> str:
        """A page for what could not be done; `told` is a problem document."""
        return self._jinja.get_template("error.html").render(
            {"title": told["title"], "told": told, "here": request.url.path, "navigation": (), "notice": "", "me": None}
        )

    def _navigation(self, identity: Identity, path: str) -> list[dict[str, object]]:
        groups: dict[str, list[dict[str, object]]] = {}
        for page in self._pages:
            if page.is_for(identity):
                is_here = path == page.path or (page.path != "/desk" and path.startswith(page.path + "/"))
                is_here = is_here or (page.path == "/desk" and path.startswith("/desk/reviews"))
                groups.setdefault(page.group, []).append(
                    {"path": page.path, "title": page.title, "key": KEYS.get(page.path, ""), "is_here": is_here}
                )
        return [{"title": group, "pages": pages} for group, pages in groups.items()]
