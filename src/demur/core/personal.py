"""Which values of a decision are about a person, and what stands in their place where they are not shown.

- Personal are the ids of subject and actor, the session, what the schema declares `personal`, and every claim that it
  does not declare: what nobody described is taken to be about somebody.
- Secret values were never kept (S1.5); there is nothing to show, to anybody.
- A resource is shown by its id, unless it is the subject or the actor itself.
- A masked document holds no personal value: neither in its place nor repeated in a sentence.

Clauses: S1.5, S5.5, S10.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from demur.core.schema import argument_path
from demur.core.terms import Missing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demur.core.resolution import Learned
    from demur.core.schema import Fact, Schema
    from demur.core.terms import Entity, Request, Value

MASK = "•••"
"""What stands where a personal value would."""
_ALWAYS = frozenset({"subject.id", "actor.id", "session.id"})
_OPEN = frozenset({"subject.type", "actor.type", "resource.type", "action.name", "caller.id", "time.now"})
_OPEN_ROOTS = ("model.", "usage.")
_MIN_REPEATED = 3
"""Characters of a number that is looked for in sentences; shorter ones stand everywhere."""


class Protection(StrEnum):
    """How a value is kept from being seen: not at all, until somebody reveals it, or for ever."""

    NONE = "none"
    PERSONAL = "personal"
    SECRET = "secret"  # noqa: S105  (a word of the schema)


def protection(path: str, request: Request, schema: Schema) -> Protection:
    """How the value at this path of a request or its facts is protected."""
    if path in _ALWAYS:
        return Protection.PERSONAL
    if path == "resource.id":
        own = {request.subject.name, request.actor.name}
        return Protection.PERSONAL if request.resource.name in own else Protection.NONE
    fact = _declared(path, request, schema)
    if fact is not None:
        if fact.secret:
            return Protection.SECRET
        return Protection.PERSONAL if fact.personal else Protection.NONE
    is_open = path in _OPEN or path in schema.counters or path.startswith(_OPEN_ROOTS)
    return Protection.NONE if is_open else Protection.PERSONAL


def values(request: Request, learned: Mapping[str, Learned]) -> dict[str, Value]:
    """Everything that is known of a decision, by path: what was asked with all claims, and what sources said."""
    found: dict[str, Value] = {
        "action.name": request.action,
        **{argument_path(name): value for name, value in request.arguments.items()},
        **_entity("subject", request.subject),
        **_entity("actor", request.actor),
        **_entity("resource", request.resource),
        **{f"context.{name}": value for name, value in request.context.items()},
        **({"session.id": request.session} if request.session else {}),
    }
    return found | {path: item.state for path, item in learned.items() if not isinstance(item.state, Missing)}


def masked(document: object, request: Request, schema: Schema, learned: Mapping[str, Learned]) -> object:
    """A document about this decision, such as its refusal as JSON, without any personal value of it."""
    known = values(request, learned)
    hidden = {path: known[path] for path in known if protection(path, request, schema) is not Protection.NONE}
    names = {path.rpartition(".")[2] for path in hidden if path.startswith("action.")}
    texts = {text for value in hidden.values() for text in _texts(value)}
    return _without(document, frozenset({*hidden, *names}), _pattern(texts))


def _entity(root: str, entity: Entity) -> dict[str, Value]:
    own = {f"{root}.type": entity.type, f"{root}.id": entity.id}
    # A claim that is called as a part of the entity stands beside it, never in its place.
    named = {name: f"{root}.{name}" for name in entity.properties}
    claims = {
        path if path not in own else f"{root}.properties.{name}": entity.properties[name]
        for name, path in named.items()
    }
    return own | claims


def _declared(path: str, request: Request, schema: Schema) -> Fact | None:
    action = schema.actions.get(request.action)
    arguments = {fact.path: fact for fact in action.arguments} if action else {}
    return arguments.get(path) or schema.facts.get(path)


def _texts(value: object) -> set[str]:
    """The texts that would tell this value."""
    if isinstance(value, str):
        return {value} if value.strip() else set()
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, (int, float)):
        text = str(value)
        return {text} if len(text) >= _MIN_REPEATED else set()
    if isinstance(value, dict):
        return {text for item in value.values() for text in _texts(item)}
    if isinstance(value, (list, tuple)):
        return {text for item in value for text in _texts(item)}
    return {str(value)}


def _pattern(texts: Collection[str]) -> re.Pattern[str] | None:
    if not texts:
        return None
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(rf"(?<!\w){re.escape(text)}(?!\w)" for text in longest_first))


def _without(document: object, hidden: frozenset[str], pattern: re.Pattern[str] | None) -> object:
    if isinstance(document, str):
        return pattern.sub(MASK, document) if pattern else document
    if isinstance(document, dict):
        return {name: MASK if name in hidden else _without(item, hidden, pattern) for name, item in document.items()}
    if isinstance(document, (list, tuple)):
        return [_without(item, hidden, pattern) for item in document]
    if isinstance(document, (int, float)) and not isinstance(document, bool):
        return MASK if pattern and pattern.fullmatch(str(document)) else document
    return document
