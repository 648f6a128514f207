"""The review desk as reviewers use it: leases, delegations, quorums, narrowing, supersession (S7, S3.5)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.policy.document import Narrowing
from demur.core.review import ReviewState
from demur.errors import RulingError
from demur.wiring import reload_policies

from .shop import POLICY, START, Shop, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TWO = POLICY.replace("quorum: 1", "quorum: 2")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Shop]:
    """The shop, where two managers must approve."""
    shop = open_shop(tmp_path, policy=TWO)
    yield shop
    shop.gate.close()


def defer(shop: Shop, amount: int = 60_000, **more: Any) -> str:
    answer = shop.gate.decide(refund(amount, **more))
    assert isinstance(answer, demur.Deferral)
    return answer.review_id


def manager(shop: Shop, name: str) -> str:
    return shop.parts.book.add(name, ["manager"])


def approve(shop: Shop, review: str, credential: str, **more: Any) -> Any:
    return shop.gate.rule(review, verdict="approve", reason="checked", credential=credential, **more)


def leaves(shop: Shop, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(record.leaf) for record in shop.parts.world.store.records()]
    return [leaf for leaf in found if leaf["type"] == kind]


def state(shop: Shop, review: str) -> str:
    return shop.gate.review(review).state.value


# Whose a review is.


def test_what_one_person_holds_nobody_else_takes_or_rules_on(shop: Shop) -> None:
    review, noa = defer(shop), manager(shop, "noa")
    assert shop.gate.take(review, credential=shop.manager).state is ReviewState.ASSIGNED
    for act in (lambda: shop.gate.take(review, credential=noa), lambda: approve(shop, review, noa)):
        with pytest.raises(RulingError, match="somebody else holds"):
            act()
    assert approve(shop, review, shop.manager).state is ReviewState.APPROVED


def test_a_requester_is_not_told_that_somebody_looks_at_it(shop: Shop) -> None:
    review = defer(shop)
    shop.gate.take(review, credential=shop.manager)
    assert shop.gate.wait(review, 0.0) is ReviewState.PENDING
    assert shop.gate.task(review).state is ReviewState.PENDING


def test_when_the_time_of_whoever_holds_it_is_over_another_takes_it_and_both_are_records(shop: Shop) -> None:
    review, noa = defer(shop), manager(shop, "noa")
    shop.gate.take(review, credential=shop.manager, seconds=60)
    shop.clock.advance(60)
    assert state(shop, review) == "pending_review"
    shop.gate.take(review, credential=noa, seconds=60)
    assert [leaf["cause"] for leaf in leaves(shop, "review_released")] == ["time"]
    assert len({leaf["holder"] for leaf in leaves(shop, "review_assigned")}) == 2
    assert shop.gate.review(review).to_dict()["holder"] == "noa"


def test_whoever_holds_it_may_hold_it_longer_but_never_past_the_deadline(shop: Shop) -> None:
    review = defer(shop)
    shop.gate.take(review, credential=shop.manager, seconds=60)
    shop.clock.advance(50)
    shop.gate.take(review, credential=shop.manager, seconds=60)
    shop.clock.advance(30)
    assert state(shop, review) == "assigned"
    assert shop.gate.take(review, credential=shop.manager, seconds=86_400).held_until == START.plus(3_600)


@pytest.mark.parametrize("seconds", [0, -1, 86_401])
def test_nobody_holds_a_review_for_no_time_or_for_days(shop: Shop, seconds: int) -> None:
    with pytest.raises(RulingError, match="seconds"):
        shop.gate.take(defer(shop), credential=shop.manager, seconds=seconds)


def test_a_review_is_given_back_by_whoever_holds_it_and_by_operators(shop: Shop) -> None:
    review, noa = defer(shop), manager(shop, "noa")
    operator = shop.parts.book.add("opa", ["operator"])
    shop.gate.take(review, credential=shop.manager)
    with pytest.raises(RulingError, match="somebody else holds"):
        shop.gate.give_back(review, credential=noa)
    assert shop.gate.give_back(review, credential=shop.manager).state is ReviewState.PENDING
    shop.gate.take(review, credential=noa)
    shop.gate.give_back(review, credential=operator)
    assert [leaf["cause"] for leaf in leaves(shop, "review_released")] == ["released", "operator"]
    with pytest.raises(RulingError, match="nobody holds"):
        shop.gate.give_back(review, credential=operator)


def test_a_review_is_given_to_somebody_who_may_rule_on_it(shop: Shop) -> None:
    review = defer(shop)
    manager(shop, "noa")
    shop.parts.book.add("gil", ["guest"])
    given = shop.gate.assign(review, to="noa", credential=shop.manager, reason="noa knows the invoice")
    assert given.state is ReviewState.ASSIGNED
    for name, why in (("gil", "role"), ("ann", "asked for this action"), ("nobody", "name of a reviewer")):
        with pytest.raises(RulingError, match=why):
            shop.gate.assign(review, to=name, credential=shop.manager)
    record = leaves(shop, "review_assigned")[0]
    assert (record["cause"], record["by"] != record["holder"]) == ("assigned", True)


def test_only_its_holder_or_an_operator_gives_on_what_is_held(shop: Shop) -> None:
    review, noa = defer(shop), manager(shop, "noa")
    manager(shop, "ole")
    operator = shop.parts.book.add("opa", ["operator"])
    shop.gate.take(review, credential=shop.manager)
    with pytest.raises(RulingError, match="somebody else holds"):
        shop.gate.assign(review, to="ole", credential=noa)
    shop.gate.assign(review, to="noa", credential=shop.manager)
    shop.gate.assign(review, to="ole", credential=operator)
    assert shop.gate.review(review).to_dict()["holder"] == "ole"


def test_whoever_asked_for_an_action_neither_holds_its_review_nor_chooses_who_does(shop: Shop) -> None:
    review = defer(shop)
    manager(shop, "noa")
    for act in (
        lambda: shop.gate.take(review, credential=shop.clerk),
        lambda: shop.gate.assign(review, to="noa", credential=shop.clerk),
    ):
        with pytest.raises(RulingError, match="asked for this action"):
            act()


def test_an_operator_without_the_role_gives_a_review_to_others_and_does_not_rule(shop: Shop) -> None:
    review = defer(shop)
    operator = shop.parts.book.add("opa", ["operator"])
    with pytest.raises(RulingError, match="`manager`"):
        shop.gate.take(review, credential=operator)
    assert shop.gate.assign(review, to="mara", credential=operator).holder
    with pytest.raises(RulingError, match="`manager`"):
        approve(shop, review, operator)


def test_an_agent_that_asks_again_is_not_told_apart_by_who_looks(shop: Shop) -> None:
    review = defer(shop)
    shop.gate.take(review, credential=shop.manager)
    assert defer(shop) == review


# In somebody's place.


def test_a_delegate_rules_in_the_place_of_whoever_lent_the_role(shop: Shop) -> None:
    gil = shop.parts.book.add("gil", ["guest"])
    review = defer(shop)
    shop.gate.delegate(to="gil", until=START.plus(600), credential=shop.manager, reason="at the dentist")
    after = approve(shop, review, gil)
    assert (after.state, bool(after.rulings[0].on_behalf)) == (ReviewState.APPROVED, True)
    assert shop.gate.review(review).to_dict()["rulings"][0]["on_behalf"] == "mara"
    assert leaves(shop, "review_ruled")[0]["on_behalf"] == leaves(shop, "delegation_opened")[0]["lender"]


def test_a_delegation_ends_by_itself_and_that_is_recorded_once(shop: Shop) -> None:
    gil = shop.parts.book.add("gil", ["guest"])
    review = defer(shop)
    shop.gate.delegate(to="gil", until=START.plus(600), credential=shop.manager, reason="lunch")
    assert [one["delegate"] for one in shop.gate.delegations()] == ["gil"]
    shop.clock.advance(600)
    with pytest.raises(RulingError, match="`manager`"):
        approve(shop, review, gil)
    assert shop.gate.delegations() == []
    for _ in range(2):
        shop.gate.reviews()
    assert [leaf["cause"] for leaf in leaves(shop, "delegation_closed")] == ["time"]


@pytest.mark.parametrize("who", ["lender", "delegate", "operator"])
def test_a_delegation_is_ended_by_either_of_the_two_or_an_operator(shop: Shop, who: str) -> None:
    gil, review = shop.parts.book.add("gil", ["guest"]), defer(shop)
    operator, noa = shop.parts.book.add("opa", ["operator"]), manager(shop, "noa")
    lent = shop.gate.delegate(to="gil", until=START.plus(600), credential=shop.manager, reason="lunch")
    with pytest.raises(RulingError, match="one of the two"):
        shop.gate.end_delegation(lent.id, credential=noa, reason="mine")
    by = {"lender": shop.manager, "delegate": gil, "operator": operator}[who]
    shop.gate.end_delegation(lent.id, credential=by, reason="back")
    with pytest.raises(RulingError, match="`manager`"):
        approve(shop, review, gil)
    with pytest.raises(RulingError, match="in force"):
        shop.gate.end_delegation(lent.id, credential=by, reason="again")


def test_a_lenders_conflict_of_interest_is_the_delegates_too(shop: Shop) -> None:
    gil = shop.parts.book.add("gil", ["guest"])
    shop.gate.delegate(to="gil", until=START.plus(600), credential=shop.clerk, reason="for me")
    with pytest.raises(RulingError, match="asked for this action"):
        approve(shop, defer(shop), gil)
    assert approve(shop, defer(shop, subject="bob"), gil).state is ReviewState.APPROVED


def test_lender_and_delegate_are_one_person_of_a_quorum(two: Shop) -> None:
    gil = two.parts.book.add("gil", ["guest"])
    two.gate.delegate(to="gil", until=START.plus(600), credential=two.manager, reason="lunch")
    review, other = defer(two), defer(two, 70_000)
    approve(two, review, gil)
    with pytest.raises(RulingError, match="in their place"):
        approve(two, review, two.manager)
    approve(two, other, two.manager)
    with pytest.raises(RulingError, match="in their place"):
        approve(two, other, gil)
    assert {state(two, review), state(two, other)} == {"pending_review"}


def test_whoever_was_erased_and_comes_back_is_no_second_person(two: Shop) -> None:
    otto = two.parts.book.add("otto", ["operator"])
    review = defer(two)
    approve(two, review, two.manager)
    two.gate.erase("reviewer:mara", credential=otto, reason="she left")
    assert approve(two, review, two.manager).state is ReviewState.PENDING
    assert approve(two, review, manager(two, "noa")).state is ReviewState.APPROVED


def test_what_was_said_in_the_place_of_somebody_erased_counts_no_more(two: Shop) -> None:
    gil, otto = two.parts.book.add("gil", ["guest"]), two.parts.book.add("otto", ["operator"])
    two.gate.delegate(to="gil", until=START.plus(600), credential=two.manager, reason="lunch")
    review = defer(two)
    approve(two, review, gil)
    two.gate.erase("reviewer:mara", credential=otto, reason="she left")
    assert approve(two, review, two.manager).state is ReviewState.PENDING


def test_nobody_has_two_verdicts_be_it_in_two_places(two: Shop) -> None:
    gil, noa = two.parts.book.add("gil", ["guest"]), manager(two, "noa")
    for lender in (two.manager, noa):
        two.gate.delegate(to="gil", until=START.plus(600), credential=lender, reason="lunch")
    review = defer(two)
    approve(two, review, gil, on_behalf="mara")
    with pytest.raises(RulingError, match="has ruled"):
        approve(two, review, gil, on_behalf="noa")
    assert approve(two, review, noa).state is ReviewState.APPROVED


def test_what_a_lender_does_not_hold_any_more_is_worth_nothing(shop: Shop) -> None:
    gil, review = shop.parts.book.add("gil", ["guest"]), defer(shop)
    shop.gate.delegate(to="gil", until=START.plus(600), credential=shop.manager, reason="lunch")
    shop.parts.book.remove("mara")
    with pytest.raises(RulingError, match="`manager`"):
        approve(shop, review, gil)


def test_only_ones_own_roles_are_lent_and_never_an_operators(shop: Shop) -> None:
    gil = shop.parts.book.add("gil", ["guest"])
    operator = shop.parts.book.add("opa", ["operator", "manager"])
    until = START.plus(600)
    shop.gate.delegate(to="gil", until=until, credential=shop.manager, reason="lunch")
    for credential, more, why in (
        (gil, {"to": "ann", "roles": ["manager"]}, "expected roles that the lender holds"),
        (operator, {"to": "gil", "roles": ["operator"]}, "nobody can lend"),
        (shop.manager, {"to": "mara"}, "somebody else"),
        (shop.manager, {"to": "gil", "until": START}, "expected an end"),
        (shop.manager, {"to": "gil", "until": START.plus(91 * 86_400)}, "expected an end"),
    ):
        with pytest.raises(RulingError, match=why):
            shop.gate.delegate(**{"until": until, "credential": credential, "reason": "x", **more})


# Less than was asked.


def test_an_approval_of_less_grants_less_when_the_same_is_asked_again(shop: Shop) -> None:
    approve(shop, defer(shop), shop.manager, narrows=[Narrowing(argument="amount", at_most=55_000)], grant_seconds=10)
    given = shop.gate.decide(refund(60_000))
    assert isinstance(given, demur.Grant)
    assert (given.arguments["amount"], given.constraints) == (55_000, {"amount": 55_000})
    assert given.expires_at == START.plus(10)
    assert not isinstance(shop.gate.redeem(given.token, {"amount": 60_000}), demur.Redemption)
    assert isinstance(shop.gate.redeem(given.token, {"amount": 55_000}), demur.Redemption)


def test_an_approval_of_less_satisfies_no_other_action(shop: Shop) -> None:
    approve(shop, defer(shop), shop.manager, narrows=[Narrowing(argument="amount", at_most=55_000)])
    assert isinstance(shop.gate.decide(refund(55_000)), demur.Deferral)


@pytest.mark.parametrize(
    ("narrowing", "why"),
    [
        (Narrowing(argument="amount", at_most=60_000), "less than"),
        (Narrowing(argument="amount", at_most=90_000), "less than"),
        (Narrowing(argument="amount", at_least=60_000), "more than"),
        (Narrowing(argument="amount"), "expected `at_most`"),
        (Narrowing(argument="amount", at_most=1, set=1), "both"),
        (Narrowing(argument="iban", at_most=1), "declares"),
        (Narrowing(argument="pin", set="1234"), "declares"),
        (Narrowing(argument="amount", set="much"), "expected a number"),
        (Narrowing(argument="amount", at_most=0.5), "cannot be asked"),
    ],
)
def test_what_is_no_stricter_bound_is_refused(shop: Shop, narrowing: Narrowing, why: str) -> None:
    with pytest.raises(RulingError, match=why):
        approve(shop, defer(shop), shop.manager, narrows=[narrowing])
    assert leaves(shop, "review_ruled") == []


STRICT = POLICY.replace(
    "  - id: frozen\n",
    """  - id: odd
    effect: forbid
    category: policy_violation
    actions: [refund]
    when:
      - {name: odd, expr: action.amount == 55555, explain: nobody refunds that amount}
  - id: frozen
