"""The vault: sealed values come back unaltered or not at all, keys stay private, lost keys are not replaced (S5.5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from demur.adapters import sealing, subject_keys
from demur.adapters.keys import KeyVault, framed
from demur.adapters.postgres_keys import open_vault
from demur.adapters.wrapping import MasterKey
from demur.core.ledger import merkle
from demur.core.record import Draft, Sealed, leaf
from demur.core.terms import Timestamp
from demur.errors import ConfigurationError, LedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DIGEST = "sha256:" + "ab" * 32
FIELDS = {"subject.id": b'"alice"', "action.amount": b"50000", "note": "Überweisung an Jörg".encode()}


@pytest.fixture(params=["memory", "folder", "postgres"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    match request.param:
        case "memory":
            vault = KeyVault.in_memory()
        case "folder":
            vault = KeyVault.open(tmp_path / "keys", "demo")
        case _:
            vault = open_vault(tmp_path / "keys", "demo", request.getfixturevalue("postgres").keys_database())
    yield vault
    vault.close()


# Sealing.


def test_what_was_sealed_comes_back(vault: KeyVault) -> None:
    sealed = vault.seal("alice", DIGEST, FIELDS)
    assert vault.unseal(sealed) == FIELDS
    assert vault.action_digest(sealed) == DIGEST


def test_nothing_at_all_can_be_sealed(vault: KeyVault) -> None:
    sealed = vault.seal("", "", {})
    assert vault.unseal(sealed) == {}
    assert bytes.fromhex(sealed.commit_root) == merkle.EMPTY_ROOT


@given(fields=st.dictionaries(st.from_regex(r"[a-z.]{1,9}", fullmatch=True), st.binary(max_size=300), max_size=9))
def test_any_fields_come_back(fields: dict[str, bytes]) -> None:
    vault = KeyVault.in_memory()
    assert vault.unseal(vault.seal("alice", DIGEST, fields)) == fields


def test_a_sealed_record_fits_into_a_leaf(vault: KeyVault) -> None:
    draft = Draft("decision", {"outcome": "deny"}, vault.seal("alice", DIGEST, FIELDS))
    leaf(draft, log="demo", sequence=0, previous_hash=bytes(32), timestamp=Timestamp(0))


def test_sealing_twice_shares_nothing_but_the_person(vault: KeyVault) -> None:
    one, two = vault.seal("alice", DIGEST, FIELDS), vault.seal("alice", DIGEST, FIELDS)
    assert one.key_id == two.key_id
    for name in ("wrapped_key", "nonce", "ciphertext", "commit_root", "action_commitment"):
        assert getattr(one, name) != getattr(two, name)


def test_persons_have_keys_of_their_own_under_random_names(vault: KeyVault) -> None:
    ids = {vault.seal(person, DIGEST, FIELDS).key_id for person in ("alice", "bob", "Alice", "")}
    assert len(ids) == 4
    assert all(len(key_id) == 32 and int(key_id, 16) >= 0 for key_id in ids)


def test_nothing_that_was_sealed_can_be_seen(vault: KeyVault) -> None:
    seen = b"".join(
        value if isinstance(value, bytes) else value.encode()
        for value in msgspec.structs.astuple(vault.seal("alice", DIGEST, FIELDS))
    )
    assert not any(hidden in seen for hidden in (b"alice", b"50000", "Jörg".encode(), DIGEST.encode()))


@pytest.mark.parametrize("member", ["wrapped_key", "nonce", "ciphertext"])
def test_one_flipped_bit_is_noticed(vault: KeyVault, member: str) -> None:
    sealed = vault.seal("alice", DIGEST, FIELDS)
    for position in range(len(getattr(sealed, member))):
        changed = bytearray(getattr(sealed, member))
        changed[position] ^= 1
        with pytest.raises(LedgerError, match="were altered"):
            vault.unseal(msgspec.structs.replace(sealed, **{member: bytes(changed)}))


@pytest.mark.parametrize("member", ["commit_root", "action_commitment"])
def test_sealed_values_belong_to_the_record_that_committed_to_them(vault: KeyVault, member: str) -> None:
    one, two = vault.seal("alice", DIGEST, FIELDS), vault.seal("alice", DIGEST, FIELDS)
    with pytest.raises(LedgerError):
        vault.unseal(msgspec.structs.replace(one, **{member: getattr(two, member)}))


def test_values_under_another_persons_key_do_not_open(vault: KeyVault) -> None:
    one, two = vault.seal("alice", DIGEST, FIELDS), vault.seal("bob", DIGEST, FIELDS)
    with pytest.raises(LedgerError):
        vault.unseal(msgspec.structs.replace(one, key_id=two.key_id))


def test_whoever_holds_the_key_cannot_pass_off_other_values() -> None:
    """The commitments are checked, not only the encryption: here the encryption is in order, the values are not."""
    person = sealing.PersonKey("k", bytes(32))
    honest = sealing.seal(person, DIGEST, FIELDS)
    key = person.cipher.decrypt(honest.wrapped_key[:12], honest.wrapped_key[12:], b"k")
    bound = bytes.fromhex(honest.commit_root + honest.action_commitment)
    for forged in (
        (DIGEST, {name: (bytes(32), value) for name, value in FIELDS.items()}),
        ("sha256:" + "cd" * 32, plain(honest, key)[1]),
    ):
        ciphertext = AESGCM(key).encrypt(honest.nonce, msgspec.msgpack.encode(forged), bound)
        with pytest.raises(LedgerError, match="not those that the record committed to"):
            sealing.unseal(person, msgspec.structs.replace(honest, ciphertext=ciphertext))


def plain(sealed: Sealed, key: bytes) -> Any:
    bound = bytes.fromhex(sealed.commit_root + sealed.action_commitment)
    return msgspec.msgpack.decode(AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, bound))


def test_commitments_are_those_of_the_specification() -> None:
    """Computed a second time from docs/spec/ledger.md, with the standard library."""
    person = sealing.PersonKey("k", bytes(32))
    sealed = sealing.seal(person, DIGEST, FIELDS)
    key = person.cipher.decrypt(sealed.wrapped_key[:12], sealed.wrapped_key[12:], b"k")
    digest, fields = plain(sealed, key)
    hashes = []
    for name in sorted(fields):
        salt, value = fields[name]
        text = base64.urlsafe_b64encode(value).decode().rstrip("=")
        member = {"name": name, "salt": salt.hex(), "value": text}
        data = json.dumps(member, sort_keys=True, separators=(",", ":")).encode()
        hashes.append(hashlib.sha256(b"\x00" + data).digest())
    assert len({salt for salt, _ in fields.values()}) == len(fields)
    assert all(len(salt) == 32 for salt, _ in fields.values())
    left = hashlib.sha256(b"\x01" + hashes[0] + hashes[1]).digest()
    assert sealed.commit_root == hashlib.sha256(b"\x01" + left + hashes[2]).hexdigest()
    assert sealed.action_commitment == hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("name", ["", "na me", "é", 'a"b', "a" * 129])
def test_field_names_are_plain(vault: KeyVault, name: str) -> None:
    with pytest.raises(LedgerError, match="expected the name of a field"):
        vault.seal("alice", DIGEST, {name: b""})


# Blinding.


def test_blinding_is_repeatable_and_needs_the_key(vault: KeyVault) -> None:
    assert vault.blind("request", "caller", "1") == vault.blind("request", "caller", "1")
    assert vault.blind("request", "caller", "1") != KeyVault.in_memory().blind("request", "caller", "1")
    assert len(vault.blind()) == 32


@pytest.mark.parametrize("separator", ["|", "\0", ",", "\x08"])
def test_no_two_lists_of_parts_are_framed_alike(separator: str) -> None:
    parts = ["".join(part) for size in range(4) for part in itertools.product("a" + separator, repeat=size)]
    lists = [each for size in range(3) for each in itertools.product(parts, repeat=size)]
    assert len({framed(*each) for each in lists}) == len(lists)


@pytest.mark.parametrize(("one", "two"), [(("ab", "c"), ("a", "bc")), (("a", ""), ("a",)), ((), ("",))])
def test_parts_do_not_run_together(vault: KeyVault, one: tuple[str, ...], two: tuple[str, ...]) -> None:
    assert vault.blind(*one) != vault.blind(*two)


# The folder of keys.


def test_keys_outlive_the_process(tmp_path: Path) -> None:
    vault = KeyVault.open(tmp_path, "demo")
    sealed, blinded = vault.seal("alice", DIGEST, FIELDS), vault.blind("a")
    vault.close()
    again = KeyVault.open(tmp_path, "demo")
    assert (again.unseal(sealed), again.blind("a")) == (FIELDS, blinded)
    assert again.seal("alice", DIGEST, FIELDS).key_id == sealed.key_id
    again.close()


def test_only_the_owner_can_read_the_keys(tmp_path: Path) -> None:
    KeyVault.open(tmp_path / "keys", "demo").close()
    files = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()}
    assert files == {"master.key": 0o600, "log-demo.key": 0o600, "subject-keys.db": 0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["master.key", "log-demo.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    KeyVault.open(tmp_path, "demo").close()
    (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigurationError, match=f"found mode {mode:04o}") as caught:
        KeyVault.open(tmp_path, "demo")
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("name", ["master.key", "log-demo.key"])
@pytest.mark.parametrize(("data", "found"), [(b"", "found 0"), (bytes(31), "found 31"), (bytes(33), "found more")])
def test_a_damaged_key_is_refused(tmp_path: Path, name: str, data: bytes, found: str) -> None:
    KeyVault.open(tmp_path, "demo").close()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigurationError, match=found):
        KeyVault.open(tmp_path, "demo")


@pytest.mark.parametrize("name", ["master.key", "log-demo.key"])
def test_a_key_that_was_lost_is_not_replaced_by_another(tmp_path: Path, name: str) -> None:
    vault = KeyVault.open(tmp_path, "demo")
    vault.seal("alice", DIGEST, FIELDS)
    vault.close()
    (tmp_path / name).unlink()
    with pytest.raises(ConfigurationError, match="cannot be read: No such file") as caught:
        KeyVault.open(tmp_path, "demo")
    assert "put back" in caught.value.hint
    assert not (tmp_path / name).exists()


def test_another_log_has_a_key_of_its_own(tmp_path: Path) -> None:
    one, two = KeyVault.open(tmp_path, "one"), KeyVault.open(tmp_path, "two")
    assert one.blind("a") != two.blind("a")
    sealed = one.seal("alice", DIGEST, FIELDS)
    assert two.seal("alice", DIGEST, FIELDS).key_id != sealed.key_id
    with pytest.raises(LedgerError, match="there is no key"):
        two.unseal(sealed)
    one.close()
    two.close()


def test_a_destroyed_key_takes_the_values_with_it(tmp_path: Path) -> None:
    vault = KeyVault.open(tmp_path, "demo")
    sealed = vault.seal("alice", DIGEST, FIELDS)
    vault.close()
    change(tmp_path, "DELETE FROM subject_keys")
    with pytest.raises(LedgerError, match="it was destroyed"):
        KeyVault.open(tmp_path, "demo").unseal(sealed)


def test_a_key_of_another_master_is_refused(tmp_path: Path) -> None:
    vault = KeyVault.open(tmp_path, "demo")
    sealed = vault.seal("alice", DIGEST, FIELDS)
    vault.close()
    (tmp_path / "master.key").write_bytes(os.urandom(32))
    with pytest.raises(LedgerError, match="another master key"):
        KeyVault.open(tmp_path, "demo").unseal(sealed)


def test_wrapped_keys_cannot_change_places(tmp_path: Path) -> None:
    vault = KeyVault.open(tmp_path, "demo")
    sealed = vault.seal("alice", DIGEST, FIELDS)
    vault.seal("bob", DIGEST, FIELDS)
    vault.close()
    other = "SELECT wrapped FROM subject_keys AS other WHERE other.key_id != subject_keys.key_id"
    change(tmp_path, f"UPDATE subject_keys SET wrapped = ({other}) WHERE key_id = '{sealed.key_id}'")
    with pytest.raises(LedgerError, match="was altered"):
        KeyVault.open(tmp_path, "demo").unseal(sealed)


def change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "subject-keys.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_reader_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        KeyVault.open(tmp_path / "none", "demo", is_read_only=True)
    assert not (tmp_path / "none").exists()
    vault = KeyVault.open(tmp_path, "demo")
    sealed = vault.seal("alice", DIGEST, FIELDS)
    reader = KeyVault.open(tmp_path, "demo", is_read_only=True)
    assert reader.unseal(sealed) == FIELDS
    assert reader.seal("alice", DIGEST, FIELDS).key_id == sealed.key_id
    with pytest.raises(StoreError, match="found one without"):
        reader.seal("bob", DIGEST, FIELDS)
    reader.close()
    vault.close()


def test_a_store_of_keys_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    KeyVault.open(tmp_path, "demo").close()
    (tmp_path / "subject-keys.db").write_bytes(b"no database" * 200)
    with pytest.raises(StoreError, match="cannot be opened"):
        KeyVault.open(tmp_path, "demo")


def test_64_threads_give_one_person_one_key(tmp_path: Path) -> None:
    vaults = [KeyVault.open(tmp_path, "demo") for _ in range(2)]
    ids: list[str] = []
    threads = [threading.Thread(target=sealing_into(ids, vaults[number % 2])) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(ids), len(set(ids))) == (64, 1)
    for vault in vaults:
        vault.close()


def sealing_into(ids: list[str], vault: KeyVault) -> Callable[[], None]:
    return lambda: ids.append(vault.seal("alice", DIGEST, FIELDS).key_id)


def test_few_keys_are_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_keys, "MAX_CACHED", 3)
    vault = KeyVault.open(tmp_path, "demo")
    sealed = [vault.seal(f"person {number}", DIGEST, FIELDS) for number in range(9)]
    assert all(vault.unseal(one) == FIELDS for one in sealed)
    keys = vault._keys
    assert isinstance(keys, subject_keys.SubjectKeys)
    assert (len(keys._by_person), len(keys._by_id)) == (3, 3)
    vault.close()


def test_in_a_fork_no_key_is_made(tmp_path: Path) -> None:
    keys = subject_keys.SubjectKeys(tmp_path / "keys.db", "demo", MasterKey(bytes(32)))
    keys._pid -= 1
    with pytest.raises(StoreError, match="its fork"):
        keys.of(b"alice")


@pytest.mark.parametrize("log", ["", "..", "a/b", "Demo"])
def test_a_log_id_is_a_token(tmp_path: Path, log: str) -> None:
    with pytest.raises(LedgerError, match="expected a log id"):
        KeyVault.open(tmp_path, log)
