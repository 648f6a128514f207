"""Who decides a review, by values alone: leases, places, distinct people, bounds (S7, S3.5)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core import delegation, narrowing
from demur.core import review as reviews
from demur.core.delegation import Book, Delegation
from demur.core.panel import Authority, Panel, Ruling, Verdict
from demur.core.policy.document import Narrowing
from demur.core.review import Review, Reviewer, ReviewState
from demur.core.schema import Action, Counter, Fact, Kind, Schema, Type, Window
from demur.core.terms import Entity, Request, Timestamp
from demur.errors import RulingError

OPENED = Timestamp(0)
PANELS = (Panel("bank/a", "d1", "teller", 2),)
PENDING = Review(id="r", panels=PANELS, opened_at=OPENED, deadline=OPENED.plus(3_600))
HELD = reviews.assign(PENDING, "p-tess", OPENED.plus(60), OPENED)


def at(seconds: float) -> Timestamp:
    return OPENED.plus(seconds)


def verdict(
    review: Review, who: str, *, lender: str = "", roles: tuple[str, ...] = ("teller",), now: float = 1
) -> Review:
    behalf = f"p-{lender}" if lender else ""
    ruling = Ruling(f"p-{who}", roles, Verdict.APPROVE, at(now), on_behalf=behalf)
    reviewer = Reviewer(who, frozenset(roles))
    return reviews.rule(review, ruling, reviewer=reviewer, barred={"ann"}, now=at(now), lender=lender)


# Leases.


def test_a_lease_ends_by_itself_and_never_outlasts_the_deadline() -> None:
    assert (HELD.state_at(at(59)), HELD.state_at(at(60))) == (ReviewState.ASSIGNED, ReviewState.PENDING)
    assert (HELD.holder_at(at(59)), HELD.holder_at(at(60))) == ("p-tess", "")
    assert reviews.assign(PENDING, "p-tess", at(10**6), OPENED).held_until == PENDING.deadline


def test_past_the_deadline_a_held_review_has_expired() -> None:
    held = reviews.assign(PENDING, "p-tess", at(10**6), OPENED)
    assert held.state_at(at(3_600)) is ReviewState.EXPIRED
    with pytest.raises(RulingError, match="deadline"):
        reviews.assign(held, "p-bo", at(3_700), at(3_600))


def test_what_somebody_holds_another_takes_only_instead() -> None:
    with pytest.raises(RulingError, match="somebody else"):
        reviews.assign(HELD, "p-bo", at(100), at(30))
    assert reviews.assign(HELD, "p-bo", at(100), at(30), is_instead=True).holder == "p-bo"
    assert reviews.assign(HELD, "p-bo", at(100), at(60)).holder == "p-bo"


@pytest.mark.parametrize(
    ("who", "seconds", "why"), [("p-bo", 1, "somebody else"), ("p-tess", 60, "nobody"), ("", 1, "somebody else")]
)
def test_only_its_holder_gives_it_back(who: str, seconds: int, why: str) -> None:
    with pytest.raises(RulingError, match=why):
        reviews.release(HELD, who, at(seconds))
    assert reviews.release(HELD, "p-tess", at(1)) == PENDING


def test_whoever_asked_is_told_that_it_waits_and_no_more() -> None:
    assert HELD.told_at(at(1)) is ReviewState.PENDING
    assert HELD.told_at(at(3_600)) is ReviewState.EXPIRED


def test_a_verdict_ends_the_lease() -> None:
    after = verdict(HELD, "tess")
    assert (after.state, after.holder, after.held_until) == (ReviewState.PENDING, "", None)
    with pytest.raises(RulingError, match="somebody else holds"):
        verdict(HELD, "bo")


@pytest.mark.parametrize("end", [reviews.expire, reviews.cancel, reviews.supersede])
def test_what_has_ended_is_held_by_nobody_and_waits_for_nobody(end: object) -> None:
    ended = end(HELD)  # type: ignore[operator]  # each of the three takes a review
    assert ended.holder == ""
    for act in (lambda: verdict(ended, "bo"), lambda: reviews.assign(ended, "p-bo", at(9), at(1))):
        with pytest.raises(RulingError, match=r"expected a pending review|the deadline"):
            act()


# Escalation.


def test_escalation_asks_others_about_the_same_rules_and_settles_nothing() -> None:
    once = verdict(PENDING, "tess")
    higher = (Panel("bank/a", "d1", "teller", 1),)
    after = reviews.escalate(once, higher, 1)
    assert (after.state, after.level, after.rulings) == (ReviewState.PENDING, 1, once.rulings)
    assert verdict(after, "bo").state is ReviewState.APPROVED


@pytest.mark.parametrize(
    ("panels", "level", "why"),
    [
        ((Panel("bank/b", "d1", "x", 1),), 1, "others"),
        ((Panel("bank/a", "d2", "x", 1),), 1, "others"),
        (PANELS, 0, "above"),
    ],
)
def test_escalation_to_other_rules_or_to_no_higher_level_is_refused(
    panels: tuple[Panel, ...], level: int, why: str
) -> None:
    with pytest.raises(RulingError, match=why):
        reviews.escalate(PENDING, panels, level)


# Places.


def test_lender_and_delegate_have_one_verdict_between_them() -> None:
    for first, then in (
        (("gil", "mara"), ("mara", "")),
        (("mara", ""), ("gil", "mara")),
        (("gil", "mara"), ("zoe", "mara")),
    ):
        once = verdict(PENDING, first[0], lender=first[1])
        with pytest.raises(RulingError, match="in their place"):
            verdict(once, then[0], lender=then[1])


def test_a_delegate_and_somebody_else_are_two_people() -> None:
    assert verdict(verdict(PENDING, "gil", lender="mara"), "bo").state is ReviewState.APPROVED


def test_the_conflict_of_interest_of_a_lender_is_the_delegates() -> None:
    with pytest.raises(RulingError, match="`ann` asked for this action"):
        verdict(PENDING, "gil", lender="ann")


def test_whoever_broke_the_glass_is_not_represented_either() -> None:
    afterwards = reviews.open_afterwards("r", now=OPENED, opened_by="p-opa")
    who = Authority(
        name="gil", pseudonym="p-gil", roles=frozenset({"operator"}), lender="opa", lender_pseudonym="p-opa"
    )
    with pytest.raises(RulingError, match="`opa` broke the glass"):
        reviews.check_reviewer(afterwards, who, ())


PEOPLE = ("mara", "bo", "gil", "zoe")


@given(st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(("", *PEOPLE))), max_size=6))
def test_no_sequence_of_verdicts_is_approved_by_fewer_people_than_the_quorum(said: list[tuple[str, str]]) -> None:
    review = PENDING
    spoken: list[set[str]] = []
    for who, lender in said:
        if who == lender:
            continue
        try:
            review = verdict(review, who, lender=lender)
        except RulingError:
            continue
        spoken.append({who, lender} - {""})
    assert all(one.isdisjoint(other) for index, one in enumerate(spoken) for other in spoken[:index])
    assert (review.state is ReviewState.APPROVED) == (len(spoken) >= 2)


def lent(**more: object) -> Delegation:
    given_ = {
        "id": "d",
        "lender": "p-mara",
        "delegate": "p-gil",
        "roles": ("teller",),
        "opened_at": OPENED,
        "until": at(60),
    }
    return Delegation(**(given_ | more))  # type: ignore[arg-type]  # a table of members


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"delegate": "p-mara"}, "same person"),
        ({"roles": ()}, "at least one role"),
        ({"roles": ("operator",)}, "nobody can lend"),
        ({"roles": ("boss",)}, "that the lender holds"),
        ({"until": OPENED}, "end within"),
        ({"until": at(delegation.MAX_SECONDS + 1)}, "end within"),
    ],
)
def test_what_cannot_be_lent(more: dict[str, object], why: str) -> None:
    with pytest.raises(RulingError, match=why):
        delegation.lend(Book(), lent(**more), {"teller", "operator"})


def test_a_delegation_is_in_force_until_its_end() -> None:
    book = delegation.lend(Book(), lent(), {"teller"})
    assert [one.id for one in book.lent_to("p-gil", at(59))] == ["d"]
    assert book.lent_to("p-gil", at(60)) == ()
    assert [one.id for one in book.ended(at(60))] == ["d"]
    assert delegation.end(book, "d") == Book()
    with pytest.raises(RulingError, match="in force"):
        delegation.end(book, "e")


def test_the_book_has_an_end() -> None:
    book = Book((lent(),) * delegation.MAX_DELEGATIONS)
    with pytest.raises(RulingError, match="at most 1000"):
        delegation.lend(book, lent(), {"teller"})


# Bounds.

INT = Type(Kind.INT)
SCHEMA = Schema(
    actions={
        "pay": Action(
            name="pay",
            arguments=(
                Fact(path="action.amount", type=INT),
                Fact(path="action.wait", type=INT, optional=True),
                Fact(path="action.way", type=Type(Kind.STRING), one_of=("slow", "fast")),
                Fact(path="action.dry", type=Type(Kind.BOOL), optional=True),
                Fact(path="action.pin", type=Type(Kind.STRING), secret=True, optional=True),
            ),
        )
    },
    counters={
        "usage.paid": Counter(path="usage.paid", actions=("pay",), key=("subject.id",), window=Window(), adds="amount")
    },
)
ASKED = Request(
    subject=Entity(type="user", id="ann"),
    actor=Entity(type="user", id="ann"),
    action="pay",
    arguments={"amount": 900, "wait": 5, "way": "fast"},
    resource=Entity(type="account", id="a"),
    context={},
    session="",
    trace_id="",
    request_id="",
    caller="local",
    model=None,
    digest="",
)


@pytest.mark.parametrize(
    "item",
    [
        Narrowing(argument="amount", at_most=500),
        Narrowing(argument="amount", set=500),
        Narrowing(argument="wait", at_least=10),
        Narrowing(argument="way", set="slow"),
        Narrowing(argument="dry", set=True),
    ],
)
def test_a_stricter_bound_is_taken(item: Narrowing) -> None:
    narrowing.check([item], ASKED, SCHEMA)
    assert narrowing.apply(ASKED, [item], SCHEMA).digest != ASKED.digest


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (Narrowing(argument="amount", at_most=900), "less than"),
        (Narrowing(argument="amount", at_least=1_000), "counted"),
        (Narrowing(argument="amount", set=1_000), "counted"),
        (Narrowing(argument="wait", at_least=5), "more than"),
        (Narrowing(argument="way", set="by hand"), "the policies list"),
        (Narrowing(argument="way", at_most=3), "expected a number to bound"),
        (Narrowing(argument="pin", set=True), "declares"),
        (Narrowing(argument="iban", set=1), "declares"),
        (Narrowing(argument="amount"), "found none"),
        (Narrowing(argument="amount", at_most=1, set=2), "found both"),
    ],
)
def test_a_bound_that_is_none_or_no_stricter_is_refused(item: Narrowing, why: str) -> None:
    with pytest.raises(RulingError, match=why):
        narrowing.check([item], ASKED, SCHEMA)


def test_there_is_an_end_to_bounds() -> None:
    with pytest.raises(RulingError, match="at most 16"):
        narrowing.check([Narrowing(argument="amount", at_most=1)] * 17, ASKED, SCHEMA)


@given(st.lists(st.integers(-5, 2_000), min_size=1, max_size=4), st.integers(0, 2_000))
def test_whatever_people_leave_is_no_more_than_any_of_them_allowed(bounds: list[int], asked: int) -> None:
    review = PENDING
    for number, bound in enumerate(bounds):
        ruling = Ruling(f"p{number}", ("x",), Verdict.APPROVE, at(1))
        wide = Review(**{**msgspec.structs.asdict(review), "panels": (Panel("a", "d", "x", 9),)})
        review = reviews.rule(
            wide,
            ruling,
            reviewer=Reviewer(f"n{number}", frozenset({"x"})),
            barred=(),
            now=at(1),
            narrows=[Narrowing(argument="amount", at_most=bound)],
            grant_seconds=10 + number,
        )
    request = msgspec.structs.replace(ASKED, arguments={"amount": asked})
    left = narrowing.apply(request, review.narrows, SCHEMA).arguments["amount"]
    assert left == min([asked, *bounds])
    assert review.grant_seconds == 10
