"""Client certificates: a name counts where a proxy of the settings says it, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request as HttpRequest

from demur.core.access import Role
from demur.core.terms import Entity
from demur.errors import ConfigurationError
from demur.server import certificates, trust
from demur.server.problems import UnauthenticatedError
from demur.server.trust import Certificate, Certificates

DESK = "spiffe://mesh/desk"
HEADER = "x-forwarded-client-cert"
TRUSTED = Certificates(
    proxies=("10.0.0.5", "10.1.0.0/16", "fd00::/8"),
    names={
        DESK: Certificate(tenant="clinic", subjects=("user:*",)),
        "desk.example.org": Certificate(tenant="clinic", roles=(Role.AUDITOR,)),
        "CN=desk,O=Example": Certificate(tenant="clinic"),
    },
)


def request(*sent: str, client: str = "10.0.0.5", header: str = HEADER, **scope: Any) -> HttpRequest:
    headers = [(header.encode(), one.encode("latin-1")) for one in sent]
    return HttpRequest(
        {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": (client, 1), **scope}
    )


@pytest.mark.parametrize("client", ["10.0.0.5", "10.1.255.255", "fd12::1"])
@pytest.mark.parametrize("said", [DESK, f"URI={DESK}", f"By=spiffe://mesh/gate;Hash=ab12;URI={DESK}", f"uri={DESK}"])
def test_a_proxy_says_who_calls(client: str, said: str) -> None:
    found = certificates.identity(TRUSTED, request(said, client=client))

    assert (found.id, found.tenant, set(found.roles)) == (f"agent:certificate/{DESK}", "clinic", {Role.CALLER})
    assert (found.actor, found.subjects) == (Entity(type="agent", id=f"certificate/{DESK}"), ("user:*",))


@pytest.mark.parametrize(
    "client", ["10.0.0.6", "192.0.2.1", "127.0.0.1", "::1", "", "10.0.0.5.evil.example", "::ffff:10.0.0.5"]
)
def test_from_any_other_address_the_header_is_worth_nothing(client: str) -> None:
    with pytest.raises(UnauthenticatedError):
        certificates.identity(TRUSTED, request(DESK, client=client))


@pytest.mark.parametrize(
    "said",
    [
        [],
        [""],
        [DESK, DESK],
        [f"URI={DESK},URI=spiffe://mesh/other"],
        [f'Subject="CN=x;URI={DESK}";URI=spiffe://mesh/other'],
        [f"URI={DESK};DNS=desk.example.org"],
        [f"By={DESK}"],
        [f"Hash={DESK}"],
        [DESK + "/"],
        [DESK.upper()],
        ["URI=spiffe://mesh/*"],
        ["x" * 10_000],
        ["\xff"],
    ],
)
def test_what_is_not_exactly_one_known_name_is_nobody(said: list[str]) -> None:
    with pytest.raises(UnauthenticatedError):
        certificates.identity(TRUSTED, request(*said))


def test_a_server_that_ends_tls_itself_says_the_whole_subject() -> None:
    tls = {"tls": {"client_cert_name": "CN=desk,O=Example", "client_cert_error": None}}

    found = certificates.identity(TRUSTED, request(client="192.0.2.1", extensions=tls))
    assert found.id == "agent:certificate/CN=desk,O=Example"


@pytest.mark.parametrize(
    "tls",
    [
        {"client_cert_name": "CN=desk,O=Example", "client_cert_error": "expired"},
        {"client_cert_name": None, "client_cert_error": None},
        {"client_cert_name": "CN=desk", "client_cert_error": None},
        {},
    ],
)
def test_where_tls_ends_here_no_header_is_believed(tls: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError):
        certificates.identity(TRUSTED, request(DESK, extensions={"tls": tls}))


def test_a_proxy_is_an_address_or_a_network() -> None:
    with pytest.raises(ConfigurationError, match="proxy"):
        trust.check_certificates(Certificates(proxies=("proxy.example.org",)))
