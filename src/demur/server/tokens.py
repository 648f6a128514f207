"""Tokens of issuers that a service trusts (JWT, RFC 7519, RFC 8725): whose they are, checked by the issuer's own keys.

1. at most 8 KiB; the header is read only to find the issuer's key: never a key, a URL or an algorithm to believe in
2. the algorithm is one that the settings allow and that the key is for, so that no public key serves as a secret
3. signature, then `iss`, `aud`, `exp` (which must be there), `nbf` and `iat`, within the allowed skew
4. claims become tenant, roles, actor and subject by the settings; whatever is missing or strange makes nobody of it

Keys come from a file or over HTTPS. Where the issuer cannot be reached the keys last known are used for a bounded
while. A key with an unknown id makes us ask once in a while, not for every guess.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from demur.core import roster
from demur.core.access import Identity, Role
from demur.core.terms import NANOS, Entity, Timestamp
from demur.errors import ConfigurationError, StoreError
from demur.server.problems import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from joserfc.jwk import Key

    from demur.ports import Clock
    from demur.server.trust import Issuer

MAX_BYTES = 8 * 1_024
MAX_KEYS_BYTES = 256 * 1_024
MAX_REMEMBERED = 4_096
REMEMBER_SECONDS = 60.0
"""How long a token that was checked is not checked again; its end is looked at every time."""
MISS_SECONDS = 10.0
"""How soon a key that is not known makes us ask for the keys again."""
FETCH_SECONDS = 5.0
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_ID = re.compile(r"[^\x00-\x20\x7f*]{1,256}")
_logger = logging.getLogger("demur")


class Keys:
    """The keys of one issuer. For one event loop."""

    def __init__(self, issuer: Issuer, *, pace: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._pace = pace
        self._known: list[Key] = []
        self._read_at = self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, name: str | None, algorithm: str) -> Key | None:
        """The one key of this id that is for this algorithm; raises `StoreError` where no keys are to be had."""
        if self._pace() - self._read_at > self._issuer.fresh_seconds:
            await self._refresh(MISS_SECONDS / 10)
        found = self._matching(name, algorithm)
        if found is None:
            await self._refresh(MISS_SECONDS)
            found = self._matching(name, algorithm)
        return found

    def _matching(self, name: str | None, algorithm: str) -> Key | None:
        suited = [key for key in self._known if _is_for(key, algorithm) and (name is None or key.kid == name)]
        return suited[0] if len(suited) == 1 else None

    async def _refresh(self, pause: float) -> None:
        async with self._lock:
            if self._pace() - self._tried_at <= pause:
                self._check_age()
                return
            self._tried_at = self._pace()
            try:
                self._known = await self._load()
                self._read_at = self._tried_at
            except (OSError, ValueError, httpx2.HTTPError, JoseError) as error:
                _logger.warning("the keys of `%s` cannot be had: %s", self._issuer.issuer, error)
            self._check_age()

    def _check_age(self) -> None:
        if self._pace() - self._read_at > self._issuer.fresh_seconds + self._issuer.stale_seconds:
            raise StoreError("the keys of an issuer cannot be had")

    async def _load(self) -> list[Key]:
        raw = await (asyncio.to_thread(self._from_file) if self._issuer.jwks_file else self._from_url())
        found = json.loads(raw)
        listed = found.get("keys") if isinstance(found, dict) else None
        if not isinstance(listed, list):
            raise ValueError("expected a JWK set, found something else")  # noqa: TRY004  (as whatever cannot be parsed)
        known = [one for one in listed if isinstance(one, dict) and one.get("kty") in {"RSA", "EC", "OKP"}]
        return list(KeySet.import_key_set({"keys": known}).keys)

    def _from_file(self) -> bytes:
        return Path(self._issuer.jwks_file).read_bytes()

    async def _from_url(self) -> bytes:
        async with (
            httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", self._issuer.jwks_url) as response,
        ):
            response.raise_for_status()
            raw = b""
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > MAX_KEYS_BYTES:
                    raise ValueError(f"expected at most {MAX_KEYS_BYTES} bytes of keys, found more")
            return raw


class Tokens:
    """Knows callers by the tokens of the issuers in the settings. For one event loop."""

    def __init__(
        self, issuers: Mapping[str, Issuer], clock: Clock, *, pace: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuers = {issuer.issuer: (name, issuer, Keys(issuer, pace=pace)) for name, issuer in issuers.items()}
        if len(self._issuers) != len(issuers):
            raise ConfigurationError("expected issuers of different names, found one twice")
        self._clock = clock
        self._pace = pace
        self._checked: OrderedDict[bytes, tuple[float, Identity]] = OrderedDict()

    async def identify(self, sent: bytes) -> Identity:
        """Whose token this is; raises `UnauthenticatedError`, and `StoreError` where no keys are to be had."""
        digest = roster.digest(sent)
        checked_at, identity = self._checked.get(digest, (float("-inf"), None))
        if identity is None or self._pace() - checked_at > REMEMBER_SECONDS:
            identity = await self._check(sent)
            self._checked[digest] = (self._pace(), identity)
            if len(self._checked) > MAX_REMEMBERED:
                self._checked.popitem(last=False)
        assert identity.expires_at is not None
        if self._clock.now() >= identity.expires_at:
            raise UnauthenticatedError("expected a token that is in force, found one that has ended")
        return identity

    async def _check(self, sent: bytes) -> Identity:
        name, issuer, claims = await self.claims(sent)
        identity = _identity(name, issuer, claims)
        if identity is None:
            raise UnauthenticatedError("expected a token that says who calls and what they may do, found less")
        return identity

    async def claims(self, sent: bytes) -> tuple[str, Issuer, Mapping[str, Any]]:
        """Steps 1 to 3: the name of the issuer in the settings, the issuer, and what it says; raises as `identify`."""
        if len(sent) > MAX_BYTES:
            raise UnauthenticatedError(f"expected a token of at most {MAX_BYTES} bytes, found more")
        try:
            unchecked = jws.extract_compact(sent)
            header, said = unchecked.headers(), json.loads(unchecked.payload)
            name, issuer, keys = self._issuers[said["iss"]]
            algorithm, key_name = header["alg"], header.get("kid")
        except (JoseError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise UnauthenticatedError("expected a token of an issuer that is trusted, found none") from error
        if algorithm not in issuer.algorithms or not (key_name is None or isinstance(key_name, str)):
            raise UnauthenticatedError("expected a token signed as agreed, found another")
        key = await keys.find(key_name, algorithm)
        if key is None:
            raise UnauthenticatedError("expected a token signed by its issuer's key, found another")
        return name, issuer, self._verified(sent, key, algorithm, issuer)

    def _verified(self, sent: bytes, key: Key, algorithm: str, issuer: Issuer) -> Mapping[str, Any]:
        """Step 3; raises `UnauthenticatedError`."""
        registry = jwt.JWTClaimsRegistry(
            now=self._clock.now().seconds,
            leeway=issuer.skew_seconds,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            claims = jwt.decode(sent, key, algorithms=[algorithm], registry=JWSRegistry(algorithms=[algorithm])).claims
            registry.validate(claims)
            issued, _, ends = (_seconds(claims.get(part, claims["exp"])) for part in ("iat", "nbf", "exp"))
        except (JoseError, ValueError, TypeError) as error:
            raise UnauthenticatedError("expected a token that is in force here, found one that is not") from error
        if ends - issued > issuer.max_age_seconds:
            raise UnauthenticatedError("expected a token that ends in time, found one that does not")
        return claims


def _seconds(said: object) -> float:
    """A time of RFC 7519; raises `ValueError` where it is none."""
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not 0 <= said < 2**40:
        raise ValueError("expected seconds since 1970, found something else")
    return said


def _is_for(key: Key, algorithm: str) -> bool:
    """Whether a key is for this algorithm, by its kind, its curve, its use and what it says itself (RFC 7517)."""
    told = key.as_dict(private=False)
    return (
        told.get("kty") == _KINDS[algorithm[:2]]
        and told.get("crv") in {_CURVES.get(algorithm), None}
        and told.get("use", "sig") == "sig"
        and told.get("alg", algorithm) == algorithm
    )


def _identity(name: str, issuer: Issuer, claims: Mapping[str, Any]) -> Identity | None:
    """Step 4."""
    subject, tenant = claims["sub"], issuer.tenant or claims.get(issuer.tenant_claim, "")
    actor = claims.get(issuer.actor_claim, subject) if issuer.actor_claim else subject
    roles = frozenset(issuer.roles) or _roles(issuer, claims.get(issuer.roles_claim))
    if not roles or not all(isinstance(one, str) and _ID.fullmatch(one) for one in (subject, tenant, actor)):
        return None
    own = (f"{issuer.subject_type}:{subject}",) if issuer.subject_type else ()
    return Identity(
        id=f"{roster.KIND}:{name}/{subject}",
        tenant=tenant,
        roles=roles,
        actor=Entity(type=roster.KIND, id=f"{name}/{actor}"),
        subjects=(*issuer.subjects, *own),
        obligations=frozenset(issuer.obligations),
        expires_at=Timestamp(int(claims["exp"]) * NANOS).plus(issuer.skew_seconds),
        claims=dict(claims),
    )


def _roles(issuer: Issuer, said: object) -> frozenset[Role]:
    listed = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    known = [issuer.roles_of.get(one, ()) for one in listed if isinstance(one, str)]
    return frozenset(role for roles in known for role in roles)
