"""More is asked than is taken on: whoever comes then is told so at once, counted, and not heard again for a moment.

- Those who were let in must be answered in time, so to turn somebody away costs next to nothing: it happens before the
  body is read, by the credential as it was last known, with an answer that is written once for many.
- Everybody who is turned away is counted, and a gap record tells how many there were (S5.2).
- `Retry-After` says when to come back. From a connection on which somebody was turned away nothing more is read for
  `REST_SECONDS`: clients that come back at once would take the time of those who were let in.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from demur.server import problems
from demur.server.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

    from demur.core.evidence import Answer
    from demur.gateway import Gateway

REST = "demur.rest"
"""The extension of the ASGI scope by which a connection is given its rest."""
REST_SECONDS = 0.5
SAME_SECONDS = 0.05
"""How long one answer is told to all: it names an instant and a checkpoint, neither of them older than this."""
MAX_SAME = 256
"""Answers kept at a time, one for each tenant and language."""
_RETRY = ((b"retry-after", b"%d" % problems.RETRY_SECONDS),)


class Overload:
    """Turns requests away. For one event loop."""

    def __init__(self, pace: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._written: dict[tuple[str, str], tuple[float, bytes]] = {}

    def turn_away(
        self, request: HttpRequest, gate: Gateway, key: tuple[str, str], tell: Callable[[Answer], dict[str, object]]
    ) -> Response:
        """The answer `unavailable`, counted; `key` is the tenant and the language that `tell` puts it in."""
        answer = gate.turn_away()
        now = self._pace()
        written = self._written.get(key)
        if written is None or now - written[0] > SAME_SECONDS:
            if len(self._written) >= MAX_SAME:
                self._written.clear()
            written = self._written[key] = now, bytes(problems.unavailable(tell(answer)).body)
        rest = request.scope.get("extensions", {}).get(REST)
        if rest is not None:
            rest()
        return Reply(written[1], 503, problems.MEDIA_TYPE, _RETRY)
