"""The chain of records: what is whole, and every way of not being so, by tests/vectors/ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from demur.core import record
from demur.core.ledger import chain
from demur.core.ledger.chain import Link
from demur.core.record import Draft
from demur.core.terms import parse_timestamp
from demur.errors import LedgerError

CASES = sorted((Path(__file__).parents[2] / "vectors" / "ledger").glob("*.yaml"))


@dataclass(frozen=True)
class Stored:
    sequence: int
    leaf: bytes
    record_hash: bytes


def link(written: dict[str, Any] | None) -> Link | None:
    if written is None:
        return None
    return Link(written["size"], bytes.fromhex(written["record_hash"]), written.get("timestamp", ""))


def checked(case: dict[str, Any]) -> chain.Chain:
    records = [Stored(r["sequence"], r["leaf"].encode(), bytes.fromhex(r["record_hash"])) for r in case["records"]]
    return chain.check(records, log=case["log"], start=link(case.get("start")), expected=link(case.get("head")))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_vector(path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "error" in case:
        with pytest.raises(LedgerError) as caught:
            checked(case)
        assert case["error"] in str(caught.value)
        return
    found = checked(case)
    assert (found.end.size, found.end.record_hash.hex()) == (case["end"]["size"], case["end"]["record_hash"])
    assert list(found.remarks) == case.get("remarks", [])


def written(count: int) -> list[Stored]:
    records: list[Stored] = []
    previous = chain.NO_HASH
    for sequence in range(count):
        leaf = record.leaf(
            Draft("decision", {"outcome": "deny"}),
            log="demo",
            sequence=sequence,
            previous_hash=previous,
            timestamp=parse_timestamp("2026-11-20T09:00:00Z").plus(sequence / 3),
        )
        previous = hashlib.sha256(b"\x00" + leaf).digest()
        records.append(Stored(sequence, leaf, previous))
    return records


def test_what_is_written_is_whole() -> None:
    records = written(20)
    found = chain.check(records, log="demo")
    assert (found.end.size, found.end.record_hash, found.remarks) == (20, records[-1].record_hash, ())


def test_every_flipped_bit_of_every_byte_is_noticed() -> None:
    records = written(3)
    for place, stored in enumerate(records):
        for position in range(len(stored.leaf)):
            for bit in range(8):
                leaf = bytearray(stored.leaf)
                leaf[position] ^= 1 << bit
                altered = [*records[:place], Stored(place, bytes(leaf), stored.record_hash), *records[place + 1 :]]
                with pytest.raises(LedgerError, match=f"record {place}: the leaf was altered"):
                    chain.check(altered, log="demo")


def test_a_leaf_that_is_too_long_is_refused_before_it_is_read() -> None:
    leaf = b'{"a":' + b"1" * 70_000 + b"}"
    with pytest.raises(LedgerError, match="expected a leaf of at most 65535 bytes"):
        chain.check([Stored(0, leaf, hashlib.sha256(b"\x00" + leaf).digest())], log="demo")


@pytest.mark.parametrize("leaf", [b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b"", b"1" * 60_000, b'"\\ud800"'])
def test_hostile_bytes_end_in_an_error(leaf: bytes) -> None:
    with pytest.raises(LedgerError, match="record 0: expected a leaf"):
        chain.check([Stored(0, leaf, hashlib.sha256(b"\x00" + leaf).digest())], log="demo")