""",
)


def test_what_would_be_left_is_judged_and_recorded_as_an_inquiry(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, policy=STRICT)
    try:
        review = defer(shop)
        with pytest.raises(RulingError, match="nobody refunds that amount"):
            approve(shop, review, shop.manager, narrows=[Narrowing(argument="amount", at_most=55_555)])
        assert [leaf["purpose"] for leaf in leaves(shop, "inquiry")] == ["narrowing"]
        assert state(shop, review) == "pending_review"
        assert approve(shop, review, shop.manager).state is ReviewState.APPROVED
    finally:
        shop.gate.close()


def test_whoever_may_not_rule_learns_nothing_by_narrowing(shop: Shop) -> None:
    review = defer(shop)
    with pytest.raises(RulingError, match="asked for this action"):
        approve(shop, review, shop.clerk, narrows=[Narrowing(argument="amount", at_most=55_000)])
    assert leaves(shop, "inquiry") == []


def test_an_approval_of_less_that_is_no_longer_allowed_is_not_used(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    try:
        approve(shop, defer(shop), shop.manager, narrows=[Narrowing(argument="amount", at_most=55_555)])
        (shop.parts.settings.policies / "shop.yaml").write_text(STRICT)
        reload_policies(shop.parts)
        assert isinstance(shop.gate.decide(refund(60_000)), demur.Deferral)
    finally:
        shop.gate.close()


def test_of_different_approvals_the_strictest_of_each_counts(two: Shop) -> None:
    review, noa = defer(two), manager(two, "noa")
    at_most = [[Narrowing(argument="amount", at_most=bound)] for bound in (55_000, 52_000)]
    approve(two, review, two.manager, narrows=at_most[0], grant_seconds=20)
    approve(two, review, noa, narrows=at_most[1], grant_seconds=25)
    given = two.gate.decide(refund(60_000))
    assert (given.arguments["amount"], given.expires_at) == (52_000, START.plus(20))


def test_approvals_that_leave_nothing_contradict_each_other(two: Shop) -> None:
    review, noa = defer(two), manager(two, "noa")
    approve(two, review, two.manager, narrows=[Narrowing(argument="amount", set=51_000)])
    with pytest.raises(RulingError, match="empty"):
        approve(two, review, noa, narrows=[Narrowing(argument="amount", set=52_000)])


def test_a_denial_narrows_nothing(shop: Shop) -> None:
    with pytest.raises(RulingError, match="expected an approval"):
        shop.gate.rule(defer(shop), verdict="reject", reason="no", credential=shop.manager, grant_seconds=5)


def test_an_action_with_a_secret_is_not_narrowed(shop: Shop) -> None:
    with pytest.raises(RulingError, match="secret"):
        approve(shop, defer(shop, pin="1234"), shop.manager, narrows=[Narrowing(argument="amount", at_most=55_000)])


# What can no longer matter.

MORE = """    actions: [refund]
    when: [{name: never, expr: action.amount < 0, explain: negative}]
  - id: second
    effect: review
    actions: [refund]
    when: [{name: any, expr: action.amount > 50000, explain: large}]
    review: {role: manager, quorum: 1, within: 1h, risk: high}
  - id: frozen-too
    effect: forbid
    category: state_conflict
    actions: [refund]
    when:
      - {name: frozen"""


def change(shop: Shop, before: str, after: str) -> None:
    path = shop.parts.settings.policies / "shop.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    reload_policies(shop.parts)


def test_a_review_that_asks_changed_rules_is_superseded_by_the_one_that_replaces_it(shop: Shop) -> None:
    review = defer(shop)
    shop.account.is_frozen = True
    change(shop, "    actions: [refund]\n    when:\n      - {name: frozen", MORE)
    shop.account.is_frozen = False
    fresh = defer(shop)
    assert (state(shop, review), state(shop, fresh)) == ("superseded", "pending_review")
    assert [leaf["cause"] for leaf in leaves(shop, "review_superseded")] == ["other_rules"]
    with pytest.raises(RulingError, match="superseded"):
        approve(shop, review, shop.manager)


def test_a_review_whose_rules_are_all_changed_is_superseded_when_the_policies_are(shop: Shop) -> None:
    review = defer(shop)
    change(shop, "risk: high", "risk: critical")
    assert state(shop, review) == "superseded"
    assert [leaf["cause"] for leaf in leaves(shop, "review_superseded")] == ["policy_changed"]
    assert defer(shop) != review


def test_a_review_stays_open_where_the_policies_that_change_leave_its_rule(shop: Shop) -> None:
    review = defer(shop)
    change(shop, "usage.refunds_today >= 3", "usage.refunds_today >= 4")
    assert defer(shop) == review


def test_a_review_of_what_is_allowed_by_now_is_superseded(tmp_path: Path) -> None:
    policy = POLICY.replace("expr: action.amount > 50000", 'expr: "action.amount > 50000 && !account.frozen"')
    policy = policy.replace("expr: action.amount <= 50000", 'expr: "action.amount <= 50000 || account.frozen"')
    shop = open_shop(tmp_path, policy=policy.replace("expr: account.frozen", 'expr: "false"'))
    try:
        review = defer(shop)
        shop.account.is_frozen = True
        assert isinstance(shop.gate.decide(refund(60_000)), demur.Grant)
        assert state(shop, review) == "superseded"
        assert [leaf["cause"] for leaf in leaves(shop, "review_superseded")] == ["allowed"]
        assert shop.gate.reviews() == ()
    finally:
        shop.gate.close()


def test_a_review_of_what_is_forbidden_by_now_is_superseded(shop: Shop) -> None:
    review = defer(shop)
    shop.account.is_frozen = True
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Refusal)
    assert state(shop, review) == "superseded"


def test_a_review_stays_open_while_its_facts_cannot_be_learned(shop: Shop) -> None:
    review = defer(shop)
    shop.account.is_down = True
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Refusal)
    assert state(shop, review) == "pending_review"


def test_a_review_of_another_action_is_not_touched(shop: Shop) -> None:
    review = defer(shop, 70_000)
    shop.account.is_frozen = True
    shop.gate.decide(refund(60_000))
    assert state(shop, review) == "pending_review"


# Lists.


def test_reviews_are_listed_page_by_page(shop: Shop) -> None:
    opened = [defer(shop, 60_000 + number) for number in range(5)]
    found: list[str] = []
    after = None
    while page := shop.gate.reviews(limit=2, after=after):
        found += [review.id for review in page]
        after = (page[-1].deadline, page[-1].id)
    assert sorted(found) == sorted(opened)
