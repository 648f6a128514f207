"""Each durable store against the one in memory: the same works, in groups, with restarts, end in the same state."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from demur.adapters.memory import MemoryStore
from demur.adapters.postgres import PostgresReader, PostgresStore
from demur.adapters.sqlite import SqliteReader, SqliteStore
from demur.core.ledger import chain, merkle
from demur.ports import SpendRow, StoredRecord, Tree, Usage
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.terms import Timestamp
    from demur.ports import Store, Transaction
    from tests.postgres import Server

WAIT = 20
NAMES = st.sampled_from(["a", "b", "c"])
STATES = st.sampled_from(["pending", "approved", "denied"])
SECONDS = st.integers(min_value=0, max_value=6)

Step = tuple[str, tuple[Any, ...]]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("append"), st.tuples(st.integers(0, 9), st.booleans())),
    st.tuples(st.just("request"), st.tuples(NAMES, st.integers(0, 9))),
    st.tuples(st.just("grant"), st.tuples(NAMES, STATES)),
    st.tuples(st.just("review"), st.tuples(NAMES, STATES, SECONDS, st.integers(0, 3), NAMES, NAMES)),
    st.tuples(st.just("spend"), st.tuples(NAMES, NAMES, st.integers(-5, 5), SECONDS, SECONDS)),
    st.tuples(st.just("settle"), st.tuples(NAMES)),
    st.tuples(st.just("release"), st.tuples(NAMES)),
    st.tuples(st.just("meta"), st.tuples(NAMES, st.binary(max_size=3))),
    st.tuples(st.just("blob"), st.tuples(NAMES, st.binary(max_size=3))),
)
WORKS = st.tuples(st.lists(STEPS, max_size=4), st.booleans())


class GivenUpError(Exception):
    """Ends a work that is to be discarded."""


class Model(RuleBasedStateMachine):
    """Applies the same groups to both stores."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = rows.clock()
        self.memory = MemoryStore("demo", self.clock)
        self.start()
        self.durable = self.open()
        self.spent: dict[tuple[str, int, str], SpendRow] = {}

    def start(self) -> None:
        self.path = Path(self.folder.name) / "ledger.db"

    def open(self) -> Store:
        return SqliteStore(self.path, "demo", self.clock)

    def open_reader(self) -> SqliteReader | PostgresReader:
        return SqliteReader(self.path, clock=self.clock)

    def teardown(self) -> None:
        self.memory.close()
        self.durable.close()
        self.folder.cleanup()

    @rule(works=st.lists(WORKS, min_size=1, max_size=5))
    def run_group(self, works: list[tuple[list[Step], bool]]) -> None:
        answers = []
        for store in (self.memory, self.durable):
            futures = [store.submit(work(steps, is_kept=is_kept)) for steps, is_kept in works]
            answers.append([answer(future) for future in futures])
        assert answers[0] == answers[1]
        for steps, is_kept in works:
            self.count(steps if is_kept else [])

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.durable.close()
        self.durable = self.open()
        assert self.durable.was_clean

    @invariant()
    def both_hold_the_same(self) -> None:
        whole = [store.read(everything) for store in (self.memory, self.durable)]
        assert whole[0] == whole[1]
        assert self.memory.submit(everything).result(WAIT) == whole[0] == self.durable.submit(everything).result(WAIT)
        assert [told(record) for record in self.memory.records()] == [told(record) for record in self.durable.records()]
        reader = self.open_reader()
        assert reader.read(everything) == whole[0]
        reader.close()
        chain.check(self.durable.records(), log="demo")

    @invariant()
    def the_tree_is_that_of_the_records(self) -> None:
        for store in (self.memory, self.durable):
            hashes = [record.record_hash for record in store.records()]
            expected = Tree(len(hashes), merkle.root(hashes))
            assert expected == store.read(tree) == store.submit(tree).result(WAIT)

    @invariant()
    def each_writer_counts_without_gaps(self) -> None:
        for store in (self.memory, self.durable):
            counts: dict[tuple[str, int], int] = {}
            for record in store.records():
                writer: Any = chain.read_leaf(record.leaf)["writer"]
                name = writer["id"], writer["epoch"]
                assert writer["n"] == counts.get(name, 0)
                counts[name] = writer["n"] + 1

    @invariant()
    def counters_say_what_the_definition_says(self) -> None:
        now = self.clock.now()
        for key in "abc":
            for since in (rows.at(0), rows.at(3)):
                counted = [
                    row
                    for row in self.spent.values()
                    if row.key == key.encode() and row.at >= since and row.expires_at > now
                ]
                expected = Usage(len(counted), sum(row.amount for row in counted))
                assert expected == self.durable.submit(usage(key, since)).result(WAIT)

    def count(self, steps: list[Step]) -> None:
        """The definition of S4.1, written a second time."""
        now = self.clock.now()
        for name, values in steps:
            if name == "spend":
                row = spending(*values)
                self.spent[values[1], row.at.nanos, row.grant_id] = row
            for place, row in list(self.spent.items()):
                if name == "release" and row.grant_id == values[0]:
                    del self.spent[place]
                elif name == "settle" and row.grant_id == values[0] and row.expires_at > now:
                    self.spent[place] = rows.spend(
                        row.grant_id,
                        amount=row.amount,
                        when=(row.at.nanos - rows.START.nanos) / 1e9,
                        expires=1e9,
                        key=row.key.decode(),
                    )


