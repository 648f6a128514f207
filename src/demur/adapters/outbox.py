"""Tells sinks outside what the ledger says: at least once, in its order, by one replica at a time.

The ledger is the outbox. A record is written in the transaction of what it tells of and never changes, so an event
needs no row of its own: a sink is a place in the ledger, kept in the store, that moves on as events are taken.

- One replica has the lease of a sink and renews it while it works. Where it dies another one goes on from the place
  that was kept; what was sent and not noted is sent again, under the same id.
- A sink that cannot be reached is asked again, less and less often, for as long as it takes: the ledger waits.
- An event that a sink refuses is sent `ATTEMPTS` times, then parked, where people see it and can send it again, and
  the next one is sent. So one event that nobody can digest does not hold up all others.
- A defect of the program ends the thread; the lease ends after it, and another replica goes on.
- Nothing here changes an answer. Where there is no sink nothing is written, read or started.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from concurrent.futures import TimeoutError as LateError
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from demur.adapters import outbox_events
from demur.errors import DemurError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from demur.adapters.outbox_events import Event
    from demur.ports import Store, StoredRecord, Transaction

META = "outbox."
"""Beginning of the meta name of a sink's place."""
LEASE_SECONDS = 30.0
BATCH = 64
"""Records that are told of before the place is noted; after a crash at most so many events are sent again."""
POLL_SECONDS = 0.25
ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
MAX_PARKED = 1_000
"""With so many parked events a sink gets no more, since something other than single events is wrong with it."""
_NANOS = 1_000_000_000
T = TypeVar("T")
_logger = logging.getLogger("demur")


class UnreachableError(DemurError):
    """A sink is not there, or says that it cannot take anything now."""


class RejectedError(DemurError):
    """A sink is there and does not take this event."""


class Sink(Protocol):
    """Takes events, one after the other; used by one thread."""

    def send(self, event: Event) -> None:
        """Hand over one event; returns once the other side has it. Raises `UnreachableError` and `RejectedError`."""

    def close(self) -> None:
        """Let go of the connection."""


class Parked(msgspec.Struct, frozen=True):
    """An event that a sink refused: the record that it tells of, and what the sink said last."""

    sequence: int
    attempts: int
    error: str
    is_due: bool = False
    """Whether somebody wants it to be sent again."""


class Place(msgspec.Struct, frozen=True):
    """How far a sink was told. `next` is the record to go on with; `attempts` were made to tell of it."""

    next: int
    holder: str = ""
    held_until: int = 0
    """Nanoseconds, by the clock of the store."""
    attempts: int = 0
    error: str = ""
    """What went wrong last; "" where all is well."""
    parked: tuple[Parked, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Place)


def places(store: Store, names: Collection[str]) -> dict[str, Place | None]:
    """How far each of these sinks was told, None for one that never was; raises `StoreError`."""
    return store.read(lambda tx: {name: _read(tx, name) for name in names})


def redrive(tx: Transaction, name: str, sequences: Collection[int] = ()) -> int:
    """Have parked events sent again, all where none are named; how many. A work for `Store.submit`."""
    place = _read(tx, name)
    if place is None:
        return 0
    wanted = frozenset(sequences)
    parked = [
        msgspec.structs.replace(one, is_due=True) if not wanted or one.sequence in wanted else one
        for one in place.parked
    ]
    _write(tx, name, msgspec.structs.replace(place, parked=tuple(parked)))
    return sum(not wanted or one.sequence in wanted for one in place.parked)


