"""A place that people are told at, as a sink of the ledger: each notice once it can be delivered, by one replica.

- The ledger is the outbox (adapters/outbox.py): a restart loses no notice, and of several replicas one tells.
- A place that takes nothing is tried again, less and less often, for as long as it takes. What is over by then is told
  no more, since each notice is put into words when it is sent.
- An address holds the credential of its place. It stands in no error and no log line, and what the library would log
  of it while we send is left out.

Needs the extra `notify`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from demur.adapters.notifying import Notice, open_apprise
from demur.adapters.outbox import UnreachableError
from demur.core.duty import Level
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.adapters.notifying import Opener
    from demur.adapters.outbox_events import Event

Compose: TypeAlias = Callable[[Mapping[str, object]], tuple[str, str] | None]
"""The data of an event as title and body, `None` where there is nothing to tell."""
KINDS = ("governance.review.*", "governance.refusal", "governance.lever.glass_used")
THREAD = "demur-outbox-notify."
"""How the names of the threads begin that send notices."""
_LIBRARIES = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests")
_decoder = msgspec.json.Decoder(dict[str, object])


class Notices:
    """`outbox.Sink` for one address."""

    def __init__(self, name: str, url: str, compose: Compose, *, opener: Opener = open_apprise) -> None:
        """Raises `ConfigurationError` for an address that is not understood, and where Apprise is not installed."""
        send = opener(url)
        if send is None:
            # The address itself is not said: it holds the credential of the place.
            raise ConfigurationError(
                f"expected an address that Apprise understands for the place `{name}`, found another",
                hint="see https://appriseit.com/services/",
            )
        self._name = name
        self._send = send
        self._compose = compose
        _keep_quiet()

    def send(self, event: Event) -> None:
        """Tell it, if there is anything to tell; raises `UnreachableError`, `StoreError` and `LedgerError`."""
        data = _decoder.decode(event.body).get("data")
        told = self._compose(data) if isinstance(data, dict) else None
        if told is None:
            return
        try:
            is_told = self._send(Notice(told[0], told[1], Level.LOW))
        except OSError as error:
            raise UnreachableError(f"the place `{self._name}` broke off: {type(error).__name__}") from None
        if not is_told:
            raise UnreachableError(f"the place `{self._name}` took nothing")

    def close(self) -> None:
        """Nothing is kept open."""


def _keep_quiet() -> None:
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        if _is_another_s not in logger.filters:
            logger.addFilter(_is_another_s)


def _is_another_s(record: logging.LogRecord) -> bool:
    """Whether a line is not about what we send: our addresses would stand in it."""
    del record
    return not threading.current_thread().name.startswith(THREAD)
