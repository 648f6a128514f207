"""Events after the fact: what was decided, refused or ruled, told to subscribers who can change nothing.

An event is a CloudEvents 1.0 object (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md):

    {"specversion": "1.0", "id": "demo/41", "source": "/logs/demo", "type": "governance.refusal", "subject": "refund",
     "time": "2026-11-20T09:00:00Z", "datacontenttype": "application/json", "data": {"escalation_triggered": false}}

- Every subscriber has a queue and a thread of its own. One that raises is counted; one that hangs fills its own queue,
  and what does not fit is dropped and counted. Neither delays an answer or another subscriber.
- Events are delivered in order, at most once. What must not be lost is in the ledger; this is news.
- Every subscriber gets a copy of its own, made in its own thread, so that none can alter what another one sees.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

__all__ = ["ALLOW", "REFUSAL", "Event", "Events", "Subscriber", "Subscription", "event"]

REFUSAL = "governance.refusal"
"""Denials and deferrals alike; `escalation_triggered` tells them apart."""
ALLOW = "governance.allow"

Event: TypeAlias = dict[str, object]
Subscriber: TypeAlias = Callable[[Event], object]

DEFAULT_QUEUE = 1_000
_ATTRIBUTES = ("specversion", "id", "source", "type")


def event(*, kind: str, id: str, log: str, subject: str, at: str, data: Mapping[str, object]) -> Event:  # noqa: A002  (the attribute's name in CloudEvents)
    """One event; `at` is RFC 3339 text, `id` is unique within the log, `data` is what JSON can say."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": f"/logs/{log}",
        "type": kind,
        "subject": subject,
        "time": at,
        "datacontenttype": "application/json",
        "data": dict(data),
    }


class Delivery(msgspec.Struct, frozen=True):
    """What became of the events that matched a subscription. `waiting` are still in its queue."""

    delivered: int
    failed: int
    dropped: int
    waiting: int


class Subscription:
    """One subscriber with its queue and its thread. `cancel` ends it."""

    def __init__(self, name: str, subscriber: Subscriber, types: Sequence[str], max_queue: int) -> None:
        self.name = name
        self._subscriber = subscriber
        self._types = tuple(types)
        self._max_queue = max_queue
        self._queue: deque[Event] = deque()
        self._changed = threading.Condition()
        self._delivered = self._failed = self._dropped = 0
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, name=f"demur-events-{name}", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Delivery:
        with self._changed:
            return Delivery(self._delivered, self._failed, self._dropped, len(self._queue))

    def wants(self, kind: str) -> bool:
        """Whether an event of this type is for this subscriber: its type, or a prefix that ends in `*`."""
        return any(kind.startswith(want[:-1]) if want.endswith("*") else kind == want for want in self._types)

    def offer(self, item: Event) -> None:
        """Queue the event, or count it as dropped; never blocks."""
        with self._changed:
            if not self._is_open or len(self._queue) >= self._max_queue:
                self._dropped += 1
                return
            self._queue.append(item)
            self._changed.notify()

    def cancel(self) -> None:
        """Take no more events; those in the queue are still delivered."""
        with self._changed:
            self._is_open = False
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Wait at most so long for the queue to empty after `cancel`; whether it did. What is left is dropped."""
        if threading.current_thread() is not self._thread:
            self._thread.join(max(0.0, seconds))
        with self._changed:
            self._dropped += len(self._queue)
            self._queue.clear()
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._subscriber(copy.deepcopy(item))
            except BaseException:  # noqa: BLE001  (the observer guard: whatever a subscriber does changes nothing)
                with self._changed:
                    self._failed += 1
            else:
                with self._changed:
                    self._delivered += 1

    def _next(self) -> Event | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or not self._is_open)
            return self._queue.popleft() if self._queue else None


class Events:
    """`ports.Observer` that tells every subscriber. Safe to use from any thread; `notify` never blocks or raises."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._malformed = 0

    def subscribe(
        self, subscriber: Subscriber, *, types: Sequence[str] = ("*",), name: str = "", max_queue: int = DEFAULT_QUEUE
    ) -> Subscription:
        """Tell `subscriber` of every event whose type is listed; `governance.review.*` stands for all that begin so."""
        if max_queue < 1:
            raise ValueError(f"expected room for at least one event, found `{max_queue}`")
        with self._lock:
            title = name or f"subscriber-{len(self._subscriptions) + 1}"
            subscription = Subscription(title, subscriber, types, max_queue)
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; what waits in its queue is still delivered."""
        with self._lock:
            self._subscriptions = tuple(item for item in self._subscriptions if item is not subscription)
        subscription.cancel()

    @property
    def is_listening(self) -> bool:
        """Whether anybody subscribed."""
        return bool(self._subscriptions)

    def notify(self, event: Mapping[str, object]) -> None:
        """Tell the subscribers; an event without the required attributes is counted and told to nobody."""
        kind = event.get("type")
        if not isinstance(kind, str) or any(not event.get(name) for name in _ATTRIBUTES):
            with self._lock:
                self._malformed += 1
            return
        item = dict(event)
        for subscription in self._subscriptions:
            if subscription.wants(kind):
                subscription.offer(item)

    def counts(self) -> dict[str, Delivery]:
        """What became of the events, by subscriber."""
        return {item.name: item.counts for item in self._subscriptions}

    @property
    def malformed(self) -> int:
        """Events that lacked a required attribute."""
        return self._malformed

    def close(self, *, seconds: float = 2.0) -> bool:
        """Deliver what is queued, for at most so long altogether; whether everything was delivered."""
        subscriptions = self._subscriptions
        for subscription in subscriptions:
            subscription.cancel()
        deadline = time.monotonic() + seconds
        ended = [subscription.join(deadline - time.monotonic()) for subscription in subscriptions]
        return all(ended)
