"""Who is known to one tenant, in its store: add, change and remove programs and people. Each act is a record (S12).

- The roster is one value of the store, so that replicas share it; records, the roster and logins change together or
  not at all. Each act is `identity_added`, `identity_changed` or `identity_removed`, by whom and about whom by
  pseudonyms; names are sealed.
- A credential is made here, told once, and kept as its SHA-256 alone.
- People's names are sealed under `reviewer:NAME`, the person that their rulings are sealed under, and found again by a
  blinded digest. Once that person is erased the account is nobody's.

Clauses: S5.5, S12.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NotRequired, TypedDict, TypeVar

import msgspec

from demur.core import roster
from demur.core.access import Role
from demur.core.login import Login
from demur.core.record import Draft
from demur.core.roster import NOBODY, Key, Program, Roster
from demur.core.terms import Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from demur.core.access import Identity
    from demur.core.record import Json, Sealed
    from demur.ports import Clock, Store, Transaction, Vault

META, LOGINS, USED = "identities", "logins", "identities_used"
FIRST = "first"
"""The caller that is added where nobody is known yet."""
DAY = 86_400
OVERLAP_SECONDS = DAY
"""How long the old key of a program goes on beside a fresh one, unless said otherwise."""
T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode
_rosters = lru_cache(maxsize=8)(msgspec.msgpack.Decoder(Roster).decode)
_logins = lru_cache(maxsize=8)(msgspec.msgpack.Decoder(tuple[Login, ...]).decode)
_used = msgspec.msgpack.Decoder(dict[str, int]).decode


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who administers: a person by name, or a program by the id of its identity."""

    name: str
    is_person: bool = True

    @classmethod
    def of(cls, identity: Identity) -> Administrator:
        """Whoever called."""
        return cls(identity.name, identity.is_person)

    @property
    def person(self) -> str:
        """Under whose key their acts are sealed."""
        return f"reviewer:{self.name}" if self.is_person else self.name


LOCAL = Administrator("local")
"""Whoever owns the home, at its command line."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A person as administrators see them; the name is "" where it was erased."""

    name: str
    roles: tuple[Role, ...]
    panels: tuple[str, ...]
    has_password: bool
    has_login: bool
    awaits_link: bool


class State(msgspec.Struct, frozen=True):
    """Everything by which callers are known, as it stands in the store."""

    roster: Roster
    logins: tuple[Login, ...]
    used: dict[str, int]
    """By how a key begins, the day since 1970 on which it was last used."""


def read(tx: Transaction) -> Roster:
    """Everybody who is known."""
    raw = tx.find_meta(META)
    return NOBODY if raw is None else _rosters(raw)


def read_logins(tx: Transaction) -> tuple[Login, ...]:
    """The logins, those included that have ended since anybody logged in."""
    raw = tx.find_meta(LOGINS)
    return () if raw is None else _logins(raw)


def read_state(tx: Transaction) -> State:
    """All of it, in one snapshot."""
    used = tx.find_meta(USED)
    return State(read(tx), read_logins(tx), {} if used is None else _used(used))


class ToldKey(TypedDict):
    """One key as people see it: how it begins, since when and until when, and the day on which it was last used."""

    begins: str
    since: str
    expires_at: NotRequired[str]
    last_used: NotRequired[str]


class ToldProgram(TypedDict):
    """One program as people see it."""

    name: str
    roles: list[str]
    actor: str
    subjects: list[str]
    obligations: list[str]
    keys: list[ToldKey]


def describe(program: Program, used: Mapping[str, int]) -> ToldProgram:
    """A program as people see it; nothing of it can be used as a credential."""
    own = f"{roster.KIND}:{program.name}"
    return {
        "name": program.name,
        "roles": [role.value for role in program.roles],
        "actor": program.actor or own,
        "subjects": [own, *program.subjects],
        "obligations": list(program.obligations),
        "keys": [_told(one, used.get(one.begins)) for one in program.keys],
    }


def _told(one: Key, day: int | None) -> ToldKey:
    told: ToldKey = {"begins": one.begins, "since": str(one.since)}
    if one.expires_at is not None:
        told["expires_at"] = str(one.expires_at)
    if day is not None:
        told["last_used"] = str(Timestamp(0).plus(day * DAY))[:10]
    return told


