"""Keys that sign checkpoints: made once, kept private, found by what they hold."""

from pathlib import Path

import pytest

from demur.adapters.signing import GivenKeys, KeyFiles, LocalSigner, MemoryKeys, verifier_key, verify
from demur.errors import ConfigurationError

# RFC 8032, section 7.1, test 2.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
NAME = "demur.local/a"


def test_a_signature_is_that_of_rfc_8032() -> None:
    signer = LocalSigner(NAME, SECRET)
    assert signer.public_key == PUBLIC
    assert signer.sign(b"\x72") == SIGNATURE
    assert verify(PUBLIC, SIGNATURE, b"\x72")


@pytest.mark.parametrize(
    ("public", "signature"), [(PUBLIC, bytes(64)), (PUBLIC, b""), (bytes(31), SIGNATURE), (b"", b"")]
)
def test_what_is_no_signature_does_not_verify_and_raises_nothing(public: bytes, signature: bytes) -> None:
    assert not verify(public, signature, b"\x72")


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = KeyFiles(tmp_path).make(NAME, ())
    again = KeyFiles(tmp_path).make(NAME, ())
    assert first.public_key == again.public_key
    assert (tmp_path / "checkpoint.key").stat().st_mode & 0o777 == 0o600


def test_a_further_key_lies_in_a_file_of_its_own_and_both_are_found(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path)
    first = files.make(NAME, ())
    second = files.make(NAME, {first.public_key})
    third = files.make(NAME, {first.public_key, second.public_key})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-2.key",
        "checkpoint-3.key",
        "checkpoint.key",
    ]
    for signer in (first, second, third):
        found = files.find(verifier_key(signer))
        assert found is not None
        assert found.public_key == signer.public_key


def test_a_key_that_nobody_knows_yet_is_taken_before_another_is_made(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path)
    first = files.make(NAME, ())
    orphan = files.make(NAME, {first.public_key})
    assert files.make(NAME, {first.public_key}).public_key == orphan.public_key


def test_a_discarded_key_is_gone_and_its_name_is_free(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path)
    first = files.make(NAME, ())
    files.discard(verifier_key(first))
    files.discard(verifier_key(first))
    assert list(tmp_path.iterdir()) == []
    assert files.find(verifier_key(first)) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    files = KeyFiles(tmp_path)
    key = verifier_key(files.make(NAME, ()))
    (tmp_path / "checkpoint.key").chmod(mode)
    with pytest.raises(ConfigurationError, match="readable by its owner only"):
        files.find(key)


@pytest.mark.parametrize("data", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "checkpoint.key").write_bytes(data)
    (tmp_path / "checkpoint.key").chmod(0o600)
    with pytest.raises(ConfigurationError, match="expected a key of 32 bytes"):
        KeyFiles(tmp_path).make(NAME, ())


def test_a_key_in_memory_is_found_until_it_is_discarded() -> None:
    keys = MemoryKeys()
    key = verifier_key(keys.make(NAME, ()))
    assert keys.find(key) is not None
    keys.discard(key)
    assert keys.find(key) is None


def test_a_signer_from_outside_signs_for_its_own_name_only() -> None:
    signer = LocalSigner(NAME, SECRET)
    keys = GivenKeys([signer])
    assert keys.make(NAME, ()) is signer
    assert keys.find(verifier_key(signer)) is signer
    with pytest.raises(ConfigurationError, match=r"expected a signer named `demur.local/b`"):
        keys.make("demur.local/b", ())
    with pytest.raises(ConfigurationError, match="has not had yet"):
        keys.make(NAME, {PUBLIC})
