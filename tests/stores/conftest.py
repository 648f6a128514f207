"""Every store that keeps the contract, by name."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from demur.adapters.memory import MemoryStore
from demur.adapters.postgres import PostgresStore
from demur.adapters.sqlite import SqliteStore
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demur.adapters.clock import ManualClock
    from demur.ports import Store


class Opening(Protocol):
    def __call__(self, **options: Any) -> Store: ...


@pytest.fixture
def clock() -> ManualClock:
    return rows.clock()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Opening]:
    """Opens a store of each kind, and closes what the test leaves open."""
    url = request.getfixturevalue("postgres").emptied_database() if request.param == "postgres" else ""
    with contextlib.ExitStack() as stack:

        def opened(**options: Any) -> Store:
            store: Store
            if request.param == "memory":
                store = MemoryStore("demo", clock, **options)
            elif request.param == "postgres":
                store = PostgresStore(url, "demo", clock, **options)
            else:
                store = SqliteStore(tmp_path / "ledger.db", "demo", clock, **options)
            stack.callback(store.close)
            return store

        yield opened


@pytest.fixture
def store(opening: Opening) -> Store:
    return opening()
