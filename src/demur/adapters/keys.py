"""The vault: seals what could identify a person under that person's key, and blinds what must be found again.

The data folder holds, readable by its owner only:

    master.key        32 bytes; wraps the key of every person. Whoever has it and the database can read everything.
    log-<log>.key     32 bytes; blinds request ids, counter keys and matches of one log
    subject-keys.db   the persons' keys (subject_keys.py)

Keep copies of the two key files apart from the database: without `master.key` nothing that was sealed can be read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from typing import TYPE_CHECKING, Protocol, Self

from demur.adapters import sealing
from demur.adapters.sealing import KEY_BYTES, PersonKey
from demur.adapters.subject_keys import MemoryKeys, SubjectKeys
from demur.core import record
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demur.core.record import Sealed


class PersonKeys(Protocol):
    """Where the persons' keys are kept."""

    def of(self, person: bytes) -> PersonKey: ...
    def by_id(self, key_id: str) -> PersonKey: ...
    def close(self) -> None: ...


class KeyVault:
    """`ports.Vault`. Safe to use from any thread."""

    def __init__(self, keys: PersonKeys, *, log_key: bytes, person_key: bytes) -> None:
        """`person_key` turns a person's name into the digest under which `keys` knows the person."""
        self._keys = keys
        self._log_key = log_key
        self._person_key = person_key

    @classmethod
    def open(cls, folder: Path, log: str, *, is_read_only: bool = False) -> Self:
        """The vault in `folder`, making what is missing; a read-only vault makes nothing.

        A key that is missing although it was used before is not made again, since a second one could open nothing.
        Raises `ConfigurationError` for a key file that is missing, damaged or readable by others, `StoreError` where
        the store of keys cannot be opened, `LedgerError` where `log` is no token.
        """
        record.check_log(log)
        database = folder / "subject-keys.db"
        if not is_read_only:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        master = _key(folder / "master.key", may_make=not is_read_only and not database.exists())
        keys = SubjectKeys(database, log, master, is_read_only=is_read_only)
        try:
            log_key = _key(folder / f"log-{log}.key", may_make=not is_read_only and not keys.is_used())
        except ConfigurationError:
            keys.close()
            raise
        return cls(keys, log_key=log_key, person_key=hmac.digest(master, b"demur person", "sha256"))

    @classmethod
    def in_memory(cls) -> Self:
        """A vault whose keys are forgotten with the process, for tests and for trying things out."""
        return cls(MemoryKeys(), log_key=os.urandom(KEY_BYTES), person_key=os.urandom(KEY_BYTES))

    def seal(self, person: str, digest: str, fields: Mapping[str, bytes]) -> Sealed:
        return sealing.seal(self._keys.of(hmac.digest(self._person_key, person.encode(), "sha256")), digest, fields)

    def unseal(self, sealed: Sealed) -> dict[str, bytes]:
        return sealing.unseal(self._keys.by_id(sealed.key_id), sealed)[1]

    def action_digest(self, sealed: Sealed) -> str:
        """The action digest that the record committed to; raises as `unseal`."""
        return sealing.unseal(self._keys.by_id(sealed.key_id), sealed)[0]

    def blind(self, *parts: str) -> bytes:
        # BLAKE2b is a keyed hash by design (RFC 7693, section 2.9), at less than half the time of HMAC.
        return hashlib.blake2b(framed(*parts), key=self._log_key, digest_size=32).digest()

    def close(self) -> None:
        """Close the store of keys."""
        self._keys.close()


def framed(*parts: str) -> bytes:
    """The parts with their lengths, so that no two lists of parts give the same bytes."""
    return "".join([f"{len(part)}:{part}" for part in parts]).encode()


def make_key(path: Path) -> None:
    """Put a new key into this file, durably; leaves a key that is there already as it is. Raises `OSError`."""
    # Written under another name and linked: the name never stands for half a key, and of two makers one wins.
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    _write_durably(draft, os.urandom(KEY_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def read_key(path: Path) -> bytes:
    """The key in this file; raises `OSError`, or `ConfigurationError` where others can read it or it is no key."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        data = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if mode & 0o077:
        raise ConfigurationError(
            f"expected `{path}` to be readable by its owner only, found mode {mode:04o}",
            hint=f"run `chmod 600 {path}`, and make a new key where somebody may have read it",
        )
    if len(data) != KEY_BYTES:
        found = f"{len(data)}" if len(data) < KEY_BYTES else "more"
        raise ConfigurationError(f"expected a key of {KEY_BYTES} bytes in `{path}`, found {found}")
    return data


def _key(path: Path, *, may_make: bool) -> bytes:
    try:
        if may_make and not path.exists():
            make_key(path)
        return read_key(path)
    except OSError as error:
        hint = "" if may_make else "put back the copy of this file; what it protected cannot be read without it"
        raise ConfigurationError(f"the key `{path}` cannot be read: {error.strerror}", hint=hint) from error


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
