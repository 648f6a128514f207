"""Copies of a home: consistent while a gate runs, checked before they are used, and no way around an erasure (S12)."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from demur.adapters import backup
from demur.adapters import keys as vaults
from demur.adapters.keys import KeyVault
from demur.adapters.wrapping import KeyWrapper, MasterKey
from demur.errors import ConfigurationError, ForgottenError, LedgerError, RollbackError, StoreError
from demur.wiring import create_backup, open_gate, open_reader, restore_backup

from .shop import Shop, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHY = "request 17 of the person"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An open shop in `home` with ten decisions."""
    opened = open_shop(tmp_path, home=tmp_path / "home")
    for number in range(5):
        opened.gate.decide(refund(100, subject="ann"))
        opened.gate.decide(refund(100, subject=f"user-{number}"))
    yield opened
    opened.gate.close()


def kinds(home: Path) -> list[str]:
    reader = open_reader(home)
    found = [json.loads(record.leaf)["type"] for record in reader.records()]
    reader.close()
    return found


def erase(shop: Shop) -> Any:
    credential = shop.parts.book.add("otto", ["operator"])
    return shop.gate.erase("user:ann", credential=credential, reason=WHY)


def first_of_ann(home: Path) -> dict[str, bytes]:
    reader = open_reader(home)
    try:
        for record in reader.records():
            if json.loads(record.leaf)["type"] == "decision":
                sealed = reader.find_sealed(record.sequence)
                assert sealed is not None
                return reader.vault.unseal(sealed)
        raise AssertionError
    finally:
        reader.close()


def test_a_copy_holds_the_ledger_and_no_key(shop: Shop, tmp_path: Path) -> None:
    made = create_backup(tmp_path / "home", tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [
        "ledger.db",
        "manifest.json",
        "reviewers.json",
    ]
    assert made.size == len(kinds(tmp_path / "home"))
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "copy").iterdir()} == {0}


def test_a_copy_made_while_a_gate_decides_is_of_one_instant(shop: Shop, tmp_path: Path) -> None:
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.is_set():
            shop.gate.decide(refund(100))

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        made = [create_backup(tmp_path / "home", tmp_path / f"copy-{number}") for number in range(5)]
    finally:
        is_over.set()
        writer.join()
    assert [backup.check(tmp_path / f"copy-{number}") for number in range(5)] == made
    assert [item.size for item in made] == sorted(item.size for item in made)


def test_a_home_is_made_from_a_copy_with_its_keys(shop: Shop, tmp_path: Path) -> None:
    create_backup(tmp_path / "home", tmp_path / "copy", keys=tmp_path / "keys.tar")
    shop.gate.close()
    restore_backup(tmp_path / "copy", tmp_path / "again", keys=tmp_path / "keys.tar")
    assert b'"ann"' in first_of_ann(tmp_path / "again")["request"]


def test_a_restored_home_is_not_appended_to_where_published_records_are_missing(shop: Shop, tmp_path: Path) -> None:
    create_backup(tmp_path / "home", tmp_path / "copy", keys=tmp_path / "keys.tar")
    shop.gate.decide(refund(100))
    shop.gate.close()
    restore_backup(tmp_path / "copy", tmp_path / "again", keys=tmp_path / "keys.tar")
    shutil.copytree(tmp_path / "home" / "published", tmp_path / "again" / "published")
    with pytest.raises(RollbackError):
        open_gate(replace(shop.parts.settings, home=tmp_path / "again"))


def test_the_first_opening_of_a_restored_home_is_a_record(shop: Shop, tmp_path: Path) -> None:
    shop.gate.close()
    made = create_backup(tmp_path / "home", tmp_path / "copy", keys=tmp_path / "keys.tar")
    restore_backup(tmp_path / "copy", tmp_path / "again", keys=tmp_path / "keys.tar")
    shutil.copytree(tmp_path / "home" / "published", tmp_path / "again" / "published")
    for _ in range(2):
        open_gate(replace(shop.parts.settings, home=tmp_path / "again")).gate.close()
    reader = open_reader(tmp_path / "again")
    leaves = [json.loads(record.leaf) for record in reader.records()]
    reader.close()
    assert [(leaf["size"], leaf["head"]) for leaf in leaves if leaf["type"] == "restored"] == [(made.size, made.head)]


