"""Rules and declarations as text, and the differences between two versions of policies, rule by rule."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import msgspec

from demur.core.policy.document import AnyOf, Condition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.policy.document import Clause, Documents, Rule
    from demur.core.schema import Schema

_APART = frozenset({"id", "when", "unless", "digest", "file", "line", "effect", "actions", "description"})
CONTEXT = 2


class Line(msgspec.Struct, frozen=True):
    """One line of a difference: `same`, `gone` or `added`."""

    kind: str
    text: str


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One rule or declaration: `added`, `removed` or `changed`, with its lines."""

    name: str
    kind: str
    lines: tuple[Line, ...]


def text_of(rule: Rule) -> list[str]:
    """A rule as lines, in the order of the documents; what is not said there is left out."""
    lines = [f"effect: {rule.effect.value}", f"actions: {', '.join(rule.actions)}"]
    if rule.description:
        lines.append(f"description: {rule.description}")
    for name, clauses in (("when", rule.when), ("unless", rule.unless)):
        if clauses:
            lines.append(f"{name}:")
            lines += [line for clause in clauses for line in _clause(clause)]
    return lines + _others(rule)


def differences(old: Documents, new: Documents) -> list[Changed]:
    """What a change of policies changes, by name: rules first, then declarations."""
    rules = _compared({one.id: text_of(one) for one in old.rules}, {one.id: text_of(one) for one in new.rules})
    return rules + _compared(_declarations(old.schema), _declarations(new.schema))


def _clause(clause: Clause) -> list[str]:
    match clause:
        case Condition():
            return _condition(clause, "  ")
        case AnyOf():
            head = f"  - any of ({clause.name})" if clause.name else "  - any of"
            return [head, *(line for one in clause.conditions for line in _condition(one, "      "))]


def _condition(one: Condition, indent: str) -> list[str]:
    told = [f"{indent}- {one.name}: {one.expr}"]
    return told + ([f"{indent}    {one.explanation}"] if one.explanation else [])


def _others(rule: Rule) -> list[str]:
    found = []
    for field in msgspec.structs.fields(rule):
        value = getattr(rule, field.name)
        if field.name not in _APART and value and value != field.default:
            found.append(f"{field.name}: {_plain(value)}")
    return [line for line in found if line != "resources: *"]


def _plain(value: object) -> str:
    return _shown(msgspec.to_builtins(value, str_keys=True, enc_hook=str))


def _shown(value: object) -> str:
    """A value on one line, without what is empty in it: that is what nobody wrote."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items() if item or item is False)
    if isinstance(value, list):
        return "; ".join(map(_shown, value))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _declarations(schema: Schema) -> dict[str, list[str]]:
    groups: Mapping[str, Mapping[str, object]] = {
        "fact": schema.facts,
        "action": schema.actions,
        "source": schema.sources,
        "usage": schema.counters,
    }
    return {f"{kind} {name}": _declared(item) for kind, known in groups.items() for name, item in known.items()}


def _declared(item: object) -> list[str]:
    assert isinstance(item, msgspec.Struct)
    fields = [(field.name, getattr(item, field.name), field.default) for field in msgspec.structs.fields(item)]
    return [f"{name}: {_plain(value)}" for name, value, default in fields if value and value != default]


def _compared(old: Mapping[str, list[str]], new: Mapping[str, list[str]]) -> list[Changed]:
    found = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        kind = "added" if before is None else "removed" if after is None else "changed"
        found.append(Changed(name=name, kind=kind, lines=_lines(before or [], after or [])))
    return found


def _lines(before: Sequence[str], after: Sequence[str]) -> tuple[Line, ...]:
    kinds = {"-": "gone", "+": "added", " ": "same"}
    told = difflib.ndiff(before, after)
    return tuple(Line(kinds[line[0]], line[2:]) for line in told if line[0] in kinds)
