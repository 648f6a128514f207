"""What every route shares: the tenants, how callers are known, and how an answer is awaited."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from demur.core import access
from demur.core.intake import Caller
from demur.core.terms import Entity
from demur.errors import IntakeError
from demur.server.awaiting import Awaiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request as HttpRequest

    from demur.core.access import Act, Identity
    from demur.core.evidence import Answer
    from demur.gateway import Gateway
    from demur.ports import Clock
    from demur.server.settings import ServerSettings
    from demur.server.tenants import Tenants


class Identities(Protocol):
    """Knows callers by what they send."""

    async def identify(self, request: HttpRequest) -> Identity:
        """Who calls; raises `UnauthenticatedError`."""


@dataclass(slots=True)
class Service:
    """One running service. Built once, before the first request; its event loop is the one that first awaits."""

    settings: ServerSettings
    tenants: Tenants
    identities: Identities
    clock: Clock
    _awaiting: Awaiting | None = None

    async def enter(self, request: HttpRequest, act: Act) -> tuple[Identity, Gateway]:
        """Whoever calls, allowed to do this, and their gate; raises `UnauthenticatedError` and `AccessError`."""
        identity = await self.identities.identify(request)
        access.check(identity, act, tenant=identity.tenant, now=self.clock.now())
        return identity, self.tenants.gate(identity.tenant)

    async def answer(self, identity: Identity, gate: Gateway, asked: bytes | Mapping[str, object]) -> Answer:
        """The gate's answer, durable, or `unavailable` in time; raises `IntakeError` and `AccessError`.

        Where whoever waits goes away, what has not begun is not done.
        """
        future = gate.submit(asked, caller=Caller(identity.id, identity.actor))
        if self._awaiting is None:
            self._awaiting = Awaiting(asyncio.get_running_loop())
        try:
            return await self._awaiting.result(future, self.settings.limits.answer_seconds)
        except TimeoutError:
            return gate.too_late()


def check_subject(identity: Identity, members: Mapping[str, object]) -> None:
    """Raises `AccessError` where a request names a subject that this caller may not speak for (S1.1)."""
    subject = members.get("subject")
    if isinstance(subject, dict) and isinstance(subject.get("type"), str) and isinstance(subject.get("id"), str):
        access.check_subject(identity, Entity(type=subject["type"], id=subject["id"]))
        return
    # Whatever is wrong with it, the gate says so, as it does for everybody.
    raise IntakeError("/subject", expected="an object with `type` and `id`", found="none such")
