"""Every tenant's gate: opened at the start, closed at the end, and found by the tenant of whoever calls.

Tenants share a process and nothing else: each has its own log, policies, facts, reviews and keys.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from demur import wiring
from demur.errors import AccessError
from demur.wiring import callers, proposals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.gateway import Gateway
    from demur.server.settings import ServerSettings
    from demur.steps.enrolling import Enrolment
    from demur.steps.people import People
    from demur.wiring import Parts


class Tenants:
    """The gates of a service, by the name of their tenant."""

    def __init__(self, parts: Mapping[str, Parts]) -> None:
        self._parts = dict(parts)

    @classmethod
    def open(cls, settings: ServerSettings, *, base_url: str = "") -> Self:
        """Open every tenant's gate; where one fails none stays open. Raises as `wiring.open_gate`.

        `base_url` is where people reach the service, for the links that they are told.
        """
        with ExitStack() as opened:
            parts = {}
            for name, tenant in settings.tenants.items():
                one = wiring.open_gate(
                    wiring.Settings(
                        proposals.folder_in_force(Path(tenant.home), Path(tenant.policies)),
                        Path(tenant.home),
                        tenant.log or name,
                        deadline_seconds=settings.limits.answer_seconds,
                        store=tenant.store,
                        keys=tenant.keys,
                        sinks=tenant.sinks,
                        notify=tenant.notify,
                        desk_url=base_url,
                    )
                )
                opened.callback(one.gate.close)
                parts[name] = one
            opened.pop_all()
        return cls(parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The tenants, in order."""
        return tuple(sorted(self._parts))

    def parts(self, tenant: str) -> Parts:
        """One tenant's gate and what it was made from; raises `AccessError` where there is none of this name."""
        found = self._parts.get(tenant)
        if found is None:
            raise AccessError("expected a credential of this tenant, found another's")
        return found

    def gate(self, tenant: str) -> Gateway:
        """One tenant's gate; raises as `parts`."""
        return self.parts(tenant).gate

    def known(self) -> dict[str, tuple[Enrolment, People]]:
        """Who is known to each tenant: programs and people."""
        return {name: (callers.enrolment(one), callers.people(one)) for name, one in self._parts.items()}

    def close(self) -> None:
        """Finish what is queued and let go of every store."""
        with ExitStack() as closing:
            for one in self._parts.values():
                closing.callback(one.gate.close)
