"""One review on one screen: what it tells, what it hides, and what comes of a verdict."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demur import wiring
from demur.core.access import Role
from tests.console.desks import POLICIES, Browser, Desk, desk, text_of
from tests.console.requests import delete, pay, send


@pytest.fixture(scope="module")
def a_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture(scope="module")
def mara(a_desk: Desk) -> Browser:
    return a_desk.browser("mara", Role.REVIEWER, panels=("manager", "compliance"))


def test_it_tells_what_will_happen_why_and_by_which_rule(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(pay(12_500, invoice="i-1002", memo="Beratung"))
    page = mara.get(f"/desk/reviews/{review}")
    told = text_of(page)

    assert page.status_code == 200
    assert "Pay an invoice : invoice i-1002" in told
    assert "amount 12500 EUR" in told
    assert "memo Beratung" in told
    assert "the amount is above 10,000 EUR" in told
    assert "house/pay-very-large" in told
    assert "action.amount > 10000" in told
    assert "0 of 2" in told
    assert "critical risk" in told
    assert "Silence denies it at" in told


def test_personal_values_stand_nowhere_on_the_page_until_they_are_revealed(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(pay(901, account="DE99 SECRET-ACCOUNT", subject="bertil-björk"))
    page = mara.get(f"/desk/reviews/{review}")

    assert "SECRET-ACCOUNT" not in page.text
    assert "bertil-björk" not in page.text
    shown = mara.post(f"/desk/reviews/{review}/reveal", path="action.account", why="the bank called")
    assert shown.status_code == 200
    assert "SECRET-ACCOUNT" in text_of(shown)
    assert "bertil-björk" not in shown.text
    assert "SECRET-ACCOUNT" not in mara.get(f"/desk/reviews/{review}").text
    assert a_desk.last_record()["type"] == "value_revealed"


def test_a_value_is_not_revealed_without_a_reason(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(pay(902, account="DE99 OTHER-ACCOUNT"))
    shown = mara.post(f"/desk/reviews/{review}/reveal", path="action.account", why="  ")

    assert shown.status_code == 409
    assert "OTHER-ACCOUNT" not in shown.text


def test_an_approval_leads_back_to_the_review_and_is_told_there(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(send("d-1"))
    done = mara.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="fine by me")

    assert (done.status_code, done.headers["location"]) == (303, f"/desk/reviews/{review}?did=approved")
    page = text_of(mara.get(done.headers["location"]))
    assert "Approved. The requester can go on" in page
    assert "fine by me" in page
    assert "It is approved; nothing is left to rule on." in page


def test_a_denial_without_a_reason_is_refused_and_nothing_is_lost(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(send("d-2"))
    refused = mara.post(f"/desk/reviews/{review}/rule", verdict="reject", reason=" ")

    assert refused.status_code == 409
    assert "expected a reason, found none" in text_of(refused).lower()
    assert a_desk.state(review) == "pending_review"


def test_a_grave_approval_needs_its_tick_and_keeps_what_was_typed(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(delete("r-1"))
    refused = mara.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="retention is <over>")

    assert refused.status_code == 422
    assert "needs the tick" in text_of(refused)
    assert "retention is &lt;over&gt;</textarea>" in refused.text
    assert a_desk.state(review) == "pending_review"
    done = mara.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="retention is over", sure="yes")
    assert done.status_code == 303
    assert a_desk.state(review) == "approved"


def test_whoever_asked_is_told_before_and_refused_after(a_desk: Desk) -> None:
    ann = a_desk.browser("ann", Role.REVIEWER)
    review = a_desk.defer(pay(903, subject="ann"))
    page = text_of(ann.get(f"/desk/reviews/{review}"))

    assert "You cannot rule on this. Ann asked for this action or is acted for" in page
    refused = ann.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="it is mine and it is fine")
    assert refused.status_code == 409
    assert "somebody else must decide" in text_of(refused)
    assert "it is mine and it is fine" in refused.text
    assert a_desk.state(review) == "pending_review"


def test_whoever_lacks_the_role_is_told_which(a_desk: Desk) -> None:
    otto = a_desk.browser("otto", Role.REVIEWER, panels=("manager",))
    review = a_desk.defer(delete("r-2"))
    page = otto.get(f"/desk/reviews/{review}")

    assert "expected a reviewer with the role compliance, found otto without it" in text_of(page).lower()
    assert 'id="approve-reason" required maxlength="4000" dir="auto" disabled' in page.text


def test_a_late_verdict_is_refused(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer({**pay(1), "action": {"name": "hurry", "properties": {}}})
    a_desk.wait(review, "expired")
    refused = mara.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="just in time")

    assert refused.status_code == 409
    assert "has passed" in text_of(refused)
    assert "just in time" in refused.text


def test_two_people_are_two_people(a_desk: Desk, mara: Browser) -> None:
    nadia = a_desk.browser("nadia", Role.REVIEWER)
    review = a_desk.defer(pay(20_001))
    verdict = {"verdict": "approve", "reason": "checked", "sure": "yes"}

    assert mara.post(f"/desk/reviews/{review}/rule", **verdict).status_code == 303
    assert "1 of 2" in text_of(mara.get(f"/desk/reviews/{review}"))
    again = mara.post(f"/desk/reviews/{review}/rule", **verdict)
    assert again.status_code == 409
    assert "has ruled on this review already" in text_of(again)
    assert nadia.post(f"/desk/reviews/{review}/rule", **verdict).status_code == 303
    assert a_desk.state(review) == "approved"


def test_one_takes_it_and_others_see_who(a_desk: Desk, mara: Browser) -> None:
    olga = a_desk.browser("olga", Role.REVIEWER)
    review = a_desk.defer(send("d-3"))
    taken = mara.post(f"/desk/reviews/{review}/take")

    assert (taken.status_code, taken.headers["location"]) == (303, f"/desk/reviews/{review}?did=taken")
    assert "mara holds it" in text_of(olga.get(f"/desk/reviews/{review}"))
    assert "You cannot rule on this. mara holds it until" in text_of(olga.get(f"/desk/reviews/{review}"))
    assert olga.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="me first").status_code == 409
    assert mara.post(f"/desk/reviews/{review}/release").status_code == 303
    assert olga.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="now I may").status_code == 303


def test_less_than_was_asked_can_be_approved(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(pay(4_000))
    bounded = {"at_most.amount": "3,000", "minutes": "30"}
    done = mara.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="up to the budget", **bounded)

    assert done.status_code == 303, text_of(done)
    assert "amount at most 3000" in text_of(mara.get(f"/desk/reviews/{review}"))


@pytest.mark.parametrize("bound", ["many", "1e999", "-", "٣٠٠x"])
def test_a_bound_that_is_no_number_is_told_and_kept(a_desk: Desk, mara: Browser, bound: str) -> None:
    review = a_desk.defer(pay(4_100))
    refused = mara.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="r", **{"at_most.amount": bound})

    assert refused.status_code == 422
    assert a_desk.state(review) == "pending_review"


def test_precedents_stand_beside_the_arguments_with_denials_marked(a_desk: Desk, mara: Browser) -> None:
    approved, denied = a_desk.defer(pay(5_000, memo="chairs")), a_desk.defer(pay(5_100, memo="tables"))
    mara.post(f"/desk/reviews/{approved}/rule", verdict="approve", reason="as ordered")
    mara.post(f"/desk/reviews/{denied}/rule", verdict="reject", reason="never ordered <script>alert(1)</script>")
    page = mara.get(f"/desk/reviews/{a_desk.defer(pay(5_200, memo='chairs'))}")
    told = text_of(page)

    assert "as ordered" in told
    assert "never ordered <script>alert(1)</script>" in told
    assert "<script>alert" not in page.text
    assert "Nearest approved" in told
    assert "differs" in told


def test_of_another_tenant_nothing_is_seen(a_desk: Desk) -> None:
    review = a_desk.defer(send("d-4"))
    stranger = a_desk.browser("sven", Role.REVIEWER, tenant="other")

    assert stranger.get(f"/desk/reviews/{review}").status_code == 404
    refused = stranger.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="let me")
    assert refused.status_code == 404
    assert a_desk.state(review) == "pending_review"


@pytest.mark.parametrize("review", ["nothing", "%00", "<script>", "a" * 500])
def test_a_review_that_there_is_not_is_not_found(mara: Browser, review: str) -> None:
    assert mara.get(f"/desk/reviews/{review}").status_code == 404


def test_an_operator_looks_and_does_not_rule(a_desk: Desk) -> None:
    opal = a_desk.browser("opal", Role.OPERATOR, panels=())
    review = a_desk.defer(send("d-5"))

    assert "Your roles let you look and not rule." in text_of(opal.get(f"/desk/reviews/{review}"))
    assert opal.post(f"/desk/reviews/{review}/rule", verdict="approve", reason="x").status_code == 403


def test_values_that_were_erased_are_told_as_erased(a_desk: Desk, mara: Browser) -> None:
    review = a_desk.defer(pay(906, subject="erased-person"))
    opal = a_desk.browser("opal", Role.OPERATOR, panels=())
    a_desk.gate().erase("user:erased-person", credential=opal.credential, reason="they asked for it")
    page = mara.get(f"/desk/reviews/{review}")

    assert page.status_code in {200, 410}
    assert "erased" in text_of(page)
    assert "erased-person" not in page.text


def test_what_the_requester_says_is_told_as_unchecked_and_without_personal_values(a_desk: Desk, mara: Browser) -> None:
    asked = pay(907, subject="said-by", account="DE00-SAID")
    said = {"context": {"justification": "said-by paid DE00-SAID <i>twice</i>"}, "client": {"name": "desk app"}}
    review = a_desk.defer(asked)
    a_desk.take_up(asked, review, said)
    page = mara.get(f"/desk/reviews/{review}")

    assert "••• paid ••• <i>twice</i>" in text_of(page)
    assert "Whoever asked says so. Nobody has checked it." in text_of(page)
    assert "DE00-SAID" not in page.text


def test_glass_that_was_broken_is_looked_at_afterwards(a_desk: Desk, mara: Browser) -> None:
    opal = a_desk.browser("opal", Role.OPERATOR, panels=())
    olaf = a_desk.browser("olaf", Role.REVIEWER, Role.OPERATOR, panels=())
    gate = a_desk.gate()
    subject = {"type": "user", "id": "bertil"}
    opening = gate.break_glass(
        subject=subject, actions=["print_invoice"], credential=opal.credential, reason="the house burns"
    )
    gate.decide({**pay(1), "action": {"name": "print_invoice", "properties": {}}})
    gate.end_glass(opening.id, credential=opal.credential, reason="it is out")
    reviews = [one for one in gate.reviews() if one.opened_by]
    page = olaf.get(f"/desk/reviews/{reviews[-1].id}")

    assert page.status_code == 200
    assert "behind broken glass" in text_of(page)


def test_a_long_value_can_be_read_to_its_end(a_desk: Desk, mara: Browser) -> None:
    memo = "nothing to see here. " * 60 + "AND EVERYTHING ELSE TOO"
    page = mara.get(f"/desk/reviews/{a_desk.defer(pay(908, memo=memo))}")

    assert "AND EVERYTHING ELSE TOO" in text_of(page)
    assert f"({len(memo)} characters)" in text_of(page)


def test_a_review_that_the_policies_have_overtaken_says_so(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(POLICIES, policies)
    with desk(tmp_path / "homes", policies) as opened:
        mara = opened.browser("mara", Role.REVIEWER)
        review = opened.defer(send("d-1"))
        document = policies / "desk.yaml"
        text = document.read_text()
        document.write_text(text.replace("review: {role: manager, within: 48h", "review: {role: manager, within: 47h"))
        wiring.reload_policies(opened.service.service.tenants.parts("clinic"))

        told = text_of(mara.get(f"/desk/reviews/{review}"))
        assert "It is superseded; nothing is left to rule on. The policies ask something else by now." in told
