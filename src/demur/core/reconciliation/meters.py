"""What meters saw, set beside what the ledger allowed.

Statements come with the `meter` records of the ledger, or from files that the meters wrote; each is looked at once. A
statement whose signature does not hold says nothing, and one that contradicts an earlier one is told and then followed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from demur.core import meter
from demur.core.meter import Fault, Trail
from demur.core.reconciliation.covering import covers
from demur.core.reconciliation.findings import Kind, nanos
from demur.core.terms import NANOS
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.meter import Granted, Signed, Statement
    from demur.core.reconciliation.findings import Limits, Tell
    from demur.core.reconciliation.lives import Leaf, Life, Lives

    Verify = Callable[[bytes, bytes, bytes], bool]
    FindStatement = Callable[[str], bytes | None]

LOST = "demur.lost"
"""The action under which a counter tells of rows that were taken from it."""


class Known(msgspec.Struct):
    """A registered meter: what it answers for, how far its statements go, and the grants that it has yet to show."""

    resource: str
    key: str
    actions: frozenset[str]
    every: int
    since: int
    trail: Trail = Trail()
    until: int = -1
    due: OrderedDict[str, tuple[int, int]] = msgspec.field(default_factory=OrderedDict)


class Meters:
    """Follows the meters of one log."""

    def __init__(self, lives: Lives, find: FindStatement, verify: Verify, tell: Tell, limits: Limits) -> None:
        self._lives = lives
        self._find = find
        self._verify = verify
        self._tell = tell
        self._limits = limits
        self._digests: dict[str, OrderedDict[int, str]] = {}
        self.known: dict[str, Known] = {}
        self.totals = {"statements": 0, "operations": 0, "ungranted": 0, "unmarked": 0}

    def register(self, leaf: Leaf, key: str, at: int) -> None:
        """A meter is trusted, or a known one goes on under another key."""
        before = self.known.get(leaf.meter)
        self.known[leaf.meter] = Known(leaf.resource, key, frozenset(leaf.actions), leaf.every_seconds, at)
        if before is not None:
            self.known[leaf.meter].trail, self.known[leaf.meter].until = before.trail, before.until
            self.known[leaf.meter].due = before.due

    def covering(self, action: str) -> list[str]:
        """The registered meters that answer for an action."""
        return [name for name, known in self.known.items() if covers(known.actions, action)]

    def expect(self, leaf: Leaf, life: Life, at: int) -> None:
        """An execution ended with success: the meters of its action should have seen it."""
        if leaf.status == "success" and life.seen < 0:
            for name in self.covering(life.action):
                self.known[name].due[leaf.grant] = (at, leaf.sequence)

    def take_record(self, leaf: Leaf) -> None:
        """A statement that the gate took."""
        raw = self._find(leaf.statement)
        where = {"meter": leaf.meter, "statement": leaf.n, "records": (leaf.sequence,)}
        try:
            signed = meter.read(raw or b"")
        except LedgerError:
            self._tell(Kind.STATEMENT_MISSING, **where)  # type: ignore[arg-type]  # members of a finding
            return
        said = signed.statement
        told = (leaf.meter, leaf.n, leaf.statement, leaf.operations, leaf.ungranted)
        ungranted = sum(item.count for item in said.ungranted)
        if told != (said.meter, said.n, signed.digest, said.operations, ungranted):
            self._tell(Kind.STATEMENT_DIFFERS, **where)  # type: ignore[arg-type]  # as above
        self.take(signed)

    def take(self, signed: Signed) -> None:
        """One statement, from the ledger or from a file; one that is known says nothing more."""
        said = signed.statement
        known = self.known.get(said.meter)
        if known is None or known.resource != said.resource:
            self._tell(Kind.METER_UNREGISTERED, meter=said.meter, statement=said.n, nanos=nanos(said.until))
            return
        if not self._verify(bytes.fromhex(known.key), meter.to_sign(signed.body), signed.signature):
            self._tell(Kind.METER_SIGNATURE, meter=said.meter, statement=said.n, nanos=nanos(said.until))
            return
        if self._is_next(known, signed):
            self._count(known, said)

    def finish(self, as_of: int) -> None:
        """Tell of meters that fell silent."""
        for name, known in self.known.items():
            last = max(known.until, known.since)
            if known.every and as_of - last > self._limits.beats * known.every * NANOS:
                self._tell(Kind.METER_SILENT, meter=name, nanos=last)

    def _is_next(self, known: Known, signed: Signed) -> bool:
        said = signed.statement
        digests = self._digests.setdefault(said.meter, OrderedDict())
        where = {"meter": said.meter, "statement": said.n, "nanos": nanos(said.until)}
        followed = meter.follow(known.trail, signed)
        if isinstance(followed, Fault):
            if followed is Fault.REPEATED or digests.get(said.n) == signed.digest:
                return False
            kind = Kind.METER_GAP if followed is Fault.GAP else Kind.METER_FORKED
            self._tell(kind, **where)  # type: ignore[arg-type]  # members of a finding
            followed = Trail(max(said.n, known.trail.n), signed.digest, said.epoch, said.until)
        known.trail = followed
        digests[said.n] = signed.digest
        if len(digests) > MAX_DIGESTS:
            digests.popitem(last=False)
        return True

    def _count(self, known: Known, said: Statement) -> None:
        self.totals["statements"] += 1
        self.totals["operations"] += said.operations
        for operation in said.granted:
            self._see(said, operation)
            for other in self.known.values():
                other.due.pop(operation.grant, None)
        self._see_others(said)
        until, every = nanos(said.until), known.every * NANOS
        last = known.until if known.until >= 0 else until
        if every and until - last > self._limits.beats * every:
            self._tell(Kind.METER_SILENT, meter=said.meter, statement=said.n, nanos=last)
        known.until = max(until, known.until)
        self._miss(known, said)

    def _miss(self, known: Known, said: Statement) -> None:
        slack = self._limits.skew * NANOS
        while known.due:
            grant, (at, record) = next(iter(known.due.items()))
            if at + slack >= known.until:
                return
            known.due.popitem(last=False)
            self._tell(Kind.ENDED_UNSEEN, nanos=at, records=(record,), grant=grant, meter=said.meter, statement=said.n)

    def _see(self, said: Statement, operation: Granted) -> None:
        """One operation on a grant."""
        at, life = nanos(operation.at), self._lives.find(operation.grant)
        kinds = [Kind.EXECUTED_ON_UNKNOWN_GRANT] if life is None else self._doubts(operation, life, at)
        records: tuple[int, ...] = ()
        if life is not None:
            places = (life.decision, life.redeemed, life.revoked, life.ended)
            records = tuple(place for place in places if place >= 0)
            if life.seen < 0:
                life.seen_by, life.seen = said.meter, said.n
                self._lives.keep(operation.grant, life)
        self.totals["unmarked"] += not operation.mark
        for kind in kinds:
            self._tell(
                kind,
                nanos=at,
                records=records,
                meter=said.meter,
                statement=said.n,
                grant=operation.grant,
                action=operation.action,
            )

    def _doubts(self, operation: Granted, life: Life, at: int) -> list[Kind]:
        slack = int(self._limits.skew * NANOS)
        found: dict[Kind, bool] = {Kind.EXECUTED_TWICE: life.seen >= 0}
        if life.redeemed < 0:
            found[Kind.EXECUTED_REVOKED] = life.revoked >= 0
            found[Kind.EXECUTED_UNREDEEMED] = life.revoked < 0
        else:
            late = life.expires + int(self._limits.late * NANOS)
            found[Kind.EXECUTED_BEFORE_REDEMPTION] = at + slack < life.redeemed_at
            found[Kind.EXECUTED_LATE] = life.expires >= 0 and late + slack < at
            found[Kind.EXECUTED_AFTER_END] = life.ended >= 0 and life.ended_at + slack < at
            found[Kind.EXECUTED_WHILE_STOPPED] = self._lives.stop_of(life, at, slack) is not None
            is_other = operation.action != life.action
            found[Kind.OTHER_ACTION] = is_other
            found[Kind.ARGUMENTS_DIFFER] = bool(operation.mark) and not is_other and operation.mark != life.mark
        return [kind for kind, is_so in found.items() if is_so]

    def _see_others(self, said: Statement) -> None:
        """Operations without a grant, and those that the meter turned away."""
        for item in said.ungranted:
            self.totals["ungranted"] += item.count
            denial = self._lives.denial_of(item.action, nanos(item.last))
            kind = Kind.EXECUTED_WITHOUT_GRANT if denial is None else Kind.EXECUTED_AFTER_DENIAL
            self._tell(
                Kind.COUNTER_ALTERED if item.action == LOST else kind,
                nanos=nanos(item.last),
                records=() if denial is None else (denial,),
                meter=said.meter,
                statement=said.n,
                action=item.action,
                count=item.count,
            )
        for turned in said.refused:
            self._tell(
                Kind.TURNED_AWAY,
                nanos=nanos(turned.last),
                meter=said.meter,
                statement=said.n,
                action=turned.action,
                count=turned.count,
            )


MAX_DIGESTS = 100_000
"""Statements of one meter that are remembered, so that a file may hold them again."""
