"""Personal values of decisions: masked until a person who may says why, and recorded before they are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from demur.core import personal
from demur.core.access import Role
from demur.core.personal import MASK, Protection
from demur.core.terms import Audience
from demur.errors import ForgottenError, LedgerError, RulingError, StoreError
from demur.steps import explaining
from demur.steps.enrolling import LOCAL
from demur.wiring import callers, open_gate

from .shop import POLICY, Shop, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHY = "the requester called about this decision"
PERSONAL = POLICY.replace(
    "  subject.role: string", "  subject.role: string\n  subject.age: {type: int, personal: true, optional: true}"
).replace(
    "pin: {type: string, optional: true, secret: true}",
    "pin: {type: string, optional: true, secret: true}\n      note: {type: string, optional: true, personal: true}",
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An open shop on SQLite whose policies declare personal values."""
    opened = open_shop(tmp_path, home=tmp_path / "home", policy=PERSONAL)
    yield opened
    opened.gate.close()


def asked(shop: Shop, **more: Any) -> Any:
    request = refund(900, subject="ann.meier", role="guest", pin="7788", **more)
    request["action"]["properties"]["note"] = "for Erna Klein"  # type: ignore[index]  # as a test knows it
    request["subject"]["properties"] |= {"age": 431, "nickname": "Annie"}  # type: ignore[index]  # as above
    return shop.gate.decide(request)


def leaves(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(record.leaf) for record in shop.parts.world.store.records()]


def reveal(shop: Shop, answer: Any, path: str, credential: str = "", reason: str = WHY) -> Any:
    audit_id = answer if isinstance(answer, str) else answer.audit_id
    return shop.gate.reveal(audit_id, path, credential=credential or shop.manager, reason=reason)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("subject.id", "ann.meier"),
        ("subject.age", 431),
        ("subject.nickname", "Annie"),
        ("action.note", "for Erna Klein"),
        ("action.amount", 900),
    ],
)
def test_a_value_is_told_to_a_person_who_says_why(shop: Shop, path: str, value: object) -> None:
    assert reveal(shop, asked(shop), path).value == value


def test_a_reveal_is_a_record_that_names_nobody_and_seals_the_reason(shop: Shop) -> None:
    answer = asked(shop)
    told = reveal(shop, answer, "subject.id")

    leaf = leaves(shop)[-1]
    assert (leaf["type"], leaf["decision"], leaf["path"]) == ("value_revealed", 2, "subject.id")
    assert told.audit_id == f"{leaf['log']}/{leaf['sequence']}"
    assert leaf["reviewer"] == shop.parts.world.mark("reviewer:mara", "reviewer")
    assert "ann.meier" not in json.dumps(leaf)
    assert "mara" not in json.dumps(leaf)
    sealed = shop.parts.world.store.read(lambda tx: tx.find_sealed(leaf["sequence"]))
    assert sealed is not None
    assert shop.parts.world.vault.unseal(sealed)["reason"] == WHY.encode()


def test_a_name_that_the_caller_chose_is_not_in_the_record(shop: Shop) -> None:
    reveal(shop, asked(shop), "subject.nickname")
    leaf = leaves(shop)[-1]
    assert leaf["path"] == "undeclared"
    sealed = shop.parts.world.store.read(lambda tx: tx.find_sealed(leaf["sequence"]))
    assert sealed is not None
    assert shop.parts.world.vault.unseal(sealed)["path"] == b"subject.nickname"


def test_what_happened_between_commit_and_answer_does_not_lose_the_record(shop: Shop, tmp_path: Path) -> None:
    reveal(shop, asked(shop), "subject.id")
    count = len(leaves(shop))
    shop.gate.close()
    again = open_gate(shop.parts.settings)
    assert [json.loads(one.leaf)["type"] for one in again.world.store.records()][:count][-1] == "value_revealed"
    again.gate.close()


def test_a_secret_value_is_revealed_to_nobody(shop: Shop) -> None:
    answer = asked(shop)
    before = len(leaves(shop))
    with pytest.raises(RulingError, match="found a secret one"):
        reveal(shop, answer, "action.pin")
    assert len(leaves(shop)) == before


@pytest.mark.parametrize(
    ("audit_id", "path", "message"),
    [
        ("", "action.nothing", "expected the path of a value of this decision, found `action.nothing`"),
        ("", "time.now", "expected the path of a value of this decision, found `time.now`"),
        ("demur/0", "subject.id", "expected the audit id of a decision"),
        ("demur/99999", "subject.id", "expected the audit id of a decision"),
        ("other/1", "subject.id", "expected the audit id of a decision of this log"),
        ("demur/one", "subject.id", "expected the audit id of a decision of this log"),
        ("", "", "expected the path of a value"),
    ],
)
def test_what_is_not_there_is_not_recorded(shop: Shop, audit_id: str, path: str, message: str) -> None:
    answer = asked(shop)
    before = len(leaves(shop))
    with pytest.raises(RulingError, match=message):
        reveal(shop, audit_id or answer, path)
    assert len(leaves(shop)) == before


