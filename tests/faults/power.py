"""Power cuts: every write of a gate is recorded, and the disk is put together as a cut at any moment could leave it.

The recording (strace) is replayed on a model of files and of the system's page cache. Between two syncs the system may
write pages to the disk in any order, several times, or not at all, and a page may arrive in part (sectors of 512
bytes). A sync that failed is modelled as Linux does it: what it should have written counts as clean afterwards, can
still be read, and no later sync writes it unless it is written to again. Files come and go in a folder only when the
folder is synced. What the journal said by then is what was acknowledged.

Each state is opened with SQLite alone: its records must be the beginning of the one history, as long as what was
acknowledged needs, its other tables those that belong to that length, and the key of every sealed record there. A
sample is opened by a gate, which must go on from it.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING

from demur.core.ledger import chain
from demur.errors import LedgerError
from demur.ports import StoredRecord
from tests.faults.account import Account, new_records, settle
from tests.faults.injected import (
    CHECKPOINT_PAGES,
    allow_tracing,
    checkpoint_after,
    read_lines,
    wait_until_traced,
)  # fmt: skip
from tests.faults.kills import fork
from tests.faults.life import LOG, STORIES, Life, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


PAGE, SECTOR = 4096, 512
CALLS = "pwrite64,writev,ftruncate,fdatasync,fsync,openat,unlink"
LEDGER, KEYS = "ledger.db", "subject-keys.db"
KEPT = (LEDGER, f"{LEDGER}-wal", KEYS, f"{KEYS}-wal")
RANDOM_STATES = 24
SAMPLE = 1_500
"""One state in so many is opened by a gate."""
TABLES = ("requests", "grants", "reviews", "spends", "sealed")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)(.*)")
_PATH = re.compile(r"<([^>]*)>")
_NAMED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded call: `name` of the file within the home, "" for the folder itself."""

    kind: str
    name: str
    data: bytes = b""
    at: int = 0


