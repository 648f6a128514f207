"""What a meter beside a resource says: how many operations it saw, and on which grants.

- A statement is one JSON object in canonical form (RFC 8785), signed with Ed25519 (RFC 8032) by the meter's own key
  over the line `demur meter statement v1` and the object. It is handed on as one line: the signature as 128 hex digits,
  a space, the object.
- Statements of one meter are numbered from 0 without gaps; each holds the SHA-256 of the one before, so that none can
  be left out, put in or said twice in two ways without that showing.
- An operation on a grant is named with its `mark`: HMAC-SHA256, cut to 16 bytes, over action and arguments, under a key
  that the gate made for this one redemption and keeps nowhere. The gate recorded the mark of what it released, so the
  two can be compared; without the key, which executor and meter forget, no guess at the arguments can be tested.
- Operations without a grant are counted by action, so that a statement stays small whatever happens.

Clauses: S6. Format: docs/spec/completeness.md.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core import canonical
from demur.core.terms import MAX_INT, Timestamp, parse_timestamp
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
PREFIX = b"demur meter statement v1\n"
"""Stands before the object in what is signed, so that no other signature of the key can pass for one of these."""
FIRST = "0" * 64
"""The `previous` of the first statement."""
MAX_STATEMENT_BYTES = 512 * 1024
MAX_OPERATIONS = 1_000
"""Operations that a meter names in one statement; more of them make another statement."""
MARK_BYTES = 16

_TOKEN = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
_ACTION = re.compile(r"[a-z0-9_.-]{1,64}(?:[/:][a-z0-9_.-]{1,64}){0,7}", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-f]{2}){0,64}", re.ASCII)


class Granted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One operation on a grant. `mark` is empty where whoever asked handed over no key."""

    action: str
    at: str
    grant: str
    mark: str = ""


