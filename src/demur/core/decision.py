"""Facts + PolicySet -> Decision: allow, deny or defer, and why.

1. A true forbid denies.
2. Else an unknown forbid or review denies: `insufficient_context`, naming the missing facts.
3. Else a forbid or review that failed to evaluate denies: `indeterminate`.
4. Else a true review that no approval satisfies defers.
5. Else a true permit, or a satisfied review, allows, unless what the rules tie the grant to contradicts itself, or is
   more than whoever asks is registered to carry out.
6. Else an unknown permit denies: `insufficient_context`.
7. Else nothing permits: `scope_exceeded`.

- An approval satisfies exactly the review rules that it names by id and digest (S7.1).
- An unknown permit whose duties would contradict those of the grant denies too: else learning that it is true would
  make the answer stricter (S3.3, S3.5). So does one that would oblige to what the caller is not registered for.
- Everything but the outcome is worked out when asked for.

Clauses: S3.1 to S3.5, S6.4, S7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.policy import duties as ties
from demur.core.policy import explanation
from demur.core.policy.bucket import Bucket
from demur.core.policy.explanation import Explanation
from demur.core.policy.index import PolicySet
from demur.core.resolution import Facts
from demur.core.terms import Category, Outcome, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.policy.document import Narrowing, Obligation, Rule
    from demur.core.policy.duties import Contradiction, Duties

__all__ = ["Decision", "Explanation", "decide", "explain"]


class Decision(msgspec.Struct, frozen=True, eq=False):
    """What the rules say about one request. `category` is `None` for an allow.

    The fields that end in `_mask` are bits of the rules of `bucket`; the properties name them.
    """

    outcome: Outcome
    category: Category | None
    determining_mask: int
    trigger_mask: int
    true_mask: int
    unknown_mask: int
    failed_mask: int
    satisfied_mask: int
    bucket: Bucket
    facts: Facts
    policy_set: PolicySet

    @property
    def policy_digest(self) -> str:
        """The policy version (S3.7)."""
        return self.policy_set.digest

    @property
    def as_of(self) -> Timestamp:
        """The one time that the decision saw (S2.4)."""
        return self.facts.now

    @property
    def trigger(self) -> str:
        """The lowest id among the determining rules of the decision's category; empty where no rule decided (S3.4)."""
        return next(iter(self.bucket.ids(self.trigger_mask & -self.trigger_mask)), "")

    @property
    def determining(self) -> tuple[str, ...]:
        """All rules that decided, by id (S3.4)."""
        return self.bucket.ids(self.determining_mask)

    @property
    def permits(self) -> tuple[str, ...]:
        """The true permits."""
        return self.bucket.ids(self.true_mask & self.bucket.permits)

    @property
    def reviews(self) -> tuple[str, ...]:
        """The true reviews, satisfied ones included."""
        return self.bucket.ids(self.true_mask & self.bucket.reviews)

    @property
    def forbids(self) -> tuple[str, ...]:
        """The true forbids."""
        return self.bucket.ids(self.true_mask & self.bucket.forbids)

    @property
    def satisfied(self) -> tuple[str, ...]:
        """The true reviews that approvals satisfy (S7.1)."""
        return self.bucket.ids(self.satisfied_mask)

    @property
    def missing(self) -> tuple[str, ...]:
        """The unknown facts on which the determining rules hang, sorted."""
        deciding = self.determining_mask & self.unknown_mask
        if not deciding:
            return ()
        values, slots = self.facts.values, self.policy_set.schema.slots
        paths = {slots[slot].path for slot in self.bucket.unknown_slots(values, deciding)}
        return tuple(sorted(paths | self.bucket.unknown_paths(values, deciding)))

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """Rule id and message of every rule that failed to evaluate, permits included (S3.2)."""
        return tuple((rule.id, self._fault(rule)) for rule in self.bucket.chosen(self.failed_mask))

    @property
    def obligations(self) -> tuple[Obligation, ...]:
        """Of an allow, what the grant is tied to; of the others, what their true rules oblige Demur to (S3.5)."""
        if self.outcome is Outcome.ALLOW:
            return self._duties().obligations
        mask = self.determining_mask & self.true_mask & self.bucket.strict & self.bucket.with_duties
        return ties.union(self.bucket.chosen(mask))

    @property
    def narrows(self) -> tuple[Narrowing, ...]:
        """The arguments that the grant narrows, sorted by name; empty unless the outcome is allow (S3.5)."""
        return self._duties().narrows if self.outcome is Outcome.ALLOW else ()

    @property
    def grant_seconds(self) -> int | None:
        """The shortest validity that a rule sets; `None` where none does or the outcome is not allow."""
        return self._duties().grant_seconds if self.outcome is Outcome.ALLOW else None

    @property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """Duties that cannot all be kept, where they are why the answer is no (S3.5)."""
        if not self._is_denied_by_duties() or not self._granting_mask():
            return ()
        return _combined(self.bucket, self._granting_mask() | self.determining_mask).contradictions

    @property
    def beyond(self) -> tuple[str, ...]:
        """The obligation types that whoever asks is not registered for, where they are why the answer is no (S6.4)."""
        understands = self.facts.understands
        if understands is None or not self._is_denied_by_duties():
            return ()
        granting = self._granting_mask()
        if not granting or self.contradictions:
            return ()
        return ties.beyond(self.bucket.chosen(granting | self.determining_mask), understands)

    @property
    def history(self) -> tuple[str, ...]:
        """The usage facts that the candidate rules read (S4.2)."""
        return self.policy_set.history(self.bucket)

    def _fault(self, rule: Rule) -> str:
        slot = self.bucket.mistyped(self.facts.values, 1 << self.bucket.places[rule.id])
        if slot is None:
            return explanation.fault_of(rule, self.facts, self.policy_set)
        declared = self.policy_set.schema.slots[slot]
        return f"expected `{declared.path}` to be of type {declared.type}, found something else"

    def _is_denied_by_duties(self) -> bool:
        """Whether rules that would grant are among those that the denial rests on: permits, and satisfied reviews."""
        granting = ~self.bucket.strict | self.satisfied_mask
        return self.outcome is Outcome.DENY and bool(self.determining_mask & granting)

    def _granting_mask(self) -> int:
        return self.true_mask & self.bucket.permits | self.satisfied_mask

    def _duties(self) -> Duties:
        return _combined(self.bucket, self._granting_mask())


