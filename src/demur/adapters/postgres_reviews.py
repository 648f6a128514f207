"""Reviews to PostgreSQL and back: each list is read from the index that has it in order, a state at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demur.adapters.postgres_arrays import Bytes, Numbers, Texts
from demur.core.terms import Timestamp
from demur.ports import ReviewRow

if TYPE_CHECKING:
    from psycopg import Cursor

_COLUMNS = "id, sequence, match, state, deadline, body, topic"
_STATES = "FROM (SELECT %s::text AS log) AS here CROSS JOIN unnest(%s) AS wanted (name) CROSS JOIN LATERAL"
# Over several states at once, the database would sort all that is in them to find the first few.

FIND = f"SELECT {_COLUMNS} FROM reviews WHERE log = %s AND id = %s"  # noqa: S608
MATCHING = f"SELECT {_COLUMNS} FROM reviews WHERE log = %s AND match = %s ORDER BY sequence, id"  # noqa: S608
LISTED = (
    f"SELECT {_COLUMNS} {_STATES} (SELECT {_COLUMNS} FROM reviews WHERE reviews.log = here.log "  # noqa: S608
    "AND state = wanted.name AND (deadline, id) > (%s, %s) ORDER BY deadline, id LIMIT %s) AS found "
    "ORDER BY deadline, id LIMIT %s"
)
ENDED = (
    f"SELECT {_COLUMNS} {_STATES} (SELECT {_COLUMNS} FROM reviews WHERE reviews.log = here.log AND topic = %s "  # noqa: S608
    "AND state = wanted.name ORDER BY sequence DESC, id DESC LIMIT %s) AS found "
    "ORDER BY sequence DESC, id DESC LIMIT %s"
)
COUNT = "SELECT count(*) FROM reviews WHERE log = %s AND state = ANY(%s)"
"""The first value of every statement is the log (S5.6)."""

_Row = tuple[Any, ...]
# The driver gives what the columns hold; the table says of which type each is.


def read(row: _Row) -> ReviewRow:
    """The review in a row of these statements."""
    return ReviewRow(row[0], row[1], row[2], row[3], Timestamp(row[4]), row[5], row[6])


def write(cursor: Cursor[_Row], log: str, rows: list[ReviewRow]) -> None:
    """Insert or replace these reviews; raises `psycopg.Error`, in a pipeline only at its end."""
    columns = (
        Texts([row.id for row in rows]),
        Numbers([row.sequence for row in rows]),
        Bytes([row.match for row in rows]),
        Texts([row.state for row in rows]),
        Numbers([row.deadline.nanos for row in rows]),
        Bytes([row.body for row in rows]),
        Bytes([row.topic for row in rows]),
    )
    cursor.execute(_WRITE, (log, *columns), prepare=True)


_WRITE = (
    "INSERT INTO reviews (log, id, sequence, match, state, deadline, body, topic) "
    "SELECT %s::text, * FROM unnest(%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (log, id) DO UPDATE "
    "SET sequence = EXCLUDED.sequence, match = EXCLUDED.match, state = EXCLUDED.state, "
    "deadline = EXCLUDED.deadline, body = EXCLUDED.body, topic = EXCLUDED.topic"
)