class Ungranted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Operations of one action that came without a grant: how many, and the times of the first and the last."""

    action: str
    count: int
    first: str
    last: str


class Cause(StrEnum):
    """Why a meter that enforces turned an operation away."""

    USED = "used"
    MISSING = "missing"


class Refused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Operations of one action that the meter turned away: nothing was carried out."""

    action: str
    cause: Cause
    count: int
    first: str
    last: str


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a meter saw between two instants of its own clock. `operations` counts those granted and not."""

    v: int = VERSION
    meter: str
    resource: str
    epoch: int
    n: int
    previous: str
    since: str
    until: str
    operations: int
    granted: tuple[Granted, ...] = ()
    ungranted: tuple[Ungranted, ...] = ()
    refused: tuple[Refused, ...] = ()


class Signed(msgspec.Struct, frozen=True):
    """A statement as it arrived: the bytes that were signed, without the prefix, the signature, and what they say."""

    body: bytes
    signature: bytes
    statement: Statement

    @property
    def digest(self) -> str:
        """The SHA-256 of the object, in hex, which the next statement names."""
        return hashlib.sha256(self.body).hexdigest()


class Trail(msgspec.Struct, frozen=True):
    """How far the statements of one meter are known: the last number, its digest, its epoch and its end."""

    n: int = -1
    digest: str = FIRST
    epoch: int = 0
    until: str = ""


class Fault(StrEnum):
    """What a statement does to the trail before it."""

    REPEATED = "repeated"
    FORKED = "forked"
    GAP = "gap"


_decode = msgspec.json.Decoder(Statement).decode


def encode(statement: Statement) -> bytes:
    """The canonical bytes of a statement."""
    return canonical.encode(msgspec.to_builtins(statement))


def to_sign(body: bytes) -> bytes:
    """What is signed for these canonical bytes."""
    return PREFIX + body


def line(body: bytes, signature: bytes) -> bytes:
    """The line in which a statement is handed on."""
    return signature.hex().encode() + b" " + body + b"\n"


def read(data: bytes) -> Signed:
    """A statement from its line, its signature not yet checked; raises `LedgerError` where it is none."""
    signature, _, body = data.strip().partition(b" ")
    if len(body) > MAX_STATEMENT_BYTES:
        raise LedgerError(f"expected a statement of at most {MAX_STATEMENT_BYTES} bytes, found {len(body)}")
    try:
        raw = bytes.fromhex(signature.decode("ascii"))
        statement = _decode(body)
    except (ValueError, msgspec.DecodeError) as error:
        raise LedgerError(f"expected a signature in hex and a statement, found {str(error)[:120]}") from error
    if len(raw) != 64:
        raise LedgerError(f"expected a signature of 64 bytes, found {len(raw)}")
    _check(statement)
    if encode(statement) != body:
        # Two readers of other bytes might see two statements.
        raise LedgerError("expected a statement in canonical form, found other bytes for it")
    return Signed(body, raw, statement)


def follow(trail: Trail, signed: Signed) -> Trail | Fault:
    """The trail with this statement, or what is wrong with its place."""
    statement = signed.statement
    if statement.n <= trail.n:
        is_last = statement.n == trail.n and signed.digest == trail.digest
        return Fault.REPEATED if is_last else Fault.FORKED
    if statement.n > trail.n + 1:
        return Fault.GAP
    if statement.previous != trail.digest or statement.epoch < trail.epoch:
        return Fault.FORKED
    return Trail(statement.n, signed.digest, statement.epoch, statement.until)


def mark(key: str, action: str, arguments: Mapping[str, object]) -> str:
    """The mark of an action with exactly these arguments, in hex; raises `ValueError` where they have no JSON form.

    A time is marked as its text, and 1 and 1.0 are one number (RFC 8785).
    """
    said = canonical.encode({"action": action, "arguments": dict(arguments)})
    return hmac.digest(bytes.fromhex(key), said, "sha256")[:MARK_BYTES].hex()


def check_name(what: str, name: str) -> str:
    """The id of a meter or a resource, unchanged; raises `LedgerError` where it is no token."""
    if _TOKEN.fullmatch(name) is None:
        raise LedgerError(f"expected the {what} as 1 to 64 characters a-z, 0-9, `_`, `.` or `-`, found `{name[:80]}`")
    return name


def _check(statement: Statement) -> None:
    if statement.v != VERSION:
        raise LedgerError(f"expected a statement of version {VERSION}, found {statement.v}")
    check_name("meter", statement.meter)
    check_name("resource", statement.resource)
    numbers = (statement.epoch, statement.n, statement.operations)
    if not all(0 <= number <= MAX_INT for number in numbers):
        raise LedgerError("expected numbers from 0 to 2^53-1 in a statement, found one outside")
    if re.fullmatch(r"[0-9a-f]{64}", statement.previous) is None:
        raise LedgerError(f"expected `previous` as 64 hex digits, found `{statement.previous[:80]}`")
    _check_operations(statement)
    if parse_time(statement.since) > parse_time(statement.until):
        raise LedgerError("expected a statement that ends after it begins, found one that ends before")


def _check_operations(statement: Statement) -> None:
    items: tuple[Granted | Ungranted | Refused, ...] = (*statement.granted, *statement.ungranted, *statement.refused)
    for item in items:
        if _ACTION.fullmatch(item.action) is None:
            raise LedgerError(f"expected an action as a token, found `{item.action[:80]}`")
    for operation in statement.granted:
        parse_time(operation.at)
        if _TOKEN.fullmatch(operation.grant) is None or _HEX.fullmatch(operation.mark) is None:
            raise LedgerError("expected the id of a grant and a mark in hex, found other text")
    counts = [(each.count, each.first, each.last) for each in statement.ungranted]
    counts += [(each.count, each.first, each.last) for each in statement.refused]
    for count, first, last in counts:
        if not 0 < count <= MAX_INT or parse_time(first) > parse_time(last):
            raise LedgerError("expected a count from 1 and times in order, found otherwise")
    seen = len(statement.granted) + sum(item.count for item in statement.ungranted)
    if statement.operations != seen:
        raise LedgerError(f"expected {seen} operations as listed, found the number {statement.operations}")


def parse_time(text: str) -> Timestamp:
    """The instant that a statement names; raises `LedgerError` where it is none."""
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise LedgerError(f"expected an RFC 3339 time in UTC in a statement, found `{text[:80]}`") from error
