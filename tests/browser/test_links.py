"""A link from a mail, in a real browser: log in, look, decide, and find it used up."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Visiting
from tests.browser.house import House, Person, transfer
from tests.browser.places import link


def test_a_link_from_a_mail_leads_through_the_login_to_the_verdict_once(
    home: House, visiting: Visiting, mara: Person
) -> None:
    review = home.defer(transfer(70_000))
    path = f"/desk/links/{link(home, review, person=mara.name)}"
    visit = visiting()

    visit.log_in(mara, to=path)
    page = visit.page
    expect(page.get_by_role("heading", name="Your verdict, mara")).to_be_visible()
    assert "70000" not in page.content()
    assert "70,000" not in page.content()
    page.locator("#reject-reason").fill("nobody knows this account")
    page.get_by_role("button", name="Deny", exact=True).click()
    page.wait_for_url(f"**/desk/reviews/{review}*")
    expect(page.get_by_role("status").first).to_contain_text("Denied")

    visit.go(path)
    expect(page.get_by_role("heading", name="This link leads nowhere")).to_be_visible()


def test_a_link_of_somebody_else_leads_nowhere(home: House, visiting: Visiting, mara: Person, tarek: Person) -> None:
    review = home.defer(transfer(70_001))
    visit = visiting(tarek)
    visit.go(f"/desk/links/{link(home, review, person=mara.name)}")
    expect(visit.page.get_by_role("heading", name="This link leads nowhere")).to_be_visible()
