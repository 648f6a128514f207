"""A deferral taken up, waited for and given up at the gate, and callbacks that outlive it (S7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demur.core.intake import Caller
from demur.core.review import ReviewState
from demur.core.task import Problem, TaskStatus
from demur.core.terms import Category, Entity, Outcome
from demur.errors import IntakeError, RulingError
from demur.evaluation.replay import Status, replay
from demur.steps.requesting import GIVE_UP_SECONDS, LEASE_SECONDS, Callback
from demur.wiring import open_reader
from tests.flows.shop import POLICY, Shop, open_shop, refund, simple

BOT = Caller("bot", Entity(type="agent", id="bot"))
TOLD = Callback("https://hooks.example.com/", "s")


def deferred(shop: Shop, amount: int = 60_000, caller: Caller = BOT) -> Any:
    answer = shop.gate.decide(refund(amount, subject="bob"), caller=caller)
    assert answer.outcome is Outcome.DEFER
    return answer


def taken(shop: Shop, answer: Any, amount: int = 60_000, caller: Caller = BOT, **more: Any) -> Any:
    return shop.gate.request_access(refund(amount, subject="bob"), evaluation_id=answer.audit_id, caller=caller, **more)


def kinds(shop: Shop) -> list[str]:
    return [json.loads(record.leaf)["type"] for record in shop.parts.world.store.records()]


def approve(shop: Shop, review_id: str) -> None:
    shop.gate.rule(review_id, verdict="approve", reason="fine", credential=shop.manager)


def test_a_task_is_its_review_and_ends_with_it(shop: Shop) -> None:
    answer = deferred(shop)
    task = taken(shop, answer)
    assert (task.id, task.status, task.done, task.needed) == (answer.review_id, TaskStatus.PENDING, 0, 1)
    approve(shop, task.id)
    ended = shop.gate.task(task.id, caller="bot")
    assert (ended.status, ended.done, ended.approved_at) == (TaskStatus.APPROVED, 1, shop.clock.now())
    assert shop.gate.decide(refund(60_000, subject="bob"), caller=BOT).outcome is Outcome.ALLOW
    assert shop.gate.task(task.id, caller="bot").state is ReviewState.RESERVED


def test_a_given_up_review_is_recorded_and_a_late_verdict_refused(shop: Shop) -> None:
    task = taken(shop, deferred(shop))
    assert shop.gate.cancel_request(task.id, caller="bot", reason="not needed").status is TaskStatus.CANCELLED
    with pytest.raises(RulingError, match="found one that is cancelled"):
        approve(shop, task.id)
    assert kinds(shop).count("review_cancelled") == 1
    assert shop.gate.cancel_request(task.id, caller="bot") is Problem.INVALID_TASK_STATE
    assert shop.gate.wait(task.id, 0) is ReviewState.CANCELLED


def test_silence_ends_a_task_whether_or_not_anybody_looked(shop: Shop) -> None:
    answer = deferred(shop)
    shop.clock.advance(3_600)
    assert shop.gate.task(answer.review_id, caller="bot").status is TaskStatus.EXPIRED
    assert taken(shop, answer) is Problem.EXPIRED_DENIAL
    assert shop.gate.wait(answer.review_id, 0) is ReviewState.EXPIRED


def test_nobody_gives_up_the_review_of_broken_glass(shop: Shop) -> None:
    operator = shop.parts.book.add("otto", ["operator"])
    shop.gate.break_glass(
        subject={"type": "user", "id": "bob"}, actions=["refund"], credential=operator, reason="the till is down"
    )
    given = shop.gate.decide(refund(100, subject="bob", role="guest"), caller=BOT)
    assert given.outcome is Outcome.ALLOW
    (review,) = shop.gate.reviews()
    assert shop.gate.task(review.id, caller="bot") is None
    assert shop.gate.cancel_request(review.id, caller="bot") is Problem.UNKNOWN_TASK


def test_broken_glass_gives_nothing_to_whoever_cannot_carry_out_what_it_obliges_to(tmp_path: Path) -> None:
    """S6.4, S12.1"""
    closed = POLICY + "  - {id: closed, effect: forbid, category: temporal, actions: [list]}\n"
    shop = open_shop(tmp_path, policy=closed)
    operator = shop.parts.book.add("otto", ["operator"])
    shop.gate.break_glass(
        subject={"type": "user", "id": "ann"}, actions=["list"], credential=operator, reason="the till is down"
    )
    outcomes = [
        shop.gate.decide(simple("list"), caller=Caller("bot", None, types)).outcome
        for types in (frozenset(), frozenset({"watermark"}), None)
    ]
    shop.gate.close()
    assert outcomes == [Outcome.DENY, Outcome.ALLOW, Outcome.ALLOW]


def test_a_denial_for_what_the_caller_cannot_carry_out_judges_to_the_same_again(tmp_path: Path) -> None:
    """S3.7, S6.4"""
    shop = open_shop(tmp_path, home=tmp_path / "home")
    for types in (frozenset[str](), frozenset({"watermark"}), None):
        shop.gate.decide(simple("list"), caller=Caller("bot", None, types))
    shop.gate.close()
    reader = open_reader(tmp_path / "home")
    found = list(replay(reader.records(), reader, reader.vault))
    reader.close()
    assert [item.status for item in found] == [Status.SAME] * 3
    assert [item.recorded.split()[0] for item in found] == ["deny", "allow", "allow"]


def test_a_permit_that_may_yet_oblige_denies_whoever_could_not_carry_it_out(tmp_path: Path) -> None:
    """S3.3, S6.4"""
    more = """  - id: list-frozen
    effect: permit
    actions: [list]
    when: [{name: frozen, expr: account.frozen, explain: the account is frozen}]
    obligations: [{id: seal, type: seal}]
