"""Inquiries tell what would be answered and leave no trace but their record (S5.3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.intake import Caller
from demur.core.terms import Bar, Category, Outcome
from demur.errors import IntakeError
from demur.steps.inquiring import Purpose
from demur.wiring import open_reader

from .shop import Shop, open_shop, refund, simple

if TYPE_CHECKING:
    from pathlib import Path


def leaves(shop: Shop, kind: str) -> list[dict[str, Any]]:
    read = (json.loads(record.leaf) for record in shop.parts.world.store.records())
    return [leaf for leaf in read if leaf["type"] == kind]


def test_an_inquiry_gives_no_grant_and_uses_no_quota(shop: Shop) -> None:
    """S5.3: the fourth refund of a day is refused, however often it was asked about before."""
    for _ in range(5):
        (found,) = shop.gate.inquire([refund(1_000)])
        assert found.outcome is Outcome.ALLOW
        assert found.refusal is None

    answers = [shop.gate.decide(refund(1_000) | {"request_id": str(n)}) for n in range(4)]

    assert [type(answer) for answer in answers] == [demur.Grant] * 3 + [demur.Refusal]
    assert leaves(shop, "decision")[0]["sequence"] > leaves(shop, "inquiry")[-1]["sequence"]
    (found,) = shop.gate.inquire([refund(1_000)])
    assert found.refusal is not None
    assert found.refusal.reason.category is Category.QUOTA_EXCEEDED


def test_an_inquiry_that_would_be_deferred_opens_no_review(shop: Shop) -> None:
    (found,) = shop.gate.inquire([refund(amount=60_000)])

    assert found.outcome is Outcome.DEFER
    assert shop.gate.reviews() == ()


def test_one_inquiry_is_one_record_however_much_it_judges(shop: Shop) -> None:
    found = shop.gate.inquire([refund(1_000), simple("erase"), simple("list")], purpose=Purpose.SEARCH)

    (leaf,) = leaves(shop, "inquiry")
    assert [one.outcome for one in found] == [Outcome.ALLOW, Outcome.DENY, Outcome.ALLOW]
    assert (leaf["purpose"], leaf["count"], leaf["allowed"]) == ("search", 3, 2)
    assert "commit_root" not in leaf
    assert {one.audit_id for one in found} == {f"default/{leaf['sequence']}"}


def test_an_inquiry_names_nobody_in_its_leaf(shop: Shop) -> None:
    """S5.4"""
    shop.gate.inquire([refund(1_000)], caller=Caller("desk-7"))

    (leaf,) = leaves(shop, "inquiry")
    assert not {"ann", "desk-7", "i-1"} & set(json.dumps(leaf).split('"'))
    assert "commit_root" in leaf


def test_an_inquiry_counts_as_no_attempt(tmp_path: Path) -> None:
    """S8.1"""
    with open_shop(tmp_path).gate as gate:
        for _ in range(4):
            gate.inquire([simple("erase")])
        answer = gate.decide(simple("erase"))

    assert isinstance(answer, demur.Refusal)
    assert (answer.repeat_of, answer.repeats) == ("", 0)


def test_what_is_stopped_would_be_refused(shop: Shop) -> None:
    """S12"""
    operator = shop.parts.book.add("otto", ["operator"])
    shop.gate.kill(actions=["refund"], credential=operator, reason="an incident is looked into")

    stopped, other = shop.gate.inquire([refund(1_000), simple("list")])

    assert stopped.refusal is not None
    assert stopped.refusal.bar is Bar.STOPPED
    assert other.outcome is Outcome.ALLOW


def test_a_malformed_inquiry_is_refused_and_leaves_no_record(shop: Shop) -> None:
    with pytest.raises(IntakeError, match="resource"):
        shop.gate.inquire([refund(1_000), {"subject": {"type": "user", "id": "ann"}, "action": {"name": "list"}}])

    assert leaves(shop, "inquiry") == []


def test_nothing_asked_is_nothing_found(shop: Shop) -> None:
    assert shop.gate.inquire([]) == ()


def test_the_ledger_verifies_with_inquiries_in_it(tmp_path: Path) -> None:
    opened = open_shop(tmp_path, home=tmp_path / "home")
    opened.gate.inquire([refund(1_000)])
    opened.gate.close()

    reader = open_reader(tmp_path / "home")
    from demur.core.ledger import chain

    assert chain.check(reader.records(), log=reader.log).end.size > 0
    reader.close()
