"""Signs the state of the ledger: after commits, at most once a second, and when the gate closes.

1. Under the append lock: size and root of the tree are read, the tree is shown to continue what was to be signed last,
   and (size, root) is made durable as what is to be signed now.
2. The keys in whose windows the size lies sign; every signature is verified before it counts.
3. The note is put durably into `published/checkpoint`, outside the database, so that a database put back to an older
   state is noticed and never signed again with other records.
4. The note is stored, and only then given to answers, observers and anchors.

So no two roots are ever signed for one size, over restarts, crashes at any point and restored databases. Where a step
fails nothing is signed or published, the next attempt begins again, and no answer waits for any of it: what fails is
told to observers and by `state`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from demur.adapters import durable
from demur.adapters.rollback import KEYS, PUBLISHED, SIGNING, check_continues, read_published, windows_in
from demur.adapters.signing import verifier_key, verify
from demur.adapters.workers import Workers
from demur.core.ledger import checkpoint, note, rotation
from demur.core.ledger.checkpoint import Checkpoint
from demur.core.ledger.rotation import KeyEvent, KeyEventKind
from demur.core.record import Draft, Json, Sealed
from demur.errors import ConfigurationError, DemurError, LedgerError, OverloadedError
from demur.ports import AnchorState, CheckpointRow, LedgerState

if TYPE_CHECKING:
    from pathlib import Path

    from demur.adapters.signing import SigningKeys
    from demur.core.ledger.note import Note, Signature, VerifierKey
    from demur.core.ledger.rotation import Window
    from demur.ports import Store, Transaction

Tell: TypeAlias = Callable[[str, Mapping[str, Json]], None]
"""Takes the type of an event and its data; never blocks and never raises."""
T = TypeVar("T")

INTERVAL_SECONDS = 1.0
STORE_SECONDS = 10.0
SIGNER_SECONDS = 10.0
"""How long a signature may take before it counts as failed."""
RETRY_SECONDS = 5.0
"""How long after a failure the next attempt is made, if nothing is committed before."""
FAILURES = (DemurError, OSError)


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that was signed, and when, by the monotonic clock; None where an earlier process signed it."""

    checkpoint: Checkpoint
    note: Note
    text: str
    at: float | None


