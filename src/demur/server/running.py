"""The service as a process: a socket, an event loop, and an end in order.

On SIGTERM and SIGINT nothing more is taken, what is in flight is answered, and then the gates are closed: their last
records, their checkpoint, their lease. A second SIGINT ends at once; what was answered before is durable all the same.
"""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from demur import wiring
from demur.errors import ConfigurationError
from demur.server import app, doors
from demur.server.callbacks import Teller
from demur.server.identify import callers_of
from demur.server.overload import REST, REST_SECONDS
from demur.server.service import Service
from demur.server.tenants import Tenants

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from demur.server.app import Front
    from demur.server.settings import ServerSettings

ADMINISTRATOR = "admin"
"""The name of the person whom the first link is for."""
MAX_CONNECTIONS = 4_096
COLLECT_AFTER = 10_000
"""Objects that may be added before the youngest are looked through: those of some dozens of answers."""
SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter while another waits: the loop must not wait for the writer's arithmetic."""


class Ready(NamedTuple):
    """Where the service answers, and what is told once: by tenant, a first API key and an administrator's link."""

    url: str
    keys: dict[str, str]
    links: dict[str, str]


def run(
    settings: ServerSettings, on_ready: Callable[[Ready], None], *, build: Callable[[Service], Front] = app.build
) -> None:
    """Serve until a signal says to end; `on_ready` is called once it answers. `build` makes the application.

    A tenant to whom nobody was ever known gets a first API key, which may evaluate for every subject, and a link by
    which an administrator chooses a password.

    Raises `ConfigurationError` where the address cannot be had, and as `Tenants.open`.
    """
    listening = _listen(settings)
    try:
        base_url = settings.base_url.rstrip("/") or _url(listening)
        tenants = Tenants.open(settings, base_url=base_url)
    except BaseException:
        listening.close()
        raise
    try:
        sys.setswitchinterval(SWITCH_SECONDS)
        known = tenants.known()
        keys = {name: key for name, (programs, _) in known.items() if (key := programs.add_first())}
        links = {name: link for name, (_, people) in known.items() if (link := people.add_first(ADMINISTRATOR))}
        service = Service(settings, tenants, callers_of(settings, known), wiring.clock(), base_url)
        with closing(Teller(tenants, settings.callbacks, wiring.clock(), base_url)) as teller, doors.opened(tenants):
            teller.start()
            _settle()
            _Server(_config(service, build), service, lambda: on_ready(Ready(base_url, keys, links))).run([listening])
    finally:
        tenants.close()


def _settle() -> None:
    """What is loaded by now stays until the end: the collector need not walk through it again and again.

    This process is the service's own. What one answer leaves behind is let go without the collector, nearly all of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)


class _Server(uvicorn.Server):
    """Says when it answers, and ends with 0 after a signal: that is how it is meant to end."""

    def __init__(self, config: uvicorn.Config, service: Service, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        is_over = await super().on_tick(counter)
        if not is_over:
            return False
        now = time.monotonic()
        if self._service.draining_since is None:
            self._service.draining_since = now
        drained = now - self._service.draining_since
        return self.force_exit or drained >= self._service.settings.drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for feed in self._service.feeds.values():
            feed.close()  # a stream would otherwise keep the process until its time is over
        await super().shutdown(sockets)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            super().run(sockets)
        finally:
            for number, what in before.items():
                signal.signal(number, what)


class _Patient(HttpToolsProtocol):
    """A connection on which a request that has begun must arrive in time, its headers and its body, or it is cut off.

    A request that comes whole in one piece, as nearly all do, costs no timer. Where somebody was turned away nothing
    more is read for a moment (`overload`).
    """

    _cut: asyncio.TimerHandle | None = None
    _is_coming = False
    _is_resting = False
    _extensions: dict[str, object]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._extensions = {REST: self._rest}
        self._begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_coming:
            self._end()
        elif self._cut is None:
            self._begin()

    def on_message_begin(self) -> None:
        self._is_coming = True
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]  # those of others and ours

    def on_message_complete(self) -> None:
        self._is_coming = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_resting and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_later(REST_SECONDS, self._resume)

    def _rest(self) -> None:
        self._is_resting = True

    def _resume(self) -> None:
        self._is_resting = False
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._cut = self.loop.call_later(self.config.timeout_keep_alive, self.transport.close)

    def _end(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None


def _config(service: Service, build: Callable[[Service], Front]) -> uvicorn.Config:
    limits = service.settings.limits
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return uvicorn.Config(
        build(service),
        http=_Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=max(1, round(limits.read_seconds)),
        timeout_graceful_shutdown=round(limits.answer_seconds + limits.read_seconds) + 1,
        proxy_headers=False,
    )


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.set_inheritable(False)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"`{settings.bind}` cannot be listened on: {error.strerror}", hint="choose another address with `--bind`"
        ) from error
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
