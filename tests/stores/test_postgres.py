"""PostgreSQL's own promises: unsafe servers are refused, the clock is shared, passwords stay hidden, keys go."""

from __future__ import annotations

import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import demur
from demur.adapters import postgres_connection, postgres_keys, postgres_owner
from demur.adapters.postgres import PostgresReader, PostgresStore
from demur.adapters.postgres_arrays import Bytes, Numbers, Texts, register
from demur.adapters.postgres_connection import Place
from demur.adapters.postgres_keys import PostgresKeys, open_vault
from demur.adapters.sqlite_file import REVISIONS
from demur.adapters.wrapping import MasterKey
from demur.core.ledger import chain
from demur.core.terms import MAX_INT
from demur.errors import ConfigurationError, ForgottenError, LedgerError, StoreError
from demur.ports import Usage
from demur.wiring import Settings, open_gate, prepare_databases
from tests.faults.test_races import POLICY, call
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.ports import Transaction
    from tests.postgres import Server

WAIT = 30


def database_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def until_refused(store: PostgresStore) -> str:
    """Appends until that fails, and tells how."""
    for _ in range(1_000):
        error = store.submit(rows.append()).exception(WAIT)
        if error is not None:
            return str(error)
        time.sleep(0.01)
    return "nothing"


# Servers that could lose what was acknowledged.


@pytest.mark.parametrize("setting", ["synchronous_commit=off", "synchronous_commit=local"])
def test_a_database_that_commits_before_the_disk_has_it_is_refused(postgres: Server, setting: str) -> None:
    url = postgres.new_database()
    name, value = setting.split("=")
    postgres.execute(f"ALTER DATABASE {database_of(url)} SET {name} = {value}")
    with pytest.raises(StoreError, match=rf"expected `{name}` at .* to be `on` or `remote_apply`, found `{value}`"):
        PostgresStore(url, "demo")


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_becomes_unsafe_is_refused_at_once(postgres: Server, name: str) -> None:
    """The settings are read again in every turn: a reload changes them under a replica that runs."""
    store = PostgresStore(postgres.new_database(), "demo")
    store.submit(rows.append()).result(WAIT)
    try:
        postgres.configure(name, "off")
        told = until_refused(store)
    finally:
        postgres.configure(name, "on")
    assert re.search(f"expected `{name}` at .* to be `on`, found `off`", told)
    store.close()


def test_a_table_that_is_not_in_the_log_is_refused(postgres: Server) -> None:
    url = postgres.new_database()
    postgres.execute("ALTER TABLE spends SET UNLOGGED", database_of(url))
    with pytest.raises(StoreError, match=r"every table .* in the write-ahead log, found `spends` without it"):
        PostgresStore(url, "demo")


def test_a_database_in_another_encoding_is_refused(postgres: Server) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="in the encoding `UTF8`, found `LATIN1`"):
        PostgresStore(postgres.url("latin"), "demo")


def test_tables_of_a_newer_version_are_refused(postgres: Server) -> None:
    url = postgres.new_database()
    postgres.execute("UPDATE alembic_version SET version_num = '9999'", database_of(url))
    with pytest.raises(StoreError, match=r"expected tables of revision .* found `9999`"):
        PostgresStore(url, "demo")


