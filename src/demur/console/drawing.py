"""Templates into HTML: one Jinja environment for the whole life of the service, autoescaping and strict.

A value that is not there is an error, never an empty place; text from outside is text, whatever it looks like, and
characters that would change how the rest of a line reads are shown by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from demur.console import telling
from demur.console.files import HTMX, Files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.access import Identity, Role

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


class Link(NamedTuple):
    """A page as the navigation names it, and the roles that may see it."""

    path: str
    title: str
    group: str
    roles: frozenset[Role]


class Drawing:
    """Draws the pages of one service."""

    def __init__(self, files: Files, links: Sequence[Link]) -> None:
        self.files = files
        self._links = tuple(links)
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

    def draw(self, template: str, values: Mapping[str, object]) -> str:
        """What a template makes of these values."""
        return self._jinja.get_template(template).render(values)

    def error(self, path: str, told: Mapping[str, object]) -> str:
        """A page for what could not be done at a path; `told` is a problem document."""
        nobody = {"navigation": (), "notice": "", "me": None}
        return self.draw("error.html", {"title": told["title"], "told": told, "here": path, **nobody})

    def navigation(self, identity: Identity, path: str) -> list[dict[str, object]]:
        """The pages that somebody may see, by group; that which `path` belongs to is marked."""
        groups: dict[str, list[dict[str, object]]] = {}
        for link in self._links:
            if not identity.roles.isdisjoint(link.roles):
                home = link.path if link.path != "/desk" else "/desk/reviews"
                is_here = path == link.path or path.startswith(home + "/")
                shown = {"path": link.path, "title": link.title, "key": KEYS.get(link.path, ""), "is_here": is_here}
                groups.setdefault(link.group, []).append(shown)
        return [{"title": group, "pages": pages} for group, pages in groups.items()]
