"""Compares what was acknowledged with what the ledger holds, life after life.

- lost: acknowledged, and not in the ledger with that very content, or the chain is broken
- duplicated: one request decided twice, one grant redeemed, executed, completed or revoked twice
- reordered: an answer that lies before one that was given before it was asked for
- unallowed: executed without a durable allow and a durable redemption before it
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from demur.core.ledger import chain
from demur.core.ledger.chain import Link
from demur.errors import DemurError, LedgerError
from demur.ports import StoredRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

T = TypeVar("T")


class Leaf(msgspec.Struct):
    """What is looked at in a record."""

    type: str
    sequence: int
    outcome: str = ""
    grant: str = ""
    review: str = ""
    state: str = ""


_leaves = msgspec.json.Decoder(Leaf)
_ONCE = {"grant_redeemed": "redeemed", "grant_completed": "completed", "grant_revoked": "revoked"}
NAMES = ("lost", "duplicated", "reordered", "unallowed")


@dataclass
class Account:
    """Of one ledger: `read` its records and `hear` the journal, in turn."""

    log: str
    acknowledged: int = 0
    executed: int = 0
    unavailable: int = 0
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    pending: dict[str, None] = field(default_factory=dict)
    """Requests that were asked and not answered, so far."""
    _link: Link = field(default_factory=Link)
    _records: dict[int, Leaf] = field(default_factory=dict)
    _by_grant: dict[tuple[str, str], int] = field(default_factory=dict)
    _rulings: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _answers: dict[str, str] = field(default_factory=dict)
    _executions: set[str] = field(default_factory=set)
    _rest: str = ""
    _life: str = ""

    @property
    def size(self) -> int:
        """How many records were read."""
        return self._link.size

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not any(self.faults.values())

    def counts(self) -> Counter[str]:
        """The findings by their name, with what they are among."""
        counts = Counter({name: len(self.faults[name]) for name in NAMES})
        counts.update(acknowledged=self.acknowledged, executed=self.executed, unavailable=self.unavailable)
        return counts

    def recent(self, number: int) -> tuple[str, ...]:
        """The requests that were answered last."""
        return tuple(list(self._answers)[-number:])

    def read(self, records: Iterable[StoredRecord]) -> None:
        """The records that came after those that were read before."""
        found = list(records)
        try:
            end = chain.check(found, log=self.log, start=self._link).end
        except LedgerError as error:
            self._fault("lost", f"the chain is broken: {error}")
            return
        self._link = end
        for record in found:
            self.take(record.leaf)

    def hear(self, text: str) -> None:
        """More of the journal. A line that was cut off by the end of the process acknowledged nothing."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            kind, *words = line.split(" ")
            if kind != "end":
                getattr(self, f"_hear_{kind}")(*words)

    def forget_rest(self) -> None:
        """The process is gone: what is left of its last line is none."""
        self._rest = ""

    def check_requests(self, rows: int) -> None:
        """Each request is decided once: as many requests are remembered as decisions recorded."""
        decisions = sum(leaf.type == "decision" for leaf in self._records.values())
        if decisions != rows:
            self._fault("duplicated", f"{decisions} decisions for {rows} requests")

    def take(self, data: bytes) -> None:
        """One record, whatever its place in the chain."""
        leaf = _leaves.decode(data)
        self._records[leaf.sequence] = leaf
        kind = _ONCE.get(leaf.type, "allowed" if leaf.type == "decision" and leaf.grant else "")
        if kind:
            if (kind, leaf.grant) in self._by_grant:
                self._fault("duplicated", f"grant {leaf.grant} {kind} twice")
            self._by_grant[kind, leaf.grant] = leaf.sequence
        elif leaf.type == "review_ruled":
            self._rulings[leaf.review].add(leaf.state)

    def _hear_open(self, is_clean: str, life: str) -> None:
        del is_clean
        self._life = life

    def _hear_ask(self, name: str) -> None:
        self.pending[name] = None

    def _hear_una(self, name: str) -> None:
        del name
        self.unavailable += 1

    def _hear_ans(self, name: str, floor: str, sequence: str, outcome: str, own: str) -> None:
        self.pending.pop(name, None)
        self.acknowledged += 1
        leaf = self._records.get(int(sequence))
        found = (leaf.type, leaf.outcome, leaf.grant or leaf.review or "-") if leaf else None
        if found != ("decision", outcome, own):
            self._fault("lost", f"{name}: decision {sequence} is {found}, not {outcome} {own}")
        if name not in self._answers and name.partition(".")[0] == self._life:
            self._check_order(int(sequence), floor, name)
        first = self._answers.setdefault(name, f"{sequence} {outcome} {own}")
        if first != f"{sequence} {outcome} {own}":
            self._fault("duplicated", f"{name}: first {first}, then {sequence} {outcome} {own}")

    def _hear_red(self, grant: str, floor: str, sequence: str) -> None:
        self.acknowledged += 1
        found = self._by_grant.get(("redeemed", grant))
        if found != int(sequence):
            self._fault("lost", f"redemption {sequence} of {grant} is {found}")
        self._check_order(found, floor, f"redemption of {grant}")

    def _hear_exe(self, grant: str) -> None:
        self.executed += 1
        if grant in self._executions:
            self._fault("duplicated", f"grant {grant} executed twice")
        self._executions.add(grant)
        allowed, redeemed = self._by_grant.get(("allowed", grant)), self._by_grant.get(("redeemed", grant))
        if allowed is None or redeemed is None or redeemed < allowed:
            self._fault("unallowed", f"grant {grant}: allowed at {allowed}, redeemed at {redeemed}")

    def _hear_com(self, grant: str, floor: str) -> None:
        self._check_there("completed", grant, floor)

    def _hear_rev(self, grant: str, floor: str) -> None:
        self._check_there("revoked", grant, floor)

    def _hear_rul(self, review: str, floor: str, state: str) -> None:
        del floor
        self.acknowledged += 1
        if state not in self._rulings.get(review, ()):
            self._fault("lost", f"ruling on {review}: {state}")

    def _check_there(self, kind: str, grant: str, floor: str) -> None:
        self.acknowledged += 1
        found = self._by_grant.get((kind, grant))
        if found is None:
            self._fault("lost", f"{grant} {kind}")
        self._check_order(found, floor, f"{grant} {kind}")

    def _check_order(self, found: int | None, floor: str, what: str) -> None:
        if found is not None and found <= int(floor):
            self._fault("reordered", f"{what} is record {found}, not above {floor}")

    def _fault(self, name: str, what: str) -> None:
        self.faults[name].append(what)


