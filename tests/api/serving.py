"""A service in this process, over a folder of policies, with a caller for each purpose."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.testclient import TestClient

from demur import wiring
from demur.core.access import Identity, Role
from demur.core.terms import Entity
from demur.server.app import build
from demur.server.identify import credential
from demur.server.problems import UnauthenticatedError
from demur.server.service import Service
from demur.server.settings import Limits, ServerSettings, Tenant, check
from demur.server.tenants import Tenants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request as HttpRequest

    from demur.server.app import Front

HERE = Path(__file__).parent
URL = "https://pdp.example.com"


class Known:
    """`Identities` of tests: by the token itself. How credentials are kept and read is tested where that is done."""

    def __init__(self) -> None:
        self.identities: dict[bytes, Identity] = {}

    async def identify(self, request: HttpRequest) -> Identity:
        found = self.identities.get(credential(request))
        if found is None:
            raise UnauthenticatedError("expected a credential that is in force, found one that is not")
        return found

    def recognise(self, request: HttpRequest) -> str:
        try:
            found = self.identities.get(credential(request))
        except UnauthenticatedError:
            return ""
        return found.tenant if found else ""


@dataclass
class Serving:
    """A running service and those who may call it."""

    client: TestClient
    service: Service
    known: Known
    homes: dict[str, Path]

    def add(
        self,
        name: str,
        *roles: Role,
        tenant: str = "clinic",
        subjects: tuple[str, ...] = ("*:*",),
        obligations: tuple[str, ...] = (),
    ) -> dict[str, str]:
        """A program with these roles; the headers that it calls with."""
        token = f"key-of-{name}-{tenant}"
        self.known.identities[token.encode()] = Identity(
            id=f"agent:{name}",
            tenant=tenant,
            roles=frozenset(roles or (Role.CALLER,)),
            actor=Entity(type="agent", id=name),
            subjects=subjects,
            obligations=frozenset(obligations),
        )
        return {"Authorization": f"Bearer {token}"}

    def add_person(self, name: str, *roles: Role, tenant: str = "clinic") -> dict[str, str]:
        """A person with these roles, who may also rule and move levers; the headers that they call with."""
        token = wiring.open_reviewers(self.homes[tenant]).add(name, ["supervisor", *roles])
        self.known.identities[token.encode()] = Identity(
            id=f"person:{name}", tenant=tenant, roles=frozenset(roles), is_person=True
        )
        return {"Authorization": f"Bearer {token}"}


@contextmanager
def serving(
    folder: Path,
    policies: Path,
    *,
    tenants: tuple[str, ...] = ("clinic",),
    limits: Limits | None = None,
    build: Callable[[Service], Front] = build,
) -> Iterator[Serving]:
    """A service whose tenants all have these policies, each in a home of its own."""
    homes = {name: folder / name for name in tenants}
    named = {name: Tenant(policies=str(policies), home=str(home)) for name, home in homes.items()}
    settings = check(ServerSettings(tenants=named, limits=limits or Limits()))
    opened = Tenants.open(settings)
    known = Known()
    try:
        service = Service(settings, opened, known, wiring.clock(), URL)
        with TestClient(build(service), base_url=URL, raise_server_exceptions=False) as client:
            yield Serving(client, service, known, homes)
    finally:
        opened.close()