def test_64_threads_make_the_tables_once(postgres: Server) -> None:
    place = Place.read(postgres.url(postgres.empty_database()))
    failures: list[StoreError] = []

    def migrate() -> None:
        try:
            postgres_connection.migrate(place)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert failures == []


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@nowhere.invalid:1/x", "host=nowhere.invalid password=hunter2"])
def test_no_message_tells_a_password(url: str) -> None:
    with pytest.raises(StoreError, match=r"could not open the store at `nowhere.invalid/") as caught:
        PostgresStore(url, "demo")
    shown = f"{caught.value!r} {caught.value.__cause__!r} {Place.read(url)!r} {Settings(Path(), store=url, keys=url)!r}"
    assert "hunter2" not in shown


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@[", "hunter2", "a=hunter2"])
def test_what_is_no_url_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a URL of a PostgreSQL database") as caught:
        PostgresStore(url, "demo")
    assert "hunter2" not in str(caught.value)


# Several replicas.


@pytest.mark.slow
def test_two_replicas_write_one_chain_and_one_tree(postgres: Server) -> None:
    url = postgres.new_database()
    stores = [PostgresStore(url, "demo") for _ in range(2)]
    for number in range(600):
        stores[number % 3 % 2].submit(rows.append(number)).result(WAIT)
    trees = [store.submit(lambda tx: tx.tree()).result(WAIT) for store in stores]
    assert trees[0] == trees[1] == stores[0].read(lambda tx: tx.tree())
    assert chain.check(stores[1].records(), log="demo").end.size == trees[0].size == 600
    for store in stores:
        store.close()


def test_counters_count_what_other_replicas_granted(postgres: Server) -> None:
    url = postgres.new_database()
    one, other = PostgresStore(url, "demo", rows.clock()), PostgresStore(url, "demo", rows.clock())
    usage: Callable[[Transaction], Usage] = lambda tx: tx.usage("refunds", b"k", rows.at(-1))  # noqa: E731
    for number in range(4):
        store, next_one = (one, other) if number % 2 else (other, one)
        store.submit(rows.put(rows.spend(f"g{number}"))).result(WAIT)
        assert next_one.submit(usage).result(WAIT) == Usage(number + 1, number + 1)
    one.submit(lambda tx: tx.release("g0")).result(WAIT)
    assert other.submit(usage).result(WAIT) == Usage(3, 3)
    one.close()
    other.close()


def test_time_never_runs_backwards_from_one_replica_to_the_next(postgres: Server) -> None:
    url, slow = postgres.new_database(), rows.clock()
    slow.advance(-3_600)
    one, other = PostgresStore(url, "demo", rows.clock()), PostgresStore(url, "demo", slow)
    one.submit(rows.append()).result(WAIT)
    assert other.submit(lambda tx: tx.now).result(WAIT) == rows.START
    assert other.submit(rows.append()).result(WAIT).timestamp == rows.START
    one.close()
    other.close()


def test_the_clock_is_the_databases(postgres: Server) -> None:
    url = postgres.new_database()
    store = PostgresStore(url, "demo")
    query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    before = postgres.execute(query)[0][0] * 1_000
    at = store.submit(rows.append()).result(WAIT).timestamp.nanos
    after = postgres.execute(query)[0][0] * 1_000
    assert before - 1_000 <= at <= after + 1_000
    reader = PostgresReader(url)
    assert reader.read(lambda tx: tx.now).nanos >= at
    reader.close()
    store.close()


def test_a_replica_that_vanished_is_noticed_once(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens after it was silent for long enough learns of it, and only the first of them (S5.2)."""
    url = postgres.new_database()
    killed = PostgresStore(url, "demo")
    killed._replica.abandon()
    assert PostgresStore(url, "demo").was_clean
    monkeypatch.setattr(postgres_owner, "GONE_SECONDS", 0)
    assert not PostgresStore(url, "demo").was_clean
    monkeypatch.undo()
    assert PostgresStore(url, "demo").was_clean


def test_a_replica_that_was_taken_for_gone_goes_on_under_another_stamp(postgres: Server) -> None:
    url = postgres.new_database()
    store = PostgresStore(url, "demo", writer_id="ab" * 8)
    store.submit(rows.append()).result(WAIT)
    postgres.execute("DELETE FROM meta WHERE name LIKE 'store.replica.%'", database_of(url))
    store._replica.abandon()
    store.submit(rows.append()).result(WAIT)
    writers = [chain.read_leaf(record.leaf)["writer"] for record in store.records()]
    assert writers == [{"id": "ab" * 8, "epoch": 1, "n": 0}, {"id": "ab" * 8, "epoch": 2, "n": 0}]
    store.close()


def test_a_database_put_back_to_an_older_state_is_not_written(postgres: Server) -> None:
    url = postgres.new_database()
    store = PostgresStore(url, "demo")
    for number in range(3):
        store.submit(rows.append(number)).result(WAIT)
    other = PostgresStore(postgres.new_database(), "demo")
    other.submit(rows.append(7)).result(WAIT)
    # Under the very name, another ledger of this log.
    store._replica.abandon()
    store._replica._place = other._replica._place
    with pytest.raises(
        StoreError, match=r"expected the acknowledged record 2 .* found a ledger of 1 records without it"
    ):
        store.submit(rows.append(3)).result(WAIT)
    assert [record.sequence for record in other.records()] == [0]
    store._replica._place = Place.read(url)
    assert store.submit(rows.append(3)).result(WAIT).sequence == 3
    store.close()
    other.close()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DELETE FROM sealed; DELETE FROM records", r"expected 32 bytes of `tile/0/000.p/1`, found 0"),
        (
            "INSERT INTO records SELECT log, 1, leaf, record_hash FROM records",
            r"expected 1 records at .*, as its head says, found 2",
        ),
        ("UPDATE records SET record_hash = ''", r"expected 1 records at .*, as its head says, found 1 or others"),
        ("DELETE FROM meta WHERE name = 'store.head'", r"the head of log `demo` at .* is gone"),
        ("UPDATE meta SET value = 'x' WHERE name = 'store.head'", r"a row of the store's own was altered"),
    ],
)
def test_records_changed_behind_the_head_are_noticed_at_the_next_opening(
    postgres: Server, change: str, found: str
) -> None:
    url = postgres.new_database()
    store = PostgresStore(url, "demo")
    store.submit(rows.append()).result(WAIT)
    store.close()
    postgres.execute(change, database_of(url))
    with pytest.raises((StoreError, LedgerError), match=found):
        PostgresStore(url, "demo")


# Hostile values.


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\0"])
def test_a_text_that_the_database_cannot_hold_fails_its_own_work_only(postgres: Server, text: str) -> None:
    store = PostgresStore(postgres.emptied_database(), "demo", rows.clock())
    writes: list[Callable[[Transaction], object]] = [
        rows.put(rows.grant(text)),
        rows.put(rows.review(text)),
        rows.put(rows.spend(text)),
        lambda tx: tx.settle(text),
        lambda tx: tx.release(text),
        lambda tx: tx.put_meta(text, b""),
        lambda tx: tx.put_blob(text, b""),
    ]
    futures = [store.submit(write) for write in writes]
    good = store.submit(rows.append())
    assert all(isinstance(future.exception(WAIT), StoreError) for future in futures)
    assert good.result(WAIT).sequence == 0
    look: Callable[[Transaction], Any] = lambda tx: (  # noqa: E731
        tx.find_grant(text), tx.find_review(text), tx.find_meta(text), tx.find_blob(text),
        tx.list_reviews(states=(text,), limit=9), tx.usage(text, b"k", rows.at(0)),
    )  # fmt: skip
    assert store.submit(look).result(WAIT) == store.read(look) == (None, None, None, None, (), Usage(0, 0))
    store.close()


def test_columns_arrive_as_they_were_sent(postgres: Server) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        register(connection)
        sent: list[tuple[Any, list[Any]]] = [
            (Bytes, [b"", b"\0", bytes(range(256)), b"x" * 70_000]),
            (Texts, ["", "Überweisung", "日本語", "'; DROP TABLE records; --", "\\x00"]),
            (Numbers, [0, -1, MAX_INT, -MAX_INT, 2**63 - 1, -(2**63)]),
            (Texts, []),
        ]
        for column, values in sent:
            assert connection.execute("SELECT %s", (column(values),), binary=True).fetchall() == [(values,)]


# The persons' keys.


def test_a_destroyed_key_is_gone_for_every_replica(postgres: Server) -> None:
    """Also from their memory, when `destroy` has returned (S5.5)."""
    url, master = postgres.keys_database(), MasterKey(bytes(32))
    one, other = PostgresKeys(url, "demo", master), PostgresKeys(url, "demo", master)
    key_id = one.of(b"alice").id
    assert other.by_id(key_id).id == other.of(b"alice").id == key_id
    one.destroy([key_id])
    for keys in (one, other):
        with pytest.raises(ForgottenError):
            keys.by_id(key_id)
        assert keys.ids_of(b"alice") == ()
    assert one.destroy([key_id]) in {True, False}
    assert other.of(b"alice").id != key_id
    one.close()
    other.close()


@pytest.mark.slow
def test_a_copy_is_left_until_the_databases_log_has_moved_on(postgres: Server) -> None:
    url = postgres.keys_database()
    keys = PostgresKeys(url, "demo", MasterKey(bytes(32)))
    key_id = keys.of(b"alice").id
    postgres.configure("wal_recycle", "off")
    try:
        assert not keys.destroy([key_id])
        postgres.execute("SELECT pg_switch_wal()")
        postgres.execute("CHECKPOINT")
        for _ in range(3):
            postgres.execute("CREATE TABLE filler AS SELECT 1; DROP TABLE filler; SELECT pg_switch_wal()")
            postgres.execute("CHECKPOINT")
        assert keys.destroy([key_id])
    finally:
        postgres.configure("wal_recycle", "on")
    assert key_id.encode() not in b"".join(
        path.read_bytes() for path in postgres.files() if path.stat().st_size < 1 << 26
    )
    keys.close()


def test_keys_survive_a_connection_that_was_cut(postgres: Server) -> None:
    url = postgres.keys_database()
    keys = PostgresKeys(url, "demo", MasterKey(bytes(32)))
    first = keys.of(b"alice").id
    for _ in range(2):
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database_of(url)}'")
        time.sleep(2 * postgres_keys.FRESH_SECONDS)
        assert keys.of(b"alice").id == first
    keys.close()


def test_keys_and_ledger_are_never_one_database(postgres: Server) -> None:
    with pytest.raises(ConfigurationError, match="expected a database of its own for the persons' keys"):
        PostgresKeys(postgres.new_database(), "demo", MasterKey(bytes(32)))


def test_a_replica_with_other_key_files_is_refused(postgres: Server, tmp_path: Path) -> None:
    url = postgres.keys_database()
    vault = open_vault(tmp_path / "one", "demo", url)
    vault.seal("alice", "sha256:" + "ab" * 32, {})
    with pytest.raises(ConfigurationError, match=r"master.key` cannot be read"):
        open_vault(tmp_path / "two", "demo", url)
    (tmp_path / "two" / "master.key").write_bytes(b"x" * 32)
    (tmp_path / "two" / "master.key").chmod(0o600)
    with pytest.raises((ConfigurationError, LedgerError)):
        open_vault(tmp_path / "two", "demo", url)
    vault.close()


# Wiring.


@pytest.mark.parametrize(("store", "keys"), [("postgresql://x/y", ""), ("mysql://x/y", "postgresql://x/y")])
def test_a_store_needs_a_database_of_keys_and_both_are_postgresql(tmp_path: Path, store: str, keys: str) -> None:
    (tmp_path / "rate.yaml").write_text("demur: 1\nnamespace: a\nactions: {call: {}}\nrules: []\n")
    with pytest.raises(ConfigurationError, match="to name a database"):
        open_gate(Settings(tmp_path, tmp_path / "home", store=store, keys=keys))


def test_the_roles_of_the_guide_let_a_gate_work_and_change_no_record(
    postgres: Server, tmp_path: Path, root: Path
) -> None:
    guide = (root / "docs" / "guides" / "postgres.md").read_text()
    _, for_ledger, for_keys = re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
    store, keys = postgres.new_database(), postgres.url(postgres.empty_database())
    assert prepare_databases(store, keys) == REVISIONS[-1]
    postgres.execute(for_ledger, database_of(store))
    postgres.execute(for_keys, database_of(keys))
    as_gate = [url.replace("postgres@", "demur_gate@") for url in (store, keys)]
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "rate.yaml").write_text(POLICY)
    gate = open_gate(Settings(tmp_path / "policies", tmp_path / "home", store=as_gate[0], keys=as_gate[1])).gate
    grant = gate.decide({**call("user"), "request_id": "r-1"})
    assert isinstance(grant, demur.Grant)
    assert gate.decide({**call("user"), "request_id": "r-1"}) == grant
    assert isinstance(gate.redeem(grant.token, {}), demur.Redemption)
    revoked = gate.decide(call("user"))
    assert isinstance(revoked, demur.Grant)
    assert gate.revoke(revoked.id) is None
    gate.close()
    with psycopg.connect(as_gate[0], autocommit=True) as connection:
        for change in (
            "DELETE FROM records",
            "UPDATE records SET leaf = ''",
            "DELETE FROM sealed",
            "DROP TABLE records",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change.encode())


@pytest.mark.slow
def test_a_server_that_was_stopped_and_started_is_used_again(postgres: Server) -> None:
    store = PostgresStore(postgres.new_database(), "demo")
    store.submit(rows.append()).result(WAIT)
    postgres.stop(signal.SIGQUIT)
    with pytest.raises(StoreError):
        store.submit(rows.append()).result(WAIT)
    postgres.start()
    end = time.monotonic() + WAIT
    while True:
        try:
            assert store.submit(rows.append()).result(WAIT).sequence == 1
        except StoreError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            break
    store.close()
