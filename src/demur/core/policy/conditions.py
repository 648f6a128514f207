"""Draft rules -> rules: every condition is checked against what its rule may name.

- The same text over the same covered actions is checked once.
- A fact that may be absent is read only behind a guard: in the condition itself, or in a condition beside it under
  `when`, since all of those must hold. A group guards what each of its members guards (S2.1).
- A problem inside a condition names the line and column in the file.

Clauses: S2.1, S3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.cel.check import check
from demur.core.policy.consequences import read_narrowing
from demur.core.policy.document import AnyOf, Clause, Condition
from demur.core.policy.drafts import DraftAny
from demur.core.policy.facts import ACTION
from demur.core.policy.library import PARAMETERS, Shipped, Surroundings, expand
from demur.core.policy.located import Table, place, shorten
from demur.core.policy.reading import Keys, quoted
from demur.core.schema import DESK, Kind, Type
from demur.errors import ConditionError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from demur.core.cel.scope import Checked, Use
    from demur.core.policy.declarations import Declarations
    from demur.core.policy.document import Rule
    from demur.core.policy.drafts import DraftCondition, DraftRule
    from demur.core.policy.layout import View, Views
    from demur.core.policy.reading import Report
    from demur.core.schema import Counter

_BOOL = Type(Kind.BOOL)


class Conditions:
    """Checks the conditions of all rules; remembers what it has checked."""

    def __init__(
        self,
        report: Report,
        declared: Declarations,
        views: Views,
        counters: Mapping[str, Counter],
        zone: str,
        is_zone: Callable[[str], bool],
    ) -> None:
        self.report = report
        self.declared = declared
        self.views = views
        self.counters = counters
        self.zone = zone
        self.is_zone = is_zone
        self._known: dict[tuple[str, tuple[str, ...]], Checked | ConditionError] = {}

    def rule(self, draft: DraftRule) -> Rule:
        """The rule with its clauses. Where a condition is wrong the problem is noted and the clause left out."""
        view = self.views.of(draft.rule.actions)
        when = [self._clause(clause, draft, view) for clause in draft.when]
        unless = [self._clause(clause, draft, view) for clause in draft.unless]
        present = frozenset[str]().union(*(guards for _, _, guards in when))
        for _, reads, _ in (*when, *unless):
            self._check_guards(draft, reads, present, view)
        return msgspec.structs.replace(
            draft.rule,
            when=tuple(clause for clause, _, _ in when if clause is not None),
            unless=tuple(clause for clause, _, _ in unless if clause is not None),
            narrows=read_narrowing(draft.keys, view, self.declared),
        )

    def _clause(self, clause: DraftCondition | DraftAny, draft: DraftRule, view: View) -> _Found:
        if not isinstance(clause, DraftAny):
            return self._condition(clause, draft, view)
        found = [self._condition(member, draft, view) for member in clause.members]
        members = tuple(item for item, _, _ in found if isinstance(item, Condition))
        guards = frozenset.intersection(*(guards for _, _, guards in found)) if found else frozenset[str]()
        group = AnyOf(name=clause.name, conditions=members, explanation=clause.explain) if members else None
        return group, [read for _, reads, _ in found for read in reads], guards

    def _condition(self, condition: DraftCondition, draft: DraftRule, view: View) -> _Found:
        explanation = condition.explain
        if condition.text is not None:
            expr = str(condition.text.value).rstrip()
        else:
            expansion = self._expand(condition, draft, view)
            if expansion is None:
                return None, [], frozenset()
            expr, explanation = expansion[0], explanation or expansion[1]
        checked = self._check(expr, view)
        if isinstance(checked, ConditionError):
            self._refuse(condition, draft, checked, view)
            return None, [], frozenset()
        node = Condition(name=condition.name, expr=expr.strip(), explanation=explanation, node=checked.node)
        return node, [(condition, use) for use in checked.uses], checked.guards

    def _check(self, expr: str, view: View) -> Checked | ConditionError:
        key = (expr, view.actions)
        known = self._known.get(key)
        if known is None:
            try:
                known = check(expr, view.scope, _BOOL)
            except ConditionError as error:
                known = error
            self._known[key] = known
        return known

    def _expand(self, condition: DraftCondition, draft: DraftRule, view: View) -> tuple[str, str] | None:
        name = str(condition.use.value) if condition.use is not None else ""
        file = draft.rule.file
        if name not in set(Shipped):
            message = f"expected a shipped condition for `use`, found `{shorten(name)}`"
            hint = self.report.guess(name, [shipped.value for shipped in Shipped])
            self.report.note(file, condition.use or condition.at, message, hint)
            return None
        shipped = Shipped(name)
        needs, known = PARAMETERS[shipped]
        node = condition.parameters or Table((), condition.at.line, condition.at.column)
        keys = Keys(self.report, file, node, f"`with` of `{name}`", known=known, needs=needs)
        if not keys.is_table or any(key not in keys.values for key in needs):
            return None
        found = expand(shipped, keys, Surroundings(view, self.declared, self.counters, self.zone, self.is_zone))
        return (found.expr, found.explanation) if found is not None else None

    def _refuse(self, condition: DraftCondition, draft: DraftRule, error: ConditionError, view: View) -> None:
        message, hint = str(error), error.hint
        path = error.found if error.expected == "a declared fact" else ""
        if draft.is_partial and path.startswith(f"{ACTION}."):
            return  # What is wrong is the name of the action, and that has been told.
        if path in view.conflicts:
            message = f"expected one type of `{path}` in all actions that the rule covers, found {view.conflicts[path]}"
            hint = "write a rule for each of them"
        elif path and self.declared.arguments(path):
            owners = [
                name
                for name, placed in self.declared.actions.items()
                if any(a.path == path for a in placed.item.arguments)
            ]
            message = f"expected an argument of an action that the rule covers, found `{path}`"
            hint = f"it is an argument of {quoted(owners[:3])}"
        elif path:
            message = f"expected a declared fact, found `{path}`"
            hint = "`desk` with `peak` provides it" if path.startswith(f"{DESK}.") else hint
        elif error.expected and error.expected not in message:
            found = f", found {error.found}" if error.found and error.found not in message else ""
            message = f"{message}: expected {error.expected}{found}"
        self.report.add(
            Problem(draft.rule.file, *_place(condition, error.line, error.column), message, hint, "condition")
        )

    def _check_guards(
        self, draft: DraftRule, reads: Iterable[tuple[DraftCondition, Use]], present: frozenset[str], view: View
    ) -> None:
        for condition, use in reads:
            if use.guarded or use.path in present:
                continue
            lacking = view.lacking.get(use.path)
            why = f"`{lacking}` does not have it" if lacking else "it may be absent"
            self.report.add(
                Problem(
                    draft.rule.file,
                    *_place(condition, use.line, use.column),
                    f"expected a guard for `{use.path}`, found none: {why}",
                    f"write `has({use.path}) && ...`, or add a condition `has({use.path})` under `when`",
                    "unguarded",
                )
            )


if TYPE_CHECKING:
    _Found = tuple[Clause | None, list[tuple[DraftCondition, Use]], frozenset[str]]


def _place(condition: DraftCondition, line: int, column: int) -> tuple[int, int]:
    if condition.text is not None:
        return place(condition.text, line, column)
    at = condition.use or condition.at
    return at.line, at.column
