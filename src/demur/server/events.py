"""What happens to reviews, told as it happens (server-sent events), from the ledger.

    id: 41
    event: governance.review.opened
    data: {"review_id":"5f...","status":"pending_review","audit_id":"clinic/41","time":"2026-11-20T09:00:00Z"}

- An event is a record, and its id the record's number. What another replica recorded is told too, and a client that
  comes back with `Last-Event-ID` gets what it missed, whichever replica it comes back to.
- The ledger is read once for all clients of a tenant. Each has a queue with an end: one that reads too slowly is told
  `dropped` with where to resume, and the connection ends. One that reads nothing is cut off.
- A comment keeps the connection alive where nothing happens. A stream ends when its credential does, and after an hour
  at the latest, so that whoever comes back is looked at again.

Source: WHATWG HTML, section 9.2, server-sent events. Clauses: S7, S10.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import StreamingResponse

from demur.errors import DemurError, IntakeError, OverloadedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.responses import Response
    from starlette.types import Message, Send

    from demur.ports import Store
    from demur.server.route import Call

MEDIA_TYPE = "text/event-stream"
POLL_SECONDS = 0.5
"""Between two looks at the end of the ledger."""
HEARTBEAT_SECONDS = 15.0
SEND_SECONDS = 30.0
"""After so long without reading anything a client is cut off."""
MAX_SECONDS = 3_600.0
QUEUE = 256
"""Events that wait for one client."""
MAX_CLIENTS = 100
"""Clients of one tenant."""
CHUNK = 500
"""Records that are read at a time."""
_KINDS = {
    "decision": "governance.review.opened",
    "glass_used": "governance.review.opened",
    "review_ruled": "governance.review.ruled",
    "review_expired": "governance.review.expired",
    "review_cancelled": "governance.review.cancelled",
}
_STATES = {"decision": "pending_review", "glass_used": "pending_review"}
_logger = logging.getLogger("demur")
_encode = msgspec.json.Encoder().encode


class _Leaf(msgspec.Struct):
    type: str
    timestamp: str = ""
    review: str = ""
    state: str = ""


_leaves = msgspec.json.Decoder(_Leaf)


class Event(msgspec.Struct, frozen=True):
    """One thing that happened to a review, as it is sent."""

    sequence: int
    text: bytes


class _Client:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE + 1)


class Feed:
    """The events of one tenant's ledger, for any number of clients on one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clients: set[_Client] = set()
        self._following: asyncio.Task[None] | None = None
        self._position = 0

    async def follow(self, after: int | None, *, heartbeat: float = HEARTBEAT_SECONDS) -> AsyncGenerator[bytes, None]:
        """The stream from record `after` on, from now on where it is None; ends where the client is dropped."""
        client, position = await self._join()
        try:
            yield b"retry: 2000\n: connected\n\n"
            last = position - 1 if after is None else after
            async for event in self._missed(last + 1, position):
                last = event.sequence
                yield event.text
            while True:
                try:
                    event_now = await asyncio.wait_for(client.queue.get(), heartbeat)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if event_now is None:
                    yield b"event: dropped\ndata: " + _encode({"resume_after": last}) + b"\n\n"
                    return
                last = event_now.sequence
                yield event_now.text
        finally:
            self._leave(client)

    def close(self) -> None:
        """End every stream."""
        for client in tuple(self._clients):
            self._drop(client)

    async def _join(self) -> tuple[_Client, int]:
        if len(self._clients) >= MAX_CLIENTS:
            raise OverloadedError(f"{MAX_CLIENTS} clients listen already")
        client = _Client()
        self._clients.add(client)
        if self._following is None:
            self._position = await asyncio.to_thread(self._size)
            if self._following is None:
                self._following = asyncio.create_task(self._follow())
        return client, self._position

    def _leave(self, client: _Client) -> None:
        self._clients.discard(client)
        if not self._clients and self._following is not None:
            self._following.cancel()
            self._following = None

    async def _missed(self, first: int, end: int) -> AsyncIterator[Event]:
        for start in range(first, end, CHUNK):
            for event in await asyncio.to_thread(self._read, start, min(end, start + CHUNK)):
                yield event

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                size = await asyncio.to_thread(self._size)
                while self._position < size:
                    end = min(size, self._position + CHUNK)
                    found = await asyncio.to_thread(self._read, self._position, end)
                    self._position = end
                    for event in found:
                        self._tell(event)
            except DemurError as error:  # the store is away; whoever listens gets it all once it is back
                _logger.warning("events are delayed: %s", error)

    def _tell(self, event: Event) -> None:
        for client in tuple(self._clients):
            if client.queue.qsize() >= QUEUE:
                self._drop(client)
            else:
                client.queue.put_nowait(event)

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client)
        while not client.queue.empty():
            client.queue.get_nowait()
        client.queue.put_nowait(None)

    def _size(self) -> int:
        return self._store.read(lambda tx: tx.head.size)

    def _read(self, first: int, end: int) -> list[Event]:
        read = ((record.sequence, _leaves.decode(record.leaf)) for record in self._store.records(first, end))
        return [
            _event(self._store.log, sequence, leaf) for sequence, leaf in read if leaf.review and leaf.type in _KINDS
        ]


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
    if MEDIA_TYPE not in call.request.headers.get("accept", ""):
        # Whoever does not know that this never ends would wait for its end.
        raise IntakeError("", expected=f"`Accept: {MEDIA_TYPE}`, since this is a stream", found="something else")
    store = call.parts.world.store
    feed = call.service.feeds.setdefault(call.identity.tenant, Feed(store))
    seconds = MAX_SECONDS
    if (end := call.identity.expires_at) is not None:
        seconds = min(seconds, max(1.0, (end.nanos - call.service.clock.now().nanos) / 1e9))
    return _Stream(feed.follow(_after(call)), seconds=seconds)


def _after(call: Call) -> int | None:
    text = call.request.headers.get("last-event-id", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        raise IntakeError("", expected="the id of an event in `Last-Event-ID`", found=f"`{text[:40]}`")
    return int(text)


def _event(log: str, sequence: int, leaf: _Leaf) -> Event:
    state = leaf.state or _STATES.get(leaf.type, leaf.type.removeprefix("review_"))
    data = _encode({"review_id": leaf.review, "status": state, "audit_id": f"{log}/{sequence}", "time": leaf.timestamp})
    head = f"id: {sequence}\nevent: {_KINDS[leaf.type]}\ndata: ".encode()
    return Event(sequence, head + data + b"\n\n")
