"""The keys that sign checkpoints: Ed25519, in files of the home, in memory, or wherever a signer from outside has them.

    checkpoint.key      32 bytes, the secret half of the first key, readable by its owner only
    checkpoint-2.key    that of the second, once the key was rotated, and so on

Which of them signs what is said in the store (core/ledger/rotation.py), by public key: a file is found by what it
holds. A file that the store does not know yet is the key that a rotation made before it was interrupted; the next
rotation takes it. A key that was used and is missing is not made again: nobody would trust a second one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from demur.adapters import durable, keys
from demur.core.ledger.note import KeyType, VerifierKey
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from demur.ports import Signer

FIRST_KEY = "checkpoint.key"
LATER_KEYS = "checkpoint-*.key"


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether this Ed25519 key made this signature over this message; `note.Verify`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verifier_key(signer: Signer) -> VerifierKey:
    """The public half of a signer, as checkpoints name it; raises `LedgerError` where it can be none."""
    return VerifierKey(signer.name, KeyType.ED25519, signer.public_key)


class LocalSigner:
    """`ports.Signer` with the secret key in this process."""

    def __init__(self, name: str, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.name = name
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class SigningKeys(Protocol):
    """Where the secret halves are."""

    def find(self, key: VerifierKey) -> Signer | None:
        """The signer for this key, where its secret half is here."""

    def make(self, name: str, known: Collection[bytes]) -> Signer:
        """A signer whose public key is not among those known; raises `ConfigurationError` where there can be none."""

    def discard(self, key: VerifierKey) -> None:
        """Destroy the secret half, durably; one that is not here is no error. Raises `OSError`."""


class KeyFiles:
    """`SigningKeys` in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: VerifierKey) -> Signer | None:
        """As `SigningKeys.find`; raises `ConfigurationError` for a file that others can read or that is damaged."""
        return next((signer for _, signer in self._all(key.name) if signer.public_key == key.public_key), None)

    def make(self, name: str, known: Collection[bytes]) -> Signer:
        for _, signer in self._all(name):
            if signer.public_key not in known:
                return signer
        path = self._folder / (f"checkpoint-{self._next()}.key" if known else FIRST_KEY)
        try:
            keys.make_key(path)
            return LocalSigner(name, keys.read_key(path))
        except OSError as error:
            raise ConfigurationError(f"the key `{path}` cannot be made: {error.strerror}") from error

    def discard(self, key: VerifierKey) -> None:
        for path, signer in self._all(key.name):
            if signer.public_key == key.public_key:
                path.unlink(missing_ok=True)
                durable.sync_folder(self._folder)

    def _all(self, name: str) -> Iterable[tuple[Path, LocalSigner]]:
        paths = [self._folder / FIRST_KEY, *sorted(self._folder.glob(LATER_KEYS))]
        for path in paths:
            try:
                yield path, LocalSigner(name, keys.read_key(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ConfigurationError(f"the key `{path}` cannot be read: {error.strerror}") from error

    def _next(self) -> int:
        taken = {path.name for path in self._folder.glob(LATER_KEYS)}
        return next(number for number in range(2, len(taken) + 3) if f"checkpoint-{number}.key" not in taken)


class MemoryKeys:
    """`SigningKeys` that are forgotten with the process."""

    def __init__(self) -> None:
        self._signers: list[LocalSigner] = []

    def find(self, key: VerifierKey) -> Signer | None:
        return next((signer for signer in self._signers if signer.public_key == key.public_key), None)

    def make(self, name: str, known: Collection[bytes]) -> Signer:
        del known
        signer = LocalSigner(name, Ed25519PrivateKey.generate().private_bytes_raw())
        self._signers.append(signer)
        return signer

    def discard(self, key: VerifierKey) -> None:
        self._signers = [signer for signer in self._signers if signer.public_key != key.public_key]


class GivenKeys:
    """`SigningKeys` behind signers from outside, such as a key management service. What they hold is not ours."""

    def __init__(self, signers: Iterable[Signer]) -> None:
        self._signers = tuple(signers)

    def find(self, key: VerifierKey) -> Signer | None:
        return next(
            (item for item in self._signers if (item.name, item.public_key) == (key.name, key.public_key)), None
        )

    def make(self, name: str, known: Collection[bytes]) -> Signer:
        for signer in self._signers:
            if signer.name == name and signer.public_key not in known:
                return signer
        raise ConfigurationError(
            f"expected a signer named `{name}` that this log has not had yet, found none",
            hint="give it in the settings' `signers`, after those that sign now",
        )

    def discard(self, key: VerifierKey) -> None:
        """Nothing: whoever runs the signer disables the key there."""
