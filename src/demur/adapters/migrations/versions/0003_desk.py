"""Reviews by topic, of which precedents are found, and by deadline and id, by which the queue is paged.

What was opened before has no topic: its action lies in the vault, which migrations have no key to.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index for each list that is read in order."""
    nothing = "x''" if op.get_bind().dialect.name == "sqlite" else "''"
    topic = sa.Column("topic", sa.LargeBinary, nullable=False, server_default=sa.text(nothing))
    op.add_column("reviews", topic)
    op.drop_index("reviews_by_deadline", "reviews")
    op.create_index("reviews_by_deadline", "reviews", ["log", "state", "deadline", "id"])
    op.create_index("reviews_by_topic", "reviews", ["log", "topic", "state", "sequence", "id"])