@pytest.mark.parametrize(
    ("credential", "reason", "message"),
    [
        ("nobody's", WHY, "nobody holds"),
        ("", "", "expected a reason"),
        ("", "  ", "expected a reason"),
        ("", "x" * 4_001, "at most 4000"),
    ],
)
def test_nobody_sees_anything_without_credential_and_reason(
    shop: Shop, credential: str, reason: str, message: str
) -> None:
    answer = asked(shop)
    before = len(leaves(shop))
    with pytest.raises(RulingError, match=message):
        reveal(shop, answer, "subject.id", credential, reason)
    assert len(leaves(shop)) == before


@pytest.mark.parametrize("role", Role)
def test_the_gate_itself_lets_only_those_roles_reveal_that_may(shop: Shop, role: Role) -> None:
    people = callers.people(shop.parts)
    people.add("pia", by=LOCAL, roles=[role])
    credential = people.log_in(people.id_of("pia"))
    answer = asked(shop)
    if role in {Role.REVIEWER, Role.OPERATOR, Role.AUDITOR}:
        assert reveal(shop, answer, "subject.id", credential).value == "ann.meier"
    else:
        with pytest.raises(RulingError, match="who may not"):
            reveal(shop, answer, "subject.id", credential)


def test_of_an_erased_person_nothing_is_revealed(shop: Shop) -> None:
    answer = asked(shop)
    operator = shop.parts.book.add("otto", ["operator"])
    shop.gate.erase("user:ann.meier", credential=operator, reason="request 17")
    before = len(leaves(shop))
    with pytest.raises(ForgottenError):
        reveal(shop, answer, "subject.id")
    assert len(leaves(shop)) == before


def failing(*_: object, **__: object) -> Any:
    message = "the disk is full"
    raise StoreError(message)


@pytest.mark.parametrize("name", ["unseal", "seal", "blind_for"])
def test_where_the_vault_fails_nothing_is_shown_or_recorded(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answer = asked(shop)
    before = len(leaves(shop))
    monkeypatch.setattr(type(shop.parts.world.vault), name, failing)
    with pytest.raises(StoreError):
        reveal(shop, answer, "subject.id")
    monkeypatch.undo()
    assert len(leaves(shop)) == before


def test_where_the_record_cannot_be_written_nothing_is_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(shop)
    before = len(leaves(shop))
    monkeypatch.setattr(type(shop.parts.world.store), "submit", failing)
    with pytest.raises(StoreError):
        reveal(shop, answer, "subject.id")
    monkeypatch.undo()
    assert len(leaves(shop)) == before


def test_where_the_commit_fails_nothing_is_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(shop)
    store = shop.parts.world.store
    monkeypatch.setattr(store._backend, "commit", failing)  # type: ignore[attr-defined]  # where a full disk shows
    with pytest.raises(StoreError):
        reveal(shop, answer, "subject.id")


def test_where_reviewers_cannot_be_read_nothing_is_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(shop)
    monkeypatch.setattr(type(shop.parts.world.reviewers), "identify", failing)
    with pytest.raises(StoreError):
        reveal(shop, answer, "subject.id")


def test_where_the_policies_of_then_are_gone_nothing_is_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(shop)
    monkeypatch.setattr(explaining, "decode_compiled", failing)
    explaining.documents_of.cache_clear()
    explaining._built.cache_clear()
    with pytest.raises((LedgerError, StoreError)):
        reveal(shop, answer, "subject.id")


def opened(shop: Shop, answer: Any) -> explaining.Opened:
    sequence = int(answer.audit_id.rpartition("/")[2])
    found = shop.parts.world.store.read(lambda tx: explaining.open_decision(shop.parts.world, tx, sequence))
    assert found is not None
    return found


@pytest.mark.parametrize("audience", Audience)
def test_a_masked_refusal_holds_no_personal_value(shop: Shop, audience: Audience) -> None:
    found = opened(shop, asked(shop))
    told = found.answer.to_dict(audience=audience)
    masked = personal.masked(told, found.kept.request, found.policies.schema, found.kept.learned)

    text = json.dumps(masked, ensure_ascii=False)
    assert [word for word in ("ann.meier", "Erna", "431", "Annie", "7788") if word in text] == []
    assert MASK in text
    assert "Erna" in json.dumps(told)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("subject.id", Protection.PERSONAL),
        ("actor.id", Protection.PERSONAL),
        ("session.id", Protection.PERSONAL),
        ("subject.age", Protection.PERSONAL),
        ("subject.nickname", Protection.PERSONAL),
        ("context.anything", Protection.PERSONAL),
        ("action.note", Protection.PERSONAL),
        ("action.pin", Protection.SECRET),
        ("action.amount", Protection.NONE),
        ("action.undeclared", Protection.PERSONAL),
        ("subject.role", Protection.NONE),
        ("subject.type", Protection.NONE),
        ("resource.id", Protection.NONE),
        ("usage.refunds_today", Protection.NONE),
        ("account.frozen", Protection.NONE),
    ],
)
def test_what_the_schema_does_not_describe_counts_as_personal(shop: Shop, path: str, expected: Protection) -> None:
    found = opened(shop, asked(shop))
    assert personal.protection(path, found.kept.request, found.policies.schema) is expected


def test_a_resource_that_is_the_subject_itself_is_personal(shop: Shop) -> None:
    found = opened(shop, asked(shop, resource={"type": "user", "id": "ann.meier"}))
    assert personal.protection("resource.id", found.kept.request, found.policies.schema) is Protection.PERSONAL
