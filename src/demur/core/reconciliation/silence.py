"""What should have been said and was not: epochs, counts of writers, heartbeats, canaries, received requests.

Each writer has an account of its own: the numbers in its records have no gaps, an opening says first how often it will
be heard, and a silence longer than that is told once, unless the opening ended in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.reconciliation.findings import Kind
from demur.core.terms import NANOS

if TYPE_CHECKING:
    from demur.core.reconciliation.findings import Limits, Tell
    from demur.core.reconciliation.lives import Leaf

MAX_PENDING = 100_000
"""Received requests that wait for their answer; more of them are told at once."""


class Heard(msgspec.Struct):
    """What was heard of one writer: its place, and when it last said what it promised to say."""

    epoch: int = -1
    n: int = -1
    is_over: bool = True
    heartbeat: int = 0
    beat_at: int = 0
    canary: int = 0
    canaries: dict[str, int] = {}


class Silence:
    """Listens to the writers of one log."""

    def __init__(self, tell: Tell, limits: Limits) -> None:
        self._tell = tell
        self._limits = limits
        self._heard: dict[str, Heard] = {}
        self._pending: dict[int, int] = {}
        self.received = 0

    def hear(self, leaf: Leaf, at: int) -> None:
        """Every record, whatever it says."""
        name = str(leaf.writer.get("id", ""))
        heard = self._heard.setdefault(name, Heard())
        if leaf.writer:
            self._follow(heard, leaf, at)
        if leaf.type == "epoch_start":
            self._start(heard, leaf, at)
        elif not heard.is_over:
            self._miss(heard, at, leaf.sequence)
        match leaf.type:
            case "heartbeat":
                heard.beat_at = at
            case "epoch_end":
                heard.is_over = True
            case "canary":
                self._sing(heard, leaf, at)

    def receive(self, leaf: Leaf, at: int) -> None:
        """A request was taken."""
        self.received += 1
        self._pending[leaf.sequence] = at
        if len(self._pending) > MAX_PENDING:
            self._tell_pending(next(iter(self._pending)), Kind.RECEIVED_UNDECIDED)

    def answer(self, leaf: Leaf, at: int) -> None:
        """A received request was answered."""
        if self._pending.pop(leaf.received, None) is None:
            self._tell(Kind.ANSWERED_UNRECEIVED, nanos=at, records=(leaf.sequence,))

    def explain(self, leaf: Leaf, last: int) -> None:
        """A gap says how many requests got `unavailable` up to `last`: so many received ones are explained by it."""
        waiting = [place for place, at in self._pending.items() if at <= last]
        for place in waiting[: leaf.count]:
            self._tell_pending(place, Kind.RECEIVED_UNAVAILABLE, leaf.sequence)

    def finish(self, as_of: int) -> None:
        """Tell of what was never answered, and of writers that fell silent."""
        for place, at in list(self._pending.items()):
            if as_of - at > self._limits.answer * NANOS:
                self._tell_pending(place, Kind.RECEIVED_UNDECIDED)
        for heard in self._heard.values():
            if not heard.is_over:
                self._miss(heard, as_of, -1)

    def _follow(self, heard: Heard, leaf: Leaf, at: int) -> None:
        epoch, n = (_number(leaf.writer.get(name)) for name in ("epoch", "n"))
        places = (leaf.sequence,)
        if epoch == heard.epoch:
            if n != heard.n + 1:
                self._tell(Kind.WRITER_GAP, nanos=at, records=places, count=max(n - heard.n - 1, 1))
        elif epoch < heard.epoch:
            self._tell(Kind.EPOCH_FORKED, nanos=at, records=places)
        else:
            if heard.epoch >= 0 and epoch != heard.epoch + 1:
                self._tell(Kind.EPOCH_GAP, nanos=at, records=places, count=epoch - heard.epoch - 1)
            if n != 0:
                self._tell(Kind.WRITER_GAP, nanos=at, records=places, count=max(n, 1))
            if leaf.type != "epoch_start":
                self._tell(Kind.EPOCH_UNANNOUNCED, nanos=at, records=places)
        heard.epoch, heard.n = epoch, n

    def _start(self, heard: Heard, leaf: Leaf, at: int) -> None:
        if leaf.continues != leaf.sequence:
            self._tell(Kind.EPOCH_FORKED, nanos=at, records=(leaf.sequence,))
        heard.is_over = False
        heard.heartbeat, heard.beat_at = leaf.heartbeat_seconds * NANOS, at
        heard.canary = leaf.canary_seconds * NANOS
        heard.canaries = dict.fromkeys(leaf.canaries, at)

    def _sing(self, heard: Heard, leaf: Leaf, at: int) -> None:
        heard.canaries[leaf.canary] = at
        if leaf.outcome != "deny":
            self._tell(Kind.CANARY_ALLOWED, nanos=at, records=(leaf.sequence,), action=leaf.canary)

    def _miss(self, heard: Heard, at: int, record: int) -> None:
        places = (record,) if record >= 0 else ()
        if heard.heartbeat and at - heard.beat_at > self._limits.beats * heard.heartbeat:
            self._tell(Kind.HEARTBEAT_GAP, nanos=heard.beat_at, records=places)
            heard.beat_at = at
        for name, last in heard.canaries.items():
            if heard.canary and at - last > self._limits.beats * heard.canary:
                self._tell(Kind.CANARY_MISSING, nanos=last, records=places, action=name)
                heard.canaries[name] = at

    def _tell_pending(self, place: int, kind: Kind, *more: int) -> None:
        at = self._pending.pop(place)
        self._tell(kind, nanos=at, records=(place, *more))


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
