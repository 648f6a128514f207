"""Who calls, by the credential that they send: in force, or not at all."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request as HttpRequest

from demur import wiring
from demur.adapters.clock import ManualClock, SystemClock
from demur.adapters.keys import KeyVault
from demur.adapters.memory import MemoryStore
from demur.core import roster
from demur.core.access import Identity, Role
from demur.core.terms import Entity, Timestamp, parse_timestamp
from demur.errors import AccessError, RulingError, StoreError
from demur.server import cookies
from demur.server.identify import Callers
from demur.server.problems import UnauthenticatedError
from demur.steps.enrolling import LOCAL, Administrator, Enrolment
from demur.steps.people import People, Reviewers

START = parse_timestamp("2026-11-20T09:00:00Z")


class Pace:
    """Seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Tenant:
    """One tenant in memory, whose store can be made to fail."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = MemoryStore("default", self.clock)
        vault = KeyVault.in_memory()
        self.programs = Enrolment(self.store, vault, self.clock)
        self.people = People(self.store, vault, self.clock)
        self.pace = Pace()
        self.callers = Callers({"clinic": (self.programs, self.people)}, self.clock, pace=self.pace)

    def add(self, name: str = "desk", **more: Any) -> str:
        return self.programs.add_program(name, **{"by": LOCAL, "roles": [Role.CALLER], **more})

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(record.leaf) for record in self.store.records()]


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    opened = Tenant()
    yield opened
    opened.store.close()


def request(*headers: tuple[str, str], method: str = "GET", scheme: str = "https") -> HttpRequest:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (("host", "pdp.example.com"), *headers)]
    return HttpRequest(
        {"type": "http", "method": method, "path": "/", "scheme": scheme, "query_string": b"", "headers": raw}
    )


def bearer(key: str) -> HttpRequest:
    return request(("Authorization", f"Bearer {key}"))


def known(tenant: Tenant, *requests: HttpRequest) -> list[Identity]:
    async def ask() -> list[Identity]:
        return [await tenant.callers.identify(one) for one in requests]

    return asyncio.run(ask())


def test_a_key_says_who_calls_for_whom_and_as_which_actor(tenant: Tenant) -> None:
    key = tenant.add(subjects=["user:*"], actor="agent:front", obligations=["watermark"])

    assert known(tenant, bearer(key)) == [
        Identity(
            id="agent:desk",
            tenant="clinic",
            roles=frozenset({Role.CALLER}),
            actor=Entity(type="agent", id="front"),
            subjects=("user:*",),
            obligations=frozenset({"watermark"}),
        )
    ]


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Basic ZGVzazpwYXNz")],
        [("Authorization", "Bearer demur-caller-" + "A" * 43)],
        [("Authorization", "Bearer \xe9\xff")],
        [("Authorization", "Bearer " + "x" * 100_000)],
        [("Cookie", "__Host-demur=demur-session-" + "A" * 43)],
        [("Cookie", "demur=demur-session-" + "A" * 43)],
    ],
)
def test_whoever_sends_nothing_that_we_issued_is_nobody(tenant: Tenant, sent: list[tuple[str, str]]) -> None:
    tenant.add()

    with pytest.raises(UnauthenticatedError):
        known(tenant, request(*sent))


def test_two_credentials_at_once_are_none(tenant: Tenant) -> None:
    key = tenant.add()

    with pytest.raises(UnauthenticatedError):
        known(tenant, request(("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")))


def test_a_key_in_other_letters_is_another_key(tenant: Tenant) -> None:
    key = tenant.add()

    with pytest.raises(UnauthenticatedError):
        known(tenant, bearer(key.swapcase()))


def test_a_key_ends_when_it_was_said_to_end(tenant: Tenant) -> None:
    key = tenant.add(expires_at=START.plus(60))
    assert len(known(tenant, bearer(key))) == 1
    tenant.clock.advance(60)

    with pytest.raises(UnauthenticatedError, match="has ended"):
        known(tenant, bearer(key))


def test_a_key_that_was_taken_back_is_worth_nothing_within_a_second(tenant: Tenant) -> None:
    key = tenant.add()
    known(tenant, bearer(key))
    tenant.programs.remove_program("desk", by=LOCAL)
    tenant.pace.now += 1.0

    with pytest.raises(UnauthenticatedError):
        known(tenant, bearer(key))


def test_a_key_that_another_replica_just_issued_is_known_at_once(tenant: Tenant) -> None:
    known(tenant, bearer(tenant.add()))
    other = tenant.add("other")
    tenant.pace.now += 0.2

    assert [one.id for one in known(tenant, bearer(other))] == ["agent:other"]


def test_guessing_does_not_make_us_read_the_store_each_time(tenant: Tenant) -> None:
    reads = []
    seen = tenant.programs.state
    tenant.programs.state = lambda: reads.append(1) or seen()  # type: ignore[func-returns-value,method-assign]  # counts

    for number in range(50):
        with pytest.raises(UnauthenticatedError):
            known(tenant, bearer(f"demur-caller-{number}"))

    assert len(reads) == 1


def test_while_one_key_replaces_another_both_hold_for_the_overlap(tenant: Tenant) -> None:
    old = tenant.add()
    fresh = tenant.programs.rotate_program("desk", by=LOCAL, overlap_seconds=3_600)

    assert [one.id for one in known(tenant, bearer(old), bearer(fresh))] == ["agent:desk", "agent:desk"]
    tenant.clock.advance(3_600)
    assert [one.id for one in known(tenant, bearer(fresh))] == ["agent:desk"]
    with pytest.raises(UnauthenticatedError):
        known(tenant, bearer(old))


def test_without_an_overlap_the_old_key_ends_at_once(tenant: Tenant) -> None:
    old = tenant.add()
    tenant.programs.rotate_program("desk", by=LOCAL, overlap_seconds=0)

    with pytest.raises(UnauthenticatedError):
        known(tenant, bearer(old))


def test_where_the_store_cannot_say_who_is_known_nobody_is_let_in(tenant: Tenant) -> None:
    key = tenant.add()
    known(tenant, bearer(key))
    tenant.store.close()
    tenant.pace.now += 1.0

    with pytest.raises(StoreError):
        known(tenant, bearer(key))


def test_one_tenant_that_cannot_be_read_keeps_nobody_else_out() -> None:
    one, other = Tenant(), Tenant()
    key = other.add()
    both = Callers({"a": (one.programs, one.people), "b": (other.programs, other.people)}, SystemClock())
    one.store.close()

    assert asyncio.run(both.identify(bearer(key))).tenant == "b"
    other.store.close()


def test_many_who_come_at_once_ask_the_store_once(tenant: Tenant) -> None:
    key = tenant.add()
    reads = []
    seen = tenant.programs.state
    tenant.programs.state = lambda: reads.append(1) or seen()  # type: ignore[func-returns-value,method-assign]  # counts

    async def ask() -> None:
        await asyncio.gather(*(tenant.callers.identify(bearer(key)) for _ in range(64)))

    asyncio.run(ask())
    assert len(reads) == 1


def test_when_a_key_was_last_used_is_known_to_the_day(tenant: Tenant) -> None:
    key = tenant.add()
    known(tenant, bearer(key))
    tenant.pace.now += 1.0
    known(tenant, bearer(key))

    assert tenant.programs.state().used == {key[: len("demur-caller-") + 4]: START.seconds // 86_400}


def test_every_act_is_a_record_that_names_nobody(tenant: Tenant) -> None:
    tenant.add("desk")
    tenant.add("desk", roles=[Role.CALLER, Role.AUDITOR])
    tenant.programs.rotate_program("desk", by=Administrator("mara"))
    tenant.programs.remove_program("desk", by=Administrator("agent:admin", is_person=False))
    tenant.people.add("mara", by=LOCAL, roles=[Role.REVIEWER], panels=["manager"])
    tenant.people.remove("mara", by=LOCAL)

    found = tenant.records()
    assert [(one["type"], one["kind"]) for one in found] == [
        ("identity_added", "program"),
        ("identity_changed", "program"),
        ("identity_changed", "program"),
        ("identity_removed", "program"),
        ("identity_added", "person"),
        ("identity_removed", "person"),
    ]
    assert len({one["by"] for one in found}) == 3
    leaves = b"".join(record.leaf for record in tenant.store.records())
    assert [word for word in (b"desk", b"mara", b"manager", b"local") if word in leaves] == []


def test_nothing_in_the_store_can_be_used_as_a_credential_or_names_a_person(tenant: Tenant) -> None:
    key = tenant.add()
    link = tenant.people.add("mara", by=LOCAL, roles=[Role.REVIEWER])
    login = tenant.people.log_in(tenant.people.id_of("mara"))
    kept = tenant.store.read(lambda tx: b"".join(tx.find_meta(name) or b"" for name in ("identities", "logins")))

    assert [word for word in (key, link, login, "mara") if word.encode() in kept] == []


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"name": "Desk"}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a" * 65}, "/name"),
        ({"name": "../etc"}, "/name"),
        ({"roles": []}, "/roles"),
        ({"subjects": ["user"]}, "/subjects"),
        ({"subjects": ["user:\x00"]}, "/subjects"),
        ({"subjects": [f"user:{n}" for n in range(65)]}, "/subjects"),
        ({"actor": "nobody"}, "/subjects"),
        ({"obligations": [" "]}, "/obligations"),
        ({"expires_at": Timestamp(1)}, "/expires_at"),
    ],
)
def test_what_is_not_well_formed_is_refused_and_leaves_no_trace(tenant: Tenant, more: Any, where: str) -> None:
    with pytest.raises(Exception, match=f"at `{where}`"):
        tenant.add(**{"name": "desk", **more})

    assert (tenant.records(), tenant.programs.programs()) == ([], ())


def test_the_first_key_is_given_once_however_many_replicas_start_at_once(tenant: Tenant) -> None:
    given: list[str] = []
    threads = [threading.Thread(target=lambda: given.append(tenant.programs.add_first())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(bool, given)) == [False] * 7 + [True]
    tenant.programs.remove_program("first", by=LOCAL)
    assert tenant.programs.add_first() == ""


def logged_in(tenant: Tenant, name: str = "mara", **more: Any) -> str:
    tenant.people.add(name, **{"by": LOCAL, "roles": [Role.REVIEWER, Role.OPERATOR], "panels": ["manager"], **more})
    return tenant.people.log_in(tenant.people.id_of(name))


def test_a_login_says_which_person_acts(tenant: Tenant) -> None:
    sent = logged_in(tenant)

    for one in known(tenant, bearer(sent), request(("Cookie", f"__Host-demur={sent}"))):
        assert (one.id, one.is_person, set(one.roles)) == ("user:mara", True, {Role.REVIEWER, Role.OPERATOR})


def test_a_login_is_the_credential_of_a_reviewer_and_of_an_operator(tenant: Tenant) -> None:
    sent = logged_in(tenant)
    found = Reviewers(wiring.open_reviewers(Path("nowhere")), tenant.people).identify(sent)

    assert (found.name, set(found.roles)) == ("mara", {"manager", "operator"})


def test_who_is_no_operator_gets_no_lever_by_calling_a_panel_so(tenant: Tenant) -> None:
    sent = logged_in(tenant, roles=[Role.REVIEWER], panels=["operator", "manager"])

    assert tenant.people.reviewer(sent).roles == {"manager"}


@pytest.mark.parametrize("ending", ["log out", "remove", "change", "idle", "absolute"])
def test_a_login_ends(tenant: Tenant, ending: str) -> None:
    sent = logged_in(tenant)
    known(tenant, bearer(sent))
    match ending:
        case "log out":
            tenant.people.log_out(roster.digest(sent))
        case "remove":
            tenant.people.remove("mara", by=LOCAL)
        case "change":
            tenant.people.add("mara", by=LOCAL, roles=[Role.AUDITOR])
        case "idle":
            tenant.clock.advance(30 * 60)
        case "absolute":
            for _ in range(60):
                tenant.clock.advance(12 * 60)
                tenant.people.touch({roster.digest(sent): tenant.clock.now()})
    tenant.pace.now += 1.0

    with pytest.raises(UnauthenticatedError):
        known(tenant, bearer(sent))
    with pytest.raises(RulingError):
        tenant.people.reviewer(sent)


def test_a_login_that_is_used_does_not_end_from_idleness(tenant: Tenant) -> None:
    sent = logged_in(tenant)

    for _ in range(4):
        tenant.clock.advance(20 * 60)
        tenant.pace.now += 1.0
        assert len(known(tenant, bearer(sent))) == 1


def test_what_a_browser_was_made_to_send_changes_nothing(tenant: Tenant) -> None:
    sent = logged_in(tenant)
    cookie, token = ("Cookie", f"__Host-demur={sent}"), (cookies.TOKEN_HEADER, cookies.token(sent))

    assert len(known(tenant, request(cookie, token, method="POST"))) == 1
    for headers in (
        [cookie],
        [cookie, (cookies.TOKEN_HEADER, "0" * 64)],
        [cookie, token, ("Origin", "https://evil.example")],
        [cookie, token, ("Origin", "null")],
        [cookie, token, ("Sec-Fetch-Site", "cross-site")],
        [cookie, token, ("Sec-Fetch-Site", "same-site")],
    ):
        with pytest.raises(AccessError):
            known(tenant, request(*headers, method="POST"))
