"""One refusal under search: its row of facts, its rules, and the judgements that are left.

- A judgement is of the changed request, in full, and counts against the limit of S9.1. A probe asks the rules about the
  row alone, to see what is worth judging; it costs a tenth or so, promises nothing, and has a limit of its own.
- With a fact unknown, a forbid that is still true holds whatever the fact is, and where no permit is left none can
  come: learning a fact never makes the answer stricter (S3.3), so unknown stands for all of its values at once.

Clauses: S3.2, S3.3, S9.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demur.core.cel.evaluate import constant
from demur.core.cel.ir import Const
from demur.core.terms import Missing, Outcome
from demur.errors import IntakeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.cel.ir import Node
    from demur.core.decision import Decision
    from demur.core.policy.document import Rule
    from demur.core.remedy.changes import Changes, Judge
    from demur.core.remedy.chart import Chart, Site
    from demur.core.terms import State, Timestamp

MAX_JUDGEMENTS = 200
"""Judgements in full that one refusal may cost (S9.1)."""
MAX_PROBES = 1_000
"""Looks at the row that one refusal may cost."""


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
    probe_limit: int = MAX_PROBES
    probes: int = 0
    judgements: int = 0
    is_cut_short: bool = False
    """Whether a search ended because of a limit."""
    must_fall: int = field(init=False)
    """The forbids, reviews and unknown rules that stand in the way and may not hold any more."""

    def __post_init__(self) -> None:
        decision, bucket = self.decision, self.site.bucket
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

    def falls(self, rules: Iterable[Rule], path: str, row: list[State]) -> bool:
        """Whether each of these rules is false over the row, by conditions that read `path`."""
        return all(self._is_false(rule, path, row) for rule in rules)

    def read(self, node: Node, row: list[State]) -> object:
        """The value of a part of a condition over the row."""
        return constant(node) if isinstance(node, Const) else self.chart.policy_set.link(node)(row)

    def _is_false(self, rule: Rule, path: str, row: list[State]) -> bool:
        for _, is_unless, members in self.chart.policy_set.prepared(rule):
            if not any(path in reads for _, _, reads in members):
                continue
            results = [program(row) for _, program, _ in members]
            if (True in results) if is_unless else all(result is False for result in results):
                return True
        return False


def unknown(row: list[State], slots: Iterable[int]) -> list[State]:
    """The row with these facts unknown."""
    copy = list(row)
    for slot in slots:
        copy[slot] = Missing.UNKNOWN
    return copy
