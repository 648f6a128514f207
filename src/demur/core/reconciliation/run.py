"""One comparison: every record and statement in one pass, then a report.

The caller has checked the chain (core/ledger/chain.py): what is compared here is what whole records say. Records come
in order from the first; statements from files after them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import meter
from demur.core.reconciliation.findings import SEVERITIES, Finding, Kind, Limits, Severity, nanos
from demur.core.reconciliation.lives import Index, Leaf, Lives
from demur.core.reconciliation.meters import Meters
from demur.core.reconciliation.silence import Silence
from demur.core.reconciliation.standings import Standings
from demur.core.terms import Timestamp
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.ledger.chain import Record
    from demur.core.reconciliation.meters import FindStatement, Verify
    from demur.core.record import Json

MAX_FINDINGS = 10_000
"""Findings that a report shows; all of them are counted."""
MAX_NAMED = 64
_leaf = msgspec.json.Decoder(Leaf).decode


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a comparison; `findings` shows at most `MAX_FINDINGS` of those that are counted."""

    size: int
    head: str
    as_of: str
    since: str
    findings: tuple[Finding, ...]
    severities: dict[str, int]
    kinds: dict[str, int]
    totals: dict[str, int]
    resources: tuple[str, ...]
    coverage: dict[str, tuple[str, ...]]
    meters: dict[str, int]

    @property
    def verdict(self) -> str:
        """`findings`, or for lack of any `reconciled` where a meter said something, else `unmetered`."""
        if self.severities["critical"] or self.severities["warning"]:
            return "findings"
        return "reconciled" if self.resources else "unmetered"

    def members(self) -> dict[str, Json]:
        """The members of the record `reconciliation`, without `report`."""
        more = sum(max(0, len(actions) - MAX_NAMED) for actions in self.coverage.values())
        coverage: dict[str, Json] = {name: list(actions[:MAX_NAMED]) for name, actions in self.coverage.items()}
        members: dict[str, Json] = {
            "covers": {"size": self.size, "head": self.head},
            "as_of": self.as_of,
            "findings": dict(self.severities),
            "kinds": dict(self.kinds),
            "totals": dict(self.totals),
            "resources": list(self.resources),
            "coverage": {**coverage, "more": more},
            "verdict": self.verdict,
        }
        return members | ({"since": self.since} if self.since else {})


