"""Denials that hold: linked, counted against advice, quarantined by key and lifted by an operator (S8, S6.2)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.intake import Caller
from demur.core.terms import Category, Disposition
from demur.errors import RulingError

from .shop import POLICY, Shop, open_shop, refund, simple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 3
STRICT = POLICY + f"repeats: {{limit: {LIMIT}}}\n"
WHY = "it goes on against all advice"
ANN = {"type": "user", "id": "ann"}
BOB = {"type": "user", "id": "bob"}


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose policies declare a limit of repeats."""
    opened = open_shop(tmp_path, policy=STRICT)
    yield opened
    opened.gate.close()


def operator(shop: Shop) -> str:
    return shop.parts.book.add("otto", ["operator"])


def leaves(shop: Shop, kind: str = "") -> list[dict[str, Any]]:
    read = (json.loads(record.leaf) for record in shop.parts.world.store.records())
    return [leaf for leaf in read if not kind or leaf["type"] == kind]


def erase(shop: Shop, times: int = 1, **more: Any) -> Any:
    """Ask for what is categorically refused, so many times; the last answer."""
    caller = Caller(more.pop("caller", "local"))
    return [shop.gate.decide(simple("erase") | more, caller=caller) for _ in range(times)][-1]


def is_quarantined(shop: Shop, **more: Any) -> bool:
    caller = Caller(more.pop("caller", "local"))
    return bool(shop.gate.decide(simple("list") | more, caller=caller).outcome == "deny")


def test_a_first_refusal_repeats_nothing_and_a_second_names_the_first(shop: Shop) -> None:
    first, second, third = erase(shop), erase(shop), erase(shop)
    assert (first.repeat_of, first.repeats) == ("", 0)
    assert (second.repeat_of, second.repeats) == (first.audit_id, 1)
    assert (third.repeat_of, third.repeats) == (first.audit_id, 2)


def test_the_answer_says_what_it_repeats_to_every_audience(shop: Shop) -> None:
    first, second = erase(shop), erase(shop)
    for audience in demur.Audience:
        told = second.to_dict(audience=audience)["context"]["refusal"]
        assert (told["repeat_of"], told["repeats"]) == (first.audit_id, 1)


def test_policies_that_declare_no_limit_count_and_quarantine_nobody(shop: Shop) -> None:
    assert erase(shop, 50).repeats == 49
    assert shop.gate.sessions() == ()
    assert not is_quarantined(shop)


def test_at_the_limit_the_key_is_quarantined_whatever_it_asks(strict: Shop) -> None:
    erase(strict, LIMIT)
    assert not is_quarantined(strict)
    erase(strict)
    refused = strict.gate.decide(simple("list"))
    assert (refused.reason.category, refused.reason.disposition) == (
        Category.STATE_CONFLICT,
        Disposition.SEEK_AUTHORITY,
    )


def test_every_step_is_a_record_and_what_is_blocked_is_no_decision(strict: Shop) -> None:
    erase(strict, LIMIT + 1)
    refused = strict.gate.decide(simple("list"))
    kinds = [leaf["type"] for leaf in leaves(strict)[-3:]]
    assert kinds == ["decision", "session_quarantined", "blocked"]
    quarantined, blocked = leaves(strict)[-2:]
    assert (quarantined["cause"], quarantined["repeats"]) == ("repeats", LIMIT)
    assert quarantined["decision"] == quarantined["sequence"] - 1
    assert (blocked["quarantine"], refused.audit_id) == (quarantined["key"], f"default/{blocked['sequence']}")


def test_a_repeated_request_id_is_not_counted(strict: Shop) -> None:
    answers = [erase(strict, request_id="r-1") for _ in range(20)]
    assert {answer.repeats for answer in answers} == {0}
    assert not is_quarantined(strict)


def test_a_stored_refusal_says_again_what_it_repeated(strict: Shop) -> None:
    first, second = erase(strict), erase(strict, request_id="r-2")
    assert erase(strict, request_id="r-2") == second
    assert second.repeat_of == first.audit_id


