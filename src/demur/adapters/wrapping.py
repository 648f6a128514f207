"""Wraps keys with a master key: the one secret that opens all others, in a file or behind a service.

    wrapped = nonce (12) || AES-256-GCM(master key, key, associated data)

A key management service is another `KeyWrapper`: it wraps and unwraps there, so that the master key never comes here.
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from demur.errors import LedgerError

NONCE_BYTES = 12


class KeyWrapper(Protocol):
    """Whoever knows the master key. May be called from any thread; `wrap` must be authenticated encryption.

    Both raise `StoreError` where the service cannot be reached, and then nothing is sealed or unsealed.
    """

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """The key, encrypted; `bound` is authenticated with it and not part of the result."""

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """The key again; raises `LedgerError` where it was altered, bound to something else, or wrapped elsewhere."""


class MasterKey:
    """A `KeyWrapper` over a master key of 32 bytes that this process holds."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, bound)

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound)
        except (InvalidTag, ValueError) as error:
            raise LedgerError("a key was altered, or wrapped by another master key") from error
