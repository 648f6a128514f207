"""Every page x every role x every tenant: who gets in is what `access.ALLOWED` says, and nobody sees another's house."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from demur.console.page import Page
from demur.console.pages import PAGES
from demur.core.access import ALLOWED, Role
from demur.server import cookies
from demur.steps.enrolling import LOCAL
from tests.browser.house import House, house, transfer
from tests.browser.places import filled, parameters

pytestmark = pytest.mark.slow
OURS, OTHER = "harbour", "other"
SECRETS = ("payee-of-harbour-zx81", "acc-of-harbour-zx81", "memo-of-harbour-zx81", "subject-of-harbour-zx81")
"""What only people of one house may read."""
PERSONAL = [role for role in Role if role is not Role.CALLER]


@dataclass
class Served:
    """A house, the paths of its pages, and a login for each role and tenant."""

    home: House
    known: dict[str, str]
    logins: dict[tuple[str, str], str]

    def url(self, page: Page) -> str:
        return self.home.url + filled(page.path, self.known)

    def ask(self, page: Page, login: str = "", *, token: str | None = None, **headers: str) -> httpx2.Response:
        given = {"demur": login} if login else {}
        if page.method == "GET":
            return httpx2.get(self.url(page), cookies=given, headers=headers, timeout=30)
        sent = {"token": cookies.token(login) if token is None else token}
        return httpx2.post(self.url(page), data=sent, cookies=given, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with house(tmp_path_factory.mktemp("matrix")) as home:
        payee, account, memo, subject = SECRETS
        home.defer(transfer(70_000, payee=payee, memo=memo, resource=account, subject=subject))
        logins = {}
        for tenant in (OURS, OTHER):
            people = home.people(tenant)
            for name, roles in (*((str(role), [role]) for role in Role), ("everything", list(Role))):
                people.add(f"only-{name}", by=LOCAL, roles=roles, panels=["payments"])
                logins[tenant, name] = people.log_in(people.id_of(f"only-{name}"))
        yield Served(home, parameters(home, OURS), logins)


def test_every_page_that_answers_is_in_the_table() -> None:
    assert len({(page.method, page.path) for page in PAGES}) == len(PAGES)
    assert all(page.path == "/desk" or page.path.startswith("/desk/") for page in PAGES)
    assert all(page.method in {"GET", "POST"} for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_strangers_are_sent_to_log_in(served: Served, page: Page) -> None:
    for login in ("", "demur-session-guess"):
        found = served.ask(page, login)
        assert found.status_code == 303, found.text
        assert found.headers["location"].startswith("/login?next=/desk")
        assert found.content == b""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
@pytest.mark.parametrize("role", Role)
def test_a_person_is_let_in_exactly_where_the_table_allows_it(served: Served, page: Page, role: Role) -> None:
    found = served.ask(page, served.logins[OURS, role])

    if role in ALLOWED[page.act]:
        assert found.status_code not in {401, 405, 500}, found.text
        assert found.status_code != 403 or "expected one of the roles" not in found.text
        return
    assert found.status_code == 403
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert f"for `{page.act}`" in html.unescape(found.text)
    assert not [secret for secret in SECRETS if secret in found.text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_nobody_of_another_house_sees_anything(served: Served, page: Page) -> None:
    """Whatever their roles are at home, and with the very addresses of ours."""
    found = served.ask(page, served.logins[OTHER, "everything"])

    assert found.status_code not in {401, 405, 500}, found.text
    assert not [secret for secret in SECRETS if secret in found.text]
    if "{review}" in page.path:
        assert found.status_code in ({404} if page.method == "GET" else {400, 404}), found.text


def done(home: House) -> int:
    """Records of what somebody did; the gate's own pulse goes on."""
    return len([leaf for leaf in home.records() if leaf["type"] not in {"heartbeat", "canary"}])


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.method == "POST"], ids=lambda page: f"{page.method} {page.path}"
)
def test_nothing_is_done_for_a_form_that_is_not_ours(served: Served, page: Page) -> None:
    """No token, the token of another login, or the right one sent from another site."""
    login, before = served.logins[OURS, "everything"], done(served.home)
    others = cookies.token(served.logins[OTHER, "everything"])
    told = [
        served.ask(page, login, token=""),
        served.ask(page, login, token=others),
        served.ask(page, login, Origin="https://evil.example"),
        served.ask(page, login, Origin="null"),
        served.ask(page, login, **{"Sec-Fetch-Site": "cross-site"}),
        served.ask(page, login, **{"Sec-Fetch-Site": "same-site"}),
    ]

    assert [found.status_code for found in told] == [403] * len(told)
    assert done(served.home) == before


def test_a_person_of_the_house_does_see_it(served: Served) -> None:
    """The test of other houses can fail."""
    everything = served.logins[OURS, "everything"]
    told = "".join(served.ask(page, everything).text for page in PAGES if page.method == "GET")

    assert [secret for secret in SECRETS if secret in told]
