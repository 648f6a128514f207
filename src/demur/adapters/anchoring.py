"""Gives checkpoints to others: witnesses first, then drops, at most once a minute, beside the answers.

1. The newest checkpoint goes to every witness; cosignatures are verified before they are kept with it.
2. The checkpoint, with what the witnesses signed, goes to every drop.
3. Where somebody holds more than before, a `checkpoint_anchored` record says how much and by which keys.

An anchor that fails, hangs or contradicts us delays no other one and no answer. What failed is told to observers and by
`Checkpoints.state`; that somebody holds another history is told as an alarm each time it is seen.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import TimeoutError as LateError
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from demur.adapters.rollback import check_note, reading, windows_in
from demur.adapters.workers import Workers
from demur.core.ledger import checkpoint, note, tile
from demur.core.record import Draft
from demur.errors import AnchorError, DemurError, RollbackError
from demur.ports import AnchorState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demur.adapters.publishing import Publisher, Signed, Tell
    from demur.adapters.witness import Prove
    from demur.core.ledger.checkpoint import Checkpoint
    from demur.core.ledger.note import Note, Signature
    from demur.core.record import Json
    from demur.ports import Store, Transaction

INTERVAL_SECONDS = 60.0
ANCHOR_SECONDS = 20.0
"""How long one anchor may take before it counts as failed, whatever it does."""


class Anchor(Protocol):
    """Somebody outside who holds our checkpoints."""

    name: str

    def hold(self, whole: Note, found: Checkpoint, prove: Prove) -> tuple[Signature, ...]: ...
    def close(self) -> None: ...


@runtime_checkable
class Telling(Anchor, Protocol):
    """An anchor from which the newest checkpoint can be read back."""

    def newest(self, origin: str) -> Note | None: ...


class Anchoring:
    """Follows a publisher. One thread of its own; what anchors do runs in further ones, which may hang."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        anchors: Sequence[Anchor],
        *,
        tell: Tell,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._anchors = tuple(anchors)
        self._tell = tell
        self._interval_seconds = interval_seconds
        self._states = {id(anchor): AnchorState(anchor.name, 0) for anchor in anchors}
        self._outside: Workers[tuple[Signature, ...]] = Workers("anchors", size=len(self._anchors))
        self._lock = threading.Lock()
        self._nudged = threading.Event()
        self._closing = threading.Event()
        self._told_size = 0
        """The size up to which records tell of anchoring, that record itself with them if nothing lay between."""
        self._thread = threading.Thread(target=self._run, name=f"demur-anchors-{store.log}", daemon=True)
        self._thread.start()
        publisher.follow(self._nudged.set, self.states, self.close)

    def states(self) -> tuple[AnchorState, ...]:
        """What each anchor is known to hold."""
        return tuple(self._states.values())

    def anchor(self, *, is_last: bool = False) -> None:
        """Give the newest checkpoint to all, now; the last one to the drops only, since they are quick."""
        signed = self._publisher.signed
        if signed is None or signed.checkpoint.size <= self._told_size:
            return
        with self._lock:
            before = max(state.size for state in self.states())
            if not is_last:
                self._give([anchor for anchor in self._anchors if not isinstance(anchor, Telling)], signed)
            self._give([anchor for anchor in self._anchors if isinstance(anchor, Telling)], signed)
            if max(state.size for state in self.states()) > before and not is_last:
                self._record(signed)

    def close(self) -> None:
        """Give the last checkpoint to the drops, and stop."""
        self._closing.set()
        self._nudged.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(ANCHOR_SECONDS)
        self.anchor(is_last=True)
        self._outside.close()
        for anchor in self._anchors:
            anchor.close()

    def _run(self) -> None:
        next_at = time.monotonic()
        while not self._closing.is_set():
            self._nudged.wait()
            if self._closing.wait(next_at - time.monotonic()):
                return
            self._nudged.clear()
            self.anchor()
            next_at = time.monotonic() + self._interval_seconds

    def _give(self, anchors: Sequence[Anchor], signed: Signed) -> None:
        whole = (self._publisher.signed or signed).note
        whole = whole if whole.text == signed.note.text else signed.note
        calls = [
            (anchor, self._outside.submit(partial(anchor.hold, whole, signed.checkpoint, proving(self._store))))
            for anchor in anchors
        ]
        deadline = time.monotonic() + ANCHOR_SECONDS
        more: list[Signature] = []
        for anchor, call in calls:
            try:
                error = call.future.exception(max(0.0, deadline - time.monotonic()))
            except LateError:
                self._outside.abandon(call)
                error = AnchorError(f"the anchor `{anchor.name}` did not answer in time")
            if error is None:
                more += call.future.result()
                self._states[id(anchor)] = AnchorState(anchor.name, signed.checkpoint.size)
            else:
                self._failed(anchor, error)
        if more:
            self._publisher.add_signatures(signed.checkpoint.size, tuple(more))

    def _failed(self, anchor: Anchor, error: BaseException) -> None:
        text = str(error)[:300] or "it failed without a word"
        known = self._states[id(anchor)]
        self._states[id(anchor)] = AnchorState(anchor.name, known.size, text)
        if isinstance(error, RollbackError):
            self._tell("governance.ledger.contradicted", {"anchor": anchor.name, "error": text})
        elif text != known.error:
            self._tell("governance.ledger.anchor_failed", {"anchor": anchor.name, "error": text})

    def _record(self, signed: Signed) -> None:
        size = signed.checkpoint.size
        held = [state for state in self.states() if state.size == size]
        members: dict[str, Json] = {
            "origin": signed.checkpoint.origin,
            "size": size,
            "root": signed.checkpoint.root.hex(),
            "anchors": len(held),
            "keys": [item.key_id.hex() for item in (self._publisher.signed or signed).note.signatures],
        }

        def work(tx: Transaction) -> int:
            return tx.append(Draft("checkpoint_anchored", members)).sequence

        try:
            sequence = self._store.submit(work).result(ANCHOR_SECONDS)
        except (DemurError, LateError) as error:
            self._tell("governance.ledger.anchor_failed", {"anchor": "record", "error": str(error)})
            return
        # A record about anchoring alone is no reason to anchor again, or an idle gate would do so for ever.
        self._told_size = sequence + 1 if sequence == size else size
        self._publisher.nudge()


