"""The embedded store and processes: killed at any moment, forked, two at once, limited by the system (S5.1, S11.1)."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demur.adapters.sqlite import SqliteReader, SqliteStore
from demur.core.ledger import chain
from demur.errors import OwnedElsewhereError, StoreError
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demur.ports import RequestRow, Transaction

# Newer Pythons warn of forking a process with threads, which is what is tried out here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

WAIT = 20
KILLS = int(os.environ.get("DEMUR_KILLS", "25"))
APPENDING = Path(__file__).with_name("appending.py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, "demo")
    assert store.submit(rows.append(0)).result(WAIT).sequence == 0
    yield store
    store.close()


def appending(path: Path, threads: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(APPENDING), str(path), str(threads)], stdout=subprocess.PIPE)


@pytest.mark.slow
def test_no_kill_loses_or_doubles_an_acknowledged_record(path: Path) -> None:
    SqliteStore(path, "demo").close()
    acknowledged: dict[str, tuple[int, str]] = {}
    for kill in range(KILLS):
        with appending(path, threads=1 + kill % 8) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == (b"killed\n" if kill else b"clean\n")
            time.sleep(0.006 * (kill * 7 % 25))
            process.kill()
            lines = process.stdout.read().decode().splitlines()
        for fields in (line.split(" ") for line in lines):
            # The last line may be cut off by the kill; what it acknowledged was not read by anybody.
            if len(fields) == 3 and len(fields[2]) == 64:
                acknowledged[fields[0]] = int(fields[1]), fields[2]
    check_all_there(path, acknowledged)


def check_all_there(path: Path, acknowledged: dict[str, tuple[int, str]]) -> None:
    reader = SqliteReader(path, "demo")
    stored = {record.sequence: record for record in reader.records()}
    chain.check(stored.values(), log="demo")
    names = {json.loads(record.leaf)["name"]: record for record in stored.values()}
    assert max(Counter(json.loads(record.leaf)["name"] for record in stored.values()).values()) == 1
    assert len(acknowledged) > KILLS
    for name, (sequence, record_hash) in acknowledged.items():
        assert names[name].sequence == sequence
        assert names[name].record_hash.hex() == record_hash
        assert reader.read(asking(name)) is not None
    reader.close()


def asking(name: str) -> Callable[[Transaction], RequestRow | None]:
    return lambda tx: tx.find_request(name.encode())


@pytest.mark.slow
def test_a_second_process_is_refused_and_told_the_first_ones_pid(path: Path) -> None:
    with appending(path, threads=1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            with pytest.raises(OwnedElsewhereError, match=f"owned by process {process.pid}"):
                SqliteStore(path, "demo")
            reader = SqliteReader(path, "demo")
            process.stdout.readline()
            assert reader.read(lambda tx: tx.head.size) > 0
            reader.close()
        finally:
            process.kill()
            process.stdout.read()
    store = SqliteStore(path, "demo")
    assert not store.was_clean
    store.close()
    again = SqliteStore(path, "demo")
    assert again.was_clean
    again.close()


@pytest.mark.slow
def test_a_file_that_may_not_grow_refuses_and_recovers(path: Path) -> None:
    """The system's limit on file sizes stands for a full disk: the write itself fails."""
    program = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from demur.adapters.sqlite import SqliteStore
from demur.errors import StoreError
from tests.stores import rows
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore({str(path)!r}, "demo")
store.submit(rows.append(0)).result(20)
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
for number in range(3):
    assert isinstance(store.submit(rows.keep("name", bytes(1_000_000))).exception(20), StoreError)
resource.setrlimit(resource.RLIMIT_FSIZE, before)
assert store.submit(rows.append(1)).result(20).sequence == 1
store.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    reader = SqliteReader(path)
    assert chain.check(reader.records(), log="demo").end.size == 2
    reader.close()


# Forks. The child reports by its exit code, since nothing it does may reach the parent's store.

CALLS: list[Callable[[SqliteStore], object]] = [
    lambda store: store.submit(rows.append(1)),
    lambda store: store.read(lambda tx: tx.head),
    lambda store: list(store.records()),
    lambda store: store.close(),
]


@pytest.mark.parametrize("call", CALLS)
def test_in_a_fork_every_call_is_refused(store: SqliteStore, call: Callable[[SqliteStore], object]) -> None:
    assert in_fork(lambda: refused(store, call)) == 0
    assert store.submit(rows.append(1)).result(WAIT).sequence == 1


def test_a_fork_that_ends_in_order_harms_nothing(store: SqliteStore, path: Path) -> None:
    """Even where the child frees the connection it inherited."""
    store.read(lambda tx: tx.head)

    def free() -> int:
        store._backend._connection = None
        store._reader._idle.clear()
        gc.collect()
        return 0

    assert in_fork(free) == 0
    assert [store.submit(rows.append(n)).result(WAIT).sequence for n in (1, 2)] == [1, 2]
    store.close()
    reader = SqliteReader(path)
    assert chain.check(reader.records(), log="demo").end.size == 3
    reader.close()


def test_a_fork_that_outlives_the_owner_keeps_nobody_out(path: Path) -> None:
    store = SqliteStore(path, "demo")
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(WAIT,))
    process.start()
    try:
        store.close()
        SqliteStore(path, "demo").close()
    finally:
        process.kill()
        process.join()


def refused(store: SqliteStore, call: Callable[[SqliteStore], object]) -> int:
    try:
        call(store)
    except StoreError as error:
        return 0 if "its fork" in str(error) else 2
    return 1


def in_fork(work: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        code = 9
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
