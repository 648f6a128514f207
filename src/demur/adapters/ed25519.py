"""Ed25519 keys of meters (RFC 8032): made once, kept in a file that its owner alone can read.

    meter.key    32 bytes, the private key's seed, mode 0600

A public key is handed on as 64 hex digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from demur.adapters.keys import make_key, read_key

if TYPE_CHECKING:
    from pathlib import Path


def open_key(path: Path) -> Ed25519PrivateKey:
    """The key in this file, made where there is none.

    Raises `OSError`, or `ConfigurationError` where others can read the file or it holds no key.
    """
    if not path.exists():
        make_key(path)
    return Ed25519PrivateKey.from_private_bytes(read_key(path))


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public key, as it is registered."""
    return key.public_key().public_bytes_raw().hex()


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of the key signed this message; a key or a signature of another length did not."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
