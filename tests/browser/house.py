"""A service in a thread of this process, as real as can be: stores in a folder, people with passwords, API keys, HTTP.

Only two things are not as in earnest: its clock can be moved, and its policies are those of these tests.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from demur import wiring
from demur.console import app
from demur.core.access import Role
from demur.core.terms import Timestamp
from demur.server import running
from demur.server.identify import Callers
from demur.server.service import Service
from demur.server.settings import Limits, ServerSettings, Tenant, check
from demur.server.tenants import Tenants
from demur.steps.enrolling import LOCAL
from demur.steps.people import People

HERE = Path(__file__).parent
POLICIES = HERE / "policies"
TENANTS = ("harbour", "other")
PASSWORD = "fünf große Worte im Reim"
HOST = "127.0.0.1"


class MovableClock:
    """The time of this machine, and as much more as a test has moved it."""

    def __init__(self, start: float = 0.0) -> None:
        self._system = wiring.clock()
        self.ahead = start
        """Seconds."""

    def now(self) -> Timestamp:
        return self._system.now().plus(self.ahead)

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass(frozen=True)
class Person:
    """Somebody who can log in."""

    name: str
    tenant: str = TENANTS[0]
    password: str = PASSWORD


@dataclass
class House:
    """A running service and those who are known to it."""

    url: str
    service: Service
    clock: MovableClock
    folder: Path
    known: dict[str, Person] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)

    def people(self, tenant: str = TENANTS[0]) -> People:
        return self.service.tenants.known()[tenant][1]

    def person(
        self, name: str, *roles: Role, panels: tuple[str, ...] = (), tenant: str = TENANTS[0], **more: Any
    ) -> Person:
        """Somebody who chose a password by the link that an administrator gave them."""
        if (found := self.known.get(f"{tenant}/{name}")) is not None:
            return found
        link = self.people(tenant).add(name, by=LOCAL, roles=roles or (Role.REVIEWER,), panels=panels, **more)
        answer = httpx2.post(
            f"{self.url}/welcome", json={"tenant": tenant, "link": link, "password": PASSWORD}, timeout=30
        )
        assert answer.status_code == 200, answer.text
        return self.known.setdefault(f"{tenant}/{name}", Person(name, tenant))

    def credential(self, person: Person) -> str:
        """A fresh login of this person, as a program gets it."""
        sent = {"tenant": person.tenant, "name": person.name, "password": person.password}
        answer = httpx2.post(f"{self.url}/login", json=sent, timeout=30)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["credential"])

    def program(self, name: str = "assistant", tenant: str = TENANTS[0]) -> dict[str, str]:
        """The headers of a program that may ask for everybody."""
        if (name, tenant) not in self.keys:
            programs = self.service.tenants.known()[tenant][0]
            self.keys[name, tenant] = programs.add_program(
                name, by=LOCAL, roles=[Role.CALLER], subjects=["*:*"], owner="owner"
            )
        return {"Authorization": f"Bearer {self.keys[name, tenant]}"}

    def ask(self, body: Mapping[str, object], *, by: str = "assistant", tenant: str = TENANTS[0]) -> dict[str, Any]:
        """The context of the answer to an evaluation."""
        answer = httpx2.post(
            f"{self.url}/access/v1/evaluation", json=body, headers=self.program(by, tenant), timeout=30
        )
        assert answer.status_code == 200, answer.text
        context: dict[str, Any] = answer.json()["context"]
        return context

    def defer(self, body: Mapping[str, object], *, by: str = "assistant", tenant: str = TENANTS[0]) -> str:
        """The id of the review that waits after this was asked for."""
        told = self.ask(body, by=by, tenant=tenant)
        assert told["outcome"] == "defer", told
        return str(told["deferral"]["review_id"])

    def call(self, method: str, path: str, credential: str, **body: object) -> dict[str, Any]:
        """The answer of the API to whoever holds this credential."""
        headers = {"Authorization": f"Bearer {credential}"}
        answer = httpx2.request(method, f"{self.url}{path}", json=body or None, headers=headers, timeout=30)
        assert answer.status_code < 300, answer.text
        return dict(answer.json()) if answer.content else {}

    def rule(self, review_id: str, person: Person, verdict: str, reason: str) -> str:
        """A verdict by the API; where the review stands then."""
        told = self.call("POST", f"/reviews/{review_id}/rule", self.credential(person), verdict=verdict, reason=reason)
        return str(told["status"])

    def review(self, review_id: str, tenant: str = TENANTS[0]) -> Any:
        """The review as the gate has it now."""
        found = self.service.tenants.gate(tenant).review(review_id)
        assert found is not None, review_id
        return found

    def records(self, kind: str = "", tenant: str = TENANTS[0]) -> list[dict[str, Any]]:
        """The leaves of the ledger, of one type or of all."""
        reader = wiring.open_reader(self.folder / tenant)
        try:
            leaves = [json.loads(record.leaf) for record in reader.records()]
        finally:
            reader.close()
        return [leaf for leaf in leaves if kind in {"", leaf["type"]}]


def transfer(amount: int, *, subject: str = "ann", resource: str = "acc-1", **more: object) -> dict[str, Any]:
    """Ask for a transfer of so many cents."""
    properties = {"amount": amount, "payee": more.pop("payee", "Stadtwerke Köln")}
    if "memo" in more:
        properties["memo"] = more.pop("memo")
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "transfer", "properties": properties},
        "resource": {"type": "account", "id": resource},
        **more,
    }


def hurry(*, subject: str = "ann") -> dict[str, Any]:
    """Ask for what is of no use after a minute."""
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "hurry", "properties": {"text": "Bahnsteig 9"}},
        "resource": {"type": "message", "id": "m-1"},
    }


@contextmanager
def house(
    folder: Path, policies: Path = POLICIES, *, tenants: tuple[str, ...] = TENANTS, start: float = 0.0
) -> Iterator[House]:
    """A running service of these tenants, each in a home of its own, at a port of its own.

    Its clock begins so many seconds from now.
    """
    clock = MovableClock(start)
    with ExitStack() as closing:
        parts = {}
        for name in tenants:
            parts[name] = wiring.open_gate(wiring.Settings(policies, folder / name, name, clock=clock))
            closing.callback(parts[name].gate.close)
        named = {name: Tenant(policies=str(policies), home=str(folder / name)) for name in tenants}
        settings = check(ServerSettings(tenants=named, bind=f"{HOST}:0", limits=Limits()))
        opened = Tenants(parts)
        listening = running._listen(settings)
        url = running._url(listening)
        service = Service(settings, opened, Callers(opened.known(), clock), clock, url)
        closing.enter_context(_served(service, listening))
        yield House(url, service, clock, folder)


@contextmanager
def _served(service: Service, listening: Any) -> Iterator[None]:
    config = uvicorn.Config(
        app.build(service),
        http=running._Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    answers = threading.Event()
    server = _Server(config, service, answers.set)
    thread = threading.Thread(target=server.run, args=([listening],), name="house", daemon=True)
    thread.start()
    try:
        assert answers.wait(30), "the service does not answer"
        yield
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the service does not end"


class _Server(uvicorn.Server):
    """Says when it answers, and at its end ends the streams first, as the service itself does."""

    def __init__(self, config: uvicorn.Config, service: Service, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._on_ready = on_ready

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        for feed in self._service.feeds.values():
            feed.close()
        await super().shutdown(sockets)
