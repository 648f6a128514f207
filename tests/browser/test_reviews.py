"""What happens between people at a review: late, twice, together, against the rules, and in two windows."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from playwright.sync_api import expect

from demur.core.review import ReviewState
from demur.server import cookies
from tests.browser.browsing import PHONE, Visit
from tests.browser.conftest import Visiting
from tests.browser.house import House, Person, hurry, transfer

TWO = 6_000_000
"""So many cents need two people."""


def open_review(visit: Visit, review: str) -> None:
    assert visit.go(f"/desk/reviews/{review}") == 200


def approve(visit: Visit, reason: str = "checked by phone", *, grave: bool = False) -> None:
    form = visit.page.get_by_role("form", name="Approve")
    form.get_by_label("Reason").fill(reason)
    if grave:
        form.get_by_role("checkbox").check()
    form.get_by_role("button", name="Approve").click()


def deny(visit: Visit, reason: str = "not in the budget") -> None:
    form = visit.page.get_by_role("form", name="Deny")
    form.get_by_label("Reason").fill(reason)
    form.get_by_role("button", name="Deny").click()


def refused(visit: Visit, words: str) -> None:
    """The page tells in an alert that has the focus why nothing was done."""
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text(re.compile(words))


def did(visit: Visit, words: str) -> None:
    expect(visit.page.get_by_role("status").filter(has_text=words)).to_be_visible()


def test_an_approval_that_arrives_late_is_refused_and_the_expiry_recorded_once(
    home: House, visiting: Visiting, mara: Person
) -> None:
    review = home.defer(hurry())
    visit, other = visiting(mara), visiting(mara)
    open_review(visit, review)
    open_review(other, review)
    visit.page.get_by_role("form", name="Approve").get_by_label("Reason").fill("just in time")
    home.clock.advance(61)

    approve(visit, "just in time")
    refused(visit, "deadline .* has passed")
    approve(other, "me too")
    refused(other, "deadline .* has passed")
    # What was typed is not lost, and whoever asked again is told the same.
    expect(visit.page.locator("#approve-reason")).to_have_value("just in time")
    open_review(visit, review)
    expect(visit.page.get_by_text("expired").first).to_be_visible()
    expired = [leaf for leaf in home.records("review_expired") if leaf["review"] == review]
    assert len(expired) == 1
    assert [leaf for leaf in home.records("review_ruled") if leaf["review"] == review] == []
    assert home.ask(hurry())["deferral"]["review_id"] != review


def test_two_people_are_two_people(home: House, visiting: Visiting, mara: Person, tarek: Person) -> None:
    review = home.defer(transfer(TWO))
    first, second = visiting(mara), visiting(tarek)
    open_review(first, review)
    approve(first, "the notary confirmed", grave=True)
    did(first, "Approved")
    assert home.review(review).review.state.is_open

    # The same person again, by the form that another page of theirs still shows.
    expect(first.page.get_by_role("form", name="Approve").get_by_role("button")).to_be_disabled()
    expect(first.page.locator("#objection")).to_be_visible()
    assert post(home, login_of(first), review, "once more") == 409
    assert home.review(review).review.state.is_open

    open_review(second, review)
    expect(second.page.get_by_text("1 of 2").first).to_be_visible()
    expect(second.page.get_by_text("the notary confirmed")).to_be_visible()
    approve(second, "seen the contract", grave=True)
    did(second, "Approved")
    assert home.review(review).review.state is ReviewState.APPROVED
    assert home.ask(transfer(TWO))["outcome"] == "allow"


def login_of(visit: Visit) -> str:
    (cookie,) = visit.context.cookies()
    return cookie.get("value", "")


def post(home: House, login: str, review: str, reason: str, verdict: str = "approve") -> int:
    """The status of the form as the browser of this login would send it, from outside of it."""
    sent = {"token": cookies.token(login), "verdict": verdict, "reason": reason, "sure": "yes"}
    path = f"{home.url}/desk/reviews/{review}/rule"
    return httpx2.post(path, data=sent, cookies={"demur": login}, timeout=30).status_code


def test_nobody_rules_on_what_is_done_in_their_name(home: House, visiting: Visiting, ann: Person) -> None:
    review = home.defer(transfer(70_000, subject="ann"))
    visit = visiting(ann)
    open_review(visit, review)

    expect(visit.page.locator("#objection")).to_contain_text("You cannot rule on this")
    for name in ("Approve", "Deny"):
        expect(visit.page.get_by_role("form", name=name).get_by_role("button")).to_be_disabled()
    assert post(home, login_of(visit), review, "it is fine") == 409
    assert post(home, login_of(visit), review, "it is not", "reject") == 409
    assert home.review(review).review.rulings == ()


def test_what_others_do_is_seen_in_another_window_without_loading_anew(
    home: House, visiting: Visiting, mara: Person, tarek: Person
) -> None:
    desk, one, doer = visiting(mara), visiting(mara), visiting(tarek)
    review = home.defer(transfer(71_000))
    desk.go("/desk")
    open_review(one, review)
    for visit in (desk, one):
        visit.page.evaluate("window.__same = true")
    row = desk.page.locator(f"[data-row='{review}']")
    expect(row).to_be_visible()

    later = home.defer(transfer(72_000))
    expect(desk.page.locator(f"[data-row='{later}']")).to_be_visible()
    open_review(doer, review)
    approve(doer)
    did(doer, "Approved")
    expect(row).to_be_hidden()
    expect(one.page.locator("#changed")).to_contain_text("Somebody ruled on this review")
    assert [visit.page.evaluate("window.__same") for visit in (desk, one)] == [True, True]


def test_an_approval_of_less_is_granted_as_less(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(300_000, resource="acc-narrow"))
    visit = visiting(mara)
    open_review(visit, review)
    visit.page.get_by_text("Approve less than was asked").click()
    visit.page.get_by_label("amount at most").fill("120000")
    approve(visit, "the first instalment only")
    did(visit, "Approved")

    claimed = httpx2.post(f"{home.url}/reviews/{review}/claim", headers=home.program(), timeout=30)
    assert claimed.status_code == 200, claimed.text
    context = claimed.json()["context"]
    assert context["outcome"] == "allow"
    assert context["grant"]["constraints"] == {"amount": 120_000}


def test_an_approval_of_less_that_is_not_allowed_is_refused(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(300_000, resource="acc-narrow-2"))
    visit = visiting(mara)
    for typed in ("400000", "1.200,00", "1,5", "-5", "many", "1e3"):
        open_review(visit, review)
        visit.page.get_by_text("Approve less than was asked").click()
        visit.page.get_by_label("amount at most").fill(typed)
        approve(visit, "less")
        refused(visit, "That was not done")
        expect(visit.page.get_by_label("amount at most")).to_have_value(typed)
    assert home.review(review).review.rulings == ()


def test_a_masked_value_is_shown_for_a_reason_that_is_a_record(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(73_000, payee="Zoë & Søn <ApS>", resource="acc-reveal"))
    visit = visiting(mara)
    open_review(visit, review)
    page = visit.page
    expect(page.get_by_text("Zoë & Søn <ApS>")).to_have_count(0)

    page.get_by_role("row", name="payee").get_by_role("button", name="Reveal").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Why you need to see it")).to_be_focused()
    dialog.get_by_label("Why you need to see it").fill("compare it with the invoice")
    dialog.get_by_role("button", name="Reveal and record").click()
    expect(page.get_by_text("Zoë & Søn <ApS>").first).to_be_visible()
    assert len(home.records("value_revealed")) == 1

    open_review(visit, review)
    expect(page.get_by_text("Zoë & Søn <ApS>")).to_have_count(0)
    assert len(home.records("value_revealed")) == 1


def test_a_reason_is_not_lost_where_the_login_has_ended(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(74_000))
    visit = visiting(mara)
    open_review(visit, review)
    reason = visit.page.locator("#approve-reason")
    reason.fill("a long thought, well put")
    visit.context.clear_cookies()
    visit.page.get_by_role("form", name="Approve").get_by_role("button").click()
    visit.page.wait_for_url("**/login?**")
    assert home.review(review).review.rulings == ()

    visit.log_in(mara)
    open_review(visit, review)
    expect(reason).to_have_value("a long thought, well put")


def test_going_back_after_a_verdict_does_nothing_twice(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(75_000))
    visit = visiting(mara)
    visit.go("/desk")
    open_review(visit, review)
    deny(visit)
    did(visit, "Denied")
    visit.page.reload()
    visit.page.go_back()
    visit.page.go_forward()

    assert home.review(review).review.state is ReviewState.DENIED
    assert len(home.review(review).review.rulings) == 1
    expect(visit.page.get_by_text("denied").first).to_be_visible()


def test_pressing_twice_rules_once(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(TWO + 1))
    visit = visiting(mara)
    open_review(visit, review)
    form = visit.page.get_by_role("form", name="Approve")
    form.get_by_label("Reason").fill("pressed twice")
    form.get_by_role("checkbox").check()
    form.get_by_role("button", name="Approve").dblclick()
    expect(visit.page.locator("#objection")).to_be_visible()

    assert len(home.review(review).review.rulings) == 1


def test_two_who_press_at_the_same_moment_are_both_told_the_truth(
    home: House, visiting: Visiting, mara: Person, tarek: Person
) -> None:
    review = home.defer(transfer(76_000))
    both = [visiting(mara), visiting(tarek)]
    for visit in both:
        open_review(visit, review)
    logins = [login_of(visit) for visit in both]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda login: post(home, login, review, "now"), logins))

    assert sorted(told) == [303, 409]
    assert len(home.review(review).review.rulings) == 1
    assert len([leaf for leaf in home.records("review_ruled") if leaf["review"] == review]) == 1
    for visit in both:
        expect(visit.page.locator("#changed")).to_contain_text("Somebody ruled on this review")


def test_a_grave_approval_takes_a_tick(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(TWO + 2))
    visit = visiting(mara)
    open_review(visit, review)
    approve(visit, "without the tick")

    assert visit.page.evaluate("document.querySelector('input[name=sure]').validity.valueMissing")
    assert home.review(review).review.rulings == ()


def test_a_verdict_takes_a_reason(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(77_000))
    visit = visiting(mara)
    open_review(visit, review)
    for name in ("Approve", "Deny"):
        visit.page.get_by_role("form", name=name).get_by_role("button").click()
    assert visit.path == f"/desk/reviews/{review}"
    approve(visit, "   ")
    refused(visit, "reason")

    assert home.review(review).review.rulings == ()


def test_whoever_takes_a_review_is_seen_to_hold_it(
    home: House, visiting: Visiting, mara: Person, tarek: Person
) -> None:
    review = home.defer(transfer(78_000))
    first, second = visiting(mara), visiting(tarek)
    open_review(first, review)
    first.page.get_by_role("button", name="Take it").click()
    did(first, "You hold this review now")
    open_review(second, review)
    expect(second.page.get_by_text("mara holds it").first).to_be_visible()

    first.page.get_by_role("button", name="Give it back").click()
    did(first, "Released")
    assert home.review(review).review.holder == ""


@pytest.mark.parametrize("options", [{"java_script_enabled": False}, {"viewport": PHONE, "has_touch": True}])
def test_the_desk_works_without_scripts_and_on_a_phone(
    home: House, visiting: Visiting, mara: Person, options: dict[str, object]
) -> None:
    reviews = [home.defer(transfer(79_000 + number, resource=f"acc-{len(options)}-{number}")) for number in range(2)]
    visit = visiting(**options)
    visit.log_in(mara)
    page = visit.page
    page.locator(f"a[href='/desk/reviews/{reviews[0]}']").first.click()
    page.get_by_role("button", name="Take it").click()
    did(visit, "You hold this review now")
    approve(visit)
    did(visit, "Approved")
    visit.go("/desk?who=nobody&risk=medium")
    page.locator(f"a[href='/desk/reviews/{reviews[1]}']").first.click()
    deny(visit, "too late today")
    did(visit, "Denied")

    assert home.review(reviews[0]).review.state is ReviewState.APPROVED
    assert home.review(reviews[1]).review.state is ReviewState.DENIED


def test_a_value_is_revealed_without_scripts(home: House, visiting: Visiting, mara: Person) -> None:
    review = home.defer(transfer(80_100, payee="Bäckerei Kern", resource="acc-no-script"))
    visit = visiting(mara, java_script_enabled=False)
    open_review(visit, review)
    form = visit.page.get_by_role("group").filter(has_text="Reveal a masked value")
    form.get_by_text("Reveal a masked value").click()
    form.get_by_label("Which").select_option("action.payee")
    form.get_by_label("Why you need to see it").fill("compare")
    form.get_by_role("button", name="Reveal and record").click()

    expect(visit.page.get_by_text("Bäckerei Kern").first).to_be_visible()
