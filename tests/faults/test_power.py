"""A power cut at any moment leaves a disk on which everything is that was acknowledged; and the model of disks is right."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.injected import is_possible
from tests.faults.power import PAGE, SECTOR, Call, Disk, File
from tests.faults.reports import table

if TYPE_CHECKING:
    from pathlib import Path

STATES = 500


@pytest.mark.slow
def test_no_power_cut_loses_what_was_acknowledged(tmp_path: Path, root: Path) -> None:
    if not is_possible():
        pytest.skip("there is no strace here that may attach to a process; Debian has it in `strace`")
    words = ["power", "power", "--folder", str(tmp_path / "homes"), "--number", str(STATES)]
    command = [sys.executable, "-m", "tests.faults", "--out", str(tmp_path), *words]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=500, check=False)
    report = json.loads((tmp_path / "power.json").read_text())
    assert report["examples"] == []
    assert told.returncode == 0
    assert report["counts"]["states"] == STATES
    assert report["counts"]["opened"] == 1
    assert "| power | 500 states of the disk after a power cut |" in table(tmp_path)


# The model of files and of the page cache.


def whole(file: File) -> bytes:
    return file.state(lambda _, versions: versions[-1], len(file.cache))


def nothing(file: File) -> bytes:
    return file.state(lambda _, versions: versions[0], len(file.durable))


def test_what_was_synced_is_there_and_what_was_not_may_be() -> None:
    file = File()
    file.write(b"a" * PAGE, 0)
    assert (nothing(file), whole(file)) == (b"", b"a" * PAGE)
    file.sync()
    assert nothing(file) == b"a" * PAGE
    file.write(b"b", 0)
    assert (nothing(file)[:2], whole(file)[:2]) == (b"aa", b"ba")


def test_what_a_failed_sync_should_have_written_no_later_one_writes() -> None:
    file = File()
    file.write(b"a", 0)
    file.fail()
    file.write(b"b", PAGE)
    file.sync()
    assert (nothing(file)[:1], nothing(file)[PAGE:], whole(file)[:1]) == (b"\0", b"b", b"a")


def test_what_is_written_again_after_a_failed_sync_is_synced() -> None:
    file = File()
    file.write(b"a" * 10, 0)
    file.fail()
    file.write(b"a", 5)
    file.sync()
    assert nothing(file) == b"a" * 10


def test_a_file_that_was_cut_may_still_be_long() -> None:
    file = File(bytearray(b"a" * 10), bytearray(b"a" * 10))
    file.truncate(4)
    assert (nothing(file), whole(file)) == (b"a" * 10, b"a" * 4)


def test_a_file_comes_and_goes_with_its_folder() -> None:
    disk = Disk({}, {})
    disk.play(Call("create", "ledger.db-wal"))
    disk.play(Call("write", "ledger.db-wal", b"x", 0))
    disk.play(Call("sync", "ledger.db-wal"))
    found = list(disk.states(random.Random(1)))
    assert {} in found
    assert {"ledger.db-wal": b"x"} in found
    disk.play(Call("folder", ""))
    assert {} not in list(disk.states(random.Random(1)))
    disk.play(Call("unlink", "ledger.db-wal"))
    assert {"ledger.db-wal": b"x"} in list(disk.states(random.Random(1)))


def test_pages_arrive_alone_out_of_order_and_torn() -> None:
    disk = Disk({"f": File(bytearray(2 * PAGE), bytearray(2 * PAGE))})
    disk.present = dict(disk.files)
    disk.play(Call("write", "f", b"a" * PAGE, 0))
    disk.play(Call("write", "f", b"b" * PAGE, PAGE))
    found = [state["f"] for state in disk.states(random.Random(1))]
    zeros, first, second = bytes(PAGE), b"a" * PAGE, b"b" * PAGE
    assert {zeros + zeros, first + zeros, zeros + second, first + second} <= set(found)
    torn = [data for data in found if data[:PAGE] not in {zeros, first}]
    assert torn
    assert all(set(data[at : at + SECTOR]) in ({0}, {97}) for data in torn for at in range(0, PAGE, SECTOR))
