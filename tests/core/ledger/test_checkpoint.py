"""Checkpoints: the example of C2SP reads and writes back, everything else is refused with its reason."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from demur.core.ledger import checkpoint, note
from demur.core.ledger.checkpoint import Checkpoint
from demur.core.ledger.note import KeyType, Note, VerifierKey
from demur.errors import LedgerError
from tests.core.ledger.test_note import verify

# The example of C2SP tlog-checkpoint.
SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
# SHA-256 of nothing, the root of the empty tree in RFC 6962, section 2.1.
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = VerifierKey("example.com/behind-the-sofa", KeyType.ED25519, SECRET.public_key().public_bytes_raw())
OTHER = VerifierKey("example.com/other", KeyType.ED25519, SECRET.public_key().public_bytes_raw())
WITNESS = VerifierKey("witness.example/w", KeyType.COSIGNATURE, SECRET.public_key().public_bytes_raw())


def signed(text: str, *keys: VerifierKey) -> Note:
    return Note(text, tuple(note.sign(key, text, SECRET.sign, seconds=7) for key in keys))


def test_the_example_of_c2sp_is_read() -> None:
    found = checkpoint.parse(SOFA)
    assert found == Checkpoint("example.com/behind-the-sofa", 20852163, base64.b64decode(ROOT))
    assert found.text == SOFA


def test_extension_lines_are_kept() -> None:
    found = checkpoint.parse(SOFA + "timestamp 5\nother\n")
    assert found.extensions == ("timestamp 5", "other")
    assert found.text == SOFA + "timestamp 5\nother\n"


def test_the_empty_tree_has_its_own_root() -> None:
    assert checkpoint.parse(f"o\n0\n{EMPTY}\n").size == 0
    with pytest.raises(LedgerError, match="root of the empty tree"):
        checkpoint.parse(f"o\n0\n{ROOT}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a checkpoint of origin, size and root"),
        ("o\n1\n", "expected a checkpoint of origin, size and root"),
        (f"o\n1\n{ROOT}", "expected a checkpoint of origin, size and root"),
        (f"\n1\n{ROOT}\n", "without empty lines"),
        (f"o\n1\n{ROOT}\n\n", "without empty lines"),
        (f"o\n1\n{ROOT}\n\nextension\n", "without empty lines"),
        (f"o\n01\n{ROOT}\n", "expected a decimal number"),
        (f"o\n-1\n{ROOT}\n", "expected a decimal number"),
        (f"o\n+1\n{ROOT}\n", "expected a decimal number"),
        (f"o\n1 \n{ROOT}\n", "expected a decimal number"),
        (f"o\n١\n{ROOT}\n", "expected a decimal number"),
        (f"o\n9223372036854775808\n{ROOT}\n", "expected a decimal number"),
        (f"o\n{'9' * 5000}\n{ROOT}\n", "expected a decimal number"),
        ("o\n1\nAAAA\n", "expected 32 bytes for the root, found 3"),
        (f"o\n1\n{ROOT[:-2]}J=\n", "unused bits zero"),
        (f"o\n1\n{ROOT} \n", "expected base64"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        checkpoint.parse(text)


def test_the_largest_size_is_read() -> None:
    assert checkpoint.parse(f"o\n9223372036854775807\n{ROOT}\n").size == 2**63 - 1


def test_a_checkpoint_that_its_log_and_a_witness_signed_tells_both() -> None:
    opened = checkpoint.check(signed(SOFA, LOG, WITNESS), log_keys=[LOG], witnesses=[WITNESS], verify=verify)
    assert opened.checkpoint.size == 20852163
    assert [item.key for item in opened.signed] == [LOG, WITNESS]
    assert opened.signed[1].seconds == 7


def test_a_checkpoint_that_only_a_witness_signed_is_refused() -> None:
    with pytest.raises(LedgerError, match="signed by its log, found none by it"):
        checkpoint.check(signed(SOFA, WITNESS), log_keys=[LOG], witnesses=[WITNESS], verify=verify)


def test_a_log_signs_for_the_origin_of_its_name_only() -> None:
    with pytest.raises(LedgerError, match="signed by its log, found none by it"):
        checkpoint.check(signed(SOFA, OTHER), log_keys=[LOG, OTHER], verify=verify)


@given(st.text())
def test_any_text_is_a_checkpoint_that_writes_back_or_is_refused(text: str) -> None:
    try:
        assert checkpoint.parse(text).text == text
    except LedgerError:
        return
