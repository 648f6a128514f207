"""The content address of a set of policies: SHA-256 over the canonical JSON of what was parsed.

    {"demur":1,"desk":...,"locale":...,"namespaces":...,"rules":[...],"schema":...}

- File names, the order of files, rules, declarations and keys, comments and the layout of YAML make no difference.
- Conditions count as text; their checked form follows from it. What fixes the meaning of times counts too: the zone.
- `desk` is left out where none is declared.
- A rule's own digest is over its form in that list; an approval names it (S7.1).

Clauses: S3.7, S7.1.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from demur.core import canonical
from demur.core.desk.plan import NO_DESK
from demur.core.policy.document import FORMAT, AnyOf
from demur.core.terms import Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.policy.document import Clause, Documents, Namespace, Panel, Rule
    from demur.core.schema import Counter, Fact, Schema


def rule_form(rule: Rule) -> bytes:
    """The canonical bytes of one rule."""
    form: dict[str, object] = {
        "id": rule.id,
        "effect": rule.effect.value,
        "actions": sorted(rule.actions),
        "resources": sorted(rule.resources),
        "when": _clauses(rule.when),
        "unless": _clauses(rule.unless),
        "category": rule.category and rule.category.value,
        "disposition": rule.disposition and rule.disposition.value,
        "description": rule.description,
        "messages": {audience.value: texts for audience, texts in rule.messages.items()},
        "obligations": sorted(map(_fields, rule.obligations), key=lambda item: str(item["id"])),
        "narrows": sorted(map(_fields, rule.narrows), key=lambda item: str(item["argument"])),
        "grant_seconds": rule.grant_seconds,
        "alternatives": [_fields(item) for item in rule.alternatives],
        "panel": None if rule.panel is None else _panel(rule.panel),
        "owner": rule.owner,
        "tags": sorted(rule.tags),
        "controls": {name: sorted(clauses) for name, clauses in rule.controls.items()},
    }
    if rule.stands_for:
        form["stands_for"] = rule.stands_for
    return canonical.encode(form)


def of_bytes(form: bytes) -> str:
    """`sha256:` and the hex digest of canonical bytes."""
    return "sha256:" + hashlib.sha256(form).hexdigest()


def of_set(documents: Documents) -> str:
    """The policy version."""
    return of_forms(documents, [rule_form(rule) for rule in sorted(documents.rules, key=lambda rule: rule.id)])


def of_forms(documents: Documents, forms: list[bytes]) -> str:
    """The policy version, given the forms of the rules in the order of their ids."""
    # The members stand in the order of RFC 8785 already, so each is encoded only once.
    desk = b',"desk":' + canonical.encode(_told(documents.desk)) if documents.desk != NO_DESK else b""
    parts = (
        b'{"demur":%d' % FORMAT,
        desk,
        b',"locale":',
        canonical.encode(documents.locale),
        b',"namespaces":',
        canonical.encode(_namespaces(documents.namespaces)),
        b',"rules":[',
        b",".join(forms),
        b'],"schema":',
        canonical.encode(_schema(documents.schema)),
        b"}",
    )
    return of_bytes(b"".join(parts))


def _clauses(clauses: tuple[Clause, ...]) -> list[dict[str, object]]:
    forms: list[dict[str, object]] = []
    for clause in clauses:
        if isinstance(clause, AnyOf):
            members = _clauses(clause.conditions)
            forms.append({"name": clause.name, "any": members, "explain": clause.explanation})
        else:
            forms.append({"name": clause.name, "expr": clause.expr, "explain": clause.explanation})
    # A rule does not depend on the order of its conditions, so its digest does not either.
    return sorted(forms, key=lambda form: str(form["name"]))


def _namespaces(namespaces: Mapping[str, Namespace]) -> dict[str, object]:
    return {name: sorted(namespace.owns) for name, namespace in namespaces.items()}


def _schema(schema: Schema) -> dict[str, object]:
    return {
        "facts": {path: _fact(fact) for path, fact in schema.facts.items()},
        "actions": {
            name: {
                "description": action.description,
                "arguments": {fact.path: _fact(fact) for fact in action.arguments},
                "resource_types": sorted(action.resource_types),
                "namespace": action.namespace,
                # Named only where declared, so that sets without it keep their digest.
                **({"same_as": action.same_as} if action.same_as else {}),
            }
            for name, action in schema.actions.items()
        },
        "sources": {name: _fields(source) for name, source in schema.sources.items()},
        "usage": {path: _counter(counter) for path, counter in schema.counters.items()},
        "zone": schema.zone,
        **({"repeats": schema.repeats} if schema.repeats else {}),
    }


def _fact(fact: Fact) -> dict[str, object]:
    form = _fields(fact)
    form["type"] = str(fact.type)
    form["visible"] = {audience.value: shown.value for audience, shown in fact.visible.items()}
    for key in ("change", "obtain", "awaits", "detect"):
        inner = getattr(fact, key)
        form[key] = None if inner is None else _fields(inner)
    return form


def _counter(counter: Counter) -> dict[str, object]:
    form = _fields(counter)
    form["actions"] = sorted(counter.actions)
    form["window"] = _fields(counter.window)
    return form


_ALWAYS = frozenset({"role", "quorum", "seconds", "risk"})


def _panel(panel: Panel) -> dict[str, object]:
    """Beside what every panel says only what is declared, so that rules without it keep their digest."""
    fields = {name: _told(value) for name, value in _fields(panel).items()}
    return {name: value for name, value in fields.items() if name in _ALWAYS or value not in ("", None, [])}


def _told(value: object) -> object:
    """What is declared, as JSON: a condition counts as text, an instant as RFC 3339 writes it."""
    match value:
        case Timestamp():
            return str(value)
        case msgspec.Struct():
            return {name: _told(item) for name, item in _fields(value).items() if name != "node"}
        case dict():
            return {str(name): _told(item) for name, item in value.items()}
        case list() | tuple():
            return [_told(item) for item in value]
        case _:
            return value


def _fields(value: msgspec.Struct) -> dict[str, object]:
    return msgspec.structs.asdict(value)