@pytest.mark.parametrize(
    "other",
    [{"caller": "another"}, {"subject": BOB}, {"session": "s-2"}],
    ids=["caller", "subject", "session"],
)
def test_a_quarantine_binds_that_key_alone(strict: Shop, other: dict[str, Any]) -> None:
    erase(strict, LIMIT + 1)
    assert is_quarantined(strict)
    assert not is_quarantined(strict, **other)


@pytest.mark.parametrize(
    "other",
    [{"caller": "another"}, {"subject": BOB}, {"session": "s-2"}],
    ids=["caller", "subject", "session"],
)
def test_what_others_do_is_neither_linked_nor_counted(strict: Shop, other: dict[str, Any]) -> None:
    erase(strict, LIMIT, **other)
    assert erase(strict).repeat_of == ""
    assert not is_quarantined(strict)


def test_another_log_knows_nothing_of_it(strict: Shop, tmp_path: Path) -> None:
    erase(strict, LIMIT + 1)
    (tmp_path / "other").mkdir()
    other = open_shop(tmp_path / "other", policy=STRICT)
    assert not is_quarantined(other)
    other.gate.close()


def test_another_actor_of_the_same_key_is_the_same_key(strict: Shop) -> None:
    erase(strict, LIMIT + 1, actor={"type": "agent", "id": "one"})
    assert is_quarantined(strict, actor={"type": "agent", "id": "two"})


def test_a_grant_of_before_is_not_redeemed_under_quarantine_and_is_good_again_after(strict: Shop) -> None:
    given = strict.gate.decide(refund(100))
    erase(strict, LIMIT + 1)
    refused = strict.gate.redeem(given.token, {"amount": 100})
    assert isinstance(refused, demur.Refusal)
    assert leaves(strict)[-1]["code"] == "quarantined"
    strict.gate.lift(strict.gate.sessions()[0].key, credential=operator(strict), reason="a misunderstanding")
    assert isinstance(strict.gate.redeem(given.token, {"amount": 100}), demur.Redemption)


def test_a_grant_of_another_key_is_redeemed(strict: Shop) -> None:
    given = strict.gate.decide(refund(100, session="s-2"))
    erase(strict, LIMIT + 1)
    assert isinstance(strict.gate.redeem(given.token, {"amount": 100}), demur.Redemption)


def test_an_operator_sees_who_is_quarantined_and_why(strict: Shop) -> None:
    erase(strict, LIMIT + 1, session="s-1")
    (held,) = strict.gate.sessions()
    assert (held.caller, held.subject, held.session, held.repeats) == ("local", "user:ann", "s-1", LIMIT)
    assert held.audit_id == f"default/{leaves(strict)[-1]['sequence']}"


def test_lifting_begins_the_count_anew_and_keeps_the_links(strict: Shop) -> None:
    first = erase(strict)
    erase(strict, LIMIT)
    strict.gate.lift(strict.gate.sessions()[0].key, credential=operator(strict), reason="a misunderstanding")
    assert strict.gate.sessions() == ()
    again = erase(strict)
    assert (again.repeat_of, again.repeats) == (first.audit_id, 1)
    assert not is_quarantined(strict)
    erase(strict, LIMIT - 1)
    assert is_quarantined(strict)


def test_lifting_is_a_record_that_names_the_operator_by_pseudonym(strict: Shop) -> None:
    erase(strict, LIMIT + 1)
    key = strict.gate.sessions()[0].key
    strict.gate.lift(key, credential=operator(strict), reason="a misunderstanding")
    last = leaves(strict)[-1]
    assert (last["type"], last["key"]) == ("session_lifted", key)
    assert last["quarantine"] == leaves(strict, "session_quarantined")[0]["sequence"]
    raw = b"".join(record.leaf for record in strict.parts.world.store.records())
    assert [name for name in (b"otto", b"misunderstanding", b"ann") if name in raw] == []


def test_only_an_operator_lifts_and_only_what_is_quarantined(strict: Shop) -> None:
    erase(strict, LIMIT + 1)
    key = strict.gate.sessions()[0].key
    with pytest.raises(RulingError, match="expected a person with the role `operator`"):
        strict.gate.lift(key, credential=strict.manager, reason=WHY)
    with pytest.raises(RulingError, match="found `unknown`"):
        strict.gate.lift("unknown", credential=operator(strict), reason=WHY)
    assert is_quarantined(strict)


