"""What was sealed ends with the period of its class; records, proofs and whatever is still needed stay (S5.5, S12)."""

from __future__ import annotations

import itertools
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from demur.core import retention
from demur.core.forgetting import ErasureState
from demur.core.ledger import chain
from demur.core.retention import PRESETS, RetentionClass
from demur.errors import ConfigurationError, ForgottenError, IntakeError, LedgerError, RulingError
from demur.evaluation.replay import Status, check_sealed, replay
from demur.steps import retaining
from demur.wiring import open_gate, open_reader

from .shop import Shop, open_shop, refund, simple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400
WHY = "the period ended"
ALL = (RetentionClass(name="all", days=30),)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Shop]:
    """An open shop on SQLite."""
    opened = open_shop(tmp_path, home=tmp_path / "home")
    yield opened
    opened.gate.close()


@pytest.fixture
def operator(shop: Shop) -> str:
    """The credential of an operator, Otto."""
    return shop.parts.book.add("otto", ["operator"])


def otto(shop: Shop) -> str:
    return shop.parts.book.add("otto", ["operator"])


def retain(shop: Shop, credential: str, classes: tuple[RetentionClass, ...] = ALL) -> Any:
    return shop.gate.retain(classes, credential=credential, reason=WHY)


def leaves(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(record.leaf) for record in shop.parts.world.store.records()]


def is_gone(shop: Shop, answer: Any) -> bool:
    sequence = int(answer.audit_id.rpartition("/")[2])
    sealed = shop.parts.world.store.read(lambda tx: tx.find_sealed(sequence))
    assert sealed is not None
    try:
        shop.parts.world.vault.unseal(sealed)
    except ForgottenError:
        return True
    return False


def test_what_is_older_than_its_period_ends_and_what_is_not_stays(shop: Shop, operator: str) -> None:
    old = shop.gate.decide(refund(100))
    shop.clock.advance(30 * DAY)
    edge = shop.gate.decide(refund(200))
    done = retain(shop, operator)
    assert (done.state, done.counts) == ("completed", {})
    shop.clock.advance(1)
    done = retain(shop, operator)
    assert (done.state, done.counts) == ("completed", {"all": 1})
    assert (is_gone(shop, old), is_gone(shop, edge)) == (True, False)


def test_every_record_and_its_chain_stay(shop: Shop, operator: str) -> None:
    for amount in range(3):
        shop.gate.decide(refund(amount, subject=f"p{amount}"))
    before = list(shop.parts.world.store.records())
    shop.clock.advance(31 * DAY)
    assert retain(shop, operator).counts == {"all": 3}
    after = list(shop.parts.world.store.records())
    assert after[: len(before)] == before
    chain.check(after, log="default")


