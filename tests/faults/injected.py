"""System calls that fail under a gate: strace makes one call, or every call from one on, fail in one thread of it.

A point is one call of one thread in one phase of a fixed story (opening, running, closing) and what happens to it:

    EIO, ENOSPC    the call fails and does nothing
    KILL           the process is killed at this call
    NOTHING        a write says that it wrote no byte, and wrote none
    LIMIT          a write that crosses a limit on the size of files is cut off there, at any byte, and the next fails

A write that says it wrote more than it did is a disk that lies, not a short write; strace could only make that one,
so short writes come from the limit.

The fault goes away, and the gate must have refused meanwhile and must answer again by itself. Then the process ends,
a later life asks everything again, and the account is settled.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demur.adapters import sqlite_file
from demur.errors import DemurError
from tests.faults.account import Account, settle
from tests.faults.kills import fork
from tests.faults.life import LOG, STORIES, Life, Place, open_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

WRITING = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "openat", "unlink", "link", "rename")
READING = ("pread64", "openat")
SECONDS = 60
"""How long a life may take before it counts as hung."""
CHECKPOINT_PAGES = 12
"""So that moving the write-ahead log into the file is part of a short story."""
FAULTS = {"EIO": "error=EIO", "ENOSPC": "error=ENOSPC", "KILL": "signal=SIGKILL", "NOTHING": "retval=0"}
_PTRACER = 0x59616D61
"""PR_SET_PTRACER of prctl(2)."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a fault strikes: the `number`-th `call` of the thread from the start of the phase on."""

    phase: str
    thread: str
    call: str
    number: int
    fault: str
    lasts: bool = False

    def __str__(self) -> str:
        return f"{self.phase}/{self.thread}/{self.call}#{self.number}{'+' if self.lasts else ''}={self.fault}"

    def options(self) -> list[str]:
        """What strace is told."""
        return ["-e", f"inject={self.call}:{FAULTS[self.fault]}:when={self.number}{'+' if self.lasts else ''}"]


PHASES = (("opening", "main", WRITING), ("running", "writer", WRITING), ("running", "main", READING),
          ("running", "writer", READING), ("closing", "writer", WRITING))  # fmt: skip


def is_possible() -> bool:
    """Whether there is a strace that may attach to a process of ours."""
    try:
        told = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.returncode == 0