class Publisher:
    """`ports.Checkpoints`. One thread of its own; safe to use from any thread."""

    def __init__(
        self,
        store: Store,
        keys: SigningKeys,
        *,
        folder: Path | None = None,
        tell: Tell = lambda _kind, _data: None,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        """`folder` is where the newest checkpoint stands outside the database; `tell` learns of news.

        The guard (rollback.py) must have let the store pass, and the store know its keys (`ensure_keys`).
        """
        self._store = store
        self._keys = keys
        self._folder = folder
        self._tell = tell
        self._interval_seconds = interval_seconds
        self._outside: Workers[bytes] = Workers("signing", size=1)
        self._lock = threading.Lock()  # one publication at a time
        self._nudged = threading.Event()
        self._closing = threading.Event()
        self._error = ""
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._anchors: Callable[[], tuple[AnchorState, ...]] = tuple
        self._follow_to_end: Callable[[], None] = lambda: None
        self._signed = store.read(_newest)
        self.newest = self._signed.text if self._signed else ""
        self._thread = threading.Thread(target=self._run, name=f"demur-checkpoints-{store.log}", daemon=True)
        self._thread.start()

    @property
    def signed(self) -> Signed | None:
        """The newest checkpoint, None before the first."""
        return self._signed

    def nudge(self) -> None:
        if not self._nudged.is_set():
            self._nudged.set()

    def follow(
        self,
        listener: Callable[[], None],
        anchors: Callable[[], tuple[AnchorState, ...]],
        closing: Callable[[], None],
    ) -> None:
        """Call `listener`, which must not block, after each checkpoint and `closing` after the last one.

        `anchors` tells what is held outside.
        """
        self._listeners = (*self._listeners, listener)
        self._anchors, self._follow_to_end = anchors, closing

    def state(self) -> LedgerState:
        size = self._store.read(lambda tx: tx.head.size)
        signed, anchors = self._signed, self._anchors()
        return LedgerState(
            size=size,
            checkpoint=self.newest,
            checkpoint_size=signed.checkpoint.size if signed else 0,
            checkpoint_age_seconds=time.monotonic() - signed.at if signed and signed.at is not None else None,
            signing_error=self._error,
            anchored_size=max((anchor.size for anchor in anchors), default=0),
            anchors=anchors,
        )

    def publish(self) -> bool:
        """Sign what is not signed yet, now: whether there is a new checkpoint. Failures are told, not raised."""
        try:
            with self._lock:
                signed = self._publish()
        except FAILURES as error:
            self._fail(str(error) or "the checkpoint could not be signed")
            return False
        self._error = ""
        if signed is None:
            return False
        self._tell("governance.ledger.checkpoint", {"size": signed.checkpoint.size, "checkpoint": signed.text})
        for listener in self._listeners:
            listener()
        return True

    def add_signatures(self, size: int, more: tuple[Signature, ...]) -> None:
        """Keep what others signed on the checkpoint of `size`; raises `StoreError`."""

        def work(tx: Transaction) -> Note:
            row = tx.find_checkpoint(size)
            if row is None:
                raise LedgerError(f"expected a checkpoint of {size} records, found none")
            whole = note.parse(row.note).add(more)
            tx.put_checkpoint(CheckpointRow(row.size, row.root, whole.encode()))
            return whole

        with self._lock:
            whole = self._do(work)
            signed = self._signed
            if signed is not None and signed.checkpoint.size == size:
                self._keep(Signed(signed.checkpoint, whole, whole.encode().decode(), signed.at))

    def rotate(self, operator: str, sealed: Sealed, *, overlap: int) -> str:
        with self._lock:
            windows, size = self._store.read(lambda tx: (windows_in(tx), tx.head.size))
            old = windows[-1].key
            new = verifier_key(self._keys.make(old.name, {window.key.public_key for window in windows}))
            after = rotation.hand_over(windows, new, size=size + 1, overlap=overlap)
            last_size = after[-2].last_size or 0
            event = KeyEvent(KeyEventKind.HANDOVER, old, new, size + 1, last_size)
            draft = Draft("key_event", {**self._members(event), "operator": operator}, sealed)

            def work(tx: Transaction) -> None:
                if tx.head.size >= last_size or windows_in(tx) != windows:
                    message = f"expected the handover to be recorded before record {last_size}, found it later"
                    raise LedgerError(message, hint="give a longer overlap, and try again")
                tx.append(draft)
                tx.put_meta(KEYS, rotation.encode(after))

            self._do(work)
        self.nudge()
        return new.text

    def close(self) -> None:
        self._closing.set()
        self._nudged.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self.publish()
        self._follow_to_end()
        self._outside.close()

    # Below: the thread, and the steps of a publication.

    def _run(self) -> None:
        next_at = time.monotonic() + self._interval_seconds
        while not self._closing.is_set():
            self._nudged.wait(RETRY_SECONDS if self._error else None)
            if self._closing.wait(next_at - time.monotonic()):
                return
            self._nudged.clear()
            self.publish()
            next_at = time.monotonic() + self._interval_seconds

    def _publish(self) -> Signed | None:
        prepared = self._do(self._prepare)
        if prepared is None:
            return None
        wanted, windows = prepared
        signers = rotation.signing(windows, wanted.size)
        if not signers:
            raise LedgerError(f"expected a key that signs checkpoints of {wanted.size} records, found none")
        whole = note.Note(wanted.text, tuple(self._sign(window.key, wanted.text) for window in signers))
        data = whole.encode()
        if self._folder is not None:
            _put_outside(self._folder, wanted, data)
        self._do(lambda tx: tx.put_checkpoint(CheckpointRow(wanted.size, wanted.root, data)))
        signed = Signed(wanted, whole, data.decode(), time.monotonic())
        self._keep(signed)
        self._retire(windows, wanted.size)
        return signed

    def _prepare(self, tx: Transaction) -> tuple[Checkpoint, tuple[Window, ...]] | None:
        """Step 1, under the append lock: what is to be signed now, or None where that is signed already."""
        windows, tree = windows_in(tx), tx.tree()
        wanted = Checkpoint(windows[-1].key.name, tree.size, tree.root)
        last = tx.find_meta(SIGNING)
        if last is not None:
            check_continues(tx, checkpoint.parse(last.decode()), "the account of what was signed")
        self._check_signed(tx)
        if tree.size == 0 or tx.find_checkpoint(tree.size) is not None:
            return None
        tx.put_meta(SIGNING, wanted.text.encode())
        return wanted, windows

    def _check_signed(self, tx: Transaction) -> None:
        """The same for what this process signed: its store may have been replaced behind its back."""
        if self._signed is not None and self._signed.at is not None:
            check_continues(tx, self._signed.checkpoint, "this process")

    def _sign(self, key: VerifierKey, text: str) -> Signature:
        """One signature, verified: a signer that answers for another key, late, or with an error signs nothing."""
        signature = note.sign(key, text, lambda message: self._ask(key, message))
        note.check_one(text, signature, key, verify)
        return signature

    def _ask(self, key: VerifierKey, message: bytes) -> bytes:
        signer = self._keys.find(key)
        if signer is None:
            raise ConfigurationError(f"the key `{key.text}` signs this log, and its secret half is not here")
        call = self._outside.submit(lambda: signer.sign(message))
        try:
            error = call.future.exception(SIGNER_SECONDS)
        except LateError as late:
            self._outside.abandon(call)
            raise LedgerError(f"the signer did not answer within {SIGNER_SECONDS:.0f} seconds") from late
        if error is not None:
            raise LedgerError(f"the signer failed: {str(error)[:200]}") from error
        return call.future.result()

    def _members(self, event: KeyEvent) -> dict[str, Json]:
        """A key event as its record tells it, signed by the key that must vouch for it."""
        signature = self._ask(event.signer, event.statement)
        rotation.check(event, signature, verify)
        return {**rotation.members(event, signature)}

    def _retire(self, windows: tuple[Window, ...], size: int) -> None:
        """Record the end of each key whose window is over, then destroy it."""
        for window in rotation.ending(windows, size):
            new = windows[-1]
            event = KeyEvent(KeyEventKind.RETIREMENT, window.key, new.key, new.first_size, window.last_size or 0)
            draft, windows = Draft("key_event", self._members(event)), rotation.retire(windows, window.key)
            self._do(_recording(draft, windows))
            self._keys.discard(window.key)

    def _keep(self, signed: Signed) -> None:
        self._signed, self.newest = signed, signed.text

    def _fail(self, error: str) -> None:
        if error != self._error:
            self._error = error
            self._tell("governance.ledger.signing_failed", {"error": error})

    def _do(self, work: Callable[[Transaction], T]) -> T:
        future = self._store.submit(work)
        try:
            return future.result(STORE_SECONDS)
        except LateError as error:
            future.cancel()
            message = "the deadline passed before this was recorded"
            raise OverloadedError(message) from error


def ensure_keys(store: Store, keys: SigningKeys, origin: str) -> None:
    """See that the log has a key, and that the secret half of each key that signs is here.

    Raises `ConfigurationError` where one is missing, or the log signs under another origin, and `StoreError`.
    """
    windows = store.read(windows_in)
    if not windows:
        first = (rotation.Window(verifier_key(keys.make(origin, ()))),)
        store.submit(lambda tx: tx.put_meta(KEYS, rotation.encode(first))).result(STORE_SECONDS)
        return
    for window in windows:
        if window.is_retired:
            keys.discard(window.key)
        elif keys.find(window.key) is None:
            raise ConfigurationError(
                f"expected the secret half of the key `{window.key.text}`, which signs this log, found none",
                hint="put back the copy of its file; where it is lost, `demur ledger accept-rollback` begins anew",
            )


def _put_outside(folder: Path, wanted: Checkpoint, data: bytes) -> None:
    """Step 3. Replicas share the folder: one that was overtaken leaves what a quicker one put there."""
    published = read_published(folder)
    if published is not None:
        last = checkpoint.parse(note.parse(published).text)
        if last.origin == wanted.origin and last.size > wanted.size:
            return
    durable.replace_file(folder / PUBLISHED, data)


def _recording(draft: Draft, windows: tuple[Window, ...]) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        tx.append(draft)
        tx.put_meta(KEYS, rotation.encode(windows))

    return work


def _newest(tx: Transaction) -> Signed | None:
    row = tx.find_checkpoint()
    if row is None:
        return None
    whole = note.parse(row.note)
    return Signed(checkpoint.parse(whole.text), whole, row.note.decode(), None)
