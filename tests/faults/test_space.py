"""A disk that runs full: everything is refused before anything fails, and answers come again by themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.adapters.space import Room, Watermark, free_bytes
from demur.adapters.sqlite import SqliteStore
from demur.errors import StoreError
from demur.wiring import Settings, open_gate
from demur.wiring.space import open_watermark
from tests.flows.shop import open_shop, refund
from tests.stores import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


class Disk:
    """A file system whose free space and clock somebody turns."""

    def __init__(self) -> None:
        self.free = 1_000 * MIB
        self.seconds = 0.0
        self.asked = 0
        self.is_broken = False
        self.told: list[Room] = []

    def ask(self, _: Path) -> int:
        self.asked += 1
        if self.is_broken:
            raise OSError(5, "Input/output error")
        return self.free

    def watermark(self, folder: Path, least: int = 64 * MIB) -> Watermark:
        return Watermark(folder, least, tell=self.told.append, ask=self.ask, monotonic=lambda: self.seconds)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def store(tmp_path: Path, disk: Disk) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "ledger.db", "demo", rows.clock(), watermark=disk.watermark(tmp_path))
    assert opened.submit(rows.append(0)).result(20).sequence == 0
    yield opened
    opened.close()


def test_below_the_watermark_every_work_is_refused_and_above_it_again_none(store: SqliteStore, disk: Disk) -> None:
    disk.free, disk.seconds = 64 * MIB - 1, 1.0
    for _ in range(2):
        with pytest.raises(
            StoreError, match=rf"expected {64 * MIB} bytes free under `.*`, found {64 * MIB - 1}"
        ) as error:
            store.submit(rows.append(1)).result(20)
        assert "make room" in error.value.hint
    assert store.read(lambda tx: tx.head.size) == 1
    disk.free, disk.seconds = 64 * MIB, 2.0
    assert store.submit(rows.append(1)).result(20).sequence == 1


def test_the_file_system_is_asked_at_most_once_a_second(store: SqliteStore, disk: Disk) -> None:
    for _ in range(50):
        store.submit(rows.append(1)).result(20)
    assert disk.asked == 1
    disk.seconds = 0.999
    store.submit(rows.append(1)).result(20)
    assert disk.asked == 1
    disk.seconds = 1.0
    store.submit(rows.append(1)).result(20)
    assert disk.asked == 2


def test_operators_are_told_once_when_the_watermark_is_crossed(store: SqliteStore, disk: Disk) -> None:
    for seconds, free in enumerate((900, 10, 9, 8, 700, 800), start=1):
        disk.seconds, disk.free = float(seconds), free * MIB
        store.submit(rows.append(1)).exception(20)
    assert disk.told == [Room(True, 10 * MIB, 64 * MIB), Room(False, 700 * MIB, 64 * MIB)]


def test_where_nobody_knows_how_much_is_free_nothing_is_written(store: SqliteStore, disk: Disk) -> None:
    disk.is_broken, disk.seconds = True, 1.0
    with pytest.raises(StoreError, match=r"cannot be learned: Input/output error"):
        store.submit(rows.append(1)).result(20)
    disk.is_broken = False
    assert store.submit(rows.append(1)).result(20).sequence == 1


def test_no_watermark_asks_nothing(tmp_path: Path, disk: Disk) -> None:
    disk.free = 0
    disk.watermark(tmp_path, 0).check()
    assert disk.asked == 0


def test_what_is_free_is_what_the_file_system_says(tmp_path: Path) -> None:
    """Another process writes meanwhile, so the figure is only near."""
    import shutil

    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)


# The gate.


def test_a_gate_answers_unavailable_redeems_nothing_and_records_the_gap(tmp_path: Path, disk: Disk) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    store: Any = shop.parts.world.store
    store._backend._watermark = disk.watermark(tmp_path)
    given = shop.gate.decide(refund(100))
    assert isinstance(given, demur.Grant)
    disk.free, disk.seconds = 1, 1.0
    refused = shop.gate.decide(refund(100))
    assert (refused.outcome, refused.reason.disposition) == ("unavailable", "retry_after")
    assert "bytes free" in refused.detail
    assert shop.gate.redeem(given.token, {"amount": 100}).outcome == "unavailable"
    disk.free, disk.seconds = 1_000 * MIB, 2.0
    assert isinstance(shop.gate.redeem(given.token, {"amount": 100}), demur.Redemption)
    assert shop.gate.decide(refund(100)).outcome == "allow"
    assert any(b'"count":2' in record.leaf for record in store.records() if b'"type":"gap"' in record.leaf)
    shop.gate.close()


def test_a_gate_does_not_open_where_there_is_no_room(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    shop.gate.close()
    settings = Settings(
        tmp_path / "policies", tmp_path / "home", sources={"account": shop.account}, min_free_bytes=2**62
    )
    with pytest.raises(StoreError, match=rf"expected {2**62} bytes free"):
        open_gate(settings)


def test_subscribers_learn_that_the_disk_runs_full(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    told: list[Any] = []
    shop.gate.subscribe(told.append)
    settings = Settings(tmp_path, tmp_path, "demo", clock=shop.clock, min_free_bytes=2**62)
    with pytest.raises(StoreError):
        open_watermark(settings, tmp_path, shop.parts.world.observer).check()
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [item["type"] for item in told] == ["governance.storage.low"]
    assert told[0]["data"]["min_free_bytes"] == 2**62
    shop.gate.close()
