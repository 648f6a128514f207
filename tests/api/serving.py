"""A service in this process, over a folder of policies, with a caller for each purpose."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.testclient import TestClient

from demur import wiring
from demur.core.access import Role
from demur.server.app import build
from demur.server.identify import Callers
from demur.server.service import Service
from demur.server.settings import Limits, ServerSettings, Tenant, check
from demur.server.tenants import Tenants
from demur.steps.enrolling import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
URL = "https://pdp.example.com"


@dataclass
class Serving:
    """A running service and the keys of its callers, by name."""

    client: TestClient
    service: Service
    homes: dict[str, Path]
    keys: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        *roles: Role,
        tenant: str = "clinic",
        subjects: tuple[str, ...] = ("*:*",),
        obligations: tuple[str, ...] = (),
    ) -> dict[str, str]:
        """A caller with these roles; the headers that it calls with."""
        key = self.service.tenants.enrolments()[tenant].add_program(
            name, by=LOCAL, roles=roles or (Role.CALLER,), subjects=subjects, obligations=obligations
        )
        self.keys[name] = key
        return {"Authorization": f"Bearer {key}"}


@contextmanager
def serving(
    folder: Path, policies: Path, *, tenants: tuple[str, ...] = ("clinic",), limits: Limits | None = None
) -> Iterator[Serving]:
    """A service whose tenants all have these policies, each in a home of its own."""
    homes = {name: folder / name for name in tenants}
    known = {name: Tenant(policies=str(policies), home=str(home)) for name, home in homes.items()}
    settings = check(ServerSettings(tenants=known, limits=limits or Limits()))
    opened = Tenants.open(settings)
    try:
        service = Service(settings, opened, Callers(opened.enrolments(), wiring.clock()), wiring.clock(), URL)
        with TestClient(build(service), base_url=URL, raise_server_exceptions=False) as client:
            yield Serving(client, service, homes)
    finally:
        opened.close()
