"""Tells those who asked to be told that their task has ended: one signed POST, to hosts that were configured.

    {"state": "...", "task": {"id": "...", "status": "approved", "status_endpoint": "https://...", "reason": "...",
                              "claim_endpoint": "https://..."}}

- Only HTTPS, and only hosts that the settings name. Their addresses are looked up anew for each delivery; one that is
  not a public address is refused, unless the settings name the host as internal. What was looked up is what is
  connected to, so that a name cannot change its mind in between.
- No redirect is followed, no proxy of the environment used, and nothing of the answer read but its status.
- It is a notice and no result, and carries no grant: whoever gets it claims the grant, as the caller who asked for the
  action (docs/decisions/0017). `reason` is what those wrote who decided.
- The signature is that of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`. The id stays the same when a
  delivery is repeated.

Sources: OpenID AuthZEN Callback Notifications Profile 1.0, draft 1; Standard Webhooks 1.0
(https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import msgspec

from demur import retrying
from demur.core.task import TaskStatus
from demur.errors import ConfigurationError, DemurError, IntakeError, StoreError
from demur.server.profiles import REQUESTS
from demur.wiring import addresses
from demur.wiring.addresses import AddressError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from demur.ports import Clock
    from demur.server.settings import Callbacks
    from demur.server.tenants import Tenants
    from demur.steps.requesting import Notice

EVENTS = frozenset(status.value for status in TaskStatus if status is not TaskStatus.PENDING) | {"failed", "partial"}
"""What may be asked for; tasks here never fail and are never in parts."""
MAX_URL = 2_048
MIN_SECRET = 24
LOOK_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0
ATTEMPTS = 3
_logger = logging.getLogger("demur")
_encode = msgspec.json.Encoder().encode


class UndeliverableError(DemurError):
    """A callback could not be delivered this time."""


def check(endpoint: str, settings: Callbacks) -> None:
    """Raises `IntakeError` for what will not be called: no HTTPS, a host that is not configured, credentials in it."""
    place = "/callback/endpoint"
    if len(endpoint) > MAX_URL or not endpoint.isascii() or any(mark <= " " for mark in endpoint):
        raise IntakeError(place, expected=f"a URL of at most {MAX_URL} ASCII characters", found="something else")
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise IntakeError(place, expected="a URL", found="something else") from error
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise IntakeError(place, expected="an HTTPS URL without credentials or fragment", found="another")
    if not settings.secret_file or _named(parts.hostname, port) not in {*settings.hosts, *settings.internal_hosts}:
        raise IntakeError(
            place,
            expected="a host that callbacks may go to",
            found=f"`{parts.hostname[:80]}`",
            hint="an administrator names hosts under `[callbacks]` in the settings; otherwise poll the status",
        )


class Teller:
    """Delivers what is due, of all tenants, in a thread of its own. Safe to run in several replicas."""

    def __init__(
        self,
        tenants: Tenants,
        settings: Callbacks,
        clock: Clock,
        base_url: str,
        *,
        trust: ssl.SSLContext | None = None,
        lookup: Callable[..., str] = addresses.resolve,
    ) -> None:
        """`trust` and `lookup` replace the certificates that are trusted, and how a host is found.

        Raises `ConfigurationError` where hosts are configured without a secret to sign with.
        """
        self._tenants = tenants
        self._settings = settings
        self._clock = clock
        self._base_url = base_url
        self._lookup = lookup
        self._secret = _secret(settings)
        self._client = httpx2.Client(
            verify=True if trust is None else trust,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demur-callbacks", daemon=True)

    def start(self) -> None:
        """Begin; does nothing where no host is configured."""
        if self._settings.hosts or self._settings.internal_hosts:
            self._thread.start()

    def close(self) -> None:
        """End after the delivery that is under way."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT_SECONDS)
        self._client.close()

    def tell(self) -> int:
        """Deliver what is due now; how many arrived. Raises `StoreError`."""
        arrived = 0
        for name in self._tenants.names:
            gate = self._tenants.gate(name)
            for notice in gate.callbacks():
                is_told = self._deliver(notice)
                gate.settle_callback(notice.id, is_told=is_told)
                arrived += is_told
        return arrived

    def _run(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            try:
                self.tell()
            except StoreError as error:  # what was taken and not settled is due again after its lease
                _logger.warning("callbacks are delayed: %s", error)

    def _deliver(self, notice: Notice) -> bool:
        try:
            # Settings may have changed since it was taken on.
            check(notice.callback.endpoint, self._settings)
            for attempt in retrying.retry_context(httpx2.TransportError, attempts=ATTEMPTS, timeout=30.0):
                with attempt:
                    self._post(notice)
        except (DemurError, httpx2.HTTPError) as error:
            _logger.warning("callback %s was not delivered: %s", notice.id, type(error).__name__)
            return False
        return True

    def _post(self, notice: Notice) -> None:
        url = httpx2.URL(notice.callback.endpoint)
        port = url.port or 443
        address = self._address(url.host, url.port, port)
        body = _body(notice, self._base_url)
        host = url.host if url.port in {None, 443} else f"{url.host}:{port}"
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={"Host": host, "Content-Type": "application/json", **self._signed(notice.id, body)},
            extensions={"sni_hostname": url.host},
        )
        with closing(self._client.send(request, stream=True)) as response:
            if not response.is_success:
                raise UndeliverableError(f"expected a status from 200 to 299, found {response.status_code}")

    def _address(self, host: str, named: int | None, port: int) -> str:
        is_internal = _named(host, named) in self._settings.internal_hosts
        try:
            return self._lookup(host, port, is_private_allowed=is_internal)
        except AddressError as error:
            raise UndeliverableError(str(error)) from error

    def _signed(self, notice_id: str, body: bytes) -> dict[str, str]:
        at = str(self._clock.now().seconds)
        mark = hmac.new(self._secret, f"{notice_id}.{at}.".encode() + body, hashlib.sha256).digest()
        return {
            "webhook-id": notice_id,
            "webhook-timestamp": at,
            "webhook-signature": "v1," + base64.b64encode(mark).decode(),
        }


def _named(host: str, port: int | None) -> str:
    return host.lower() if port in {None, 443} else f"{host.lower()}:{port}"


def _body(notice: Notice, base_url: str) -> bytes:
    task = notice.task
    more = {
        "reason": task.reason,
        "claim_endpoint": f"{base_url}/reviews/{task.id}/claim" if task.status is TaskStatus.APPROVED else "",
    }
    told: dict[str, object] = {
        "task": {
            "id": task.id,
            "status": task.status.value,
            "status_endpoint": f"{base_url}{REQUESTS}/{task.id}",
            **{name: text for name, text in more.items() if text},
        }
    }
    if notice.callback.state:
        told["state"] = notice.callback.state
    return _encode(told)


def _secret(settings: Callbacks) -> bytes:
    if not settings.secret_file:
        if settings.hosts or settings.internal_hosts:
            raise ConfigurationError(
                "expected a `secret_file` to sign callbacks with, found none", hint="name one under `[callbacks]`"
            )
        return b""
    try:
        secret = Path(settings.secret_file).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"`{settings.secret_file}` cannot be read: {error.strerror}") from error
    if len(secret) < MIN_SECRET:
        raise ConfigurationError(f"expected a secret of at least {MIN_SECRET} bytes, found {len(secret)}")
    return secret


__all__ = ["EVENTS", "Teller", "UndeliverableError", "check"]
