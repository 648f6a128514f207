"""The operator's levers: what a stop covers does not happen, and broken glass is short, told and reviewed (S12.1)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.terms import Category, Disposition
from demur.errors import RulingError
from demur.evaluation.replay import Status, replay
from demur.wiring import open_gate, open_reader, reload_policies

from .shop import POLICY, START, Shop, open_shop, refund, said, simple

if TYPE_CHECKING:
    from pathlib import Path

ANN = {"type": "user", "id": "ann"}
BOT = {"type": "agent", "id": "bot"}
WHY = "too many refunds at once"


@pytest.fixture
def operator(shop: Shop) -> str:
    """The credential of an operator, Otto."""
    return shop.parts.book.add("otto", ["operator"])


def leaves(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(record.leaf) for record in shop.parts.world.store.records()]


def kinds(shop: Shop) -> list[str]:
    return [leaf["type"] for leaf in leaves(shop)]


def stop(shop: Shop, operator: str, **scope: Any) -> Any:
    return shop.gate.kill(credential=operator, reason=WHY, **scope)


def broken(shop: Shop, operator: str, *actions: str, seconds: int = 600) -> Any:
    return shop.gate.break_glass(
        subject=ANN, actions=actions or ["refund"], seconds=seconds, credential=operator, reason="the till is down"
    )


def outcome(shop: Shop, request: dict[str, object]) -> str:
    return str(shop.gate.decide(request).outcome.value)


def test_a_stop_refuses_what_would_be_allowed_until_it_is_released(shop: Shop, operator: str) -> None:
    lever = stop(shop, operator)
    assert outcome(shop, refund(100)) == "deny"
    shop.gate.release(lever.id, credential=operator, reason="found the cause")
    assert outcome(shop, refund(100)) == "allow"


def test_a_stopped_request_is_told_to_wait_in_plain_words(shop: Shop, operator: str) -> None:
    stop(shop, operator)
    refused = shop.gate.decide(refund(100))
    assert refused.reason.category == Category.STATE_CONFLICT
    assert refused.reason.disposition == Disposition.WAIT
    assert "“refund” was stopped by an operator for the time being." in refused.explain(
        audience=demur.Audience.END_USER
    )


@pytest.mark.parametrize(
    ("scope", "outcomes"),
    [
        ({}, ["deny", "deny", "deny"]),
        ({"actions": ["refund"]}, ["deny", "allow", "deny"]),
        ({"actions": ["li*"]}, ["allow", "deny", "allow"]),
        ({"actor": BOT}, ["allow", "allow", "deny"]),
        ({"actor": BOT, "actions": ["list"]}, ["allow", "allow", "allow"]),
    ],
    ids=["all", "action", "pattern", "actor", "other action of the actor"],
)
def test_a_stop_covers_its_scope_and_nothing_else(
    shop: Shop, operator: str, scope: dict[str, Any], outcomes: list[str]
) -> None:
    stop(shop, operator, **scope)
    asked = [refund(100), simple("list"), refund(100, actor=BOT)]
    assert [outcome(shop, request) for request in asked] == outcomes


def test_a_stopped_request_is_a_record_of_its_own_and_names_the_stop(shop: Shop, operator: str) -> None:
    lever = stop(shop, operator)
    refused = shop.gate.decide(refund(100))
    last = leaves(shop)[-1]
    assert (last["type"], last["stop"], refused.audit_id) == ("blocked", lever.id, f"default/{last['sequence']}")
    assert "decision" not in kinds(shop)


def test_a_stop_uses_up_no_request_id(shop: Shop, operator: str) -> None:
    lever = stop(shop, operator)
    shop.gate.decide(refund(100, request_id="r-1"))
    shop.gate.release(lever.id, credential=operator, reason="over")
    assert outcome(shop, refund(100, request_id="r-1")) == "allow"


def test_a_stored_grant_is_not_given_again_while_it_is_stopped(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100, request_id="r-1"))
    stop(shop, operator)
    assert outcome(shop, refund(100, request_id="r-1")) == "deny"


def test_a_stop_between_decision_and_redemption_stops_the_redemption(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    lever = stop(shop, operator, actions=["refund"])
    refused = shop.gate.redeem(given.token, {"amount": 100})
    assert isinstance(refused, demur.Refusal)
    assert leaves(shop)[-1]["code"] == "stopped"
    shop.gate.release(lever.id, credential=operator, reason="over")
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Redemption)


def test_a_stop_of_another_actor_leaves_a_grant_alone(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    stop(shop, operator, actor=BOT)
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Redemption)


def test_of_sixty_four_threads_none_redeems_after_the_record_of_a_stop(shop: Shop, operator: str) -> None:
    grants = [shop.gate.decide(simple("list")) for _ in range(64)]
    together = Barrier(65)

    def redeem(given: demur.Grant) -> object:
        together.wait()
        return shop.gate.redeem(given.token, {}, understands=["watermark"])

    with ThreadPoolExecutor(65) as pool:
        done = [pool.submit(redeem, given) for given in grants]
        together.wait()
        stop(shop, operator)
        answers = [item.result() for item in done]
    told = kinds(shop)
    assert "grant_redeemed" not in told[told.index("stop_on") :]
    assert sum(isinstance(item, demur.Redemption) for item in answers) == told.count("grant_redeemed")


def test_a_stop_survives_a_restart(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    stop(shop, shop.parts.book.add("otto", ["operator"]), actions=["refund"])
    shop.gate.close()
    with open_gate(shop.parts.settings).gate as again:
        assert again.decide(refund(100)).outcome == "deny"
        assert [item.actions for item in again.levers().stops] == [("refund",)]


def test_a_reader_sees_who_stopped_what_and_why(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    stop(shop, shop.parts.book.add("otto", ["operator"]), actor=BOT)
    reader = open_reader(tmp_path / "home")
    told = reader.levers()
    reader.close()
    shop.gate.close()
    assert [(item["operator"], item["reason"], item["about"]) for item in told] == [("otto", WHY, "agent:bot")]


def test_what_is_kept_of_a_lever_names_nobody(shop: Shop, operator: str) -> None:
    stop(shop, operator, actor=BOT)
    broken(shop, operator)
    kept = shop.parts.world.store.read(lambda tx: tx.find_meta("levers")) or b""
    records = b"".join(record.leaf for record in shop.parts.world.store.records())
    assert [name for name in (b"otto", b"bot", b"ann", WHY.encode()) if name in kept + records] == []
    assert kept


NO_OPERATOR = {"nobody's": lambda shop: "guess", "a manager's": lambda shop: shop.manager, "none": lambda shop: ""}
ACTS = {
    "kill": lambda gate, by: gate.kill(**by),
    "release": lambda gate, by: gate.release("0" * 16, **by),
    "break glass": lambda gate, by: gate.break_glass(subject=ANN, actions=["refund"], **by),
    "end": lambda gate, by: gate.end_glass("0" * 16, **by),
    "revoke": lambda gate, by: gate.revoke("0" * 16, **by),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("credential", NO_OPERATOR.values(), ids=NO_OPERATOR)
def test_no_lever_moves_without_the_credential_of_an_operator(shop: Shop, act: Any, credential: Any) -> None:
    before = kinds(shop)
    with pytest.raises(RulingError, match="expected"):
        act(shop.gate, {"credential": credential(shop), "reason": WHY})
    assert kinds(shop) == before


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_no_lever_moves_without_a_reason(shop: Shop, operator: str, act: Any) -> None:
    with pytest.raises(RulingError, match="expected a reason"):
        act(shop.gate, {"credential": operator, "reason": " "})


def test_a_stop_of_an_action_that_nobody_declared_is_an_error(shop: Shop, operator: str) -> None:
    with pytest.raises(RulingError, match="expected a pattern that matches a declared action, found `refnd`"):
        stop(shop, operator, actions=["refnd"])


def test_an_operator_revokes_a_grant_by_name_and_for_a_reason(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    assert shop.gate.revoke(given.id, credential=operator, reason="wrong invoice") is None
    last = leaves(shop)[-1]
    assert (last["type"], len(last["operator"]), "commit_root" in last) == ("grant_revoked", 32, True)
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Refusal)


def test_behind_broken_glass_a_denied_request_is_granted_and_can_be_carried_out(shop: Shop, operator: str) -> None:
    shop.account.is_frozen = True
    assert outcome(shop, refund(100)) == "deny"
    broken(shop, operator)
    given = shop.gate.decide(refund(100))
    assert isinstance(given, demur.Grant)
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Redemption)
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Refusal)


def test_a_use_of_broken_glass_is_recorded_beside_the_denial(shop: Shop, operator: str) -> None:
    opening = broken(shop, operator)
    given = shop.gate.decide(refund(100, role="guest"))
    denied, used = leaves(shop)[-2:]
    assert (denied["type"], denied["outcome"]) == ("decision", "deny")
    assert (used["type"], used["break_glass"], used["decision"]) == ("glass_used", opening.id, denied["sequence"])
    assert (used["grant"], given.audit_id) == (given.id, f"default/{used['sequence']}")
    assert given.obligations[-1].type == "review_afterwards"


def test_a_denial_behind_broken_glass_judges_to_the_same_again(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    broken(shop, shop.parts.book.add("otto", ["operator"]))
    assert outcome(shop, refund(100, role="guest")) == "allow"
    shop.gate.close()
    reader = open_reader(tmp_path / "home")
    found = list(replay(reader.records(), reader, reader.vault))
    reader.close()
    assert [(item.status, item.recorded.split()[0]) for item in found] == [(Status.SAME, "deny")]


def test_the_use_is_reviewed_by_another_operator_and_the_review_approves_nothing(shop: Shop, operator: str) -> None:
    broken(shop, operator)
    shop.gate.decide(refund(100, role="guest"))
    (review,) = shop.gate.reviews()
    second = shop.parts.book.add("olga", ["operator"])
    with pytest.raises(RulingError, match="broke the glass"):
        shop.gate.rule(review.id, verdict="approve", reason="mine", credential=operator)
    assert shop.gate.review(review.id).to_dict()["approval_action"] == "nothing is undone; the use was right"
    shop.gate.rule(review.id, verdict="approve", reason="the till was down", credential=second)
    shop.clock.advance(600)
    assert outcome(shop, refund(100, role="guest")) == "deny"


def test_who_asked_does_not_review_the_use(shop: Shop, operator: str) -> None:
    broken(shop, operator)
    shop.gate.decide(refund(100, role="guest"))
    with pytest.raises(RulingError, match="somebody else must decide"):
        shop.gate.rule(
            shop.gate.reviews()[0].id,
            verdict="approve",
            reason="mine",
            credential=shop.parts.book.add("ann", ["operator"]),
        )


def test_a_grant_behind_broken_glass_lives_no_longer_than_the_opening_nor_a_minute(shop: Shop, operator: str) -> None:
    policy = POLICY.replace("  - id: small-refund\n", "  - id: small-refund\n    grant_seconds: 600\n")
    (shop.parts.settings.policies / "shop.yaml").write_text(policy)
    reload_policies(shop.parts)
    shop.account.is_frozen = True
    broken(shop, operator)
    assert shop.gate.decide(refund(100)).expires_at == START.plus(60)
    shop.clock.advance(590)
    assert shop.gate.decide(refund(100)).expires_at == START.plus(600)


def test_a_categorical_denial_stays(shop: Shop, operator: str) -> None:
    broken(shop, operator, "*")
    assert shop.gate.decide(simple("erase")).reason.category == Category.CATEGORICAL


def test_a_denial_stays_where_a_categorical_rule_cannot_be_excluded(tmp_path: Path) -> None:
    policy = POLICY.replace("    category: state_conflict\n", "    category: categorical\n")
    shop = open_shop(tmp_path, policy=policy)
    shop.account.is_down = True
    broken(shop, shop.parts.book.add("otto", ["operator"]))
    refused = shop.gate.decide(refund(100))
    shop.gate.close()
    assert refused.reason.category == Category.INSUFFICIENT_CONTEXT


@pytest.mark.parametrize(
    "request_",
    [refund(100, subject="bob", role="guest"), simple("unheard")],
    ids=["another subject", "another action"],
)
def test_broken_glass_is_for_its_subject_and_actions_alone(
    shop: Shop, operator: str, request_: dict[str, object]
) -> None:
    broken(shop, operator)
    assert outcome(shop, request_) == "deny"


def test_a_deferral_behind_broken_glass_still_waits_for_its_person(shop: Shop, operator: str) -> None:
    broken(shop, operator)
    assert outcome(shop, refund(60_000)) == "defer"


def test_a_stop_comes_before_broken_glass(shop: Shop, operator: str) -> None:
    broken(shop, operator)
    given = shop.gate.decide(refund(100, role="guest"))
    stop(shop, operator)
    assert outcome(shop, refund(100, role="guest")) == "deny"
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Refusal)


def test_broken_glass_ends_by_itself_and_its_end_is_recorded_once(shop: Shop, operator: str) -> None:
    opening = broken(shop, operator, seconds=60)
    shop.clock.advance(60)
    assert [outcome(shop, refund(100, role="guest")) for _ in range(2)] == ["deny", "deny"]
    told = [leaf for leaf in leaves(shop) if leaf["type"] == "glass_ended"]
    assert [(leaf["break_glass"], leaf["cause"], leaf["until"]) for leaf in told] == [
        (opening.id, "time", str(START.plus(60)))
    ]


def test_an_operator_ends_broken_glass_and_its_unused_grants_with_it(shop: Shop, operator: str) -> None:
    opening = broken(shop, operator)
    given = shop.gate.decide(refund(100, role="guest"))
    shop.gate.end_glass(opening.id, credential=operator, reason="the till works again")
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Refusal)
    assert leaves(shop)[-1]["code"] == "glass_ended"
    assert outcome(shop, refund(100, role="guest")) == "deny"


def test_the_answer_behind_broken_glass_is_given_again_for_its_request_id(shop: Shop, operator: str) -> None:
    broken(shop, operator)
    request = refund(100, role="guest", request_id="r-1")
    assert said(shop.gate.decide(request)) == said(shop.gate.decide(request))
    assert kinds(shop).count("glass_used") == 1


def test_a_grant_behind_broken_glass_keeps_the_duties_of_the_permits_that_hold(shop: Shop, operator: str) -> None:
    policy = POLICY + "  - {id: no-lists, effect: forbid, category: temporal, actions: [list]}\n"
    (shop.parts.settings.policies / "shop.yaml").write_text(policy)
    reload_policies(shop.parts)
    broken(shop, operator, "list")
    given = shop.gate.decide(simple("list"))
    assert isinstance(shop.gate.redeem(given.token, {}), demur.Refusal)
    assert isinstance(shop.gate.redeem(given.token, {}, understands=["watermark"]), demur.Redemption)


@pytest.mark.parametrize("seconds", [0, -1, 3_601])
def test_glass_is_broken_for_an_hour_at_most(shop: Shop, operator: str, seconds: int) -> None:
    with pytest.raises(RulingError, match="expected 1 to 3600 seconds"):
        broken(shop, operator, seconds=seconds)