def decide(facts: Facts, policy_set: PolicySet) -> Decision:
    """The answer of all rules together; pure, deterministic, and deny wherever nothing allows.

    Raises only what a defect in a program would raise; no result of a rule, failures included, raises or permits.
    """
    request = facts.request
    bucket, covering = policy_set.bucket(request.action, request.resource.type)
    true, unknown, failed = truth = bucket.judge(facts.values, covering)
    satisfied = _satisfied(facts, bucket, true) if facts.approvals else 0
    strict = bucket.strict
    outcome, category = Outcome.DENY, Category.INSUFFICIENT_CONTEXT
    trigger = 0
    if determining := true & bucket.forbids:
        category, trigger = _category(bucket, determining)
    elif determining := unknown & strict:
        pass
    elif determining := failed & strict:
        category = Category.INDETERMINATE
    elif determining := true & bucket.reviews & ~satisfied:
        outcome, category = Outcome.DEFER, Category.REQUIRES_HUMAN
    elif determining := true & bucket.permits | satisfied:
        return _allow(facts, policy_set, bucket, truth, satisfied)
    elif not (determining := unknown):
        category = Category.SCOPE_EXCEEDED
    return Decision(
        outcome,
        category,
        determining,
        trigger or determining,
        true,
        unknown,
        failed,
        satisfied,
        bucket,
        facts,
        policy_set,
    )


def explain(facts: Facts, policy_set: PolicySet, decision: Decision, rules: Iterable[str] | None = None) -> Explanation:
    """Every candidate rule and condition with its truth, and the facts read with values and sources.

    `rules` limits the explanation to these ids; ids that are no candidates are left out.
    """
    bucket = decision.bucket
    covering = policy_set.bucket(facts.request.action, facts.request.resource.type)[1]
    if rules is not None:
        wanted = sum(1 << place for place in {bucket.places[rule] for rule in rules if rule in bucket.places})
        covering &= wanted
    return explanation.explain(bucket.chosen(covering), facts, policy_set)


def _allow(
    facts: Facts, policy_set: PolicySet, bucket: Bucket, truth: tuple[int, int, int], satisfied: int
) -> Decision:
    """Step 5: allow, unless duties contradict each other or could (S3.5, S3.3)."""
    true, unknown, failed = truth
    determining = granting = true & bucket.permits | satisfied
    outcome, category = Outcome.ALLOW, None
    if conflict := _conflict(bucket, granting, granting):
        outcome, category, determining = Outcome.DENY, Category.INDETERMINATE, conflict
    elif conflict := _conflict(bucket, granting | unknown, unknown):
        outcome, category, determining = Outcome.DENY, Category.INSUFFICIENT_CONTEXT, conflict
    elif facts.understands is not None:
        outcome, category, determining = _understood(bucket, granting, unknown, facts.understands)
    return Decision(
        outcome, category, determining, determining, true, unknown, failed, satisfied, bucket, facts, policy_set
    )


def _understood(
    bucket: Bucket, granting: int, unknown: int, understands: frozenset[str]
) -> tuple[Outcome, Category | None, int]:
    """An allow to whoever is registered for all that it obliges to, or would if what is unknown were true (S6.4)."""
    if beyond := _beyond(bucket, granting, understands):
        return Outcome.DENY, Category.POLICY_VIOLATION, beyond
    if beyond := _beyond(bucket, unknown, understands):
        return Outcome.DENY, Category.INSUFFICIENT_CONTEXT, beyond
    return Outcome.ALLOW, None, granting


def _beyond(bucket: Bucket, mask: int, understands: frozenset[str]) -> int:
    """The rules that oblige to more than is understood."""
    rules = bucket.chosen(mask & bucket.with_duties)
    return sum(1 << bucket.places[rule.id] for rule in rules if ties.beyond((rule,), understands))


def _conflict(bucket: Bucket, granting: int, relevant: int) -> int:
    """The rules among `relevant` whose duties contradict others of `granting`."""
    if not granting & relevant & bucket.with_duties:
        return 0
    rules = {rule for item in _combined(bucket, granting).contradictions for rule in item.rules}
    return sum(1 << bucket.places[rule] for rule in rules) & relevant


def _combined(bucket: Bucket, granting: int) -> Duties:
    mask = granting & bucket.with_duties
    return ties.combine(tuple(bucket.chosen(mask))) if mask else ties.NONE


def _category(bucket: Bucket, forbids: int) -> tuple[Category, int]:
    """The first category of S3.4 that is present, and the true forbids of it."""
    for category, mask in bucket.categories:
        if present := mask & forbids:
            return category, present
    return Category.POLICY_VIOLATION, forbids


def _satisfied(facts: Facts, bucket: Bucket, true: int) -> int:
    """The true reviews that approvals name by id and digest; a rule without a digest cannot be named (S7.1)."""
    mask = 0
    for approval in facts.approvals:
        for rule_id, digest in approval.rules:
            place = bucket.places.get(rule_id)
            if place is not None and digest and bucket.rules[place].digest == digest:
                mask |= 1 << place
    return mask & true & bucket.reviews
