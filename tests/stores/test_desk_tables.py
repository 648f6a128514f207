"""The tables of reviews: brought up from the revision before, and read by an index that has them in order."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa
from alembic import command, config

from demur.adapters import postgres_reviews, sqlite_file
from demur.adapters.postgres import PostgresStore
from demur.adapters.postgres_arrays import Texts, register
from demur.adapters.sqlite import SqliteStore
from demur.ports import ENDED_STATES
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.ports import ReviewRow, Store, Transaction
    from tests.postgres import Server

WAIT = 60
OPEN = ("pending", "held")
_BEFORE = "INSERT INTO reviews VALUES ('demo', 'old', 3, {match}, 'approved', {deadline}, {body})"


def at_the_revision_before(engine: sa.Engine, match: str, body: str) -> None:
    """Tables of revision 0002 with one review in them."""
    settings = config.Config()
    settings.set_main_option("script_location", str(Path(sqlite_file.__file__).with_name("migrations")))
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0002")
        insert = _BEFORE.format(match=match, body=body, deadline=rows.at(60).nanos)
        connection.exec_driver_sql(insert)


def check_that_it_goes_on(store: Store) -> None:
    """What was there is there, without a topic; what comes is found by its own."""
    old = rows.review("old", state="approved", sequence=3, topic="")
    assert store.read(lambda tx: tx.matching_reviews(b"m")) == (old,)
    assert store.read(lambda tx: tx.ended_reviews(b"t", limit=9)) == ()
    store.submit(rows.put(rows.review("new", state="denied", sequence=4))).result(WAIT)
    assert [row.id for row in store.read(lambda tx: tx.ended_reviews(b"t", limit=9))] == ["new"]
    listed = store.read(lambda tx: tx.list_reviews(states=("approved", "denied"), limit=9))
    assert [row.id for row in listed] == ["new", "old"]


def test_a_file_of_the_revision_before_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    at_the_revision_before(sa.create_engine(f"sqlite:///{path}"), "x'6d'", "CAST('body' AS BLOB)")
    store = SqliteStore(path, "demo", rows.clock())
    check_that_it_goes_on(store)
    store.close()


def test_a_database_of_the_revision_before_is_brought_up(postgres: Server) -> None:
    url = postgres.url(postgres.empty_database())
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sa.pool.NullPool)
    at_the_revision_before(engine, "'m'", "'body'")
    store = PostgresStore(url, "demo", rows.clock())
    check_that_it_goes_on(store)
    store.close()


def test_a_replica_of_the_version_before_can_still_write(postgres: Server) -> None:
    """Replicas are replaced one after the other: the old ones name no topic, and take none away."""
    url = postgres.new_database()
    store = PostgresStore(url, "demo", rows.clock())
    store.submit(rows.put(rows.review("kept"))).result(WAIT)
    with psycopg.connect(url) as connection:
        for name in ("kept", "fresh"):
            connection.execute(
                "INSERT INTO reviews SELECT 'demo', * FROM (VALUES (%s, 7::bigint, ''::bytea, 'denied', 1::bigint, "
                "''::bytea)) AS one ON CONFLICT (log, id) DO UPDATE SET state = EXCLUDED.state",
                (name,),
            )
    assert store.read(lambda tx: [row.topic for row in tx.list_reviews(states=("denied",), limit=9)]) == [b"", b"t"]
    store.close()


# The plans. Two logs, so that the log is part of every search; as many open as ended.


def many(name: str) -> list[ReviewRow]:
    states = ("pending", "held", "denied", "executed", "expired")
    return [
        rows.review(f"{name}{index:05}", state=states[index % 5], deadline=index % 997, sequence=index)
        for index in range(10_000)
    ]


def test_sqlite_reads_each_list_in_the_order_of_an_index(tmp_path: Path) -> None:
    path, seen = tmp_path / "ledger.db", list[str]()

    def connect(uri: str) -> sqlite3.Connection:
        connection = sqlite_file.connect(uri)
        connection.set_trace_callback(seen.append)
        return connection

    store = SqliteStore(path, "demo", rows.clock(), connect=connect)
    store.submit(rows.put(*many("a"))).result(WAIT)
    seen.clear()
    look: Callable[[Transaction], object] = lambda tx: (  # noqa: E731
        tx.list_reviews(states=OPEN, limit=50, after=(rows.at(400), "a")),
        tx.ended_reviews(b"t", limit=50),
        tx.count_reviews(OPEN),
    )
    store.submit(look).result(WAIT)
    store.close()
    statements = [statement for statement in seen if "FROM reviews" in statement]
    assert len(statements) == 1 + len(OPEN) + len(ENDED_STATES)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        plans = [connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall() for statement in statements]
    told = re.compile(
        r"SEARCH reviews USING (COVERING )?INDEX reviews_by_(deadline|topic) \(log=\? AND (topic=\? AND )?state=\?.*\)"
    )
    assert [told.fullmatch(" ".join(row[3] for row in plan)) is None for plan in plans] == [False] * len(plans)


def test_postgresql_reads_each_list_in_the_order_of_an_index(postgres: Server) -> None:
    url = postgres.new_database()
    store = PostgresStore(url, "demo", rows.clock())
    store.submit(rows.put(*many("a"))).result(WAIT)
    store.close()
    after = rows.at(400).nanos
    asked = [
        (postgres_reviews.LISTED, (Texts(OPEN), after, "a", 50, 50), "reviews_by_deadline"),
        (postgres_reviews.ENDED, (Texts(ENDED_STATES), b"t", 50, 50), "reviews_by_topic"),
    ]
    with psycopg.connect(url, autocommit=True) as connection:
        register(connection)
        connection.execute("ANALYZE reviews")
        for statement, values, index in asked:
            found = connection.execute(f"EXPLAIN (ANALYZE) {statement}", ("demo", *values)).fetchall()
            plan = "\n".join(row[0] for row in found)
            assert f"using {index} on reviews" in plan
            assert "Seq Scan" not in plan
            assert "Filter:" not in plan
            read = re.search(rf"using {index} on reviews.*?actual.*?rows=([\d.]+)", plan)
            assert read is not None
            assert float(read[1]) <= 50
