"""Rows, drafts and stores that the tests of stores are written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.adapters.clock import ManualClock
from demur.core.record import Draft, Entry, Sealed
from demur.core.terms import Timestamp, parse_timestamp
from demur.ports import GrantRow, RequestRow, ReviewRow, SpendRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.ports import Transaction

START = parse_timestamp("2026-11-20T09:00:00Z")
DAY = 86_400


def clock() -> ManualClock:
    return ManualClock(START)


def at(seconds: float) -> Timestamp:
    return START.plus(seconds)


def draft(number: int = 0, *, is_sealed: bool = True) -> Draft:
    return Draft("decision", {"number": number}, sealed(number) if is_sealed else None)


def sealed(number: int = 0) -> Sealed:
    data = number.to_bytes(4, "big")
    return Sealed("k1", b"w" + data, b"n" + data, b"c" + data, data.hex() * 8, (data * 8).hex())


def request(name: str, sequence: int = 0) -> RequestRow:
    return RequestRow(name.encode(), b"digest", sequence)


def grant(name: str, state: str = "live", sequence: int = 0) -> GrantRow:
    return GrantRow(name, b"token", sequence, state, at(30), b"body")


def review(
    name: str, *, state: str = "pending", deadline: float = 60, sequence: int = 0, match: str = "m", topic: str = "t"
) -> ReviewRow:
    return ReviewRow(name, sequence, match.encode(), state, at(deadline), b"body", topic.encode())


def spend(grant_id: str, *, amount: int = 1, when: float = 0, expires: float = 30, key: str = "k") -> SpendRow:
    return SpendRow("refunds", key.encode(), at(when), amount, grant_id, at(expires))


def append(number: int = 0) -> Callable[[Transaction], Entry]:
    return lambda tx: tx.append(draft(number))


def put(*written: RequestRow | GrantRow | ReviewRow | SpendRow) -> Callable[[Transaction], None]:
    """A work that writes these rows."""

    def work(tx: Transaction) -> None:
        for row in written:
            match row:
                case RequestRow():
                    tx.put_request(row)
                case GrantRow():
                    tx.put_grant(row)
                case ReviewRow():
                    tx.put_review(row)
                case SpendRow():
                    tx.spend(row)

    return work


def keep(name: str, value: bytes) -> Callable[[Transaction], None]:
    """A work that keeps a named value and the same bytes by digest."""

    def work(tx: Transaction) -> None:
        tx.put_meta(name, value)
        tx.put_blob(name, value)

    return work