def settle(account: Account, ledger: Path, text: str) -> None:
    """Read what the ledger holds by now, then hear the journal. A ledger that cannot be read is lost, unless it died
    while it was made: nothing was acknowledged then, and only its owner can roll back what was half done."""
    try:
        is_made = scalar(ledger, "SELECT count(*) FROM sqlite_schema WHERE name = 'records'")
        account.read(new_records(ledger, account.size) if is_made else ())
        account.hear(text)
        account.check_requests(scalar(ledger, "SELECT count(*) FROM requests") if is_made else 0)
    except (DemurError, sqlite3.Error) as error:
        account.hear(text)
        if account.acknowledged or account.executed:
            account.faults["lost"].append(f"the ledger cannot be read: {error}")


def new_records(ledger: Path, first: int) -> list[StoredRecord]:
    """The records from `first` on, as they stand in the file; raises `sqlite3.Error`."""
    query = "SELECT sequence, leaf, record_hash FROM records WHERE sequence >= ? ORDER BY sequence"
    return _read(ledger, lambda connection: [StoredRecord(*row) for row in connection.execute(query, (first,))])


def scalar(ledger: Path, query: str) -> int:
    """The one number that the query gives; raises `sqlite3.Error`."""
    return _read(ledger, lambda connection: int(connection.execute(query).fetchone()[0]))


def _read(ledger: Path, reading: Callable[[sqlite3.Connection], T]) -> T:
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return reading(connection)
