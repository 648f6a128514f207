"""Do compiled policies still say what their digest says? For those who judge old decisions again.

The digest covers the text of conditions and the declarations; the checked nodes and the slots follow from them. Bytes
that were kept for years may have been altered in what no digest covers, so both are derived anew and compared.

Clauses: S3.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel.check import check
from demur.core.policy import digest, layout
from demur.core.policy.needs import conditions
from demur.core.schema import Kind, Type
from demur.errors import ConditionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.policy.document import Documents, Rule

_BOOL = Type(Kind.BOOL)


def altered(documents: Documents, is_zone: Callable[[str], bool]) -> tuple[str, ...]:
    """What is not as it was when the set was loaded: `digest`, `slots`, ids of rules; empty where all is well."""
    schema = documents.schema
    found: list[str] = []
    if digest.of_set(documents) != documents.digest:
        found.append("digest")
    if schema.slots != layout.slots(schema.facts.values(), schema.counters.values(), schema.actions.values()):
        return (*found, "slots")
    views = layout.Views(schema, is_zone)
    return (*found, *(rule.id for rule in documents.rules if not _is_sound(rule, views)))


def _is_sound(rule: Rule, views: layout.Views) -> bool:
    if digest.of_bytes(digest.rule_form(rule)) != rule.digest:
        return False
    scope = views.of(rule.actions).scope
    try:
        return all(check(item.expr, scope, _BOOL).node == item.node for item in conditions(rule))
    except ConditionError:
        return False
