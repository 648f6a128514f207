"""From a request to an `Identity`: who calls, by the API key that they send.

    Authorization: Bearer demur-caller-...

Keys are looked up by their SHA-256, so that how long it takes tells nothing about any of them. A change of the file in
which they stand is noticed within a second, a key that was taken back included.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from demur.errors import ConfigurationError
from demur.server.problems import UnauthenticatedError
from demur.wiring import callers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.requests import Request as HttpRequest

    from demur.core.access import Identity

RECHECK_SECONDS = 1.0
_SCHEME = b"bearer "
_logger = logging.getLogger("demur")


class ApiKeys:
    """Knows callers by their API keys, those of every tenant."""

    def __init__(self, homes: Mapping[str, Path]) -> None:
        """`homes` are the tenants' homes, in which their callers stand; raises `ConfigurationError`."""
        self._books = {tenant: callers.open_callers(home) for tenant, home in homes.items()}
        self._lock = threading.Lock()
        self._known: dict[str, Identity] = {}
        self._recent: dict[bytes, Identity] = {}
        self._states: dict[str, tuple[int, ...]] = {}
        self._checked = float("-inf")
        self._refresh(is_first=True)

    async def identify(self, request: HttpRequest) -> Identity:
        """Who calls; raises `UnauthenticatedError` where nobody that we know does."""
        if time.monotonic() - self._checked > RECHECK_SECONDS:
            self._refresh()
        sent = credential(request)
        found = self._recent.get(sent)
        if found is None:
            digest = callers.digest(sent.decode("ascii", "replace"))
            if digest not in self._known:
                self._refresh()  # a key works from the moment it is shown
            found = self._known.get(digest)
            if found is None:
                raise UnauthenticatedError("expected an API key that is in force, found one that is not")
            self._recent[sent] = found
        return found

    def _refresh(self, *, is_first: bool = False) -> None:
        with self._lock:
            self._checked = time.monotonic()
            states = {tenant: book.state() for tenant, book in self._books.items()}
            if states == self._states and not is_first:
                return
            try:
                known = {
                    entry.key: entry.identity(tenant)
                    for tenant, book in self._books.items()
                    for entry in book.entries()
                }
            except ConfigurationError as error:
                if is_first:
                    raise
                # A file that cannot be trusted lets nobody in.
                _logger.error("the callers cannot be read: %s", error)  # noqa: TRY400  (where it happened does not matter)
                known = {}
            self._states, self._known, self._recent = states, known, {}


def credential(request: HttpRequest) -> bytes:
    """The bearer token of a request (RFC 6750); raises `UnauthenticatedError` where there is not exactly one."""
    sent: list[bytes] = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if len(sent) != 1 or sent[0][: len(_SCHEME)].lower() != _SCHEME:
        found = "none" if not sent else "something else"
        raise UnauthenticatedError(
            f"expected one header `Authorization: Bearer` with an API key, found {found}",
            hint="`demur caller add` issues a key",
        )
    return sent[0][len(_SCHEME) :].strip()
