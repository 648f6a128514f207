"""Somebody rules in somebody else's place: review roles, lent to a named person for a while.

- A person lends roles that they hold themselves, never what was lent to them, and never an operator's levers.
- It ends by itself, at the latest after 90 days, or when either of the two or an operator ends it.
- Whoever rules in somebody's place has that person's conflicts of interest too, and of the two one verdict counts
  (S7.2). That is the review's to say.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import lever
from demur.core.terms import Timestamp
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_SECONDS = 90 * 86_400
"""How long roles may be lent."""
MAX_DELEGATIONS = 1_000
"""In force at a time, in one log."""


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """Roles that were lent, until `until`. Lender and delegate are pseudonyms; record `sequence` seals their names."""

    id: str
    lender: str
    delegate: str
    roles: tuple[str, ...]
    opened_at: Timestamp
    until: Timestamp
    sequence: int = 0

    def is_in_force(self, now: Timestamp) -> bool:
        """Whether it has not ended by itself."""
        return now < self.until


class Book(msgspec.Struct, frozen=True):
    """What is lent, the oldest first."""

    items: tuple[Delegation, ...] = ()

    def find(self, delegation_id: str) -> Delegation:
        """The one with this id; raises `RulingError` where there is none in the book."""
        found = next((one for one in self.items if one.id == delegation_id), None)
        if found is None:
            message = f"expected a delegation that is in force, found `{delegation_id[:64]}`"
            raise RulingError(message, hint="`demur review delegations` shows what is lent")
        return found

    def lent_to(self, delegate: str, now: Timestamp) -> tuple[Delegation, ...]:
        """What is lent to one person at an instant."""
        return tuple(one for one in self.items if one.delegate == delegate and one.is_in_force(now))

    def ended(self, now: Timestamp) -> tuple[Delegation, ...]:
        """What has ended by itself and still stands in the book."""
        return tuple(one for one in self.items if not one.is_in_force(now))


NONE = Book()


class Loan(msgspec.Struct, frozen=True, kw_only=True):
    """A delegation as it can be used: the lender by name and pseudonym, and the roles that the lender still holds."""

    delegation: str
    lender: str
    pseudonym: str
    roles: frozenset[str]


def lend(book: Book, wanted: Delegation, held: Collection[str]) -> Book:
    """The book with one more; raises `RulingError` where that may not be lent. `held` are the lender's own roles."""
    if wanted.lender == wanted.delegate:
        message = "expected somebody else to lend roles to, found the same person"
        raise RulingError(message)
    if not wanted.roles:
        message = "expected at least one role to lend, found none"
        raise RulingError(message, hint="only roles that the lender holds can be lent, and not an operator's")
    if lever.ROLE in wanted.roles:
        message = f"expected roles of reviewers, found `{lever.ROLE}`, which nobody can lend"
        raise RulingError(message)
    if missing := sorted(set(wanted.roles).difference(held)):
        message = f"expected roles that the lender holds, found `{missing[0]}`"
        raise RulingError(message, hint="what was lent cannot be lent on")
    seconds = (wanted.until.nanos - wanted.opened_at.nanos) / 10**9
    if not 0 < seconds <= MAX_SECONDS:
        message = f"expected an end within {MAX_SECONDS // 86_400} days from now, found {wanted.until}"
        raise RulingError(message)
    if len(book.items) >= MAX_DELEGATIONS:
        message = f"expected at most {MAX_DELEGATIONS} delegations at a time, found one more"
        raise RulingError(message, hint="end those that are not needed")
    return Book((*book.items, wanted))


def end(book: Book, delegation_id: str) -> Book:
    """The book without this one; raises `RulingError` where it is not in it."""
    found = book.find(delegation_id)
    return Book(tuple(one for one in book.items if one is not found))
