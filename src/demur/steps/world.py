"""What the steps share: the world through its ports, the active policies, and the account of an outage.

`Active` is replaced as a whole when policies change, so that one request sees one set from its first step to its last.

Clauses: S3.7, S5.2.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import msgspec

from demur.core import evidence, usage
from demur.core.resolution import Layout
from demur.core.terms import Timestamp
from demur.errors import LedgerError
from demur.ports import LedgerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.desk.kind import Kind
    from demur.core.desk.routing import Colleague
    from demur.core.policy.index import PolicySet
    from demur.core.record import Sealed
    from demur.core.review import Reviewer
    from demur.core.schema import Counter
    from demur.core.terms import Request
    from demur.ports import Checkpoints, Clock, Observer, Sources, Store, Vault, Zones

_PROMPT = frozenset({"static", "content", "claims"})
"""The kinds of sources that answer from memory."""


class Reviewers(Protocol):
    """Knows people by their credential."""

    def identify(self, credential: str) -> Reviewer:
        """Who holds this credential; raises `RulingError` where nobody does."""

    def everybody(self) -> tuple[Colleague, ...]:
        """Who may be asked to rule, by name."""

    def named(self, name: str) -> Reviewer | None:
        """The person of this name with the roles they hold now; `None` where nobody is known by it."""


class Unsigned:
    """`ports.Checkpoints` of a gate that signs nothing."""

    newest = ""

    def nudge(self) -> None:
        """Nothing to sign."""

    def state(self) -> LedgerState:
        """Nothing is known."""
        return LedgerState(size=0)

    def rotate(self, operator: str, sealed: Sealed, *, overlap: int) -> str:
        """There is no key; raises `LedgerError`."""
        del operator, sealed, overlap
        message = "expected a gate that signs its ledger, found one that does not"
        raise LedgerError(message)

    def close(self) -> None:
        """Nothing to sign."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside that a step may use. `build` is the version of the gate as records tell it."""

    store: Store
    vault: Vault
    clock: Clock
    zones: Zones
    reviewers: Reviewers
    observer: Observer
    log: str
    build: str
    checkpoints: Checkpoints = field(default_factory=Unsigned)
    pseudonym: Callable[..., str] = field(init=False)
    """A stable name for whatever the parts name that is no person, meaningless without the log key (S5.5)."""

    def mark(self, person: str, *parts: str) -> str:
        """A stable name for a person, or what is about that person, meaningless once the person was erased (S5.5)."""
        return self.vault.blind_for(person, *parts).hex()[:32]

    def seal(self, request: Request, kept: dict[str, bytes]) -> Sealed:
        """What is kept of a request under its subject's key, and whoever acted for that person under their own."""
        actor = kept.get(evidence.ACTOR)
        fields = {name: value for name, value in kept.items() if name != evidence.ACTOR}
        others = {} if actor is None else {evidence.ACTOR: (request.actor.name, actor)}
        return self.vault.seal(request.subject.name, request.digest, fields, others)

    def __post_init__(self) -> None:
        blind = self.vault.blind
        remembered = lru_cache(maxsize=MAX_PSEUDONYMS)(lambda *parts: blind(*parts).hex()[:32])
        object.__setattr__(self, "pseudonym", remembered)


MAX_PSEUDONYMS = 4_096
"""Callers that are remembered, since the same few come again and again."""


@dataclass(frozen=True, slots=True)
class Active:
    """The policies in force, with what can be worked out from them once."""

    policies: PolicySet
    sources: Sources
    layout: Layout
    slots: dict[str, int]
    slow: frozenset[str]
    """The sources that may keep a caller waiting."""
    counting: dict[str, tuple[Counter, ...]]
    """For every declared action, the counters that count it."""
    kinds: dict[bytes, tuple[bytes | None, Kind]] = field(default_factory=dict)
    """What is known of reviews, by what they are about, and the mark under which it was read; under the lock alone."""

    @classmethod
    def of(cls, policies: PolicySet, sources: Sources) -> Active:
        """The set, made ready, with the sources that its schema declares."""
        slots = {slot.path: index for index, slot in enumerate(policies.schema.slots)}
        slow = frozenset(name for name, source in policies.schema.sources.items() if source.kind not in _PROMPT)
        schema = policies.schema
        counting = {action: usage.counted(schema.counters, action) for action in schema.actions}
        return cls(policies, sources, Layout.of(schema), slots, slow, counting)

    @property
    def digest(self) -> str:
        """The policy version."""
        return self.policies.digest

    def counted(self, action: str) -> tuple[Counter, ...]:
        """The counters that count a grant of this action."""
        known = self.counting.get(action)
        return usage.counted(self.policies.schema.counters, action) if known is None else known


class Gap(msgspec.Struct, frozen=True):
    """How many requests got `unavailable`, and between which instants (S5.2)."""

    count: int
    first: Timestamp
    last: Timestamp


class Outage:
    """Counts the requests that nobody could decide or record, until a gap record says so. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gap: Gap | None = None

    def note(self, now: Timestamp) -> None:
        """One more request was answered with `unavailable`."""
        self.add(Gap(1, now, now))

    def add(self, gap: Gap) -> None:
        """Count these too; a gap whose record could not be written comes back this way."""
        with self._lock:
            known = self._gap
            self._gap = gap if known is None else _joined(known, gap)

    def take(self) -> Gap | None:
        """What is to be recorded now; whoever takes it must `add` it again if that fails."""
        if self._gap is None:
            return None
        with self._lock:
            gap, self._gap = self._gap, None
        return gap


def _joined(one: Gap, other: Gap) -> Gap:
    return Gap(one.count + other.count, min(one.first, other.first), max(one.last, other.last))
