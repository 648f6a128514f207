"""Do compiled policies still say what their digest says? For those who judge old decisions again.

The digest covers the text of conditions and the declarations; the checked nodes and the slots follow from them. Bytes
that were kept for years may have been altered in what no digest covers, so both are derived anew and compared.

Clauses: S3.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel.check import check
from demur.core.policy import digest, layout
from demur.core.policy.desk import slots as desk_slots
from demur.core.policy.needs import conditions, marks
from demur.core.schema import DESK, Kind, Type
from demur.errors import ConditionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.desk.plan import Mark
    from demur.core.policy.document import Condition, Documents, Rule

_BOOL = Type(Kind.BOOL)


def altered(documents: Documents, is_zone: Callable[[str], bool]) -> tuple[str, ...]:
    """What is not as when the set was loaded: `digest`, `slots`, ids of rules, `desk`; empty where all is well."""
    schema = documents.schema
    found: list[str] = []
    if digest.of_set(documents) != documents.digest:
        found.append("digest")
    more = desk_slots(documents.desk)
    if schema.slots != layout.slots(schema.facts.values(), schema.counters.values(), schema.actions.values(), more):
        return (*found, "slots")
    views = layout.Views(schema, is_zone)
    found += [rule.id for rule in documents.rules if not _is_sound(rule, views)]
    return (*found, *(DESK for mark in marks(documents.desk.risk) if not _is_checked(mark, views)))


def _is_sound(rule: Rule, views: layout.Views) -> bool:
    if digest.of_bytes(digest.rule_form(rule)) != rule.digest:
        return False
    return all(_is_same(item, views.of(rule.actions)) for item in conditions(rule))


def _is_checked(mark: Mark, views: layout.Views) -> bool:
    return _is_same(mark, views.of(mark.actions))


def _is_same(item: Condition | Mark, view: layout.View) -> bool:
    try:
        return check(item.expr, view.scope, _BOOL).node == item.node
    except ConditionError:
        return False
