"""Whether the service lives, is ready, and would refuse everything because it cannot record. Everybody may ask.

`refusing` is the question that matters: a gate that cannot record answers `unavailable`, and nothing executes (S5).

Clauses: S5.2.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from demur.errors import DemurError
from demur.server import problems

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from demur.server.service import Answering, Service

PATIENCE_SECONDS = 2.0
"""A store that takes longer to run an empty work counts as one that cannot record."""
REMEMBER_SECONDS = 1.0
_encode = msgspec.json.Encoder().encode


async def live(service: Service, request: HttpRequest) -> Response:
    """The process answers."""
    del service, request
    return _told({"status": "live"})


async def ready(service: Service, request: HttpRequest) -> Response:
    """Every tenant's gate is open and decides by the policies in force, and the service has not begun to end."""
    del request
    names = service.tenants.names
    if service.draining_since is not None:
        return problems.problem(503, "draining", "The service is ending", "")
    if any(service.tenants.gate(name).impediment for name in names):
        return problems.problem(503, "refusing", "Every request is refused", "the policies in force are not known")
    return _told({"status": "ready", "tenants": len(service.tenants.names)})


async def refusing(service: Service, request: HttpRequest) -> Response:
    """200 where every tenant's gate can record; 503 where one would answer everything with `unavailable`."""
    del request
    now = time.monotonic()
    if now - service.health.at > REMEMBER_SECONDS:
        service.health.reason = await asyncio.to_thread(_reason, service)
        service.health.at = time.monotonic()
    if not service.health.reason:
        return _told({"status": "answering"})
    return problems.problem(503, "refusing", "Every request is refused", service.health.reason)


def _reason(service: Service) -> str:
    """Why a gate cannot record, in words that give nothing away."""
    futures = []
    for name in service.tenants.names:
        try:
            futures.append(service.tenants.parts(name).world.store.submit(lambda _: None))
        except DemurError:
            return "a store takes nothing more"
    begun = time.monotonic()
    for future in futures:
        try:
            future.result(max(0.0, begun + PATIENCE_SECONDS - time.monotonic()))
        except TimeoutError:
            future.cancel()
            return "a store does not record in time"
        except (DemurError, OSError):
            return "a store cannot record"
    return ""


def _told(body: dict[str, object]) -> Response:
    return Response(_encode(body), media_type="application/json")


OPEN: tuple[tuple[str, str, Answering], ...] = (
    ("GET", "/health/live", live),
    ("GET", "/health/ready", ready),
    ("GET", "/health/refusing", refusing),
)
