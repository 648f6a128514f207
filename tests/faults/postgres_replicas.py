"""Several gates on one database, each in a process of its own, and the account of what they were answered."""

from __future__ import annotations

import dataclasses
import gc
import os
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demur.adapters.postgres import PostgresReader
from demur.errors import DemurError
from demur.wiring import Settings, open_gate
from tests.faults.account import NAMES, Account
from tests.faults.life import LOG, Life, Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from demur.core.evidence import Answer
    from demur.wiring import Parts
    from tests.postgres import Server

PROGRESS_SECONDS = 60
POLL_SECONDS = 0.01
PAUSE_SECONDS = 0.05


def open_apart(opening: Callable[[], Parts]) -> None:
    """Open a gate and close it in a process of its own, and wait for that; raises `RuntimeError` where it fails.

    A process that is to fork must run no gate itself: a thread that is within OpenSSL at that moment leaves a lock
    behind, at which the child waits for ever.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            opening().gate.close()
            status = 0
        except BaseException:  # noqa: BLE001  (a forked process must never return into its parent's code)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the process failed")


@dataclass(frozen=True, slots=True)
class Shared(Place):
    """A home whose ledger and keys are databases."""

    store: str = ""
    keys: str = ""

    def open(self) -> Parts:
        return open_gate(Settings(self.policies, self.home, LOG, store=self.store, keys=self.keys), self.documents)


class Patient(Life):
    """A life that does not ask again at once where it got no answer, so that what recovers has the processor."""

    def _is_unavailable(self, answer: Answer, name: str) -> bool:
        is_unavailable = super()._is_unavailable(answer, name)
        if is_unavailable:
            time.sleep(PAUSE_SECONDS)
        return is_unavailable


@dataclass
class Replica:
    """One process that acts through a gate until it is ended, and its journal."""

    place: Shared
    threads: int
    account: Account = field(default_factory=lambda: Account(LOG))
    lives: int = 0
    pid: int = 0
    heard: int = 0

    def start(self, life: int) -> None:
        """A new life; the process is forked, so that it starts at once."""
        self.lives += 1
        self.pid = os.fork()
        if self.pid:
            return
        status = 1
        try:
            gc.freeze()
            Patient.begin(self.place, life).live(self.threads)
            status = 0
        except BaseException:  # noqa: BLE001  (a forked process must never return into its parent's code)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.pid:
            os.kill(self.pid, how)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def answers(self) -> int:
        """How many answers the journal tells by now."""
        return self.place.journal.read_bytes().count(b"\nans ")

    def check(self, store: str) -> None:
        """What was acknowledged before the ledger is read must be in it; the rest is heard the next time."""
        with self.place.journal.open("rb") as journal:
            journal.seek(self.heard)
            data = journal.read()
        self.heard += len(data)
        try:
            reader = PostgresReader(store, LOG)
            self.account.read(reader.records(self.account.size))
            reader.close()
        except DemurError as error:
            self.account.faults["lost"].append(f"the ledger cannot be read: {error}")
        self.account.hear(data.decode())
        if not self.pid:
            self.account.forget_rest()


@dataclass
class Replicas:
    """So many replicas of one ledger, in `folder`."""

    folder: Path
    server: Server
    number: int
    threads: int = 4
    through: str = ""
    """The folder of a proxy that the ledger's connections go through."""
    lives: int = 0
    members: list[Replica] = field(default_factory=list)

    def start(self) -> None:
        made = Place.make(self.folder)
        store, keys = self.server.new_database(), self.server.url(self.server.empty_database())
        self.store = store
        used = store.replace(str(self.server.folder), self.through) if self.through else store
        parts = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
        for number in range(self.number):
            journal = self.folder / f"journal-{number}"
            journal.touch()
            place = Shared(**{**parts, "journal": journal}, store=used, keys=keys)
            self.members.append(Replica(place, self.threads))
        # The key files and tables are made once, by a gate in order.
        first = dataclasses.replace(self.members[0].place, store=store)
        open_apart(first.open)
        for member in self.members:
            self.begin(member)

    def begin(self, member: Replica) -> None:
        self.lives += 1
        member.start(self.lives)

    def progress(self, answers: int = 5) -> None:
        """Wait until every replica was given so many more answers; raises `TimeoutError`."""
        wanted = [member.answers() + answers for member in self.members]
        end = time.monotonic() + PROGRESS_SECONDS
        while any(member.answers() < least for member, least in zip(self.members, wanted, strict=True)):
            if time.monotonic() > end:
                raise TimeoutError(f"no answer in {PROGRESS_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Compare what was acknowledged by now with what the ledger holds by now."""
        for member in self.members:
            member.check(self.store)

    def stop(self) -> None:
        """Kill all, and check everything."""
        for member in self.members:
            member.end()
        self.check()
        name = self.store.partition("?")[0].rpartition("/")[2]
        rows = self.server.execute("SELECT count(*) FROM requests", name)[0][0]
        self.members[0].account.check_requests(rows)

    def counts(self) -> Counter[str]:
        """What was found, by name; all of `HARM` must be 0."""
        counts: Counter[str] = Counter(dict.fromkeys(NAMES, 0))
        for member in self.members:
            counts.update(member.account.counts())
        counts["records"] = max(member.account.size for member in self.members)
        return counts

    def faults(self) -> list[str]:
        return [
            f"{name}: {text}"
            for member in self.members
            for name, found in member.account.faults.items()
            for text in found
        ]
