"""Seals the values of one record: committed to in the leaf, readable only with the person's key (S5.4, S5.5).

    commit_root        RFC 6962 root over one leaf per field, sorted by name:
                       {"name":"...","salt":"<64 hex>","value":"<base64url, no padding>"}     (canonical JSON)
    record key         32 random bytes, used for this record alone
    action_commitment  HMAC-SHA256(record key, action digest)
    wrapped_key        nonce (12) || AES-256-GCM(person's key, record key, associated data: key id)
    ciphertext         AES-256-GCM(record key, MessagePack [action digest, {name: [salt, value]}],
                       associated data: commit_root || action_commitment)

A field's salt makes its commitment meaningless to whoever lacks the salt, however few values the field can take; the
salts are inside the ciphertext, so destroying the person's key takes values and salts at once, and the leaf stays as
it is. A single field can be disclosed with its salt and an inclusion proof, and nothing else is learned.

A field about somebody else is locked under that other person's key before it is sealed, so that erasing either of the
two takes it. It is then named `name:<key id>`, and its value is nonce (12) || AES-256-GCM(the other's key, value,
associated data: the field's whole name).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from demur import noise
from demur.core.ledger import merkle
from demur.core.record import Sealed
from demur.errors import ForgottenError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 32

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}", re.ASCII)
_LOCKED = re.compile(r"(?P<name>[A-Za-z0-9_./-]{1,64}):(?P<key_id>[0-9a-f]{32})", re.ASCII)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_Plain = tuple[str, dict[str, tuple[bytes, bytes]]]
_DECODE = msgspec.msgpack.Decoder(_Plain)
_ENCODE = msgspec.msgpack.Encoder().encode


class PersonKey:
    """One person's key, ready for use; `id` is the pseudonym under which leaves and vault know it."""

    __slots__ = ("_mark", "cipher", "id")

    def __init__(self, key_id: str, key: bytes) -> None:
        self.id = key_id
        self.cipher = AESGCM(key)
        self._mark = hmac.digest(key, b"demur blind", "sha256")

    def blind(self, data: bytes) -> bytes:
        """A digest that nobody can make or recognise again once the key is destroyed: 32 bytes."""
        # BLAKE2b is a keyed hash by design (RFC 7693, section 2.9), at less than half the time of HMAC.
        return hashlib.blake2b(data, key=self._mark, digest_size=32).digest()


def commitment(name: str, salt: bytes, value: bytes) -> bytes:
    """The bytes that are hashed to commit to one field."""
    # As `base64.urlsafe_b64encode` has it, without its wrappers.
    text = binascii.b2a_base64(value, newline=False).translate(_URL_SAFE, b"=")
    return b'{"name":"%b","salt":"%b","value":"%b"}' % (name.encode("ascii"), binascii.hexlify(salt), text)


def seal(person: PersonKey, digest: str, fields: Mapping[str, bytes]) -> Sealed:
    """Seal `fields` under a fresh key wrapped by `person`; raises `LedgerError` for a field name outside ASCII."""
    fresh = noise.take(KEY_BYTES + 2 * NONCE_BYTES + SALT_BYTES * len(fields))
    key, nonce, wrap_nonce = fresh[:32], fresh[32:44], fresh[44:56]
    plain: dict[str, tuple[bytes, bytes]] = {}
    at = KEY_BYTES + 2 * NONCE_BYTES
    for name in sorted(fields):
        if _NAME.fullmatch(name) is None:
            raise LedgerError(f"expected the name of a field in letters, digits and `_.:/-`, found `{name[:80]!r}`")
        plain[name] = fresh[at : at + SALT_BYTES], fields[name]
        at += SALT_BYTES
    root = _root(plain)
    # `hmac.digest` would let go of the interpreter for this one block, and then wait for it.
    action = hmac.new(key, digest.encode(), "sha256").digest()
    return Sealed(
        key_id=person.id,
        wrapped_key=wrap_nonce + person.cipher.encrypt(wrap_nonce, key, person.id.encode()),
        nonce=nonce,
        ciphertext=AESGCM(key).encrypt(nonce, _ENCODE((digest, plain)), root + action),
        commit_root=root.hex(),
        action_commitment=action.hex(),
    )


