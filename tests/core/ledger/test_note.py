"""Signed notes: the examples of others are read and verified, everything else is refused with its reason."""

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st

from demur.core.ledger import note
from demur.core.ledger.note import KeyType, Note, Signature, Signed, VerifierKey
from demur.errors import LedgerError

# The example of Go's package golang.org/x/mod/sumdb/note (its documentation), with the verifier keys named there and
# in its tests.
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_PETER = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
GO_ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
GO_NOTE = f"{GO_TEXT}\n{GO_PETER}{GO_ENOCH}".encode()
PETER = note.parse_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
ENOCH = note.parse_key("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")

# The example of C2SP signed-note.
SALVATORE = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = SECRET.public_key().public_bytes_raw()
LOG = VerifierKey("demur.local/a", KeyType.ED25519, PUBLIC)
WITNESS = VerifierKey("witness.example/w", KeyType.COSIGNATURE, PUBLIC)


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def signed(text: str, *keys: VerifierKey, seconds: int = 0) -> Note:
    return Note(text, tuple(note.sign(key, text, SECRET.sign, seconds=seconds) for key in keys))


def test_the_example_of_go_verifies_by_both_its_keys() -> None:
    found = note.check(note.parse(GO_NOTE), [PETER, ENOCH], verify)
    assert found == (Signed(PETER), Signed(ENOCH))


def test_the_text_of_the_example_of_c2sp_keeps_its_empty_line() -> None:
    found = note.parse(SALVATORE.encode())
    assert found.text == SALVATORE.rpartition("\n— ")[0]
    assert [item.name for item in found.signatures] == ["quasimodo.example/salvatore"]
    assert found.signatures[0].key_id.hex() == "367ba04b"


def test_the_id_of_a_key_is_the_hash_that_the_specification_names() -> None:
    expected = hashlib.sha256(b"demur.local/a\n\x01" + PUBLIC).digest()[:4]
    assert expected == LOG.id
    assert hashlib.sha256(b"witness.example/w\n\x04" + PUBLIC).digest()[:4] == WITNESS.id


def test_an_encoded_note_is_the_bytes_that_were_parsed() -> None:
    assert note.parse(GO_NOTE).encode() == GO_NOTE
    assert note.parse(SALVATORE.encode()).encode() == SALVATORE.encode()


@pytest.mark.parametrize("key", [PETER, ENOCH, LOG, WITNESS])
def test_a_key_as_text_is_the_key_again(key: VerifierKey) -> None:
    assert note.parse_key(key.text) == key


