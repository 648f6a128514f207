"""Hands events to NATS JetStream: one message for each, taken once the stream has stored it.

    subject        <prefix>.<log>.<type>, such as `demur.clinic.governance.refusal`
    Nats-Msg-Id    the same for the same event, so that the stream drops what it has already
    body           the CloudEvent as JSON

The stream is made by whoever runs NATS, with `<prefix>.>` among its subjects and a duplicate window longer than a
replica's lease. A full stream, a missing one and a server that is not there all mean later: nothing is lost meanwhile.

Source: https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive#message-deduplication
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from demur.adapters.outbox import UnreachableError
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

    from demur.adapters.outbox_events import Event

TIMEOUT_SECONDS = 5.0


class NatsSink:
    """`outbox.Sink` over one server or cluster. Its event loop is its own and runs only while something is sent."""

    def __init__(self, url: str, *, prefix: str = "demur", token: str = "") -> None:
        """Raises `ConfigurationError` where the extra `server` is missing or the prefix is no subject."""
        if not prefix or any(not part or set(part) & set("*> \t\r\n") for part in prefix.split(".")):
            raise ConfigurationError(f"expected a subject such as `demur` to publish to, found `{prefix[:80]}`")
        self._library = _library()
        self._url = url
        self._prefix = prefix
        self._token = token
        self._runner = asyncio.Runner()
        # The library's client and stream; without a connection there are none.
        self._connection: Any = None

    def send(self, event: Event) -> None:
        """As `outbox.Sink.send`."""
        errors = self._library.errors
        try:
            # The library's own limits are for single steps; some of its loops have none.
            self._runner.run(asyncio.wait_for(self._publish(event), 2 * TIMEOUT_SECONDS))
        except (errors.Error, OSError, TimeoutError) as error:
            self._forget()
            raise UnreachableError(f"NATS did not take an event: {error or type(error).__name__}") from error

    def close(self) -> None:
        self._forget()
        self._runner.close()

    async def _publish(self, event: Event) -> None:
        if self._connection is None:
            await self._connect()
        log = event.source.rpartition(":")[2].replace(".", "_")
        await self._connection.jetstream(timeout=TIMEOUT_SECONDS).publish(
            f"{self._prefix}.{log}.{event.kind}",
            event.body,
            headers={"Nats-Msg-Id": f"{event.source}#{event.id}", "content-type": "application/cloudevents+json"},
        )

    async def _connect(self) -> None:
        connection = self._library.NATS()
        try:
            await connection.connect(
                self._url,
                token=self._token or None,
                connect_timeout=TIMEOUT_SECONDS,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0.05,
                error_cb=_ignore,
            )
        except BaseException:
            # What was half opened is the library's, and closing it takes the loop a turn.
            transport = getattr(connection, "_transport", None)
            if transport is not None:
                transport.close()
                await asyncio.sleep(0)
            raise
        self._connection = connection

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            self._runner.run(asyncio.wait_for(connection.close(), TIMEOUT_SECONDS))
        except (self._library.errors.Error, OSError, TimeoutError):
            return  # It is gone, one way or the other.


async def _ignore(_: Exception) -> None:
    """What goes wrong with a message is raised where it is sent."""


def _library() -> ModuleType:
    try:
        import nats  # noqa: PLC0415  (needs an extra)
        import nats.errors  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "expected the extra `server` for NATS, found that it is not installed",
            hint='run `pip install "demur[server]"`',
        ) from error
    return nats
