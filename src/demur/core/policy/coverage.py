"""Which rules cover an action on a type of resource.

- A permit or review covers an action only where its namespace owns it; a forbid covers whatever it names, so an outer
  forbid binds inner namespaces and cannot be weakened (S3.6).
- Names that no rule and no schema mentions (a hostile caller can invent any number) never become keys of a cache: they
  share one group, the rules with patterns, and are compared with each pattern afresh.

Clauses: S3.1, S3.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.policy.patterns import ANY, is_pattern, matches
from demur.core.terms import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from demur.core.policy.document import Documents, Rule


class Names:
    """Name -> the rules, as bits, that cover it."""

    def __init__(self, patterns: Sequence[Iterable[str]], known: Iterable[str]) -> None:
        """`patterns[i]` are those of rule `i`; `known` are the declared names."""
        exact: dict[str, int] = {}
        wild: dict[str, int] = {}
        for index, texts in enumerate(patterns):
            for text in texts:
                side = wild if is_pattern(text) else exact
                side[text] = side.get(text, 0) | 1 << index
        self._exact = exact
        self._everything = wild.pop(ANY, 0)
        self._wild = tuple(wild.items())
        self.known = frozenset(known) | frozenset(exact)
        self.foreign = self._everything
        """The rules that can cover a name which is not known."""
        for mask in wild.values():
            self.foreign |= mask

    def covering(self, name: str) -> int:
        """The rules whose patterns `name` fits."""
        mask = self._everything | self._exact.get(name, 0)
        for pattern, rules in self._wild:
            if rules & ~mask and matches(pattern, name):
                mask |= rules
        return mask


class Coverage:
    """Action and resource type -> the rules, as bits in the order of their ids, that cover them."""

    def __init__(self, documents: Documents, rules: Sequence[Rule]) -> None:
        schema = documents.schema
        types = {kind for action in schema.actions.values() for kind in action.resource_types}
        self.actions = Names([rule.actions for rule in rules], schema.actions)
        self.types = Names([rule.resources for rule in rules], types)
        self._owners = tuple(_owners(documents, rules).items())

    def covering(self, action: str, resource_type: str) -> int:
        """The rules that cover this action on this type of resource."""
        mask = self.actions.covering(action) & self.types.covering(resource_type)
        for owned, rules in self._owners:
            if mask & rules and not any(matches(pattern, action) for pattern in owned):
                mask &= ~rules
        return mask


def _owners(documents: Documents, rules: Sequence[Rule]) -> Mapping[tuple[str, ...], int]:
    """What namespaces own -> their permits and reviews; those that own everything are left out."""
    owners: dict[tuple[str, ...], int] = {}
    for index, rule in enumerate(rules):
        namespace = documents.namespaces.get(rule.namespace)
        if rule.effect is Effect.FORBID or namespace is None or ANY in namespace.owns:
            continue
        owners[namespace.owns] = owners.get(namespace.owns, 0) | 1 << index
    return owners
