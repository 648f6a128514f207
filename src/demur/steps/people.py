"""People who log in: accounts, one-time links, logins, and the credential that a login is (S7.4).

- An account is made by an administrator. Its link is good once and for a day: whoever holds it chooses the password.
- A login is a credential of 256 random bits. It ends by itself, when the person logs out, when their password or their
  roles change, and when they are removed. Logging in makes a fresh one, whatever was sent before.
- The reviewers port understands a login: what its holder may rule on are the panels of their account, and an account
  with the role `operator` moves levers. Nothing is ever done without such a credential.

Clauses: S5.5, S7.4, S12.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from demur.core import lever, login, roster
from demur.core.access import ALLOWED, Act, Role
from demur.core.desk.routing import Colleague
from demur.core.login import Login
from demur.core.panel import member_of
from demur.core.record import Draft
from demur.core.review import Reviewer
from demur.core.roster import Account
from demur.errors import AccessError, IntakeError, LedgerError, RulingError
from demur.steps import enrolling
from demur.steps.enrolling import Administrator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from demur.core.record import Json
    from demur.core.terms import Timestamp
    from demur.ports import Clock, Store, Transaction, Vault

T = TypeVar("T")


class People:
    """The people of one tenant. Safe to use from any thread; every method blocks until it is durable."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, *, deadline_seconds: float = 10.0) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._deadline_seconds = deadline_seconds

    def add(
        self,
        name: str,
        *,
        by: Administrator,
        roles: Collection[Role],
        panels: Collection[str] = (),
        provider: tuple[str, str] | None = None,
        groups: Collection[str] = (),
        languages: Collection[str] = (),
    ) -> str:
        """Add a person, or give a known one other roles, a fresh link and no login; the link's credential, once.

        `provider` is issuer and subject at an identity provider. Raises `IntakeError` where something is not
        well-formed, and `StoreError`.
        """
        secret, wanted = self._account(name, roles, panels, provider)
        known = roster.check_groups(groups), roster.check_languages(languages)
        wanted = msgspec.structs.replace(wanted, groups=known[0], languages=known[1])
        self._do(lambda tx: self._put(tx, by, name, wanted, secret))
        return secret

    def add_first(self, name: str) -> str:
        """An administrator's link where no person was ever known here, and "" otherwise; raises `StoreError`."""
        secret, wanted = self._account(name, frozenset(Role) - {Role.CALLER}, (), None)

        def work(tx: Transaction) -> str:
            if tx.find_meta(enrolling.LOGINS) is not None:
                return ""
            self._put(tx, enrolling.LOCAL, name, wanted, secret)
            return secret

        return self._do(work)

    def remove(self, name: str, *, by: Administrator) -> None:
        """Forget a person and end their logins; raises `IntakeError` where there is none, and `StoreError`."""
        person_id = self.id_of(name)

        def work(tx: Transaction) -> None:
            known = enrolling.read(tx)
            account = roster.found_person(known, person_id)
            self._record(tx, "identity_removed", by, name, account)
            enrolling.put(tx, roster.without_person(known, person_id))
            enrolling.put_logins(tx, login.without(enrolling.read_logins(tx), person=person_id))

        self._do(work)

    def awaits(self, link: str) -> bool:
        """Whether somebody holds this link and it has not ended; raises `StoreError`."""
        wanted, now = roster.digest(link), self._clock.now()
        people = self._store.read(enrolling.read).people
        return any(item.link and item.link.digest == wanted and item.link.is_in_force(now) for item in people)

    def choose_password(self, link: str, password: str) -> str:
        """Give whoever holds this link this password (its argon2id hash); their name. The link is worth nothing then.

        Raises `AccessError` where nobody holds the link or it has ended, and `StoreError`.
        """
        wanted = roster.digest(link)

        def work(tx: Transaction) -> str:
            known = enrolling.read(tx)
            account = next((item for item in known.people if item.link and item.link.digest == wanted), None)
            if account is None or account.link is None or not account.link.is_in_force(tx.now):
                raise AccessError("expected a link that is in force, found one that was used, has ended or is none")
            name = self.name_of(account)
            changed = msgspec.structs.replace(account, link=None, password=password)
            self._record(tx, "identity_changed", Administrator(name), name, changed, change="password")
            enrolling.put(tx, roster.with_person(known, changed))
            enrolling.put_logins(tx, login.without(enrolling.read_logins(tx), person=account.id))
            return name

        return self._do(work)

    def log_in(self, person_id: str, *, instead_of: bytes = b"") -> str:
        """A fresh login of a person, instead of that with this digest; its credential, once.

        Raises `AccessError` where there is no such person any more, and `StoreError`.
        """
        secret = roster.SESSION_PREFIX + secrets.token_urlsafe(32)

        def work(tx: Transaction) -> None:
            if enrolling.read(tx).person(person_id) is None:
                raise AccessError("expected a known person, found one that is not")
            fresh = Login(digest=roster.digest(secret), person=person_id, opened_at=tx.now, seen_at=tx.now)
            others = login.without(enrolling.read_logins(tx), digest=instead_of)
            enrolling.put_logins(tx, login.with_login(others, fresh, tx.now))

        self._do(work)
        return secret

    def log_out(self, digest: bytes) -> None:
        """End the login with this digest, if there is one; raises `StoreError`."""
        if any(item.digest == digest for item in self._store.read(enrolling.read_logins)):
            self._do(lambda tx: enrolling.put_logins(tx, login.without(enrolling.read_logins(tx), digest=digest)))

    def touch(self, seen: Mapping[bytes, Timestamp]) -> None:
        """These logins were used at these times; those that have ended stay ended. Raises `StoreError`."""

        def work(tx: Transaction) -> None:
            known = enrolling.read_logins(tx)
            touched = tuple(_touched(item, seen.get(item.digest)) for item in known)
            if touched != known:
                enrolling.put_logins(tx, touched)

        self._do(work)

    def find(self, name: str) -> Account | None:
        """The account of this name; raises `StoreError`."""
        person_id = self.id_of(name)
        return self._store.read(lambda tx: enrolling.read(tx).person(person_id))

    def find_provided(self, issuer: str, subject: str) -> Account | None:
        """The account of somebody at an identity provider; raises `StoreError`."""
        wanted = self.login_of(issuer, subject)
        people = self._store.read(enrolling.read).people
        return next((item for item in people if item.login == wanted), None)

    def listed(self) -> list[dict[str, object]]:
        """Everybody as administrators see them; raises `StoreError`."""
        return [
            {
                "name": self._name_or_nobody(item),
                "roles": [role.value for role in item.roles],
                "panels": list(item.panels),
                "groups": list(item.groups),
                "languages": list(item.languages),
                "has_password": bool(item.password),
                "has_provider": bool(item.login),
                "awaits_link": item.link is not None and item.link.is_in_force(self._clock.now()),
            }
            for item in self._store.read(enrolling.read).people
        ]

    def reviewer(self, credential: str) -> Reviewer:
        """Who holds the login with this credential, as the store says now; raises `RulingError`, `StoreError`."""
        wanted = roster.digest(credential)
        state, now = self._store.read(enrolling.read_state), self._clock.now()
        held = next((item for item in state.logins if item.digest == wanted and item.is_open(now)), None)
        account = state.roster.person(held.person) if held else None
        if account is None:
            raise RulingError("expected the credential of a login, found one that nobody holds", hint="log in again")
        return self._reviewer(account)

    def everybody(self) -> tuple[Colleague, ...]:
        """Who may be asked to rule, by name, without whoever was erased; raises `StoreError`."""
        known = [(item, self._name_or_nobody(item)) for item in self._store.read(enrolling.read).people]
        return tuple(
            Colleague(
                name=name,
                roles=frozenset(item.panels) - {lever.ROLE},
                groups=frozenset(item.groups),
                languages=frozenset(item.languages),
            )
            for item, name in known
            if name and Role.REVIEWER in item.roles
        )

    def named(self, name: str) -> Reviewer | None:
        """The person of this name as the store says now, `None` where nobody is known by it; raises `StoreError`."""
        account = self.find(name)
        return None if account is None else self._reviewer(account)

    def _reviewer(self, account: Account) -> Reviewer:
        groups = (member_of(group) for group in account.groups)
        panels = frozenset({*account.panels, *groups}) if Role.REVIEWER in account.roles else frozenset[str]()
        levers = frozenset({lever.ROLE}) if Role.OPERATOR in account.roles else frozenset[str]()
        may_reveal = not ALLOWED[Act.REVEAL].isdisjoint(account.roles)
        return Reviewer(self.name_of(account), (panels - {lever.ROLE}) | levers, may_reveal=may_reveal)

    def name_of(self, account: Account) -> str:
        """The name, unsealed; raises `AccessError` where it was erased."""
        try:
            return self._vault.unseal(account.sealed)["name"].decode()
        except (LedgerError, KeyError) as error:
            raise AccessError("expected a known person, found one that was erased") from error

    def id_of(self, name: str) -> str:
        """The blinded digest by which a name is found again."""
        return enrolling.id_of(self._vault, name)

    def login_of(self, issuer: str, subject: str) -> bytes:
        """The blinded digest by which somebody at an identity provider is found again; raises `IntakeError`."""
        if not issuer or not subject:
            raise IntakeError("/provider", expected="issuer and subject", found="less")
        return self._vault.blind("provider", issuer, subject)

    def _account(
        self, name: str, roles: Collection[Role], panels: Collection[str], provider: tuple[str, str] | None
    ) -> tuple[str, Account]:
        """A link's credential, and the account that it is for; raises `IntakeError`."""
        account = Account(
            id=self.id_of(roster.check_person(name)),
            sealed=self._vault.seal(_person(name), "", {"name": name.encode()}),
            roles=roster.check_roles(roles),
            panels=roster.check_panels(panels),
            login=self.login_of(*provider) if provider else b"",
        )
        return roster.LINK_PREFIX + secrets.token_urlsafe(32), account

    def _put(self, tx: Transaction, by: Administrator, name: str, wanted: Account, secret: str) -> None:
        known = enrolling.read(tx)
        before = known.person(wanted.id)
        account = msgspec.structs.replace(
            wanted,
            link=roster.key(secret, since=tx.now, expires_at=tx.now.plus(login.LINK_SECONDS)),
            login=wanted.login or (before.login if before else b""),
            password=before.password if before else "",
        )
        self._record(tx, "identity_changed" if before else "identity_added", by, name, account)
        enrolling.put(tx, roster.with_person(known, account))
        enrolling.put_logins(tx, login.without(enrolling.read_logins(tx), person=account.id))

    def _name_or_nobody(self, account: Account) -> str:
        try:
            return self.name_of(account)
        except AccessError:
            return ""

    def _record(
        self, tx: Transaction, kind: str, by: Administrator, name: str, account: Account, /, **more: Json
    ) -> None:
        body: dict[str, Json] = {
            "kind": "person",
            "identity": enrolling.pseudonym(self._vault, Administrator(name)),
            "by": enrolling.pseudonym(self._vault, by),
            "roles": [role.value for role in account.roles],
            "panels": len(account.panels),
            **({"groups": len(account.groups)} if account.groups else {}),
            **more,
        }
        kept = {"panels": account.panels, "groups": account.groups, "languages": account.languages}
        told = {name: " ".join(words) for name, words in kept.items() if words}
        tx.append(Draft(kind, body, enrolling.seal(self._vault, by, about=_person(name), **told)))

    def _do(self, work: Callable[[Transaction], T]) -> T:
        return self._store.submit(work).result(self._deadline_seconds)


