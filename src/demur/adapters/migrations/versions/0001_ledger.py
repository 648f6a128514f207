"""The ledger, its vault, and what answers rest on: requests, grants, reviews, counters.

Every key begins with the log (S5.6). Times are nanoseconds since 1970, UTC. Tables whose rows are small and found by
their key are stored in their primary key; records and sealed values, which are larger and only ever appended, keep
SQLite's row ids, which makes appending cheaper. PostgreSQL compares texts by their bytes, as SQLite does.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    _create_ledger()
    _create_answers()
    _create_counters()
    op.create_table(
        "meta",
        _text("log"),
        _text("name"),
        _bytes("value"),
        sa.PrimaryKeyConstraint("log", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table("blobs", _text("log"), _text("digest"), _bytes("data"), sa.PrimaryKeyConstraint("log", "digest"))


def _create_ledger() -> None:
    op.create_table(
        "records",
        _text("log"),
        _number("sequence"),
        _bytes("leaf"),
        _bytes("record_hash"),
        sa.PrimaryKeyConstraint("log", "sequence"),
    )
    op.create_table(
        "sealed",
        _text("log"),
        _number("sequence"),
        _text("key_id"),
        _bytes("wrapped_key"),
        _bytes("nonce"),
        _bytes("ciphertext"),
        sa.PrimaryKeyConstraint("log", "sequence"),
        sa.ForeignKeyConstraint(["log", "sequence"], ["records.log", "records.sequence"]),
    )


def _create_answers() -> None:
    op.create_table(
        "requests",
        _text("log"),
        _bytes("key"),
        _bytes("digest"),
        _number("sequence"),
        sa.PrimaryKeyConstraint("log", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "grants",
        _text("log"),
        _text("id"),
        _bytes("token_hash"),
        _number("sequence"),
        _text("state"),
        _number("expires_at"),
        _bytes("body"),
        sa.PrimaryKeyConstraint("log", "id"),
    )
    op.create_table(
        "reviews",
        _text("log"),
        _text("id"),
        _number("sequence"),
        _bytes("match"),
        _text("state"),
        _number("deadline"),
        _bytes("body"),
        sa.PrimaryKeyConstraint("log", "id"),
    )
    op.create_index("reviews_by_match", "reviews", ["log", "match", "sequence", "id"])
    op.create_index("reviews_by_deadline", "reviews", ["log", "state", "deadline", "sequence", "id"])


def _create_counters() -> None:
    # Stored in its key, the table is its own covering index for what a counter asks.
    op.create_table(
        "spends",
        _text("log"),
        _text("counter"),
        _bytes("key"),
        _number("at"),
        _text("grant_id"),
        _number("amount"),
        _number("expires_at"),
        sa.PrimaryKeyConstraint("log", "counter", "key", "at", "grant_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("spends_by_grant", "spends", ["log", "grant_id"])


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)
