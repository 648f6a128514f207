"""To whom a review goes: who may decide it, and which of them the desk asks first.

- A panel's role and group are requirements: whoever lacks one may not decide. Its language and its rota are
  preferences: they say who is asked first, and nobody is kept from deciding by them.
- Nobody who asked for the action or is acted for decides it (S7.2), nor anybody who has ruled already.
- Of those left, those on duty come first, then those who speak the language, then whoever holds the fewest reviews;
  equals are told apart by a digest of review and name, so that the same people are not always first, and the same
  question has the same answer everywhere.

Clauses: S7.1, S7.2.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Colleague(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may be asked. `load` is how many reviews they hold."""

    name: str
    roles: frozenset[str]
    groups: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    load: int = 0


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What one panel asks for. `on_duty` are the names of its rota, `None` where it names none."""

    role: str
    group: str = ""
    language: str = ""
    on_duty: frozenset[str] | None = None


def may_decide(person: Colleague, ask: Ask) -> bool:
    """Whether somebody has the role and the group that a panel requires."""
    return ask.role in person.roles and (not ask.group or ask.group in person.groups)


def speaks(languages: Collection[str], wanted: str) -> bool:
    """Whether one of these language tags serves for another: `pt` serves for `pt-BR`, and letters' case is one."""
    tag = wanted.lower()
    return any(tag == known.lower() or tag.startswith(known.lower() + "-") for known in languages)


def pick(
    review_id: str, asks: Iterable[Ask], people: Iterable[Colleague], *, barred: Collection[str] = ()
) -> Colleague | None:
    """Whom the desk asks; `None` where nobody may decide. `barred` are names with a conflict, or with a ruling."""
    wanted = tuple(asks)
    best: tuple[tuple[bool, bool, int, bytes, str], Colleague] | None = None
    for person in people:
        if person.name in barred:
            continue
        fitting = [ask for ask in wanted if may_decide(person, ask)]
        if not fitting:
            continue
        order = min(_order(review_id, ask, person) for ask in fitting)
        if best is None or order < best[0]:
            best = order, person
    return best[1] if best else None


def _order(review_id: str, ask: Ask, person: Colleague) -> tuple[bool, bool, int, bytes, str]:
    is_away = ask.on_duty is not None and person.name not in ask.on_duty
    is_foreign = bool(ask.language) and not speaks(person.languages, ask.language)
    tie = hashlib.sha256(f"{review_id}\0{person.name}".encode()).digest()
    return is_away, is_foreign, person.load, tie, person.name