@dataclass
class Torture:
    """A run over the points of a story; `template` is copied for each."""

    folder: Path
    template: Place = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.template = Place.make(self.folder / "template")
        child = fork(lambda: _first(self.template))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def points(self, number: int, seed: int) -> list[Point]:
        """So many points, from all over the story; which calls there are is learned from a run without faults."""
        found = [point for phase, thread, calls in PHASES for point in self._survey(phase, thread, calls)]
        chance = random.Random(seed)
        groups: dict[tuple[str, ...], list[Point]] = {}
        for point in found:
            groups.setdefault((point.phase, point.thread, point.call, point.fault), []).append(point)
        chosen: list[Point] = []
        for group in groups.values():
            chance.shuffle(group)
        # Rare calls first: one of each kind in turn, until there are enough.
        while len(chosen) < number and any(groups.values()):
            chosen += [group.pop() for group in groups.values() if group]
        chosen = chosen[:number]
        return [*chosen, *(Point("running", "writer", "LIMIT", size, "LIMIT") for size in _sizes(chance, number // 5))]

    def suffer(self, point: Point) -> None:
        """One point, from a fresh home to the settled account."""
        place = self._copy()
        is_struck = self._strike(place, point)
        self.counts["tried"] += 1
        self.counts["points"] += is_struck
        self.counts["missed"] += not is_struck
        account = Account(LOG)
        settle(account, place.home / "ledger.db", place.journal.read_text() if place.journal.exists() else "")
        pending = tuple(name for name in account.pending if not name.endswith("again"))
        later = fork(lambda: _later(place, pending))
        if os.waitstatus_to_exitcode(os.waitpid(later, 0)[1]):
            self._note("stuck", f"{point}: the next life could not recover")
        self._account(place, point)

    def _account(self, place: Place, point: Point) -> None:
        account = Account(LOG)
        lines = place.journal.read_text() if place.journal.exists() else ""
        settle(account, place.home / "ledger.db", lines)
        self.counts += account.counts()
        self.counts[point.fault] += 1
        self.examples += [f"{point}: {name}: {what}" for name, some in account.faults.items() for what in some]

    def _strike(self, place: Place, point: Point) -> bool:
        """Run the story with the fault at its point; whether the fault struck."""
        told, telling = os.pipe()
        child = fork(lambda: _suffer(place, point, telling))
        os.close(telling)
        trace = place.journal.with_name("trace")
        is_struck = False
        strace: subprocess.Popen[bytes] | None = None
        try:
            for word in read_lines(told):
                if word.startswith("attach"):
                    strace = _attach(int(word.split()[1]), trace, ["-e", f"trace={point.call}", *point.options()])
                elif word == "heal" and strace is not None:
                    strace.send_signal(signal.SIGINT)
                elif word == "struck":
                    is_struck = True
                else:
                    self._note(word.split(" ")[0], f"{point}: {word}")
        except TimeoutError:
            self._note("stuck", f"{point}: hung")
            os.kill(child, signal.SIGKILL)
        finally:
            os.close(told)
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) not in {0, -signal.SIGKILL}:
                self._note("strange", f"{point}: the story broke off")
            if strace is not None:
                strace.wait()
        text = trace.read_text() if trace.exists() else ""
        return is_struck or "INJECTED" in text or "SIGKILL" in text

    def _note(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.examples.append(what)

    def _survey(self, phase: str, thread: str, calls: Sequence[str]) -> Iterator[Point]:
        place = self._copy()
        point = Point(phase, thread, ",".join(calls), 0, "NONE")
        told, telling = os.pipe()
        child = fork(lambda: _suffer(place, point, telling))
        os.close(telling)
        trace = place.journal.with_name("trace")
        traces: list[subprocess.Popen[bytes]] = []
        for word in read_lines(told):
            if word.startswith("attach"):
                traces.append(_attach(int(word.split()[1]), trace, ["-e", f"trace={point.call}"]))
            elif word == "heal":
                traces[-1].send_signal(signal.SIGINT)
        os.close(told)
        os.waitpid(child, 0)
        counts = Counter(line.partition("(")[0] for line in trace.read_text().splitlines())
        for call in calls:
            faults = ("EIO",) if call == "pread64" else ("EIO", "ENOSPC", "KILL")
            for number in range(1, counts[call] + 1):
                yield from (Point(phase, thread, call, number, fault) for fault in faults)
                if call in {"pwrite64", "write"}:
                    yield Point(phase, thread, call, number, "NOTHING")
                if number % 3 == 1:
                    yield Point(phase, thread, call, number, "EIO" if number % 2 else "ENOSPC", lasts=True)

    def _copy(self) -> Place:
        folder = self.folder / "point"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "template", folder)
        first = self.template
        return Place(folder / "home", folder / "policies", folder / "journal", first.documents, first.credential)


def _sizes(chance: random.Random, number: int) -> list[int]:
    """Sizes of files at which writes are cut off; the journal stays below."""
    return [chance.randrange(12_000, 200_000) for _ in range(number)]


def _attach(thread: int, trace: Path, options: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["strace", "-q", "-o", str(trace), "-p", str(thread), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def read_lines(descriptor: int) -> Iterator[str]:
    """The lines that a child writes, until it ends; raises `TimeoutError`."""
    rest = ""
    deadline = time.monotonic() + SECONDS
    while True:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        data = os.read(descriptor, 4096)
        if not data:
            return
        *lines, rest = (rest + data.decode()).split("\n")
        yield from lines


# Below: the child.


def allow_tracing() -> None:
    """Whoever asks may trace this process."""
    ctypes.CDLL(None).prctl(_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)


def checkpoint_after(pages: int) -> None:
    """Move the write-ahead log into the file after so many pages, in this process."""
    pragmas = [pragma for pragma in sqlite_file._PRAGMAS if not pragma.startswith("wal_autocheckpoint")]
    sqlite_file._PRAGMAS = (*pragmas, f"wal_autocheckpoint={pages}")  # type: ignore[assignment]  # longer


def _first(place: Place) -> None:
    """A home that was used before, with records of every kind; its journal is part of the account."""
    life = Life.begin(place, 0)
    for number in range(STORIES):
        life.story(0, number)
    life.end()


def _later(place: Place, pending: Sequence[str]) -> None:
    life = Life.begin(place, 2)
    life.repeat(pending)
    for number in range(STORIES):
        life.story(0, number)
    life.end()


def _suffer(place: Place, point: Point, telling: int) -> None:
    """The story, with the tracer on during its phase."""
    logging.getLogger("demur").setLevel(logging.CRITICAL + 1)  # what cannot be judged here is no defect
    allow_tracing()
    checkpoint_after(CHECKPOINT_PAGES)
    say = lambda word: os.writev(telling, [f"{word}\n".encode()])  # noqa: E731
    own, journal = os.getpid(), open_journal(place)
    opened = _traced(say, own, point, lambda: _opened(place, journal, say)) if point.phase == "opening" else None
    life = opened or Life.begin(place, 1, journal)
    store: Any = life.parts.world.store
    thread = own if point.thread == "main" else store._writer._thread.native_id
    if point.phase == "running":
        _traced(say, thread, point, lambda: _stories(life, 1, 2 * STORIES))
    else:
        _stories(life, 1, 1)
    if point.fault == "LIMIT" and life.unavailable:
        say("struck")
    _check_recovery(life, say)
    if point.phase == "closing":
        _traced(say, thread, point, life.end)
    else:
        life.end()


def _opened(place: Place, journal: int, say: Callable[[str], object]) -> Life | None:
    try:
        return Life.begin(place, 1, journal)
    except (DemurError, OSError) as error:
        if not isinstance(error, DemurError):
            say(f"strange {type(error).__name__}: {error}")
        return None


def _stories(life: Life, thread: int, number: int) -> None:
    for story in range(number):
        life.story(thread, story)


def _check_recovery(life: Life, say: Callable[[str], object]) -> None:
    """The fault is gone: whatever is asked now must be answered."""
    before = life.unavailable
    _stories(life, 2, STORIES)
    if life.unavailable != before:
        say(f"stuck {life.unavailable - before} answers were unavailable after the fault was gone")


def _traced(say: Callable[[str], object], thread: int, point: Point, work: Callable[[], Life | None]) -> Life | None:
    if point.fault == "LIMIT":
        return _limited(say, point, work)
    status = os.open(f"/proc/self/task/{thread}/status", os.O_RDONLY)
    say(f"attach {thread}")
    wait_until_traced(status, is_traced=True)
    try:
        return work()
    finally:
        say("heal")
        wait_until_traced(status, is_traced=False)
        os.close(status)


def _limited(say: Callable[[str], object], point: Point, work: Callable[[], Life | None]) -> Life | None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (point.number, before[1]))
    try:
        return work()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def wait_until_traced(status: int, *, is_traced: bool) -> None:
    """Until somebody traces the thread with this status, or nobody; a thread that ended is traced by nobody."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.lseek(status, 0, os.SEEK_SET)
            tracer = os.read(status, 4096).partition(b"TracerPid:\t")[2].partition(b"\n")[0]
            if (tracer != b"0") == is_traced:
                return
            time.sleep(0.0005)