class Book(Protocol):
    """Reviewers by credentials of their own."""

    def identify(self, credential: str) -> Reviewer:
        """Who holds this credential; raises `RulingError` where nobody does."""

    def everybody(self) -> tuple[Colleague, ...]:
        """All of them."""

    def named(self, name: str) -> Reviewer | None:
        """The reviewer of this name; `None` where there is none."""


class Reviewers:
    """Knows people by the credential of their login, and reviewers of an embedded gate by their own."""

    def __init__(self, book: Book, people: People) -> None:
        self._book = book
        self._people = people

    def identify(self, credential: str) -> Reviewer:
        """Who holds this credential; raises `RulingError` where nobody does, and `StoreError`."""
        if credential.startswith(roster.SESSION_PREFIX):
            return self._people.reviewer(credential)
        return self._book.identify(credential)

    def everybody(self) -> tuple[Colleague, ...]:
        """Who may be asked to rule, each once, with the roles of their account and of their credential."""
        found: dict[str, Colleague] = {}
        for one in (*self._people.everybody(), *self._book.everybody()):
            other = found.get(one.name, one)
            found[one.name] = Colleague(
                name=one.name,
                roles=one.roles | other.roles,
                groups=one.groups | other.groups,
                languages=one.languages | other.languages,
            )
        return tuple(found[name] for name in sorted(found))

    def named(self, name: str) -> Reviewer | None:
        """The person of this name, with the roles of their account and of their credential; raises `StoreError`."""
        known = [one for one in (self._people.named(name), self._book.named(name)) if one is not None]
        return Reviewer(name, frozenset().union(*(one.roles for one in known))) if known else None


def _person(name: str) -> str:
    return f"reviewer:{name}"


def _touched(known: Login, at: Timestamp | None) -> Login:
    if at is None or at <= known.seen_at or not known.is_open(at):
        return known
    return msgspec.structs.replace(known, seen_at=at)
