"""Subscribers learn of events and can change nothing: not an answer, not another subscriber, not the event."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from demur.observability.events import REFUSAL, Delivery, Events, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.observability.events import Event

LONG = 10.0


@pytest.fixture
def events() -> Iterator[Events]:
    told = Events()
    yield told
    told.close(seconds=0.1)


def refusal(number: int = 1, kind: str = REFUSAL) -> Event:
    return event(
        kind=kind,
        id=f"demo/{number}",
        log="demo",
        subject="refund",
        at="2026-11-20T09:00:00Z",
        data={"escalation_triggered": False},
    )


def test_an_event_has_the_attributes_of_cloudevents() -> None:
    assert refusal() == {
        "specversion": "1.0",
        "id": "demo/1",
        "source": "/logs/demo",
        "type": "governance.refusal",
        "subject": "refund",
        "time": "2026-11-20T09:00:00Z",
        "datacontenttype": "application/json",
        "data": {"escalation_triggered": False},
    }


def test_events_arrive_in_order(events: Events) -> None:
    seen: list[object] = []
    events.subscribe(lambda item: seen.append(item["id"]), name="one")
    for number in range(100):
        events.notify(refusal(number))

    assert events.close(seconds=LONG)
    assert seen == [f"demo/{number}" for number in range(100)]
    assert events.counts() == {"one": Delivery(100, 0, 0, 0)}


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("*",), ["governance.allow", "governance.refusal", "governance.review.opened"]),
        (("governance.refusal",), ["governance.refusal"]),
        (("governance.review.*",), ["governance.review.opened"]),
        (("governance",), []),
    ],
)
def test_a_subscriber_gets_the_types_that_it_asked_for(
    events: Events, types: tuple[str, ...], expected: list[str]
) -> None:
    seen: list[object] = []
    events.subscribe(lambda item: seen.append(item["type"]), types=types)
    for kind in ("governance.allow", "governance.refusal", "governance.review.opened"):
        events.notify(refusal(kind=kind))
    events.close(seconds=LONG)

    assert seen == expected


def test_one_that_raises_is_counted_and_told_again(events: Events) -> None:
    def fail(_: Event) -> None:
        raise SystemExit

    seen: list[object] = []
    events.subscribe(fail, name="bad")
    events.subscribe(seen.append, name="good")
    events.notify(refusal(1))
    events.notify(refusal(2))
    events.close(seconds=LONG)

    assert events.counts() == {"bad": Delivery(0, 2, 0, 0), "good": Delivery(2, 0, 0, 0)}
    assert len(seen) == 2


def test_one_that_hangs_loses_its_own_events_and_delays_nobody(events: Events) -> None:
    release, entered = threading.Event(), threading.Event()
    seen: list[object] = []

    def hang(_: Event) -> None:
        entered.set()
        release.wait(LONG)

    events.subscribe(hang, name="stuck", max_queue=2)
    good = events.subscribe(seen.append, name="good")
    events.notify(refusal(0))
    assert entered.wait(LONG)
    start = time.monotonic()
    for number in range(1, 6):
        events.notify(refusal(number))
    assert time.monotonic() - start < 1

    good.cancel()
    assert good.join(LONG)
    assert len(seen) == 6
    assert events.counts()["stuck"] == Delivery(0, 0, 3, 2)
    assert not events.close(seconds=0.05)
    assert events.counts()["stuck"] == Delivery(0, 0, 5, 0)
    release.set()


def test_closing_waits_no_longer_than_allowed(events: Events) -> None:
    release = threading.Event()
    for _ in range(5):
        events.subscribe(lambda _: release.wait(LONG))
    events.notify(refusal())
    start = time.monotonic()

    assert not events.close(seconds=0.2)
    assert time.monotonic() - start < 2
    release.set()


def test_a_subscriber_cannot_alter_the_event_of_the_next(events: Events) -> None:
    def alter(item: Event) -> None:
        item["data"].update(escalation_triggered=True)  # type: ignore[attr-defined]

    seen: list[object] = []
    altering = events.subscribe(alter)
    original = refusal()
    events.notify(original)
    altering.cancel()
    assert altering.join(LONG)
    events.subscribe(lambda item: seen.append(item["data"]))
    events.notify(original)
    events.close(seconds=LONG)

    assert seen == [{"escalation_triggered": False}]
    assert altering.counts.failed == 0


def test_an_event_without_a_required_attribute_is_told_to_nobody(events: Events) -> None:
    seen: list[object] = []
    events.subscribe(seen.append)
    events.notify({"type": REFUSAL})
    events.notify({})
    events.close(seconds=LONG)

    assert (seen, events.malformed) == ([], 2)


def test_who_unsubscribed_hears_no_more(events: Events) -> None:
    seen: list[object] = []
    subscription = events.subscribe(seen.append)
    events.unsubscribe(subscription)
    events.notify(refusal())
    events.close(seconds=LONG)

    assert seen == []


def test_a_subscriber_may_close_the_events_itself(events: Events) -> None:
    done = threading.Event()

    def close(_: Event) -> None:
        events.close(seconds=0.1)
        done.set()

    events.subscribe(close)
    events.notify(refusal())

    assert done.wait(LONG)


def test_a_queue_holds_at_least_one_event(events: Events) -> None:
    with pytest.raises(ValueError, match="expected room for at least one event, found `0`"):
        events.subscribe(print, max_queue=0)
