"""Erasing a person on the disk: no byte of key or salt is left in any file, whatever gets in between (S5.5)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from demur.adapters import sealing
from demur.adapters.keys import KeyVault
from demur.adapters.sealing import PersonKey
from demur.core.forgetting import ErasureState
from demur.core.ledger import chain
from demur.core.record import Sealed
from demur.errors import ForgottenError, StoreError
from demur.evaluation.replay import check_sealed
from demur.steps import forgetting
from demur.wiring import open_gate, open_reader

from .shop import Shop, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHY = "request 17 of the person"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An open shop in `home`, with an operator."""
    opened = open_shop(tmp_path, home=tmp_path / "home")
    opened.parts.book.add("otto", ["operator"])
    yield opened
    opened.gate.close()


def erase(shop: Shop, person: str = "user:ann") -> Any:
    credential = shop.parts.book.add("otto", ["operator"])
    return shop.gate.erase(person, credential=credential, reason=WHY)


def kinds(shop: Shop) -> list[str]:
    return [json.loads(record.leaf)["type"] for record in shop.parts.world.store.records()]


def sealed_of(shop: Shop, audit_id: str) -> Sealed:
    found = shop.parts.world.store.read(lambda tx: tx.find_sealed(int(audit_id.rpartition("/")[2])))
    assert found is not None
    return found


def wrapped_in(home: Path, key_id: str) -> bytes:
    """The wrapped key as it lies in the file."""
    with sqlite3.connect(home / "subject-keys.db") as connection:
        (found,) = connection.execute("SELECT wrapped FROM subject_keys WHERE key_id = ?", (key_id,)).fetchone()
    connection.close()
    return bytes(found)


def files_with(folder: Path, needle: bytes) -> list[str]:
    return [file.name for file in sorted(folder.rglob("*")) if file.is_file() and needle in file.read_bytes()]


def test_no_byte_of_an_erased_key_or_salt_is_left_in_any_file(shop: Shop, tmp_path: Path) -> None:
    home, vault = tmp_path / "home", shop.parts.world.vault
    assert isinstance(vault, KeyVault)
    given = [shop.gate.decide(refund(100, subject=f"user-{number}")) for number in range(120)]
    found = [sealed_of(shop, item.audit_id) for item in given]
    wrapped = [wrapped_in(home, item.key_id) for item in found]
    salts = [item.salt for each in found for item in vault.disclose(each, ["request", "facts", "answer"])]
    assert all(files_with(home, item) for item in wrapped)
    for number in range(0, 120, 12):
        erase(shop, f"user:user-{number}")
    assert [item for item in wrapped[::12] if files_with(home, item)] == []
    assert all(files_with(home, item) for item in wrapped[1::12])
    assert [salt for salt in salts if files_with(home, salt)] == []


def test_the_write_ahead_log_of_the_keys_is_empty_after_an_erasure(shop: Shop, tmp_path: Path) -> None:
    shop.gate.decide(refund(100))
    erase(shop)
    assert (tmp_path / "home" / "subject-keys.db-wal").stat().st_size == 0


def test_whoever_reads_the_keys_keeps_an_erasure_pending(shop: Shop, tmp_path: Path) -> None:
    home = tmp_path / "home"
    given = shop.gate.decide(refund(100))
    key_id = sealed_of(shop, given.audit_id).key_id
    wrapped = wrapped_in(home, key_id)
    reader = sqlite3.connect(f"file:{home / 'subject-keys.db'}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM subject_keys").fetchall()
    waiting = erase(shop)
    assert (waiting.state, waiting.why) == (ErasureState.PENDING, forgetting.BLOCKED)
    with pytest.raises(ForgottenError):
        shop.parts.world.vault.unseal(sealed_of(shop, given.audit_id))
    assert "erasure_completed" not in kinds(shop)
    again = erase(shop)
    assert (again.id, again.state) == (waiting.id, ErasureState.PENDING)
    reader.execute("COMMIT")
    done = erase(shop)
    assert (done.id, done.state, done.records) == (waiting.id, ErasureState.COMPLETED, 1)
    assert files_with(home, wrapped) == []
    assert kinds(shop).count("erasure") == kinds(shop).count("erasure_completed") == 1
    reader.close()


def test_a_pending_erasure_is_completed_at_the_next_opening(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    shop.gate.decide(refund(100))
    reader = sqlite3.connect(f"file:{tmp_path / 'home' / 'subject-keys.db'}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM subject_keys").fetchall()
    assert erase(shop).state is ErasureState.PENDING
    shop.gate.close()
    reader.close()
    with open_gate(shop.parts.settings).gate as gate:
        assert gate.finish_erasures() == ()
    with_reader = open_reader(tmp_path / "home")
    assert [json.loads(record.leaf)["type"] for record in with_reader.records()][-1] != "erasure"
    assert with_reader.forgetting() == []
    with_reader.close()


@pytest.mark.parametrize("step", ["destroy", "finish"])
def test_an_erasure_that_was_interrupted_is_finished_at_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    given = shop.gate.decide(refund(100))
    sealed = sealed_of(shop, given.audit_id)

    def crash(*_: object) -> None:
        raise StoreError("the machine stopped")

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, step, crash)
        waiting = erase(shop)
        assert (waiting.state, waiting.why) == (ErasureState.PENDING, "the machine stopped")
        copy = tmp_path / "after the crash"
        shutil.copytree(tmp_path / "home", copy)
        shop.gate.close()
    with open_gate(replace(shop.parts.settings, home=copy)).gate as gate:
        with pytest.raises(ForgottenError):
            gate._world.vault.unseal(sealed)
        leaves = [json.loads(record.leaf) for record in gate._world.store.records()]
    assert [leaf["type"] for leaf in leaves].count("erasure_completed") == 1


