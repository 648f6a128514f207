"""A stream of server-sent events as a response: as long as its credential, and no longer than its reader.

- One that reads nothing is cut off. A stream ends when its credential does, and after an hour at the latest, so that
  whoever comes back is looked at again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from demur.errors import IntakeError
from demur.server.events import Feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response
    from starlette.types import Message, Send

    from demur.server.route import Call

MEDIA_TYPE = "text/event-stream"
SEND_SECONDS = 30.0
"""After so long without reading anything a client is cut off."""
MAX_SECONDS = 3_600.0


class _Stream(StreamingResponse):
    """Cuts off whoever reads nothing, and whoever has listened for long enough."""

    def __init__(self, content: AsyncIterator[bytes], *, seconds: float) -> None:
        super().__init__(content, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
        self._content = content
        self._seconds = seconds

    async def stream_response(self, send: Send) -> None:
        async def timed(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await super().stream_response(timed)
            return
        with contextlib.suppress(TimeoutError, RuntimeError):
            await timed({"type": "http.response.body", "body": b"", "more_body": False})


async def respond(call: Call) -> Response:
    """The stream of the caller's tenant; raises `IntakeError` for a `Last-Event-ID` that is none."""
    store = call.parts.world.store
    feed = call.service.feeds.setdefault(call.identity.tenant, Feed(store))
    return send(call, feed.follow(_after(call)))


def send(call: Call, content: AsyncIterator[bytes]) -> Response:
    """This stream, for as long as the caller's credential; raises `IntakeError` where none was asked for."""
    if MEDIA_TYPE not in call.request.headers.get("accept", ""):
        # Whoever does not know that this never ends would wait for its end.
        raise IntakeError("", expected=f"`Accept: {MEDIA_TYPE}`, since this is a stream", found="something else")
    seconds = MAX_SECONDS
    if (end := call.identity.expires_at) is not None:
        seconds = min(seconds, max(1.0, (end.nanos - call.service.clock.now().nanos) / 1e9))
    return _Stream(content, seconds=seconds)


def _after(call: Call) -> int | None:
    text = call.request.headers.get("last-event-id", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        raise IntakeError("", expected="the id of an event in `Last-Event-ID`", found=f"`{text[:40]}`")
    return int(text)
