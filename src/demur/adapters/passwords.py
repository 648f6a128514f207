"""Passwords, kept as argon2id (RFC 9106, its second recommended option: 64 MiB, three passes, four lanes).

Whoever asks for somebody unknown waits as long as for a wrong password: it is checked against a hash of nobody's.
"""

from __future__ import annotations

import secrets
import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """What is kept of a password."""
    return _hasher.hash(_normal(password))


def is_password(kept: str, password: str) -> bool:
    """Whether this is the password of which `kept` is left; never for "", after the same time."""
    try:
        return _hasher.verify(kept or _nobodys(), _normal(password)) and bool(kept)
    except (VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))


def _normal(password: str) -> bytes:
    """Keyboards write the same letters in several ways (NIST SP 800-63B, section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
