"""The vault: seals what could identify a person under that person's key, and blinds what must be found again.

The data folder holds, readable by its owner only:

    master.key        32 bytes; wraps the key of every person. Whoever has it and the database can read everything.
    master.next.key   only while the master key is being changed: the one that is to come
    log-<log>.key     32 bytes; blinds request ids and counter keys of one log
    subject-keys.db   the persons' keys (subject_keys.py)

Keep copies of the two key files apart from the database: without `master.key` nothing that was sealed can be read.

The master key is changed in three steps: the next one is written to its own file; one transaction wraps every key
anew; the file takes its place. Wherever that is interrupted, the next opening finds which of the two opens the keys,
and finishes or drops the change.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol, Self

from demur.adapters import sealing
from demur.adapters.sealing import KEY_BYTES, Disclosure, PersonKey
from demur.adapters.subject_keys import MemoryKeys, SubjectKeys, gone
from demur.adapters.wrapping import KeyWrapper, MasterKey
from demur.core import record
from demur.errors import ConfigurationError, ForgottenError, LedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from demur.core.record import Sealed

MASTER = "master.key"
NEXT_MASTER = "master.next.key"
KEYS = "subject-keys.db"
MAX_DIGESTS = 4_096
"""Names whose digests are remembered; whoever was away for longest goes first."""
_NOTHING: Mapping[str, tuple[str, bytes]] = {}


class PersonKeys(Protocol):
    """Where the persons' keys are kept: a file, or a database of its own. Safe to use from any thread.

    Persons come as digests of their names, keys go by random pseudonyms of 32 hex digits.
    """

    def of(self, person: bytes) -> PersonKey:
        """The person's key. Where there was none it is made, and durable before this returns."""

    def by_id(self, key_id: str) -> PersonKey:
        """The key with this pseudonym; raises `ForgottenError` where it was destroyed or never here.

        After `destroy` returned, no caller in any process may get the key again, from a cache either.
        """

    def ids_of(self, person: bytes) -> tuple[str, ...]:
        """The pseudonyms of the person's keys; makes none."""

    def destroy(self, key_ids: Collection[str]) -> bool:
        """Destroy keys durably; gone ones are no error. `True` once no copy is left in what this store consists of.

        `False` where one may be left for now, such as in a log that somebody reads; a second call finishes. What lies
        in backups of the store is not meant: those have a short life of their own.
        """

    def close(self) -> None: ...


