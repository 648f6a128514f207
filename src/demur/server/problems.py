"""Errors as problem documents (RFC 9457). What is inside (paths, hosts, stack traces) stays inside.

A "no" is never a problem: it is an answer, with HTTP status 200. A problem means that the question could not be
answered: malformed, by nobody we know, not theirs to ask, or more than can be taken on.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from demur.errors import (
    AccessError,
    DemurError,
    ForgottenError,
    IntakeError,
    OverloadedError,
    PolicyError,
    RulingError,
)

MEDIA_TYPE = "application/problem+json"
PROBLEM = "urn:demur:problem:"
"""Prefix of the `type`; a word follows."""
RETRY_SECONDS = 1
_UNAVAILABLE = "The service cannot answer now"
_encode = msgspec.json.Encoder().encode


class UnauthenticatedError(DemurError):
    """Nobody that we know: no credential, or one that is not in force."""


class TooLargeError(DemurError):
    """More was sent than is taken."""


class TooManyError(DemurError):
    """A caller asks faster than agreed."""


class NotFoundError(DemurError):
    """There is no such thing, or not for whoever asks."""


class ConflictError(DemurError):
    """It is not in a state in which this can be done."""


_STATUS: tuple[tuple[type[DemurError], int, str, str], ...] = (
    (IntakeError, 400, "malformed", "The request is malformed"),
    (UnauthenticatedError, 401, "unauthenticated", "A credential is needed"),
    (AccessError, 403, "forbidden", "This is not yours to do"),
    (NotFoundError, 404, "not_found", "There is no such thing"),
    (ConflictError, 409, "conflict", "It is not in a state for this"),
    (RulingError, 409, "conflict", "It is not in a state for this"),
    (ForgottenError, 410, "erased", "This was erased"),
    (TooLargeError, 413, "too_large", "The request is too large"),
    (PolicyError, 422, "policies", "The policies have problems"),
    (TooManyError, 429, "too_many", "Too many requests of this caller"),
    (OverloadedError, 503, "overloaded", "Too much is asked at once"),
)


def of(error: DemurError) -> Response:
    """The problem document of an error."""
    for kind, status, word, title in _STATUS:
        if isinstance(error, kind):
            return problem(status, word, title, str(error), hint=error.hint)
    # Stores, ledgers and settings speak of files and hosts; those who run the service find them in its log.
    return problem(503, "unavailable", _UNAVAILABLE, "")


def unavailable(told: dict[str, object]) -> Response:
    """An evaluation that could not be decided or recorded: a problem document that is also AuthZEN's answer."""
    body = {"type": PROBLEM + "unavailable", "title": _UNAVAILABLE, "status": 503, **told}
    return Response(_encode(body), 503, {"Retry-After": str(RETRY_SECONDS)}, MEDIA_TYPE)


def broken() -> Response:
    """A mistake of the service itself; what it is stands in its log."""
    return problem(500, "broken", "The service made a mistake", "")


def problem(status: int, word: str, title: str, detail: str, *, hint: str = "") -> Response:
    """A problem document; `word` ends its type."""
    body: dict[str, object] = {"type": PROBLEM + word, "title": title, "status": status}
    body |= {name: text for name, text in (("detail", detail), ("hint", hint)) if text}
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="demur"'
    if status == 413:
        headers["Connection"] = "close"  # what is still on its way is not read
    if status in {429, 503}:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return Response(_encode(body), status, headers, MEDIA_TYPE)
