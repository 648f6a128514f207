"""A place that people are told at, as a sink of the ledger: each notice once it can be delivered, by one replica.

- The ledger is the outbox (adapters/outbox.py): a restart loses no notice, and of several replicas one tells.
- A place that takes nothing is tried again, less and less often, for as long as it takes. What is over by then is told
  no more, since each notice is put into words when it is sent.
- An address holds the credential of its place. It stands in no error and no log line: what libraries would log with any
  part of it is left out.

Needs the extra `notify`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

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
SHORTEST = 4
"""Parts of an address that are shorter are no secret, and stand in many a line."""
_LIBRARIES = ("apprise", "urllib3.connectionpool", "urllib3.util.retry")
_PARTS = re.compile(r"[^/:@?&=#,;\s]+")
_decoder = msgspec.json.Decoder(dict[str, object])


class Notices:
    """`outbox.Sink` for one address."""

    def __init__(self, name: str, url: str, compose: Compose, *, opener: Opener = open_apprise) -> None:
        """Raises `ConfigurationError` for an address that is not understood, and where Apprise is not installed."""
        _keep_out(url)
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


class _Discreet(logging.Filter):
    """Lets no line pass in which a part of an address stands."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: frozenset[str] = frozenset()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not any(part in text for part in self.parts)


_discreet = _Discreet()


def _keep_out(url: str) -> None:
    scheme, _, rest = url.partition("://")
    found = {part for part in _PARTS.findall(rest or scheme) if len(part) >= SHORTEST}
    _discreet.parts |= found | {unquote(part) for part in found}
    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(_discreet)