@dataclass
class File:
    """A file as the disk has it, as programs read it, and what may be between the two."""

    durable: bytearray = field(default_factory=bytearray)
    cache: bytearray = field(default_factory=bytearray)
    versions: dict[int, list[bytes]] = field(default_factory=dict)
    """Pages that were written and may not have arrived, with what they held from one write to the next."""
    doomed: set[int] = field(default_factory=set)
    """Pages whose sync failed: no later sync brings them to the disk."""
    sizes: list[int] = field(default_factory=list)

    def write(self, data: bytes, at: int) -> None:
        if len(self.cache) < at + len(data):
            self.cache.extend(bytes(at + len(data) - len(self.cache)))
            self.sizes.append(len(self.cache))
        self.cache[at : at + len(data)] = data
        for page in range(at // PAGE, (at + len(data) - 1) // PAGE + 1):
            self.versions.setdefault(page, []).append(bytes(self.cache[page * PAGE : (page + 1) * PAGE]))
            self.doomed.discard(page)

    def truncate(self, size: int) -> None:
        self.cache = self.cache[:size] + bytes(max(0, size - len(self.cache)))
        self.sizes.append(size)
        for page in [page for page in self.versions if page * PAGE >= size]:
            self.versions[page].append(b"")

    def sync(self) -> None:
        kept = {page: self.versions[page] for page in self.doomed if page in self.versions}
        before = bytes(self.durable)
        self.durable = bytearray(self.cache)
        for page in kept:
            old = before[page * PAGE : (page + 1) * PAGE].ljust(PAGE, b"\0")
            size = len(self.durable[page * PAGE : (page + 1) * PAGE])
            self.durable[page * PAGE : (page + 1) * PAGE] = old[:size]
        self.versions, self.sizes = kept, []

    def fail(self) -> None:
        self.doomed |= set(self.versions)

    def state(self, choose: Callable[[int, list[bytes]], bytes], size: int) -> bytes:
        """The file with each page that may not have arrived as chosen, and of this size."""
        found = bytearray(self.durable[:size].ljust(size, b"\0"))
        for page, versions in self.versions.items():
            if page * PAGE < size:
                old = bytes(self.durable[page * PAGE : (page + 1) * PAGE])
                chosen = choose(page, [old, *versions])[: size - page * PAGE]
                found[page * PAGE : page * PAGE + len(chosen)] = chosen
        return bytes(found)


@dataclass
class Disk:
    """The home's files; `present` are the names that the folder durably has, `pending` what it may have by now."""

    files: dict[str, File]
    present: dict[str, File] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Path) -> Disk:
        files = {}
        for path in home.iterdir():
            if path.name in KEPT:
                data = path.read_bytes()
                files[path.name] = File(bytearray(data), bytearray(data))
        return cls(dict(files), dict(files))

    def play(self, call: Call) -> None:
        file = self.files.get(call.name)
        match call.kind:
            case "folder":
                self.present = dict(self.files)
            case "create" if file is None:
                self.files[call.name] = File()
            case "unlink":
                self.files.pop(call.name, None)
            case "write" if file is not None:
                file.write(call.data, call.at)
            case "truncate" if file is not None:
                file.truncate(call.at)
            case "sync" if file is not None:
                file.sync()
            case "failed" if file is not None:
                file.fail()
            case _:
                pass

    def states(self, chance: random.Random) -> Iterator[dict[str, bytes]]:
        """What a cut at this moment could leave: everything, nothing, each page alone or missing, torn, at random."""
        dirty = [(name, page) for name, file in self.files.items() for page in file.versions]
        last: Callable[[int, list[bytes]], bytes] = lambda _, versions: versions[-1]  # noqa: E731
        yield self._state(lambda _: last)
        yield self._state(lambda _: lambda _, versions: versions[0], sizes="durable")
        if self.files != self.present:
            yield self._state(lambda _: last, files=self.present)
        for name, page in dirty:
            cut = chance.randrange(1, PAGE // SECTOR) * SECTOR
            for change in (_first, lambda versions, cut=cut: _torn(versions, cut)):
                yield self._state(lambda n, c=change, n0=name, p0=page: _only(n == n0, p0, c, last))  # type: ignore[misc]
                yield self._state(lambda n, c=change, n0=name, p0=page: _only(n == n0, p0, c, _old))  # type: ignore[misc]
        for _ in range(RANDOM_STATES if dirty else 0):
            files = self.files if chance.random() < 0.8 else self.present
            yield self._state(lambda _: lambda _, versions: _mixed(versions, chance), files=files, chance=chance)

    def _state(
        self,
        choosing: Callable[[str], Callable[[int, list[bytes]], bytes]],
        *,
        files: dict[str, File] | None = None,
        sizes: str = "",
        chance: random.Random | None = None,
    ) -> dict[str, bytes]:
        found = {}
        for name, file in (self.files if files is None else files).items():
            size = len(file.durable) if sizes == "durable" else len(file.cache)
            if chance is not None:
                size = chance.choice([len(file.durable), *file.sizes])
            found[name] = file.state(choosing(name), size)
        return found


def _first(versions: list[bytes]) -> bytes:
    return versions[0].ljust(len(versions[-1]), b"\0")


def _torn(versions: list[bytes], cut: int) -> bytes:
    old, new = _first(versions), versions[-1]
    return new[:cut] + old[cut:]


def _old(_: int, versions: list[bytes]) -> bytes:
    return _first(versions)


def _only(
    is_here: bool, page: int, change: Callable[[list[bytes]], bytes], others: Callable[[int, list[bytes]], bytes]
) -> Callable[[int, list[bytes]], bytes]:
    return lambda at, versions: change(versions) if is_here and at == page else others(at, versions)


def _mixed(versions: list[bytes], chance: random.Random) -> bytes:
    one, other = chance.choice(versions).ljust(PAGE, b"\0"), chance.choice(versions).ljust(PAGE, b"\0")
    if chance.random() < 0.5:
        return one
    cuts = [chance.random() < 0.5 for _ in range(PAGE // SECTOR)]
    return b"".join((one if first else other)[at * SECTOR : (at + 1) * SECTOR] for at, first in enumerate(cuts))


@dataclass
class Blackout:
    """A run over recordings, in `folder`, which should be in memory."""

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)
    _keys: dict[bytes, frozenset[str]] = field(default_factory=dict)
    _tables: dict[bytes, bytes] = field(default_factory=dict)

    def run(self, number: int, seed: int, on_progress: Callable[[Blackout], object] = lambda _: None) -> Counter[str]:
        """Recordings until there were so many distinct states; stops at the first fault."""
        while self.counts["states"] < number and not self.examples:
            variant = self.counts["recordings"]
            self._recording(variant, random.Random(f"{seed} {variant}"), number, on_progress)
            self.counts["recordings"] += 1
            on_progress(self)
        return self.counts

    def _recording(
        self, variant: int, chance: random.Random, number: int, on_progress: Callable[[Blackout], object]
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        place = Place.make(self.folder / "place")
        assert os.waitstatus_to_exitcode(os.waitpid(fork(lambda: _before(place)), 0)[1]) == 0
        shutil.copytree(place.home, self.folder / "before")
        disk = Disk.of(place.home)
        # Every other recording holds a sync that fails, of any of the first sixty, or all from there to the kill.
        fault = chance.randrange(1, 60) if variant % 2 else 0
        calls = record(
            place,
            f"{fault}{'+' if variant % 4 == 3 else ''}" if fault else "",
            chance.choice((CHECKPOINT_PAGES, 40, 4_000)),
        )
        self.counts["failed_syncs"] += sum(call.kind == "failed" for call in calls)
        history = new_records(place.home / LEDGER, 0)
        self._tables.clear()
        heard, needed = "", 0
        for call in calls:
            if call.kind == "said":
                heard += call.data.decode()
                needed = _needed(history, heard, needed)
                continue
            disk.play(call)
            for state in disk.states(chance):
                self._check(place, state, history, heard, needed)
                if self.counts["states"] % 1_000 == 0:
                    on_progress(self)
                if self.counts["states"] >= number or self.examples:
                    return
        self.counts["acknowledged"] += needed

    def _check(
        self, place: Place, state: dict[str, bytes], history: list[StoredRecord], heard: str, needed: int
    ) -> None:
        mark = hashlib.blake2b(digest_size=16)
        for name in sorted(state):
            mark.update(name.encode() + len(state[name]).to_bytes(8, "big") + state[name])
        mark.update(needed.to_bytes(8, "big"))
        if mark.digest() in self._seen:
            return
        self._seen.add(mark.digest())
        self.counts["states"] += 1
        folder = self.folder / "cut"
        _put(folder, state)
        where = f"{place.home} after {len(heard.splitlines())} lines, state {self.counts['states']}"
        try:
            last, tables, key_ids = _look(folder / LEDGER, history, needed)
        except (sqlite3.Error, ValueError, LedgerError) as error:
            self._fault("lost", f"{where}: {error}")
            return
        if self._tables.setdefault(last, tables) != tables:
            self._fault("torn", f"{where}: the tables are not those of its last record")
        if not key_ids <= self._key_ids(folder, state):
            self._fault("lost", f"{where}: a record was sealed with a key that is gone")
        if self.counts["states"] % SAMPLE == 1:
            self._open(place, folder, heard)

    def _open(self, place: Place, folder: Path, heard: str) -> None:
        """A gate goes on from this state, and the account of both lives is sound."""
        home = self.folder / "sample"
        shutil.rmtree(home, ignore_errors=True)
        # The keys and the newest checkpoint are those from before: what is written beside the databases is not replayed.
        shutil.copytree(
            self.folder / "before",
            home,
            ignore=lambda _, names: [name for name in names if name.startswith((LEDGER, KEYS))],
        )
        for path in folder.iterdir():
            if not path.name.endswith("-shm"):
                shutil.copy(path, home / path.name)
        journal = self.folder / "sample-journal"
        journal.write_text(heard)
        other = Place(home, place.policies, journal, place.documents, place.credential)
        child = fork(lambda: _after(other))
        self.counts["opened"] += 1
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            self._fault("lost", f"{home}: the gate could not go on")
        account = Account(LOG)
        settle(account, home / LEDGER, journal.read_text())
        self.examples += [f"{name}: {what}" for name, some in account.faults.items() for what in some]
        self.counts.update({name: len(some) for name, some in account.faults.items()})

    def _key_ids(self, folder: Path, state: dict[str, bytes]) -> frozenset[str]:
        mark = hashlib.blake2b(state.get(KEYS, b"") + b"/" + state.get(f"{KEYS}-wal", b""), digest_size=16).digest()
        if mark not in self._keys:
            with closing(sqlite3.connect(folder / KEYS)) as connection:
                self._keys[mark] = frozenset(row[0] for row in connection.execute("SELECT key_id FROM subject_keys"))
        return self._keys[mark]

    def _fault(self, name: str, what: str) -> None:
        self.counts[name] += 1
        self.examples.append(what)


def _put(folder: Path, state: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in state.items():
        (folder / name).write_bytes(data)


def _look(ledger: Path, history: list[StoredRecord], needed: int) -> tuple[bytes, bytes, frozenset[str]]:
    """The last hash, a digest of the other tables, and the keys needed; raises `ValueError` and `LedgerError`.

    What was never acknowledged may be there or not: also a record that was refused, and whose place another one took.
    """
    with closing(sqlite3.connect(ledger)) as connection:
        rows = connection.execute("SELECT sequence, leaf, record_hash FROM records ORDER BY sequence").fetchall()
        if len(rows) < needed:
            message = f"{len(rows)} records where {needed} were acknowledged"
            raise ValueError(message)
        if rows != [(item.sequence, item.leaf, item.record_hash) for item in history[: len(rows)]]:
            if rows[:needed] != [(item.sequence, item.leaf, item.record_hash) for item in history[:needed]]:
                message = "what was acknowledged is there with another content"
                raise ValueError(message)
            chain.check(starmap(StoredRecord, rows), log=LOG)
        if (found := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise ValueError(str(found))
        tables = hashlib.blake2b(digest_size=16)
        for table in TABLES:
            tables.update(repr(sorted(connection.execute(f"SELECT * FROM {table}").fetchall())).encode())
        keys = frozenset(row[0] for row in connection.execute("SELECT DISTINCT key_id FROM sealed"))
        return rows[-1][2] if rows else b"", tables.digest(), keys


def _needed(history: list[StoredRecord], heard: str, least: int) -> int:
    """The fewest records of the history that what was heard is true of."""
    for size in range(least, len(history) + 1):
        account = Account(LOG)
        account.read(history[:size])
        account.hear(heard)
        if account.is_sound:
            return size
    message = "what was acknowledged is not true of the whole history"
    raise AssertionError(message)


# The recording.


def record(place: Place, fault: str, pages: int) -> list[Call]:
    """What the gate wrote in a life, and in the life after it was killed; the `fault`-th data sync of a thread fails.

    With a `+` after it every one from there on does, until the kill.
    """
    calls: list[Call] = []
    for number in (1, 2):
        told, telling = os.pipe()
        child = fork(partial(_live, place, number, pages, telling))
        os.close(telling)
        trace = place.journal.with_name(f"trace-{number}")
        options = ["-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}"]
        if fault and number == 1:
            options += ["-e", f"inject=fdatasync:error=EIO:when={fault}"]
        tracer: subprocess.Popen[bytes] | None = None
        for word in read_lines(told):
            if word.startswith("attach"):
                command = ["strace", "-q", *options, "-o", str(trace), "-p", word.split()[1]]
                tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            elif word == "kill":
                os.kill(child, signal.SIGKILL)
        os.close(told)
        os.waitpid(child, 0)
        assert tracer is not None
        tracer.wait()
        calls += list(_calls(trace, place))
    return calls


def _calls(trace: Path, place: Place) -> Iterator[Call]:
    unfinished: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        pid, _, rest = line.partition(" ")
        if rest.endswith("<unfinished ...>"):
            unfinished[pid] = rest.removesuffix("<unfinished ...>").strip()
            continue
        if "resumed>" in rest:
            rest = unfinished.pop(pid, "") + rest.partition("resumed>")[2]
        match = _LINE.fullmatch(f"{pid} {rest.strip()}")
        if match is not None:
            call = _call(match[2], match[3], int(match[4]), match[5], place)
            if call is not None:
                yield call


def _call(name: str, words: str, result: int, note: str, place: Place) -> Call | None:
    if name in {"openat", "unlink"}:
        return _come_or_go(name, words, place) if result >= 0 else None
    path = _path(words)
    if name == "writev":
        return Call("said", "", b"".join(map(_text, _NAMED.findall(words)))) if path == place.journal else None
    if path == place.home:
        return Call("folder", "")
    if path.parent != place.home or path.name not in KEPT:
        return None
    if result < 0:
        return Call("failed", path.name) if "sync" in name and "INJECTED" in note else None
    match name:
        case "pwrite64":
            return Call("write", path.name, _text(_NAMED.findall(words)[0])[:result], int(words.rpartition(",")[2]))
        case "ftruncate":
            return Call("truncate", path.name, at=int(words.rpartition(",")[2]))
        case _:
            return Call("sync", path.name)


def _come_or_go(name: str, words: str, place: Place) -> Call | None:
    path = Path(_text(_NAMED.findall(words)[0]).decode())
    if path.parent != place.home or path.name not in KEPT or (name == "openat" and "O_CREAT" not in words):
        return None
    return Call("create" if name == "openat" else "unlink", path.name)


def _path(words: str) -> Path:
    found = _PATH.search(words)
    text = found[1] if found else ""
    return Path(_text(text).decode() if "\\x" in text else text)


def _text(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


# Below: the children.


def _before(place: Place) -> None:
    """A home with tables and a few records, closed in order."""
    life = Life.begin(place, 0)
    for number in range(STORIES):
        life.story(0, number)
    life.end()


def _live(place: Place, number: int, pages: int, telling: int) -> None:
    allow_tracing()
    checkpoint_after(pages)
    status = os.open(f"/proc/self/task/{os.getpid()}/status", os.O_RDONLY)
    os.writev(telling, [f"attach {os.getpid()}\n".encode()])
    wait_until_traced(status, is_traced=True)
    life = Life.begin(place, number)
    for story in range(2 * STORIES):
        life.story(number, story)
    if number == 1:
        os.writev(telling, [b"kill\n"])
        time.sleep(60)
    life.end()


def _after(place: Place) -> None:
    life = Life.begin(place, 3)
    for number in range(STORIES):
        life.story(0, number)
    life.end()
