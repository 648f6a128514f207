"""Before anything is answered: how much is read, how fast, from how many; and what every response says.

- A body is read up to its cap; what is announced as larger is not read at all. How deep it nests is the business of
  intake, before a parser sees it (S1.2).
- A caller who asks faster than agreed is told to wait (429). More than can be taken on at a time is answered
  `unavailable` with `Retry-After`, so that those who were let in are answered in time.
- A connection that sends a request too slowly is cut off, where the connections are (`running`).
- Every response forbids caching, framing and sniffing, and carries the `X-Request-ID` of its request.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.errors import OverloadedError
from demur.server.problems import TooLargeError, TooManyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message, Receive, Scope

    Headers = list[tuple[bytes, bytes]]

MAX_CALLERS = 10_000
"""Callers whose pace is remembered; whoever was quiet for longest goes first."""
SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Not `no-referrer`: browsers then send `Origin: null` with the forms of our own pages (Fetch, 3.2).
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,256}")


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Pace:
    """A token bucket for each caller: `per_second` on average, `burst` at once. For one event loop."""

    def __init__(self, per_second: int, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request; raises `TooManyError` where the caller has asked for more than agreed."""
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(self._burst, now)
            if len(self._buckets) > MAX_CALLERS:
                self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._per_second)
        bucket.filled_at = now
        self._buckets.move_to_end(caller)
        if bucket.tokens < 1:
            raise TooManyError(f"expected at most {self._per_second} requests a second, found more")
        bucket.tokens -= 1


def header(scope: Scope, name: bytes) -> str:
    """The first header of this name, or nothing."""
    for found, value in scope["headers"]:
        if found == name:
            return str(value, "latin-1")
    return ""


def request_id(scope: Scope) -> bytes | None:
    """The `X-Request-ID` that was sent, where it can be sent back."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value if _REQUEST_ID.fullmatch(value) else None
    return None


def headed(headers: Headers, named: bytes | None) -> Headers:
    """The headers of a response with those that every response has. One that a route has set stays."""
    if SECURITY[0] not in headers or SECURITY[-1] not in headers:
        own = {name for name, _ in headers}
        headers.extend(pair for pair in SECURITY if pair[0] not in own)
    if named is not None:
        headers.append((b"x-request-id", named))
    return headers


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """The body; raises `TooLargeError`, and `OverloadedError` where the client went away."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > 18 or int(value) > max_bytes):
            raise _too_large(max_bytes)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    return await _read(message, receive, max_bytes)


async def _read(message: Message, receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
    raise OverloadedError("the client went away")


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"expected at most {max_bytes} bytes, found more")


def bounded(scope: Scope, receive: Receive, max_bytes: int) -> Receive:
    """A `receive` that gives the whole body at once, once it is asked for; raises as `read_body`."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        body = await read_body(scope, receive, max_bytes)
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read, and then what the connection says."""
    given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return given.pop() if given else await receive()

    return give
