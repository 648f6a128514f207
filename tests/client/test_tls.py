"""Only the service that a trusted authority vouches for is believed; anybody else is `unavailable` (S5.2)."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import demur
from demur import wiring
from demur.core.terms import Outcome
from demur.errors import ConfigurationError
from tests.client.hostile import Hostile, allow, reply
from tests.client.test_hostile import REQUEST

if TYPE_CHECKING:
    from pathlib import Path


def certificate(folder: Path, *, host: str = "127.0.0.1", days: int = 2) -> Path:
    """A certificate of its own for a host, that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.fromtimestamp(wiring.clock().now().seconds, dt.UTC)
    end = now + dt.timedelta(days=days)
    san = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - dt.timedelta(days=5))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([san]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def serving(path: Path) -> Hostile:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return Hostile(lambda connection, asked, _: reply(connection, allow(asked)), tls=context)


def outcome(url: str, **how: object) -> Outcome:
    with demur.connect(url, credential="key", **how) as gate:  # type: ignore[arg-type]  # as the tests below give it
        return gate.decide(REQUEST).outcome


def test_whom_the_given_authority_vouches_for_is_believed(tmp_path: Path) -> None:
    path = certificate(tmp_path)
    with serving(path) as service:
        assert outcome(service.url, verify=path) is Outcome.ALLOW
        assert outcome(service.url, verify=ssl.create_default_context(cafile=path)) is Outcome.ALLOW


def test_whom_nobody_vouches_for_is_not_even_asked(tmp_path: Path) -> None:
    with serving(certificate(tmp_path)) as service:
        assert outcome(service.url) is Outcome.UNAVAILABLE
        assert service.asked == []


def test_another_authority_does_not_vouch(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with serving(certificate(tmp_path)) as service:
        assert outcome(service.url, verify=certificate(tmp_path / "other")) is Outcome.UNAVAILABLE
        assert service.asked == []


@pytest.mark.parametrize(("host", "days"), [("other.example", 2), ("127.0.0.1", -1)], ids=["other host", "expired"])
def test_a_certificate_that_does_not_fit_is_not_believed(tmp_path: Path, host: str, days: int) -> None:
    path = certificate(tmp_path, host=host, days=days)
    with serving(path) as service:
        assert outcome(service.url, verify=path) is Outcome.UNAVAILABLE
        assert service.asked == []


def test_certificates_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for path in (tmp_path / "none.pem", tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError):
            demur.connect("https://demur.example", verify=path)
