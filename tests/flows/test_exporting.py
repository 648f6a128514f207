"""What is kept about a person, told to that person: theirs in full, and of others' records nothing but their part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from demur.errors import RulingError

from .shop import refund

if TYPE_CHECKING:
    from .shop import Shop

CARL = {"type": "user", "id": "carl"}


@pytest.fixture
def operator(shop: Shop) -> str:
    """The credential of an operator, Otto."""
    return shop.parts.book.add("otto", ["operator"])


def types(kept: dict[str, Any]) -> list[str]:
    return [record["type"] for record in kept["records"]]


def test_everything_sealed_about_a_person_is_told_to_them(shop: Shop) -> None:
    given = shop.gate.decide(refund(100))
    deferred = shop.gate.decide(refund(60_000))
    shop.gate.decide(refund(300, subject="bob"))
    shop.gate.redeem(given.token, {"amount": 100})
    kept = shop.gate.export("user:ann")
    assert types(kept) == ["decision", "decision"]
    assert [record["sealed"]["request"]["action"]["properties"]["amount"] for record in kept["records"]] == [
        100,
        60_000,
    ]
    assert [(row["grant"], row["state"]) for row in kept["grants"]] == [(given.id, "redeemed")]
    assert [row["review"] for row in kept["reviews"]] == [deferred.review_id]
    assert "bob" not in json.dumps(kept)


def test_whoever_acted_for_another_is_told_of_themselves_and_not_of_the_other(shop: Shop) -> None:
    shop.gate.decide(refund(100, actor=CARL))
    (record,) = shop.gate.export("user:carl")["records"]
    assert record["sealed"] == {"actor": {**CARL, "properties": {}}}
    assert "ann" not in json.dumps(record)


def test_an_operator_is_told_of_their_acts_and_the_held_person_of_the_hold(shop: Shop, operator: str) -> None:
    shop.gate.hold("user:ann", credential=operator, reason="case 17")
    (own,) = (item for item in shop.gate.export("reviewer:otto")["records"] if item["type"] == "hold_placed")
    assert (own["sealed"]["reviewer"], own["sealed"]["reason"]) == ("otto", "case 17")
    (about,) = (item for item in shop.gate.export("user:ann")["records"] if item["type"] == "hold_placed")
    assert about["sealed"] == {"about": "user:ann"}


def test_text_in_any_writing_and_of_any_length_is_told_as_it_was(shop: Shop) -> None:
    asked = refund(100, subject="用户-Jörg-\U0001f980", context={"note": "é" * 5_000})
    shop.gate.decide(asked)
    (record,) = shop.gate.export("user:用户-Jörg-\U0001f980")["records"]
    assert record["sealed"]["request"]["subject"]["id"] == "用户-Jörg-\U0001f980"
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("person", ["user:nobody", "", "ann"])
def test_of_whom_nothing_is_kept_nothing_is_made_up(shop: Shop, person: str) -> None:
    for _ in range(2):  # to ask makes no key
        with pytest.raises(RulingError, match="about whom something is kept"):
            shop.gate.export(person)


def test_an_erased_person_can_be_told_nothing(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100))
    shop.gate.erase("user:ann", credential=operator, reason="request 17")
    with pytest.raises(RulingError) as caught:
        shop.gate.export("user:ann")
    assert "one who was erased is unknown" in caught.value.hint
