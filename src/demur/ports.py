"""What Demur asks of the world: a store, a vault, sources of facts, a clock, zones and observers.

A `Store` runs *work* (a function of a `Transaction`) one at a time under the append lock and commits in groups: what
one work wrote becomes durable together or not at all, and its result is released only after the commit. The store
keeps opaque bytes beside the few columns that it must search by; whatever could identify a person is sealed or
blinded before it arrives here (S5.4, S5.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import msgspec

from demur.core.resolution import Learned
from demur.rows import (
    ENDED_STATES,
    CheckpointRow,
    GrantRow,
    Head,
    RequestRow,
    ReviewRow,
    SpendRow,
    StoredRecord,
    Tree,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from demur.core.record import Draft, Entry, Sealed
    from demur.core.terms import Request, State, Timestamp

__all__ = [
    "ENDED_STATES",
    "AnchorState",
    "CheckpointRow",
    "Checkpoints",
    "Clock",
    "FactSource",
    "GrantRow",
    "Head",
    "Learned",
    "LedgerState",
    "Listing",
    "Observer",
    "RequestRow",
    "ReviewRow",
    "Signer",
    "Sources",
    "SpendRow",
    "Store",
    "StoredRecord",
    "Transaction",
    "Tree",
    "Usage",
    "Vault",
    "Zones",
]

T = TypeVar("T")


class Transaction(Protocol):
    """What one work may read and write. Earlier works of the same group are visible. `now` never runs backwards."""

    @property
    def log(self) -> str: ...
    @property
    def now(self) -> Timestamp: ...
    @property
    def head(self) -> Head: ...
    def append(self, draft: Draft) -> Entry:
        """Add a record: the next sequence number, the hash of the one before, this transaction's time."""

    def tree(self) -> Tree:
        """Size and root of the tree over the records, those that this transaction appended with them."""

    def find_tile(self, level: int, number: int, width: int = 256) -> bytes | None:
        """The first `width` hashes of a tile (C2SP tlog-tiles), where the tree has as many."""

    def find_checkpoint(self, size: int | None = None) -> CheckpointRow | None:
        """The signed checkpoint for this size; for None the one of the largest tree."""

    def list_checkpoints(self, first_size: int = 0, *, limit: int) -> tuple[CheckpointRow, ...]:
        """Signed checkpoints of trees of `first_size` or more records, the smallest first."""

    def put_checkpoint(self, row: CheckpointRow) -> None:
        """Keep a signed checkpoint, or more signatures on the one that is kept; raises `StoreError` for another root
        or text of the same size, a signature left out, and a size that the tree does not have (S5.6).
        """

    def find_request(self, key: bytes) -> RequestRow | None: ...
    def put_request(self, row: RequestRow) -> None:
        """Insert, or replace the row with the same key."""

    def usage(self, counter: str, key: bytes, since: Timestamp) -> Usage:
        """Grants counted at or after `since` that are redeemed, or live and not expired at `now`."""

    def spend(self, row: SpendRow) -> None: ...
    def settle(self, grant_id: str) -> None:
        """The grant was redeemed: its spending no longer expires. What has expired by `now` stays expired."""

    def release(self, grant_id: str) -> None:
        """The grant was revoked: its spending no longer counts."""

    def find_grant(self, grant_id: str) -> GrantRow | None: ...
    def put_grant(self, row: GrantRow) -> None:
        """Insert, or replace the row with the same id."""

    def find_review(self, review_id: str) -> ReviewRow | None: ...
    def put_review(self, row: ReviewRow) -> None:
        """Insert, or replace the row with the same id."""

    def matching_reviews(self, match: bytes) -> tuple[ReviewRow, ...]:
        """All reviews with this match, oldest first."""

    def list_reviews(
        self, *, states: tuple[str, ...], limit: int, after: tuple[Timestamp, str] | None = None
    ) -> tuple[ReviewRow, ...]:
        """Reviews in one of `states`, by deadline, then id; those that come after this deadline and id."""

    def ended_reviews(
        self, topic: bytes, *, limit: int, states: tuple[str, ...] = ENDED_STATES
    ) -> tuple[ReviewRow, ...]:
        """Reviews of this topic on which people ruled, or in these states, those of the newest record first."""

    def count_reviews(self, states: tuple[str, ...]) -> int:
        """How many reviews are in one of `states`."""

    def find_sealed(self, sequence: int) -> Sealed | None: ...
    def forget_sealed(self, sequences: Collection[int]) -> None:
        """Destroy these sealed values for good; `store.copies` is not empty while somebody who reads keeps a copy."""

    def find_record(self, sequence: int) -> StoredRecord | None: ...
    def find_meta(self, name: str) -> bytes | None: ...
    def put_meta(self, name: str, value: bytes) -> None:
        """Keep a named value; names that begin with `store.` are the store's own and refused."""

    def find_blob(self, digest: str) -> bytes | None: ...
    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep content-addressed bytes (policies); the same digest is kept once."""


class Store(Protocol):
    """Runs works in order and makes them durable in groups; safe to call from any thread."""

    @property
    def log(self) -> str: ...
    @property
    def was_clean(self) -> bool:
        """Whether the store was closed, not killed, before it was opened this time (S5.2)."""

    def submit(self, work: Callable[[Transaction], T], into: Future[T] | None = None) -> Future[T]:
        """Queue `work`. The Future (`into`, where the caller brings one) gets its result after the commit; an
        exception that `work` raises, with nothing of it written; or a `StoreError` where nothing could be made
        durable. Raises `OverloadedError` when the queue is full, and `StoreError` after a fork or a close.
        """

    def read(self, query: Callable[[Transaction], T]) -> T:
        """Run a query against the last committed state; writing in it raises `StoreError`."""

    def records(self, first: int = 0, last: int | None = None) -> Iterator[StoredRecord]:
        """The records from `first` up to, not including, `last`, in order, one snapshot."""

    def close(self) -> None:
        """Finish what is queued, release the lease. Closing twice is allowed."""


class Vault(Protocol):
    """Seals what could identify a person under that person's key, and blinds what must be found again (S5.4, S5.5)."""

    def seal(
        self, person: str, digest: str, fields: Mapping[str, bytes], others: Mapping[str, tuple[str, bytes]] = ...
    ) -> Sealed:
        """Encrypt `fields` under a fresh key wrapped by `person`'s key, commit to each with its own salt.

        `others` are fields about other people, each with that person: theirs are locked under their own key too, so
        that erasing either takes them.
        """

    def unseal(self, sealed: Sealed, about: str = "") -> dict[str, bytes]:
        """The fields, without those about others whose key was destroyed; or only those about one other, `about`.

        Raises `LedgerError` where they were altered, and `ForgottenError` where the person's key was destroyed.
        """

    def key_ids(self, person: str) -> tuple[str, ...]:
        """The pseudonyms of a person's keys; makes none."""

    def holds_key(self, key_id: str) -> bool:
        """Whether what was sealed under this key can be opened."""

    def destroy(self, key_ids: Collection[str]) -> bool:
        """Destroy keys, durably, for everybody; `False` while a copy is left that a second call may reach."""

    def rotate_master(self) -> int:
        """Wrap every key by another master key; how many. Raises `ConfigurationError` where that is not its to do."""

    def blind(self, *parts: str) -> bytes:
        """A keyed digest of the parts: equal for equal parts, meaningless without the key of the log."""

    def blind_for(self, person: str, *parts: str) -> bytes:
        """The same by the person's own key: meaningless for everybody, for ever, once the person was erased."""

    def close(self) -> None:
        """Let go of the keys."""


