"""What somebody with write access to the files of a ledger could do to it; used on copies, to show what is noticed."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from demur.core.ledger import chain

if TYPE_CHECKING:
    from pathlib import Path

LEDGER = "ledger.db"


def flip_bit(home: Path, copy: Path, sequence: int) -> None:
    """Copy the home and flip one bit in the middle of a record."""
    shutil.copytree(home, copy)
    with closing(sqlite3.connect(copy / LEDGER)) as database, database:
        row = database.execute("SELECT leaf FROM records WHERE sequence = ?", (sequence,)).fetchone()
        leaf = bytearray(row[0])
        leaf[len(leaf) // 2] ^= 1
        database.execute("UPDATE records SET leaf = ? WHERE sequence = ?", (bytes(leaf), sequence))


def alter_outcome(home: Path, copy: Path, sequence: int, outcome: str) -> None:
    """Copy the home, write another outcome into a record, and compute every hash from there on anew."""
    shutil.copytree(home, copy)
    with closing(sqlite3.connect(copy / LEDGER)) as database, database:
        query = "SELECT sequence, leaf, record_hash FROM records WHERE sequence >= ? ORDER BY sequence"
        previous = ""
        for number, data, _ in database.execute(query, (sequence,)).fetchall():
            members = chain.read_leaf(data)
            if number == sequence:
                members["outcome"] = outcome
            else:
                members["previous_hash"] = previous
            leaf = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            record_hash = hashlib.sha256(b"\x00" + leaf).digest()
            database.execute(
                "UPDATE records SET leaf = ?, record_hash = ? WHERE sequence = ?", (leaf, record_hash, number)
            )
            previous = record_hash.hex()
