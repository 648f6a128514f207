"""Hands events to a URL: one POST for each, signed as Standard Webhooks says, so that the receiver knows who sent it.

    POST /hook
    content-type: application/cloudevents+json
    webhook-id: 5d2e...                          the same for the same event, however often it is sent
    webhook-timestamp: 1763716800                when it was sent; receivers refuse what is old
    webhook-signature: v1,<base64>               HMAC-SHA256 of `id.timestamp.body`; one for each secret, with spaces

- A secret is `whsec_` and base64 of 24 bytes or more; several with spaces between them are for changing it.
- Nothing is followed: a redirect is a refusal. Private addresses are refused unless they are allowed, and the address
  that was looked at is the one connected to.
- 2xx is taken. 408, 429, 502, 503, 504 and no answer at all mean later; everything else is a refusal of this event.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from demur.adapters import public_addresses
from demur.adapters.outbox import RejectedError, UnreachableError
from demur.adapters.public_addresses import AddressError
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import httpx2

    from demur.adapters.outbox_events import Event

PREFIX = "whsec_"
MIN_SECRET_BYTES = 24
TIMEOUT_SECONDS = 5.0
"""For each of: connecting, sending, and every piece of the answer."""
ANSWER_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
LATER = frozenset({408, 429, 502, 503, 504})
MEDIA_TYPE = "application/cloudevents+json"


class Webhook:
    """`outbox.Sink` over one URL."""

    def __init__(self, url: str, secrets: str, *, now: Callable[[], int], is_private_allowed: bool = False) -> None:
        """`now` is POSIX seconds. Plain `http` needs `is_private_allowed`.

        Raises `ConfigurationError` where the URL or a secret is none, or the extra `server` is missing.
        """
        self._keys = read_secrets(secrets)
        self._now = now
        self._is_private_allowed = is_private_allowed
        self._http = _library()
        self._url = self._check(url)
        self._client = self._http.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)

    def send(self, event: Event) -> None:
        """As `outbox.Sink.send`."""
        request = self._request(event)
        try:
            response = self._client.send(request, stream=True)
            try:
                status = response.status_code
                _drain(response)
            finally:
                response.close()
        except self._http.HTTPError as error:
            raise UnreachableError(f"`{self._url.host}` cannot be reached: {error}") from error
        if status in LATER:
            raise UnreachableError(f"`{self._url.host}` answered {status}")
        if not 200 <= status < 300:
            raise RejectedError(f"`{self._url.host}` answered {status}")

    def close(self) -> None:
        self._client.close()

    def _request(self, event: Event) -> httpx2.Request:
        url = self._url
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            address = public_addresses.resolve(url.host, port, is_private_allowed=self._is_private_allowed)
        except AddressError as error:
            raise UnreachableError(str(error)) from error
        named, sent_at = message_id(event), str(self._now())
        headers = {
            "host": url.netloc.decode("ascii"),
            "content-type": MEDIA_TYPE,
            "user-agent": "demur",
            "webhook-id": named,
            "webhook-timestamp": sent_at,
            "webhook-signature": signatures(self._keys, named, sent_at, event.body),
        }
        request: httpx2.Request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=event.body,
            headers=headers,
            extensions={"sni_hostname": url.host},
        )
        return request

    def _check(self, text: str) -> httpx2.URL:
        try:
            url: httpx2.URL = self._http.URL(text)
        except self._http.InvalidURL as error:
            raise ConfigurationError("expected a URL for a webhook, found none") from error
        schemes = {"https", "http"} if self._is_private_allowed else {"https"}
        if url.scheme not in schemes or not url.host or url.userinfo:
            raise ConfigurationError(
                f"expected a URL of `https` without a password for a webhook, found one of `{url.scheme}`",
                hint="its signature says who sends; plain `http` is for private addresses, where they are allowed",
            )
        return url


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The keys in a text of secrets; raises `ConfigurationError`, which never repeats one."""
    keys = []
    for secret in text.split():
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigurationError(f"expected a secret of `{PREFIX}` and base64, found something else") from error
        if not secret.startswith(PREFIX) or len(key) < MIN_SECRET_BYTES:
            raise ConfigurationError(
                f"expected a secret of `{PREFIX}` and base64 of {MIN_SECRET_BYTES} bytes or more, found another",
                hint=f"echo {PREFIX}$(openssl rand -base64 32)",
            )
        keys.append(key)
    if not keys:
        raise ConfigurationError("expected a secret to sign webhooks with, found none")
    return tuple(keys)


def message_id(event: Event) -> str:
    """The id of an event on the way: without full stops, which part what is signed."""
    return hashlib.sha256(f"{event.source}\n{event.id}".encode()).hexdigest()[:32]


def signatures(keys: tuple[bytes, ...], named: str, sent_at: str, body: bytes) -> str:
    """The value of `webhook-signature`: one signature by each key."""
    signed = f"{named}.{sent_at}.".encode() + body
    made = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
    return " ".join(f"v1,{signature}" for signature in made)


def _drain(response: httpx2.Response) -> None:
    """Read the answer, which says nothing to us, so that the connection can be used again; but not for ever."""
    end, size = time.monotonic() + ANSWER_SECONDS, 0
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES or time.monotonic() > end:
            return


def _library() -> ModuleType:
    try:
        import httpx2  # noqa: PLC0415  (needs an extra)
    except ImportError as error:
        raise ConfigurationError(
            "expected the extra `server` for webhooks, found that it is not installed",
            hint='run `pip install "demur[server]"`',
        ) from error
    return httpx2
