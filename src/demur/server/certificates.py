"""Callers by their client certificate (mTLS): the name that it has, as whoever ended TLS says.

    X-Forwarded-Client-Cert: By=spiffe://mesh/gate;Hash=...;URI=spiffe://mesh/desk

- A proxy of the settings checked the certificate and puts its name into one header, and takes the client's own away.
  From any other address the header is worth nothing, whatever stands in it.
- A server that ends TLS itself says the whole subject (RFC 4514) by ASGI's TLS extension.
- Exactly one name of the settings must be among those of the certificate; quoted and several elements are refused.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

from demur.core import roster
from demur.core.access import Identity
from demur.core.terms import Entity
from demur.server.problems import UnauthenticatedError

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from demur.server.trust import Certificates

MAX_HEADER = 4_096
_NAMES = ("URI", "DNS", "CN")


def identity(trusted: Certificates, request: HttpRequest) -> Identity:
    """Who shows the certificate; raises `UnauthenticatedError` where nobody that the settings name does."""
    known = [name for name in _said(trusted, request) if name in trusted.names]
    if len(known) != 1:
        raise UnauthenticatedError("expected a credential or one client certificate that is known, found none")
    found = trusted.names[known[0]]
    own = f"certificate/{known[0]}"
    return Identity(
        id=f"{roster.KIND}:{own}",
        tenant=found.tenant,
        roles=frozenset(found.roles),
        actor=Entity(type=roster.KIND, id=own),
        subjects=found.subjects,
        obligations=frozenset(found.obligations),
    )


def _said(trusted: Certificates, request: HttpRequest) -> tuple[str, ...]:
    """The names of the certificate; none where nobody who is trusted says any."""
    tls = request.scope.get("extensions", {}).get("tls")
    if tls is not None:
        name = tls.get("client_cert_name")
        return (name,) if isinstance(name, str) and not tls.get("client_cert_error") else ()
    sent = request.headers.getlist(trusted.header)
    address = request.client.host if request.client else ""
    if len(sent) != 1 or not _is_proxy(trusted.proxies, address):
        return ()
    return _names(sent[0])


def _names(text: str) -> tuple[str, ...]:
    if len(text) > MAX_HEADER or '"' in text or "," in text:
        return ()
    if "=" not in text:
        return (text,)
    pairs = [part.partition("=") for part in text.split(";")]
    return tuple(dict.fromkeys(value for name, _, value in pairs if name.strip().upper() in _NAMES))


@lru_cache(maxsize=1_024)
def _is_proxy(proxies: tuple[str, ...], address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(text) for text in proxies)
