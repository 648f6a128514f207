"""How a desk reads risk: `risk` within `desk`, by facts and thresholds or values, and by conditions.

- A fact is declared, and no secret; a number has up to three thresholds in ascending order, a text or bool a level for
  each value.
- A condition is checked like one of a rule that covers the same actions, all of them where none are named; an argument
  that some of them lack is read only behind `has`.

Clauses: S1.5, S2.1, S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel.check import check
from demur.core.desk.plan import Mark, Measure, RiskReading, Scale
from demur.core.desk.risk import MAX_LEVEL
from demur.core.policy.declarations import read_patterns
from demur.core.policy.located import Items, Scalar, Table, describe, place, shorten
from demur.core.policy.reading import Keys
from demur.core.schema import Kind, Type
from demur.errors import ConditionError, Problem

if TYPE_CHECKING:
    from demur.core.policy.declarations import Declarations
    from demur.core.policy.layout import Views
    from demur.core.policy.located import Located
    from demur.core.schema import Schema

MEASURES = ("severity", "reversibility", "blast_radius", "novelty")
MAX_ENTRIES = 64
"""Entries of one of the four."""
_BOOL = Type(Kind.BOOL)
_NUMBERS = {Kind.INT, Kind.DOUBLE}
_NAMED = {Kind.STRING, Kind.BOOL}


def read_risk(declared: Declarations, desk: Keys | None, schema: Schema, views: Views) -> RiskReading:
    """How the four are read, as the desk says."""
    if desk is None or not desk.has("risk"):
        return RiskReading()
    keys = Keys(declared.report, desk.file, desk.values["risk"], "`risk`", known=MEASURES)
    reader = _Reader(declared, keys, schema, views)
    return RiskReading(
        severity=reader.measure("severity"),
        reversibility=reader.measure("reversibility"),
        blast_radius=reader.measure("blast_radius"),
        novelty=reader.measure("novelty"),
    )


class _Reader:
    """Reads the four."""

    def __init__(self, declared: Declarations, keys: Keys, schema: Schema, views: Views) -> None:
        self.declared = declared
        self.report = declared.report
        self.keys = keys
        self.views = views
        self.kinds: dict[str, set[Kind]] = {}
        for slot in schema.slots:
            self.kinds.setdefault(slot.path, set()).add(slot.type.kind)
        arguments = [fact for action in schema.actions.values() for fact in action.arguments]
        self.secret = {fact.path for fact in (*schema.facts.values(), *arguments) if fact.secret}

    def measure(self, key: str) -> Measure | None:
        """One of the four, or nothing where the desk says nothing about it."""
        if not self.keys.has(key):
            return None
        node = self.keys.values[key]
        nodes = node.items if isinstance(node, Items) else (node,)
        if len(nodes) > MAX_ENTRIES:
            self.keys.note(key, f"expected at most {MAX_ENTRIES} entries for `{key}`, found {len(nodes)}")
        found = [self._entry(key, item) for item in nodes[:MAX_ENTRIES]]
        return Measure(
            scales=tuple(item for item in found if isinstance(item, Scale)),
            marks=tuple(item for item in found if isinstance(item, Mark)),
        )

    def _entry(self, key: str, node: Located) -> Scale | Mark | None:
        known = ("actions", "explain", "fact", "level", "levels", "otherwise", "when")
        inner = Keys(self.report, self.keys.file, node, f"an entry of `{key}`", known=known)
        if not inner.is_table:
            return None
        if inner.has("fact") == inner.has("when"):
            found = "both" if inner.has("fact") else "neither"
            hint = "such as `{fact: action.amount, levels: [100, 1000]}` or `{level: 3, when: ...}`"
            self.report.note(inner.file, node, f"expected either `fact` or `when`, found {found}", hint)
            return None
        return self._scale(inner) if inner.has("fact") else self._mark(inner)

    def _scale(self, inner: Keys) -> Scale | None:
        self._only(inner, ("actions", "explain", "level"), "when")
        path = inner.text("fact")
        kinds = self.kinds.get(path)
        if kinds is None:
            message = f"expected a declared fact for `fact`, found `{shorten(path)}`"
            inner.note("fact", message, self.report.guess(path, self.kinds))
            return None
        if path in self.secret:
            inner.note("fact", f"expected a fact that is not `secret`, found `{path}`", "what is secret is never told")
            return None
        levels = inner.values.get("levels")
        if levels is None:
            self.report.note(inner.file, inner.node, "expected `levels` beside `fact`, found none", code="missing-key")
            return None
        if isinstance(levels, Table):
            return self._steps(inner, path, kinds, levels)
        return self._thresholds(inner, path, kinds)

    def _thresholds(self, inner: Keys, path: str, kinds: set[Kind]) -> Scale | None:
        if kinds - _NUMBERS:
            found = ", ".join(sorted(kind.value for kind in kinds))
            hint = "a text or bool has a level for each value: `levels: {public: 0, secret: 3}`"
            inner.note("fact", f"expected an int or double beside thresholds, found `{path}` of type {found}", hint)
            return None
        self._only(inner, ("otherwise",), "levels: {value: level}")
        found_numbers: list[int | float] = []
        for node in inner.items("levels"):
            value = node.value if isinstance(node, Scalar) else None
            if isinstance(value, bool) or not isinstance(value, int | float):
                self.report.note(inner.file, node, f"expected a number for a threshold, found {describe(node)}")
                return None
            found_numbers.append(value)
        if not 1 <= len(found_numbers) <= MAX_LEVEL or sorted(set(found_numbers)) != found_numbers:
            inner.note("levels", f"expected 1 to {MAX_LEVEL} thresholds, each above the one before, found others")
            return None
        return Scale(path=path, thresholds=tuple(found_numbers))

    def _steps(self, inner: Keys, path: str, kinds: set[Kind], levels: Table) -> Scale | None:
        if kinds - _NAMED:
            found = ", ".join(sorted(kind.value for kind in kinds))
            inner.note("fact", f"expected a string or bool beside named values, found `{path}` of type {found}")
            return None
        inside = Keys(self.report, inner.file, levels, "`levels`", known=[entry.key for entry in levels.entries])
        steps = {entry.key: inside.whole(entry.key, 0, least=0, most=MAX_LEVEL) for entry in levels.entries}
        return Scale(path=path, steps=steps, otherwise=inner.whole("otherwise", 0, least=0, most=MAX_LEVEL))

    def _mark(self, inner: Keys) -> Mark | None:
        self._only(inner, ("levels", "otherwise"), "fact")
        if not inner.has("level"):
            self.report.note(inner.file, inner.node, "expected `level` beside `when`, found none", code="missing-key")
        actions: tuple[str, ...] = ("*",)
        if inner.has("actions"):
            read = read_patterns(self.report, inner, "actions", self.declared.actions)
            actions = tuple(str(text.value) for text in read)
        expr, node = inner.text("when"), inner.values["when"]
        if not expr or not actions or not isinstance(node, Scalar):
            return None
        view = self.views.of(actions)
        try:
            checked = check(expr.rstrip(), view.scope, _BOOL)
        except ConditionError as error:
            at = place(node, error.line, error.column)
            self.report.add(Problem(inner.file, *at, f"in `when`: {error}", error.hint, "condition"))
            return None
        for use in checked.uses:
            if not use.guarded:
                message = f"expected a guard for `{use.path}`, found none: it may be absent"
                hint = f"write `has({use.path}) && ...`, or name the `actions` that have it"
                self.report.add(Problem(inner.file, *place(node, use.line, use.column), message, hint, "unguarded"))
        return Mark(
            level=inner.whole("level", 1, least=1, most=MAX_LEVEL),
            expr=expr.strip(),
            node=checked.node,
            actions=actions,
            explanation=inner.text("explain"),
        )

    def _only(self, inner: Keys, keys: tuple[str, ...], beside: str) -> None:
        for key in keys:
            if inner.has(key):
                inner.note(key, f"expected `{key}` only beside `{beside}`, found it elsewhere")
