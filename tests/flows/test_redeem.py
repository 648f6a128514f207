"""Grants: single use, for exactly the granted action, under the policies that granted it (S6.1, S6.2, S6.3, S6.4)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.terms import Category

from .shop import POLICY, Shop, refund, simple

if TYPE_CHECKING:
    from collections.abc import Callable


def grant(shop: Shop, amount: int = 100, **more: Any) -> demur.Grant:
    answer = shop.gate.decide(refund(amount, **more))
    assert isinstance(answer, demur.Grant)
    return answer


def category(refused: object) -> Category:
    assert isinstance(refused, demur.Refusal)
    return refused.reason.category


def test_a_grant_is_redeemed_once_for_the_granted_arguments(shop: Shop) -> None:
    given = grant(shop)
    done = shop.gate.redeem(given.token, {"amount": 100})
    assert isinstance(done, demur.Redemption)
    assert done.arguments == {"amount": 100}


def test_a_second_redemption_is_refused(shop: Shop) -> None:
    given = grant(shop)
    shop.gate.redeem(given.token, {"amount": 100})
    assert category(shop.gate.redeem(given.token, {"amount": 100})) == Category.STATE_CONFLICT


def test_sixty_four_threads_redeem_one_grant_once(shop: Shop) -> None:
    given = grant(shop)
    with ThreadPoolExecutor(64) as pool:
        done = list(pool.map(lambda _: shop.gate.redeem(given.token, {"amount": 100}), range(64)))
    assert sum(isinstance(item, demur.Redemption) for item in done) == 1


@pytest.mark.parametrize("actual", [{"amount": 101}, {}, {"amount": 100, "pin": "1"}, {"amount": "100"}, {"x": 1}])
def test_other_arguments_than_granted_are_refused_and_the_grant_stays(shop: Shop, actual: dict[str, object]) -> None:
    given = grant(shop)
    assert category(shop.gate.redeem(given.token, actual)) == Category.POLICY_VIOLATION
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Redemption)


def test_a_secret_argument_must_be_the_granted_one(shop: Shop) -> None:
    given = grant(shop, pin="8812")
    assert category(shop.gate.redeem(given.token, {"amount": 100, "pin": "9999"})) == Category.POLICY_VIOLATION
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100, "pin": "8812"}), demur.Redemption)


def test_an_expired_grant_is_refused(shop: Shop) -> None:
    given = grant(shop)
    shop.clock.advance(30)
    assert category(shop.gate.redeem(given.token, {"amount": 100})) == Category.TEMPORAL


def test_a_revoked_grant_is_refused_and_no_longer_counts(shop: Shop) -> None:
    given = grant(shop)
    assert shop.gate.revoke(given.id) is None
    assert category(shop.gate.redeem(given.token, {"amount": 100})) == Category.STATE_CONFLICT
    assert [shop.gate.decide(refund(100)).outcome for _ in range(4)] == ["allow", "allow", "allow", "deny"]


FORGERIES = {
    "last digit": lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
    "id alone": lambda token: token.split(".")[0],
    "empty": lambda _: "",
    "far too long": lambda token: token * 50,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_token_is_refused(shop: Shop, forge: Callable[[str], str]) -> None:
    given = grant(shop)
    assert category(shop.gate.redeem(forge(given.token), {"amount": 100})) == Category.SCOPE_EXCEEDED


def test_a_fact_marked_for_it_is_judged_again_at_redemption(shop: Shop) -> None:
    given = grant(shop)
    shop.account.is_frozen = True
    assert category(shop.gate.redeem(given.token, {"amount": 100})) == Category.STATE_CONFLICT


def test_a_marked_fact_that_cannot_be_learned_again_refuses(shop: Shop) -> None:
    given = grant(shop)
    shop.account.is_down = True
    assert category(shop.gate.redeem(given.token, {"amount": 100})) == Category.INSUFFICIENT_CONTEXT


def test_a_grant_of_other_policies_is_refused(shop: Shop) -> None:
    from demur.wiring import reload_policies

    given = grant(shop)
    folder = shop.parts.settings.policies
    (folder / "shop.yaml").write_text(POLICY.replace("action.amount <= 50000", "action.amount <= 40000"))
    reload_policies(shop.parts)
    refused = shop.gate.redeem(given.token, {"amount": 100})
    assert category(refused) == Category.STATE_CONFLICT
    assert "policies changed" in refused.detail


def test_an_obligation_that_the_executor_does_not_know_means_no_execution(shop: Shop) -> None:
    answer = shop.gate.decide(simple("list"))
    assert category(shop.gate.redeem(answer.token, {})) == Category.POLICY_VIOLATION
    assert isinstance(shop.gate.redeem(answer.token, {}, understands=["watermark"]), demur.Redemption)


def test_an_execution_ends_once_and_only_after_redemption(shop: Shop) -> None:
    given = grant(shop)
    assert category(shop.gate.complete(given.id, "success")) == Category.STATE_CONFLICT
    shop.gate.redeem(given.token, {"amount": 100})
    assert shop.gate.complete(given.id, "unknown") is None
    assert category(shop.gate.complete(given.id, "success")) == Category.STATE_CONFLICT


def test_a_refused_redemption_is_recorded(shop: Shop) -> None:
    given = grant(shop)
    refused = shop.gate.redeem(given.token, {"amount": 7})
    record = list(shop.parts.world.store.records())[-1]
    assert refused.audit_id == f"default/{record.sequence}"
    assert b'"code":"action_differs"' in record.leaf
