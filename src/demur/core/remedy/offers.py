"""What is offered after a "no": repairs and other actions, each with the outcome that it was judged to lead to.

- A repair sets facts: some the requester changes, some others bring about, some come about by themselves.
- What an audience may see of a number is settled where the number is found: the fact's own mark, and the marks of the
  facts that it is measured against. Beyond that it gets the direction, or nothing (S9.4).
- A repair that hangs on a rule about something confidential is not shown below operator, whatever its values are.

Clauses: S2.3, S9, S10; names: wire.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.remedy.chart import Kind
from demur.core.schema import Visibility
from demur.core.terms import Audience, Outcome, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

_TRUSTED = frozenset({Audience.OPERATOR, Audience.AUDITOR})


class Direction(StrEnum):
    """Which way a fact must go."""

    LOWER = "lower"
    HIGHER = "higher"
    OTHER = "other"


class NoRemedy(StrEnum):
    """Why nothing is offered."""

    ALLOWED = "allowed"
    """There is nothing to remedy."""
    CATEGORICAL = "categorical"
    """Never, whatever is changed (S9.3)."""
    NEVER_RETRY = "never_retry"
    """The policy advises against any further attempt."""
    NOTHING_TO_CHANGE = "nothing_to_change"
    """Nothing that stands in the way may be changed, obtained or awaited."""
    NONE_FOUND = "none_found"
    """No change within the limits of S9.1 leads to a better outcome."""
    LIMIT_REACHED = "limit_reached"
    """The limit of re-judgements ended the search."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of a repair. `value` is what JSON says of it; none where it must not be there, or where any will do."""

    kind: Kind
    path: str
    value: object = None
    is_left_out: bool = False
    is_any: bool = False
    other_than: tuple[str, ...] = ()
    """Where any value does, the texts that do not."""
    direction: Direction = Direction.OTHER
    how: str = ""
    by: str = ""
    event: str = ""
    visible: dict[Audience, Visibility] = {}
    """How much of the value each audience may see, for those that may not see it all."""


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that must be different together. `earliest` is the instant at which an awaited state was judged (S9.2)."""

    parts: tuple[Part, ...]
    leads_to: Outcome
    cost: float
    as_of: Timestamp
    earliest: Timestamp | None = None
    is_confidential: bool = False

    @property
    def kind(self) -> Kind:
        """The hardest of its parts."""
        kinds = {part.kind for part in self.parts}
        return next(kind for kind in (Kind.AWAIT, Kind.OBTAIN, Kind.CHANGE) if kind in kinds)

    def to_dict(self, audience: Audience) -> dict[str, object] | None:
        """The repair for this audience; `None` where it may not know of it."""
        levels = [part.visible.get(audience, Visibility.SHOW) for part in self.parts]
        if audience not in _TRUSTED and (self.is_confidential or Visibility.HIDE in levels):
            return None
        shown: dict[str, object] = {"kind": self.kind.value}
        open_parts = [part for part, level in zip(self.parts, levels, strict=True) if level is Visibility.SHOW]
        changed = [part for part in self.parts if part.kind is Kind.CHANGE]
        stated = [part for part in changed if part in open_parts and not (part.is_left_out or part.is_any)]
        if stated:
            shown["set"] = {part.path: part.value for part in stated}
        if supplied := [part.path for part in changed if part in open_parts and part.is_any]:
            shown["supply"] = supplied
        if avoided := {part.path: list(part.other_than) for part in changed if part in open_parts and part.other_than}:
            shown["other_than"] = avoided
        if left_out := [part.path for part in changed if part in open_parts and part.is_left_out]:
            shown["leave_out"] = left_out
        shown["direction"] = {part.path: part.direction.value for part in self.parts}
        shown |= _asked_of_others(self.parts, open_parts)
        if self.earliest is not None and len(open_parts) == len(self.parts):
            shown["earliest"] = str(self.earliest)
        if self.kind is Kind.AWAIT:
            shown["other_facts"] = "unchanged"
        return shown | {"leads_to": self.leads_to.value, "cost": self.cost, "as_of": str(self.as_of)}


class OtherAction(msgspec.Struct, frozen=True, kw_only=True):
    """An action that the policy offers instead, with its arguments as JSON, as judged."""

    action: str
    arguments: dict[str, object] = {}
    leads_to: Outcome
    as_of: Timestamp
    explanation: str = ""
    is_confidential: bool = False

    def to_dict(self, audience: Audience) -> dict[str, object] | None:
        """The alternative for this audience; `None` where it may not know of it."""
        if self.is_confidential and audience not in _TRUSTED:
            return None
        shown: dict[str, object] = {"action": self.action, "leads_to": self.leads_to.value, "as_of": str(self.as_of)}
        if self.arguments:
            shown["arguments"] = dict(self.arguments)
        return shown | ({"explanation": self.explanation} if self.explanation else {})


class Remedies(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found for one refusal, cheapest first; `reason` says why there is nothing.

    `judgements` counts re-judgements, bounded by S9.1, and `probes` the looks at the rules that chose what to judge;
    neither is ever shown.
    """

    modifications: tuple[Repair, ...] = ()
    alternatives: tuple[OtherAction, ...] = ()
    awaits: tuple[Repair, ...] = ()
    obtains: tuple[Repair, ...] = ()
    review_available: bool = False
    reason: NoRemedy | None = None
    judgements: int = 0
    probes: int = 0
    as_of: Timestamp

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """All repairs, cheapest first."""
        return tuple(sorted((*self.modifications, *self.obtains, *self.awaits), key=order))

    def to_dict(self, audience: Audience) -> dict[str, object]:
        """The members of `remediation` that are remedies, as this audience may see them."""
        repairs = [shown for item in self.repairs if (shown := item.to_dict(audience)) is not None]
        actions = [shown for item in self.alternatives if (shown := item.to_dict(audience)) is not None]
        reason: str | None = None
        if not repairs and not actions:
            # Below operator all reasons read alike: that something was withheld is itself withheld.
            known = self.reason or NoRemedy.NONE_FOUND
            reason = known.value if audience in _TRUSTED else NoRemedy.NONE_FOUND.value
        return {"reason": reason, "suggested_modifications": repairs, "compliant_alternatives": actions}


def order(repair: Repair) -> tuple[float, bool, int, tuple[str, ...], str]:
    """Smallest cost first, then what is allowed before what is deferred, then a stable order (S9.1)."""
    paths = tuple(part.path for part in repair.parts)
    return repair.cost, repair.leads_to is not Outcome.ALLOW, len(paths), paths, str(repair.earliest or "")


def _asked_of_others(parts: Iterable[Part], open_parts: list[Part]) -> dict[str, object]:
    """What somebody else brings about, and what comes about by itself."""
    shown: dict[str, object] = {}
    for kind in (Kind.OBTAIN, Kind.AWAIT):
        asked: list[dict[str, object]] = []
        for part in parts:
            if part.kind is kind:
                words = {"fact": part.path, "how": part.how, "by": part.by, "event": part.event}
                item: dict[str, object] = {name: text for name, text in words.items() if text}
                if part in open_parts and part.value is not None:
                    item["value"] = part.value
                asked.append(item)
        if asked:
            shown[kind.value] = asked
    return shown
