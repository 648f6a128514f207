"""Whom else a service trusts to say who calls: issuers of tokens, authorities of certificates, one identity provider.

[issuers.platform]
issuer = "https://id.example.org"
audience = "https://gate.example.org"
jwks_url = "https://id.example.org/jwks.json"
tenant = "clinic"
roles = ["caller"]
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from demur.core.access import Role
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

ALGORITHMS = ("Ed25519", "EdDSA", "ES256", "ES384", "PS256", "PS384", "RS256", "RS384", "RS512")
"""Signatures by a key that we do not hold. None where both sides hold it, and not `none`."""
MAX_SKEW_SECONDS = 120
MAX_STALE_SECONDS = 86_400
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who issues tokens (JWT, RFC 7519), with which keys, and what they are worth here.

    The tenant and the roles are those named here, or those that a claim names: `tenant_claim` directly, `roles_claim`
    by way of `roles_of`. Whoever has no role is nobody. `subject_type` lets a caller speak for `TYPE:sub`.
    """

    issuer: str
    audience: str
    jwks_file: str = ""
    jwks_url: str = ""
    algorithms: tuple[str, ...] = ("Ed25519", "EdDSA", "ES256", "PS256", "RS256")
    skew_seconds: int = 30
    max_age_seconds: int = 86_400
    """The longest time between `iat` and `exp` of a token."""
    fresh_seconds: int = 300
    stale_seconds: int = 3_600
    """How long keys are used, and how much longer where the issuer cannot be reached."""
    tenant: str = ""
    tenant_claim: str = ""
    roles: tuple[Role, ...] = ()
    roles_claim: str = ""
    roles_of: dict[str, tuple[Role, ...]] = {}
    actor_claim: str = ""
    subject_type: str = ""
    subjects: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who shows a client certificate with this name (a URI, DNS or `CN=` name of it), and what they may do."""

    tenant: str
    roles: tuple[Role, ...] = (Role.CALLER,)
    subjects: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()


class Certificates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Client certificates (mTLS), checked by a proxy that says so in a header; nobody else's header counts.

    `names` are the names that are known, each with what it may do.
    """

    proxies: tuple[str, ...] = ()
    """Addresses and networks of the proxies, such as `10.0.0.5` or `10.1.0.0/16`."""
    header: str = "x-forwarded-client-cert"
    """What the proxy puts there: the name alone, or Envoy's `URI=...;` and `DNS=...;` elements."""
    names: dict[str, Certificate] = {}


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The identity provider (OpenID Connect) by which people of one tenant log in."""

    issuer: str
    client_id: str
    client_secret_file: str = ""
    tenant: str


def check_issuer(name: str, issuer: Issuer) -> None:
    """Raises `ConfigurationError` where an issuer could be mistaken for another, or says too little."""
    if not issuer.issuer or not issuer.audience:
        raise ConfigurationError(f"issuer `{name}`: expected `issuer` and `audience`, found less")
    if bool(issuer.jwks_file) == bool(issuer.jwks_url):
        raise ConfigurationError(f"issuer `{name}`: expected either `jwks_file` or `jwks_url`, found both or neither")
    if issuer.jwks_url:
        check_url(issuer.jwks_url)
    strange = set(issuer.algorithms) - set(ALGORITHMS)
    if strange or not issuer.algorithms:
        found = ", ".join(sorted(strange)) or "none"
        raise ConfigurationError(f"issuer `{name}`: expected algorithms among {', '.join(ALGORITHMS)}, found {found}")
    if not 0 <= issuer.skew_seconds <= MAX_SKEW_SECONDS or not 0 <= issuer.stale_seconds <= MAX_STALE_SECONDS:
        raise ConfigurationError(f"issuer `{name}`: expected a skew of at most 120 s and stale keys for at most a day")
    if bool(issuer.tenant) == bool(issuer.tenant_claim):
        raise ConfigurationError(f"issuer `{name}`: expected either `tenant` or `tenant_claim`, found both or neither")
    if bool(issuer.roles) == bool(issuer.roles_claim):
        raise ConfigurationError(f"issuer `{name}`: expected either `roles` or `roles_claim`, found both or neither")


def resolved(issuer: Issuer, folder: Path) -> Issuer:
    """The issuer with its file of keys relative to this folder."""
    if not issuer.jwks_file:
        return issuer
    return msgspec.structs.replace(issuer, jwks_file=str(folder / issuer.jwks_file))


def resolved_provider(provider: Provider, folder: Path) -> Provider:
    """The provider with the file of our secret relative to this folder."""
    if not provider.client_secret_file:
        return provider
    return msgspec.structs.replace(provider, client_secret_file=str(folder / provider.client_secret_file))


def check_certificates(certificates: Certificates) -> None:
    """Raises `ConfigurationError` where a proxy is no address."""
    for text in certificates.proxies:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ConfigurationError(f"expected a proxy as address or network, found `{text[:60]}`") from error


def check_url(url: str) -> None:
    """Raises `ConfigurationError` unless it is HTTPS, or HTTP on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigurationError(f"expected an `https://` URL, found `{url[:80]}`")
