"""What hot routes answer: JSON that is encoded already, under headers that are made once.

A response of the framework writes its headers anew for every answer; here only the length of the body differs, and
the `X-Request-ID` where one was sent.
"""

from __future__ import annotations

from starlette.responses import Response

from demur.server import guard

JSON = "application/json"
_FIXED: dict[str, tuple[tuple[bytes, bytes], ...]] = {}


class Reply(Response):
    """A response with all the headers that every response has (`guard.SECURITY`), and those in `more`."""

    def __init__(
        self, body: bytes, status: int = 200, media_type: str = JSON, more: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.status_code = status
        self.media_type = media_type
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), *_fixed(media_type), *more]


def _fixed(media_type: str) -> tuple[tuple[bytes, bytes], ...]:
    found = _FIXED.get(media_type)
    if found is None:
        found = _FIXED[media_type] = ((b"content-type", media_type.encode("latin-1")), *guard.SECURITY)
    return found
