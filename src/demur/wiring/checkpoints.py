"""The signing of a gate's ledger: its keys, the guard before the first append, and the publisher.

    home/checkpoint.key          the secret half of the key that signs, 0600
    home/published/checkpoint    the newest signed checkpoint, outside the database on purpose

A gate in memory signs with a key in memory. Nothing here uses the network unless the settings name somebody to reach.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters import anchoring, rollback
from demur.adapters.drops import open_drop
from demur.adapters.publishing import Publisher, ensure_keys
from demur.adapters.signing import GivenKeys, KeyFiles, MemoryKeys, verify
from demur.adapters.witness import Witness
from demur.core.ledger import checkpoint, note
from demur.core.ledger.proof import Proof
from demur.core.record import is_leaf_text
from demur.errors import ConfigurationError, LedgerError, RollbackError
from demur.observability.events import event
from demur.steps.world import Unsigned
from demur.wiring.settings import PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from demur.adapters.anchoring import Anchor
    from demur.adapters.signing import SigningKeys
    from demur.core.ledger.rotation import Window
    from demur.core.record import Json
    from demur.observability.events import Events
    from demur.ports import CheckpointRow, Checkpoints, Store
    from demur.steps.levers import Act
    from demur.wiring.reading import Reader
    from demur.wiring.settings import Settings

DEFAULT_ORIGIN = "demur.local"
_PAGE = 256


def open_checkpoints(settings: Settings, store: Store, observer: Events, *, must_sign: bool = True) -> Checkpoints:
    """The publisher of a store that continues whatever was published of it before.

    Where the secret half of the key is not here nothing is signed, unless it must be.

    Raises `RollbackError` where it does not, `ConfigurationError` where the origin, a key or an anchor is wrong,
    `AnchorError` where one is required and none can be asked, and `StoreError`.
    """
    folder = published_folder(settings.home)
    rollback.check(store, folder)
    with ExitStack() as opened:
        anchors = open_anchors(settings)
        for anchor in anchors:
            opened.callback(anchor.close)
        publisher = _publisher(settings, store, observer, anchors, must_sign=must_sign)
        if publisher is None:
            return Unsigned()
        opened.pop_all()
    return publisher


def _publisher(
    settings: Settings, store: Store, observer: Events, anchors: Sequence[Anchor], *, must_sign: bool
) -> Publisher | None:
    """The publisher, which closes the anchors when it is closed; None where it cannot sign and need not."""
    silent = anchoring.check_anchors(store, anchors, is_required=settings.anchors.is_required)
    keys = signing_keys(settings)
    try:
        ensure_keys(store, keys, origin(settings))
    except ConfigurationError:
        if must_sign:
            raise
        return None
    check_origin(settings, store)

    def tell(kind: str, data: Mapping[str, Json]) -> None:
        if observer.is_listening:
            at, log = str(settings.clock.now()), settings.log
            observer.notify(event(kind=kind, id=secrets.token_hex(16), log=log, subject=log, at=at, data=data))

    for error in silent:
        tell("governance.ledger.anchor_failed", {"error": error})
    folder = published_folder(settings.home)
    publisher = Publisher(store, keys, folder=folder, tell=tell, interval_seconds=settings.checkpoint_seconds)
    if anchors:
        anchoring.Anchoring(store, publisher, anchors, tell=tell, interval_seconds=settings.anchors.every_seconds)
    return publisher


def open_anchors(settings: Settings) -> tuple[Anchor, ...]:
    """The anchors that the settings name; raises `ConfigurationError`."""
    if not (settings.anchors.witnesses or settings.anchors.drops):
        return ()
    try:
        witnesses = [
            Witness(url, [note.parse_key(text) for text in keys], now=lambda: settings.clock.now().nanos // 10**9)
            for url, keys in settings.anchors.witnesses.items()
        ]
    except LedgerError as error:
        raise ConfigurationError(
            str(error), hint="give the verifier key as the witness's operator prints it"
        ) from error
    return (*witnesses, *map(open_drop, settings.anchors.drops))


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
    if not is_leaf_text(name) or name.startswith(".") or rollback.without_epoch(name) != name:
        raise ConfigurationError(
            f"expected an origin of a-z, 0-9, `_`, `.`, `-` and `/` that ends in no epoch, found `{name[:80]}`",
            hint="give a URL without its scheme, such as `example.org/gate`",
        )
    return name


def check_origin(settings: Settings, store: Store) -> None:
    """Raises `ConfigurationError` where the settings name another origin than the one that this ledger signs under."""
    signed = rollback.without_epoch(store.read(rollback.windows_in)[-1].key.name)
    if settings.origin and settings.origin != signed:
        message = f"expected the origin `{signed}`, under which this ledger is signed, found `{settings.origin}`"
        raise ConfigurationError(message, hint="a ledger keeps its origin; leave the setting out")


def newest_checkpoint(reader: Reader) -> CheckpointRow:
    """The newest signed checkpoint of a home; raises `LedgerError` where there is none."""
    row = reader.store.read(lambda tx: tx.find_checkpoint())
    if row is None:
        raise LedgerError(
            "expected a signed checkpoint, found none",
            hint="a gate signs within a second of a record, and when it closes",
        )
    return row


def key_windows(reader: Reader) -> tuple[Window, ...]:
    """The keys that sign the checkpoints of a home, each with its sizes; raises `LedgerError` where there is none."""
    windows = reader.store.read(rollback.windows_in)
    if not windows:
        raise LedgerError("expected a ledger with a key that signs it, found one without")
    return windows


def signed_roots(reader: Reader, home: Path) -> Iterator[tuple[int, bytes]]:
    """Size and root of every checkpoint that this home keeps, the smallest first, each signature checked.

    Beside those in the store stands the one in `published`, which a restored database lacks. Raises `LedgerError`.
    """
    if not reader.store.read(rollback.windows_in):
        return
    keys = [window.key for window in key_windows(reader)]
    raw = rollback.read_published(Path(home) / PUBLISHED)
    first = 0
    while rows := _page(reader, first):
        for row in rows:
            found = checkpoint.check(note.parse(row.note), log_keys=keys, verify=verify).checkpoint
            if (found.size, found.root) != (row.size, row.root):
                raise LedgerError(f"the checkpoint kept for size {row.size} is signed for another tree")
            if found.size:
                yield found.size, found.root
        first = rows[-1].size + 1
    if raw is not None:
        found = checkpoint.check(note.parse(raw), log_keys=keys, verify=verify).checkpoint
        if found.size >= first:
            yield found.size, found.root


def _page(reader: Reader, first: int) -> tuple[CheckpointRow, ...]:
    return reader.store.read(lambda tx: tx.list_checkpoints(first, limit=_PAGE))


def signed_proof(reader: Reader, sequence: int) -> str:
    """The `c2sp.org/tlog-proof@v1` of a record under the newest checkpoint; raises `LedgerError` for none."""
    row = newest_checkpoint(reader)
    if sequence >= row.size:
        message = f"expected a record below {row.size}, the size of the newest checkpoint, found {sequence}"
        raise LedgerError(message, hint="a gate signs within a second of a record, and when it closes")
    hashes = reader.prove(sequence, row.size).hashes
    return Proof(sequence, hashes, note.parse(row.note)).text


def accept(settings: Settings, store: Store, act: Act) -> str:
    """Begin a new epoch over a store that lacks what was signed; returns the new key's text.

    Raises `ConfigurationError` where nothing is missing, and `StoreError`.
    """
    folder, keys = published_folder(settings.home), signing_keys(settings)
    try:
        rollback.check(store, folder)
        ensure_keys(store, keys, origin(settings))
    except (RollbackError, ConfigurationError):
        return rollback.begin_epoch(store, keys, folder, act.operator, act.seal())
    message = "expected a ledger that lacks records or the key that signed them, found one that lacks nothing"
    raise ConfigurationError(message, hint="open the gate as usual")
