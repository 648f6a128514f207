"""The tree over the records, in tiles (C2SP tlog-tiles), and the checkpoints that were signed.

Level 0 is stored in full tiles; at the levels above the last tile is stored while it is partial too. Records that are
there already get their tiles here. A size has one root: the key of `checkpoints` holds the log to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

from demur.adapters.growth import Growth
from demur.core.ledger.tile import Frontier
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BATCH = 1 << 14
"""Records read at a time: half a megabyte of hashes."""


def upgrade() -> None:
    """Create the tables and fill the tiles."""
    tiles = op.create_table(
        "tiles",
        _text("log"),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "level", "number"),
    )
    op.create_table(
        "checkpoints",
        _text("log"),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "size"),
    )
    connection = op.get_bind()
    for log in connection.execute(sa.select(_RECORDS.c.log).distinct()).scalars().all():
        frontier = Frontier()
        for hashes in _batches(connection, log):
            growth = Growth(frontier)
            frontier = growth.grow(hashes)
            for (level, number), data in growth.tiles().items():
                place = (tiles.c.log == log) & (tiles.c.level == level) & (tiles.c.number == number)
                connection.execute(tiles.delete().where(place))
                connection.execute(tiles.insert().values(log=log, level=level, number=number, hashes=data))


_RECORDS = sa.table(
    "records", sa.column("log", sa.Text), sa.column("sequence", sa.BigInteger), sa.column("record_hash", sa.LargeBinary)
)


def _batches(connection: sa.Connection, log: str) -> Iterator[list[bytes]]:
    """The hashes of the records, in order; raises `LedgerError` where one is missing."""
    columns = _RECORDS.c
    size = 0
    while True:
        query = (
            sa.select(columns.sequence, columns.record_hash)
            .where(columns.log == log, columns.sequence >= size)
            .order_by(columns.sequence)
            .limit(BATCH)
        )
        rows = connection.execute(query).all()
        if not rows:
            return
        if [row.sequence for row in rows] != list(range(size, size + len(rows))):
            raise LedgerError(f"expected all records of log `{log}` from {size} on, found some missing")
        size += len(rows)
        yield [bytes(row.record_hash) for row in rows]


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False)