class Enrolment:
    """The roster of one tenant. Safe to use from any thread; every method blocks until it is durable."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, *, deadline_seconds: float = 10.0) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._deadline_seconds = deadline_seconds

    def state(self) -> State:
        """Everything as it was last committed; raises `StoreError`."""
        return self._store.read(read_state)

    def now(self) -> Timestamp:
        """The time by which credentials end."""
        return self._clock.now()

    def programs(self) -> tuple[Program, ...]:
        """The programs, by name; raises `StoreError`."""
        return self._store.read(read).programs

    def add_first(self) -> str:
        """A key that may evaluate for every subject, where nobody was ever known here, and "" otherwise.

        Raises `StoreError`.
        """
        secret, wanted = _program(FIRST, roles=(Role.CALLER,), subjects=("*:*",))

        def work(tx: Transaction) -> str:
            if tx.find_meta(META) is not None:
                return ""
            self._put_program(tx, LOCAL, wanted, secret, None)
            return secret

        return self._do(work)

    def add_program(
        self,
        name: str,
        *,
        by: Administrator,
        roles: Collection[Role],
        subjects: Collection[str] = (),
        actor: str = "",
        obligations: Collection[str] = (),
        owner: str = "",
        expires_at: Timestamp | None = None,
    ) -> str:
        """Add a program, or give a known one other rights and one fresh key instead of all others; the key, once.

        `owner` is the name of the person who answers for it: what it writes is theirs, and not for them to approve.
        Raises `IntakeError` where something is not well-formed, and `StoreError`.
        """
        secret, wanted = _program(
            name,
            roles=tuple(roles),
            actor=actor,
            subjects=tuple(subjects),
            obligations=tuple(obligations),
            owner=id_of(self._vault, roster.check_person(owner)) if owner else "",
        )
        self._do(lambda tx: self._put_program(tx, by, wanted, secret, expires_at))
        return secret

    def rotate_program(
        self,
        name: str,
        *,
        by: Administrator,
        overlap_seconds: int = OVERLAP_SECONDS,
        expires_at: Timestamp | None = None,
    ) -> str:
        """Give a program a fresh key; the old one goes on for the overlap. Raises as `add_program`."""
        secret = roster.KEY_PREFIX + secrets.token_urlsafe(32)

        def work(tx: Transaction) -> None:
            known = read(tx)
            fresh = roster.key(secret, since=tx.now, expires_at=expires_at)
            program = roster.rotated(roster.found_program(known, name), fresh, overlap_seconds=overlap_seconds)
            self._record(tx, "identity_changed", by, program, change="key", overlap_seconds=overlap_seconds)
            put(tx, roster.with_program(known, program))

        self._do(work)
        return secret

    def remove_program(self, name: str, *, by: Administrator) -> None:
        """Forget a program and its keys; raises `IntakeError` where there is none of this name, and `StoreError`."""

        def work(tx: Transaction) -> None:
            known = read(tx)
            program = roster.found_program(known, name)
            self._record(tx, "identity_removed", by, program)
            put(tx, roster.without_program(known, name))

        self._do(work)

    def note_used(self, begins: Collection[str]) -> None:
        """Remember that keys which begin so were used today; of keys that are gone nothing stays."""

        def work(tx: Transaction) -> None:
            today = tx.now.seconds // DAY
            kept = {item.begins for program in read(tx).programs for item in program.keys}
            raw = tx.find_meta(USED)
            used = {} if raw is None else _used(raw)
            fresh = {name: day for name, day in used.items() if name in kept} | dict.fromkeys(
                kept.intersection(begins), today
            )
            if fresh != used:
                tx.put_meta(USED, _encode(fresh))

        self._do(work)

    def _put_program(
        self, tx: Transaction, by: Administrator, wanted: Program, secret: str, expires_at: Timestamp | None
    ) -> None:
        known = read(tx)
        fresh = roster.key(secret, since=tx.now, expires_at=expires_at)
        program = msgspec.structs.replace(wanted, keys=(fresh,))
        kind = "identity_added" if known.program(program.name) is None else "identity_changed"
        self._record(tx, kind, by, program)
        put(tx, roster.with_program(known, program))

    def _record(self, tx: Transaction, kind: str, by: Administrator, program: Program, /, **more: Json) -> None:
        body: dict[str, Json] = {
            "kind": "program",
            "identity": self._vault.blind("caller", f"{roster.KIND}:{program.name}").hex()[:32],
            "by": pseudonym(self._vault, by),
            "roles": [role.value for role in program.roles],
            "keys": len(program.keys),
            **more,
        }
        tx.append(Draft(kind, body, seal(self._vault, by, identity=f"{roster.KIND}:{program.name}")))

    def _do(self, work: Callable[[Transaction], T]) -> T:
        return self._store.submit(work).result(self._deadline_seconds)


def pseudonym(vault: Vault, by: Administrator) -> str:
    """The same name that other records give whoever administers: as reviewer and operator, or as caller."""
    if by.is_person:
        return vault.blind_for(by.person, "reviewer").hex()[:32]
    return vault.blind("caller", by.name).hex()[:32]


def id_of(vault: Vault, name: str) -> str:
    """The blinded digest by which a person is found again."""
    return vault.blind("person", name).hex()[:32]


def seal(vault: Vault, by: Administrator, *, about: str = "", **told: str) -> Sealed:
    """Who did it, and about which person (`type:id`); each of the two can be erased alone."""
    fields = {name: text.encode() for name, text in {"reviewer": by.name, **told}.items()}
    others = {"about": (about, about.encode())} if about else {}
    return vault.seal(by.person, "", fields, others)


def put(tx: Transaction, known: Roster) -> None:
    """Everybody who is known from now on."""
    tx.put_meta(META, _encode(known))


def put_logins(tx: Transaction, logins: tuple[Login, ...]) -> None:
    """The logins from now on."""
    tx.put_meta(LOGINS, _encode(logins))


def _program(
    name: str,
    *,
    roles: tuple[Role, ...],
    actor: str = "",
    subjects: tuple[str, ...] = (),
    obligations: tuple[str, ...] = (),
    owner: str = "",
) -> tuple[str, Program]:
    """A fresh key, and the program that it is for; raises `IntakeError`."""
    program = Program(
        name=name, roles=roles, keys=(), actor=actor, subjects=subjects, obligations=obligations, owner=owner
    )
    return roster.KEY_PREFIX + secrets.token_urlsafe(32), roster.check_program(program)
