"""Programs that may call a service, in a file: what each may do, and the digest of its API key.

    callers.json    {"callers": [{"name": "desk", "key": "<sha256 hex>", "roles": ["caller"], "subjects": ["user:*"]}]}

- An API key is 256 random bits, shown once when it is issued. Only its SHA-256 is kept: with that much entropy nothing
  slower is needed, and whoever reads the file cannot call.
- The file belongs to its owner alone (0600) and is replaced as a whole, so that a crash leaves the old or the new one.
- Whoever holds the file open sees a change within a second, a key that was taken back included.

Clauses: S1.1.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from demur.core.access import Identity, Role
from demur.core.terms import Entity, Timestamp, parse_timestamp
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "demur-caller-"
"""Every API key begins so, which lets scanners find one that leaked."""
KIND = "agent"
"""The type of the entity that a program is, as an actor and as a subject of its own requests."""
_NAME = re.compile(r"[a-z0-9_.-]{1,64}")
_PATTERN = re.compile(r"[^\x00-\x20\x7f:]{1,64}:[^\x00-\x1f\x7f]{1,1024}")


class CallerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One program as kept; `key` is the SHA-256 of its API key, in hex, and `actor` an agent as `type:id`."""

    name: str
    key: str
    roles: tuple[Role, ...] = (Role.CALLER,)
    subjects: tuple[str, ...] = ()
    actor: str = ""
    obligations: tuple[str, ...] = ()
    expires_at: str = ""

    def identity(self, tenant: str) -> Identity:
        """Who calls with this key; raises `ValueError` where the entry is none."""
        kind, _, own = (self.actor or f"{KIND}:{self.name}").partition(":")
        return Identity(
            id=f"{KIND}:{self.name}",
            tenant=tenant,
            roles=frozenset(self.roles),
            actor=Entity(type=kind, id=own),
            subjects=self.subjects,
            obligations=frozenset(self.obligations),
            expires_at=parse_timestamp(self.expires_at) if self.expires_at else None,
        )


class _File(msgspec.Struct, frozen=True):
    callers: tuple[CallerEntry, ...] = ()


class CallerBook:
    """The programs in a file. Safe to use from several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def exists(self) -> bool:
        """Whether anybody was ever added."""
        return self._path.exists()

    def state(self) -> tuple[int, ...]:
        """Changes whenever the file does; nothing where there is no file."""
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def entries(self) -> tuple[CallerEntry, ...]:
        """Everybody, by name; raises `ConfigurationError` where the file cannot be trusted."""
        return tuple(sorted(self._read().callers, key=lambda entry: entry.name))

    def add(
        self,
        name: str,
        *,
        roles: tuple[Role, ...] = (Role.CALLER,),
        subjects: tuple[str, ...] = (),
        actor: str = "",
        obligations: tuple[str, ...] = (),
        expires_at: Timestamp | None = None,
    ) -> str:
        """Add a program, or give a known one another key and other rights; returns the API key, once.

        Raises `ConfigurationError` where a name or pattern is not well-formed.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"expected a name of a-z, 0-9, `_`, `.` and `-`, found `{name[:40]}`")
        for text in (*subjects, *([actor] if actor else [])):
            if not _PATTERN.fullmatch(text):
                raise ConfigurationError(f"expected `type:id` such as `user:*`, found `{text[:40]}`")
        if not roles:
            raise ConfigurationError("expected at least one role, found none")
        key = PREFIX + secrets.token_urlsafe(32)
        entry = CallerEntry(
            name=name,
            key=digest(key),
            roles=tuple(sorted(set(roles))),
            subjects=subjects,
            actor=actor,
            obligations=tuple(sorted(set(obligations))),
            expires_at=str(expires_at) if expires_at else "",
        )
        with self._changing() as known:
            self._write(_File((*(other for other in known.callers if other.name != name), entry)))
        return key

    def remove(self, name: str) -> None:
        """Forget a program; raises `ConfigurationError` where there is none of this name."""
        with self._changing() as known:
            others = tuple(entry for entry in known.callers if entry.name != name)
            if len(others) == len(known.callers):
                raise ConfigurationError(f"expected a known caller, found `{name[:40]}`")
            self._write(_File(others))

    @contextmanager
    def _changing(self) -> Iterator[_File]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()

    def _read(self) -> _File:
        try:
            status = self._path.stat()
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return _File()
        except OSError as error:
            raise ConfigurationError(f"`{self._path.name}` cannot be read: {error.strerror}") from error
        if status.st_mode & 0o077:
            mode = f"{status.st_mode & 0o777:o}"
            message = f"expected `{self._path.name}` to be readable by its owner alone, found mode {mode}"
            raise ConfigurationError(message, hint=f"chmod 600 {self._path.name}")
        try:
            file = msgspec.json.decode(raw, type=_File)
            for entry in file.callers:
                entry.identity("")
        except (ValueError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"`{self._path.name}` cannot be read: {error}") from error
        return file

    def _write(self, file: _File) -> None:
        draft = self._path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(file)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._path)


def digest(key: str) -> str:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
