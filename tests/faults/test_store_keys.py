"""The store of persons' keys when something goes wrong with it: refused, nothing lost, and it recovers by itself."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from demur.adapters import sqlite_file
from demur.adapters.keys import KeyVault
from demur.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {"answer": b"allow"}


def test_a_store_that_was_opened_for_reading_only_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite does so by itself where the disk is full at that moment, and says nothing until something is written."""
    first = KeyVault.open(tmp_path, "demo")
    known = first.seal("ann", "", FIELDS)
    first.close()
    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda name, **more: connect(str(name).replace("mode=rw", "mode=ro"), **more))
        vault = KeyVault.open(tmp_path, "demo")
    with pytest.raises(StoreError, match="readonly"):
        vault.seal("bob", "", FIELDS)
    sealed = vault.seal("bob", "", FIELDS)
    assert [vault.unseal(item) for item in (known, sealed)] == [FIELDS, FIELDS]
    vault.close()


def test_a_store_that_is_gone_is_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key made in another file could never be found again once the first one is put back."""
    vault = KeyVault.open(tmp_path, "demo")
    vault.seal("ann", "", FIELDS)
    for path in tmp_path.glob("subject-keys.db*"):
        path.rename(path.with_name(f"away-{path.name}"))
    vault._keys._abandon()  # type: ignore[attr-defined]  # as after any failure
    with pytest.raises(StoreError, match="unable to open"):
        vault.seal("bob", "", FIELDS)
    assert not (tmp_path / "subject-keys.db").exists()
    for path in tmp_path.glob("away-*"):
        path.rename(path.with_name(path.name.removeprefix("away-")))
    assert vault.unseal(vault.seal("bob", "", FIELDS)) == FIELDS
    vault.close()


def test_a_write_ahead_log_is_written_again_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    sqlite_file.rewrite_log(path)
    assert not sqlite_file.log_of(path).exists()
    data = os.urandom(3_000_001)
    sqlite_file.log_of(path).write_bytes(data)
    sqlite_file.rewrite_log(path)
    assert sqlite_file.log_of(path).read_bytes() == data