def spending(grant_id: str, key: str, amount: int, when: int, expires: int) -> SpendRow:
    return rows.spend(grant_id, amount=amount, when=when, expires=expires, key=key)


def work(steps: list[Step], *, is_kept: bool) -> Callable[[Transaction], object]:
    def run(tx: Transaction) -> object:
        for name, values in steps:
            apply(tx, name, values)
        if not is_kept:
            raise GivenUpError
        return everything(tx)

    return run


def apply(tx: Transaction, name: str, values: tuple[Any, ...]) -> None:
    calls: dict[str, Callable[..., object]] = {
        "append": lambda number, sealed: tx.append(rows.draft(number, is_sealed=sealed)),
        "request": lambda *v: tx.put_request(rows.request(*v)),
        "grant": lambda *v: tx.put_grant(rows.grant(*v)),
        "review": lambda name, state, due, n, m, t: tx.put_review(
            rows.review(name, state=state, deadline=due, sequence=n, match=m, topic=t)
        ),
        "spend": lambda *v: tx.spend(spending(*v)),
        "settle": tx.settle,
        "release": tx.release,
        "meta": tx.put_meta,
        "blob": tx.put_blob,
    }
    calls[name](*values)


def usage(key: str, since: Timestamp) -> Callable[[Transaction], Usage]:
    return lambda tx: tx.usage("refunds", key.encode(), since)


def answer(future: Any) -> object:
    error = future.exception(WAIT)
    return type(error) if error else future.result()


def tree(tx: Transaction) -> Tree:
    return tx.tree()


def told(record: StoredRecord | None) -> object:
    """What is the same for every writer."""
    if record is None:
        return None
    leaf = chain.read_leaf(record.leaf)
    return record.sequence, {name: leaf[name] for name in leaf if name not in {"writer", "previous_hash"}}


def everything(tx: Transaction) -> tuple[object, ...]:
    """All that can be asked, but for hashes: they depend on who wrote."""
    names = ("a", "b", "c")
    return (
        (tx.head.size, tx.tree().size, tx.find_checkpoint(), tx.list_checkpoints(limit=9)),
        [(told(tx.find_record(n)), tx.find_sealed(n)) for n in range(tx.head.size + 1)],
        [(tx.find_request(n.encode()), tx.find_grant(n), tx.find_review(n)) for n in names],
        [(tx.find_meta(n), tx.find_blob(n), tx.matching_reviews(n.encode())) for n in names],
        [tx.list_reviews(states=("pending", "denied"), limit=n) for n in (1, 2, 5)],
        [tx.list_reviews(states=("pending", "denied"), limit=2, after=(rows.at(3), n)) for n in names],
        [tx.ended_reviews(n.encode(), limit=2) for n in names],
        [tx.count_reviews(states) for states in ((), ("pending",), ("denied", "approved"))],
        [tx.usage("refunds", n.encode(), rows.at(since)) for n in names for since in (2, 0, 4)],
    )


class PostgresModel(Model):
    """The same, with a second replica that writes every other group."""

    server: Server

    def start(self) -> None:
        self.url = self.server.emptied_database()

    def open(self) -> Store:
        return PostgresStore(self.url, "demo", self.clock)

    def open_reader(self) -> SqliteReader | PostgresReader:
        return PostgresReader(self.url, clock=self.clock)

    @initialize()
    def join(self) -> None:
        self.other = self.open()

    @rule()
    def take_turns(self) -> None:
        self.durable, self.other = self.other, self.durable

    def teardown(self) -> None:
        self.other.close()
        super().teardown()


@pytest.fixture
def _server(postgres: Server) -> None:
    PostgresModel.server = postgres


BOUNDS = settings(max_examples=settings().max_examples, stateful_step_count=12, deadline=None)
TestModel = Model.TestCase
TestModel.settings = BOUNDS
TestPostgresModel = pytest.mark.slow(pytest.mark.usefixtures("_server")(PostgresModel.TestCase))
TestPostgresModel.settings = settings(BOUNDS, max_examples=max(5, settings().max_examples // 10))
