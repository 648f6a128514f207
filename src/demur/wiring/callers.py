"""Who may call a service: the roster of each tenant, in its store."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from demur.core.record import Draft
from demur.observability.events import Events
from demur.steps.enrolling import Enrolment
from demur.steps.people import People
from demur.wiring import databases
from demur.wiring.checkpoints import open_checkpoints
from demur.wiring.gates import open_store
from demur.wiring.reading import open_reader
from demur.wiring.settings import LEDGER, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.ports import Clock, Store, Vault
    from demur.wiring.gates import Parts

__all__ = ["enrolment", "hash_password", "is_password", "open_enrolment", "open_people", "people"]

DEFAULT_LOG = "default"


def enrolment(parts: Parts) -> Enrolment:
    """The roster of an open gate."""
    world = parts.world
    return Enrolment(world.store, world.vault, world.clock)


def hash_password(password: str) -> str:
    """What is kept of a password; needs the extra `server`."""
    from demur.adapters import passwords  # noqa: PLC0415  (an extra that `demur caller` does without)

    return passwords.hash_password(password)


def is_password(kept: str, password: str) -> bool:
    """Whether this is the password of which `kept` is left; needs the extra `server`."""
    from demur.adapters import passwords  # noqa: PLC0415  (as above)

    return passwords.is_password(kept, password)


def people(parts: Parts) -> People:
    """The people of an open gate."""
    world = parts.world
    return People(world.store, world.vault, world.clock)


@contextmanager
def open_enrolment(home: Path, log: str = "") -> Iterator[Enrolment]:
    """The programs of a home that no gate runs on; raises as `open_people`."""
    with _opened(home, log) as (store, vault, clock):
        yield Enrolment(store, vault, clock)


@contextmanager
def open_people(home: Path, log: str = "") -> Iterator[People]:
    """The people of a home that no gate runs on; `log` is the id of the ledger where the home is fresh.

    Raises `OwnedElsewhereError` where a gate runs on it, `RollbackError`, `ConfigurationError` and `StoreError`.
    """
    with _opened(home, log) as (store, vault, clock):
        yield People(store, vault, clock)


@contextmanager
def _opened(home: Path, log: str) -> Iterator[tuple[Store, Vault, Clock]]:
    settings = Settings(home, home, _log(Path(home), log), heartbeat_seconds=0)
    store, vault, was_clean, clock = open_store(settings, Events())
    try:
        checkpoints = open_checkpoints(settings, store, Events(), must_sign=False)
        try:
            if not was_clean:
                # Whoever opens a store after a crash says so; the next opening would find it closed in order.
                store.submit(lambda tx: tx.append(Draft("gap", {"cause": "crash", "is_count_known": False}))).result()
            yield store, vault, clock
        finally:
            checkpoints.close()
    finally:
        store.close()
        vault.close()


def _log(home: Path, log: str) -> str:
    if log:
        return log
    if databases.find() is None and not (home / LEDGER).exists():
        return DEFAULT_LOG
    reader = open_reader(home)
    reader.close()
    return reader.log
