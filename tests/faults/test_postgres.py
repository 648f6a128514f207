"""Several gates on one database: exact quotas, grants used once, nothing lost whoever dies (S4.2, S5.1, S6.1).

`python -m tests.faults.postgres_stops` and `python -m tests.faults.postgres_cuts` are the long versions.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import demur
from demur.adapters.postgres import PostgresReader, PostgresStore
from demur.core.ledger import chain
from demur.errors import StoreError
from demur.wiring import Settings, open_gate
from tests.faults import postgres_cuts, postgres_stops
from tests.faults.postgres_replicas import Replicas, open_apart
from tests.faults.test_races import POLICY, call
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from demur.ports import Transaction
    from tests.postgres import Server

PROCESSES = 4
WAIT = 60
HARM = ("lost", "duplicated", "reordered", "unallowed")


class Child:
    """A forked process that runs `work`, a function of what it is told; both sides speak MessagePack, one by one."""

    def __init__(self, work: Callable[[Child], None]) -> None:
        to_parent, to_child = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(to_parent[1])
            os.close(to_child[0])
            self._read, self._write = os.fdopen(to_parent[0], "rb"), os.fdopen(to_child[1], "wb")
            return
        self._read, self._write = os.fdopen(to_child[0], "rb"), os.fdopen(to_parent[1], "wb")
        try:
            work(self)
        except BaseException:  # noqa: BLE001  (a forked process must never return into its parent's code)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)

    def tell(self, value: object) -> None:
        data = msgspec.msgpack.encode(value)
        self._write.write(len(data).to_bytes(4, "big") + data)
        self._write.flush()

    def hear(self) -> Any:
        size = int.from_bytes(self._read.read(4), "big")
        assert size, "the other side has ended"
        return msgspec.msgpack.decode(self._read.read(size))

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._read.close()
        self._write.close()


def gate(settings: Settings) -> Callable[[Child], None]:
    """Opens a gate; asks so many times at once; then tries to redeem every grant there is."""

    def work(parent: Child) -> None:
        opened = open_gate(settings).gate
        parent.tell("ready")
        asked = parent.hear()
        with ThreadPoolExecutor(len(asked)) as pool:
            answers = list(pool.map(opened.decide, asked))
            parent.tell([answer.token if isinstance(answer, demur.Grant) else "" for answer in answers])
            tokens = parent.hear()
            redeemed = list(pool.map(lambda token: opened.redeem(token, {}), tokens))
        parent.tell([isinstance(answer, demur.Redemption) for answer in redeemed])
        parent.hear()
        opened.close()
        parent.tell("closed")

    return work


def writers_of(url: str) -> dict[tuple[str, int], list[int]]:
    """The counts that each writer stamped its records with, in the order of the ledger, which is checked."""
    stamps: dict[tuple[str, int], list[int]] = defaultdict(list)
    reader = PostgresReader(url)
    for record in reader.records():
        writer = msgspec.json.decode(record.leaf)["writer"]
        stamps[writer["id"], writer["epoch"]].append(writer["n"])
    chain.check(reader.records(), log=reader.log)
    reader.close()
    return stamps


@pytest.mark.slow
def test_200_calls_racing_over_four_processes_at_a_limit_of_100_get_exactly_100_grants(
    postgres: Server, tmp_path: Path
) -> None:
    """And each of the grants is redeemed once, although every process tries to redeem each of them (S6.1)."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "rate.yaml").write_text(POLICY)
    store, keys = postgres.new_database(), postgres.keys_database()
    settings = Settings(tmp_path / "policies", tmp_path / "home", store=store, keys=keys)
    open_apart(lambda: open_gate(settings))
    children = [Child(gate(settings)) for _ in range(PROCESSES)]
    try:
        assert [child.hear() for child in children] == ["ready"] * PROCESSES
        for child in children:
            child.tell([call("user")] * 50)
        tokens = [token for child in children for token in child.hear() if token]
        assert len(tokens) == len(set(tokens)) == 100
        for number, child in enumerate(children):
            child.tell(tokens[number * 25 :] + tokens[: number * 25])
        redeemed: Counter[str] = Counter()
        for number, child in enumerate(children):
            order = tokens[number * 25 :] + tokens[: number * 25]
            redeemed.update(token for token, is_redeemed in zip(order, child.hear(), strict=True) if is_redeemed)
        assert redeemed == Counter(tokens)
        for child in children:
            child.tell("close")
        assert [child.hear() for child in children] == ["closed"] * PROCESSES
    finally:
        for child in children:
            child.end()
    stamps = writers_of(store)
    assert len(stamps) == PROCESSES + 1
    assert all(counts == list(range(len(counts))) for counts in stamps.values())


