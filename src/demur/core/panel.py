"""Who decides a review: what its rules ask for, who people are, what they said, and when that is enough.

- Each rule asks for a quorum of distinct people with its role. One denial denies (S7.1).
- A person has one verdict on a review, whether they gave it or somebody gave it in their place (S7.2).

Clauses: S7.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.policy.document import Escalation
from demur.core.terms import Timestamp
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def member_of(group: str) -> str:
    """Belonging to a group, as one of the roles that somebody holds, lends and rules with."""
    return f"@{group}"


class Verdict(StrEnum):
    """What a reviewer says."""

    APPROVE = "approve"
    REJECT = "reject"


class Reviewer(msgspec.Struct, frozen=True):
    """A person who proved by a credential who they are, with the roles they hold.

    `may_reveal` says whether they may see personal values of decisions, each time for a reason that is recorded.
    """

    name: str
    roles: frozenset[str]
    may_reveal: bool = False


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """As whom somebody rules: in their own right, or in the place of `lender`, with the roles that go with that."""

    name: str
    pseudonym: str
    roles: frozenset[str]
    lender: str = ""
    lender_pseudonym: str = ""

    @property
    def people(self) -> frozenset[str]:
        """Everybody, by pseudonym, whose one verdict it would be."""
        return frozenset({self.pseudonym, self.lender_pseudonym} - {""})

    @property
    def names(self) -> tuple[str, ...]:
        """The same people by name."""
        return tuple(name for name in (self.name, self.lender) if name)


class Panel(msgspec.Struct, frozen=True):
    """What one review rule asks for: `quorum` distinct people with `role`. `rule` and `digest` name the rule.

    Whoever decides belongs to `group`, where one is named. `language` and `rota` say whom the desk asks first, and
    `levels` who decides instead as time runs.
    """

    rule: str
    digest: str
    role: str
    quorum: int
    group: str = ""
    language: str = ""
    rota: str = ""
    levels: tuple[Escalation, ...] = ()

    def admits(self, roles: Collection[str]) -> bool:
        """Whether somebody with these roles, groups among them, is of those whom the rule asks for."""
        return self.role in roles and (not self.group or member_of(self.group) in roles)

    def to_dict(self) -> dict[str, object]:
        """An item of `needed` of a review request."""
        named = {"group": self.group, "language": self.language, "rota": self.rota}
        told = {name: text for name, text in named.items() if text}
        return {"role": self.role, "quorum": self.quorum, "policy": self.rule, **told}


class Ruling(msgspec.Struct, frozen=True):
    """One verdict as kept: the reviewer's pseudonym and roles; the reason lies in the vault of record `sequence`.

    `on_behalf` is the pseudonym of whoever lent the reviewer the roles, "" where they are the reviewer's own.
    """

    reviewer: str
    roles: tuple[str, ...]
    verdict: Verdict
    at: Timestamp
    sequence: int = 0
    on_behalf: str = ""

    @property
    def people(self) -> frozenset[str]:
        """Everybody whose one verdict on the review this is."""
        return frozenset({self.reviewer, self.on_behalf} - {""})


def outcome(panels: Sequence[Panel], rulings: Sequence[Ruling]) -> Verdict | None:
    """What the verdicts come to: a denial, the approval of every panel, or `None` while people are missing."""
    if any(ruling.verdict is Verdict.REJECT for ruling in rulings):
        return Verdict.REJECT
    is_met = all(sum(panel.admits(ruling.roles) for ruling in rulings) >= panel.quorum for panel in panels)
    return Verdict.APPROVE if is_met else None


def check(panels: Sequence[Panel], rulings: Sequence[Ruling], who: Authority, barred: Collection[str]) -> None:
    """Raises `RulingError` where whoever this is may have no verdict, whatever it would be.

    `barred` are the names that a conflict of interest excludes: the requester and everybody acted for (S7.2).
    """
    for name in who.names:
        if name in barred:
            message = f"`{name}` asked for this action or is acted for, so somebody else must decide"
            raise RulingError(message)
    if not any(panel.admits(who.roles) for panel in panels):
        needed = ", ".join(sorted({_needed(panel) for panel in panels}))
        message = f"expected a reviewer with the role {needed}, found `{who.name}` without it"
        raise RulingError(message)
    given = frozenset().union(*(earlier.people for earlier in rulings))
    for name, pseudonym in ((who.name, who.pseudonym), (who.lender, who.lender_pseudonym)):
        if pseudonym in given:
            message = f"`{name}` has ruled on this review already, or somebody did in their place"
            raise RulingError(message, hint="a quorum takes distinct people")


def _needed(panel: Panel) -> str:
    return f"`{panel.role}` in the group `{panel.group}`" if panel.group else f"`{panel.role}`"
