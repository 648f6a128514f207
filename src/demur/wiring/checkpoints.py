"""The signing of a gate's ledger: its keys, the guard before the first append, and the publisher.

    home/checkpoint.key          the secret half of the key that signs, 0600
    home/published/checkpoint    the newest signed checkpoint, outside the database on purpose

A gate in memory signs with a key in memory. Nothing here uses the network unless the settings name somebody to reach.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters import rollback
from demur.adapters.publishing import Publisher, ensure_keys
from demur.adapters.signing import GivenKeys, KeyFiles, MemoryKeys
from demur.core.ledger import note
from demur.core.record import is_leaf_text
from demur.errors import ConfigurationError, LedgerError
from demur.observability.events import event
from demur.wiring.settings import PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.adapters.signing import SigningKeys
    from demur.core.record import Json
    from demur.observability.events import Events
    from demur.ports import Store
    from demur.wiring.settings import Settings

DEFAULT_ORIGIN = "demur.local"


def open_checkpoints(settings: Settings, store: Store, observer: Events) -> Publisher:
    """The publisher of a store that continues whatever was published of it before.

    Raises `RollbackError` where it does not, `ConfigurationError` where the origin or a key is wrong, `StoreError`.
    """
    folder = published_folder(settings.home)
    rollback.check(store, folder)
    keys = signing_keys(settings)
    ensure_keys(store, keys, origin(settings))

    def tell(kind: str, data: Mapping[str, Json]) -> None:
        if observer.is_listening:
            at, log = str(settings.clock.now()), settings.log
            observer.notify(event(kind=kind, id=secrets.token_hex(16), log=log, subject=log, at=at, data=data))

    return Publisher(store, keys, folder=folder, tell=tell, interval_seconds=settings.checkpoint_seconds)


def signing_keys(settings: Settings) -> SigningKeys:
    """Where the secret halves are: with the signers that were given, in the home, or in memory."""
    if settings.signers:
        return GivenKeys(settings.signers)
    return KeyFiles(Path(settings.home)) if settings.home is not None else MemoryKeys()


def published_folder(home: Path | None) -> Path | None:
    """Where the newest checkpoint stands outside the database, made where it is missing; None for a gate in memory."""
    if home is None:
        return None
    folder = Path(home) / PUBLISHED
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def origin(settings: Settings) -> str:
    """The name under which the ledger is signed; raises `ConfigurationError` where records could not tell it."""
    name = settings.origin or f"{DEFAULT_ORIGIN}/{settings.log}"
    try:
        note.check_name(name)
    except LedgerError as error:
        raise ConfigurationError(str(error), hint="give an origin such as `example.org/gate`") from error
    if not is_leaf_text(name) or rollback.without_epoch(name) != name:
        raise ConfigurationError(
            f"expected an origin of a-z, 0-9, `_`, `.`, `-` and `/` that ends in no epoch, found `{name[:80]}`",
            hint="give a URL without its scheme, such as `example.org/gate`",
        )
    return name
