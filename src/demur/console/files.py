"""Style sheets, scripts and pictures, read once at the start and served under names that carry their digest.

- `/desk/static/desk.1f0c9a2b71d3.css` never changes and is kept for a year; the plain name is checked again each time.
- A name is looked up among those that were read, so there is no path that could lead elsewhere.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Self

from starlette.responses import Response

from demur.server.problems import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request as HttpRequest

PREFIX = "/desk/static/"
HTMX = "htmx.min.js"
"""Comes out of its own package when a wheel is built; whatever it does works without it."""
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
_EACH_TIME = "no-cache"
_logger = logging.getLogger("demur")


@dataclass(frozen=True, slots=True)
class File:
    """One file: what it holds, its media type, and the digest that its name carries."""

    name: str
    content: bytes
    media_type: str
    digest: str

    @property
    def kept_name(self) -> str:
        """The name that stands for exactly this content."""
        stem, _, ending = self.name.rpartition(".")
        return f"{stem}.{self.digest}.{ending}"


class Files:
    """The static files of the console."""

    def __init__(self, found: Iterable[File]) -> None:
        self._by_name: Mapping[str, File] = {one.name: one for one in found}
        self._by_kept_name = {one.kept_name: one for one in self._by_name.values()}

    @classmethod
    def read(cls) -> Self:
        """Those that the package carries."""
        found = [
            _file(one.name, one.read_bytes())
            for one in files("demur.console").joinpath("static").iterdir()
            if one.name.rpartition(".")[2] in _TYPES
        ]
        if HTMX not in {one.name for one in found}:
            _logger.warning(
                "the console has no `%s`: pages load anew with every step; build the package to put it there", HTMX
            )
        return cls(found)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return name in self._by_name

    def url(self, name: str) -> str:
        """Where pages find it."""
        return PREFIX + self._by_name[name].kept_name

    def respond(self, request: HttpRequest) -> Response:
        """The file that a request names; raises `NotFoundError`."""
        name = str(request.path_params["name"])
        kept = self._by_kept_name.get(name)
        one = kept or self._by_name.get(name)
        if one is None:
            raise NotFoundError("expected the name of a file of the console, found another")
        tag = f'"{one.digest}"'
        headers = {"ETag": tag, "Cache-Control": _FOREVER if kept else _EACH_TIME}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(one.content, media_type=one.media_type, headers=headers)


def _file(name: str, content: bytes) -> File:
    return File(name, content, _TYPES[name.rpartition(".")[2]], hashlib.sha256(content).hexdigest()[:12])
