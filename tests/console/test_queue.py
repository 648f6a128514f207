"""The queue: which lines stand in it, in which order, how they are counted, and how several are ruled on together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.datastructures import QueryParams

from demur.console import case, lines
from demur.console.lines import Lines, Me, Wanted
from demur.core.access import Role
from demur.core.intake import Caller
from demur.core.panel import Panel, Ruling, Verdict
from demur.core.review import Review, ReviewState
from demur.core.terms import Entity, Timestamp
from demur.errors import IntakeError
from tests.console.desks import Browser, Desk, desk, text_of
from tests.console.requests import delete, pay, send

NOW = Timestamp(1_800_000_000 * 10**9)
ME = Me("me", frozenset({"manager"}))


def review(name: str, *, minutes: float = 600, role: str = "manager", **more: object) -> Review:
    known = {"risk": "medium", "action": "pay", "opened_at": NOW}
    return Review(id=name, panels=(Panel("r", "d", role, 1),), deadline=NOW.plus(minutes * 60), **{**known, **more})  # type: ignore[arg-type]  # a test names them


def found(reviews: list[Review], **query: str) -> list[str]:
    return [one.id for one in lines.find(reviews, Wanted.read(QueryParams(query)), ME, NOW).page]


def walked(reviews: list[Review], **query: str) -> list[str]:
    """Every page after the other."""
    ids: list[str] = []
    place = ""
    while True:
        page = lines.find(reviews, Wanted.read(QueryParams({**query, "after": place})), ME, NOW)
        ids += [one.id for one in page.page]
        place = page.next_place
        if not place:
            return ids


HELD: dict[str, Any] = {"state": ReviewState.ASSIGNED, "holder": "me", "held_until": NOW.plus(60)}
RULED: dict[str, Any] = {"rulings": (Ruling("me", ("manager",), Verdict.APPROVE, NOW),)}
MANY = [
    review("a", minutes=30, risk="high"),
    review("b", minutes=600, role="compliance", action="send"),
    review("c", minutes=60, **HELD),
    review("d", minutes=90, **{**HELD, "holder": "otto"}),
    review("e", minutes=45, risk="critical", **RULED),
    review("f", minutes=-1),
]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["a", "e", "c", "d", "b"]),
        ({"risk": "high"}, ["a"]),
        ({"role": "compliance"}, ["b"]),
        ({"action": "send"}, ["b"]),
        ({"who": "mine"}, ["c"]),
        ({"who": "nobody"}, ["a", "e", "b"]),
        ({"who": "decide"}, ["a", "c", "d"]),
        ({"state": "assigned"}, ["c", "d"]),
        ({"state": "pending"}, ["a", "e", "b"]),
        ({"due": "soon"}, ["a", "e", "c", "d"]),
        ({"q": "b"}, ["b"]),
        ({"sort": "risk"}, ["e", "a", "c", "d", "b"]),
        ({"q": "nothing like that"}, []),
    ],
)
def test_filters_and_orders(query: dict[str, str], ids: list[str]) -> None:
    assert found(MANY, **query) == ids


def test_who_no_longer_holds_a_review_does_not_hold_it() -> None:
    lapsed = review("x", **{**HELD, "held_until": NOW.plus(-1)})

    assert found([lapsed], who="nobody") == ["x"]
    assert found([lapsed], who="mine") == []


def test_counts_are_those_of_choosing_otherwise() -> None:
    counted = lines.find(MANY, Wanted.read(QueryParams({"risk": "high"})), ME, NOW)

    assert counted.total == 1
    assert counted.facets["risk"] == {"high": 1, "critical": 1, "medium": 3}
    assert counted.facets["role"] == {"manager": 1}


@pytest.mark.parametrize("sort", ["deadline", "risk", "newest"])
def test_pages_show_every_line_once_past_a_thousand(sort: str) -> None:
    reviews = [
        review(f"{number:05}", minutes=number // 7, risk=lines.RISKS[number % 4], opened_at=NOW.plus(-(number // 5)))
        for number in range(7, 2_507)
    ]
    ids = walked(reviews, sort=sort)

    assert len(ids) == 2_500
    assert len(set(ids)) == 2_500


def test_a_line_that_goes_away_shifts_no_page() -> None:
    reviews = [review(f"{number:03}", minutes=number) for number in range(1, 121)]
    first = lines.find(reviews, Wanted.read(QueryParams({})), ME, NOW)
    second = lines.find(reviews[60:], Wanted.read(QueryParams({"after": first.next_place})), ME, NOW)

    assert first.page[-1].id == "050"
    assert second.page[0].id == "061"


@pytest.mark.parametrize(
    "query",
    ["state=all", "risk=huge", "who=me", "sort=size", "due=never", "after=1.x_a", "after=-1_a", "after=" + "9" * 40],
)
def test_what_the_queue_does_not_know_is_malformed(query: str) -> None:
    with pytest.raises(IntakeError):
        Wanted.read(QueryParams(query))


@pytest.mark.parametrize(
    "query", ["risk=high&risk=low&who=mine&q=ab&sort=risk", "state=ended", "", "role=a%20b&due=soon"]
)
def test_a_query_says_again_what_it_was_read_from(query: str) -> None:
    wanted = Wanted.read(QueryParams(query))

    assert Wanted.read(QueryParams(urlencode(wanted.query()))) == wanted


# ---- pages ----


@pytest.fixture(scope="module")
def a_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture(scope="module")
def mara(a_desk: Desk) -> Browser:
    return a_desk.browser("mara", Role.REVIEWER, panels=("manager", "compliance"))


def ids_of(text: str) -> list[str]:
    return re.findall(r'data-row="([0-9a-f]+)"', text)


def test_a_line_says_what_and_on_what_without_anything_personal(a_desk: Desk, mara: Browser) -> None:
    named = a_desk.defer(send("d-11", subject="somebody-private", recipient="secret@example.org"))
    page = mara.get("/desk")
    (line,) = re.findall(rf'<li class="line" data-row="{named}">.*?</li>', page.text, flags=re.DOTALL)

    assert "Send a document out of the house" in line
    assert "document d-11" in line
    assert "nobody" in line
    assert "somebody-private" not in page.text
    assert "secret@example.org" not in page.text


def test_looking_records_what_has_expired(a_desk: Desk, mara: Browser) -> None:
    named = a_desk.defer({**pay(2), "action": {"name": "hurry", "properties": {}}})
    a_desk.wait(named, "expired")

    assert named not in ids_of(mara.get("/desk").text)
    assert named in ids_of(mara.get("/desk?state=ended").text)
    assert a_desk.has_record("review_expired", named)


def test_what_is_ruled_on_leaves_the_queue_at_once(a_desk: Desk, mara: Browser) -> None:
    named = a_desk.defer(send("d-12"))

    assert named in ids_of(mara.get("/desk").text)
    mara.post(f"/desk/reviews/{named}/rule", verdict="reject", reason="not now")
    assert named not in ids_of(mara.get("/desk").text)


def test_a_filter_that_is_none_is_told_on_a_page(mara: Browser) -> None:
    page = mara.get("/desk?risk=huge")

    assert page.status_code == 400
    assert "expected one of `critical`" in text_of(page).lower()


def test_what_is_read_again_is_what_reading_everything_gives(a_desk: Desk, mara: Browser) -> None:
    store, kept = a_desk.service.service.tenants.parts("clinic").world.store, Lines()
    kept.open(store)
    gate, credential = a_desk.gate(), mara.credential

    def matches() -> None:
        assert kept.open(store) == Lines().open(store)

    names = [a_desk.defer(send(f"again-{number}")) for number in range(5)]
    matches()
    gate.take(names[0], credential=credential)
    matches()
    gate.give_back(names[0], credential=credential)
    matches()
    gate.rule(names[1], verdict="approve", reason="r", credential=credential)
    matches()
    gate.decide(send("again-1"), caller=Caller("agent:assistant", Entity(type="agent", id="assistant")))
    matches()
    late = a_desk.defer({**pay(3), "action": {"name": "hurry", "properties": {}}})
    a_desk.wait(late, "expired")
    gate.reviews(limit=1)
    matches()
    two = a_desk.defer(pay(30_003))
    gate.rule(two, verdict="approve", reason="r", credential=credential)
    matches()


@pytest.mark.parametrize(
    ("name", "before", "after"), [("b", "a", "c"), ("a", "", "b"), ("c", "b", ""), ("between", "b", "c")]
)
def test_the_next_review_is_the_one_with_the_next_deadline(name: str, before: str, after: str) -> None:
    waiting = [review("a", minutes=1), review("b", minutes=2), review("c", minutes=4)]
    looked_at = next((one for one in waiting if one.id == name), review(name, minutes=3, state=ReviewState.DENIED))

    assert case.neighbours(waiting, looked_at) == (before, after)


# ---- several together ----


def bulk(
    browser: Browser, *names: str, verdict: str = "approve", reason: str = "all checked", sure: str = "yes"
) -> int:
    sent: dict[str, str | list[str]] = {"review": list(names), "verdict": verdict, "reason": reason, "sure": sure}
    return browser.post("/desk/bulk", **sent).status_code


def test_alike_reviews_of_low_risk_are_ruled_on_together(a_desk: Desk, mara: Browser) -> None:
    names = [a_desk.defer(send(f"b-{number}", recipient=f"r{number % 2}@example.org")) for number in range(3)]
    page = mara.get("/desk/bulk?" + urlencode([("review", name) for name in names]))

    assert page.status_code == 200
    assert "document b-2" in text_of(page)
    assert bulk(mara, *names) == 303
    assert [a_desk.state(name) for name in names] == ["approved"] * 3


def test_each_of_several_is_a_record_of_its_own(a_desk: Desk, mara: Browser) -> None:
    names = [a_desk.defer(send(f"e-{number}")) for number in range(2)]
    bulk(mara, *names, verdict="reject")

    assert all(a_desk.has_record("review_ruled", name) for name in names)


@pytest.mark.parametrize("sure", ["", "no"])
def test_several_need_their_tick(a_desk: Desk, mara: Browser, sure: str) -> None:
    names = [a_desk.defer(send(f"t-{sure}-{number}")) for number in range(2)]

    assert bulk(mara, *names, sure=sure) == 422
    assert [a_desk.state(name) for name in names] == ["pending_review"] * 2


def test_several_need_a_reason(a_desk: Desk, mara: Browser) -> None:
    names = [a_desk.defer(send(f"n-{number}")) for number in range(2)]

    assert bulk(mara, *names, reason=" ") == 409
    assert [a_desk.state(name) for name in names] == ["pending_review"] * 2


def test_unlike_or_grave_or_too_many_are_not_ruled_on_together(a_desk: Desk, mara: Browser) -> None:
    mild, other = a_desk.defer(send("u-1")), a_desk.defer(pay(777))
    grave = [a_desk.defer(delete(f"g-{number}")) for number in range(2)]
    many = [a_desk.defer(send(f"m-{number}")) for number in range(21)]

    for names in ([mild, other], grave, many, [mild], [mild, mild], [mild, "nothing"]):
        assert bulk(mara, *names) == 422
        assert a_desk.state(mild) == "pending_review"
    assert {a_desk.state(name) for name in (*grave, *many)} == {"pending_review"}


def test_a_conflict_of_interest_holds_for_several_too(a_desk: Desk) -> None:
    ann = a_desk.browser("ann", Role.REVIEWER)
    names = [a_desk.defer(send("c-1", subject="ann")), a_desk.defer(send("c-2"))]

    assert bulk(ann, *names) == 422
    assert [a_desk.state(name) for name in names] == ["pending_review"] * 2


# ---- standing in ----


def test_a_role_that_is_lent_can_be_used_and_ended(a_desk: Desk, mara: Browser) -> None:
    ines = a_desk.browser("ines", Role.REVIEWER, panels=())
    named = a_desk.defer(send("s-1"))

    assert ines.post(f"/desk/reviews/{named}/rule", verdict="approve", reason="x").status_code == 409
    lent = {"to": "ines", "role": "manager", "days": "1", "reason": "on leave <b>"}
    assert mara.post("/desk/delegations", **lent).status_code == 303
    page = ines.get("/desk/delegations")
    assert "mara ines manager" in text_of(page)
    assert "on leave <b>" in text_of(page)
    (ending,) = re.findall(r'action="(/desk/delegations/[^"]+/end)"', page.text)
    assert ines.post(f"/desk/reviews/{named}/rule", verdict="approve", reason="in mara's place").status_code == 303
    assert ines.post(ending, reason="she is back").status_code == 303
    assert "Nobody stands in for anybody" in text_of(mara.get("/desk/delegations"))


@pytest.mark.parametrize("lent", [{"to": "nobody-there"}, {"to": "mara"}, {"reason": ""}, {"role": "compliance-boss"}])
def test_what_cannot_be_lent_is_told(a_desk: Desk, mara: Browser, lent: dict[str, str]) -> None:
    a_desk.browser("iris", Role.REVIEWER, panels=())
    refused = mara.post(
        "/desk/delegations", **{"to": "iris", "role": "manager", "days": "1", "reason": "leave", **lent}
    )

    assert refused.status_code == 409
    assert "That was not done." in text_of(refused)
