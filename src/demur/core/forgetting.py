"""What is being forgotten and what must not be: erasures that are under way, and legal holds.

- An erasure is noted, with its record, before any key is destroyed; so whatever interrupts it, it is finished later.
  It is pending until no copy of the keys is left, and completed by a record of its own (S5.5).
- A hold keeps one person's records from being erased, and from ending with their period, until it is released (S12).
- The state names nobody: persons go by the pseudonyms of their keys. What an erasure is about is remembered, blinded,
  for as long as it is pending.

Clauses: S5.5, S12.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.terms import Timestamp
from demur.errors import RulingError

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_HOLDS = 10_000
MAX_PENDING = 10_000


class ErasureState(StrEnum):
    """`pending` until the last copy of the keys is gone."""

    PENDING = "pending"
    COMPLETED = "completed"


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one person, destroyed or about to be. `sequence` is that of its record."""

    id: str
    keys: tuple[str, ...]
    sequence: int
    since: Timestamp
    about: str = ""
    """A blinded digest of whom it is about, by which asking again finds it; empty once it is completed."""
    state: ErasureState = ErasureState.PENDING
    records: int = 0
    """How many records were sealed under these keys; known once it is completed."""
    why: str = ""
    """What it waits for, where it is pending."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A legal hold on the person with this key."""

    id: str
    key: str
    since: Timestamp
    operator: str
    sequence: int = 0
    marks: tuple[str, ...] = ()
    """As what the records of others name this person; pseudonyms too."""


class Book(msgspec.Struct, frozen=True):
    """The erasures that are pending and the holds in force, the oldest first; and how many keys were erased ever."""

    pending: tuple[Erasure, ...] = ()
    holds: tuple[Hold, ...] = ()
    erased: int = 0


EMPTY = Book()


def hold_on(book: Book, keys: Collection[str]) -> Hold | None:
    """The first hold on whoever has one of these keys."""
    return next((hold for hold in book.holds if hold.key in keys), None)


def pending_about(book: Book, about: str) -> Erasure | None:
    """The latest erasure of the same person that is not completed."""
    return next((erasure for erasure in reversed(book.pending) if erasure.about == about), None)


def with_pending(book: Book, erasure: Erasure) -> Book:
    """The book with one more erasure under way; raises `RulingError` where too many are."""
    if len(book.pending) >= MAX_PENDING:
        message = f"expected at most {MAX_PENDING} erasures under way, found one more"
        raise RulingError(message, hint="close what keeps the store of keys open for reading, and erase again")
    pending = (*book.pending, erasure)
    return msgspec.structs.replace(book, pending=pending, erased=book.erased + len(erasure.keys))


def without_pending(book: Book, erasure_id: str) -> Book:
    """The book after this erasure was completed."""
    return msgspec.structs.replace(book, pending=tuple(item for item in book.pending if item.id != erasure_id))


def with_hold(book: Book, hold: Hold) -> Book:
    """The book with one more hold; raises `RulingError` where there are too many."""
    if len(book.holds) >= MAX_HOLDS:
        message = f"expected at most {MAX_HOLDS} holds, found one more"
        raise RulingError(message, hint="release what is no longer needed")
    return msgspec.structs.replace(book, holds=(*book.holds, hold))


def without_hold(book: Book, hold_id: str) -> Book:
    """The book without this hold; raises `RulingError` where it is not in force."""
    rest = tuple(hold for hold in book.holds if hold.id != hold_id)
    if len(rest) == len(book.holds):
        message = f"expected a hold that is in force, found `{hold_id[:64]}`"
        raise RulingError(message, hint="`demur subject list` shows the holds")
    return msgspec.structs.replace(book, holds=rest)
