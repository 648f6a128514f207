"""What a store holds durably, as a group reads it, and which signed checkpoints may join those that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from demur.adapters.growth import StoredTree
from demur.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.record import Sealed
    from demur.core.terms import Timestamp
    from demur.ports import (
        CheckpointRow,
        GrantRow,
        Head,
        RequestRow,
        ReviewRow,
        SpendRow,
        StoredRecord,
        Usage,
    )


class Committed(StoredTree, Protocol):
    """What a store holds durably. Times are within what both databases can hold; rows come in the order named."""

    def head(self) -> Head: ...
    def find_checkpoint(self, size: int | None) -> CheckpointRow | None:
        """The checkpoint of this size; for None the one of the largest tree."""

    def list_checkpoints(self, first_size: int, limit: int) -> tuple[CheckpointRow, ...]:
        """By size."""

    def find_request(self, key: bytes) -> RequestRow | None: ...
    def usage(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Usage: ...
    def spent(self, counter: str, key: bytes, since: Timestamp, now: Timestamp) -> Iterable[SpendRow]:
        """The rows that `usage` sums, in any order."""

    def find_grant(self, grant_id: str) -> GrantRow | None: ...
    def find_review(self, review_id: str) -> ReviewRow | None: ...
    def matching_reviews(self, match: bytes) -> tuple[ReviewRow, ...]:
        """By sequence, then id."""

    def list_reviews(self, states: tuple[str, ...], limit: int, after: tuple[Timestamp, str]) -> tuple[ReviewRow, ...]:
        """Those after this deadline and id, by deadline, then id. No state comes twice."""

    def ended_reviews(self, topic: bytes, limit: int, states: tuple[str, ...]) -> tuple[ReviewRow, ...]:
        """In these states, the highest sequence first, then the highest id. No state comes twice."""

    def count_reviews(self, states: tuple[str, ...]) -> int:
        """No state comes twice."""

    def find_sealed(self, sequence: int) -> Sealed | None: ...
    def find_record(self, sequence: int) -> StoredRecord | None: ...
    def find_meta(self, name: str) -> bytes | None: ...
    def find_blob(self, digest: str) -> bytes | None: ...


class _Ended:
    """Stands for the committed rows once the group ended: a transaction that was kept can read nothing stale."""

    def __getattr__(self, name: str) -> object:
        raise StoreError("expected a transaction in use, found one that has ended")


ENDED = cast("Committed", _Ended())


def check_checkpoint(row: CheckpointRow, kept: CheckpointRow | None, size: int) -> None:
    """Raises `StoreError` unless `row` may be kept for a ledger of `size` records beside or instead of `kept`.

    Two roots for one size are the proof that a log said two things; no store may hold them.
    """
    if not 0 <= row.size <= size:
        raise StoreError(f"expected a checkpoint of at most {size} records, found one of {row.size}")
    if kept is None:
        return
    if row.root != kept.root:
        raise StoreError(
            f"expected the root `{kept.root.hex()}` that was signed for {row.size} records, found `{row.root.hex()}`",
            hint="stop the service: the ledger is not the one that was signed; restore the newest copy",
        )
    text, signatures = _parts(row.note)
    kept_text, kept_signatures = _parts(kept.note)
    if text != kept_text:
        raise StoreError(f"expected the text that was signed for {row.size} records, found another")
    if not kept_signatures <= signatures:
        raise StoreError(f"expected every signature that the checkpoint of {row.size} records has, found one left out")


def _parts(note: bytes) -> tuple[bytes, frozenset[bytes]]:
    """Text and signature lines of a signed note (C2SP signed-note): the last empty line divides them."""
    text, _, signatures = note.rpartition(b"\n\n")
    return text, frozenset(signatures.splitlines())
