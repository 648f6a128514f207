"""A service that knows its callers as it does in earnest: by its stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.testclient import TestClient

from demur import wiring
from demur.core.access import Role
from demur.server.app import Front, build
from demur.server.identify import Callers
from demur.server.service import Service
from demur.server.settings import Limits
from demur.steps.enrolling import LOCAL, Enrolment
from demur.steps.people import People
from tests.api.serving import serving

TODO = Path(__file__).parent / "todo_fixture"


@dataclass
class Enrolled:
    """A running service with its stores."""

    client: TestClient
    service: Service

    def programs(self, tenant: str = "clinic") -> Enrolment:
        return self.service.tenants.known()[tenant][0]

    def people(self, tenant: str = "clinic") -> People:
        return self.service.tenants.known()[tenant][1]

    def program(self, name: str, *roles: Role, tenant: str = "clinic", **more: object) -> str:
        """The API key of a program that speaks for everybody."""
        programs = self.programs(tenant)
        return programs.add_program(name, by=LOCAL, roles=roles, subjects=["*:*"], owner=f"owner-of-{name}", **more)  # type: ignore[arg-type]  # a test names them

    def person(self, name: str, *roles: Role, tenant: str = "clinic") -> str:
        """The credential of the login of a person."""
        people = self.people(tenant)
        people.add(name, by=LOCAL, roles=roles, panels=["manager"])
        return people.log_in(people.id_of(name))


@contextmanager
def enrolled(
    folder: Path,
    policies: Path = TODO,
    *,
    tenants: tuple[str, ...] = ("clinic", "other"),
    limits: Limits | None = None,
    build: Callable[[Service], Front] = build,
) -> Iterator[Enrolled]:
    """A service of these tenants, each in a home of its own."""
    with serving(folder, policies, tenants=tenants, limits=limits, build=build) as served:
        served.service.identities = Callers(served.service.tenants.known(), wiring.clock())
        yield Enrolled(served.client, served.service)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}
