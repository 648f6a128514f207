"""What is allowed but surely not meant: rules that can never matter, words that are missing, facts nobody reads.

Only what can be shown cheaply is reported, and nothing is reported that may be right; every finding is a warning.

| code | finding |
|---|---|
| `impossible` | the conditions of a rule contradict each other |
| `shadowed` | whenever a permit or review holds, a forbid holds too |
| `duplicate` | a rule says what another one says, or a condition stands in a rule twice |
| `covers-nothing` | the patterns of a rule match no declared action |
| `never-permitted` | no permit and no review covers a declared action |
| `inverted` | a shipped condition, which names a defect, stands under `when` of a permit |
| `forbids-elsewhere` | a forbid covers actions that its namespace does not own |
| `unexplained` | a condition has no `explain` |
| `untranslated` | messages lack the fallback locale |
| `unused` | a fact, counter or source that neither a rule nor the desk reads |

Clauses: S3, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.policy import patterns
from demur.core.policy.document import AnyOf
from demur.core.policy.library import Shipped
from demur.core.policy.located import Table
from demur.core.policy.needs import conditions, risk_slots, rule_slots
from demur.core.policy.reading import quoted
from demur.core.policy.satisfiable import contradiction
from demur.core.terms import Effect
from demur.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demur.core.policy.document import Clause, Documents, Rule
    from demur.core.policy.located import Entry, SourceDocument
    from demur.core.schema import Source

_GRANTING = {Effect.PERMIT, Effect.REVIEW}


def lint(documents: Documents, sources: Sequence[SourceDocument] = ()) -> tuple[Problem, ...]:
    """The findings, in document order. With the `sources` those about declarations have a place too."""
    places = _places(sources)
    found = [problem for rule in documents.rules for problem in _rule(rule, documents)]
    found += _shadowed(documents.rules)
    found += _duplicates(documents.rules)
    found += [_at(places, "actions", *finding) for finding in _never_permitted(documents)]
    found += [_at(places, *finding) for finding in _unused(documents)]
    return tuple(sorted(found, key=lambda problem: (problem.file, problem.line, problem.column, problem.message)))


def _rule(rule: Rule, documents: Documents) -> Iterator[Problem]:
    path = contradiction(rule, documents.schema.slots)
    if path:
        what = "a condition is always false" if path == "false" else f"its conditions on `{path}` contradict each other"
        yield _warning(rule, "impossible", f"`{rule.id}` never holds: {what}", "remove or correct a condition")
    actions = documents.schema.actions
    if actions and not patterns.expand(rule.actions, actions):
        yield _warning(rule, "covers-nothing", f"`{rule.id}` covers no declared action: {quoted(rule.actions)}")
    yield from _words(rule, documents.locale)
    for text in _twice(rule):
        yield _warning(rule, "duplicate", f"`{rule.id}` says `{text}` twice", "remove one of the conditions")
    for name in _inverted(rule):
        message = f"`{rule.id}` permits when `{name}` is the case"
        yield _warning(
            rule, "inverted", message, "put it under `unless`: a shipped condition holds when its name says so"
        )
    owned = documents.namespaces[rule.namespace].owns if rule.namespace in documents.namespaces else ()
    outside = [text for text in rule.actions if not any(patterns.includes(pattern, text) for pattern in owned)]
    if rule.effect is Effect.FORBID and outside:
        message = f"`{rule.id}` forbids what `{rule.namespace}` does not own: {quoted(outside)}"
        yield _warning(rule, "forbids-elsewhere", message, "it binds other namespaces too")


def _words(rule: Rule, locale: str) -> Iterator[Problem]:
    unexplained = [condition.name for condition in conditions(rule) if not condition.explanation]
    if unexplained:
        message = f"`{rule.id}` has conditions without `explain`: {quoted(unexplained)}"
        yield _warning(rule, "unexplained", message, "say what is the case when the condition holds")
    missing = [audience.value for audience, texts in rule.messages.items() if locale not in texts]
    if missing:
        message = f"`{rule.id}` has no message in the fallback locale `{locale}` for {quoted(missing)}"
        yield _warning(rule, "untranslated", message)


def _twice(rule: Rule) -> list[str]:
    """Conditions that say the same as another one in the same place."""
    found: list[str] = []
    for clauses in (rule.when, rule.unless):
        seen: set[str] = set()
        for clause in clauses:
            form = _form(clause)
            if form in seen:
                found.append(clause.name if isinstance(clause, AnyOf) else clause.expr)
            seen.add(form)
    return found


def _inverted(rule: Rule) -> list[str]:
    if rule.effect is not Effect.PERMIT:
        return []
    shipped = set(Shipped)
    return [clause.name for clause in rule.when if clause.name in shipped and not isinstance(clause, AnyOf)]


def _form(clause: Clause) -> str:
    """The clause as text; equal for clauses that say the same."""
    if isinstance(clause, AnyOf):
        return " || ".join(sorted(condition.expr for condition in clause.conditions))
    return clause.expr


def _shadowed(rules: Sequence[Rule]) -> Iterator[Problem]:
    """Permits and reviews that hold only where a forbid holds: it asks for less and covers as much."""
    by_condition: dict[str, list[tuple[Rule, frozenset[str], frozenset[str]]]] = {}
    for rule in rules:
        if rule.effect is Effect.FORBID:
            when, unless = frozenset(map(_form, rule.when)), frozenset(map(_form, rule.unless))
            by_condition.setdefault(min(when, default=""), []).append((rule, when, unless))
    for rule in rules:
        if rule.effect not in _GRANTING:
            continue
        when, unless = frozenset(map(_form, rule.when)), frozenset(map(_form, rule.unless))
        candidates = (item for text in ("", *sorted(when)) for item in by_condition.get(text, ()))
        for forbid, needs, lifts in candidates:
            if needs <= when and lifts <= unless and _covers(forbid, rule):
                message = f"`{rule.id}` never takes effect: whenever it holds, `{forbid.id}` forbids"
                yield _warning(rule, "shadowed", message)
                break


def _covers(outer: Rule, inner: Rule) -> bool:
    return all(any(patterns.includes(a, b) for a in outer.actions) for b in inner.actions) and all(
        any(patterns.includes(a, b) for a in outer.resources) for b in inner.resources
    )


def _duplicates(rules: Sequence[Rule]) -> Iterator[Problem]:
    seen: dict[tuple[object, ...], Rule] = {}
    for rule in rules:
        form = (
            rule.effect,
            frozenset(rule.actions),
            frozenset(rule.resources),
            frozenset(map(_form, rule.when)),
            frozenset(map(_form, rule.unless)),
        )
        before = seen.setdefault(form, rule)
        if before is not rule:
            yield _warning(rule, "duplicate", f"`{rule.id}` has the effect, coverage and conditions of `{before.id}`")


def _never_permitted(documents: Documents) -> Iterator[tuple[str, str, str, str]]:
    wanted = {text for rule in documents.rules if rule.effect in _GRANTING for text in rule.actions}
    permitted = set(patterns.expand(wanted, documents.schema.actions))
    for name in documents.schema.actions:
        if name not in permitted:
            yield name, "never-permitted", f"no permit and no review covers `{name}`: it is always denied", ""


def _unused(documents: Documents) -> Iterator[tuple[str, str, str, str, str]]:
    """Key of the declaration, its name, code, message and hint."""
    schema = documents.schema
    read = {schema.slots[slot].path for rule in documents.rules for slot in rule_slots(rule)}
    slots = {slot.path: index for index, slot in enumerate(schema.slots)}
    read.update(schema.slots[slot].path for slot in risk_slots(documents.desk.risk, slots))
    keys = {path for counter in schema.counters.values() for path in counter.key}
    keys.update(path for source in schema.sources.values() for path in _asked_by(source))
    for path, fact in schema.facts.items():
        if path not in read and path not in keys and not fact.bound:
            yield "facts", path, "unused", f"no rule reads the fact `{path}`", ""
    for path in schema.counters:
        if path not in read:
            yield "usage", path.removeprefix("usage."), "unused", f"no rule reads the counter `{path}`", ""
    named = {fact.source for fact in schema.facts.values()}
    for name in schema.sources:
        if name not in named:
            yield "sources", name, "unused", f"no fact comes from the source `{name}`", ""


def _asked_by(source: Source) -> Iterator[str]:
    """The facts that a source looks at itself."""
    key, detect = source.settings.get("key"), source.settings.get("detect")
    if isinstance(key, str):
        yield key
    elif isinstance(key, list):
        yield from map(str, key)
    for item in detect.values() if isinstance(detect, dict) else ():
        if isinstance(item, dict):
            yield str(item["in"])


def _places(sources: Sequence[SourceDocument]) -> dict[tuple[str, str], tuple[str, Entry]]:
    """Where a name is declared: key of the document and name to file and entry."""
    found: dict[tuple[str, str], tuple[str, Entry]] = {}
    for document in sources:
        for section in document.root.entries if isinstance(document.root, Table) else ():
            for entry in section.value.entries if isinstance(section.value, Table) else ():
                found.setdefault((section.key, entry.key), (document.file, entry))
    return found


def _at(
    places: dict[tuple[str, str], tuple[str, Entry]], section: str, name: str, code: str, message: str, hint: str
) -> Problem:
    place = places.get((section, name))
    if place is None:
        return Problem("", 0, 0, message, hint, code, "warning")
    file, entry = place
    return Problem(file, entry.line, entry.column, message, hint, code, "warning")


def _warning(rule: Rule, code: str, message: str, hint: str = "") -> Problem:
    return Problem(rule.file, rule.line, 1, message, hint, code, "warning")
