"""What every route shares: the tenants, how callers are known, and how an answer is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from demur.core import access
from demur.core.intake import Caller
from demur.core.terms import Entity
from demur.errors import IntakeError
from demur.server.awaiting import Awaiting
from demur.server.guard import Pace
from demur.server.overload import Overload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

    from demur.core.access import Act, Identity
    from demur.core.evidence import Answer
    from demur.gateway import Gateway
    from demur.ports import Clock
    from demur.server.events import Feed
    from demur.server.settings import ServerSettings
    from demur.server.tenants import Tenants


Answering: TypeAlias = Callable[["Service", "HttpRequest"], Awaitable["Response"]]
"""Answers one kind of request; errors of Demur that it raises become problem documents."""


class Identities(Protocol):
    """Knows callers by what they send."""

    async def identify(self, request: HttpRequest) -> Identity:
        """Who calls; raises `UnauthenticatedError`."""

    def recognise(self, request: HttpRequest) -> str:
        """The tenant of a credential as it was last known, "" where it is not known without asking anybody.

        Good enough to turn somebody away by, and for nothing else.
        """


@dataclass(slots=True)
class Health:
    """What the stores said when they were asked last, and when that was; "" where all of them can record."""

    at: float = float("-inf")
    reason: str = ""


@dataclass(slots=True)
class Service:
    """One running service. Built once, before the first request; its event loop is the one that first awaits."""

    settings: ServerSettings
    tenants: Tenants
    identities: Identities
    clock: Clock
    base_url: str
    """How clients reach it, without a slash at the end."""
    landing: str = "/me"
    """The page of whoever has logged in and wanted to go nowhere else."""
    health: Health = field(default_factory=Health)
    feeds: dict[str, Feed] = field(default_factory=dict)
    """What happens to the reviews of each tenant, for those who listen."""
    draining_since: float | None = None
    """When the service was told to end, by the steady clock; it answers still, and is not ready any more."""
    overload: Overload = field(default_factory=Overload)
    """Turns away whoever comes when `is_full`."""
    _awaiting: Awaiting | None = None
    _in_flight: int = 0
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        limits = self.settings.limits
        self._pace = Pace(limits.per_caller_per_second, limits.per_caller_burst)

    @property
    def is_full(self) -> bool:
        """Whether as many requests wait for an answer as are taken on at a time."""
        return self._in_flight >= self.settings.limits.max_in_flight

    async def enter(self, request: HttpRequest, act: Act) -> tuple[Identity, Gateway]:
        """Whoever calls, allowed to do this, and their gate.

        Raises `UnauthenticatedError`, `AccessError`, and `TooManyError` where they ask faster than agreed.
        """
        identity = await self.identities.identify(request)
        access.check(identity, act, tenant=identity.tenant, now=self.clock.now())
        self._pace.take(f"{identity.tenant}/{identity.id}")
        return identity, self.tenants.gate(identity.tenant)

    async def answer(self, identity: Identity, gate: Gateway, asked: bytes | Mapping[str, object]) -> Answer:
        """The gate's answer, durable, or `unavailable` in time; raises `IntakeError` and `AccessError`.

        Where whoever waits goes away, what has not begun is not done.
        """
        if self.is_full:
            return gate.turn_away()
        future = gate.submit(asked, caller=caller_of(identity))
        if self._awaiting is None:
            self._awaiting = Awaiting(asyncio.get_running_loop(), self.settings.limits.answer_seconds)
        self._in_flight += 1
        try:
            return await self._awaiting.result(future)
        except TimeoutError:
            return gate.too_late()
        finally:
            self._in_flight -= 1


def caller_of(identity: Identity) -> Caller:
    """Whoever calls, as the gate knows them; no allow obliges to more than they registered for (S6.4)."""
    return Caller(identity.id, identity.actor, identity.obligations, identity.claims)


def check_subject(identity: Identity, members: Mapping[str, object]) -> None:
    """Raises `AccessError` where a request names a subject that this caller may not speak for (S1.1)."""
    subject = members.get("subject")
    if isinstance(subject, dict) and isinstance(subject.get("type"), str) and isinstance(subject.get("id"), str):
        access.check_subject(identity, Entity(type=subject["type"], id=subject["id"]))
        return
    # Whatever is wrong with it, the gate says so, as it does for everybody.
    raise IntakeError("/subject", expected="an object with `type` and `id`", found="none such")
