"""What a reviewer is shown of the cases that people ruled on before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from demur.core.personal import MASK
from demur.core.precedent import Ruled
from demur.steps.precedents import MAX_COMPARED
from tests.flows.shop import POLICY, START, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.flows.shop import Shop

PERSONAL = POLICY.replace(
    "      pin: {type: string, optional: true, secret: true}",
    "      pin: {type: string, optional: true, secret: true}\n      iban: {type: string, optional: true, personal: true}",
)


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    home = tmp_path / "home" if request.param == "sqlite" else None
    opened = open_shop(tmp_path, home=home, policy=PERSONAL)
    yield opened
    opened.gate.close()


def ask(shop: Shop, amount: int, subject: str = "bob", **more: Any) -> str:
    review: str = shop.gate.decide(refund(amount, subject=subject, **more)).review_id
    return review


def decided(shop: Shop, amount: int, verdict: str = "approve", subject: str = "eve", **more: Any) -> str:
    review = ask(shop, amount, subject, **more)
    shop.gate.rule(review, verdict=verdict, reason=f"because of {amount}", credential=shop.manager)
    return review


def test_the_most_alike_come_first_with_outcome_reason_and_differences(shop: Shop) -> None:
    far = decided(shop, 600_000)
    shop.clock.advance(60)
    near = decided(shop, 66_000, "reject")
    waiting = ask(shop, 60_000)
    first, second = shop.gate.precedents(waiting)
    assert [first.review_id, second.review_id] == [near, far]
    assert first.to_dict() == {
        "review_id": near,
        "audit_id": first.audit_id,
        "outcome": "denied",
        "similarity": round(1 - (2 * 6 / 66) / 3, 4),
        "explanation": "the same action on the same type of resource; action.amount: 10% higher there",
        "reason": "because of 66000",
        "decided_at": str(START.plus(60)),
        "differences": [
            {
                "argument": "action.amount",
                "here": 60_000,
                "there": 66_000,
                "alike": 1 - 6_000 / 66_000,
                "explanation": "10% higher there",
            }
        ],
    }
    assert shop.gate.review(waiting).to_dict()["similar_past_decisions"] == [first.to_dict(), second.to_dict()]


def test_what_was_denied_is_shown_however_many_were_approved_since(shop: Shop) -> None:
    denied = decided(shop, 999_000, "reject", "old")
    for number in range(8):
        decided(shop, 60_000 + number, subject=f"u{number}")
    shown = shop.gate.precedents(ask(shop, 60_000), limit=3)
    assert [one.outcome for one in shown] == [Ruled.APPROVED, Ruled.APPROVED, Ruled.DENIED]
    assert shown[-1].review_id == denied


def test_a_denial_is_found_behind_more_approvals_than_are_compared(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    denied = decided(shop, 60_000, "reject", "old")
    for number in range(MAX_COMPARED + 1):
        decided(shop, 90_000 + number, subject=f"u{number}")
    assert shop.gate.precedents(ask(shop, 60_000), limit=1)[0].review_id == denied
    shop.gate.close()


def test_the_subjects_role_counts(shop: Shop) -> None:
    decided(shop, 60_000, role="intern")
    same = decided(shop, 60_000, role="clerk", subject="ulf")
    first, second = shop.gate.precedents(ask(shop, 60_000))
    assert (first.review_id, first.similarity) == (same, 1.0)
    (role,) = second.differences
    assert (role.path, role.here, role.there, role.words) == ("subject.role", "clerk", "intern", "different")


def test_only_what_people_ruled_on_is_a_precedent(shop: Shop) -> None:
    waiting = ask(shop, 60_000)
    ask(shop, 61_000)
    assert shop.gate.precedents(waiting) == ()
    shop.clock.advance(3_601)
    shop.gate.reviews()
    assert shop.gate.precedents(ask(shop, 62_000)) == ()


def test_another_type_of_resource_is_another_topic(shop: Shop) -> None:
    other = {**refund(60_000, subject="eve"), "resource": {"type": "order", "id": "o-1"}}
    review = shop.gate.decide(other).review_id
    shop.gate.rule(review, verdict="approve", reason="fine", credential=shop.manager)
    assert shop.gate.precedents(ask(shop, 60_000)) == ()


@pytest.mark.parametrize("limit", [0, -1])
def test_none_are_shown_where_none_are_asked_for(shop: Shop, limit: int) -> None:
    decided(shop, 60_000)
    assert shop.gate.precedents(ask(shop, 60_000), limit=limit) == ()


def test_a_review_that_does_not_exist_has_no_precedents(shop: Shop) -> None:
    assert shop.gate.precedents("none") == ()
    assert shop.gate.precedents("\0") == ()


def test_personal_values_are_masked_and_secret_ones_never_there(shop: Shop) -> None:
    asked = refund(60_000, subject="eve", pin="4711")
    asked["action"]["properties"]["iban"] = "DE02120300000000202051"  # type: ignore[index]
    review = shop.gate.decide(asked).review_id
    shop.gate.rule(review, verdict="approve", reason="fine", credential=shop.manager)
    (shown,) = shop.gate.precedents(ask(shop, 60_000, pin="0815"))
    assert {one.path for one in shown.compared} == {"action.amount", "action.iban", "subject.role"}
    told = shown.to_dict()
    (difference,) = told["differences"]
    assert (difference["here"], difference["there"], difference["explanation"]) == (None, MASK, "only there")
    assert "DE02" not in str(told)
    assert "4711" not in str(shown)


# Erased people.


def test_whoever_was_erased_is_in_no_precedent(shop: Shop) -> None:
    operator = shop.parts.book.add("olga", ["operator"])
    decided(shop, 60_000, subject="eve")
    kept = decided(shop, 70_000, subject="ulf")
    waiting = ask(shop, 60_000)
    assert len(shop.gate.precedents(waiting)) == 2
    shop.clock.advance(120)
    shop.gate.erase("user:eve", credential=operator, reason="asked for it")
    assert [one.review_id for one in shop.gate.precedents(waiting)] == [kept]


def test_the_reason_of_a_reviewer_who_was_erased_is_gone_and_the_outcome_stays(shop: Shop) -> None:
    operator = shop.parts.book.add("olga", ["operator"])
    decided(shop, 60_000, "reject")
    waiting = ask(shop, 60_000)
    shop.gate.erase("reviewer:mara", credential=operator, reason="left the firm")
    (shown,) = shop.gate.precedents(waiting)
    assert (shown.outcome, shown.reason) == (Ruled.DENIED, "")


def test_a_review_of_somebody_who_was_erased_is_compared_with_nothing(shop: Shop) -> None:
    operator = shop.parts.book.add("olga", ["operator"])
    decided(shop, 60_000)
    waiting = ask(shop, 60_000, "bob")
    shop.gate.erase("user:bob", credential=operator, reason="asked for it")
    assert shop.gate.precedents(waiting) == ()


# Other policies, other times.


def test_cases_are_compared_across_policies_and_restarts(tmp_path: Path) -> None:
    first = open_shop(tmp_path, home=tmp_path / "home")
    decided(first, 60_000)
    waiting = ask(first, 66_000)
    first.gate.close()
    other = POLICY.replace("amount: {type: int, change: true}", "amount: {type: int, unit: cent, change: true}")
    shop = open_shop(tmp_path, home=tmp_path / "home", policy=other.replace("> 50000", "> 40000"))
    (shown,) = shop.gate.precedents(waiting)
    assert shown.reason == "because of 60000"
    shop.gate.close()


def test_what_was_altered_on_the_disk_is_no_precedent(tmp_path: Path) -> None:
    import sqlite3

    first = open_shop(tmp_path, home=tmp_path / "home")
    review = decided(first, 60_000)
    waiting = ask(first, 66_000)
    row = first.parts.world.store.read(lambda tx: tx.find_review(review))
    assert row is not None
    first.gate.close()
    (path,) = (tmp_path / "home").rglob("ledger.db")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sealed SET ciphertext = zeroblob(64) WHERE sequence = ?", (row.sequence,))
    shop = open_shop(tmp_path, home=tmp_path / "home")
    assert shop.gate.precedents(waiting) == ()
    shop.gate.close()
