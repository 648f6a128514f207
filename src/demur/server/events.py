"""What happens to reviews, told as it happens (server-sent events), from the ledger.

    id: 41
    event: governance.review.opened
    data: {"review_id":"5f...","status":"pending_review","audit_id":"clinic/41","time":"2026-11-20T09:00:00Z"}

- An event is a record, and its id the record's number. What another replica recorded is told too, and a client that
  comes back with `Last-Event-ID` gets what it missed, whichever replica it comes back to.
- The ledger is read once for all clients of a tenant. Each has a queue with an end: one that reads too slowly is told
  `dropped` with where to resume, and the stream ends.
- A comment keeps the connection alive where nothing happens.

Source: WHATWG HTML, section 9.2, server-sent events. Clauses: S7, S10.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from demur.errors import DemurError, OverloadedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from demur.ports import Store

POLL_SECONDS = 0.5
"""Between two looks at the end of the ledger."""
HEARTBEAT_SECONDS = 15.0
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
    "review_superseded": "governance.review.superseded",
    "review_assigned": "governance.review.assigned",
    "review_released": "governance.review.released",
    "review_escalated": "governance.review.escalated",
}
_OF_THE_DESK = frozenset({"review_assigned", "review_released", "review_escalated"})
"""What is nobody's business who waits for the review (S10)."""
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
    review: str = ""
    is_of_the_desk: bool = False

    def is_for(self, review: str) -> bool:
        """Whether somebody who follows this one review, or all where it is "", is told."""
        return not review or (review == self.review and not self.is_of_the_desk)


class _Client:
    def __init__(self, review: str) -> None:
        self.review = review
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE + 1)


class Feed:
    """The events of one tenant's ledger, for any number of clients on one event loop."""

    def __init__(self, store: Store, *, most: int = MAX_CLIENTS) -> None:
        self._store = store
        self._most = most
        self._clients: set[_Client] = set()
        self._following: asyncio.Task[None] | None = None
        self._position = 0

    async def follow(
        self, after: int | None, *, heartbeat: float = HEARTBEAT_SECONDS, review: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """The stream from record `after` on, from now on where it is None; ends where the client is dropped.

        Of one `review` alone, where one is named, and then not of who looks at it.
        """
        client, position = await self._join(review)
        try:
            yield b"retry: 2000\n: connected\n\n"
            last = position - 1 if after is None else after
            async for event in self._missed(last + 1, position):
                last = event.sequence
                if event.is_for(review):
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

    async def _join(self, review: str) -> tuple[_Client, int]:
        if len(self._clients) >= self._most:
            raise OverloadedError(f"{self._most} clients listen already")
        client = _Client(review)
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
            if not event.is_for(client.review):
                continue
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


def _event(log: str, sequence: int, leaf: _Leaf) -> Event:
    state = leaf.state or _STATES.get(leaf.type, leaf.type.removeprefix("review_"))
    data = _encode({"review_id": leaf.review, "status": state, "audit_id": f"{log}/{sequence}", "time": leaf.timestamp})
    head = f"id: {sequence}\nevent: {_KINDS[leaf.type]}\ndata: ".encode()
    return Event(sequence, head + data + b"\n\n", leaf.review, leaf.type in _OF_THE_DESK)
