"""Proofs to take away: what is proved is proved, everything else is refused with its reason."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from demur.core.ledger import merkle, note, proof
from demur.core.ledger.checkpoint import Checkpoint
from demur.core.ledger.note import KeyType, Note, VerifierKey
from demur.core.ledger.proof import Proof
from demur.errors import LedgerError
from tests.core.ledger.test_note import verify

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = VerifierKey("example.com/fancylog", KeyType.ED25519, SECRET.public_key().public_bytes_raw())
OTHER = VerifierKey("example.com/other", KeyType.ED25519, SECRET.public_key().public_bytes_raw())
LEAVES = [b"a", b"bb", b"ccc", b"dddd", b"eeeee"]

# The head of the example of C2SP tlog-proof; its signatures are cut short there.
FANCY = """c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

— example.com/fancylog AAAAAAA=
"""


def signed(size: int, root: bytes, key: VerifierKey = LOG) -> Note:
    text = Checkpoint("example.com/fancylog", size, root).text
    return Note(text, (note.sign(key, text, SECRET.sign),))


def proved(index: int, *, extra: bytes = b"", leaves: list[bytes] = LEAVES) -> Proof:
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    whole = signed(len(leaves), merkle.root(hashes))
    return Proof(index, merkle.prove_inclusion(hashes, index), whole, extra)


def test_the_example_of_c2sp_is_read() -> None:
    found = proof.parse(FANCY.encode())
    assert (found.index, len(found.hashes), found.extra) == (73894, 5, b"")
    assert found.text == FANCY


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("extra", [b"", b"\x00more"])
def test_a_proof_of_each_record_is_read_back_and_holds(index: int, extra: bytes) -> None:
    found = proof.parse(proved(index, extra=extra).text.encode())
    opened = proof.check(found, LEAVES[index], log_keys=[LOG], verify=verify)
    assert opened.checkpoint.size == 5
    assert found == proved(index, extra=extra)


def test_the_proof_in_a_log_of_one_record_has_no_hashes() -> None:
    found = proof.parse(proved(0, leaves=[b"only"]).text.encode())
    assert found.hashes == ()
    assert proof.check(found, b"only", log_keys=[LOG], verify=verify).checkpoint.size == 1


def test_a_proof_of_another_record_is_refused() -> None:
    with pytest.raises(LedgerError, match="leads to root"):
        proof.check(proved(1), LEAVES[2], log_keys=[LOG], verify=verify)


def test_a_proof_with_another_index_is_refused() -> None:
    moved = Proof(2, proved(1).hashes, proved(1).note)
    with pytest.raises(LedgerError, match="leads to root"):
        proof.check(moved, LEAVES[1], log_keys=[LOG], verify=verify)


def test_a_proof_beyond_the_end_is_refused() -> None:
    with pytest.raises(LedgerError, match="expected an index below the size 5, found 5"):
        proof.check(Proof(5, (), proved(0).note), LEAVES[0], log_keys=[LOG], verify=verify)


def test_a_proof_of_a_log_whose_key_is_not_trusted_is_refused_before_anything_else() -> None:
    with pytest.raises(LedgerError, match="none of its signatures known"):
        proof.check(proved(1), b"whatever", log_keys=[OTHER], verify=verify)


def test_a_proof_under_a_root_that_the_log_did_not_sign_is_refused() -> None:
    hashes = [merkle.leaf_hash(b"forged")]
    text = Checkpoint("example.com/fancylog", 1, merkle.root(hashes)).text
    forged = Proof(0, (), Note(text, signed(1, merkle.EMPTY_ROOT).signatures))
    with pytest.raises(LedgerError, match="is not one over this text"):
        proof.check(forged, b"forged", log_keys=[LOG], verify=verify)


HEAD, REST = "c2sp.org/tlog-proof@v1\nindex 0\n", FANCY.partition("\n\n")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected an empty line"),
        (HEAD, "expected an empty line"),
        (f"c2sp.org/tlog-proof@v2\nindex 0\n\n{REST}", "expected the first line"),
        (f"\n{HEAD}\n{REST}", "expected the first line"),
        (f"c2sp.org/tlog-proof@v1\n\n{REST}", "expected a line such as `index 5`"),
        (f"c2sp.org/tlog-proof@v1\nindex\n\n{REST}", "expected a line such as `index 5`"),
        (f"c2sp.org/tlog-proof@v1\nindex 01\n\n{REST}", "expected a decimal number"),
        (f"c2sp.org/tlog-proof@v1\nindex -1\n\n{REST}", "expected a decimal number"),
        (f"c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\n{REST}", "expected base64 for a hash of the proof"),
        (f"c2sp.org/tlog-proof@v1\nextra \nindex 0\n\n{REST}", "an empty `extra` line"),
        (f"c2sp.org/tlog-proof@v1\nextra A\nindex 0\n\n{REST}", "expected base64 for the extra data"),
        (f"{HEAD}AAAA\n\n{REST}", "expected 32 bytes for a hash of the proof, found 3"),
        (f"{HEAD}é\n\n{REST}", "expected a proof in ASCII"),
        (f"{HEAD}" + "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n" * 64 + f"\n{REST}", "at most 63 hashes"),
        (f"{HEAD}\n{REST[:-1]}", "expected signature lines that end in a newline"),
        (f"{HEAD}\nexample.com/fancylog\n", "expected an empty line between the text of a note"),
        ("x" * (proof.MAX_BYTES + 1), "expected a proof of at most"),
    ],
)
def test_what_is_no_proof_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        proof.parse(text.encode())


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_a_proof_that_writes_back_or_are_refused(noise: bytes, at: int) -> None:
    data = FANCY.encode()[:at] + noise + FANCY.encode()[at + len(noise) :]
    try:
        assert proof.parse(data).text.encode() == data
    except LedgerError:
        return


@given(st.integers(0, len(proved(2).text.encode()) * 8 - 1))
def test_one_flipped_bit_never_holds(position: int) -> None:
    data = bytearray(proved(2).text.encode())
    data[position // 8] ^= 1 << position % 8
    with pytest.raises(LedgerError):
        proof.check(proof.parse(bytes(data)), LEAVES[2], log_keys=[LOG], verify=verify)