def unseal(person: PersonKey, sealed: Sealed) -> tuple[str, dict[str, bytes]]:
    """The action digest and the fields; raises `LedgerError` where they are not those that were committed to."""
    digest, plain = _open(person, sealed)
    return digest, {name: value for name, (_, value) in plain.items()}


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """One field of one record, with all that shows that the record committed to it, and nothing about the others.

    `leaf` is the commitment whose RFC 6962 leaf hash stands at `index` of `size`, and `proof` leads from it to
    `commit_root` (hex), which stands in the record's leaf. Salt and value are repeated in `leaf`, in readable form.
    """

    name: str
    salt: bytes
    value: bytes
    leaf: bytes
    index: int
    size: int
    proof: tuple[bytes, ...]
    commit_root: str


def disclose(person: PersonKey, sealed: Sealed, names: Collection[str]) -> tuple[Disclosure, ...]:
    """The named fields with their proofs, for an auditor; raises `LedgerError` for a name that was not sealed."""
    _, plain = _open(person, sealed)
    order = sorted(plain)
    hashes = [merkle.leaf_hash(commitment(name, *plain[name])) for name in order]
    if missing := sorted(set(names).difference(order)):
        raise LedgerError(f"expected fields among `{'`, `'.join(order)}`, found `{missing[0][:80]}`")
    return tuple(
        Disclosure(
            name=name,
            salt=plain[name][0],
            value=plain[name][1],
            leaf=commitment(name, *plain[name]),
            index=order.index(name),
            size=len(order),
            proof=merkle.prove_inclusion(hashes, order.index(name)),
            commit_root=sealed.commit_root,
        )
        for name in dict.fromkeys(names)
    )


def check_disclosed(disclosed: Disclosure, commit_root: str) -> None:
    """Raises `LedgerError` unless the record with this `commit_root` (hex, from its leaf) committed to the field."""
    if len(disclosed.salt) != SALT_BYTES or _NAME.fullmatch(disclosed.name) is None:
        raise LedgerError(f"expected a field with a salt of {SALT_BYTES} bytes, found another")
    if disclosed.leaf != commitment(disclosed.name, disclosed.salt, disclosed.value):
        raise LedgerError(f"the commitment to `{disclosed.name}` is not to the disclosed value")
    if disclosed.commit_root != commit_root:
        raise LedgerError(f"`{disclosed.name}` was disclosed for another record")
    merkle.check_inclusion(
        index=disclosed.index,
        size=disclosed.size,
        leaf=merkle.leaf_hash(disclosed.leaf),
        proof=disclosed.proof,
        expected=bytes.fromhex(commit_root),
    )


def lock(person: PersonKey, name: str, value: bytes) -> tuple[str, bytes]:
    """Name and value of a field about `person` that is going to be sealed under somebody else's key."""
    locked, nonce = f"{name}:{person.id}", noise.take(NONCE_BYTES)
    return locked, nonce + person.cipher.encrypt(nonce, value, locked.encode())


def locked_under(name: str) -> tuple[str, str] | None:
    """The plain name and the key id of a field that was locked; `None` for another."""
    found = _LOCKED.fullmatch(name)
    return (found["name"], found["key_id"]) if found else None


def unlock(person: PersonKey, name: str, value: bytes) -> bytes:
    """The value of a locked field; raises `LedgerError` where it was altered."""
    try:
        return person.cipher.decrypt(value[:NONCE_BYTES], value[NONCE_BYTES:], name.encode())
    except (InvalidTag, ValueError) as error:
        raise LedgerError(f"the locked field `{name[:80]}` was altered") from error


def _open(person: PersonKey, sealed: Sealed) -> _Plain:
    if not sealed.ciphertext:
        raise ForgottenError("the sealed values of the record were destroyed at the end of their period")
    try:
        commitments = bytes.fromhex(sealed.commit_root + sealed.action_commitment)
        wrapped = sealed.wrapped_key
        key = person.cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], person.id.encode())
        digest, plain = _DECODE.decode(AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, commitments))
    except (InvalidTag, ValueError, msgspec.DecodeError) as error:
        raise LedgerError("the sealed values of the record were altered, or sealed under another key") from error
    action = hmac.digest(key, digest.encode(), "sha256")
    if not hmac.compare_digest(_root(plain) + action, commitments):
        raise LedgerError("the sealed values are not those that the record committed to")
    return digest, plain


def _root(plain: Mapping[str, tuple[bytes, bytes]]) -> bytes:
    return merkle.root([merkle.leaf_hash(commitment(name, *plain[name])) for name in sorted(plain)])