def test_a_cosignature_is_over_its_time_and_the_text() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    # The signed message as C2SP tlog-cosignature prints it.
    assert note.message(WITNESS, text, 1679315147) == (
        b"cosignature/v1\ntime 1679315147\n"
        b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    assert note.check(signed(text, WITNESS, seconds=1679315147), [WITNESS], verify) == (Signed(WITNESS, 1679315147),)


def test_the_time_in_the_example_of_a_cosignature_is_read() -> None:
    # The witness's line of the example in C2SP tlog-cosignature.
    line = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    (found,) = note.parse_lines(line)
    assert int.from_bytes(found.value[:8]) == 1679315147
    assert found.line == line


def test_a_cosignature_with_another_time_is_refused() -> None:
    whole = signed("text\n", WITNESS, seconds=5)
    moved = Signature(WITNESS.name, WITNESS.id, (6).to_bytes(8) + whole.signatures[0].value[8:])
    with pytest.raises(LedgerError, match="is not one over this text"):
        note.check(Note("text\n", (moved,)), [WITNESS], verify)


def test_signatures_of_unknown_keys_are_kept_and_prove_nothing() -> None:
    whole = note.parse(GO_NOTE)
    assert note.check(whole, [PETER], verify) == (Signed(PETER),)
    with pytest.raises(LedgerError, match="none of its signatures known"):
        note.check(whole, [LOG], verify)
    with pytest.raises(LedgerError, match="none of its signatures known"):
        note.check(whole, [], verify)


def test_one_bad_signature_of_a_known_key_refuses_the_note() -> None:
    bad = Signature(PETER.name, PETER.id, bytes(64))
    whole = note.parse(GO_NOTE)
    with pytest.raises(LedgerError, match=r"`PeterNeumann` .* is not one over this text"):
        note.check(Note(whole.text, (*whole.signatures, bad)), [PETER, ENOCH], verify)


def test_a_key_that_shares_only_the_name_or_only_the_id_is_another_key() -> None:
    stranger = VerifierKey("PeterNeumann", KeyType.ED25519, PUBLIC)
    with pytest.raises(LedgerError, match="none of its signatures known"):
        note.check(note.parse(GO_NOTE), [stranger], verify)


def test_a_signature_of_the_wrong_length_is_refused_before_it_is_verified() -> None:
    short = Note("text\n", (Signature(LOG.name, LOG.id, bytes(63)),))
    with pytest.raises(LedgerError, match=r"expected a signature of 64 bytes .*, found 63"):
        note.check(short, [LOG], verify)


def test_a_newer_signature_of_a_key_takes_the_place_of_the_older() -> None:
    first, second = signed("text\n", LOG, WITNESS, seconds=1), signed("text\n", WITNESS, seconds=2)
    joined = first.add(second.signatures)
    assert [item.seconds for item in note.check(joined, [LOG, WITNESS], verify)] == [None, 2]


SIGNATURE = GO_PETER.encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected an empty line between"),
        (b"text\n", "expected an empty line between"),
        (b"text\n" + SIGNATURE, "expected an empty line between"),
        (b"text\n\n", "expected signature lines that end in a newline"),
        (b"text\n\n" + SIGNATURE[:-1], "expected signature lines that end in a newline"),
        (b"text\n\n\n" + SIGNATURE[:-1], "expected signature lines that end in a newline"),
        (b"text\n\n" + SIGNATURE + b"\n", "expected signature lines that end in a newline"),
        (b"text\n\nx\n", "begins with an em dash, found `x`"),
        (b"text\n\n- PeterNeumann x08go/ZJ\n", "begins with an em dash"),
        (b"text\n\n" + "—PeterNeumann x08go/ZJ\n".encode(), "begins with an em dash"),
        (b"text\n\n" + SIGNATURE + b"more\n", "begins with an em dash, found `more`"),
        (b"text\n\n" + "—  x08go/ZJ\n".encode(), "expected a key's name without spaces"),
        (b"text\n\n" + "— a+b x08go/ZJ\n".encode(), "expected a key's name without spaces"),
        (b"text\n\n" + "— a\u2003b x08go/ZJ\n".encode(), "expected a key's name without spaces"),
        (b"text\n\n" + "— a\u0085 x08go/ZJ\n".encode(), "expected a key's name without spaces"),
        (b"text\n\n" + "— a\n".encode(), "found 0 bytes"),
        (b"text\n\n" + "— a  x08go/ZJ\n".encode(), "expected base64"),
        (b"text\n\n" + "— a x08go/ZJ \n".encode(), "expected base64"),
        (b"text\n\n" + "— a x08go/Z\n".encode(), "expected base64"),
        (b"text\n\n" + "— a x08g_-ZJ\n".encode(), "expected base64"),
        (b"text\n\n" + "— a x08goé==\n".encode(), "expected base64"),
        (b"text\n\n" + "— a x08goA==\n".encode(), "found 4 bytes"),
        (b"text\n\n" + "— a x08go/Z=\n".encode(), "unused bits zero"),
        (b"te\rxt\n\n" + SIGNATURE, r"U\+000D"),
        (b"te\txt\n\n" + SIGNATURE, r"U\+0009"),
        (b"te\x00xt\n\n" + SIGNATURE, r"U\+0000"),
        (b"te\xffxt\n\n" + SIGNATURE, "expected a note in UTF-8, found another byte at offset 2"),
        (b"te\xed\xa0\x80xt\n\n" + SIGNATURE, "expected a note in UTF-8"),
        (b"text\n\n" + SIGNATURE * 101, "at most 100 signatures"),
        (b"x" * (note.MAX_BYTES + 1), "at most 262144 bytes"),
    ],
)
def test_what_is_no_note_is_refused_with_its_reason(data: bytes, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        note.parse(data)


def test_a_hundred_signatures_are_read() -> None:
    assert len(note.parse(b"text\n\n" + SIGNATURE * 100).signatures) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a key such as"),
        ("PeterNeumann+c74f20a3", "expected a key such as"),
        ("PeterNeumann+c74f20a3+", "expected a key with its type"),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "expected the id `c74f20a3`"),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "expected the id `c74f20a3`"),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "expected a key's name"),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "expected a key's name"),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", "expected base64"),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy", "expected a public key of 32 bytes"),
        ("PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "type 1 .* or 4 .*, found 2"),
        ("PeterNeumann+c74f20a3+ARpc+QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "expected the id"),
    ],
)
def test_what_is_no_key_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        note.parse_key(text)


@pytest.mark.parametrize("seconds", [-1, 2**63])
def test_a_time_that_a_cosignature_cannot_bear_is_refused(seconds: int) -> None:
    with pytest.raises(LedgerError, match="expected POSIX seconds"):
        note.sign(WITNESS, "text\n", SECRET.sign, seconds=seconds)


def test_a_signer_that_answers_something_else_is_refused() -> None:
    with pytest.raises(LedgerError, match=r"expected a signature of 64 bytes from `demur.local/a`, found 2"):
        note.sign(LOG, "text\n", lambda _message: b"no")


@given(st.integers(0, len(GO_NOTE) * 8 - 1))
def test_one_flipped_bit_never_verifies_for_both_keys(position: int) -> None:
    data = bytearray(GO_NOTE)
    data[position // 8] ^= 1 << position % 8
    try:
        found = note.check(note.parse(bytes(data)), [PETER, ENOCH], verify)
    except LedgerError:
        return
    assert len(found) < 2


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")))
@example("\n\n— a AAAAAAA=\n".encode())
def test_any_bytes_are_a_note_that_encodes_to_them_or_are_refused(data: bytes) -> None:
    try:
        found = note.parse(data)
    except LedgerError:
        return
    assert found.encode() == data


lines = st.lists(
    st.tuples(st.text(min_size=1), st.binary(min_size=5)).map(
        lambda item: f"— {item[0]} {base64.b64encode(item[1]).decode()}\n"
    ),
    min_size=1,
)


@given(st.text(), lines)
def test_any_note_like_text_is_read_and_checked_or_refused(text: str, signatures: list[str]) -> None:
    data = f"{text}\n\n{''.join(signatures)}".encode("utf-8", "replace")
    try:
        found = note.parse(data)
        keys = [VerifierKey(item.name, KeyType.COSIGNATURE, PUBLIC) for item in found.signatures]
        note.check(found, keys, verify)
    except LedgerError:
        return
    assert found.encode() == data


@given(st.text())
def test_any_text_is_a_key_that_reads_back_or_is_refused(text: str) -> None:
    try:
        assert note.parse_key(text).text == text
    except LedgerError:
        return
