"""A link for one named person and one review: opened as often as one likes, used once, by that person, in time (S7.4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from demur.core.access import Role
from demur.core.terms import Timestamp
from demur.steps import linking, ruling
from tests.console.desks import Browser, Desk, desk, text_of
from tests.console.requests import pay

NOWHERE = "This link leads nowhere"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("links")) as found:
        yield found


@pytest.fixture(scope="module")
def mara(at: Desk) -> Browser:
    return at.browser("mara", Role.REVIEWER)


def world(at: Desk, tenant: str = "clinic") -> Any:
    return at.service.service.tenants.parts(tenant).world


def link(at: Desk, review_id: str, person: str = "mara", tenant: str = "clinic") -> str:
    def issue(tx: Any) -> str:
        return linking.issue(world(at, tenant), ruling.decode(tx.find_review(review_id)), person, tx.now)

    token: str = world(at, tenant).store.read(issue)
    assert token
    return f"/desk/links/{token}"


def records(at: Desk) -> int:
    size: int = world(at).store.read(lambda tx: tx.head.size)
    return size


def test_opening_a_link_takes_a_login_and_then_changes_nothing_and_shows_nothing_personal(
    at: Desk, mara: Browser
) -> None:
    review = at.defer(pay(70_101, subject="bertil-zx81", account="DE-zx81", invoice="i-zx81"))
    path, before = link(at, review), records(at)
    stranger = at.service.client.get(path, headers={"Accept": "text/html"}, follow_redirects=False)
    assert stranger.status_code == 303
    assert unquote(stranger.headers["location"]) == f"/login?next={path}"
    for _ in range(3):
        page = mara.get(path)
        assert page.status_code == 200
        assert "zx81" not in page.text
        assert "70101" not in page.text
        assert "70_101" not in page.text
    assert records(at) == before
    assert at.state(review) == "pending_review"


def test_the_link_names_nobody(at: Desk) -> None:
    assert "mara" not in link(at, at.defer(pay(70_102)))


def test_a_link_is_used_once_also_where_another_verdict_is_needed(at: Desk, mara: Browser) -> None:
    """Two managers look at it, so the review is still open after the first."""
    review = at.defer(pay(70_103))
    path = link(at, review)
    used = mara.post(path, verdict="approve", reason="checked by phone", sure="yes")
    assert (used.status_code, used.headers["location"]) == (303, f"/desk/reviews/{review}?did=approved")
    for again in (mara.get(path), mara.post(path, verdict="reject", reason="second thoughts")):
        assert again.status_code == 404
        assert NOWHERE in text_of(again)
    kept = ruling.decode(world(at).store.read(lambda tx: tx.find_review(review)))
    assert [one.verdict.value for one in kept.rulings] == ["approve"]
    assert at.state(review) == "pending_review"


def test_of_two_uses_at_the_same_moment_one_counts(at: Desk, mara: Browser) -> None:
    review = at.defer(pay(70_104))
    path = link(at, review)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(mara.post(path, verdict="reject", reason="no").status_code))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(303) == 1
    assert set(found) <= {303, 404, 409}


def test_a_verdict_needs_the_token_of_the_form_a_reason_and_a_tick_where_the_risk_is_high(
    at: Desk, mara: Browser
) -> None:
    review = at.defer(pay(70_105))
    path = link(at, review)
    sent = {"Cookie": f"__Host-demur={mara.credential}", "Accept": "text/html"}
    forged = at.service.client.post(path, data={"verdict": "approve", "reason": "x", "sure": "yes"}, headers=sent)
    assert forged.status_code == 403
    assert mara.post(path, verdict="approve", reason=" ", sure="yes").status_code == 409
    assert mara.post(path, verdict="maybe", reason="checked").status_code == 422
    if ruling.decode(world(at).store.read(lambda tx: tx.find_review(review))).risk in {"high", "critical"}:
        assert mara.post(path, verdict="approve", reason="checked").status_code == 422
    assert at.state(review) == "pending_review"


def test_forged_foreign_ended_and_unknown_links_all_lead_to_the_same_page(at: Desk, mara: Browser) -> None:
    olga, otto = at.browser("olga", Role.REVIEWER), at.browser("otto", Role.REVIEWER, tenant="other")
    review = at.defer(pay(70_106))
    path = link(at, review)
    review_id, end, mark = path.removeprefix("/desk/links/").split(".")
    pages = [
        olga.get(path),
        otto.get(path),
        *(
            mara.get(f"/desk/links/{token}")
            for token in (
                f"{review_id}.{end}.{mark[:-1]}{'A' if mark[-1] != 'A' else 'B'}",
                f"{review_id}.{int(end) + 1}.{mark}",
                f"{'0' * len(review_id)}.{end}.{mark}",
                f"{review_id}.{end}",
                f"{review_id}.-1.{mark}",
                f"{review_id}.²³.{mark}",
                "x" * 5_000,
                "%00.%ff.%f0%9f%98%80",
            )
        ),
        olga.post(path, verdict="approve", reason="not mine", sure="yes"),
    ]
    assert {page.status_code for page in pages} == {404}
    bodies = {text_of(page).replace("olga", "").replace("otto", "").replace("mara", "") for page in pages}
    assert len({body[body.rindex(NOWHERE) :] for body in bodies}) == 1
    assert at.state(review) == "pending_review"
    assert mara.get(path).status_code == 200


class Later:
    """The same store, at the deadline."""

    def __init__(self, tx: Any, now: Timestamp) -> None:
        self._tx, self.now = tx, now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


def test_a_link_ends_after_a_while_also_where_the_review_waits_longer(
    at: Desk, mara: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "MAX_SECONDS", 60)
    review = at.defer(pay(70_110))
    token = link(at, review).removeprefix("/desk/links/")

    def later(tx: Any) -> list[bool]:
        opened = ruling.decode(tx.find_review(review)).opened_at
        found = [linking.find(world(at), Later(tx, opened.plus(seconds)), token, "mara") for seconds in (58, 61)]
        return [one is not None for one in found]

    assert world(at).store.read(later) == [True, False]
    assert mara.get(f"/desk/links/{token}").status_code == 200


def test_a_link_ends_with_the_deadline_and_with_the_review(at: Desk, mara: Browser) -> None:
    review = at.defer(pay(70_107))
    path = link(at, review)
    token = path.removeprefix("/desk/links/")

    def at_the_deadline(tx: Any) -> Any:
        deadline = tx.find_review(review).deadline
        just_before = linking.find(world(at), Later(tx, deadline.plus(-1.5)), token, "mara")
        return just_before, linking.find(world(at), Later(tx, deadline), token, "mara")

    before, after = world(at).store.read(at_the_deadline)
    assert before.id == review
    assert after is None
    at.gate().cancel_request(review, caller="agent:assistant")
    assert mara.get(path).status_code == 404


def test_a_person_without_the_role_gets_no_further(at: Desk) -> None:
    auditor = at.browser("aud", Role.AUDITOR)
    review = at.defer(pay(70_108))
    for path in (link(at, review, "aud"), "/desk/links/x.y.z"):
        assert auditor.get(path).status_code == 403


def test_whoever_asked_for_it_cannot_use_a_link_for_it(at: Desk) -> None:
    bertil = at.browser("bertil", Role.REVIEWER)
    review = at.defer(pay(70_109, subject="bertil"))
    refused = bertil.post(link(at, review, "bertil"), verdict="approve", reason="I need it", sure="yes")
    assert refused.status_code == 409
    assert at.state(review) == "pending_review"
