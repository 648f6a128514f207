"""Erasing a person: what was sealed about them is gone for everybody, and every proof of before still stands (S5.5)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.adapters.sealing import check_disclosed
from demur.core.forgetting import ErasureState
from demur.core.ledger import chain, merkle
from demur.errors import ForgottenError, IntakeError, RulingError
from demur.evaluation.replay import Status, replay
from demur.steps import forgetting
from demur.wiring import open_reader

from .shop import Shop, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHY = "request 17 of the person"


@pytest.fixture
def operator(shop: Shop) -> str:
    """The credential of an operator, Otto."""
    return shop.parts.book.add("otto", ["operator"])


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Shop]:
    """An open shop on SQLite."""
    opened = open_shop(tmp_path, home=tmp_path / "home")
    yield opened
    opened.gate.close()


def leaves(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(record.leaf) for record in shop.parts.world.store.records()]


def kinds(shop: Shop) -> list[str]:
    return [leaf["type"] for leaf in leaves(shop)]


def erase(shop: Shop, operator: str, person: str = "user:ann") -> Any:
    return shop.gate.erase(person, credential=operator, reason=WHY)


def unsealed(shop: Shop, audit_id: str) -> dict[str, bytes]:
    sequence = int(audit_id.rpartition("/")[2])
    sealed = shop.parts.world.store.read(lambda tx: tx.find_sealed(sequence))
    assert sealed is not None
    return shop.parts.world.vault.unseal(sealed)


def test_what_was_sealed_about_an_erased_person_cannot_be_opened(shop: Shop, operator: str) -> None:
    ann, bob = shop.gate.decide(refund(100)), shop.gate.decide(refund(100, subject="bob"))
    done = erase(shop, operator)
    assert (done.state, done.records) == (ErasureState.COMPLETED, 1)
    with pytest.raises(ForgottenError):
        unsealed(shop, ann.audit_id)
    assert b"bob" in unsealed(shop, bob.audit_id)["request"]


def test_an_erasure_is_two_records_that_name_keys_and_nobody(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    done = erase(shop, operator)
    noted, completed = leaves(shop)[-2:]
    assert (noted["type"], noted["erasure"], noted["keys"]) == ("erasure", done.id, list(done.keys))
    assert noted["keys"] == [leaves(shop)[int(given.audit_id[8:])]["requesting_entity"]["subject"]]
    assert (completed["type"], completed["erasure"], completed["records"]) == ("erasure_completed", done.id, 1)
    assert "ann" not in json.dumps([noted, completed])


def test_every_proof_of_before_still_stands(shop: Shop, operator: str) -> None:
    for amount in range(5):
        shop.gate.decide(refund(amount))
    before = list(shop.parts.world.store.records())
    hashes = [record.record_hash for record in before]
    proofs = [merkle.prove_inclusion(hashes, index) for index in range(len(hashes))]
    erase(shop, operator)
    after = list(shop.parts.world.store.records())
    assert after[: len(before)] == before
    chain.check(after, log="default")
    for record, proof in zip(after, proofs, strict=False):
        merkle.check_inclusion(
            index=record.sequence,
            size=len(hashes),
            leaf=merkle.leaf_hash(record.leaf),
            proof=proof,
            expected=merkle.root(hashes),
        )
    all_hashes = [record.record_hash for record in after]
    merkle.check_consistency(
        old_size=len(hashes),
        new_size=len(after),
        old_root=merkle.root(hashes),
        new_root=merkle.root(all_hashes),
        proof=merkle.prove_consistency(all_hashes, len(hashes)),
    )


def test_a_disclosed_value_still_proves_after_the_person_was_erased(kept: Shop, tmp_path: Path) -> None:
    operator = kept.parts.book.add("otto", ["operator"])
    given = kept.gate.decide(refund(100))
    sequence = int(given.audit_id[8:])
    reader = open_reader(tmp_path / "home")
    (disclosed,) = reader.disclose(sequence, ["request"])
    erase(kept, operator)
    assert b'"ann"' in disclosed.value
    check_disclosed(disclosed, leaves(kept)[sequence]["commit_root"])
    with pytest.raises(ForgottenError):
        reader.disclose(sequence, ["request"])
    reader.close()


def test_a_new_record_about_the_same_person_gets_a_fresh_key(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100))
    done = erase(shop, operator)
    again = shop.gate.decide(refund(100))
    key = leaves(shop)[-1]["requesting_entity"]["subject"]
    assert key not in done.keys
    assert b'"ann"' in unsealed(shop, again.audit_id)["request"]


def test_no_pseudonym_connects_what_was_before_with_what_comes_after(shop: Shop, operator: str) -> None:
    asked = refund(100, actor={"type": "user", "id": "ann-s-brother"}, session="s-1")
    shop.gate.decide(asked)
    before = leaves(shop)[-1]
    erase(shop, operator)
    erase(shop, operator, "user:ann-s-brother")
    shop.gate.decide(asked)
    after = leaves(shop)[-1]
    for name in ("subject", "actor"):
        assert before["requesting_entity"][name] != after["requesting_entity"][name]
    assert before["session_context"] != after["session_context"]


def test_a_live_grant_of_an_erased_person_is_not_redeemed(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    erase(shop, operator)
    refused = shop.gate.redeem(given.token, {"amount": 100})
    assert isinstance(refused, demur.Refusal)
    assert leaves(shop)[-1]["code"] == "person_erased"


def test_a_grant_examined_before_the_erasure_is_not_redeemed_after_it(shop: Shop, operator: str) -> None:
    from demur.steps import redeeming
    from demur.steps.session import Session

    given = shop.gate.decide(refund(100))
    world, active = shop.parts.world, shop.gate._active
    claim = redeeming.examine(world, active, given.token, {"amount": 100}, ())
    erase(shop, operator)
    answer = world.store.submit(lambda tx: redeeming.redeem(Session(world, active, tx), claim)).result()
    assert isinstance(answer, demur.Refusal)


def test_a_grant_that_was_redeemed_can_still_be_completed(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    shop.gate.redeem(given.token, {"amount": 100})
    erase(shop, operator)
    assert shop.gate.complete(given.id, "success") is None


def test_nobody_rules_on_a_review_of_an_erased_person(shop: Shop, operator: str) -> None:
    deferred = shop.gate.decide(refund(60_000))
    erase(shop, operator)
    with pytest.raises(RulingError, match="was erased, so nobody may rule on it"):
        shop.gate.rule(deferred.review_id, verdict="approve", reason="fine", credential=shop.manager)
    with pytest.raises(ForgottenError):
        shop.gate.review(deferred.review_id)
    shop.clock.advance(3_601)
    shop.gate.reviews()
    assert kinds(shop)[-1] == "review_expired"


def test_an_approval_of_an_erased_person_is_worth_nothing(shop: Shop, operator: str) -> None:
    deferred = shop.gate.decide(refund(60_000))
    shop.gate.rule(deferred.review_id, verdict="approve", reason="fine", credential=shop.manager)
    erase(shop, operator)
    assert shop.gate.decide(refund(60_000)).outcome == "defer"


def test_a_repeated_request_id_of_an_erased_answer_is_not_judged_again(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100, request_id="r-1"))
    erase(shop, operator)
    with pytest.raises(IntakeError, match="one that was erased"):
        shop.gate.decide(refund(100, request_id="r-1"))


def test_replay_says_what_was_erased(kept: Shop, tmp_path: Path) -> None:
    operator = kept.parts.book.add("otto", ["operator"])
    kept.gate.decide(refund(100))
    kept.gate.decide(refund(100, subject="bob"))
    erase(kept, operator)
    reader = open_reader(tmp_path / "home")
    found = [finding.status for finding in replay(reader.records(), reader, reader.vault)]
    reader.close()
    assert found == [Status.ERASED, Status.SAME]


def test_whoever_acted_is_erased_without_the_person_acted_for(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100, actor={"type": "user", "id": "carl"}))
    assert b"carl" in unsealed(shop, given.audit_id)["actor"]
    erase(shop, operator, "user:carl")
    left = unsealed(shop, given.audit_id)
    assert sorted(left) == ["answer", "facts", "request"]
    assert b"carl" not in b"".join(left.values())


def test_a_reviewer_is_erased_with_their_words(shop: Shop, operator: str) -> None:
    deferred = shop.gate.decide(refund(60_000))
    shop.gate.rule(deferred.review_id, verdict="approve", reason="I know her", credential=shop.manager)
    ruled = shop.parts.world.store.read(lambda tx: tx.find_sealed(tx.head.size - 1))
    assert ruled is not None
    assert shop.parts.world.vault.unseal(ruled)["reason"] == b"I know her"
    erase(shop, operator, "reviewer:mara")
    with pytest.raises(ForgottenError):
        shop.parts.world.vault.unseal(ruled)
    assert shop.gate.decide(refund(60_000)).outcome == "allow"


def test_an_operator_can_be_erased_by_themselves(shop: Shop, operator: str) -> None:
    placed = shop.gate.hold("user:ann", credential=operator, reason=WHY)
    shop.gate.release_hold(placed.id, credential=operator, reason=WHY)
    done = erase(shop, operator, "reviewer:otto")
    assert done.state is ErasureState.COMPLETED
    sealed = shop.parts.world.store.read(lambda tx: tx.find_sealed(done.sequence))
    assert sealed is not None
    with pytest.raises(ForgottenError):
        shop.parts.world.vault.unseal(sealed)


@pytest.mark.parametrize("person", ["user:nobody", "ann", "", "user:", "用户:安"])
def test_nobody_is_erased_about_whom_nothing_is_kept(shop: Shop, operator: str, person: str) -> None:
    size = len(leaves(shop))
    with pytest.raises(RulingError, match="about whom something is kept"):
        erase(shop, operator, person)
    assert len(leaves(shop)) == size


def test_an_erased_person_is_unknown(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100))
    erase(shop, operator)
    with pytest.raises(RulingError, match="about whom something is kept"):
        erase(shop, operator)


def test_only_operators_erase_and_say_why(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100))
    for credential, reason in (("guess", WHY), (shop.manager, WHY), (operator, " ")):
        with pytest.raises(RulingError):
            shop.gate.erase("user:ann", credential=credential, reason=reason)
    assert "erasure" not in kinds(shop)


# Holds.


def test_a_hold_keeps_a_person_from_being_erased_until_it_is_released(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100))
    placed = shop.gate.hold("user:ann", credential=operator, reason="case 2026-17")
    with pytest.raises(RulingError, match=rf"a legal hold .*`{placed.id}`.*case 2026-17"):
        erase(shop, operator)
    shop.gate.release_hold(placed.id, credential=operator, reason="case closed")
    assert erase(shop, operator).state is ErasureState.COMPLETED
    assert [kind for kind in kinds(shop) if "hold" in kind] == ["hold_placed", "hold_released"]


def test_a_hold_comes_before_the_first_record(shop: Shop, operator: str) -> None:
    shop.gate.hold("user:ann", credential=operator, reason="case 2026-17")
    shop.gate.decide(refund(100))
    with pytest.raises(RulingError, match="a legal hold"):
        erase(shop, operator)


def test_the_state_of_holds_and_erasures_names_nobody(shop: Shop, operator: str) -> None:
    shop.gate.hold("user:ann", credential=operator, reason="case 2026-17")
    raw = shop.parts.world.store.read(lambda tx: tx.find_meta(forgetting.META)) or b""
    assert raw
    assert [name for name in (b"ann", b"otto", b"case") if name in raw] == []


def test_a_hold_that_is_not_in_force_cannot_be_released(shop: Shop, operator: str) -> None:
    with pytest.raises(RulingError, match="expected a hold that is in force"):
        shop.gate.release_hold("0" * 16, credential=operator, reason=WHY)


def test_a_stop_about_a_person_is_not_lifted_by_erasing_them(shop: Shop, operator: str) -> None:
    bot = {"type": "agent", "id": "bot"}
    shop.gate.decide(refund(100, actor=bot))
    shop.gate.kill(actor=bot, credential=operator, reason="odd")
    with pytest.raises(RulingError, match="no lever about this person"):
        erase(shop, operator, "agent:bot")
    assert shop.gate.decide(refund(100, actor=bot)).outcome == "deny"
