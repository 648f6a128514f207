"""Kills a gate at random moments, again and again, and checks after each death what was acknowledged.

The parent loads everything once and forks a life from itself, so that a death costs milliseconds. The parent itself
opens no gate and has no threads. A home is used for a round of deaths and checked as a whole at the end of it.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import alembic.command
import alembic.config
import sqlalchemy as sa

from demur.adapters.keys import KeyVault
from demur.adapters.sqlite import SqliteReader
from demur.core.ledger import chain
from tests.faults.account import Account, settle
from tests.faults.life import LOG, Life, Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOADED = (alembic.command, alembic.config, sa)
"""What makes the tables, loaded before the first life, so that it is the making that is killed and not the loading."""
ROUND = 250
"""Deaths of one home."""
EARLY = 0.15
"""The part of the deaths that come while the gate opens and recovers."""
OPENING_SECONDS = 0.04
REPEATED = 6
SAMPLED = 20


@dataclass
class Slaughter:
    """A run of kills over homes in `folder`; `counts` is what came of it so far."""

    folder: Path
    kills: int
    threads: int = 8
    life_seconds: float = 0.25
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    on_round: Callable[[Slaughter], object] = lambda _: None

    def run(self) -> Counter[str]:
        """Rounds until there were enough kills; stops at the first home with a fault, and leaves it there."""
        while self.counts["kills"] < self.kills and not self.examples:
            left = self.kills - self.counts["kills"]
            self.counts += self._round(self.folder / f"round-{self.counts['rounds']}", min(ROUND, left))
            self.on_round(self)
        return self.counts

    def _round(self, folder: Path, deaths: int) -> Counter[str]:
        shutil.rmtree(folder, ignore_errors=True)
        place = Place.make(folder)
        place.journal.touch()
        account, heard = Account(LOG), 0
        chance = random.Random(f"{self.seed} {self.counts['rounds']}")
        repeated: tuple[str, ...] = ()
        for number in range(deaths):
            self._one(place, number, repeated, chance)
            # After every other death the next life, not the check, is the first to open what the dead one left.
            if number % 2 and number < deaths - 1:
                continue
            text = _read_from(place.journal, heard)
            heard += len(text)
            settle(account, place.home / "ledger.db", text)
            unanswered = [name for name in account.pending if not name.endswith("again")]
            repeated = (*unanswered[-REPEATED:], *account.recent(REPEATED))
            account.pending.clear()
        self._finish(place, account)
        found = account.counts() + Counter(kills=deaths, rounds=1, records=account.size)
        self.examples += [f"{folder}: {name}: {what}" for name, some in account.faults.items() for what in some]
        if account.is_sound:
            shutil.rmtree(folder)
        return found

    def _one(self, place: Place, number: int, repeated: tuple[str, ...], chance: random.Random) -> None:
        seconds = chance.random() * (OPENING_SECONDS if chance.random() < EARLY else self.life_seconds)
        child = fork(lambda: _live(place, number, repeated, self.threads))
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            sys.stderr.write(f"a life ended by itself with {os.WEXITSTATUS(status)}\n")
            self.counts["ended_by_themselves"] += 1

    def _finish(self, place: Place, account: Account) -> None:
        """The whole ledger from its beginning, and values of the vault from all over it."""
        reader = SqliteReader(place.home / "ledger.db", LOG)
        vault = KeyVault.open(place.home, LOG, is_read_only=True)
        with closing(reader), closing(vault):
            if chain.check(reader.records(), log=LOG).end.size != account.size:
                account.faults["lost"].append("the ledger has another size than it was read with")
            for sequence in range(0, account.size, max(1, account.size // SAMPLED)):
                sealed = reader.read(lambda tx, at=sequence: tx.find_sealed(at))  # type: ignore[misc]  # bound early
                if sealed is not None:
                    vault.unseal(sealed)


def fork(work: Callable[[], object]) -> int:
    """The pid of a child that does the work and nothing else; it ends with 0, or 3 and a traceback."""
    gc.freeze()
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001  (the child must not go on as its parent)
        traceback.print_exc()
    finally:
        os._exit(3)


def _live(place: Place, number: int, repeated: tuple[str, ...], threads: int) -> None:
    sys.setswitchinterval(0.001)
    life = Life.begin(place, number)
    life.repeat(repeated)
    life.live(threads)


def _read_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode()