def test_a_copy_from_before_an_erasure_opens_nothing_with_the_present_keys(shop: Shop, tmp_path: Path) -> None:
    home, again = tmp_path / "home", tmp_path / "again"
    create_backup(home, tmp_path / "old")
    erase(shop)
    create_backup(home, tmp_path / "new", keys=tmp_path / "keys.tar")
    assert (home / "master.key").exists()
    restore_backup(tmp_path / "old", again, keys=tmp_path / "keys.tar")
    assert (again / "master.key").read_bytes() == (home / "master.key").read_bytes()
    with pytest.raises(ForgottenError):
        first_of_ann(again)


def test_an_old_copy_of_the_keys_is_forgotten_again_by_what_the_ledger_tells(shop: Shop, tmp_path: Path) -> None:
    home, again = tmp_path / "home", tmp_path / "again"
    create_backup(home, tmp_path / "old", keys=tmp_path / "old.tar")
    with tarfile.open(tmp_path / "old.tar") as packed:
        content = packed.extractfile("subject-keys.db")
        assert content is not None
        before = content.read()
    done = erase(shop)
    create_backup(home, tmp_path / "new")
    restore_backup(tmp_path / "new", again, keys=tmp_path / "old.tar")
    after = b"".join(path.read_bytes() for path in again.glob("subject-keys.db*"))
    assert done.keys[0].encode() in before
    assert done.keys[0].encode() not in after
    with pytest.raises(ForgottenError):
        first_of_ann(again)


@pytest.mark.parametrize("name", ["ledger.db", "reviewers.json"])
def test_an_altered_copy_is_refused_and_leaves_nothing(shop: Shop, tmp_path: Path, name: str) -> None:
    create_backup(tmp_path / "home", tmp_path / "copy")
    file = tmp_path / "copy" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises((LedgerError, ConfigurationError)):
        restore_backup(tmp_path / "copy", tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".again")] == []


def test_a_manifest_that_claims_other_records_is_refused(shop: Shop, tmp_path: Path) -> None:
    create_backup(tmp_path / "home", tmp_path / "copy")
    manifest = tmp_path / "copy" / "manifest.json"
    told = json.loads(manifest.read_bytes())
    for name, value in (
        ("size", told["size"] + 1),
        ("head", "0" * 64),
        ("root", "0" * 64),
        ("log", "other"),
        ("format", 2),
    ):
        manifest.write_text(json.dumps(told | {name: value}))
        with pytest.raises(LedgerError):
            restore_backup(tmp_path / "copy", tmp_path / "again")


def test_nothing_is_restored_over_a_home(shop: Shop, tmp_path: Path) -> None:
    create_backup(tmp_path / "home", tmp_path / "copy")
    with pytest.raises(ConfigurationError, match="expected an empty place"):
        restore_backup(tmp_path / "copy", tmp_path / "home")
    with pytest.raises(ConfigurationError, match="does not exist"):
        create_backup(tmp_path / "home", tmp_path / "copy")
    with pytest.raises(ConfigurationError, match="expected a gate's home"):
        create_backup(tmp_path / "nowhere", tmp_path / "other")


def test_an_archive_of_keys_writes_nowhere_else(shop: Shop, tmp_path: Path) -> None:
    create_backup(tmp_path / "home", tmp_path / "copy")
    (tmp_path / "evil").write_bytes(bytes(32))
    for name in ("../evil.key", "/tmp/evil.key", "a/evil.key", "ledger.db"):
        with tarfile.open(tmp_path / "evil.tar", "w") as packed:
            packed.add(tmp_path / "evil", name)
        with pytest.raises(ConfigurationError, match="expected an archive of keys"):
            restore_backup(tmp_path / "copy", tmp_path / "again", keys=tmp_path / "evil.tar")
    assert not (tmp_path / "again").exists()


