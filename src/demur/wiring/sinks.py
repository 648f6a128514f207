"""Sinks for events, and the couriers that tell them what the ledger says. None by default, and then nothing runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from demur.adapters import outbox
from demur.adapters.clock import SystemClock
from demur.adapters.nats_sink import NatsSink
from demur.adapters.outbox import Courier
from demur.adapters.webhook import Webhook
from demur.core.record import check_log
from demur.errors import ConfigurationError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demur.adapters.outbox import Place
    from demur.adapters.outbox import Sink as Opened
    from demur.ports import Store

_SECOND = 1_000_000_000
_SECONDS = 30.0


class Sink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody outside who learns of events: a webhook (`https://...`), or NATS JetStream (`nats://...`, `tls://...`)."""

    url: str
    secret: str = ""
    """The environment variable that holds the webhook's secrets (`whsec_...`) or the token for NATS."""
    types: tuple[str, ...] = ("*",)
    """Event types, or beginnings of them that end in `*`."""
    prefix: str = "demur"
    """The beginning of the subjects that NATS gets."""
    is_private_allowed: bool = False
    """Whether a webhook may lead to a private address, and then over plain `http` too."""


def open_couriers(store: Store, sinks: Mapping[str, Sink]) -> list[Courier]:
    """A courier for each sink, not started yet; raises `ConfigurationError` where a sink cannot be."""
    return [Courier(store, _checked(name), _open(name, sink), types=sink.types) for name, sink in sinks.items()]


def sink_places(store: Store, names: Collection[str]) -> dict[str, Place | None]:
    """How far each sink was told, what went wrong last, and the events that it refused; raises `StoreError`."""
    return outbox.places(store, names)


def send_parked(store: Store, name: str, sequences: Collection[int] = ()) -> int:
    """Have events that a sink refused sent again, all where no records are named; how many. Raises `StoreError`."""
    return store.submit(lambda tx: outbox.redrive(tx, name, sequences)).result(_SECONDS)


def _open(name: str, sink: Sink) -> Opened:
    secret = os.environ.get(sink.secret, "") if sink.secret else ""
    if sink.secret and not secret:
        raise ConfigurationError(f"expected the variable `{sink.secret}` for the sink `{name}`, found nothing in it")
    if sink.url.startswith(("nats://", "tls://")):
        return NatsSink(sink.url, prefix=sink.prefix, token=secret)
    if not sink.url.startswith(("https://", "http://")):
        raise ConfigurationError(f"expected a URL of `https`, `nats` or `tls` for the sink `{name}`, found another")
    clock = SystemClock()
    return Webhook(
        sink.url, secret, now=lambda: clock.now().nanos // _SECOND, is_private_allowed=sink.is_private_allowed
    )


def _checked(name: str) -> str:
    try:
        return check_log(name)
    except LedgerError as error:
        raise ConfigurationError(
            f"expected a name of a-z, 0-9, `_`, `.` and `-` for a sink, found `{name[:80]}`"
        ) from error
