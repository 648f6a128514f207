"""Rules as written, before their conditions are checked.

- A rule's id is unique in its namespace, and so is a condition's name in its rule.
- What belongs to one effect (a category to a forbid, a panel to a review, narrowing to what can grant) is refused on
  another.
- Permits and reviews cover only actions that their namespace owns (S3.6).

Clauses: S3, S5.5, S7, S10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core.policy.consequences import read_alternatives, read_messages, read_obligations, read_panel
from demur.core.policy.declarations import read_patterns
from demur.core.policy.document import Obligation, Rule
from demur.core.policy.heading import check_pattern, controls, tags
from demur.core.policy.located import Items, Scalar, Table, describe
from demur.core.policy.reading import Keys, quoted, text_of
from demur.core.policy.stand_ins import read_stand_in
from demur.core.terms import Category, Disposition, Effect

if TYPE_CHECKING:
    from collections.abc import Collection

    from demur.core.policy.declarations import Declarations
    from demur.core.policy.heading import Heading, Namespaces
    from demur.core.policy.located import Located
    from demur.core.policy.reading import Report

MAX_RULES = 100_000
MAX_CONDITIONS = 256
"""Conditions in one rule."""

_KEYS = (
    "actions", "alternatives", "category", "controls", "description", "disposition", "effect", "grant_seconds", "id",
    "messages", "narrow", "obligations", "owner", "resources", "review", "stands_for", "tags", "unless", "when",
)  # fmt: skip
_ONLY_FOR = {
    "category": (Effect.FORBID,),
    "grant_seconds": (Effect.PERMIT, Effect.REVIEW),
    "narrow": (Effect.PERMIT, Effect.REVIEW),
    "review": (Effect.REVIEW,),
    "stands_for": (Effect.FORBID,),
}
_FORBID_CATEGORIES = tuple(
    category.value
    for category in Category
    if category not in {Category.INDETERMINATE, Category.REQUIRES_HUMAN, Category.UNAVAILABLE}
)
_ANY = ("*",)
MAX_GRANT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class DraftCondition:
    """A condition as written: its own text, or the use of a shipped one."""

    name: str
    explain: str
    text: Scalar | None
    use: Scalar | None
    parameters: Located | None
    at: Located


@dataclass(frozen=True, slots=True)
class DraftAny:
    """An any-of group as written."""

    name: str
    explain: str
    members: tuple[DraftCondition, ...]


@dataclass(frozen=True, slots=True)
class DraftRule:
    """A rule without its clauses, and the clauses as written."""

    rule: Rule
    keys: Keys
    when: tuple[DraftCondition | DraftAny, ...]
    unless: tuple[DraftCondition | DraftAny, ...]
    is_partial: bool
    """Some of the actions were refused, so that what the rule may name is not known."""

    def conditions(self) -> list[DraftCondition]:
        """Every condition, members of groups included."""
        found: list[DraftCondition] = []
        for clause in (*self.when, *self.unless):
            found.extend(clause.members if isinstance(clause, DraftAny) else (clause,))
        return found


class Drafts:
    """The rules of all documents."""

    def __init__(
        self, report: Report, declared: Declarations, namespaces: Namespaces, rotas: Collection[str] = ()
    ) -> None:
        self.report = report
        self.rotas = rotas
        self.declared = declared
        self.namespaces = namespaces
        self.rules: dict[str, DraftRule] = {}
        self._obligations: dict[str, Obligation] = {}

    def read(self, heading: Heading) -> None:
        """Take in the rules of one document."""
        for node in heading.keys.items("rules"):
            draft = self._rule(heading, node)
            if draft is None:
                continue
            before = self.rules.get(draft.rule.id)
            if before is not None:
                hint = f"it is declared in {before.rule.file}, line {before.rule.line}"
                draft.keys.note("id", f"expected a rule id that is unique, found `{draft.rule.id}` again", hint)
            elif len(self.rules) >= MAX_RULES:
                self.report.note(heading.file, node, f"expected at most {MAX_RULES} rules, found more")
                return
            else:
                self.rules[draft.rule.id] = draft

    def _rule(self, heading: Heading, node: Located) -> DraftRule | None:
        keys = Keys(self.report, heading.file, node, "a rule", known=_KEYS, needs=("id", "effect", "actions"))
        name, effect = keys.token("id"), keys.choice("effect", Effect)
        actions = self._actions(heading, keys, effect)
        clauses = _Clauses(self.report, heading.file)
        when, unless = clauses.read(keys, "when"), clauses.read(keys, "unless")
        if not name or effect is None:
            return None
        self._check_effect(keys, effect)
        rule = Rule(
            id=f"{heading.namespace}/{name}",
            namespace=heading.namespace,
            effect=effect,
            actions=actions,
            resources=self._resources(keys),
            category=self._category(keys, effect),
            disposition=keys.choice("disposition", Disposition),
            description=keys.text("description"),
            messages=read_messages(keys),
            obligations=read_obligations(keys, self._obligations),
            grant_seconds=keys.whole("grant_seconds", 0, least=1, most=MAX_GRANT_SECONDS) or None,
            alternatives=read_alternatives(keys, self.declared),
            panel=read_panel(keys, self.rotas) if effect is Effect.REVIEW else None,
            stands_for=read_stand_in(keys, heading.namespace),
            owner=keys.text("owner", heading.owner),
            tags=tuple(dict.fromkeys((*heading.tags, *tags(keys)))),
            controls=_merged(heading.controls, controls(self.report, keys)),
            file=heading.file,
            line=node.line,
        )
        return DraftRule(rule, keys, when, unless, is_partial=len(actions) < len(keys.items("actions")))

    def _actions(self, heading: Heading, keys: Keys, effect: Effect | None) -> tuple[str, ...]:
        found = read_patterns(self.report, keys, "actions", self.declared.actions)
        owned = self.namespaces.owns.get(heading.namespace, ())
        for text in found if effect in {Effect.PERMIT, Effect.REVIEW} and owned else ():
            if not self.namespaces.is_owned(heading.namespace, str(text.value)):
                message = f"expected actions that `{heading.namespace}` owns, found `{text.value}`"
                self.report.note(heading.file, text, message, f"it owns {quoted(owned[:5])}", code="not-owned")
        return tuple(str(text.value) for text in found)

    def _resources(self, keys: Keys) -> tuple[str, ...]:
        texts = keys.texts("resources", least=1)
        found = [
            text for text in texts if check_pattern(self.report, keys.file, text, what="a resource type or pattern")
        ]
        return tuple(str(text.value) for text in found) if found else _ANY

    def _category(self, keys: Keys, effect: Effect) -> Category | None:
        if effect is not Effect.FORBID:
            return None
        if not keys.has("category"):
            return Category.POLICY_VIOLATION
        found = keys.one_of("category", _FORBID_CATEGORIES)
        return Category(found) if found else None

    def _check_effect(self, keys: Keys, effect: Effect) -> None:
        for key, effects in _ONLY_FOR.items():
            if keys.has(key) and effect not in effects:
                hint = _WHY.get((key, effect), "")
                keys.note(
                    key, f"expected `{key}` only on {' and '.join(effects)} rules, found it on a {effect} rule", hint
                )
        if effect is Effect.REVIEW and not keys.has("review"):
            hint = "such as `review: {role: head-clerk, within: 4h}`"
            self.report.note(
                keys.file, keys.node, "expected `review` on a review rule, found none", hint, code="missing-key"
            )


_WHY = {("category", Effect.REVIEW): "the category of a review is `requires_human` always"}


def _merged(outer: dict[str, tuple[str, ...]], inner: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(dict.fromkeys((*outer.get(name, ()), *inner.get(name, ())))) for name in sorted({*outer, *inner})
    }


class _Clauses:
    """The clauses of one rule."""

    def __init__(self, report: Report, file: str) -> None:
        self.report = report
        self.file = file
        self.names: dict[str, int] = {}

    def read(self, keys: Keys, key: str) -> tuple[DraftCondition | DraftAny, ...]:
        items = keys.items(key)
        clauses = [
            self._clause(item, f"any-{place}" if key == "when" else f"{key}-any-{place}")
            for place, item in enumerate(items, 1)
        ]
        if len(self.names) > MAX_CONDITIONS:
            keys.note(key, f"expected at most {MAX_CONDITIONS} conditions in a rule, found {len(self.names)}")
        return tuple(clause for clause in clauses if clause is not None)

    def _clause(self, node: Located, default: str) -> DraftCondition | DraftAny | None:
        if isinstance(node, Table) and any(entry.key == "any" for entry in node.entries):
            return self._any(node, default)
        return self._condition(node)

    def _any(self, node: Table, default: str) -> DraftAny:
        keys = Keys(self.report, self.file, node, "an any-of group", known=("any", "explain", "name"))
        items = keys.items("any")
        if keys.has("any") and isinstance(keys.values["any"], Items) and not items:
            keys.note("any", "expected at least one condition for `any`, found an empty list")
        members = [self._condition(item) for item in items]
        name = self._unique(keys, default) if keys.has("name") else default
        return DraftAny(name, keys.text("explain"), tuple(member for member in members if member is not None))

    def _condition(self, node: Located) -> DraftCondition | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            hint = "write `{name: ..., expr: ..., explain: ...}`"
            self.report.note(self.file, node, f"expected a named condition, found {describe(node)}", hint)
            return None
        keys = Keys(self.report, self.file, node, "a condition", known=("explain", "expr", "name", "use", "with"))
        if not keys.is_table:
            return None
        if keys.has("use") == keys.has("expr"):
            found = "both" if keys.has("use") else "neither"
            self.report.note(
                self.file, node, f"expected either `expr` or `use` in a condition, found {found}", code="missing-key"
            )
            return None
        return self._use(keys) if keys.has("use") else self._own(keys)

    def _own(self, keys: Keys) -> DraftCondition | None:
        if not keys.has("name"):
            self.report.note(
                self.file, keys.node, "expected `name` in a condition, found no such key", code="missing-key"
            )
        if keys.has("with"):
            keys.note("with", "expected `with` only beside `use`, found it beside `expr`")
        name, node = self._unique(keys, ""), keys.values["expr"]
        if not text_of(self.report, self.file, node, "a text for `expr`") or not isinstance(node, Scalar):
            return None
        return DraftCondition(name, keys.text("explain"), node, None, None, keys.node)

    def _use(self, keys: Keys) -> DraftCondition | None:
        shipped = keys.text("use")
        node = keys.values["use"]
        if not shipped or not isinstance(node, Scalar):
            return None
        name = self._unique(keys, shipped)
        return DraftCondition(name, keys.text("explain"), None, node, keys.values.get("with"), keys.node)

    def _unique(self, keys: Keys, default: str) -> str:
        name = keys.token("name") or default
        before = self.names.get(name)
        if name and before is not None:
            hint = f"it is on line {before} already" if keys.has("name") else "give it a `name` of its own"
            keys.note("name", f"expected condition names that are unique in a rule, found `{name}` again", hint)
        self.names.setdefault(name, keys.values["name"].line if keys.has("name") else keys.node.line)
        return name
