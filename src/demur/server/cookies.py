"""The cookie by which a browser stays logged in, and why another site cannot use it.

- `__Host-demur`: Secure, HttpOnly, SameSite=Strict, Path=/, no Domain (RFC 6265bis). Over plain HTTP on loopback alone
  it is called `demur` and is not Secure, since browsers would not keep it otherwise.
- A request that may change something carries the header `X-Demur-Token`, which is derived from the credential and told
  to our own pages alone; where the browser says an `Origin`, it is our own. Both must hold.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from demur.errors import AccessError
from demur.server.problems import UnauthenticatedError

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

NAME, PLAIN_NAME = "__Host-demur", "demur"
TOKEN_HEADER = "X-Demur-Token"  # noqa: S105  (the name of a header)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def put(response: Response, credential: str, *, secure: bool) -> None:
    """Let the browser keep this credential until it is closed or logs out."""
    name = NAME if secure else PLAIN_NAME
    response.set_cookie(name, credential, path="/", secure=secure, httponly=True, samesite="strict")


def take_back(response: Response, *, secure: bool) -> None:
    """Let the browser forget it."""
    name = NAME if secure else PLAIN_NAME
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")


def token(credential: str | bytes) -> str:
    """What our own pages send beside the cookie."""
    raw = credential.encode() if isinstance(credential, str) else credential
    return hmac.new(raw, b"demur-token", hashlib.sha256).hexdigest()


def kept(request: HttpRequest) -> bytes:
    """The credential in the cookie, b"" for none. The name without `__Host-` counts on loopback alone."""
    found = request.cookies.get(NAME, "")
    if not found and request.url.hostname in _LOOPBACK:
        found = request.cookies.get(PLAIN_NAME, "")
    return found.encode("utf-8", "replace")


def credential(request: HttpRequest) -> bytes:
    """The credential of a browser; raises `UnauthenticatedError` where there is none.

    Raises `AccessError` where the request may change something and is not known to come from our own pages.
    """
    raw = kept(request)
    if not raw:
        raise UnauthenticatedError("expected a credential, found none", hint="`demur caller add` issues an API key")
    if request.method not in SAFE:
        check_origin(request)
        check_token(request, raw)
    return raw


def check_token(request: HttpRequest, raw: bytes, sent: str = "") -> None:
    """Raises `AccessError` where neither the header nor what a form `sent` is the token of this credential."""
    found = (sent or request.headers.get(TOKEN_HEADER, "")).encode("utf-8", "replace")
    if not hmac.compare_digest(found, token(raw).encode()):
        raise AccessError(f"expected the header `{TOKEN_HEADER}` of our own pages, found none or another")


def check_origin(request: HttpRequest) -> None:
    """Raises `AccessError` where a browser says that another site sent it (`Origin`, `Sec-Fetch-Site`)."""
    origin = request.headers.get("origin")
    # The scheme is not compared: behind a proxy that ends TLS it is another one here.
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise AccessError("expected a request from our own pages, found one from another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise AccessError("expected a request from our own pages, found one from another site")