class Run:
    """One comparison of one log. Take the records, then the statements of files, then finish."""

    def __init__(
        self,
        *,
        lives: Index,
        statements: FindStatement,
        verify: Verify,
        limits: Limits | None = None,
        since: Timestamp | None = None,
    ) -> None:
        """`lives` remembers grants by id, `statements` finds a statement by its digest, `since` hides what is older."""
        limits = limits or Limits()
        self._since = since
        self._findings: list[Finding] = []
        self._kinds: dict[str, int] = {}
        self._doubted: set[str] = set()
        self._totals = dict.fromkeys(("decisions", "allowed", "denied", "deferred", "redeemed", "ended"), 0)
        self._lives = Lives(lives, self._tell, limits)
        self._standings = Standings(lives, self._tell)
        self._silence = Silence(self._tell, limits)
        self._meters = Meters(self._lives, statements, verify, self._tell, limits)
        self._size, self._head = 0, b""

    def take(self, record: Record) -> None:
        """The next record; raises `LedgerError` where its leaf cannot be read."""
        try:
            leaf = _leaf(record.leaf)
        except msgspec.DecodeError as error:
            raise LedgerError(f"record {record.sequence}: the leaf cannot be read: {error}") from error
        at = nanos(leaf.timestamp)
        self._size, self._head = record.sequence + 1, record.record_hash
        self._silence.hear(leaf, at)
        if not (self._take_grant(leaf, at) or self._take_lever(leaf, at) or self._take_standing(leaf, at)):
            self._take_account(leaf, record, at)

    def take_statements(self, lines: Iterable[bytes]) -> None:
        """The statements of a meter, as it wrote them; raises `LedgerError` where one cannot be read."""
        for line in lines:
            if line.strip():
                self._meters.take(meter.read(line))

    def finish(self, as_of: Timestamp, *, declared: Iterable[str] = ()) -> Report:
        """What came of it, silence judged up to `as_of`; `declared` are actions that the policies know."""
        self._lives.finish(as_of.nanos)
        self._silence.finish(as_of.nanos)
        self._meters.finish(as_of.nanos)
        counts = {severity.value: 0 for severity in Severity}
        for kind, count in self._kinds.items():
            counts[SEVERITIES[Kind(kind)].value] += count
        known = self._meters.known
        resources = {item.resource for name, item in known.items() if item.trail.n >= 0}
        doubted = {item.resource for name, item in known.items() if name in self._doubted or item.trail.n < 0}
        return Report(
            size=self._size,
            head=self._head.hex(),
            as_of=str(as_of),
            since=str(self._since) if self._since else "",
            findings=tuple(self._findings),
            severities=counts,
            kinds=dict(sorted(self._kinds.items())),
            totals={**self._totals, "received": self._silence.received, **self._meters.totals},
            resources=tuple(sorted(resources - doubted)),
            coverage=self._coverage(declared),
            meters={name: item.trail.n for name, item in sorted(known.items())},
        )

    def _coverage(self, declared: Iterable[str]) -> dict[str, tuple[str, ...]]:
        kinds: dict[str, list[str]] = {"metered": [], "grants": [], "nothing": []}
        for action in sorted({*declared, *self._lives.allowed}):
            if any(self._meters.known[name].trail.n >= 0 for name in self._meters.covering(action)):
                kinds["metered"].append(action)
            else:
                kinds["grants" if self._lives.redeemed.get(action) else "nothing"].append(action)
        return {name: tuple(actions) for name, actions in kinds.items()}

    def _take_grant(self, leaf: Leaf, at: int) -> bool:
        match leaf.type:
            case "decision":
                self._totals["decisions"] += 1
                self._totals[_OUTCOMES.get(leaf.outcome, "denied")] += 1
                self._lives.decide(leaf, at)
            case "grant_redeemed":
                self._totals["redeemed"] += 1
                self._lives.redeem(leaf, at)
                self._standings.redeem(leaf, at)
            case "grant_started":
                self._lives.start(leaf, at)
            case "grant_completed":
                self._totals["ended"] += 1
                life = self._lives.end(leaf, at)
                if life is not None:
                    self._meters.expect(leaf, life, at)
            case "grant_revoked":
                self._lives.revoke(leaf)
            case _:
                return False
        return True

    def _take_lever(self, leaf: Leaf, at: int) -> bool:
        match leaf.type:
            case "stop_on":
                self._lives.stop(leaf, at)
            case "stop_off":
                self._lives.release(leaf, at)
            case "glass_opened":
                self._lives.open_glass(leaf, nanos(leaf.until))
            case "glass_used":
                self._lives.use_glass(leaf, at)
            case "glass_ended":
                self._lives.close_glass(leaf, at)
            case "session_quarantined":
                self._lives.hold(leaf)
            case "session_lifted":
                self._lives.lift(leaf)
            case _:
                return False
        return True

    def _take_standing(self, leaf: Leaf, at: int) -> bool:
        match leaf.type:
            case "standing_opened":
                self._standings.open(leaf, nanos(leaf.until))
            case "standing_agreed":
                self._standings.agree(leaf)
            case "standing_used":
                self._standings.use(leaf, at)
            case "standing_revoked" | "standing_expired":
                self._standings.end(leaf)
            case _:
                return False
        return True

    def _take_account(self, leaf: Leaf, record: Record, at: int) -> None:
        match leaf.type:
            case "received":
                self._silence.receive(leaf, at)
            case "answered":
                self._silence.answer(leaf, at)
            case "gap" if leaf.last:
                self._silence.explain(leaf, nanos(leaf.last))
            case "meter_registered":
                self._meters.register(leaf, leaf.key, at)
            case "meter":
                self._meters.take_record(leaf)
            case "meter_rejected":
                self._tell(Kind.METER_FORKED, nanos=at, records=(record.sequence,), meter=leaf.meter, statement=leaf.n)

    def _tell(
        self,
        kind: Kind,
        *,
        nanos: int = 0,
        records: tuple[int, ...] = (),
        meter: str = "",
        statement: int | None = None,
        grant: str = "",
        action: str = "",
        count: int = 1,
    ) -> None:
        if self._since is not None and 0 < nanos < self._since.nanos:
            return
        if SEVERITIES[kind] is not Severity.INFO and meter:
            self._doubted.add(meter)
        self._kinds[kind.value] = self._kinds.get(kind.value, 0) + 1
        if len(self._findings) < MAX_FINDINGS:
            found = Finding(
                kind=kind,
                severity=SEVERITIES[kind],
                at=str(Timestamp(nanos)) if nanos else "",
                records=records,
                meter=meter,
                statement=statement,
                grant=grant,
                action=action,
                count=count,
            )
            self._findings.append(found)


_OUTCOMES = {"allow": "allowed", "deny": "denied", "defer": "deferred"}
