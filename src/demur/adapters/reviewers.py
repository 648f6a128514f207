"""Reviewers in a file: who may rule on reviews, with which roles, and the digest of each credential.

    reviewers.json    {"reviewers": [{"name": "mara", "roles": ["supervisor"], "credential": "<sha256 hex>",
                                      "groups": ["ward-3"], "languages": ["de", "tr"]}]}

- A credential is 256 random bits, shown once when it is issued. Only its SHA-256 is kept: with that much entropy
  nothing slower is needed, and whoever reads the file cannot rule.
- The file belongs to its owner alone (0600) and is replaced as a whole, so that a crash leaves the old or the new one.

Clauses: S7.4.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from demur.core import lever, roster
from demur.core.desk.routing import Colleague
from demur.core.panel import member_of
from demur.core.review import Reviewer
from demur.errors import ConfigurationError, IntakeError, RulingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PREFIX = "demur-reviewer-"
"""Every credential begins so, which lets scanners find one that leaked."""
_NAME = re.compile(r"[^\x00-\x20\x7f]{1,128}")


class Entry(msgspec.Struct, frozen=True):
    """One reviewer as kept; `credential` is the SHA-256 of the credential, in hex."""

    name: str
    roles: tuple[str, ...]
    credential: str
    groups: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def held(self) -> frozenset[str]:
        """The roles, and belonging to the groups."""
        return frozenset({*self.roles, *map(member_of, self.groups)})


class _File(msgspec.Struct, frozen=True):
    reviewers: tuple[Entry, ...] = ()


_files = msgspec.json.Decoder(_File)


class ReviewerBook:
    """The reviewers in a file, or in memory where there is no path. Safe to use from several processes."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._memory = _File()

    def identify(self, credential: str) -> Reviewer:
        """Who holds this credential; raises `RulingError` where nobody does."""
        digest = _digest(credential)
        # Every entry is compared, so that the time taken does not tell how far the search went.
        held = [entry for entry in self.entries() if hmac.compare_digest(entry.credential, digest)]
        if not held:
            message = "expected the credential of a reviewer, found one that nobody holds"
            raise RulingError(message, hint="`demur reviewer add` issues one")
        return Reviewer(held[0].name, held[0].held, may_reveal=True)

    def named(self, name: str) -> Reviewer | None:
        """The reviewer of this name with the roles they hold now; `None` where there is none."""
        found = next((entry for entry in self.entries() if entry.name == name), None)
        return None if found is None else Reviewer(found.name, found.held)

    def everybody(self) -> tuple[Colleague, ...]:
        """Who may be asked to rule, by name."""
        return tuple(
            Colleague(
                name=entry.name,
                roles=frozenset(entry.roles) - {lever.ROLE},
                groups=frozenset(entry.groups),
                languages=frozenset(entry.languages),
            )
            for entry in self.entries()
        )

    def entries(self) -> tuple[Entry, ...]:
        """Everybody, by name; raises `ConfigurationError` where the file cannot be trusted."""
        return tuple(sorted(self._read().reviewers, key=lambda entry: entry.name))

    def add(self, name: str, roles: Sequence[str], *, groups: Sequence[str] = (), languages: Sequence[str] = ()) -> str:
        """Add a reviewer, or give a known one other roles and another credential; returns the credential, once."""
        if not _NAME.fullmatch(name):
            message = f"expected a name without blanks, at most 128 characters, found `{name[:40]}`"
            raise ConfigurationError(message)
        if not roles:
            message = "expected at least one role, found none"
            raise ConfigurationError(message)
        try:
            kept = roster.check_groups(groups), roster.check_languages(languages)
        except IntakeError as error:
            raise ConfigurationError(f"expected {error.expected}, found {error.found}") from error
        if any(role.startswith(member_of("")) for role in roles):
            message = f"expected a role that does not begin with `{member_of('')}`, found one that does"
            raise ConfigurationError(message, hint="`--group` says what somebody belongs to")
        entry = Entry(name, tuple(sorted(set(roles))), "", *kept)
        credential = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as known:
            others = tuple(other for other in known.reviewers if other.name != name)
            self._write(_File((*others, msgspec.structs.replace(entry, credential=_digest(credential)))))
        return credential

    def remove(self, name: str) -> None:
        """Forget a reviewer; raises `ConfigurationError` where there is none of this name."""
        with self._changing() as known:
            others = tuple(entry for entry in known.reviewers if entry.name != name)
            if len(others) == len(known.reviewers):
                message = f"expected a known reviewer, found `{name[:40]}`"
                raise ConfigurationError(message)
            self._write(_File(others))

    @contextmanager
    def _changing(self) -> Iterator[_File]:
        if self._path is None:
            yield self._memory
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()

    def _read(self) -> _File:
        if self._path is None:
            return self._memory
        try:
            status = self._path.stat()
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return _File()
        except OSError as error:
            message = f"`{self._path.name}` cannot be read: {error.strerror}"
            raise ConfigurationError(message) from error
        if status.st_mode & 0o077:
            mode = f"{status.st_mode & 0o777:o}"
            message = f"expected `{self._path.name}` to be readable by its owner alone, found mode {mode}"
            raise ConfigurationError(message, hint=f"chmod 600 {self._path.name}")
        try:
            return _files.decode(raw)
        except msgspec.DecodeError as error:
            message = f"`{self._path.name}` cannot be read: {error}"
            raise ConfigurationError(message) from error

    def _write(self, file: _File) -> None:
        if self._path is None:
            self._memory = file
            return
        draft = self._path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(file)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._path)


def _digest(credential: str) -> str:
    return hashlib.sha256(credential.strip().encode("utf-8", "replace")).hexdigest()