def test_an_operator_quarantines_by_hand(shop: Shop) -> None:
    credential = operator(shop)
    key = shop.gate.quarantine(subject=ANN, session="s-1", credential=credential, reason=WHY)
    assert is_quarantined(shop, session="s-1")
    assert not is_quarantined(shop)
    (held,) = shop.gate.sessions()
    assert (held.key, held.operator, held.reason, held.repeats) == (key, "otto", WHY, 0)
    with pytest.raises(RulingError, match="quarantined already"):
        shop.gate.quarantine(subject=ANN, session="s-1", credential=credential, reason=WHY)
    shop.gate.lift(key, credential=credential, reason="over")
    assert not is_quarantined(shop, session="s-1")


@pytest.mark.parametrize("subject", [{}, {"type": "user"}, {"type": "user", "id": ""}])
def test_a_quarantine_of_nobody_is_an_error_and_no_record(shop: Shop, subject: dict[str, str]) -> None:
    credential, before = operator(shop), len(leaves(shop))
    with pytest.raises(RulingError, match="expected the `type` and `id` of the subject"):
        shop.gate.quarantine(subject=subject, credential=credential, reason=WHY)
    assert len(leaves(shop)) == before


def test_a_denial_that_was_opened_by_broken_glass_is_not_counted(strict: Shop) -> None:
    given = refund(100, role="guest")
    strict.gate.break_glass(subject=ANN, actions=["refund"], credential=operator(strict), reason="the till is down")
    assert [strict.gate.decide(given).outcome for _ in range(LIMIT + 2)] == ["allow"] * (LIMIT + 2)


def test_it_survives_a_restart(tmp_path: Path) -> None:
    first = open_shop(tmp_path, home=tmp_path / "home", policy=STRICT)
    began = erase(first)
    erase(first, LIMIT - 1)
    first.gate.close()
    second = open_shop(tmp_path, home=tmp_path / "home", policy=STRICT)
    assert erase(second).repeat_of == began.audit_id
    assert is_quarantined(second)
    second.gate.close()
    third = open_shop(tmp_path, home=tmp_path / "home", policy=STRICT)
    assert is_quarantined(third)
    assert len(third.gate.sessions()) == 1
    third.gate.close()


def test_racing_threads_count_exactly(strict: Shop) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: erase(strict), range(40)))
    assert len(leaves(strict, "session_quarantined")) == 1
    assert len(leaves(strict, "decision")) == LIMIT + 1
    assert len(leaves(strict, "blocked")) == 40 - LIMIT - 1
    assert sorted(answer.repeats for answer in answers if answer.bar is None) == list(range(LIMIT + 1))


def test_a_key_that_nobody_used_for_long_begins_anew(strict: Shop) -> None:
    erase(strict, LIMIT)
    strict.clock.advance(30 * 24 * 3_600)
    assert erase(strict).repeat_of == ""
    assert not is_quarantined(strict)


def test_a_quarantine_does_not_end_by_itself(strict: Shop) -> None:
    erase(strict, LIMIT + 1)
    strict.clock.advance(400 * 24 * 3_600)
    assert is_quarantined(strict)


def test_each_step_is_told_by_pseudonym_after_it_is_durable(strict: Shop) -> None:
    credential = operator(strict)
    told: list[Any] = []
    strict.gate.subscribe(told.append)
    erase(strict, LIMIT + 1, session="s-1")
    key = strict.gate.sessions()[0].key
    strict.gate.lift(key, credential=credential, reason=WHY)
    stop = strict.gate.kill(credential=credential, reason=WHY, actions=["list"])
    strict.gate.release(stop.id, credential=credential, reason=WHY)
    opening = strict.gate.break_glass(subject=ANN, actions=["refund"], credential=credential, reason=WHY)
    strict.gate.decide(refund(100, role="guest"))
    strict.gate.end_glass(opening.id, credential=credential, reason=WHY)
    strict.parts.world.observer.close()
    events = [event for event in told if event["type"].startswith(("governance.session", "governance.lever"))]
    assert [(event["type"].removeprefix("governance."), event["subject"]) for event in events] == [
        ("session.quarantined", key),
        ("session.lifted", key),
        ("lever.stop_on", stop.id),
        ("lever.stop_off", stop.id),
        ("lever.glass_opened", opening.id),
        ("lever.glass_used", opening.id),
        ("lever.glass_ended", opening.id),
    ]
    text = json.dumps(events)
    assert [name for name in ("otto", "ann", "s-1", WHY) if name in text] == []