@pytest.mark.slow
def test_replicas_killed_at_any_moment_lose_nothing(postgres: Server, tmp_path: Path) -> None:
    replicas = Replicas(tmp_path, postgres, 3)
    replicas.start()
    try:
        for number in range(9):
            replicas.progress(3)
            member = replicas.members[number % 3]
            member.end()
            replicas.check()
            replicas.begin(member)
    finally:
        replicas.stop()
    counts = replicas.counts()
    assert (replicas.faults(), [counts[name] for name in HARM]) == ([], [0] * 4)
    assert counts["acknowledged"] > 50


@pytest.mark.slow
def test_a_server_stopped_at_once_and_started_again_loses_nothing() -> None:
    counts, faults = postgres_stops.run(3)
    assert (faults, [counts[name] for name in HARM]) == ([], [0] * 4)
    assert counts["acknowledged"] > 20


@pytest.mark.slow
def test_connections_cut_at_commit_lose_nothing_and_write_nothing_twice() -> None:
    counts, faults = postgres_cuts.run(24)
    assert (faults, [counts[name] for name in HARM]) == ([], [0] * 4)
    assert min(counts["cut-before"], counts["cut-after"]) > 3


def test_a_replica_that_hangs_in_its_turn_loses_it(postgres: Server) -> None:
    """The head row is free again after the patience of the others, and what the hanging one wrote is not there."""
    url = postgres.new_database()

    def hang(parent: Child) -> None:
        store = PostgresStore(url, "demo", patience_seconds=1)

        def work(tx: Transaction) -> None:
            tx.append(rows.draft(13))
            parent.tell("hangs")
            parent.hear()

        try:
            store.submit(work).result(WAIT)
        except StoreError as error:
            parent.tell(str(error))

    child = Child(hang)
    other = PostgresStore(url, "demo", patience_seconds=1)
    try:
        assert child.hear() == "hangs"
        os.kill(child.pid, signal.SIGSTOP)
        entry = other.submit(rows.append(1)).result(WAIT)
        assert entry.sequence == 0
        os.kill(child.pid, signal.SIGCONT)
        child.tell("go on")
        assert "could not commit" in child.hear()
        assert [record.sequence for record in other.records()] == [0]
    finally:
        child.end()
        other.close()


def test_a_store_that_lost_its_database_answers_again_by_itself(postgres: Server) -> None:
    store = PostgresStore(postgres.new_database(), "demo")
    store.submit(rows.append(1)).result(WAIT)
    database = store._replica._place.url.partition("?")[0].rpartition("/")[2]
    for _ in range(3):
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
        with pytest.raises(StoreError):
            store.submit(rows.append(2)).result(WAIT)
        assert store.submit(rows.append(3)).result(WAIT).sequence == len(list(store.records())) - 1
    store.close()


def test_readers_are_never_blocked_by_a_writer_in_its_turn(postgres: Server) -> None:
    store = PostgresStore(postgres.new_database(), "demo")
    running, release = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        tx.append(rows.draft())
        running.set()
        assert release.wait(WAIT)

    future = store.submit(work)
    assert running.wait(WAIT)
    begun = time.monotonic()
    assert store.read(lambda tx: tx.head.size) == 0
    assert time.monotonic() - begun < WAIT
    release.set()
    future.result(WAIT)
    assert store.read(lambda tx: tx.head.size) == 1
    store.close()
