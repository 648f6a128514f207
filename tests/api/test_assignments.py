"""Over HTTP: reviews in hand and in somebody's place, approvals of less than was asked (S7, S3.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from demur.core.access import Role
from demur.server.events import Feed
from demur.server.routes.reviews import Shown
from tests.api.desk import Desk, desk, pay

AMOUNTS = iter(range(1_000, 1_000_000))
UNTIL = "2099-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("assignments")) as served:
        served.noa = served.served.add_person("noa", Role.REVIEWER)  # type: ignore[attr-defined]  # one more
        yield served


def review(at: Desk, amount: int = 0) -> str:
    return str(at.defer(pay(amount or next(AMOUNTS)))["deferral"]["review_id"])


def post(at: Desk, path: str, who: dict[str, str], **body: Any) -> Any:
    return at.client.post(path, json=body, headers=who)


def test_a_review_is_taken_given_on_and_given_back(at: Desk) -> None:
    noa: dict[str, str] = at.noa  # type: ignore[attr-defined]  # see `at`
    place = f"/reviews/{review(at)}"
    taken = post(at, f"{place}/take", at.mara, seconds=600)
    assert (taken.status_code, taken.json()["status"]) == (200, "assigned")
    assert taken.json()["held_until"] > "20"
    late = post(at, f"{place}/take", noa)
    assert (late.status_code, "somebody else holds" in late.json()["detail"]) == (409, True)
    assert at.rule(place.rpartition("/")[2], who=noa).status_code == 409
    given = post(at, f"{place}/assign", at.mara, to="noa", reason="noa knows the payee")
    assert given.status_code == 200
    shown = at.client.get(place, headers=at.mara).json()
    assert (shown["status"], shown["holder"]) == ("assigned", "noa")
    assert post(at, f"{place}/release", at.mara).status_code == 409
    assert post(at, f"{place}/release", noa).json()["status"] == "pending_review"


def test_whoever_asked_is_told_that_it_waits_and_not_who_looks(at: Desk) -> None:
    named = review(at)
    post(at, f"/reviews/{named}/take", at.mara)
    told = at.client.get(f"/reviews/{named}/status", headers=at.agent).json()
    assert told["status"] == "pending_review"
    assert "noa" not in str(told)
    assert "mara" not in str(told)


def test_a_program_takes_nothing(at: Desk) -> None:
    assert post(at, f"/reviews/{review(at)}/take", at.agent).status_code == 403


def test_a_role_is_lent_shown_and_taken_back(at: Desk) -> None:
    noa: dict[str, str] = at.noa  # type: ignore[attr-defined]  # see `at`
    wrong = post(at, "/delegations", at.mara, to="noa", until="soon", reason="on leave")
    assert (wrong.status_code, "/until" in wrong.text) == (400, True)
    too_long = post(at, "/delegations", at.mara, to="noa", until=UNTIL, reason="on leave")
    assert (too_long.status_code, "90 days" in too_long.text) == (409, True)
    until = str(at.gate._world.clock.now().plus(3_600))
    lent = post(at, "/delegations", at.mara, to="noa", until=until, reason="on leave", roles=["supervisor"])
    assert lent.json()["roles"] == ["supervisor"]
    (listed,) = at.client.get("/delegations", headers=noa).json()["delegations"]
    assert (listed["lender"], listed["delegate"], listed["reason"]) == ("mara", "noa", "on leave")
    ruled = {"verdict": "approve", "reason": "seen", "on_behalf": "mara"}
    named = review(at)
    assert post(at, f"/reviews/{named}/rule", noa, **ruled).json()["status"] == "approved"
    (ruling,) = at.client.get(f"/reviews/{named}", headers=noa).json()["rulings"]
    assert (ruling["reviewer"], ruling["on_behalf"]) == ("noa", "mara")
    ended = post(at, f"/delegations/{lent.json()['delegation_id']}/end", noa, reason="mara is back")
    assert ended.json()["delegations"] == []


def test_an_approval_of_less_grants_less(at: Desk) -> None:
    named = review(at, 5_000)
    narrows = [{"argument": "amount", "at_most": 4_000}]
    ruled = post(
        at, f"/reviews/{named}/rule", at.mara, verdict="approve", reason="less", narrows=narrows, grant_seconds=20
    )
    assert ruled.json()["status"] == "approved"
    given = at.evaluate(pay(5_000))
    assert given["decision"] is True
    assert "4000" in str(given["context"])


@pytest.mark.parametrize(
    ("narrows", "status"),
    [
        ([{"argument": "amount", "at_most": 10**7}], 409),
        ([{"argument": "amount"}], 409),
        ([{"argument": "amount", "at_most": "much"}], 400),
        ([{"at_most": 5}], 400),
        ("amount", 400),
    ],
)
def test_bounds_that_are_none_are_refused(at: Desk, narrows: Any, status: int) -> None:
    body = {"verdict": "approve", "reason": "less", "narrows": narrows}
    assert post(at, f"/reviews/{review(at)}/rule", at.mara, **body).status_code == status


def test_a_list_goes_on_page_by_page_past_what_the_store_gives_at_a_time(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from demur.server.routes import reviews

    monkeypatch.setattr(reviews, "MAX_LISTED", 3)
    opened = {review(at) for _ in range(8)}
    found: list[str] = []
    token = ""
    while True:
        page = at.client.get("/reviews", params={"limit": 3, "token": token}, headers=at.mara).json()
        found += [one["review_id"] for one in page["reviews"]]
        token = page["page"]["next_token"]
        if not token:
            break
    assert len(found) == len(set(found))
    assert opened <= set(found)


def test_a_review_as_it_is_shown_is_what_the_documents_say(at: Desk) -> None:
    shown = at.client.get(f"/reviews/{review(at)}", headers=at.mara).json()
    assert set(Shown.__struct_fields__) <= set(shown)
    msgspec.convert(shown, Shown)


def test_whoever_follows_their_own_review_is_not_told_who_looks_at_it(at: Desk) -> None:
    named = review(at)
    post(at, f"/reviews/{named}/take", at.mara)
    store = at.gate._world.store
    found = Feed(store)._read(0, store.read(lambda tx: tx.head.size))
    mine = [event for event in found if event.review == named]
    assert [event.is_for(named) for event in mine] == [True, False]
    assert all(event.is_for("") for event in mine)
    assert b"governance.review.assigned" in mine[1].text