class Signer(Protocol):
    """Holds the secret half of an Ed25519 key: a file, or a key management service."""

    @property
    def name(self) -> str:
        """The origin of the log whose checkpoints it signs."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of RFC 8032."""

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature over this message; may be slow, and may raise whatever it likes."""


class AnchorState(msgspec.Struct, frozen=True):
    """One place outside that holds our checkpoints: the largest size it is known to have, and what failed last."""

    name: str
    size: int
    error: str = ""


class LedgerState(msgspec.Struct, frozen=True):
    """How far the ledger is signed, and how far others hold it. Sizes count records; "" is no error."""

    size: int
    checkpoint: str = ""
    """The newest signed checkpoint, a C2SP signed note; "" before the first."""
    checkpoint_size: int = 0
    checkpoint_age_seconds: float | None = None
    """How long ago it was signed; None before the first."""
    signing_error: str = ""
    anchored_size: int = 0
    """The largest size that an anchor outside holds: what lies beyond could still be cut off unseen."""
    anchors: tuple[AnchorState, ...] = ()

    @property
    def unsigned(self) -> int:
        """Records beyond the newest checkpoint."""
        return self.size - self.checkpoint_size

    @property
    def unanchored(self) -> int:
        """Records that nobody outside holds."""
        return self.size - self.anchored_size


class Checkpoints(Protocol):
    """Signs the state of the ledger from time to time, beside the answers: whatever fails here changes none."""

    @property
    def newest(self) -> str:
        """The newest signed checkpoint, "" before the first; never blocks."""

    def nudge(self) -> None:
        """Something was committed; never blocks."""

    def state(self) -> LedgerState:
        """How far the ledger is signed and anchored; raises `StoreError`."""

    def rotate(self, operator: str, sealed: Sealed, *, overlap: int) -> str:
        """Hand over to another key, by an operator's act; returns its text for those who verify.

        Raises `LedgerError` where a handover is still going on, `ConfigurationError` where there is no other key, and
        `StoreError`.
        """

    def close(self) -> None:
        """Sign what is not signed yet, and stop."""


class FactSource(Protocol):
    """One named source of facts."""

    @property
    def is_local(self) -> bool:
        """Answers at once from memory, so that it need not run in the pool."""

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        """The asked facts. A path left out, or an exception, counts as unknown."""


@runtime_checkable
class Listing(FactSource, Protocol):
    """A source that can also list whom or what it knows, for searches."""

    def keys(self, path: str) -> Collection[str]:
        """The values of this part of a request (`subject.id`, `resource.id`) that it knows; none of another part."""


class Sources(Protocol):
    """All declared sources together: timeouts, caching and failures are their business, never the caller's."""

    def learn(self, request: Request, wanted: Mapping[str, Sequence[str]], now: Timestamp) -> Mapping[str, Learned]:
        """Learn the wanted paths, given by source name. Never raises for a failing source: the fact is unknown."""

    def keys(self, path: str) -> Collection[str]:
        """The values of a part of a request that the sources can list: candidates of a search, never all there are."""

    def close(self) -> None: ...


class Clock(Protocol):
    """The only reader of the time."""

    def now(self) -> Timestamp: ...


class Zones(Protocol):
    """Time zones from the tz database that Demur ships with, never the host's (S2.4)."""

    @property
    def version(self) -> str: ...
    def offset(self, zone: str, at: Timestamp) -> int:
        """Seconds east of UTC at that instant; raises `KeyError` for a zone that does not exist."""


class Observer(Protocol):
    """Learns of events after they are durable; whatever it does changes no answer."""

    @property
    def is_listening(self) -> bool:
        """Whether anybody would learn of an event now."""

    def notify(self, event: Mapping[str, object]) -> None:
        """Take one event; never blocks and never raises."""

    def subscribe(self, subscriber: Callable[[Mapping[str, object]], object]) -> object:
        """Send every further event to `subscriber`."""

    def close(self) -> object:
        """Deliver what is queued, for a bounded time."""