def test_an_act_is_two_records_that_name_nobody(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    shop.clock.advance(31 * DAY)
    done = retain(shop, operator)
    noted, completed = leaves(shop)[-2:]
    assert (noted["type"], noted["retention"], noted["first"]) == ("retention", done.id, 0)
    assert noted["last"] == int(given.audit_id.rpartition("/")[2])
    assert noted["classes"][0]["before"] == "2026-11-21T09:00:00Z"
    assert (completed["type"], completed["retention"]) == ("retention_completed", done.id)
    assert completed["counts"] == [{"class": "all", "records": 1}]
    assert "ann" not in json.dumps([noted, completed])


def test_the_first_class_that_fits_counts_and_none_means_kept(shop: Shop, operator: str) -> None:
    refunded, listed = shop.gate.decide(refund(100)), shop.gate.decide(simple("list"))
    erased = shop.gate.decide(simple("erase"))
    shop.clock.advance(31 * DAY)
    classes = (
        RetentionClass(name="long", days=3_650, actions=("ref*",)),
        RetentionClass(name="short", days=30, actions=("refund", "list")),
    )
    assert retain(shop, operator, classes).counts == {"short": 1}
    assert [is_gone(shop, answer) for answer in (refunded, listed, erased)] == [False, True, False]


def test_nothing_of_a_person_under_a_hold_ends_also_where_they_only_acted(shop: Shop, operator: str) -> None:
    own = shop.gate.decide(refund(100))
    acted = shop.gate.decide(refund(100, subject="bob", actor={"type": "user", "id": "ann"}))
    other = shop.gate.decide(refund(100, subject="cleo"))
    placed = shop.gate.hold("user:ann", credential=operator, reason="case 17")
    shop.clock.advance(31 * DAY)
    done = retain(shop, operator)
    assert (done.counts, done.held) == ({"all": 1}, 2)
    assert [is_gone(shop, answer) for answer in (own, acted, other)] == [False, False, True]
    shop.gate.release_hold(placed.id, credential=operator, reason="closed")
    assert retain(shop, operator).counts == {"all": 2}


def test_a_hold_on_a_reviewer_keeps_their_rulings(shop: Shop, operator: str) -> None:
    deferred = shop.gate.decide(refund(60_000))
    shop.gate.rule(deferred.review_id, verdict="reject", reason="no", credential=shop.manager)
    shop.gate.hold("reviewer:mara", credential=operator, reason="case 17")
    shop.clock.advance(31 * DAY)
    done = retain(shop, operator)
    assert (done.counts, done.held) == ({"all": 1}, 1)


def test_what_waits_for_a_review_stays_until_the_review_ended(shop: Shop, operator: str) -> None:
    hour = (RetentionClass(name="all", days=1),)
    deferred = shop.gate.decide(refund(60_000))
    act = shop.parts.world.store.read(
        lambda tx: retaining.Retention(id="", since=tx.now.plus(2 * DAY), size=tx.head.size, classes=hour)
    )
    gone, after = shop.parts.world.store.read(
        lambda tx: retaining.judge(tx, shop.parts.world.vault, act, retaining.ended(tx, act))
    )
    assert (gone, after.needed) == ([], 1)
    shop.clock.advance(2 * DAY)
    assert retain(shop, operator, hour).counts == {"all": 1}
    assert is_gone(shop, deferred)


def test_what_a_live_grant_rests_on_stays(shop: Shop) -> None:
    given = shop.gate.decide(refund(100))
    day = (RetentionClass(name="all", days=1),)
    act = shop.parts.world.store.read(
        lambda tx: retaining.Retention(id="", since=tx.now.plus(2 * DAY), size=tx.head.size, classes=day)
    )
    gone, after = shop.parts.world.store.read(
        lambda tx: retaining.judge(tx, shop.parts.world.vault, act, retaining.ended(tx, act))
    )
    assert (gone, after.needed) == ([], 1)
    shop.gate.redeem(given.token, {"amount": 100})
    gone, _ = shop.parts.world.store.read(
        lambda tx: retaining.judge(tx, shop.parts.world.vault, act, retaining.ended(tx, act))
    )
    assert gone == [int(given.audit_id.rpartition("/")[2])]


def test_a_request_id_whose_answer_ended_is_not_judged_again(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100, request_id="r-1"))
    shop.clock.advance(31 * DAY)
    retain(shop, operator)
    with pytest.raises(IntakeError, match="one that was erased"):
        shop.gate.decide(refund(100, request_id="r-1"))


def test_a_person_whose_records_ended_can_still_be_exported_and_erased(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100))
    shop.clock.advance(31 * DAY)
    retain(shop, operator)
    assert shop.gate.export("user:ann")["records"][0]["sealed"] == "destroyed"
    assert shop.gate.erase("user:ann", credential=operator, reason=WHY).state is ErasureState.COMPLETED


def test_a_trial_counts_and_destroys_nothing(shop: Shop) -> None:
    given = shop.gate.decide(refund(100))
    shop.clock.advance(31 * DAY)
    planned = shop.gate.plan_retention(ALL)
    assert (planned.state, planned.counts) == ("planned", {"all": 1})
    assert not is_gone(shop, given)
    assert leaves(shop)[-1]["type"] == "decision"


def test_only_operators_order_it_and_say_why(shop: Shop, operator: str) -> None:
    given = shop.gate.decide(refund(100))
    shop.clock.advance(31 * DAY)
    for credential, reason in (("guess", WHY), (shop.manager, WHY), (operator, " ")):
        with pytest.raises(RulingError):
            shop.gate.retain(ALL, credential=credential, reason=reason)
    assert not is_gone(shop, given)


def test_an_act_that_another_call_completed_meanwhile_is_over(shop: Shop, operator: str) -> None:
    shop.gate.decide(refund(100))
    shop.clock.advance(31 * DAY)
    plan, done = shop.gate.plan_retention(ALL), retain(shop, operator)
    stale = retaining.Retention(id=done.id, since=plan.since, size=done.size, classes=ALL)
    assert shop.gate._end(stale).state == "completed"
    assert [leaf["type"] for leaf in leaves(shop)].count("retention_completed") == 1


def test_it_goes_on_over_many_pages(shop: Shop, operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retaining, "PAGE", 2)
    for number in range(5):
        shop.gate.decide(refund(100, subject=f"p{number}"))
    shop.clock.advance(31 * DAY)
    assert retain(shop, operator).counts == {"all": 5}