class Courier:
    """Tells one sink, in a thread of its own, whenever this replica has the lease."""

    def __init__(
        self,
        store: Store,
        name: str,
        sink: Sink,
        *,
        types: Sequence[str] = ("*",),
        lease_seconds: float = LEASE_SECONDS,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        pace: Callable[[], float] = time.monotonic,
    ) -> None:
        """`types` are event types, or beginnings of them that end in `*`. A new sink begins with the next record."""
        self._store = store
        self._name = name
        self._sink = sink
        self._types = tuple(types)
        self._lease_seconds = lease_seconds
        self._first_pause_seconds = first_pause_seconds
        self._pace = pace
        self._holder = secrets.token_hex(8)
        self._held_until = float("-inf")
        self._failures = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"demur-outbox-{name}", daemon=True)

    def start(self) -> None:
        """Begin to tell what is recorded from now on, or from where the last courier of this sink ended."""
        try:
            self._submit(self._begin)
        except StoreError as error:  # it begins once the store can be written
            _logger.warning("sink `%s` has not begun yet: %s", self._name, error)
        self._thread.start()

    def stop(self) -> None:
        """Finish the event that is being sent, note the place and give back the lease."""
        self._stopped.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def step(self) -> float:
        """Tell what there is to tell, up to a batch; returns how many seconds to wait before the next step.

        Raises `StoreError` and `LedgerError`.
        """
        place = self._hold()
        if place is None:
            return self._lease_seconds / 10
        if not self._tell_parked(place):
            return self._pause()
        if len(place.parked) >= MAX_PARKED:
            return POLL_SECONDS
        records = list(self._store.records(place.next, place.next + BATCH))
        if not records:
            return POLL_SECONDS
        return self._tell(place, records)

    # Below: the pieces.

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            try:
                pause = self.step()
            except (DemurError, OSError) as error:
                pause = self._pause()
                _logger.warning("sink `%s` could not be told: %s", self._name, error)
        try:
            self._submit(self._give_back)
        except StoreError:
            pass  # The lease ends by itself.
        finally:
            self._sink.close()

    def _tell(self, place: Place, records: Sequence[StoredRecord]) -> float:
        done = place.next
        for record in records:
            if self._stopped.is_set() or self._pace() > self._held_until:
                break
            event = outbox_events.event(record)
            if event is not None and self._wants(event.kind):
                try:
                    self._sink.send(event)
                except UnreachableError as error:
                    self._note(done, attempts=place.attempts if done == place.next else 0, error=str(error))
                    return self._pause()
                except RejectedError as error:
                    return self._refused(place, done, str(error))
            done = record.sequence + 1
        self._failures = 0
        self._note(done)
        return 0.0

    def _refused(self, place: Place, sequence: int, error: str) -> float:
        """One event was refused: it is tried again, or parked and passed over."""
        attempts = 1 + (place.attempts if sequence == place.next else 0)
        if attempts < ATTEMPTS:
            self._note(sequence, attempts=attempts, error=error)
            self._failures = attempts
            return self._wait(attempts)
        _logger.error("sink `%s` refused record %d %d times, it is parked: %s", self._name, sequence, attempts, error)
        self._note(sequence + 1, parked=Parked(sequence, attempts, error))
        self._failures = 0
        return 0.0

    def _tell_parked(self, place: Place) -> bool:
        """Send again what somebody asked for; whether the sink could be reached."""
        for one in place.parked:
            if not one.is_due:
                continue
            record = next(iter(self._store.records(one.sequence, one.sequence + 1)), None)
            event = outbox_events.event(record) if record is not None else None
            try:
                if event is not None:
                    self._sink.send(event)
            except UnreachableError as error:
                self._note(place.next, attempts=place.attempts, error=str(error))
                return False
            except RejectedError as error:
                again = Parked(one.sequence, one.attempts + 1, str(error))
                self._note(place.next, attempts=place.attempts, parked=again)
            else:
                self._note(place.next, attempts=place.attempts, sent=one.sequence)
        return True

    def _hold(self) -> Place | None:
        """The place, where the lease is ours; it is asked for and renewed only where that is due."""
        place = self._store.read(lambda tx: _read(tx, self._name))
        is_ours = place is not None and place.holder == self._holder
        if is_ours and self._pace() < self._held_until - self._lease_seconds / 2:
            return place
        if place is not None and not is_ours and place.holder and not self._has_ended(place):
            return None
        return self._submit(self._claim)

    def _has_ended(self, place: Place) -> bool:
        return self._store.read(lambda tx: tx.now.nanos) >= place.held_until

    def _claim(self, tx: Transaction) -> Place | None:
        place = _read(tx, self._name) or Place(next=tx.head.size)
        if place.holder not in {"", self._holder} and tx.now.nanos < place.held_until:
            return None
        until = tx.now.nanos + int(self._lease_seconds * _NANOS)
        held = msgspec.structs.replace(place, holder=self._holder, held_until=until)
        _write(tx, self._name, held)
        return held

    def _begin(self, tx: Transaction) -> None:
        if _read(tx, self._name) is None:
            _write(tx, self._name, Place(next=tx.head.size))

    def _give_back(self, tx: Transaction) -> None:
        place = _read(tx, self._name)
        if place is not None and place.holder == self._holder:
            _write(tx, self._name, msgspec.structs.replace(place, holder="", held_until=0))

    def _note(
        self, sequence: int, *, attempts: int = 0, error: str = "", parked: Parked | None = None, sent: int = -1
    ) -> None:
        """Keep the place, and the lease with it; raises `StoreError` where another replica has it by now."""

        def work(tx: Transaction) -> bool:
            held = self._claim(tx)
            if held is None:
                return False
            about = {sent, parked.sequence if parked is not None else -1}
            others = tuple(one for one in held.parked if one.sequence not in about)
            changed = (*others, parked) if parked is not None else others
            place = msgspec.structs.replace(held, next=sequence, attempts=attempts, error=error, parked=changed)
            _write(tx, self._name, place)
            return True

        if not self._submit(work):
            raise StoreError(f"another replica tells the sink `{self._name}` by now")

    def _submit(self, work: Callable[[Transaction], T]) -> T:
        began = self._pace()
        try:
            result = self._store.submit(work).result(self._lease_seconds)
        except LateError as error:
            raise StoreError("the store did not keep the place of a sink in time") from error
        self._held_until = began + self._lease_seconds
        return result

    def _pause(self) -> float:
        self._failures += 1
        return self._wait(self._failures)

    def _wait(self, failures: int) -> float:
        # Less than the lease, so that it is renewed while a sink is away.
        longest = min(LONGEST_PAUSE_SECONDS, self._lease_seconds / 3)
        return min(self._first_pause_seconds * 2.0 ** min(failures - 1, 16), longest)

    def _wants(self, kind: str) -> bool:
        return any(kind.startswith(want[:-1]) if want.endswith("*") else kind == want for want in self._types)


def _read(tx: Transaction, name: str) -> Place | None:
    raw = tx.find_meta(META + name)
    if raw is None:
        return None
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise StoreError(f"the place of the sink `{name}` was altered: {error}", hint="restore the backup") from error


def _write(tx: Transaction, name: str, place: Place) -> None:
    tx.put_meta(META + name, _encode(place))
