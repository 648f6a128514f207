"""What a rule about something confidential stands for: the ordinary rule whose refusal it reads like.

- Only a forbid stands for another, and only where it reads a fact that is confidential.
- The other one is a forbid that reads nothing confidential, stands for none itself, has no any-of group (of which the
  members that hold would have to be made up), and covers whatever the first one covers.

Clauses: S2.3, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.policy import needs, patterns
from demur.core.policy.document import AnyOf
from demur.core.policy.reading import TOKEN, quoted
from demur.core.terms import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demur.core.policy.document import Rule
    from demur.core.policy.reading import Keys, Report
    from demur.core.schema import Schema

KEY = "stands_for"


def read_stand_in(keys: Keys, namespace: str) -> str:
    """The full id of the rule that this one stands for; a bare id is one of the same namespace."""
    text = keys.text(KEY)
    return f"{namespace}/{text}" if TOKEN.fullmatch(text) else text


def check_stand_ins(report: Report, written: Mapping[str, Keys], rules: Iterable[Rule], schema: Schema) -> None:
    """Note every rule that stands for one that it cannot stand for; `written` holds the rules as written, by id."""
    known = {rule.id: rule for rule in rules}
    for rule in known.values():
        if not rule.stands_for:
            continue
        keys, other = written[rule.id], known.get(rule.stands_for)
        if other is None:
            hint = report.guess(rule.stands_for, [name for name in known if name != rule.id])
            keys.note(KEY, f"expected the id of a rule for `{KEY}`, found `{rule.stands_for}`", hint)
        elif not reads_confidential(rule, schema):
            keys.note(KEY, f"expected `{KEY}` on a rule that reads a confidential fact, found it on another")
        elif found := _why_not(rule, other, schema):
            keys.note(KEY, f"expected an ordinary forbid that covers as much for `{KEY}`, found {found}")


def reads_confidential(rule: Rule, schema: Schema) -> bool:
    """Whether any condition of the rule reads a fact that is confidential."""
    paths = (schema.slots[slot].path for slot in needs.rule_slots(rule))
    return any(path in schema.facts and schema.facts[path].confidential for path in paths)


def _why_not(rule: Rule, other: Rule, schema: Schema) -> str:
    """What makes the other rule one that cannot be stood for; empty where nothing does."""
    if other.effect is not Effect.FORBID:
        return f"a {other.effect} rule"
    if other.id == rule.id or reads_confidential(other, schema):
        return "a rule that reads a confidential fact itself"
    if other.stands_for:
        return "a rule that stands for another itself"
    if any(isinstance(clause, AnyOf) for clause in (*other.when, *other.unless)):
        return "a rule with an any-of group"
    if any(item.type == "show_limit" for item in other.obligations):
        return "a rule that shows a limit"
    beyond = [*_beyond(rule.actions, other.actions), *_beyond(rule.resources, other.resources)]
    return f"a rule that does not cover {quoted(beyond[:5])}" if beyond else ""


def _beyond(inner: Iterable[str], outer: tuple[str, ...]) -> list[str]:
    return [name for name in inner if not any(patterns.includes(pattern, name) for pattern in outer)]