# The master key.


def test_another_master_key_opens_all_that_was_sealed(shop: Shop, tmp_path: Path) -> None:
    before = (tmp_path / "home" / "master.key").read_bytes()
    credential = shop.parts.book.add("otto", ["operator"])
    count = shop.gate.rotate_master(credential=credential, reason="a year is over")
    assert count >= 7
    assert (tmp_path / "home" / "master.key").read_bytes() != before
    assert b'"ann"' in first_of_ann(tmp_path / "home")["request"]
    key = json.loads(list(shop.parts.world.store.records())[-1].leaf)
    assert (key["type"], key["event"], key["keys"]) == ("master_key_event", "changed", count)
    shop.gate.decide(refund(100))
    shop.gate.close()
    with open_gate(shop.parts.settings).gate as again:
        shared = again._world.vault.key_ids("user:ann")
    assert len(shared) == 1


def test_the_old_master_key_opens_nothing_any_more(shop: Shop, tmp_path: Path) -> None:
    old = (tmp_path / "home" / "master.key").read_bytes()
    shop.gate.rotate_master(credential=shop.parts.book.add("otto", ["operator"]), reason="a year is over")
    shop.gate.close()
    (tmp_path / "home" / "master.key").write_bytes(old)
    with pytest.raises(LedgerError, match="another master key"):
        open_reader(tmp_path / "home")


STEPS = ["make_key", "read_key", "_replace_master"]


@pytest.mark.parametrize("step", STEPS)
def test_a_change_of_the_master_key_survives_a_crash_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    vault = KeyVault.open(tmp_path / "keys", "demo")
    sealed = vault.seal("user:ann", "", {"a": b"1"})
    mark = vault.blind_for("user:ann", "x")

    def crash(*_: object) -> None:
        raise OSError(5, "the machine stopped")

    with monkeypatch.context() as patched:
        patched.setattr(vaults, step, crash)
        with pytest.raises(StoreError):
            vault.rotate_master()
    copy = tmp_path / "after the crash"
    shutil.copytree(tmp_path / "keys", copy)
    vault.close()
    reader = KeyVault.open(copy, "demo", is_read_only=True)
    assert reader.unseal(sealed) == {"a": b"1"}
    reader.close()
    again = KeyVault.open(copy, "demo")
    assert (again.unseal(sealed), again.blind_for("user:ann", "x")) == ({"a": b"1"}, mark)
    assert not (copy / "master.next.key").exists()
    assert again.rotate_master() == 1
    again.close()
    assert KeyVault.open(copy, "demo").unseal(sealed) == {"a": b"1"}


class Remote:
    """A key management service: the master key stays there."""

    def __init__(self) -> None:
        self.master = MasterKey(os.urandom(32))
        self.is_down = False

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        self._reach()
        return b"kms:1:" + self.master.wrap(key, bound)

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        self._reach()
        return self.master.unwrap(wrapped.removeprefix(b"kms:1:"), bound)

    def _reach(self) -> None:
        if self.is_down:
            raise StoreError("the key management service cannot be reached")


def test_a_key_management_service_keeps_the_master_key(tmp_path: Path) -> None:
    service = Remote()
    wrapper: KeyWrapper = service
    vault = KeyVault.open(tmp_path, "demo", wrapper=wrapper)
    sealed = vault.seal("user:ann", "", {"a": b"1"})
    vault.close()
    assert not (tmp_path / "master.key").exists()
    again = KeyVault.open(tmp_path, "demo", wrapper=wrapper)
    assert again.unseal(sealed) == {"a": b"1"}
    service.is_down = True
    with pytest.raises(StoreError, match="cannot be reached"):
        again.seal("user:bob", "", {})
    with pytest.raises(ConfigurationError, match="expected a master key in a file"):
        again.rotate_master()
    again.close()
