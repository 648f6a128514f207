"""One refusal under search: its row of facts, its rules, and the judgements that are left.

- A judgement is of the changed request, in full, and counts against the limit of S9.1. A probe asks the rules about the
  row alone, to see what is worth judging; it costs a tenth or so, promises nothing, and has a limit of its own.
- With a fact unknown, a forbid that is still true holds whatever the fact is, and where no permit is left none can
  come: learning a fact never makes the answer stricter (S3.3), so unknown stands for all of its values at once.

Clauses: S3.2, S3.3, S9.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from demur.core.cel.evaluate import constant
from demur.core.cel.ir import Const
from demur.core.terms import Missing, Outcome
from demur.errors import IntakeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.cel import Program
    from demur.core.cel.ir import Node
    from demur.core.decision import Decision
    from demur.core.policy.document import Rule
    from demur.core.remedy.changes import Changes, Judge
    from demur.core.remedy.chart import Chart, Site
    from demur.core.terms import State, Timestamp

    Falling: TypeAlias = list[tuple[bool, list[Program]]]
    """The clauses of one rule that may make it false: whether it is an `unless`, and its conditions."""

MAX_JUDGEMENTS = 200
"""Judgements in full that one refusal may cost (S9.1)."""
MAX_PROBES = 1_000
MIN_PROBES = 60
MAX_LOOKS = 6_000
"""Looks at the row that one refusal may cost: so many rules may be looked at in all, within these bounds."""


class SpentError(Exception):
    """A limit is reached."""


@dataclass(frozen=True, slots=True)
class Truths:
    """The rules that are true, unknown and failed over one row, as bits of the bucket."""

    true: int
    unknown: int
    failed: int


@dataclass(slots=True)
class Ground:
    """What the search for remedies stands on, and how much of its limits is used."""

    decision: Decision
    judge: Judge
    chart: Chart
    site: Site
    now: Timestamp
    probe_limit: int = field(init=False)
    probes: int = 0
    judgements: int = 0
    is_cut_short: bool = False
    """Whether a search ended because of a limit."""
    must_fall: int = field(init=False)
    """The forbids, reviews and unknown rules that stand in the way and may not hold any more."""

    def __post_init__(self) -> None:
        decision, bucket = self.decision, self.site.bucket
        self.probe_limit = max(MIN_PROBES, min(MAX_PROBES, MAX_LOOKS // max(1, len(bucket.rules))))
        if decision.outcome is Outcome.DEFER:
            self.must_fall = decision.true_mask & bucket.reviews & ~decision.satisfied_mask
        else:
            doubtful = (decision.unknown_mask | decision.failed_mask) & bucket.strict
            self.must_fall = decision.true_mask & bucket.forbids | doubtful

    @property
    def row(self) -> list[State]:
        """The facts as the refusal saw them."""
        return self.decision.facts.values

    def probe(self, row: list[State]) -> Truths:
        """Ask the rules about the row alone; raises `SpentError`."""
        if self.probes >= self.probe_limit:
            self.is_cut_short = True
            raise SpentError
        self.probes += 1
        return Truths(*self.site.bucket.judge(row, self.site.covering))

    def outcome(self, changes: Changes) -> Outcome | None:
        """Judge in full: the outcome, or `None` where such a request would not be taken in. Raises `SpentError`."""
        if self.judgements >= MAX_JUDGEMENTS:
            self.is_cut_short = True
            raise SpentError
        self.judgements += 1
        try:
            return self.judge(changes).outcome
        except IntakeError:
            return None

    def is_hopeless(self, truths: Truths) -> bool:
        """Whether no value of the facts that are unknown in a row can lead to an allow or, from a deny, to a defer."""
        bucket = self.site.bucket
        if truths.true & bucket.forbids or truths.failed & bucket.strict:
            return True
        granting = bucket.permits | (0 if self.decision.outcome is Outcome.DEFER else bucket.reviews)
        if self.decision.facts.approvals:
            granting |= bucket.reviews
        return not (truths.true | truths.unknown) & granting

    def promises(self, truths: Truths, *, is_derived: bool) -> Outcome | None:
        """What these truths would lead to; where facts are derived, what is unknown may still turn out well."""
        bucket = self.site.bucket
        unknown = truths.unknown if is_derived else 0
        if truths.true & bucket.forbids or (truths.failed | truths.unknown & ~unknown) & bucket.strict:
            return None
        if truths.true & bucket.reviews and not self.decision.facts.approvals:
            return Outcome.DEFER
        granting = bucket.permits | bucket.reviews
        if (truths.true | unknown) & granting:
            return Outcome.ALLOW
        return None

    def conditions(self, rules: Iterable[Rule], path: str) -> list[Falling]:
        """Of each of these rules, the clauses that read `path`."""
        prepared = self.chart.policy_set.prepared
        return [
            [
                (clause.is_unless, [program for _, program, _ in clause.members])
                for clause in prepared(rule)
                if any(path in reads for _, _, reads in clause.members)
            ]
            for rule in rules
        ]

    def read(self, node: Node, row: list[State]) -> object:
        """The value of a part of a condition over the row."""
        return constant(node) if isinstance(node, Const) else self.chart.policy_set.link(node)(row)


def falls(rules: Iterable[Falling], row: list[State]) -> bool:
    """Whether each of these rules is false over the row by one of these clauses."""
    for clauses in rules:
        for is_unless, programs in clauses:
            results = [program(row) for program in programs]
            if (True in results) if is_unless else not any(result is not False for result in results):
                break
        else:
            return False
    return True


def unknown(row: list[State], slots: Iterable[int]) -> list[State]:
    """The row with these facts unknown."""
    copy = list(row)
    for slot in slots:
        copy[slot] = Missing.UNKNOWN
    return copy
