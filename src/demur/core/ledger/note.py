"""Signed notes: a text, and under it one line for each key that signed it.

    demur.local/default
    3
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — demur.local/default Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=

The text ends in a newline; the last empty line divides it from the signatures. A signature line is an em dash, a space,
the name of the key, a space, and base64 of the key's id (4 bytes) and the signature. A key's id is the first 4 bytes of

    SHA-256(name || 0x0A || type || public key)

and its text, for those who verify, is `name+id in hex+base64(type || public key)`. Two types are known:

    0x01  Ed25519 (RFC 8032) over the text
    0x04  a cosignature: 8 bytes of POSIX seconds, then Ed25519 over `cosignature/v1`, `time <seconds>` and the text

A note from outside is hostile until it was checked: parsing is strict (UTF-8, no control characters, one form of
base64, bounded size) and hashes nothing; signatures of unknown keys are kept and prove nothing; one bad signature of a
known key refuses the whole note. How a signature is verified is given from outside: this file needs no cryptography.

Sources: C2SP signed-note and tlog-cosignature. Standard library only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

Verify = Callable[[bytes, bytes, bytes], bool]
"""Whether an Ed25519 public key (32 bytes) made this signature (64 bytes) over this message; never raises."""

MAX_BYTES = 256 * 1024
"""The longest note that is read: room for 16 post-quantum signatures, which are the least to be accepted."""
MAX_SIGNATURES = 100
KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_SECONDS = 2**63 - 1

_DASH = "— "
_TIME_BYTES = 8


class KeyType(IntEnum):
    """What a key signs, by the byte that C2SP assigns."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key, under the name that its signature lines bear."""

    name: str
    type: KeyType
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise LedgerError(f"expected a public key of {PUBLIC_KEY_BYTES} bytes, found {len(self.public_key)}")

    @property
    def id(self) -> bytes:
        """The 4 bytes that stand before its signatures."""
        material = self.name.encode() + b"\n" + bytes([self.type]) + self.public_key
        return hashlib.sha256(material).digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as it is handed to those who verify."""
        return f"{self.name}+{self.id.hex()}+{_encoded(bytes([self.type]) + self.public_key)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: `value` is what follows the key's id, for a cosignature with its time."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {_encoded(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text with signatures, as parsed: nothing about it is true before `check`."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The bytes again, exactly those that were parsed."""
        return f"{self.text}\n{''.join(signature.line for signature in self.signatures)}".encode()

    def add(self, signatures: Iterable[Signature]) -> Note:
        """The same text under these signatures too; a newer one of the same key takes the place of the older."""
        by_key = {(item.name, item.key_id): item for item in (*self.signatures, *signatures)}
        return Note(self.text, tuple(by_key.values()))


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that was checked: whose it is, and for a cosignature when it was made, in POSIX seconds."""

    key: VerifierKey
    seconds: int | None = None


def parse(data: bytes) -> Note:
    """The note in these bytes; raises `LedgerError` where they are none."""
    if len(data) > MAX_BYTES:
        raise LedgerError(f"expected a note of at most {MAX_BYTES} bytes, found {len(data)}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise LedgerError(f"expected a note in UTF-8, found another byte at offset {error.start}") from error
    for character in whole:
        if character < " " and character != "\n":
            raise LedgerError(f"expected a note without control characters, found U+{ord(character):04X}")
    text, divider, lines = whole.rpartition("\n\n")
    if not divider:
        raise LedgerError("expected an empty line between the text of a note and its signatures, found none")
    return Note(text + "\n", parse_lines(lines))


def parse_lines(lines: str) -> tuple[Signature, ...]:
    """The signatures in these lines, at least one; raises `LedgerError`."""
    if not lines.endswith("\n"):
        raise LedgerError("expected signature lines that end in a newline, found another end")
    found = lines[:-1].split("\n", MAX_SIGNATURES)
    if len(found) > MAX_SIGNATURES:
        raise LedgerError(f"expected at most {MAX_SIGNATURES} signatures on a note, found more")
    return tuple(_signature(line) for line in found)


def parse_key(text: str) -> VerifierKey:
    """The key that a verifier was given as text; raises `LedgerError`, also for a type that is not known."""
    name, _, rest = text.partition("+")
    key_id, divider, encoded = rest.partition("+")
    if not divider:
        raise LedgerError(f"expected a key such as `name+1a2b3c4d+AT5f...`, found `{text[:80]}`")
    material = decode_base64(encoded, "the key")
    try:
        kind = KeyType(material[0]) if material else None
    except ValueError as error:
        raise LedgerError(f"expected a key of type 1 (Ed25519) or 4 (cosignature), found {material[0]}") from error
    if kind is None:
        raise LedgerError("expected a key with its type, found an empty one")
    key = VerifierKey(name, kind, material[1:])
    if key.id.hex() != key_id:
        raise LedgerError(f"expected the id `{key.id.hex()}` in the key `{name[:80]}`, found `{key_id[:16]}`")
    return key


def sign(key: VerifierKey, text: str, by: Callable[[bytes], bytes], *, seconds: int = 0) -> Signature:
    """The signature of `key` on `text`, made by calling `by` with the message; `seconds` is for a cosignature."""
    value = by(message(key, text, seconds))
    if len(value) != SIGNATURE_BYTES:
        raise LedgerError(f"expected a signature of {SIGNATURE_BYTES} bytes from `{key.name}`, found {len(value)}")
    match key.type:
        case KeyType.ED25519:
            return Signature(key.name, key.id, value)
        case KeyType.COSIGNATURE:
            return Signature(key.name, key.id, seconds.to_bytes(_TIME_BYTES) + value)


def message(key: VerifierKey, text: str, seconds: int = 0) -> bytes:
    """The bytes that `key` signs for `text`; raises `LedgerError` for a time that a cosignature cannot bear."""
    match key.type:
        case KeyType.ED25519:
            return text.encode()
        case KeyType.COSIGNATURE:
            if not 0 <= seconds <= MAX_SECONDS:
                raise LedgerError(f"expected POSIX seconds from 0 to 2^63-1, found {seconds}")
            return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def check(note: Note, keys: Iterable[VerifierKey], verify: Verify) -> tuple[Signed, ...]:
    """The signatures of these keys, in the note's order; raises `LedgerError` where one is bad, or there is none.

    What the caller needs beyond one good signature (that the log's own key signed, a quorum of witnesses), it must look
    for in the answer.
    """
    known = {(key.name, key.id): key for key in keys}
    found: dict[tuple[str, bytes], Signed] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            found.setdefault((key.name, key.id), check_one(note.text, signature, key, verify))
    if not found:
        raise LedgerError("expected a note signed by a known key, found none of its signatures known")
    return tuple(found.values())


def check_one(text: str, signature: Signature, key: VerifierKey, verify: Verify) -> Signed:
    """The one signature, which must be by `key`; raises `LedgerError` where it is not."""
    who = f"`{key.name}` (key {key.id.hex()})"
    value, seconds = signature.value, None
    if key.type is KeyType.COSIGNATURE:
        seconds, value = int.from_bytes(value[:_TIME_BYTES]), value[_TIME_BYTES:]
    if len(value) != SIGNATURE_BYTES:
        raise LedgerError(f"expected a signature of {SIGNATURE_BYTES} bytes by {who}, found {len(value)}")
    if (signature.name, signature.key_id) != (key.name, key.id):
        raise LedgerError(f"expected a signature by {who}, found one by `{signature.name[:80]}`")
    if not verify(key.public_key, value, message(key, text, seconds or 0)):
        raise LedgerError(f"the signature by {who} is not one over this text")
    return Signed(key, seconds)


def check_name(name: str) -> None:
    """Raises `LedgerError` for a name that no key may have: empty, or with a space, a plus or a control character."""
    if not name or any(character.isspace() or character < " " or character == "+" for character in name):
        raise LedgerError(f"expected a key's name without spaces and `+`, found `{name[:80]}`")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise LedgerError("expected a key's name of Unicode characters, found half of one")


def decode_base64(text: str, what: str) -> bytes:
    """The bytes of standard base64 (RFC 4648, section 4); raises `LedgerError` for any other form of them.

    One form only: bits that base64 ignores would let two texts stand for the same bytes.
    """
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError) as error:
        raise LedgerError(f"expected base64 for {what}, found `{text[:80]}`") from error
    if _encoded(data) != text:
        raise LedgerError(f"expected base64 for {what} with its unused bits zero, found `{text[:80]}`")
    return data


def _signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise LedgerError(f"expected a signature line that begins with an em dash, found `{line[:80]}`")
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    check_name(name)
    data = decode_base64(encoded, f"the signature by `{name[:80]}`")
    if len(data) <= KEY_ID_BYTES:
        raise LedgerError(f"expected a key's id and a signature by `{name[:80]}`, found {len(data)} bytes")
    return Signature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
