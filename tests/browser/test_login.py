"""The doors, in a browser: in by password, out again, back to where somebody wanted to go, and nothing else."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from demur.core.access import Role
from demur.core.login import IDLE_SECONDS
from demur.steps.enrolling import LOCAL
from tests.browser.conftest import Visiting
from tests.browser.house import PASSWORD, House, Person


def test_a_person_logs_in_and_out(home: House, visiting: Visiting, mara: Person) -> None:
    visit = visiting()
    visit.log_in(mara)
    assert visit.path == "/desk"
    expect(visit.page.get_by_text("mara", exact=True)).to_be_visible()

    visit.page.get_by_role("button", name="Log out").click()
    visit.page.wait_for_url("**/login")
    assert visit.context.cookies() == []
    visit.go("/desk")
    assert visit.path == "/login?next=/desk"


def test_the_back_button_after_logging_out_shows_nothing(home: House, visiting: Visiting, mara: Person) -> None:
    visit = visiting(mara)
    visit.go("/desk")
    visit.page.get_by_role("button", name="Log out").click()
    visit.page.wait_for_url("**/login")

    visit.page.go_back()
    visit.page.wait_for_url(re.compile("/login"))
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_link_of_somebody_who_is_not_logged_in_is_followed_afterwards(
    home: House, visiting: Visiting, mara: Person
) -> None:
    visit = visiting()
    visit.log_in(mara, to="/desk?risk=low&order=newest")

    assert visit.path == "/desk?risk=low&order=newest"


def test_nobody_is_sent_to_another_site_after_logging_in(home: House, visiting: Visiting, mara: Person) -> None:
    for hostile in ("//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/logout"):
        visit = visiting()
        visit.log_in(mara, to=f"/login?next={hostile}")
        assert visit.path == "/desk", hostile


def test_whoever_mistypes_the_password_is_told_and_tries_again(home: House, visiting: Visiting, mara: Person) -> None:
    visit = visiting()
    visit.go("/login?next=/desk?risk=high")
    page = visit.page
    page.get_by_label("Tenant").fill(mara.tenant)
    page.get_by_label("Name").fill(mara.name)
    page.get_by_label("Password").fill("something else entirely")
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.get_by_label("Name").input_value() == mara.name
    assert page.get_by_label("Password").input_value() == ""

    page.get_by_label("Tenant").fill(mara.tenant)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    page.wait_for_url("**/desk?risk=high")


def test_a_person_chooses_a_password_by_their_link(home: House, visiting: Visiting) -> None:
    link = home.people().add("neu-ångström", by=LOCAL, roles=[Role.REVIEWER], panels=["payments"])
    visit = visiting()
    visit.go(f"/welcome?link={link}")
    visit.page.get_by_label("Tenant").fill("harbour")
    visit.page.get_by_label("Password").fill(PASSWORD)
    visit.page.get_by_role("button").click()
    visit.page.wait_for_url("**/login")

    visit.log_in(Person("neu-ångström"))
    expect(visit.page.get_by_text("neu-ångström", exact=True)).to_be_visible()


def test_a_login_that_nobody_used_for_long_has_ended(home: House, visiting: Visiting, mara: Person) -> None:
    visit = visiting(mara)
    assert visit.go("/desk") == 200
    home.clock.advance(IDLE_SECONDS + 1)

    visit.go("/desk")
    assert visit.path == "/login?next=/desk"


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(home: House, visiting: Visiting, mara: Person) -> None:
    visit = visiting()
    visit.log_in(mara)

    (cookie,) = visit.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("path")) == (True, "Strict", "/")
    assert visit.page.evaluate("document.cookie") == ""
