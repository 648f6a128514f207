"""The policies that a gate judged by are kept; whoever alters them does not get past replay (S3.7)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec
import pytest

from demur.core.cel.ir import Const
from demur.core.policy.compiled import decode_compiled, encode_compiled
from demur.core.policy.document import Condition
from demur.core.schema import Kind, Type
from demur.evaluation.replay import Finding, Status, replay
from demur.wiring import open_reader

from .shop import open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def findings(home: Path) -> list[Finding]:
    reader = open_reader(home)
    try:
        return list(replay(reader.records(), reader, reader.vault))
    finally:
        reader.close()


def never(condition: Condition) -> Condition:
    return msgspec.structs.replace(condition, node=Const(value=False, type=Type(Kind.BOOL)))


def with_conditions_that_never_hold(raw: bytes) -> bytes:
    """The same texts and digests, and checked nodes that say something else."""
    documents = decode_compiled(raw)
    rules = [
        msgspec.structs.replace(rule, when=tuple(never(c) if isinstance(c, Condition) else c for c in rule.when))
        for rule in documents.rules
    ]
    return encode_compiled(msgspec.structs.replace(documents, rules=tuple(rules)))


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (with_conditions_that_never_hold, "were altered: shop/"),
        (lambda _: b"nothing of the kind", "cannot be read: expected a compiled set of policies"),
    ],
    ids=["other conditions", "other bytes"],
)
def test_decisions_whose_policies_were_altered_are_named(
    tmp_path: Path, alter: Callable[[bytes], bytes], told: str
) -> None:
    """S3.7."""
    home = tmp_path / "home"
    shop = open_shop(tmp_path, home=home)
    shop.gate.decide(refund(100))
    shop.gate.close()
    assert [finding.status for finding in findings(home)] == [Status.SAME]
    with sqlite3.connect(home / "ledger.db") as connection:
        (raw,) = connection.execute("SELECT data FROM blobs").fetchone()
        connection.execute("UPDATE blobs SET data = ?", (alter(raw),))
    connection.close()
    (found,) = findings(home)
    assert found.status is Status.UNDECIDABLE
    assert told in found.detail