"""
    shop = open_shop(tmp_path, policy=POLICY + more)
    shop.account.is_down = True
    marking = Caller("bot", None, frozenset({"watermark"}))
    sealing = Caller("bot", None, frozenset({"watermark", "seal"}))
    unsure, able = (shop.gate.decide(simple("list"), caller=caller) for caller in (marking, sealing))
    shop.gate.close()
    assert (unsure.outcome, unsure.reason.category) == (Outcome.DENY, Category.INSUFFICIENT_CONTEXT)
    assert able.outcome is Outcome.ALLOW


def test_a_repeated_id_gives_no_grant_to_whoever_is_not_registered_any_more(shop: Shop) -> None:
    """S1.4, S6.4"""
    asked = simple("list") | {"request_id": "r-1"}
    assert shop.gate.decide(asked, caller=Caller("bot", None, frozenset({"watermark"}))).outcome is Outcome.ALLOW
    with pytest.raises(IntakeError, match="watermark"):
        shop.gate.decide(asked, caller=Caller("bot", None, frozenset()))


def test_callbacks_outlive_the_gate(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    task = taken(shop, deferred(shop), callback=TOLD)
    approve(shop, task.id)
    shop.gate.close()
    again = open_shop(tmp_path, home=tmp_path / "home")
    with again.gate as gate:
        (notice,) = gate.callbacks()
        assert (notice.callback, notice.task.status) == (TOLD, TaskStatus.APPROVED)
        assert gate.callbacks() == ()
        gate.settle_callback(notice.id, is_told=True)
        again.clock.advance(LEASE_SECONDS + 1)
        assert gate.callbacks() == ()


def test_one_whose_teller_died_is_due_again_after_a_while_and_not_for_ever(shop: Shop) -> None:
    taken(shop, deferred(shop), callback=TOLD)
    shop.clock.advance(3_600)
    (first,) = shop.gate.callbacks()
    assert first.task.status is TaskStatus.EXPIRED
    shop.clock.advance(LEASE_SECONDS + 1)
    (second,) = shop.gate.callbacks()
    assert second.id == first.id
    shop.gate.settle_callback(second.id, is_told=False)
    shop.clock.advance(GIVE_UP_SECONDS)
    assert shop.gate.callbacks() == ()
    assert kinds(shop).count("review_expired") == 1


def test_a_person_s_erasure_takes_the_callback_with_it(shop: Shop) -> None:
    operator = shop.parts.book.add("otto", ["operator"])
    taken(shop, deferred(shop), callback=TOLD)
    shop.gate.erase("user:bob", credential=operator, reason="asked for")
    shop.clock.advance(3_600)
    assert shop.gate.callbacks() == ()


def test_waiting_for_a_review_that_there_is_not_is_an_error(shop: Shop) -> None:
    with pytest.raises(RulingError, match="there is no review"):
        shop.gate.wait("0" * 16, 1)