def proving(store: Store) -> Prove:
    """Proofs from the tree of a store."""

    def prove(old: int, new: int) -> tuple[bytes, ...]:
        return store.read(lambda tx: tile.prove_consistency(old, new, reading(tx)))

    return prove


def check_anchors(store: Store, anchors: Sequence[Anchor], *, is_required: bool) -> tuple[str, ...]:
    """Raises `RollbackError` where an anchor holds what the store does not continue; else what kept any from telling.

    Where `is_required`, also where none of them could be asked, as `AnchorError`.
    """
    if not store.read(windows_in):
        return ()
    asking: Workers[None] = Workers("anchors", size=max(1, len(anchors)))
    calls = [(anchor, asking.submit(partial(_check_one, store, anchor))) for anchor in anchors]
    errors: list[str] = []
    for anchor, call in calls:
        try:
            call.future.result(ANCHOR_SECONDS)
        except LateError:
            asking.abandon(call)
            errors.append(f"the anchor `{anchor.name}` did not answer in time")
        except AnchorError as error:
            errors.append(str(error))
    asking.close()
    if is_required and anchors and len(errors) == len(anchors):
        raise AnchorError(
            f"expected an anchor that tells what it holds, found none: {errors[0]}",
            hint="reach one of the anchors first, or open without `require_anchor`",
        )
    return tuple(errors)


def _check_one(store: Store, anchor: Anchor) -> None:
    """Raises `RollbackError` where this anchor holds more than the store, or something else."""
    if isinstance(anchor, Telling):
        origin = store.read(windows_in)[-1].key.name
        held = anchor.newest(origin)
        if held is not None:
            kept = held
            store.read(lambda tx: check_note(tx, kept, f"the drop `{anchor.name}`"))
        return
    row = store.read(lambda tx: tx.find_checkpoint())
    if row is not None:
        # A witness is asked by asking again for what it cosigned: only what is stored was ever sent to it.
        whole = note.parse(row.note)
        anchor.hold(whole, checkpoint.parse(whole.text), proving(store))
