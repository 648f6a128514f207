"""Facts from a query: bound, read-only, one row or none, and whatever goes wrong makes them unknown (S2.1)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from demur.adapters.sources import DeclaredSources, open_sources
from demur.adapters.sql_source import SqlOpener
from demur.core.schema import Kind, Source, Type
from demur.core.terms import Missing, Timestamp
from demur.errors import ConfigurationError
from tests.adapters.facts import BOOL, INT, NOW, STRING, request, schema

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Server

TYPES = {
    "crm.vip": BOOL,
    "crm.max_amount": INT,
    "crm.note": STRING,
    "crm.since": Type(Kind.TIMESTAMP),
    "crm.rate": Type(Kind.DOUBLE),
}
QUERY = "SELECT vip, max_amount, note FROM customers WHERE id = :id"
PEOPLE = [("ann", 1, 500, "first"), ("o'brien", 0, 7, None), ("änn 漢字", 1, 9, "x")]
HOSTILE = [
    "' OR '1'='1",
    "ann'; DROP TABLE customers; --",
    "ann\x00",
    "%",
    "_nn",
    '"ann"',
    "ann UNION SELECT 1,2,3",
    ":id",
    "\\'",
]


def opened(url: str, query: str = QUERY, *, timeout_ms: int = 2_000, **parameters: str) -> DeclaredSources:
    sent = parameters or {"id": "subject.id"}
    settings: dict[str, Any] = {"connection": "crm", "query": query, "parameters": sent, "key": sorted(sent.values())}
    source = Source(name="crm", kind="sql", settings=settings, timeout_ms=timeout_ms)
    declared = schema(source, TYPES, optional=frozenset({"crm.note", "crm.max_amount"}))
    return open_sources(declared, {"sql": SqlOpener({"crm": url})})


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "crm ü.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id TEXT, vip INT, max_amount INT, note TEXT)")
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", PEOPLE)
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def server(postgres: Server) -> str:
    name = postgres.empty_database()
    postgres.execute("CREATE TABLE customers (id text, vip bool, max_amount bigint, note text)", name)
    rows = ", ".join(
        f"('{who.replace(chr(39), chr(39) * 2)}', {bool(vip)}, {most}, {repr(note) if note else 'NULL'})"
        for who, vip, most, note in PEOPLE
    )
    postgres.execute(f"INSERT INTO customers VALUES {rows}", name)
    return postgres.url(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue("file" if request.param == "sqlite" else "server")
    return found


def learn(sources: DeclaredSources, subject: str = "ann", *paths: str) -> dict[str, Any]:
    wanted = paths or ("crm.vip", "crm.max_amount", "crm.note")
    return {path: item.state for path, item in sources.learn(request(subject=subject), {"crm": wanted}, NOW).items()}


def why(sources: DeclaredSources, subject: str = "ann", path: str = "crm.vip") -> str:
    found = sources.learn(request(subject=subject), {"crm": (path,)}, NOW)[path]
    assert found.state is Missing.UNKNOWN
    return found.why


@pytest.mark.parametrize(("who", "vip", "most", "note"), PEOPLE)
def test_a_row_is_the_facts(url: str, who: str, vip: int, most: int, note: str | None) -> None:
    expected = {"crm.vip": bool(vip), "crm.max_amount": most, "crm.note": note or Missing.ABSENT}
    assert learn(opened(url), who) == expected


def test_no_row_means_that_there_is_none(url: str) -> None:
    found = learn(opened(url), "nobody")
    assert found == {"crm.vip": Missing.UNKNOWN, "crm.max_amount": Missing.ABSENT, "crm.note": Missing.ABSENT}


@pytest.mark.parametrize("subject", HOSTILE)
def test_what_is_bound_is_never_part_of_the_query(url: str, subject: str) -> None:
    sources = opened(url)
    assert learn(sources, subject)["crm.vip"] is Missing.UNKNOWN
    assert learn(sources, "ann")["crm.vip"] is True  # the table is still there, and the circuit is closed


def test_more_than_one_row_is_unknown(url: str) -> None:
    assert "more" in why(opened(url, "SELECT vip FROM customers WHERE id <> :id"))


def test_a_column_that_is_not_there_is_unknown(url: str) -> None:
    assert learn(opened(url), "ann", "crm.since")["crm.since"] is Missing.UNKNOWN


@pytest.mark.parametrize(
    "query",
    ["DELETE FROM customers WHERE id = :id", "UPDATE customers SET vip = 0 WHERE id = :id", "DROP TABLE customers"],
)
def test_it_cannot_write(url: str, query: str) -> None:
    assert "database" in why(opened(url, query))
    assert learn(opened(url))["crm.vip"] is True


def test_a_writing_query_within_a_select_does_not_write(server: str) -> None:
    query = "WITH gone AS (DELETE FROM customers WHERE id = :id RETURNING vip) SELECT vip FROM gone"
    assert "database" in why(opened(server, query))
    assert learn(opened(server))["crm.vip"] is True


def test_a_statement_ends_at_the_timeout(url: str) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS vip FROM n WHERE :id <> ''"
    )
    sources = opened(url, endless, timeout_ms=300)
    # The calls end, and are counted: hanging ones would only be left behind.
    assert "not asked for now" in [why(sources) for _ in range(7)][-1]


def test_exact_numbers_and_times_of_postgresql(server: str) -> None:
    query = "SELECT 7::numeric AS max_amount, 0.5::numeric AS rate, timestamptz '2026-11-20 10:00:00+01' AS since WHERE :id <> ''"
    found = learn(opened(server, query), "ann", "crm.max_amount", "crm.rate", "crm.since")
    assert found == {"crm.max_amount": 7, "crm.rate": 0.5, "crm.since": Timestamp(1_795_165_200 * 10**9)}


def test_a_time_without_a_zone_is_unknown(server: str) -> None:
    query = "SELECT timestamp '2026-11-20 10:00:00' AS since WHERE :id <> ''"
    assert learn(opened(server, query), "ann", "crm.since")["crm.since"] is Missing.UNKNOWN


def test_a_part_that_the_request_lacks_is_unknown(url: str) -> None:
    assert "action.amount" in why(opened(url, QUERY, id="action.amount"))


def test_a_file_that_is_gone_opens_the_circuit_and_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    sources = opened(f"sqlite:///{path}")
    said = [why(sources) for _ in range(7)]
    assert "could not be asked" in said[0]
    assert "not asked for now" in said[-1]
    assert not path.exists()


def test_nothing_of_the_url_is_told(tmp_path: Path) -> None:
    sources = opened("postgresql://ann:hunter2@127.0.0.1:1/crm", timeout_ms=5_000)
    assert "hunter2" not in why(sources)


@pytest.mark.parametrize(
    "url", ["", "hunter2", "mysql://ann:hunter2@host/db", "sqlite://", "sqlite:///:memory:", "oracle://x"]
)
def test_a_connection_that_cannot_serve_does_not_open(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEMUR_CONNECTION_CRM", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        opened(url)
    assert "hunter2" not in caught.value.diagnostics()


def test_the_environment_names_the_connection(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUR_CONNECTION_CRM", file)
    assert learn(opened(""))["crm.vip"] is True
