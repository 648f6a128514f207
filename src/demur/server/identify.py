"""From a request to an `Identity`: who calls, by exactly one credential.

    Authorization: Bearer demur-caller-...     the API key of a program
    Authorization: Bearer demur-session-...    the login of a person, as a program of theirs sends it
    Cookie: __Host-demur=demur-session-...     the same, as a browser sends it
    Authorization: Bearer eyJ...               the token of an issuer that the settings trust (`tokens`)
    X-Forwarded-Client-Cert: URI=...           a client certificate, as a proxy of the settings says (`certificates`)

- Credentials are looked up by their SHA-256, so that how long it takes tells nothing about any of them.
- Who is known is read from each tenant's store, at most twice a second; so what was taken back is worth nothing within
  a second, on every replica. Where a store cannot be read its callers are not let in: 503, never a stale yes.
- A browser sends cookies on its own. Whatever changes something needs, beside the cookie, the token that only our own
  pages know, and no other site's `Origin` (`cookies`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from demur import wiring
from demur.core import roster
from demur.errors import AccessError, DemurError, StoreError
from demur.server import certificates as client_certificates
from demur.server import cookies
from demur.server.problems import UnauthenticatedError
from demur.server.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.requests import Request as HttpRequest

    from demur.core.access import Identity
    from demur.core.login import Login
    from demur.core.record import Sealed
    from demur.core.roster import Account
    from demur.core.terms import Timestamp
    from demur.ports import Clock
    from demur.server.settings import ServerSettings
    from demur.server.trust import Certificates
    from demur.steps.enrolling import Enrolment, State
    from demur.steps.people import People

RECHECK_SECONDS = 0.5
"""How long who is known is believed before the store is read again."""
MISS_SECONDS = 0.1
"""How soon a credential that nobody holds makes us look again: another replica may just have issued it."""
READ_SECONDS = 3.0
"""A store that takes longer to say who is known counts as one that cannot be read."""
_SCHEME = b"bearer "
_TOKEN = b"eyJ"
"""How a JWT begins: `{"` in base64url."""
_logger = logging.getLogger("demur")


class _Entry(NamedTuple):
    identity: Identity
    begins: str
    expires_at: Timestamp | None
    login: Login | None = None


class Roll:
    """One tenant's callers by the digest of their credentials, as its store last said. For one event loop."""

    def __init__(
        self, tenant: str, enrolment: Enrolment, people: People, *, pace: Callable[[], float] = time.monotonic
    ) -> None:
        self.tenant = tenant
        self.enrolment = enrolment
        self.people = people
        self.entries: dict[bytes, _Entry] = {}
        self.failure: DemurError | None = None
        self._pace = pace
        self._state: State | None = None
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._used: set[str] = set()
        self._seen: dict[bytes, Timestamp] = {}
        self._names: dict[str, tuple[Sealed, str]] = {}

    def is_older(self, seconds: float) -> bool:
        """Whether the store was asked longer ago than this."""
        return self._pace() - self._read_at > seconds

    async def refresh(self) -> None:
        """Ask the store; those who come meanwhile wait for the same answer. Failures are kept, not raised."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    def note(self, entry: _Entry, now: Timestamp) -> None:
        """This credential was used."""
        if entry.login is None:
            self._used.add(entry.begins)
        elif entry.login.is_due(now):
            self._seen[entry.login.digest] = now

    async def _read(self) -> None:
        began = self._pace()
        used, self._used = self._used, set()
        seen, self._seen = self._seen, {}
        try:
            async with asyncio.timeout(READ_SECONDS):
                state = await asyncio.to_thread(self._load, used, seen)
        except TimeoutError:
            self.failure = StoreError("the store does not say in time who is known")
        except DemurError as error:
            self.failure = error
        else:
            self.failure = None
            if state is not self._state:
                self._state = state
        self._read_at = began

    def _load(self, used: set[str], seen: dict[bytes, Timestamp]) -> State:
        if seen:
            self.people.touch(seen)
        state = self.enrolment.state()
        today = self.enrolment.now().seconds // 86_400
        if any(state.used.get(begins) != today for begins in used):
            self.enrolment.note_used(used)
        if self._state is None or (state.roster, state.logins) != (self._state.roster, self._state.logins):
            self.entries = dict(self._entries(state))
            return state
        return self._state

    def _entries(self, state: State) -> Iterator[tuple[bytes, _Entry]]:
        for program in state.roster.programs:
            for one in program.keys:
                yield one.digest, _Entry(program.identity(self.tenant, one), one.begins, one.expires_at)
        for login in state.logins:
            account = state.roster.person(login.person)
            name = self._name(account) if account else ""
            if account and name:
                # Its end moves with every use, so it stands beside the identity and not in it.
                yield login.digest, _Entry(account.identity(self.tenant, name), "", login.expires_at, login)

    def _name(self, account: Account) -> str:
        """The name, "" where it was erased. Opened once, since opening takes a key."""
        known = self._names.get(account.id)
        if known is None or known[0] != account.sealed:
            try:
                known = (account.sealed, self.people.name_of(account))
            except AccessError:
                known = (account.sealed, "")
            self._names[account.id] = known
        return known[1]


class Callers:
    """Knows callers by what they send, those of every tenant."""

    def __init__(
        self,
        known: Mapping[str, tuple[Enrolment, People]],
        clock: Clock,
        *,
        tokens: Tokens | None = None,
        certificates: Certificates | None = None,
        pace: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known` has for each tenant who is known to it; `tokens` and `certificates` know others."""
        self._rolls = tuple(Roll(tenant, *both, pace=pace) for tenant, both in known.items())
        self._tenants = frozenset(known)
        self._tokens = tokens
        self._certificates = certificates
        self._clock = clock

    async def identify(self, request: HttpRequest) -> Identity:
        """Who calls; raises `UnauthenticatedError` where nobody that we know does, and `StoreError`."""
        if self._certificates is not None and not _sends_any(request):
            return self._of_tenant(client_certificates.identity(self._certificates, request))
        sent = credential(request)
        if self._tokens is not None and sent.startswith(_TOKEN):
            return self._of_tenant(await self._tokens.identify(sent))
        digest = roster.digest(sent)
        roll, entry = await self._find(digest)
        now = self._clock.now()
        if entry.expires_at is not None and now >= entry.expires_at:
            raise UnauthenticatedError("expected a credential that is in force, found one that has ended")
        roll.note(entry, now)
        return entry.identity

    def recognise(self, request: HttpRequest) -> str:
        """As `service.Identities.recognise`: by what the stores last said of this API key or login."""
        try:
            digest = roster.digest(credential(request))
        except DemurError:
            return ""
        return next((roll.tenant for roll in self._rolls if digest in roll.entries), "")

    def _of_tenant(self, identity: Identity) -> Identity:
        if identity.tenant not in self._tenants:
            raise UnauthenticatedError("expected a credential of a tenant that there is, found another")
        return identity

    async def _find(self, digest: bytes) -> tuple[Roll, _Entry]:
        for roll in self._rolls:
            if digest in roll.entries:
                if roll.is_older(RECHECK_SECONDS):
                    await roll.refresh()
                if roll.failure is not None:
                    raise roll.failure
                entry = roll.entries.get(digest)
                if entry is not None:
                    return roll, entry
        return await self._look_again(digest)

    async def _look_again(self, digest: bytes) -> tuple[Roll, _Entry]:
        asked = [roll for roll in self._rolls if roll.is_older(MISS_SECONDS)]
        await asyncio.gather(*(roll.refresh() for roll in asked))
        for roll in self._rolls:
            entry = roll.entries.get(digest)
            if entry is not None and roll.failure is None:
                return roll, entry
        for roll in self._rolls:
            if roll.failure is not None:
                _logger.error("tenant `%s`: who is known cannot be read: %s", roll.tenant, roll.failure)
                raise roll.failure
        raise UnauthenticatedError("expected a credential that is in force, found one that nobody holds")


def callers_of(settings: ServerSettings, known: Mapping[str, tuple[Enrolment, People]]) -> Callers:
    """Whoever may call a service with these settings; raises `ConfigurationError`."""
    clock = wiring.clock()
    tokens = Tokens(settings.issuers, clock) if settings.issuers else None
    certificates = settings.certificates if settings.certificates.names else None
    return Callers(known, clock, tokens=tokens, certificates=certificates)


def _sends_any(request: HttpRequest) -> bool:
    return "authorization" in request.headers or bool(cookies.kept(request))


def credential(request: HttpRequest) -> bytes:
    """The bearer token (RFC 6750) or the cookie of a request; raises `UnauthenticatedError` for none and for several.

    Raises `AccessError` where a browser was made to send its cookie by another site.
    """
    sent: list[bytes] = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if not sent:
        return cookies.credential(request)
    if len(sent) != 1 or sent[0][: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("expected one header `Authorization: Bearer`, found something else")
    return sent[0][len(_SCHEME) :].strip()
