"""Decision -> Duties: which obligations of a "no" are Demur's own to carry out, and what each needs.

- `notify`: tell a channel that the operator has configured; `log`: write a line at a level. Both after the answer.
- `show_limit`: show the requester a limit of their own, in the answer itself, to whom the fact says it may be shown.
- Whatever else a refusal or a deferral is tied to is told to subscribers. What a grant is tied to is its executor's
  to carry out, and none of it is Demur's (S6.4).

Clauses: S3.5, S10.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

from demur.core.schema import Visibility
from demur.core.terms import Audience, Missing, Outcome, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from demur.core.decision import Decision
    from demur.core.policy.document import Obligation, Rule
    from demur.core.schema import Fact


class Ours(StrEnum):
    """The types of obligations that Demur carries out itself, on refusals and deferrals."""

    NOTIFY = "notify"
    LOG = "log"
    SHOW_LIMIT = "show_limit"


class Level(StrEnum):
    """How urgent it is, as a policy may write it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Notify(msgspec.Struct, frozen=True):
    """Tell the channel of this name."""

    id: str
    channel: str
    level: Level


class Log(msgspec.Struct, frozen=True):
    """Write a line to the operational log."""

    id: str
    level: Level


Duty: TypeAlias = Union[Notify, Log]
"""What is done after the answer has left."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that a rule in the way obliges us to show. `audiences` are those that may see it."""

    duty: str
    fact: str
    value: object
    unit: str = ""
    audiences: tuple[Audience, ...] = ()


DEFAULT_CHANNEL = "default"
"""The channel of a `notify` that names none with `to`."""
_TRUSTED = (Audience.OPERATOR, Audience.AUDITOR)
_AFTERWARDS = frozenset({Ours.NOTIFY.value, Ours.LOG.value})


def read(obligation: Mapping[str, object]) -> Duty | None:
    """What this obligation of a refusal or deferral, as JSON, asks of us afterwards; `None` where nothing.

    An unknown level counts as `high`: to be noticed too much is the safer mistake.
    """
    id_, kind, properties = (obligation.get(name) for name in ("id", "type", "properties"))
    told = properties if isinstance(properties, dict) else {}
    written = told.get("level", Level.MEDIUM.value)
    level = Level(written) if written in Level.__members__.values() else Level.HIGH
    if kind == Ours.NOTIFY:
        channel = told.get("to", DEFAULT_CHANNEL)
        return Notify(str(id_), channel if isinstance(channel, str) else DEFAULT_CHANNEL, level)
    if kind == Ours.LOG:
        return Log(str(id_), level)
    return None


def has_afterwards(rules: Iterable[Rule]) -> bool:
    """Whether any of these rules can oblige us to something after an answer, so that somebody must listen."""
    return any(item.type in _AFTERWARDS for rule in rules for item in rule.obligations)


def limits(decision: Decision) -> tuple[Limit, ...]:
    """The limits that a refusal or deferral obliges us to show, with their values; never those of secret facts."""
    if decision.outcome is Outcome.ALLOW:
        return ()
    return tuple(
        limit for item in decision.obligations if item.type == Ours.SHOW_LIMIT for limit in _of(item, decision)
    )


def shown(obligation: Obligation, known: Iterable[Limit], audience: Audience) -> dict[str, object] | None:
    """The obligation for this audience, a `show_limit` with its values; `None` where the audience may see none."""
    plain: dict[str, object] = msgspec.to_builtins(obligation)
    if obligation.type != Ours.SHOW_LIMIT:
        return plain
    told = [_told(item) for item in known if item.duty == obligation.id and audience in item.audiences]
    return {**plain, "limits": told} if told or audience in _TRUSTED else None


def _of(obligation: Obligation, decision: Decision) -> Iterator[Limit]:
    policies = decision.policy_set
    asked = obligation.properties.get("fact")
    for path in asked if isinstance(asked, (list, tuple)) else [asked]:
        fact = policies.schema.facts.get(path) if isinstance(path, str) else None
        if fact is None or fact.secret:
            continue
        value = decision.facts.values[policies.slot(fact.path)]
        if not isinstance(value, Missing):
            plain = to_json(value)
            yield Limit(
                duty=obligation.id, fact=fact.path, value=plain, unit=fact.unit, audiences=tuple(_audiences(fact))
            )


def _audiences(fact: Fact) -> Iterator[Audience]:
    """Who may see the value: below operator only those whom the fact names with `show` (S10)."""
    yield from (Audience.OPERATOR, Audience.AUDITOR)
    if not fact.confidential:
        yield from (who for who in (Audience.END_USER, Audience.AGENT) if fact.visible.get(who) is Visibility.SHOW)


def _told(limit: Limit) -> dict[str, object]:
    said: dict[str, object] = {"fact": limit.fact, "value": limit.value}
    return said | ({"unit": limit.unit} if limit.unit else {})