def test_before_its_record_an_erasure_destroys_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    given = shop.gate.decide(refund(100))

    def crash(*_: object, **__: object) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "_put", crash)
        with pytest.raises(StoreError):
            erase(shop)
    assert shop.parts.world.vault.unseal(sealed_of(shop, given.audit_id))
    assert "erasure" not in kinds(shop)


def test_a_reader_that_had_a_key_in_memory_forgets_it(shop: Shop, tmp_path: Path) -> None:
    given = shop.gate.decide(refund(100))
    sealed = sealed_of(shop, given.audit_id)
    reader = open_reader(tmp_path / "home")
    assert reader.vault.unseal(sealed)
    erase(shop)
    with pytest.raises(ForgottenError):
        reader.vault.unseal(sealed)
    reader.close()


def test_decisions_that_race_with_an_erasure_are_under_the_old_key_or_a_fresh_one(shop: Shop) -> None:
    shop.gate.decide(refund(100))

    def ask(number: int) -> Any:
        return shop.gate.decide(refund(60_000 + number))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(64)]
        done = erase(shop)
        answers = [item.result() for item in asked]
    vault, gone = shop.parts.world.vault, 0
    for answer in answers:
        sealed = sealed_of(shop, answer.audit_id)
        if sealed.key_id in done.keys:
            gone += 1
            with pytest.raises(ForgottenError):
                vault.unseal(sealed)
        else:
            assert b"ann" in vault.unseal(sealed)["request"]
    assert done.records == gone + 1
    chain.check(shop.parts.world.store.records(), log="default")


def test_what_is_forgotten_is_verified_by_the_record_that_tells(shop: Shop, tmp_path: Path) -> None:
    shop.gate.decide(refund(100))
    shop.gate.decide(refund(100, subject="bob"))
    erase(shop)
    reader = open_reader(tmp_path / "home")
    opened = check_sealed(reader.records(), reader, reader.vault)
    assert (opened.sealed, opened.forgotten) == (3, 1)
    reader.close()


def test_a_key_that_is_gone_without_a_record_is_an_error(shop: Shop, tmp_path: Path) -> None:
    given = shop.gate.decide(refund(100))
    shop.parts.world.vault.destroy([sealed_of(shop, given.audit_id).key_id])
    reader = open_reader(tmp_path / "home")
    with pytest.raises(Exception, match="no record tells why"):
        check_sealed(reader.records(), reader, reader.vault)
    reader.close()


def test_an_old_store_of_keys_brings_nobody_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shop = open_shop(tmp_path, home=home)
    sealed = sealed_of(shop, shop.gate.decide(refund(100)).audit_id)
    others = sealed_of(shop, shop.gate.decide(refund(100, subject="bob")).audit_id)
    shop.gate.close()
    shutil.copy(home / "subject-keys.db", tmp_path / "old.db")
    parts = open_gate(shop.parts.settings)
    parts.gate.erase("user:ann", credential=parts.book.add("otto", ["operator"]), reason=WHY)
    parts.gate.close()
    shutil.copy(tmp_path / "old.db", home / "subject-keys.db")
    reader = open_reader(home)
    with pytest.raises(ForgottenError):
        reader.vault.unseal(sealed)
    assert reader.vault.unseal(others)
    reader.close()
    with open_gate(shop.parts.settings).gate as gate:
        with pytest.raises(ForgottenError):
            gate._world.vault.unseal(sealed)
        assert gate._world.vault.unseal(others)
        last = [json.loads(record.leaf) for record in gate._world.store.records()]
    assert [leaf["keys"] for leaf in last if leaf["type"] == "erasure_repeated"] == [1]
    with sqlite3.connect(home / "subject-keys.db") as connection:
        assert connection.execute("SELECT 1 FROM subject_keys WHERE key_id = ?", (sealed.key_id,)).fetchone() is None
    connection.close()


def test_without_the_key_of_the_person_the_master_key_opens_nothing(tmp_path: Path) -> None:
    """An old copy of the data, the master key and the present store of keys: what was erased cannot be decrypted."""
    home, old = tmp_path / "home", tmp_path / "old"
    shop = open_shop(tmp_path, home=home)
    sealed = sealed_of(shop, shop.gate.decide(refund(100)).audit_id)
    shop.gate.close()
    shutil.copytree(home, old)
    parts = open_gate(shop.parts.settings)
    parts.gate.erase("user:ann", credential=parts.book.add("otto", ["operator"]), reason=WHY)
    parts.gate.close()
    shutil.copy(home / "subject-keys.db", old / "subject-keys.db")
    reader = open_reader(old)
    with pytest.raises(ForgottenError):
        reader.vault.unseal(sealed)
    reader.close()
    with sqlite3.connect(old / "subject-keys.db") as connection:
        left = [bytes(row[0]) for row in connection.execute("SELECT wrapped FROM subject_keys")]
    connection.close()
    master = (old / "master.key").read_bytes()
    assert not any(_opens(master, wrapped, sealed) for wrapped in left)


def _opens(master: bytes, wrapped: bytes, sealed: Sealed) -> bool:
    from demur.adapters.wrapping import MasterKey
    from demur.errors import LedgerError

    try:
        key = MasterKey(master).unwrap(wrapped, f"default\0{sealed.key_id}".encode())
        sealing.unseal(PersonKey(sealed.key_id, key), sealed)
    except LedgerError:
        return False
    return True