def test_an_act_that_was_interrupted_is_taken_up(kept: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retaining, "PAGE", 2)
    operator = otto(kept)
    for number in range(5):
        kept.gate.decide(refund(100, subject=f"p{number}"))
    kept.clock.advance(31 * DAY)
    judge, calls = retaining.judge, itertools.count()

    def failing(*values: Any) -> Any:
        if next(calls) == 2:  # on the first page there are no decisions
            message = "power cut"
            raise RuntimeError(message)
        return judge(*values)

    monkeypatch.setattr(retaining, "judge", failing)
    with pytest.raises(RuntimeError):
        retain(kept, operator)
    reader = open_reader(tmp_path / "home")
    assert check_sealed(reader.records(), reader, reader.vault).forgotten == 2
    reader.close()
    kept.gate.close()
    parts = open_gate(kept.parts.settings)
    parts.gate.retain(ALL, credential=operator, reason=WHY)
    found = [json.loads(record.leaf) for record in parts.world.store.records()]
    parts.gate.close()
    completed = [leaf["counts"] for leaf in found if leaf["type"] == "retention_completed"]
    assert completed == [[{"class": "all", "records": 5}], []]


def test_replay_and_verification_say_what_ended(kept: Shop, tmp_path: Path) -> None:
    operator = otto(kept)
    kept.gate.decide(refund(100))
    kept.clock.advance(31 * DAY)
    kept.gate.decide(refund(100, subject="bob"))
    retain(kept, operator)
    reader = open_reader(tmp_path / "home")
    assert [finding.status for finding in replay(reader.records(), reader, reader.vault)] == [
        Status.ERASED,
        Status.SAME,
    ]
    opened = check_sealed(reader.records(), reader, reader.vault)
    assert (opened.sealed, opened.forgotten) == (3, 1)
    reader.close()


def test_values_blanked_by_hand_are_noticed_also_after_an_act(kept: Shop, tmp_path: Path) -> None:
    operator = otto(kept)
    kept.gate.decide(refund(100))
    kept.clock.advance(31 * DAY)
    young = kept.gate.decide(refund(100, subject="bob"))
    retain(kept, operator)
    sequence = int(young.audit_id.rpartition("/")[2])
    kept.parts.world.store.submit(lambda tx: tx.forget_sealed([sequence])).result()
    reader = open_reader(tmp_path / "home")
    with pytest.raises(LedgerError, match="no record tells why"):
        check_sealed(reader.records(), reader, reader.vault)
    reader.close()


def test_no_file_holds_what_ended(kept: Shop, tmp_path: Path) -> None:
    operator = otto(kept)
    given = kept.gate.decide(refund(100))
    sealed = kept.parts.world.store.read(lambda tx: tx.find_sealed(int(given.audit_id[8:])))
    assert sealed is not None
    held = b"".join(path.read_bytes() for path in (tmp_path / "home").glob("ledger.db*"))
    assert sealed.ciphertext in held
    kept.clock.advance(31 * DAY)
    assert retain(kept, operator).state == "completed"
    held = b"".join(path.read_bytes() for path in (tmp_path / "home").glob("ledger.db*"))
    assert [part for part in (sealed.ciphertext, sealed.wrapped_key) if part in held] == []


def test_it_is_pending_while_somebody_reads(kept: Shop, tmp_path: Path) -> None:
    operator = otto(kept)
    kept.gate.decide(refund(100))
    kept.clock.advance(31 * DAY)
    reading = sqlite3.connect(tmp_path / "home" / "ledger.db", isolation_level=None)
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM records").fetchone()
    assert retain(kept, operator).state == "pending"
    assert leaves(kept)[-1]["type"] == "retention"
    kept.gate.decide(refund(100, subject="bob"))
    reading.close()
    assert retain(kept, operator).state == "completed"
    assert [leaf["type"] for leaf in leaves(kept)].count("retention_completed") == 2


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "retention"),
        ({"retention": 2, "classes": [{"name": "a", "days": 1}]}, "retention: 1"),
        ({"retention": 1, "classes": []}, "1 to 16 classes"),
        ({"retention": 1, "classes": [{"name": "a", "days": 0}]}, "days in class"),
        ({"retention": 1, "classes": [{"name": "a", "days": 1, "tpyes": []}]}, "tpyes"),
        ({"retention": 1, "classes": [{"name": "a", "days": 1, "types": ["hold_placed"]}]}, "types of records"),
        ({"retention": 1, "classes": [{"name": "a", "days": 1}, {"name": "a", "days": 2}]}, "twice"),
        ({"retention": 1, "classes": [{"name": "Ärzte", "days": 1}]}, "named in"),
        ({"retention": 1, "classes": [{"name": "a", "days": 1, "actions": [""]}]}, "patterns"),
    ],
)
def test_classes_that_cannot_be_meant_are_refused(document: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        retention.read(document)


def test_presets_end_nothing_before_their_floor() -> None:
    assert {name: [item.days for item in classes] for name, classes in PRESETS.items()} == {
        "eu-ai-act": [184],  # July to December
        "hipaa": [2_192],  # six years with two leap days
    }
    for classes in PRESETS.values():
        retention.check(classes)