QUOTA = """
demur: 1
namespace: shop
zone: UTC
sources:
  account: {kind: python}
facts:
  account.frozen: {type: bool, source: account, confidential: true}
usage:
  lists_today: {actions: [list], by: [subject.id], window: {calendar: day}}
actions:
  list: {}
  erase: {}
rules:
  - {id: all, effect: permit, actions: ["*"]}
  - id: quota
    effect: forbid
    category: quota_exceeded
    actions: [list]
    when: [{name: used-up, expr: usage.lists_today >= 1}]
  - {id: erase, effect: review, disposition: never_retry, actions: [erase], review: {role: manager}}
"""
STOOD_FOR = (
    QUOTA + "  - {id: c, effect: forbid, stands_for: quota, actions: [list], when: [{name: c, expr: account.frozen}]}\n"
)


@pytest.mark.parametrize(("policy", "repeats"), [(QUOTA, 1), (STOOD_FOR, 0)], ids=["told", "withheld"])
def test_an_instant_counts_only_where_the_agent_was_told_it(tmp_path: Path, policy: str, repeats: int) -> None:
    shop = open_shop(tmp_path, policy=policy)
    answers = [shop.gate.decide(simple("list")) for _ in range(3)]
    told = "earliest" in json.dumps(answers[1].to_dict())
    assert (told, answers[2].repeats) == (repeats == 1, repeats)
    shop.gate.close()


def test_who_came_back_at_the_instant_that_was_told_is_not_counted(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, policy=QUOTA)
    refused = [shop.gate.decide(simple("list")) for _ in range(2)][1]
    (offer,) = refused.offered(demur.Audience.AGENT).repairs
    shop.clock.advance((offer.earliest.nanos - shop.clock.now().nanos) / 10**9)
    assert shop.gate.decide(simple("list")).outcome == "allow"
    again = shop.gate.decide(simple("list"))
    assert (again.repeat_of, again.repeats) == (refused.audit_id, 0)
    shop.gate.close()


def test_asking_after_a_review_is_not_counted_whatever_the_disposition(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, policy=QUOTA + "repeats: {limit: 1}\n")
    answers = [erase(shop) for _ in range(4)]
    assert [answer.refusal.shown.disposition for answer in answers] == [Disposition.NEVER_RETRY] * 4
    assert [answer.refusal.repeats for answer in answers] == [0] * 4
    shop.gate.close()


DOOR = """
demur: 1
namespace: shop
zone: UTC
facts:
  context.ticket: {type: string, optional: true, change: true}
actions:
  list: {}
  erase: {}
rules:
  - {id: all, effect: permit, actions: ["*"]}
  - id: early
    effect: forbid
    category: temporal
    actions: [list]
    when:
      - {name: before, expr: 'time.now < timestamp("2026-11-21T00:00:00Z")'}
      - {name: ticket, expr: '!has(context.ticket) || context.ticket != "T-1"'}
  - id: ticket
    effect: forbid
    actions: [erase]
    when: [{name: ticket, expr: '!has(context.ticket) || context.ticket != "T-1"'}]
"""


@pytest.mark.parametrize("action", ["list", "erase"])
def test_another_ticket_is_a_change_and_the_same_one_again_is_none(tmp_path: Path, action: str) -> None:
    shop = open_shop(tmp_path, policy=DOOR)
    asked = [simple(action) | {"context": {"ticket": ticket}} for ticket in ("T-8", "T-9", "T-9", "T-7")]
    answers = [shop.gate.decide(request) for request in asked]
    assert answers[0].offered(demur.Audience.AGENT).repairs
    assert [answer.repeats for answer in answers] == [0, 0, 1, 1]
    shop.gate.close()
