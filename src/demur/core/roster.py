"""Who is known to a tenant: programs with their API keys, and people with their accounts. What may stand there, pure.

- A credential is 256 random bits, shown once. Only its SHA-256 is kept: with that much entropy nothing slower is
  needed, and whoever reads the roster can use none of it.
- A program has one key, or two while one replaces the other: the old one ends after an overlap, never later than it
  would have ended anyway.
- People are nameless here: their names are sealed under their own keys, so that an erasure takes them (S5.5).

Clauses: S1.1, S5.5, S7.4.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from demur.core.access import Identity, Role
from demur.core.record import Sealed
from demur.core.terms import Entity, Timestamp
from demur.errors import IntakeError

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_PREFIX, SESSION_PREFIX, LINK_PREFIX = "demur-caller-", "demur-session-", "demur-link-"
"""Every credential begins with its kind, which lets scanners find one that leaked."""
KIND = "agent"
"""The type of the entity that a program is, as an actor and as a subject of its own requests."""
PERSON = "user"
"""The type of the entity that a person is, as a subject."""
MAX_KNOWN = 10_000
"""Programs, and people, of one tenant."""
MAX_SUBJECTS = 64
MAX_OVERLAP_SECONDS = 30 * 86_400
SHOWN = 4
"""Characters of a credential, beside its prefix, by which people tell keys apart: 24 of 256 bits."""
_OWNED = frozenset({Role.AUTHOR, Role.APPROVER})
"""Roles that one person may not use on both sides of one change, be it by way of a program of theirs (S12)."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_PERSON = re.compile(r"[^\x00-\x20\x7f]{1,128}")
_PATTERN = re.compile(r"[^\x00-\x20\x7f:]{1,64}:[^\x00-\x1f\x7f]{1,1024}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One credential as kept: the SHA-256 of it, how it begins, since when, and until when where it ends."""

    digest: bytes
    begins: str
    since: Timestamp
    expires_at: Timestamp | None = None

    def is_in_force(self, now: Timestamp) -> bool:
        """Whether it has not ended."""
        return self.expires_at is None or now < self.expires_at


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One program: what it may do, as whom and for whom, and its keys, the newest first."""

    name: str
    roles: tuple[Role, ...]
    keys: tuple[Key, ...]
    actor: str = ""
    subjects: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    owner: str = ""
    """The id of the account of the person who answers for it."""

    def identity(self, tenant: str, key: Key) -> Identity:
        """Who calls with this key of it."""
        kind, _, own = (self.actor or f"{KIND}:{self.name}").partition(":")
        return Identity(
            id=f"{KIND}:{self.name}",
            tenant=tenant,
            roles=frozenset(self.roles),
            actor=Entity(type=kind, id=own),
            subjects=self.subjects,
            obligations=frozenset(self.obligations),
            owner=self.owner,
            expires_at=key.expires_at,
        )


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person. `id` blinds the name, which `sealed` holds; `panels` are the roles that review rules ask for,
    `groups` what the person belongs to, `languages` what they speak, as tags such as `de`.

    `password` is an argon2id hash, "" for none; `link` lets the person choose one, once; `login` blinds issuer and
    subject at an identity provider.
    """

    id: str
    sealed: Sealed
    roles: tuple[Role, ...]
    panels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    password: str = ""
    link: Key | None = None
    login: bytes = b""

    def identity(self, tenant: str, name: str, expires_at: Timestamp | None = None) -> Identity:
        """Who acts when this person does."""
        return Identity(
            id=f"{PERSON}:{name}",
            tenant=tenant,
            roles=frozenset(self.roles),
            is_person=True,
            owner=self.id,
            expires_at=expires_at,
        )


class Roster(msgspec.Struct, frozen=True):
    """Everybody who is known, by name."""

    programs: tuple[Program, ...] = ()
    people: tuple[Account, ...] = ()

    def program(self, name: str) -> Program | None:
        """The program of this name."""
        return next((item for item in self.programs if item.name == name), None)

    def person(self, person_id: str) -> Account | None:
        """The person with this id."""
        return next((item for item in self.people if item.id == person_id), None)


NOBODY = Roster()


def digest(credential: str | bytes) -> bytes:
    """What is kept of a credential."""
    raw = credential.encode("utf-8", "replace") if isinstance(credential, str) else credential
    return hashlib.sha256(raw).digest()


def key(credential: str, *, since: Timestamp, expires_at: Timestamp | None = None) -> Key:
    """A credential as it is kept; raises `IntakeError` where it would have ended before it begins."""
    if expires_at is not None and expires_at <= since:
        raise IntakeError("/expires_at", expected="a time to come", found=f"`{expires_at}`")
    prefix = next(item for item in (KEY_PREFIX, SESSION_PREFIX, LINK_PREFIX) if credential.startswith(item))
    begins = credential[: len(prefix) + SHOWN]
    return Key(digest=digest(credential), begins=begins, since=since, expires_at=expires_at)


def check_program(program: Program) -> Program:
    """A program that may stand in a roster, in order; raises `IntakeError`."""
    if not _NAME.fullmatch(program.name):
        raise IntakeError(
            "/name", expected="a name of a-z, 0-9, `_`, `.` and `-`, at most 64", found=f"`{program.name[:40]}`"
        )
    _check_few("/subjects", program.subjects)
    _check_few("/obligations", program.obligations)
    for text in (*program.subjects, *([program.actor] if program.actor else [])):
        if not _PATTERN.fullmatch(text):
            raise IntakeError("/subjects", expected="`type:id` such as `user:*`", found=f"`{text[:40]}`")
    for text in program.obligations:
        if not _WORD.fullmatch(text):
            raise IntakeError("/obligations", expected="the type of an obligation", found=f"`{text[:40]}`")
    if not program.owner and not _OWNED.isdisjoint(program.roles):
        raise IntakeError(
            "/owner", expected="the person who answers for a program that is author or approver", found="none"
        )
    return msgspec.structs.replace(
        program,
        roles=check_roles(program.roles),
        subjects=tuple(dict.fromkeys(program.subjects)),
        obligations=tuple(sorted(set(program.obligations))),
    )


def check_roles(roles: Iterable[Role]) -> tuple[Role, ...]:
    """The roles, each once, in order; raises `IntakeError` where there is none."""
    found = tuple(sorted(set(roles)))
    if not found:
        raise IntakeError("/roles", expected="at least one role", found="none")
    return found


def check_person(name: str) -> str:
    """A name that a person may have; raises `IntakeError`."""
    if not _PERSON.fullmatch(name):
        raise IntakeError("/name", expected="a name without blanks, at most 128 characters", found=f"`{name[:40]}`")
    return name


def check_panels(panels: Iterable[str]) -> tuple[str, ...]:
    """The roles in reviews, each once, in order; raises `IntakeError`."""
    found = tuple(sorted(set(panels)))
    _check_few("/panels", found)
    for text in found:
        if not _WORD.fullmatch(text):
            raise IntakeError("/panels", expected="a role that review rules name", found=f"`{text[:40]}`")
    return found


def check_groups(groups: Iterable[str]) -> tuple[str, ...]:
    """The groups that somebody belongs to, each once, in order; raises `IntakeError`."""
    found = tuple(sorted(set(groups)))
    _check_few("/groups", found)
    for text in found:
        if not _WORD.fullmatch(text):
            raise IntakeError("/groups", expected="a group that review rules name", found=f"`{text[:40]}`")
    return found


def check_languages(languages: Iterable[str]) -> tuple[str, ...]:
    """The languages that somebody speaks, each once, in order; raises `IntakeError`."""
    found = tuple(sorted(set(languages)))
    _check_few("/languages", found)
    for text in found:
        if not _LANGUAGE.fullmatch(text):
            raise IntakeError("/languages", expected="a language tag such as `de` or `pt-BR`", found=f"`{text[:40]}`")
    return found


def with_program(roster: Roster, program: Program) -> Roster:
    """The roster with this program, in the place of one of the same name; raises `IntakeError` where it is full."""
    others = tuple(item for item in roster.programs if item.name != program.name)
    _check_room(others)
    return msgspec.structs.replace(roster, programs=tuple(sorted((*others, program), key=lambda item: item.name)))


def without_program(roster: Roster, name: str) -> Roster:
    """The roster without this program; raises `IntakeError` where there is none of this name."""
    known = found_program(roster, name)
    return msgspec.structs.replace(roster, programs=tuple(item for item in roster.programs if item is not known))


def found_program(roster: Roster, name: str) -> Program:
    """The program of this name; raises `IntakeError` where there is none."""
    known = roster.program(name)
    if known is None:
        raise IntakeError("/name", expected="a known caller", found=f"`{name[:40]}`")
    return known


def rotated(program: Program, fresh: Key, *, overlap_seconds: int) -> Program:
    """The program with another key. The newest of the old ones goes on for the overlap, and no others.

    Raises `IntakeError` for an overlap that is negative or longer than 30 days.
    """
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise IntakeError("/overlap", expected=f"0 to {MAX_OVERLAP_SECONDS} seconds", found=f"{overlap_seconds}")
    end = fresh.since.plus(overlap_seconds)
    kept = [
        msgspec.structs.replace(old, expires_at=end if old.expires_at is None else min(end, old.expires_at))
        for old in program.keys[:1]
        if overlap_seconds and old.is_in_force(fresh.since)
    ]
    return msgspec.structs.replace(program, keys=(fresh, *kept))


def with_person(roster: Roster, account: Account) -> Roster:
    """The roster with this person, in the place of an earlier account; raises `IntakeError` where it is full."""
    others = tuple(item for item in roster.people if item.id != account.id)
    _check_room(others)
    return msgspec.structs.replace(roster, people=tuple(sorted((*others, account), key=lambda item: item.id)))


def without_person(roster: Roster, person_id: str) -> Roster:
    """The roster without this person; raises `IntakeError` where there is none."""
    known = found_person(roster, person_id)
    return msgspec.structs.replace(roster, people=tuple(item for item in roster.people if item is not known))


def found_person(roster: Roster, person_id: str) -> Account:
    """The person with this id; raises `IntakeError` where there is none."""
    known = roster.person(person_id)
    if known is None:
        raise IntakeError("/name", expected="a known person", found="one that is not")
    return known


def _check_room(others: tuple[object, ...]) -> None:
    if len(others) >= MAX_KNOWN:
        raise IntakeError("/name", expected=f"at most {MAX_KNOWN} at a time", found="as many already")


def _check_few(pointer: str, found: tuple[str, ...]) -> None:
    if len(found) > MAX_SUBJECTS:
        raise IntakeError(pointer, expected=f"at most {MAX_SUBJECTS} items", found=f"{len(found)}")
