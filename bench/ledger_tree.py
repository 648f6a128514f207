"""Proofs from the stored tiles of a large ledger, and what those tiles take on the disk.

The file holds tiles, and records only at the edge that no full tile covers: leaves would take gigabytes, and no proof
reads them. Everything else is as the store writes and reads it.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.table import Table, verdict
from demur.adapters import sqlite_file
from demur.adapters.growth import Growth
from demur.adapters.sqlite import SqliteReader, SqliteStore
from demur.core.ledger import merkle, tile
from demur.core.ledger.tile import HASH_BYTES, WIDTH, Frontier
from demur.steps import proving

if TYPE_CHECKING:
    import sqlite3

    from demur.ports import Transaction

BATCH = 1 << 16
PROOFS = 2_000


@dataclass(frozen=True)
class Proof:
    """The hashes, the size of the tree they are for, and how many tiles were read."""

    hashes: tuple[bytes, ...]
    size: int
    tiles: int


@dataclass(frozen=True)
class Took:
    """Milliseconds, by the clock on the wall and of this thread's CPU: what lies between them is the machine's."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Took:
        return cls(time.perf_counter() * 1_000, time.thread_time() * 1_000)

    def until_now(self) -> Took:
        now = Took.now()
        return Took(now.wall - self.wall, now.cpu - self.cpu)


def table(*, size: int, folder: str | None = None) -> Table:
    """Inclusion and consistency proofs in a tree of `size` records, and its bytes a record."""
    made = Table(f"tree of {size:,} records, SQLite", ["p50", "p99", "p99 CPU", "most", "target"])
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "ledger.db"
        each = _build(path, size)
        reader = SqliteReader(path)
        dice = random.Random(1)
        root = reader.read(lambda tx: tx.tree().root)
        inclusion, tiles = _inclusions(reader, [dice.randrange(size) for _ in range(PROOFS)], root)
        consistency = _consistencies(reader, [dice.randrange(1, size) for _ in range(PROOFS)])
        reader.close()
    _add(made, "inclusion proof, ms", inclusion, 1, 6)
    _add(made, "consistency proof, ms", consistency, 1, 6)
    most = max(tiles)
    made.add("tiles read for an inclusion proof", statistics.median(tiles), None, None, most, verdict(most, 6, "tiles"))
    made.add("tile bytes a record in the file", each, None, None, None, verdict(each, 35, "bytes"))
    made.notes.append(f"{PROOFS:,} random proofs each, checked against the root; one transaction of a reader for each")
    made.notes.append("the file was just written: the page cache is warm, and nothing here waits for the disk")
    return made


def _inclusions(reader: SqliteReader, indexes: list[int], root: bytes) -> tuple[list[Took], list[int]]:
    """Milliseconds and tiles read of each proof; what is proved is checked, outside the time."""
    samples, tiles = [], []
    for index in indexes:
        start = Took.now()
        proof = _include(reader, index)
        samples.append(start.until_now())
        tiles.append(proof.tiles)
        leaf = _leaf(reader, index)
        merkle.check_inclusion(index=index, size=proof.size, leaf=leaf, proof=proof.hashes, expected=root)
    return samples, tiles


def _consistencies(reader: SqliteReader, olds: list[int]) -> list[Took]:
    samples = []
    for old in olds:
        start = Took.now()
        proof = _extend(reader, old)
        samples.append(start.until_now())
        known = reader.read(lambda tx, old=old: (tile.root(old, proving.reading(tx)), tx.tree().root))  # type: ignore[misc]
        merkle.check_consistency(
            old_size=old, new_size=proof.size, old_root=known[0], new_root=known[1], proof=proof.hashes
        )
    return samples


def _build(path: Path, size: int) -> float:
    """A store with the tiles of `size` random leaf hashes; returns the bytes that a record takes in the file."""
    SqliteStore(path, "bench").close()
    connection = sqlite_file.connect(path.as_uri())
    connection.execute("PRAGMA synchronous=OFF")
    before = _pages(connection)
    frontier = Frontier()
    while frontier.size < size:
        count = min(BATCH, size - frontier.size)
        data = os.urandom(count * HASH_BYTES)
        growth = Growth(frontier)
        frontier = growth.grow([data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)])
        rows = [("bench", level, number, hashes) for (level, number), hashes in growth.tiles().items()]
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    each = (_pages(connection) - before) / size
    _, edge = frontier.partial(0)
    first = size - size % WIDTH
    rest = [edge[at : at + HASH_BYTES] for at in range(0, len(edge), HASH_BYTES)]
    records = [("bench", first + n, b"{}", record_hash) for n, record_hash in enumerate(rest)]
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", records)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return each


def _pages(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _include(reader: SqliteReader, index: int) -> Proof:
    def query(tx: Transaction) -> Proof:
        size, read, reads = _counting(tx)
        hashes = tile.prove_inclusion(index, size, read)
        return Proof(hashes, size, len(reads))

    return reader.read(query)


def _extend(reader: SqliteReader, old: int) -> Proof:
    def query(tx: Transaction) -> Proof:
        size, read, reads = _counting(tx)
        hashes = tile.prove_consistency(old, size, read)
        return Proof(hashes, size, len(reads))

    return reader.read(query)


def _counting(tx: Transaction) -> tuple[int, tile.Read, list[str]]:
    """The size of the tree, a `Read` over its tiles, and the tiles that it has read."""
    reads: list[str] = []
    stored = proving.reading(tx)

    def read(level: int, number: int, width: int) -> bytes:
        reads.append(tile.path(level, number, width))
        return stored(level, number, width)

    return tx.head.size, read, reads


def _leaf(reader: SqliteReader, index: int) -> bytes:
    at = index % WIDTH * HASH_BYTES

    def query(tx: Transaction) -> bytes:
        number = index // WIDTH
        return proving.reading(tx)(0, number, tile.width(0, number, tx.head.size))[at : at + HASH_BYTES]

    return reader.read(query)


def _add(made: Table, name: str, samples: list[Took], p50: float, p99: float) -> None:
    ordered, worked = sorted(took.wall for took in samples), sorted(took.cpu for took in samples)
    middle, tail = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    target = f"{verdict(middle, p50, 'ms')}, {verdict(tail, p99, 'ms p99')}"
    made.add(name, middle, tail, worked[int(len(worked) * 0.99)], ordered[-1], target)
