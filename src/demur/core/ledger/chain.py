"""Checks the chain of records: nothing altered, nothing left out, nothing put in another order.

Each record is a leaf (bytes of canonical JSON) and, beside it, the leaf's hash. The leaf holds its own sequence number
and the hash of the leaf before it:

    {"log":"demo", ..., "previous_hash":"00..00", "sequence":0, "timestamp":"2026-11-20T09:00:00Z", "type":"...", "v":1}

A record is wrong when its hash is not the hash of its leaf, its leaf is not JSON with each member once, its sequence
number does not follow, its `previous_hash` is not the hash of the record before, its log is another one, or its time
lies before the time of the record before. All that raises `LedgerError`, naming the record. A leaf whose bytes are not
in canonical form proves nothing wrong, since the hash is over the bytes as they stand; it is reported as a remark.

What this cannot show: that records were cut off at the end. That needs a head that somebody else kept; give it as
`expected`. Standard library only; byte format in docs/spec/ledger.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_HASH = bytes(32)
"""The `previous_hash` of the first record."""
MAX_LEAF_BYTES = 65_535
"""The longest leaf that the tiles of C2SP can carry; Demur writes at most 16 KiB."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_MEMBERS = ("log", "previous_hash", "sequence", "timestamp", "type", "v")


class Record(Protocol):
    """A record as stored."""

    @property
    def sequence(self) -> int: ...
    @property
    def leaf(self) -> bytes: ...
    @property
    def record_hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Link:
    """The place in a chain after `size` records: the hash of the last one and its time, "" where there is none."""

    size: int = 0
    record_hash: bytes = NO_HASH
    timestamp: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that was found whole: where it ends, and the remarks about it."""

    end: Link
    remarks: tuple[str, ...]


def check(records: Iterable[Record], *, log: str, start: Link | None = None, expected: Link | None = None) -> Chain:
    """The end of the chain that the records continue from `start`; raises `LedgerError` at the first contradiction.

    `log` is the id that every leaf must name. `expected` is a head kept elsewhere: the chain must pass through it.
    """
    link = start or Link()
    remarks: list[str] = []
    _check_head(link, expected)
    for record in records:
        leaf = _check_record(record, log, link)
        if not _is_canonical(leaf, record.leaf):
            remarks.append(f"record {record.sequence}: the leaf is not in canonical form")
        link = Link(link.size + 1, record.record_hash, str(leaf["timestamp"]))
        _check_head(link, expected)
    if expected is not None and expected.size > link.size:
        raise LedgerError(f"expected at least {expected.size} records, found {link.size}: the end was cut off")
    return Chain(link, tuple(remarks))


def read_leaf(data: bytes) -> dict[str, object]:
    """The members of a leaf; raises `LedgerError` where it is no JSON object, has a member twice or
    a number that is no integer.

    A member that stands twice would let two readers of the same bytes see two different records.
    """
    if len(data) > MAX_LEAF_BYTES:
        raise LedgerError(f"expected a leaf of at most {MAX_LEAF_BYTES} bytes, found {len(data)}")
    try:
        leaf = json.loads(data, object_pairs_hook=_members, parse_constant=_refuse, parse_float=_refuse)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"expected a leaf of JSON, found {str(error)[:120]}") from error
    if not isinstance(leaf, dict):
        raise LedgerError("expected a leaf that is a JSON object, found another value")
    return leaf


def _check_record(record: Record, log: str, before: Link) -> dict[str, object]:
    name = f"record {record.sequence}"
    if record.sequence != before.size:
        raise LedgerError(f"expected record {before.size}, found {name}: records are missing or out of order")
    if hashlib.sha256(b"\x00" + record.leaf).digest() != record.record_hash:
        raise LedgerError(f"{name}: the leaf was altered, its hash is not the one recorded")
    try:
        leaf = read_leaf(record.leaf)
        _check_place(leaf, record.sequence, log, before)
    except LedgerError as error:
        raise LedgerError(f"{name}: {error}") from error
    return leaf


def _check_place(leaf: dict[str, object], sequence: int, log: str, before: Link) -> None:
    missing = [member for member in _MEMBERS if member not in leaf]
    if missing:
        raise LedgerError(f"expected the member `{missing[0]}`, found none")
    if leaf["log"] != log:
        raise LedgerError(f"expected log `{log}`, found `{str(leaf['log'])[:80]}`")
    if leaf["sequence"] != sequence or isinstance(leaf["sequence"], bool):
        raise LedgerError(f"expected sequence {sequence} in the leaf, found `{str(leaf['sequence'])[:80]}`")
    if leaf["previous_hash"] != before.record_hash.hex():
        raise LedgerError("`previous_hash` is not the hash of the record before")
    if _instant(leaf["timestamp"]) < _instant(before.timestamp or leaf["timestamp"]):
        raise LedgerError(
            f"its time `{leaf['timestamp']}` lies before `{before.timestamp}`, the time of the one before"
        )


def _check_head(link: Link, expected: Link | None) -> None:
    if expected is not None and link.size == expected.size and link.record_hash != expected.record_hash:
        raise LedgerError(f"the first {link.size} records are not those that the expected head stands for")


def _instant(text: object) -> tuple[str, str]:
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise LedgerError(f"expected an RFC 3339 time in UTC, found `{str(text)[:80]}`")
    return match[1], (match[2] or "").ljust(9, "0")


def _is_canonical(leaf: dict[str, object], data: bytes) -> bool:
    try:
        text = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode() == data
    except (ValueError, RecursionError):
        return False


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member `{twice[:80]}` twice")
    return members


def _refuse(text: str) -> object:
    raise ValueError(f"`{text[:80]}`, which is no integer")
