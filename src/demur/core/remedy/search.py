"""Repairs: up to three facts that, changed together, lead to an allow or, from a deny, to a review.

1. The facts that may be different and that a rule in the way reads, in sets of one, two and three, cheapest first.
2. A set that leaves a rule in the way untouched, or that cannot help whatever its values are, is passed over.
3. Of each fact, the values at which a condition turns, nearest to the present one first; the last fact of a set is
   asked last, so that it is measured against the others as changed.
4. What the row promises is judged in full. What that confirms is offered, and no larger set that contains it.

Clauses: S9.1, S9.3.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from demur.core.policy import needs
from demur.core.remedy import freedom, points, showing
from demur.core.remedy.changes import Changes
from demur.core.remedy.ground import SpentError, falls, unknown
from demur.core.remedy.offers import Repair, order
from demur.core.schema import REQUEST
from demur.core.schema import Kind as TypeKind
from demur.core.terms import Missing, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.core.cel import Program, Result
    from demur.core.policy.document import Rule
    from demur.core.remedy.chart import Variable
    from demur.core.remedy.ground import Ground, Truths
    from demur.core.terms import State, Value

    Chosen = tuple[tuple[Variable, State], ...]

MAX_CHANGES = 3
"""Facts that one repair sets at most (S9.1)."""
MAX_REPAIRS = 4
"""Repairs that one refusal offers at most, those that lead to a review not counted."""
MAX_REVIEWS = 2
"""Repairs to a review that one refusal offers at most."""
PER_SET = 200
"""Probes that one set of facts may cost."""
AFTER_FOUND = 40
"""Probes that are spent on further repairs once one leads to an allow."""

_NAMED = frozenset({TypeKind.STRING, TypeKind.LIST})
_SCALAR = frozenset({TypeKind.INT, TypeKind.DOUBLE, TypeKind.BOOL, TypeKind.TIMESTAMP, TypeKind.DURATION})


def repairs(ground: Ground) -> tuple[Repair, ...]:
    """The repairs of a refusal, cheapest first."""
    found: list[Repair] = []
    done: list[frozenset[str]] = []
    whole = total = ground.probe_limit
    for chosen in _sets(ground):
        paths = frozenset(item.path for item in chosen)
        if any(known <= paths for known in done):
            continue
        ground.probe_limit = min(total, ground.probes + PER_SET)
        repair = _Attempt(ground, chosen).run()
        if repair is not None and repair.leads_to is Outcome.ALLOW:
            found.append(repair)
            done.append(paths)
            total = min(total, ground.probes + AFTER_FOUND)
        elif repair is not None and len(found) - len(done) < MAX_REVIEWS and not _is_known(paths, found):
            found.append(repair)
        if len(done) >= MAX_REPAIRS or ground.probes >= total:
            break
    ground.probe_limit = whole
    return tuple(sorted(found, key=order))


def _is_known(paths: frozenset[str], found: list[Repair]) -> bool:
    """Whether a smaller set leads to a review already."""
    return any({part.path for part in repair.parts} <= paths for repair in found)


def _sets(ground: Ground) -> Iterator[tuple[Variable, ...]]:
    """The sets of facts that can matter, cheapest first."""
    site, bucket, decision = ground.site, ground.site.bucket, ground.decision
    variables = [item for item in site.variables if not _is_unlearned(item, ground.row)]
    slots = {slot for item in variables for slot in (item.slot, *item.certain, *item.doubtful)}
    if not slots:
        return
    widest = ground.probe(unknown(ground.row, slots))
    if ground.is_hopeless(widest):
        return
    granting = bucket.permits | bucket.reviews
    possible = (widest.true | widest.unknown) & granting
    needs_grant = not decision.true_mask & granting
    open_rules = ground.must_fall | possible | widest.unknown
    variables = [item for item in variables if item.readers & open_rules]
    sets = []
    for size in range(1, min(MAX_CHANGES, len(variables)) + 1):
        for chosen in combinations(variables, size):
            readers = 0
            for item in chosen:
                readers |= item.readers
            if ground.must_fall & ~readers or (needs_grant and not possible & readers):
                continue
            sets.append((sum(item.cost for item in chosen), size, chosen))
    sets.sort(key=lambda item: item[:2])
    yield from (chosen for _, _, chosen in sets)


def _is_unlearned(item: Variable, row: list[State]) -> bool:
    """Whether a source failed to tell: then the fact may be as it must be, and nobody need bring it about."""
    return item.fact.source != REQUEST and row[item.slot] is Missing.UNKNOWN


class _Attempt:
    """One set of facts: values are chosen one fact after the other."""

    def __init__(self, ground: Ground, chosen: tuple[Variable, ...]) -> None:
        self._ground = ground
        self._chosen = chosen
        self._is_derived = any(item.certain for item in chosen)
        self._deferred: Chosen | None = None

    def run(self) -> Repair | None:
        """The first values that lead to an allow, else the first that lead to a review."""
        allowed = self._within_share(self._chosen)
        if allowed is None and len(self._chosen) > 1:
            allowed = self._within_share(self._chosen[::-1])
        if allowed is not None:
            return showing.repair(self._ground, allowed, Outcome.ALLOW)
        if self._deferred is not None:
            return showing.repair(self._ground, self._deferred, Outcome.DEFER)
        return None

    def _within_share(self, variables: tuple[Variable, ...]) -> Chosen | None:
        """The search in this order. What it may cost at most is a share of the whole, so that other sets get a turn."""
        try:
            return self._descend(variables, self._ground.row, ())
        except SpentError:
            return None

    def _descend(self, left: tuple[Variable, ...], row: list[State], chosen: Chosen) -> Chosen | None:
        ground = self._ground
        truths = ground.probe(unknown(row, (slot for item in left for slot in (item.slot, *item.certain))))
        if ground.is_hopeless(truths):
            return None
        head, *rest = left
        must = 0 if self._is_derived or rest else ground.must_fall & truths.unknown
        falling = ground.conditions(ground.site.bucket.chosen(must), head.path)
        for value in self._values(head, rest, row, truths):
            if not points.fits(value, head.fact):
                continue
            changed = unknown(row, head.certain)
            changed[head.slot] = value
            if rest:
                found = self._descend(tuple(rest), changed, (*chosen, (head, value)))
            elif falls(falling, changed):
                found = self._judged(changed, (*chosen, (head, value)))
            else:
                found = None
            if found is not None:
                return found
        return None

    def _judged(self, row: list[State], chosen: Chosen) -> Chosen | None:
        """These values, where they lead to an allow; the first that lead to a review are kept."""
        ground = self._ground
        promised = ground.promises(ground.probe(row), is_derived=self._is_derived)
        if promised is None or (promised is Outcome.DEFER and not self._wants_review()):
            return None
        outcome = ground.outcome(Changes(values={item.path: value for item, value in chosen}))
        if outcome is Outcome.ALLOW:
            return chosen
        if outcome is Outcome.DEFER and self._wants_review():
            self._deferred = chosen
        return None

    def _wants_review(self) -> bool:
        return self._deferred is None and self._ground.decision.outcome is Outcome.DENY

    def _values(self, head: Variable, rest: list[Variable], row: list[State], truths: Truths) -> list[State]:
        """The values at which a condition on the fact may turn, nearest first."""
        ground = self._ground
        rules = list(ground.site.bucket.chosen(truths.unknown & ground.site.readers.get(head.slot, 0)))
        proposed: list[State] = list(head.fact.one_of)
        for rule in rules:
            proposed += proposals(ground, rule, head, row)
        if head.fact.type.kind in _NAMED:
            # What another rule asks for is a value that somebody has a name for.
            for rule in ground.site.bucket.chosen(ground.site.readers.get(head.slot, 0)):
                proposed += proposals(ground, rule, head, row)
        proposed += points.together(proposed, row[head.slot])
        if head.fact.optional:
            proposed.append(Missing.ABSENT)
        proposed.append(freedom.sample(ground, head))
        values = points.nearest_first(proposed, row[head.slot])
        return _distinct(ground, rules, head, rest, row, values) if len(self._chosen) > 1 else values


def _distinct(
    ground: Ground, rules: list[Rule], head: Variable, rest: list[Variable], row: list[State], values: list[State]
) -> list[State]:
    """Of values that all conditions treat alike the first, and none that they treat like the present one.

    Where a condition reads another fact that is still to be chosen, or something hangs on this one, all values differ.
    """
    if head.certain:
        return values
    programs = _programs(ground, rules, head.path, frozenset(item.path for item in rest))
    if programs is None:
        return values
    changed = list(row)
    seen = {tuple(_answer(program(row)) for program in programs)}
    kept: list[State] = []
    for value in values:
        changed[head.slot] = value
        treated = tuple(_answer(program(changed)) for program in programs)
        if treated not in seen:
            seen.add(treated)
            kept.append(value)
    return kept


def _programs(ground: Ground, rules: list[Rule], path: str, others: frozenset[str]) -> list[Program] | None:
    """The conditions that read the fact; `None` where one of them reads any of `others` too."""
    found: list[Program] = []
    for rule in rules:
        members = [item for clause in ground.chart.policy_set.prepared(rule) for item in clause.members]
        reading = [(program, reads) for _, program, reads in members if path in reads]
        if not all(others.isdisjoint(reads) for _, reads in reading):
            return None
        found += [program for program, _ in reading]
    return found


def _answer(result: Result) -> object:
    return result if isinstance(result, bool) else type(result)


def proposals(ground: Ground, rule: Rule, head: Variable, row: list[State]) -> list[Value]:
    """The values of the fact at which a condition of the rule may turn."""
    known = ground.chart.proposals
    values: list[Value] = []
    for index, condition in enumerate(needs.conditions(rule)):
        key = (rule.id, index, head.slot)
        found = known.get(key)
        if found is None:
            slots = needs.slots_read(condition.node)
            if head.slot not in slots:
                known[key] = ()
                continue
            found = tuple(
                points.turning(condition.node, head.slot, head.fact.type, row, lambda node: ground.read(node, row))
            )
            if slots == {head.slot} and head.fact.type.kind in _SCALAR:
                known[key] = found
        values += found
    return values
