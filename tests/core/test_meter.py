"""Statements of meters: one form, gapless, and marks that say nothing without their key (S6)."""

from __future__ import annotations

import msgspec
import pytest

from demur.core import meter
from demur.core.meter import Fault, Granted, Signed, Statement, Trail, Ungranted
from demur.errors import LedgerError

AT = "2026-11-20T09:00:00Z"
KEY = "00" * 16


def statement(**changed: object) -> Statement:
    plain = Statement(
        meter="till-1",
        resource="till",
        epoch=1,
        n=0,
        previous=meter.FIRST,
        since=AT,
        until="2026-11-20T09:01:00Z",
        operations=3,
        granted=(Granted("pay", AT, "g1", "ab"),),
        ungranted=(Ungranted("pay", 2, AT, AT),),
    )
    return msgspec.structs.replace(plain, **changed)


def signed(said: Statement) -> Signed:
    return meter.read(meter.line(meter.encode(said), bytes(64)))


def test_a_statement_is_read_as_it_was_written() -> None:
    assert signed(statement()).statement == statement()


WRONG = {
    "no line": (b"", "expected a signature in hex and a statement"),
    "no statement": (b"00 {}", "expected a signature in hex and a statement"),
    "short signature": (b"00 " + meter.encode(statement()), "expected a signature of 64 bytes, found 1"),
    "spaces": (b"00" * 64 + b" " + meter.encode(statement()).replace(b",", b", "), "canonical form"),
    "a count that is not listed": (
        meter.line(meter.encode(statement(operations=2)), bytes(64)),
        "expected 3 operations",
    ),
    "an end before its beginning": (
        meter.line(meter.encode(statement(since=AT, until="2026-11-20T08:00:00Z")), bytes(64)),
        "ends after it begins",
    ),
    "a name that is no token": (
        meter.line(meter.encode(statement(meter="Till 1")), bytes(64)),
        "expected the meter as",
    ),
    "a time that is none": (meter.line(meter.encode(statement(until="now")), bytes(64)), "expected an RFC 3339 time"),
    "a negative number": (meter.line(meter.encode(statement(n=-1)), bytes(64)), "expected numbers from 0"),
    "another version": (meter.line(meter.encode(statement(v=2)), bytes(64)), "version 1, found 2"),
    "more than a statement holds": (b"00" * 64 + b" " + b"x" * 600_000, "at most 524288 bytes"),
}


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_statement_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        meter.read(data)


def test_statements_follow_one_another_without_gaps() -> None:
    first = signed(statement())
    trail = meter.follow(Trail(), first)
    assert isinstance(trail, Trail)
    second = signed(statement(n=1, previous=first.digest))

    assert meter.follow(trail, first) is Fault.REPEATED
    assert isinstance(meter.follow(trail, second), Trail)
    assert meter.follow(trail, signed(statement(n=2, previous=first.digest))) is Fault.GAP
    assert meter.follow(trail, signed(statement(n=1, previous="1" * 64))) is Fault.FORKED
    assert meter.follow(trail, signed(statement(n=1, previous=first.digest, epoch=0))) is Fault.FORKED
    assert meter.follow(trail, signed(statement(ungranted=(), operations=1))) is Fault.FORKED


def test_a_mark_tells_arguments_and_actions_apart() -> None:
    marks = [
        meter.mark(KEY, "pay", {"amount": 1}),
        meter.mark(KEY, "pay", {"amount": 2}),
        meter.mark(KEY, "pay", {}),
        meter.mark(KEY, "ship", {"amount": 1}),
        meter.mark("01" * 16, "pay", {"amount": 1}),
    ]

    assert len(set(marks)) == len(marks)
    assert meter.mark(KEY, "pay", {"b": "für", "a": 1.0}) == meter.mark(KEY, "pay", {"a": 1, "b": "für"})


def test_what_has_no_canonical_form_has_no_mark() -> None:
    with pytest.raises(ValueError, match="no canonical form"):
        meter.mark(KEY, "pay", {"amount": float("nan")})
