"""The life of each grant, as the ledger tells it: allowed, redeemed, begun, ended, revoked; and what must never follow.

What is known of a grant is kept in a store of small byte strings that the caller brings, a dictionary or a file, so
that a ledger of any length is compared in constant memory.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import msgspec

from demur.core.reconciliation.covering import covers
from demur.core.reconciliation.findings import Kind, nanos
from demur.core.terms import NANOS

if TYPE_CHECKING:
    from demur.core.reconciliation.findings import Limits, Tell

MAX_DENIALS = 256
"""Denials of one action that are remembered, the newest."""
MAX_OPEN = 100_000
"""Executions without an end that are remembered; more of them are told at once."""


class Index(Protocol):
    """Keeps byte strings by name."""

    def get(self, name: str, /) -> bytes | None: ...
    def __setitem__(self, name: str, value: bytes, /) -> None: ...


class Life(msgspec.Struct, array_like=True):
    """What is known of one grant: numbers of records and instants in nanoseconds, -1 where there is none."""

    decision: int
    action: str
    actor: str
    policy: str
    expires: int
    is_allowed: bool
    glass: str = ""
    redeemed: int = -1
    redeemed_at: int = -1
    mark: str = ""
    ended: int = -1
    ended_at: int = -1
    revoked: int = -1
    seen_by: str = ""
    seen: int = -1


class Stop(msgspec.Struct):
    """One stop, from when to when; `until` -1 while it is on."""

    id: str
    since: int
    actions: frozenset[str]
    actor: str
    until: int = -1


class Leaf(msgspec.Struct, frozen=True):
    """The members of a leaf that this comparison reads; everything else is passed over."""

    type: str
    sequence: int
    timestamp: str
    previous_hash: str = ""
    writer: dict[str, object] = {}
    grant: str = ""
    grant_expires_at: str = ""
    decision: int = -1
    outcome: str = ""
    status: str = ""
    policy_version: str = ""
    action_intent: dict[str, str] = {}
    requesting_entity: dict[str, str] = {}
    mark: str = ""
    key: str = ""
    break_glass: str = ""
    until: str = ""
    stop: str = ""
    actions: tuple[str, ...] = ()
    actor: str = ""
    cause: str = ""
    count: int = 0
    last: str = ""
    received: int = -1
    continues: int = -1
    heartbeat_seconds: int = 0
    canary_seconds: int = 0
    canaries: tuple[str, ...] = ()
    canary: str = ""
    meter: str = ""
    resource: str = ""
    every_seconds: int = 0
    statement: str = ""
    n: int = -1
    operations: int = 0
    ungranted: int = 0
    standing: str = ""
    state: str = ""
    use: int = 0
    uses: int = 0

    @property
    def action(self) -> str:
        """The action that was asked for."""
        return self.action_intent.get("action", "")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Life).decode


class Lives:
    """Follows the grants of one log."""

    def __init__(self, index: Index, tell: Tell, limits: Limits) -> None:
        self._index = index
        self._tell = tell
        self._limits = limits
        self._last = Leaf("", -1, "")
        self._open: dict[str, tuple[int, int, str]] = {}
        self._glass: dict[str, int] = {}
        self._held: set[str] = set()
        self.stops: list[Stop] = []
        self._denials: dict[str, deque[tuple[int, int]]] = {}
        self.allowed: dict[str, int] = {}
        self.redeemed: dict[str, int] = {}

    def find(self, grant: str) -> Life | None:
        """What is known of a grant."""
        raw = self._index.get(grant)
        return None if raw is None else _decode(raw)

    def keep(self, grant: str, life: Life) -> None:
        """Remember what is known of a grant."""
        self._index[grant] = _encode(life)

    def decide(self, leaf: Leaf, at: int) -> None:
        """A decision; what it grants begins its life."""
        self._last = leaf
        action, is_allowed = leaf.action, leaf.outcome == "allow"
        if is_allowed:
            self.allowed[action] = self.allowed.get(action, 0) + 1
        else:
            self._denials.setdefault(action, deque(maxlen=MAX_DENIALS)).append((at, leaf.sequence))
        if leaf.grant:
            if not is_allowed:
                self._tell(Kind.GRANTED_ON_DENIAL, nanos=at, records=(leaf.sequence,), grant=leaf.grant, action=action)
            self._begin(leaf, leaf, is_allowed=is_allowed)

    def use_glass(self, leaf: Leaf, at: int) -> None:
        """What was denied is granted behind broken glass; the denial stands right before."""
        if self._last.sequence != leaf.decision or leaf.break_glass not in self._glass:
            self._tell(Kind.GRANTED_ON_DENIAL, nanos=at, records=(leaf.decision, leaf.sequence), grant=leaf.grant)
        self._begin(leaf, self._last, is_allowed=True)

    def redeem(self, leaf: Leaf, at: int) -> None:
        """A grant is used up: everything that forbids it is looked for, whatever the gate thought of it."""
        life = self.find(leaf.grant)
        if life is None:
            self._tell(Kind.REDEEMED_WITHOUT_ALLOW, nanos=at, records=(leaf.sequence,), grant=leaf.grant)
            return
        for kind in self._objections(leaf, life, at):
            records = tuple(
                place for place in (life.decision, life.redeemed, life.revoked, leaf.sequence) if place >= 0
            )
            self._tell(kind, nanos=at, records=records, grant=leaf.grant, action=life.action)
        if life.redeemed < 0:
            life.redeemed, life.redeemed_at, life.mark = leaf.sequence, at, leaf.mark
            self.redeemed[life.action] = self.redeemed.get(life.action, 0) + 1
            self.keep(leaf.grant, life)
            self._open[leaf.grant] = (at, leaf.sequence, life.action)
            if len(self._open) > MAX_OPEN:
                self._tell_open(next(iter(self._open)))

    def start(self, leaf: Leaf, at: int) -> None:
        """An execution begins."""
        life = self.find(leaf.grant)
        if life is None or life.redeemed < 0:
            self._tell(Kind.STARTED_UNREDEEMED, nanos=at, records=(leaf.sequence,), grant=leaf.grant)

    def end(self, leaf: Leaf, at: int) -> Life | None:
        """An execution ended; its life, where it had begun."""
        life = self.find(leaf.grant)
        if life is None or life.redeemed < 0:
            self._tell(Kind.ENDED_UNREDEEMED, nanos=at, records=(leaf.sequence,), grant=leaf.grant)
            return None
        if life.ended >= 0:
            self._tell(Kind.ENDED_TWICE, nanos=at, records=(life.ended, leaf.sequence), grant=leaf.grant)
            return None
        life.ended, life.ended_at = leaf.sequence, at
        self._open.pop(leaf.grant, None)
        self.keep(leaf.grant, life)
        return life

    def revoke(self, leaf: Leaf) -> None:
        """A grant is taken back."""
        life = self.find(leaf.grant)
        if life is not None and life.revoked < 0:
            life.revoked = leaf.sequence
            self.keep(leaf.grant, life)

    def stop(self, leaf: Leaf, at: int) -> None:
        """A stop is turned on."""
        self.stops.append(Stop(leaf.stop, at, frozenset(leaf.actions), leaf.actor))

    def release(self, leaf: Leaf, at: int) -> None:
        """A stop is turned off."""
        for stop in self.stops:
            if stop.id == leaf.stop and stop.until < 0:
                stop.until = at

    def open_glass(self, leaf: Leaf, until: int) -> None:
        """Glass is broken, until then."""
        self._glass[leaf.break_glass] = until

    def close_glass(self, leaf: Leaf, at: int) -> None:
        """Broken glass ended."""
        self._glass[leaf.break_glass] = min(at, self._glass.get(leaf.break_glass, at))

    def hold(self, leaf: Leaf) -> None:
        """A session is quarantined."""
        self._held.add(leaf.key)

    def lift(self, leaf: Leaf) -> None:
        """A quarantine is lifted."""
        self._held.discard(leaf.key)

    def denial_of(self, action: str, at: int) -> int | None:
        """The record of the newest denial of the action within the limit before `at`."""
        earliest, latest = at - self._limits.denial * NANOS, at + self._limits.skew * NANOS
        known = self._denials.get(action, ())
        return next((record for when, record in reversed(known) if earliest <= when <= latest), None)

    def stop_of(self, life: Life, at: int, slack: int = 0) -> Stop | None:
        """A stop that covered the grant at that instant, by `slack` nanoseconds on either side."""
        for stop in self.stops:
            is_on = stop.since + slack <= at and (stop.until < 0 or at < stop.until - slack)
            is_about = not stop.actor or stop.actor == life.actor
            if is_on and is_about and (not stop.actions or covers(stop.actions, life.action)):
                return stop
        return None

    def finish(self, as_of: int) -> None:
        """Tell of executions that never ended."""
        for grant, (at, _, _) in list(self._open.items()):
            if as_of - at > self._limits.end * NANOS:
                self._tell_open(grant)

    def _begin(self, leaf: Leaf, about: Leaf, *, is_allowed: bool) -> None:
        self.keep(
            leaf.grant,
            Life(
                decision=about.sequence,
                action=about.action,
                actor=about.requesting_entity.get("actor", ""),
                policy=about.policy_version,
                expires=nanos(leaf.grant_expires_at) if leaf.grant_expires_at else -1,
                is_allowed=is_allowed,
                glass=leaf.break_glass,
            ),
        )

    def _objections(self, leaf: Leaf, life: Life, at: int) -> list[Kind]:
        found = {
            Kind.REDEEMED_WITHOUT_ALLOW: not life.is_allowed,
            Kind.REDEEMED_TWICE: life.redeemed >= 0,
            Kind.REDEEMED_REVOKED: life.revoked >= 0,
            Kind.REDEEMED_EXPIRED: 0 <= life.expires <= at,
            Kind.REDEEMED_FOR_ANOTHER: leaf.decision != life.decision,
            Kind.REDEEMED_UNDER_OTHER_POLICIES: leaf.policy_version != life.policy,
            Kind.REDEEMED_WHILE_STOPPED: self.stop_of(life, at) is not None,
            Kind.REDEEMED_IN_QUARANTINE: leaf.key in self._held,
            Kind.REDEEMED_AFTER_GLASS: bool(life.glass) and at >= self._glass.get(life.glass, -1),
        }
        return [kind for kind, is_so in found.items() if is_so]

    def _tell_open(self, grant: str) -> None:
        at, record, action = self._open.pop(grant)
        life = self.find(grant)
        meter = life.seen_by if life else ""
        self._tell(Kind.START_WITHOUT_END, nanos=at, records=(record,), grant=grant, action=action, meter=meter)
