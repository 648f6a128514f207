"""The ledger: durable appends beside those of peers, proofs, and offline verification, in one run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import ledger_peers, ledger_tree
from bench.table import Table, verdict
from bench.timing import fsync_p50
from demur import wiring
from demur.adapters.keys import KeyVault
from demur.adapters.sqlite import SqliteStore
from demur.core.ledger import chain, tile
from demur.core.ledger.tile import Frontier
from demur.core.record import Draft
from demur.evaluation import export
from demur.verifier import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.ports import StoredRecord

THREADS = 64
WARM_UP = 50
TRIES = 5
ROUNDS = 5
SYNCED = "witness-log, log.sync() after each"
UNSYNCED = "witness-log, unsynced"
FLOOR = "json.loads and sha256 of the same bytes"
TOOLKIT = "agent-governance-toolkit-core"
DURABLE = {SYNCED: "yes", UNSYNCED: "NO", TOOLKIT: "NO, in memory"}
MILLION = 1_000_000


@dataclass(frozen=True)
class Rate:
    """Appends a second, milliseconds of one, and microseconds of CPU for each, in all threads."""

    per_second: float
    p50: float
    p99: float
    cpu: float


def tables(*, seconds: float, folder: str | None = None, has_10m: bool = False) -> list[Table]:
    """Appends, verification, and proofs at one million records, with `has_10m` at ten."""
    sizes = (MILLION, 10 * MILLION) if has_10m else (MILLION,)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        appended = _appends(Path(place), seconds)
        verified = _verification(Path(place))
    return [appended, verified, *(ledger_tree.table(size=size, folder=folder) for size in sizes)]


def _appends(place: Path, seconds: float) -> Table:
    made = Table("append one record", ["appends / s", "p50 ms", "p99 ms", "CPU us", "durable", "target"])
    flush = fsync_p50(str(place))
    store = SqliteStore(place / "ledger.db", "bench")
    vault = KeyVault.open(place, "bench")
    append = _appending(store, vault)
    try:
        alone = _interleaved({"demur": append, **_peers(place, made)}, seconds)
        many = _threads(append, seconds)
    finally:
        store.close()
        vault.close()
    target = verdict(alone["demur"].p50, 2 * flush + 0.6, "ms")
    made.add("demur, one client", *_cells(alone["demur"]), "yes", target)
    made.add(f"demur, {THREADS} clients", *_cells(many), "yes", verdict(many.per_second, 3_000, "/s", at_least=True))
    for name, durable in DURABLE.items():
        if name in alone:
            made.add(f"{name}, one client", *_cells(alone[name]), durable, "")
    if SYNCED in alone:
        ratio = alone["demur"].per_second / alone[SYNCED].per_second
        made.notes.append(f"one client, both durable: demur appends {ratio:.2f} times as many as witness-log")
    made.notes.append(f"single clients took turns, {ROUNDS} rounds each")
    made.notes.append("demur's record has commitments, sealed values (AES-256-GCM) and its place in chain and tree")
    after = fsync_p50(str(place))
    made.notes.append(f"fdatasync of 4 KiB in the same folder: p50 {flush:.3f} ms before, {after:.3f} ms after")
    return made


def _peers(place: Path, made: Table) -> dict[str, Callable[[int], object]]:
    """What is installed of the peers; what is not is a note."""
    opening: dict[str, Callable[[], Callable[[int], object]]] = {
        SYNCED: lambda: ledger_peers.witness_log(place, is_synced=True),
        UNSYNCED: lambda: ledger_peers.witness_log(place, is_synced=False),
        TOOLKIT: ledger_peers.toolkit,
    }
    found = {}
    for name, opened in opening.items():
        try:
            found[name] = opened()
        except (ImportError, AttributeError) as error:
            made.notes.append(f"{name}: missing ({error})")
    return found


def _appending(store: SqliteStore, vault: KeyVault) -> Callable[[int], object]:
    fields = {name: json.dumps(value).encode() for name, value in ledger_peers.ENTRY.items()}
    body = {name: ledger_peers.ENTRY[name] for name in ("outcome", "policy_version", "triggering_policy")}

    def append(number: int) -> object:
        sealed = vault.seal("user:ann", "sha256:" + number.to_bytes(32, "big").hex(), fields)
        return store.submit(lambda tx: tx.append(Draft("decision", dict(body), sealed))).result(60)

    return append


def _interleaved(appends: dict[str, Callable[[int], object]], seconds: float) -> dict[str, Rate]:
    """One client each, in turns, so that the moods of the disk fall on all alike."""
    samples: dict[str, list[float]] = {name: [] for name in appends}
    spent = dict.fromkeys(appends, (0.0, 0.0))
    for append in appends.values():
        for number in range(WARM_UP):
            append(number)
    for _ in range(ROUNDS):
        for name, append in appends.items():
            begin, worked = time.perf_counter(), time.process_time()
            while (now := time.perf_counter()) < begin + seconds / ROUNDS:
                append(len(samples[name]))
                samples[name].append(time.perf_counter() - now)
            took, work = spent[name]
            spent[name] = took + time.perf_counter() - begin, work + time.process_time() - worked
    return {name: _rate(samples[name], *spent[name]) for name in appends}


def _threads(append: Callable[[int], object], seconds: float) -> Rate:
    results: list[list[float]] = [[] for _ in range(THREADS)]
    begin, worked = time.perf_counter(), time.process_time()

    def client(mine: list[float]) -> None:
        while (now := time.perf_counter()) < begin + seconds:
            append(len(mine))
            mine.append(time.perf_counter() - now)

    clients = [threading.Thread(target=client, args=(mine,)) for mine in results]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    samples = [sample for mine in results for sample in mine]
    return _rate(samples, time.perf_counter() - begin, time.process_time() - worked)


def _rate(samples: list[float], seconds: float, worked: float) -> Rate:
    ordered = sorted(samples)
    count = len(ordered)
    p99 = ordered[min(count - 1, int(count * 0.99))]
    return Rate(count / seconds, statistics.median(ordered) * 1_000, p99 * 1_000, worked / count * 1e6)


def _cells(rate: Rate) -> tuple[float, float, float, float]:
    return rate.per_second, rate.p50, rate.p99, rate.cpu


def _verification(place: Path) -> Table:
    """What checking what was appended costs, beside reading the same bytes as JSON and hashing them."""
    with contextlib.closing(wiring.open_reader(place)) as reader:
        export.export(reader, place / "export")
        records = list(reader.records())
    made = Table(f"verification of {len(records):,} records", ["us a record", "ratio", "target"])
    tiles = _tiles(records)
    each = _fastest(
        {
            FLOOR: lambda: [(json.loads(record.leaf), hashlib.sha256(record.leaf)) for record in records],
            "chain.check: bytes, order, chain, form": lambda: chain.check(records, log="bench"),
            "tile.check: every tile": lambda: tile.check((record.record_hash for record in records), tiles),
            "verify.py over the export, from files": lambda: _verify(place / "export"),
        }
    )
    floor = each[FLOOR]
    for name, took in each.items():
        target = verdict(took / floor, 2, "x") if name.startswith("verify.py") else ""
        made.add(name, took / len(records) * 1e6, took / floor, target)
    made.notes.append(f"the fastest of {TRIES}, one thread; verify.py checks bytes, chain, form, tiles and checkpoints")
    return made


def _verify(folder: Path) -> None:
    report = verify.verify_export(str(folder), None)
    if report.verdict is not verify.Verdict.INTEGRITY_ONLY:
        raise ValueError(f"expected an export that is whole, found {report.verdict}: {report}")


def _tiles(records: list[StoredRecord]) -> tile.Read:
    """The tiles over these records, in memory."""
    frontier, full = Frontier(), {}
    for record in records:
        for level, number, data in frontier.append(record.record_hash):
            full[level, number] = data

    def read(level: int, number: int, width: int) -> bytes:
        data = full.get((level, number)) or frontier.partial(level)[1]
        return data[: width * tile.HASH_BYTES]

    return read


def _fastest(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the fastest of some tries, in turns."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(TRIES):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            found[name] = min(found[name], time.perf_counter() - begin)
    return found
