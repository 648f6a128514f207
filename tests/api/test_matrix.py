"""Every route x every role x every kind of credential: who is let in is what `access.ALLOWED` says, and nobody else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from demur.core.access import ALLOWED, Act, Role
from demur.server import authzen
from demur.server.routes import ROUTES
from demur.steps.enrolling import LOCAL
from tests.api.enrolled import Enrolled, enrolled

OPEN = {
    ("GET", "/.well-known/authzen-configuration"),
    ("GET", "/.well-known/authzen-configuration/{tenant}"),
}
"""What everybody may ask: it says nothing about any tenant."""
HEALTH = {("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/health/refusing")}
DOCUMENTS = {("GET", "/openapi.json"), ("GET", "/docs")}
LOGIN = {
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("GET", "/me"),
    ("GET", "/welcome"),
    ("POST", "/welcome"),
}
LOGIN |= {("GET", "/login/oidc"), ("GET", "/login/oidc/callback")}
"""Doors, not rooms: each checks by itself, see test_people.py and test_oidc.py."""
PERSONAL = {
    Act.REVIEW_RULE,
    Act.REVIEW_ASSIGN,
    Act.STANDING_GRANT,
    Act.STANDING_REVOKE,
    Act.REVEAL,
    Act.LEVER_MOVE,
    Act.SESSION_MOVE,
    Act.GRANT_REVOKE,
    Act.SUBJECT_ERASE,
}
"""What only a person does, by the credential of their login (S7.4)."""


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    act: Act
    body: object

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def url(self) -> str:
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: FILLED.get(found[1], "7"), self.path)


FILLED = {"place": "0/000", "log": "clinic", "name": "somebody"}
ASKED = {
    "subject": {"type": "user", "id": "person-caller"},
    "action": {"name": "x"},
    "resource": {"type": "todo", "id": "x"},
}
ROWS = [
    *(Row(method, path, act, ASKED) for method, path, act, _ in authzen.ROUTES if act is not None),
    *(Row(one.method, one.path, one.act, one.example or {}) for one in ROUTES if one.act is not None),
]


@dataclass
class Served:
    """A service, and a credential for each kind of caller and role."""

    service: Enrolled
    keys: dict[tuple[str, Role], str]
    worthless: tuple[str, ...]
    """Credentials that were good for everything: one has ended, one was taken back, and one was a person's."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with enrolled(tmp_path_factory.mktemp("matrix")) as service:
        keys = {("program", role): service.program(f"only-{role}", role) for role in Role}
        keys |= {("person", role): service.person(f"person-{role}", role) for role in Role}
        programs = service.programs()
        ended = service.program("ended", *Role, expires_at=programs.now().plus(0.5))
        revoked, gone = service.program("revoked", *Role), service.person("gone", *Role)
        programs.remove_program("revoked", by=LOCAL)
        service.people().remove("gone", by=LOCAL)
        time.sleep(0.6)
        yield Served(service, keys, (ended, revoked, gone))


def own(body: object) -> object:
    """The body with whoever asks as its subject: a person speaks for nobody else."""
    if not isinstance(body, dict):
        return body
    return {
        name: ASKED["subject"] if name == "subject" and isinstance(value, dict) else own(value)
        for name, value in body.items()
    }


def ask(served: Served, row: Row, credential: str = "") -> httpx2.Response:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {credential}"} if credential else {})
    body = b"" if row.method in {"GET", "DELETE"} else json.dumps(own(row.body)).encode()
    return served.service.client.request(row.method, row.url, headers=headers, content=body)


def test_every_route_that_answers_is_in_a_table_with_its_act(both: Served) -> None:
    served = {
        (method, route.path)
        for route in both.service.client.app.api.routes  # type: ignore[attr-defined]  # the front's router
        for method in route.methods - {"HEAD"}
    }
    tables = {(row.method, row.path) for row in ROWS}

    assert served - OPEN - HEALTH - DOCUMENTS - LOGIN == tables
    assert [route for route in ROUTES if route.act is None] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("role", Role)
def test_a_person_is_let_in_exactly_where_the_table_allows_it(both: Served, row: Row, role: Role) -> None:
    found = ask(both, row, both.keys["person", role])

    if role in ALLOWED[row.act]:
        assert found.status_code not in {401, 403, 405, 500}, found.text
    else:
        assert (found.status_code, found.json()["type"]) == (403, "urn:demur:problem:forbidden")
        assert f"for `{row.act}`" in found.json()["detail"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("role", Role)
def test_a_program_is_let_in_where_the_table_allows_it_and_no_person_is_needed(
    both: Served, row: Row, role: Role
) -> None:
    found = ask(both, row, both.keys["program", role])

    if role not in ALLOWED[row.act]:
        assert (found.status_code, found.json()["type"]) == (403, "urn:demur:problem:forbidden")
        assert f"for `{row.act}`" in found.json()["detail"]
    elif row.act in PERSONAL:
        assert found.status_code == 403
        assert "expected a person" in found.json()["detail"]
    else:
        assert found.status_code not in {401, 403, 405, 500}, found.text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nobody_is_let_in_by_no_credential_one_that_ended_or_one_that_was_taken_back(both: Served, row: Row) -> None:
    for credential in ("", "demur-caller-guess", "demur-session-guess", *both.worthless):
        found = ask(both, row, credential)
        assert (found.status_code, found.json()["type"]) == (401, "urn:demur:problem:unauthenticated")
        assert found.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_act_of_the_table_is_done_by_some_route() -> None:
    later = {Act.EXPLAIN}

    assert set(Act) - {row.act for row in ROWS} <= later
