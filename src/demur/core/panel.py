"""Who decides a review: what its rules ask for, who people are, what they said, and when that is enough.

- Each rule asks for a quorum of distinct people with its role. One denial denies (S7.1).
- A person has one verdict on a review, whether they gave it or somebody gave it in their place (S7.2).

Clauses: S7.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.terms import Timestamp
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


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


class Panel(msgspec.Struct, frozen=True):
    """What one review rule asks for: `quorum` distinct people with `role`. `rule` and `digest` name the rule.

    `group`, `language` and `rota` say among whom the desk looks for those people.
    """

    rule: str
    digest: str
    role: str
    quorum: int
    group: str = ""
    language: str = ""
    rota: str = ""


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
    is_met = all(sum(panel.role in ruling.roles for ruling in rulings) >= panel.quorum for panel in panels)
    return Verdict.APPROVE if is_met else None


def check_role(panels: Sequence[Panel], roles: Collection[str], name: str) -> None:
    """Raises `RulingError` where none of the panels asks for one of these roles."""
    if not any(panel.role in roles for panel in panels):
        needed = ", ".join(sorted({f"`{panel.role}`" for panel in panels}))
        message = f"expected a reviewer with the role {needed}, found `{name}` without it"
        raise RulingError(message)


def check_fresh(rulings: Sequence[Ruling], people: frozenset[str], name: str) -> None:
    """A quorum takes distinct people: raises `RulingError` where one of them, by pseudonym, has a verdict already."""
    if any(not people.isdisjoint(earlier.people) for earlier in rulings):
        message = f"{name} has ruled on this review already, or somebody did in their place"
        raise RulingError(message, hint="a quorum takes distinct people")
