"""People choose a password, log in, act, and log out; whoever guesses learns nothing and must wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from demur.core.access import Role
from demur.errors import IntakeError
from demur.server import cookies
from demur.server.problems import TooManyError
from demur.server.throttle import Throttle
from demur.steps.enrolling import LOCAL
from tests.api.enrolled import Enrolled, bearer, enrolled

PASSWORD = "fünf große Worte im Reim"
BROWSER = {"Origin": "https://pdp.example.com", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Enrolled]:
    with enrolled(tmp_path) as opened:
        yield opened


def post(service: Enrolled, path: str, headers: dict[str, str] | None = None, **sent: str) -> httpx2.Response:
    service.client.cookies.clear()
    return service.client.post(path, json={"tenant": "clinic", **sent}, headers=headers or {}, follow_redirects=False)


def invite(service: Enrolled, name: str = "mara", *roles: Role) -> str:
    return service.people().add(name, by=LOCAL, roles=roles or [Role.OPERATOR, Role.REVIEWER], panels=["manager"])


def admit(service: Enrolled, name: str = "mara") -> None:
    assert post(service, "/welcome", link=invite(service, name), password=PASSWORD).json() == {"name": name}


def log_in(service: Enrolled, name: str = "mara", **more: str) -> httpx2.Response:
    return post(service, "/login", None, **{"name": name, "password": PASSWORD, **more})


def test_a_person_chooses_a_password_logs_in_and_moves_a_lever(service: Enrolled) -> None:
    admit(service)
    credential = log_in(service).json()["credential"]

    done = service.client.post("/levers/stops", headers=bearer(credential), json={"reason": "drill"})
    assert (done.status_code, credential.startswith("demur-session-")) == (200, True)


def test_a_link_is_good_once(service: Enrolled) -> None:
    link = invite(service)

    assert post(service, "/welcome", link=link, password=PASSWORD).status_code == 200
    assert post(service, "/welcome", link=link, password=PASSWORD + "!").status_code == 403
    assert log_in(service).status_code == 200


def test_a_fresh_link_ends_the_one_before(service: Enrolled) -> None:
    link = invite(service)
    invite(service)

    assert post(service, "/welcome", link=link, password=PASSWORD).status_code == 403


def test_a_link_of_another_tenant_is_none_here(service: Enrolled) -> None:
    link = service.people("other").add("mara", by=LOCAL, roles=[Role.REVIEWER])

    assert post(service, "/welcome", link=link, password=PASSWORD).status_code == 403
    assert post(service, "/welcome", tenant="other", link=link, password=PASSWORD).status_code == 200


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "x" * 1_025])
def test_a_password_has_12_to_1024_characters(service: Enrolled, password: str) -> None:
    link = invite(service)

    assert post(service, "/welcome", link=link, password=password).status_code in {400, 403}
    assert post(service, "/welcome", link=link, password=PASSWORD).status_code == 200


def test_a_password_is_the_same_however_a_keyboard_writes_it(service: Enrolled) -> None:
    admit(service)

    assert log_in(service, password="fu\u0308nf große Worte im Reim").status_code == 200


def test_every_failure_looks_alike(service: Enrolled) -> None:
    admit(service)
    invite(service, "without-password")
    told = {
        (found.status_code, found.text)
        for found in (
            log_in(service, password="wrong password here"),
            log_in(service, "nobody"),
            log_in(service, "without-password"),
            log_in(service, tenant="other"),
            log_in(service, tenant="no-such-tenant"),
        )
    }

    assert len(told) == 1
    assert told.pop()[0] == 401


def test_whoever_guesses_must_wait_also_with_the_right_password(service: Enrolled) -> None:
    admit(service)
    for _ in range(5):
        assert log_in(service, password="wrong password here").status_code == 401

    assert log_in(service).status_code == 429
    assert log_in(service, "somebody-else").status_code == 401


def test_an_address_that_guesses_names_must_wait_too() -> None:
    throttle = Throttle(pace=lambda: 0.0)
    for number in range(40):
        throttle.check(f"name-{number}", "192.0.2.1")
        throttle.fail(f"name-{number}", "192.0.2.1")

    with pytest.raises(TooManyError):
        throttle.check("another", "192.0.2.1")
    throttle.check("another", "192.0.2.2")


def test_waiting_grows_and_ends() -> None:
    now = [0.0]
    throttle = Throttle(pace=lambda: now[0])
    for _ in range(8):
        throttle.fail("mara", "192.0.2.1")
    now[0] = 7.9
    with pytest.raises(TooManyError):
        throttle.check("mara", "192.0.2.1")
    now[0] = 8.0
    throttle.check("mara", "192.0.2.1")


def test_what_a_browser_keeps_no_script_and_no_other_site_can_use(service: Enrolled) -> None:
    admit(service)
    found = post(service, "/login", BROWSER, name="mara", password=PASSWORD)

    cookie = found.headers["set-cookie"]
    assert (found.status_code, found.headers["location"], found.content) == (303, "/me", b"")
    assert cookie.startswith("__Host-demur=demur-session-")
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "domain" not in cookie.lower()


def browser(service: Enrolled) -> str:
    """Log in as a browser does; the credential that it keeps."""
    admit(service)
    found = post(service, "/login", BROWSER, name="mara", password=PASSWORD)
    return found.headers["set-cookie"].partition("=")[2].partition(";")[0]


def test_a_browser_moves_a_lever_with_cookie_and_token_and_not_with_the_cookie_alone(service: Enrolled) -> None:
    credential = browser(service)
    cookie = {"Cookie": f"__Host-demur={credential}"}
    token = service.client.get("/me", headers=cookie).json()["token"]

    def stop(**headers: str) -> int:
        sent = cookie | {name.replace("_", "-"): value for name, value in headers.items()}
        return service.client.post("/levers/stops", headers=sent, json={"reason": "drill"}).status_code

    assert stop() == 403
    assert stop(X_Demur_Token="0" * 64) == 403
    assert stop(X_Demur_Token=token, Origin="https://evil.example") == 403
    assert stop(X_Demur_Token=token, Sec_Fetch_Site="cross-site") == 403
    assert stop(X_Demur_Token=token, Origin="https://pdp.example.com") == 200


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
@pytest.mark.parametrize("path", ["/login", "/welcome"])
def test_another_site_logs_nobody_in(service: Enrolled, path: str, headers: dict[str, str]) -> None:
    admit(service)

    assert post(service, path, headers, name="mara", password=PASSWORD, link="x").status_code == 403


def test_logging_in_makes_a_fresh_credential_and_ends_the_one_before(service: Enrolled) -> None:
    first = browser(service)
    body = {"tenant": "clinic", "name": "mara", "password": PASSWORD}
    found = service.client.post(
        "/login", json=body, headers={**BROWSER, "Cookie": f"__Host-demur={first}"}, follow_redirects=False
    )
    second = found.headers["set-cookie"].partition("=")[2].partition(";")[0]
    service.client.cookies.clear()

    assert first != second
    assert [service.people().reviewer(second).name] == ["mara"]
    with pytest.raises(Exception, match="that nobody holds"):
        service.people().reviewer(first)


def test_a_credential_that_somebody_planted_is_not_taken_over(service: Enrolled) -> None:
    admit(service)
    planted = {**BROWSER, "Cookie": "__Host-demur=demur-session-planted"}
    found = post(service, "/login", planted, name="mara", password=PASSWORD)

    assert "planted" not in found.headers["set-cookie"]


def test_logging_out_ends_the_login_for_everybody_who_holds_its_credential(service: Enrolled) -> None:
    credential = browser(service)
    cookie = {"Cookie": f"__Host-demur={credential}"}
    assert service.client.post("/logout", headers=cookie, data={"token": "guess"}).status_code == 403
    done = service.client.post("/logout", headers=cookie, data={"token": cookies.token(credential)})

    assert done.status_code == 204
    with pytest.raises(Exception, match="that nobody holds"):
        service.people().reviewer(credential)


def test_a_program_logs_out_by_its_bearer_token(service: Enrolled) -> None:
    admit(service)
    credential = log_in(service).json()["credential"]

    assert service.client.post("/logout", headers=bearer(credential), data={}).status_code == 204
    with pytest.raises(Exception, match="that nobody holds"):
        service.people().reviewer(credential)


@pytest.mark.parametrize("path", ["/login", "/welcome", "/welcome?link=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"])
def test_pages_run_no_script_are_framed_by_nobody_and_kept_nowhere(service: Enrolled, path: str) -> None:
    found = service.client.get(path)

    policy = found.headers["content-security-policy"]
    assert "<script" not in found.text
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["referrer-policy"] == "same-origin"
    assert found.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b'{"tenant": 1}'),
        ("application/json", b'{"tenant":"a","tenant":"b"}'),
        ("application/x-www-form-urlencoded", b"\xff\xfe"),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(100))),
        ("text/plain", b"name=mara"),
        ("multipart/form-data", b""),
        ("", b""),
    ],
)
@pytest.mark.parametrize("path", ["/login", "/welcome"])
def test_what_is_no_form_is_malformed(service: Enrolled, path: str, kind: str, body: bytes) -> None:
    found = service.client.post(path, content=body, headers={"Content-Type": kind} if kind else {})

    assert found.status_code == 400


def test_a_changed_password_ends_the_logins_before(service: Enrolled) -> None:
    credential = browser(service)
    post(service, "/welcome", link=invite(service), password=PASSWORD + "!")

    with pytest.raises(Exception, match="that nobody holds"):
        service.people().reviewer(credential)


def test_the_store_keeps_no_password(service: Enrolled) -> None:
    admit(service)
    store = service.service.tenants.parts("clinic").world.store
    kept = store.read(lambda tx: tx.find_meta("identities")) or b""

    assert PASSWORD.encode() not in kept
    assert b"$argon2id$v=19$m=65536,t=3,p=4$" in kept


def test_whoever_belongs_to_a_group_rules_as_one_of_it_and_everybody_is_known_by_it(service: Enrolled) -> None:
    people = service.people()
    link = people.add(
        "zoë", by=LOCAL, roles=[Role.REVIEWER], panels=["manager"], groups=["north", "east"], languages=["de", "tr"]
    )
    post(service, "/welcome", link=link, password=PASSWORD)
    credential = log_in(service, "zoë").json()["credential"]

    assert people.reviewer(credential).roles == {"manager", "@east", "@north"}
    (found,) = people.everybody()
    assert (found.name, set(found.roles), set(found.groups)) == ("zoë", {"manager"}, {"north", "east"})
    (listed,) = [one for one in people.listed() if one["name"] == "zoë"]
    assert (listed["groups"], listed["languages"]) == (["east", "north"], ["de", "tr"])


@pytest.mark.parametrize(("group", "language"), [("no blank", "de"), ("@north", "de"), ("north", "german!")])
def test_what_is_no_group_or_language_is_refused(service: Enrolled, group: str, language: str) -> None:
    with pytest.raises(IntakeError, match=r"a group|a language tag"):
        service.people().add("mara", by=LOCAL, roles=[Role.REVIEWER], groups=[group], languages=[language])
