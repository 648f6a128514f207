"""Approvals given in advance: granted by people, used within their bounds, given back, ended."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import demur
from demur.core.scope import MAX_DAYS, Bound, Scope
from demur.core.standing import StandingState
from demur.errors import RulingError
from demur.evaluation.reconcile import reconcile
from demur.evaluation.replay import Status, replay
from demur.wiring import open_reader
from tests.flows.shop import POLICY, START, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.flows.shop import Shop

WHY = "monthly refunds of this customer were checked"
DAY = 86_400
TWO = POLICY.replace("quorum: 1", "quorum: 2")


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    home = tmp_path / "home" if request.param == "sqlite" else None
    opened = open_shop(tmp_path, home=home)
    yield opened
    opened.gate.close()


def scope(**changes: Any) -> Scope:
    plain = Scope(
        rule="shop/large-refund",
        action="refund",
        resource_type="invoice",
        subject="user:bob",
        actor="agent:local",
        uses=2,
        expires_at=START.plus(DAY),
        arguments={"action.amount": Bound(at_most=80_000)},
    )
    return msgspec.structs.replace(plain, **changes)


def grant(shop: Shop, **changes: Any) -> Any:
    return shop.gate.standing_grant(scope(**changes), credential=shop.manager, reason=WHY)


def ask(shop: Shop, amount: int = 60_000, subject: str = "bob", **more: Any) -> Any:
    return shop.gate.decide(refund(amount, subject=subject, **more))


def leaves(shop: Shop, kind: str) -> list[dict[str, Any]]:
    found = [msgspec.json.decode(record.leaf) for record in shop.parts.world.store.records()]
    return [leaf for leaf in found if leaf["type"] == kind]


# What it covers.


def test_what_is_covered_is_granted_without_a_review_and_each_use_is_a_record(shop: Shop) -> None:
    one = grant(shop)
    answer = ask(shop)
    assert isinstance(answer, demur.Grant)
    assert shop.gate.reviews() == ()
    (used,) = leaves(shop, "standing_used")
    decision = int(answer.audit_id.rpartition("/")[2])
    assert {key: used[key] for key in ("standing", "decision", "grant", "use", "uses")} == {
        "standing": one.id, "decision": decision, "grant": answer.id, "use": 1, "uses": 2,
    }  # fmt: skip
    assert isinstance(shop.gate.redeem(answer.token, {"amount": 60_000}), demur.Redemption)


@pytest.mark.parametrize(
    "request_",
    [
        refund(80_001, subject="bob"),
        refund(60_000, subject="eve"),
        refund(60_000, subject="bob", actor={"type": "agent", "id": "bot"}),
        {**refund(60_000, subject="bob"), "resource": {"type": "order", "id": "i-1"}},
        refund(60_000, subject="bob", pin="1234"),
        {**refund(60_000), "subject": {"type": "user:bob", "id": "x", "properties": {"role": "clerk"}}},
    ],
    ids=["amount", "subject", "actor", "resource type", "argument not mentioned", "type with a colon"],
)
def test_whatever_lies_outside_is_deferred_as_before(shop: Shop, request_: dict[str, object]) -> None:
    grant(shop)
    assert isinstance(shop.gate.decide(request_), demur.Deferral)
    assert leaves(shop, "standing_used") == []


def test_an_id_left_open_covers_those_that_begin_so_and_no_others(shop: Shop) -> None:
    grant(shop, subject="user:b*", actor="*", uses=9)
    assert isinstance(ask(shop, subject="bob"), demur.Grant)
    assert isinstance(ask(shop, subject="bea", actor={"type": "agent", "id": "bot"}), demur.Grant)
    assert isinstance(ask(shop, subject="ann"), demur.Deferral)
    assert isinstance(ask(shop, subject="b", actor={"type": "agent:x", "id": "y"}), demur.Deferral)


def test_a_forbid_wins_over_it(shop: Shop) -> None:
    grant(shop)
    shop.account.is_frozen = True
    refused = ask(shop)
    assert isinstance(refused, demur.Refusal)
    assert refused.reason.category == "state_conflict"
    shop.account.is_down = True
    assert ask(shop).reason.category == "insufficient_context"
    assert leaves(shop, "standing_used") == []


def test_one_that_is_used_up_defers_again(shop: Shop) -> None:
    grant(shop, uses=1)
    assert isinstance(ask(shop), demur.Grant)
    assert isinstance(ask(shop), demur.Deferral)
    (told,) = shop.gate.standing()
    assert (told.state, told.used) == (StandingState.USED_UP, 1)


def test_a_grant_that_is_not_redeemed_gives_its_use_back(shop: Shop) -> None:
    grant(shop, uses=1)
    lapsed = ask(shop)
    assert isinstance(lapsed, demur.Grant)
    shop.clock.advance(31)
    taken = ask(shop)
    assert isinstance(taken, demur.Grant)
    assert shop.gate.revoke(taken.id) is None
    last = ask(shop)
    assert isinstance(shop.gate.redeem(last.token, {"amount": 60_000}), demur.Redemption)
    shop.clock.advance(31)
    assert isinstance(ask(shop), demur.Deferral)
    assert [leaf["use"] for leaf in leaves(shop, "standing_used")] == [1, 1, 1]


def test_an_approval_of_the_very_action_is_used_first(shop: Shop) -> None:
    review = ask(shop).review_id
    shop.gate.rule(review, verdict="approve", reason=WHY, credential=shop.manager)
    grant(shop, uses=1)
    assert isinstance(ask(shop), demur.Grant)
    assert leaves(shop, "standing_used") == []
    assert isinstance(ask(shop), demur.Grant)
    assert len(leaves(shop, "standing_used")) == 1


# How it ends.


def test_after_its_end_it_is_worth_nothing_and_the_end_is_recorded_once(shop: Shop) -> None:
    one = grant(shop)
    shop.clock.advance(DAY)
    assert isinstance(ask(shop), demur.Deferral)
    assert [told.state for told in shop.gate.standing()] == [StandingState.EXPIRED]
    shop.gate.standing()
    (ended,) = leaves(shop, "standing_expired")
    assert (ended["standing"], ended["until"], ended["used"]) == (one.id, str(START.plus(DAY)), 0)


def test_revoked_it_defers_again(shop: Shop) -> None:
    one = grant(shop)
    ended = shop.gate.standing_revoke(one.id, credential=shop.clerk, reason="the customer left")
    assert ended.state is StandingState.REVOKED
    assert isinstance(ask(shop), demur.Deferral)
    with pytest.raises(RulingError, match="found one that is revoked"):
        shop.gate.standing_revoke(one.id, credential=shop.manager, reason="again")
    assert len(leaves(shop, "standing_revoked")) == 1


def test_a_rule_that_was_changed_voids_it(tmp_path: Path) -> None:
    first = open_shop(tmp_path, home=tmp_path / "home")
    grant(first)
    first.gate.close()
    shop = open_shop(tmp_path, home=tmp_path / "home", policy=POLICY.replace("> 50000", "> 50001"))
    assert isinstance(ask(shop), demur.Deferral)
    assert [told.state for told in shop.gate.standing()] == [StandingState.VOID]
    shop.gate.close()


def test_it_holds_across_a_restart_with_its_count(tmp_path: Path) -> None:
    first = open_shop(tmp_path, home=tmp_path / "home")
    grant(first)
    answer = ask(first)
    first.gate.redeem(answer.token, {"amount": 60_000})
    first.gate.close()
    shop = open_shop(tmp_path, home=tmp_path / "home")
    assert isinstance(ask(shop), demur.Grant)
    assert isinstance(ask(shop), demur.Deferral)
    shop.gate.close()


# Who may grant it, and what.


def test_it_takes_the_quorum_of_the_rule_by_distinct_people(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, policy=TWO)
    one = grant(shop)
    assert one.state is StandingState.WAITING
    assert isinstance(ask(shop), demur.Deferral)
    with pytest.raises(RulingError, match="has granted this already"):
        shop.gate.standing_grant(one.id, credential=shop.manager, reason=WHY)
    agreed = shop.gate.standing_grant(one.id, credential=shop.clerk, reason="so did I")
    assert agreed.state is StandingState.LIVE
    assert isinstance(ask(shop), demur.Grant)
    (told,) = shop.gate.standing()
    assert (told.granted_by, told.reasons) == (("mara", "ann"), (WHY, "so did I"))
    assert [len(leaves(shop, kind)) for kind in ("standing_opened", "standing_agreed")] == [1, 1]
    with pytest.raises(RulingError, match="waits for people, found one that is live"):
        shop.gate.standing_grant(one.id, credential=shop.parts.book.add("zoe", ["manager"]), reason=WHY)
    shop.gate.close()


def test_nobody_grants_it_to_themselves(shop: Shop) -> None:
    with pytest.raises(RulingError, match="`mara` is who this is for"):
        grant(shop, subject="user:mara")
    with pytest.raises(RulingError, match="`mara` is who this is for"):
        grant(shop, actor="agent:mara")
    assert leaves(shop, "standing_opened") == []


def test_what_somebody_granted_to_many_does_not_cover_their_own_requests(shop: Shop) -> None:
    grant(shop, subject="user:*", actor="*", uses=9)
    assert isinstance(ask(shop, subject="mara"), demur.Deferral)
    assert isinstance(ask(shop, subject="bob", actor={"type": "user", "id": "mara"}), demur.Deferral)
    assert isinstance(ask(shop, subject="bob"), demur.Grant)


def test_it_takes_the_role_and_a_reason(shop: Shop) -> None:
    other = shop.parts.book.add("otto", ["auditor"])
    with pytest.raises(RulingError, match="expected a reviewer with the role `manager`"):
        shop.gate.standing_grant(scope(), credential=other, reason=WHY)
    with pytest.raises(RulingError, match="expected a reason"):
        shop.gate.standing_grant(scope(), credential=shop.manager, reason=" ")
    with pytest.raises(RulingError, match="nobody holds"):
        shop.gate.standing_grant(scope(), credential="demur-reviewer-x", reason=WHY)
    one = grant(shop)
    with pytest.raises(RulingError, match="expected the role `manager` or `operator`"):
        shop.gate.standing_revoke(one.id, credential=other, reason=WHY)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"expires_at": START}, "expected an end within"),
        ({"expires_at": START.plus(MAX_DAYS * DAY + 1)}, "expected an end within 90 days"),
        ({"uses": 0}, "expected 1 to"),
        ({"uses": 10**9}, "expected 1 to"),
        ({"rule": "shop/none"}, "expected a rule that is in force"),
        ({"rule": "shop/quota"}, "expected a rule that asks for review"),
        ({"action": "sell"}, "expected one declared action"),
        ({"resource_type": "*"}, "one type of resource"),
        ({"subject": "*"}, "expected the subject as a type and an id"),
        ({"subject": "*:ann"}, "expected the subject"),
        ({"subject": "user:a*b"}, "expected the subject"),
        ({"subject": "user:" + "x" * 300}, "expected the subject"),
        ({"arguments": {"action.colour": Bound(is_free=True)}}, "expected an argument of `refund`"),
        ({"arguments": {"action.amount": Bound()}}, "expected one bound"),
        ({"arguments": {"action.amount": Bound(at_most=5, is_free=True)}}, "expected one bound"),
        ({"arguments": {"action.amount": Bound(at_most=5, at_least=6)}}, "from a lower to a higher"),
        ({"arguments": {"action.amount": Bound(one_of=("\ud800",))}}, "that a request can carry"),
    ],
)
def test_a_scope_that_is_unsound_is_refused_and_leaves_nothing(shop: Shop, changes: dict[str, Any], found: str) -> None:
    with pytest.raises(RulingError, match=found):
        grant(shop, **changes)
    assert (shop.gate.standing(), leaves(shop, "standing_opened")) == ((), [])


# What is kept of it.


def test_neither_the_ledger_nor_the_state_names_anybody(shop: Shop) -> None:
    grant(shop, arguments={"action.amount": Bound(one_of=(60_000, 61_000))})
    assert isinstance(ask(shop), demur.Grant)
    kept = b"".join(record.leaf for record in shop.parts.world.store.records())
    kept += shop.parts.world.store.read(lambda tx: tx.find_meta("standing")) or b""
    assert [word for word in (b"bob", b"mara", b"monthly", b"61000") if word in kept] == []


def test_after_the_subject_was_erased_it_covers_nobody_and_shows_nobody(shop: Shop) -> None:
    operator = shop.parts.book.add("olga", ["operator"])
    grant(shop)
    assert isinstance(ask(shop), demur.Grant)
    shop.clock.advance(60)
    shop.gate.erase("user:bob", credential=operator, reason="asked for it")
    assert isinstance(ask(shop), demur.Deferral)
    (told,) = shop.gate.standing()
    assert (told.scope, told.granted_by) == (None, ("mara",))


# What is proposed.


def decided(shop: Shop, amount: int, verdict: str, subject: str = "eve") -> str:
    review: str = ask(shop, amount, subject=subject).review_id
    shop.gate.rule(review, verdict=verdict, reason=WHY, credential=shop.manager)
    return review


def test_a_proposal_is_as_wide_as_what_was_approved_and_leaves_out_what_was_denied(shop: Shop) -> None:
    for index, amount in enumerate((60_000, 64_000, 70_000, 90_000)):
        decided(shop, amount, "approve", f"u{index}")
    decided(shop, 75_000, "reject", "u9")
    waiting = ask(shop, 65_000).review_id
    proposal = shop.gate.standing_propose(waiting)
    assert proposal.scope.arguments["action.amount"] == Bound(at_least=60_000, at_most=70_000)
    assert (proposal.approved, proposal.denied, proposal.covers_review) == (3, 0, True)
    assert (proposal.scope.subject, proposal.scope.uses) == ("user:bob", 3)
    assert proposal.words["action.pin"] == "secret and never kept, so left free"
    assert shop.gate.standing() == ()
    assert leaves(shop, "standing_opened") == []
    shop.gate.standing_grant(proposal.scope, credential=shop.manager, reason=WHY)
    assert isinstance(ask(shop, 65_000), demur.Grant)


def test_too_little_approved_is_no_ground_for_a_proposal(shop: Shop) -> None:
    decided(shop, 60_000, "approve", "u1")
    decided(shop, 61_000, "approve", "u2")
    waiting = ask(shop, 65_000).review_id
    with pytest.raises(RulingError, match="expected at least 3 cases like this that were approved, found 2"):
        shop.gate.standing_propose(waiting)
    with pytest.raises(RulingError, match="there is no review"):
        shop.gate.standing_propose("none")


# Many at once.


def test_of_many_threads_as_many_are_granted_as_there_are_uses(shop: Shop) -> None:
    grant(shop, subject="user:b*", uses=5)
    answers: list[Any] = []
    barrier = threading.Barrier(64)

    def run(number: int) -> None:
        barrier.wait()
        answers.append(ask(shop, 60_000 + number, subject=f"b{number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers).count("Grant") == 5
    assert sorted(leaf["use"] for leaf in leaves(shop, "standing_used")) == [1, 2, 3, 4, 5]


# What others make of the ledger.


def test_decisions_on_it_are_judged_the_same_again_and_reconciled(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    grant(shop)
    answer = ask(shop)
    shop.gate.redeem(answer.token, {"amount": 60_000})
    ask(shop)
    ask(shop)
    shop.clock.advance(DAY)
    shop.gate.close()
    with contextlib.closing(open_reader(tmp_path / "home")) as reader:
        found = list(replay(reader.records(), reader, reader.vault))
        report = reconcile(reader)
    assert {finding.status for finding in found} == {Status.SAME}
    assert "granted_beyond_standing" not in report.kinds


def test_an_inquiry_uses_nothing(shop: Shop) -> None:
    grant(shop, uses=1)
    (told,) = shop.gate.inquire([refund(60_000, subject="bob")])
    assert told.outcome == "allow"
    assert leaves(shop, "standing_used") == []
    assert isinstance(ask(shop), demur.Grant)


def test_a_grant_of_before_lives_on_when_it_is_revoked(shop: Shop) -> None:
    one = grant(shop)
    answer = ask(shop)
    shop.gate.standing_revoke(one.id, credential=shop.manager, reason="enough")
    assert isinstance(shop.gate.redeem(answer.token, {"amount": 60_000}), demur.Redemption)
    assert isinstance(ask(shop), demur.Deferral)


def test_behind_broken_glass_nothing_of_it_is_used(shop: Shop) -> None:
    operator = shop.parts.book.add("olga", ["operator"])
    grant(shop)
    shop.account.is_frozen = True
    shop.gate.break_glass(
        subject={"type": "user", "id": "bob"}, actions=["refund"], seconds=60, credential=operator, reason="urgent"
    )
    assert isinstance(ask(shop), demur.Grant)
    assert leaves(shop, "standing_used") == []
