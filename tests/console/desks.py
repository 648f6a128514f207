"""A service with its desk, in this process, and people who look at it with a browser's cookie."""

from __future__ import annotations

import html
import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
from starlette.testclient import TestClient

from demur import wiring
from demur.console.app import build
from demur.core.access import Role
from demur.core.intake import Caller
from demur.core.review import Deferral
from demur.core.terms import Entity
from demur.gateway import Gateway
from demur.server import cookies
from demur.server.identify import Callers
from demur.steps.enrolling import LOCAL
from tests.api.enrolled import Enrolled, enrolled

POLICIES = Path(__file__).parent / "policies"


@dataclass
class Browser:
    """Somebody's browser, logged in: follows no redirect, sends no script's header."""

    client: TestClient
    credential: str

    def get(self, path: str, /, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=self._sent() | headers, follow_redirects=False)

    def post(self, path: str, /, **fields: str | list[str]) -> httpx.Response:
        """A form of our own pages."""
        token = cookies.token(self.credential)
        sent = self._sent() | {"Origin": "https://pdp.example.com", "Sec-Fetch-Site": "same-origin"}
        return self.client.post(path, data={"token": token} | fields, headers=sent, follow_redirects=False)

    def _sent(self) -> dict[str, str]:
        return {"Cookie": f"{cookies.NAME}={self.credential}", "Accept": "text/html"}


@dataclass
class Desk:
    """A desk and its people."""

    service: Enrolled

    def browser(
        self, name: str, *roles: Role, panels: tuple[str, ...] = ("manager",), tenant: str = "clinic"
    ) -> Browser:
        people = self.service.people(tenant)
        people.add(name, by=LOCAL, roles=roles, panels=panels)
        return Browser(self.service.client, people.log_in(people.id_of(name)))

    def defer(self, asked: dict[str, Any], *, tenant: str = "clinic") -> str:
        """The id of the review that an agent's request waits for."""
        caller = Caller("agent:assistant", Entity(type="agent", id="assistant"))
        answer = self.gate(tenant).decide(asked, caller=caller)
        assert isinstance(answer, Deferral), answer
        return answer.review_id

    def take_up(self, asked: dict[str, Any], review: str, said: dict[str, Any]) -> None:
        """What a program does that wants to follow its deferral, with what it says for the record."""
        found = self.gate().review(review)
        assert found is not None
        caller = Caller("agent:assistant", Entity(type="agent", id="assistant"))
        self.gate().request_access(asked, evaluation_id=found.audit_id, caller=caller, said=json.dumps(said).encode())

    def gate(self, tenant: str = "clinic") -> Gateway:
        return self.service.service.tenants.gate(tenant)

    def state(self, review: str) -> str:
        found = self.gate().review(review)
        assert found is not None
        return found.state.value

    def wait(self, review: str, state: str, *, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while self.state(review) != state and time.monotonic() < end:
            time.sleep(0.05)
        assert self.state(review) == state

    def has_record(self, kind: str, review: str) -> bool:
        store = self.service.service.tenants.parts("clinic").world.store
        leaves = (json.loads(record.leaf) for record in store.records())
        return any(leaf["type"] == kind and leaf.get("review") == review for leaf in leaves)

    def last_record(self) -> dict[str, Any]:
        store = self.service.service.tenants.parts("clinic").world.store
        size = store.read(lambda tx: tx.head.size)
        (record,) = store.records(size - 1, size)
        found: dict[str, Any] = json.loads(record.leaf)
        return found


@contextmanager
def desk(folder: Path, policies: Path = POLICIES) -> Iterator[Desk]:
    with enrolled(folder, policies, build=build) as service:
        # Every look at the clock is a second later, so that whoever was added is known at once.
        ticks = itertools.count()
        service.service.identities = Callers(service.service.tenants.known(), wiring.clock(), pace=lambda: next(ticks))
        yield Desk(service)


def text_of(page: httpx.Response) -> str:
    """What a page says: without tags, in single spaces."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
