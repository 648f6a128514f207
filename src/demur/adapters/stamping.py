"""Whose records they are: the id and epoch of a writer, and how its count goes on (docs/spec/ledger.md, section 2).

The id is random and kept in the store under `store.writer`; the epoch is kept under `store.epoch` and grows by one
with every opening, before the first record of it is written, so that no stamp is given twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from demur.core.ledger import chain
from demur.core.record import WriterStamp, check_writer_id
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.ports import StoredRecord

WRITER, EPOCH = "store.writer", "store.epoch"


def begin(find_meta: Callable[[str], bytes | None], writer_id: str = "") -> WriterStamp:
    """The first stamp of the next epoch: of the writer that the store names, else of `writer_id`, else of a random one.

    Keep what `kept` gives for it before a record is written. Raises `LedgerError` where the stored id or epoch is none.
    """
    stored = find_meta(WRITER)
    found = stored.decode("ascii", "replace") if stored is not None else writer_id or os.urandom(8).hex()
    epoch = find_meta(EPOCH) or b"0"
    if not epoch.isdigit():
        raise LedgerError(
            f"expected a number in `{EPOCH}` of the store, found `{epoch[:20].decode('ascii', 'replace')}`"
        )
    return WriterStamp(check_writer_id(found), int(epoch) + 1, 0)


def kept(stamp: WriterStamp) -> dict[str, bytes]:
    """What the store keeps of a stamp, by name."""
    return {WRITER: stamp.id.encode(), EPOCH: str(stamp.epoch).encode()}


def resume(stamp: WriterStamp, last: StoredRecord | None) -> WriterStamp:
    """The next stamp of the epoch, in a log that nobody else writes, where `last` is its last record."""
    writer = chain.read_leaf(last.leaf).get("writer") if last is not None else None
    if isinstance(writer, dict) and (writer.get("id"), writer.get("epoch")) == (stamp.id, stamp.epoch):
        return WriterStamp(stamp.id, stamp.epoch, int(writer["n"]) + 1)
    return WriterStamp(stamp.id, stamp.epoch, 0)
