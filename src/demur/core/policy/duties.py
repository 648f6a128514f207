"""What a grant is tied to: obligations, narrowed arguments and how long it lives, combined over several rules.

- Obligations are a union; equal ones (type and properties) count once (S3.5).
- Two rules contradict each other when both oblige to one type with different properties, or when what they leave of
  one argument is empty. Several obligations of one type within one rule are no contradiction: its author wrote both.
- Of several limits of one argument the narrowest holds; of several validities, the shortest.

Clauses: S3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import canonical
from demur.core.policy.document import Narrowing, Obligation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from demur.core.policy.document import Rule


class Contradiction(msgspec.Struct, frozen=True):
    """Rules that cannot all be kept: `about` is an obligation type or, as `action.<name>`, an argument."""

    about: str
    rules: tuple[str, ...]


class Duties(msgspec.Struct, frozen=True):
    """The combined ties of a grant. `grant_seconds` is `None` where no rule sets it."""

    obligations: tuple[Obligation, ...] = ()
    narrows: tuple[Narrowing, ...] = ()
    grant_seconds: int | None = None
    contradictions: tuple[Contradiction, ...] = ()


NONE = Duties()


def has_duties(rule: Rule) -> bool:
    """Whether the rule ties a grant in any way."""
    return bool(rule.obligations or rule.narrows or rule.grant_seconds is not None)


def combine(rules: Sequence[Rule]) -> Duties:
    """The duties of all `rules` together, which are in the order of their ids."""
    by_argument: dict[str, list[tuple[str, Narrowing]]] = {}
    for rule in rules:
        for narrowing in rule.narrows:
            by_argument.setdefault(narrowing.argument, []).append((rule.id, narrowing))
    narrows, contradictions = [], _contradicting_types(rules)
    for argument, entries in sorted(by_argument.items()):
        narrowed = narrowest(argument, [narrowing for _, narrowing in entries])
        if narrowed is None:
            ids = tuple(dict.fromkeys(rule_id for rule_id, _ in entries))
            contradictions.append(Contradiction(f"action.{argument}", ids))
        else:
            narrows.append(narrowed)
    seconds = [rule.grant_seconds for rule in rules if rule.grant_seconds is not None]
    return Duties(union(rules), tuple(narrows), min(seconds, default=None), tuple(contradictions))


def union(rules: Iterable[Rule]) -> tuple[Obligation, ...]:
    """The obligations of `rules`, equal ones once, in the order of the rules."""
    kept: dict[bytes, Obligation] = {}
    for rule in rules:
        for obligation in rule.obligations:
            kept.setdefault(_form(obligation), obligation)
    return tuple(kept.values())


def beyond(rules: Iterable[Rule], understands: Collection[str]) -> tuple[str, ...]:
    """The obligation types of `rules` that are not understood, sorted (S6.4)."""
    return tuple(sorted({item.type for rule in rules for item in rule.obligations if item.type not in understands}))


def narrowest(argument: str, parts: Sequence[Narrowing]) -> Narrowing | None:
    """The parts in one, or `None` where no value is left."""
    at_most = min((part.at_most for part in parts if part.at_most is not None), default=None)
    at_least = max((part.at_least for part in parts if part.at_least is not None), default=None)
    fixed = {canonical.encode(part.set): part.set for part in parts if part.set is not None}
    if len(fixed) > 1 or (at_most is not None and at_least is not None and at_least > at_most):
        return None
    if not fixed:
        return Narrowing(argument=argument, at_most=at_most, at_least=at_least)
    (value,) = fixed.values()
    if at_most is not None or at_least is not None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if (at_most is not None and value > at_most) or (at_least is not None and value < at_least):
            return None
    return Narrowing(argument=argument, set=value)


def _form(obligation: Obligation) -> bytes:
    return canonical.encode({"type": obligation.type, "properties": obligation.properties})


def _contradicting_types(rules: Sequence[Rule]) -> list[Contradiction]:
    demands: dict[str, dict[str, set[bytes]]] = {}
    for rule in rules:
        for obligation in rule.obligations:
            demands.setdefault(obligation.type, {}).setdefault(rule.id, set()).add(_form(obligation))
    return [
        Contradiction(type_, tuple(by_rule))
        for type_, by_rule in sorted(demands.items())
        if len({frozenset(forms) for forms in by_rule.values()}) > 1
    ]