class KeyVault:
    """`ports.Vault`. Safe to use from any thread."""

    def __init__(self, keys: PersonKeys, *, log_key: bytes, person_key: bytes) -> None:
        """`person_key` turns a person's name into the digest under which `keys` knows the person."""
        self._keys = keys
        self._log_key = log_key
        # Taking up the key is half of what a digest costs, so it is done once; and one answer asks for the same few
        # people again and again.
        self._keyed = hmac.new(person_key, digestmod="sha256")
        self._digest = lru_cache(MAX_DIGESTS)(self._digest_of)
        self._shunned: frozenset[str] = frozenset()
        self._rotate: Callable[[], int] | None = None

    @classmethod
    def open(cls, folder: Path, log: str, *, is_read_only: bool = False, wrapper: KeyWrapper | None = None) -> Self:
        """The vault in `folder`, making what is missing; a read-only vault makes nothing.

        With a `wrapper`, such as a key management service, there is no file with a master key. A key that is missing
        although it was used before is not made again, since a second one could open nothing.
        Raises `ConfigurationError` for a key file that is missing, damaged or readable by others, `StoreError` where
        the store of keys cannot be opened, `LedgerError` where `log` is no token or the keys are wrapped elsewhere.
        """
        record.check_log(log)
        database = folder / KEYS
        if not is_read_only:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if wrapper is not None:
            keys, person_key = _open_with(folder, log, wrapper, os.urandom(KEY_BYTES), is_read_only=is_read_only)
        else:
            master = _key(folder / MASTER, may_make=not is_read_only and not database.exists())
            keys, person_key = _open_keys(folder, log, master, is_read_only=is_read_only)
        try:
            log_key = _key(folder / f"log-{log}.key", may_make=not is_read_only and not keys.is_used())
        except ConfigurationError:
            keys.close()
            raise
        vault = cls(keys, log_key=log_key, person_key=person_key)
        if wrapper is None and not is_read_only:
            vault._rotate = partial(_rotate, folder, keys)
        return vault

    @classmethod
    def in_memory(cls) -> Self:
        """A vault whose keys are forgotten with the process, for tests and for trying things out."""
        return cls(MemoryKeys(), log_key=os.urandom(KEY_BYTES), person_key=os.urandom(KEY_BYTES))

    def seal(
        self,
        person: str,
        digest: str,
        fields: Mapping[str, bytes],
        others: Mapping[str, tuple[str, bytes]] = _NOTHING,
    ) -> Sealed:
        if others:
            fields = {**fields, **dict(sealing.lock(self._of(who), n, value) for n, (who, value) in others.items())}
        return sealing.seal(self._of(person), digest, fields)

    def unseal(self, sealed: Sealed, about: str = "") -> dict[str, bytes]:
        fields = sealing.unseal(self._by_id(sealed), sealed)[1]
        if about:
            keys = self.key_ids(about)
            fields = {n: value for n, value in fields.items() if (lock := sealing.locked_under(n)) and lock[1] in keys}
        return self._unlocked(fields) if any(":" in name for name in fields) else fields

    def action_digest(self, sealed: Sealed) -> str:
        """The action digest that the record committed to; raises as `unseal`."""
        return sealing.unseal(self._by_id(sealed), sealed)[0]

    def disclose(self, sealed: Sealed, names: Collection[str]) -> tuple[Disclosure, ...]:
        """The named fields with the proofs that the record committed to them; raises as `unseal`.

        A locked field goes by its whole name, `name:<key id>`, and is disclosed locked.
        """
        return sealing.disclose(self._by_id(sealed), sealed, names)

    def key_ids(self, person: str) -> tuple[str, ...]:
        """The pseudonyms of a person's keys; none where nothing about the person was sealed, or all was erased."""
        return self._keys.ids_of(self._digest(person))

    def holds_key(self, key_id: str) -> bool:
        try:
            self._keys.by_id(key_id)
        except ForgottenError:
            return False
        return key_id not in self._shunned

    def destroy(self, key_ids: Collection[str]) -> bool:
        self._digest.cache_clear()  # so that nobody who was erased is named in memory
        return self._keys.destroy(key_ids)

    def shun(self, key_ids: Collection[str]) -> None:
        """Use these keys no more, although they may be here: the ledger says that they were destroyed."""
        self._shunned = frozenset(key_ids)

    def rotate_master(self) -> int:
        if self._rotate is None:
            raise ConfigurationError(
                "expected a master key in a file of this vault, found none",
                hint="a key management service changes its master keys by itself",
            )
        return self._rotate()

    def blind_for(self, person: str, *parts: str) -> bytes:
        return self._of(person).blind(framed(*parts))

    def blind(self, *parts: str) -> bytes:
        # BLAKE2b is a keyed hash by design (RFC 7693, section 2.9), at less than half the time of HMAC.
        return hashlib.blake2b(framed(*parts), key=self._log_key, digest_size=32).digest()

    def close(self) -> None:
        """Close the store of keys."""
        self._keys.close()

    def _of(self, person: str) -> PersonKey:
        return self._keys.of(self._digest(person))

    def _digest_of(self, person: str) -> bytes:
        """HMAC-SHA256 of the name. `hmac.digest` would let go of the interpreter each time, and then wait for it."""
        keyed = self._keyed.copy()
        keyed.update(person.encode("utf-8", "surrogatepass"))
        return keyed.digest()

    def _by_id(self, sealed: Sealed) -> PersonKey:
        if not sealed.ciphertext:
            raise ForgottenError("the sealed values were destroyed")
        if sealed.key_id in self._shunned:
            raise gone(sealed.key_id)
        return self._keys.by_id(sealed.key_id)

    def _unlocked(self, fields: Mapping[str, bytes]) -> dict[str, bytes]:
        """The fields with those that were locked under their plain names, or left out where their key is gone."""
        opened: dict[str, bytes] = {}
        for name, value in fields.items():
            locked = sealing.locked_under(name)
            if locked is None:
                opened[name] = value
            elif self.holds_key(locked[1]):
                opened[locked[0]] = sealing.unlock(self._keys.by_id(locked[1]), name, value)
        return opened


def _rotate(folder: Path, keys: SubjectKeys) -> int:
    try:
        (folder / NEXT_MASTER).unlink(missing_ok=True)
        make_key(folder / NEXT_MASTER)
        count = keys.rewrap(MasterKey(read_key(folder / NEXT_MASTER)))
        _replace_master(folder)
    except OSError as error:
        raise StoreError(f"the master key cannot be changed: {error.strerror}") from error
    return count


def _open_keys(folder: Path, log: str, master: bytes, *, is_read_only: bool) -> tuple[SubjectKeys, bytes]:
    """The store of keys with the master key that opens it, and the key of the digests of names."""
    following = folder / NEXT_MASTER
    is_changing = following.exists()
    try:
        opened = _open_with(folder, log, MasterKey(master), _person_key(master), is_read_only=is_read_only)
    except LedgerError:
        if not is_changing:
            raise
        other = _key(following, may_make=False)
        opened = _open_with(folder, log, MasterKey(other), _person_key(other), is_read_only=is_read_only)
        if not is_read_only:
            _replace_master(folder)
    else:
        if is_changing and not is_read_only:
            following.unlink(missing_ok=True)
            _sync_folder(folder)
    return opened


def _open_with(
    folder: Path, log: str, wrapper: KeyWrapper, person_key: bytes, *, is_read_only: bool
) -> tuple[SubjectKeys, bytes]:
    keys = SubjectKeys(folder / KEYS, log, wrapper, is_read_only=is_read_only)
    try:
        return keys, keys.person_key(person_key)
    except BaseException:
        keys.close()
        raise


def _person_key(master: bytes) -> bytes:
    """Stores that were made before the key of the digests had a place of its own derived it from the master key."""
    return hmac.digest(master, b"demur person", "sha256")


def _replace_master(folder: Path) -> None:
    (folder / NEXT_MASTER).replace(folder / MASTER)
    _sync_folder(folder)


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
