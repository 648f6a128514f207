"""A gate that is killed at any moment loses nothing it acknowledged; and the account that says so finds what is lost."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from demur.ports import StoredRecord
from tests.faults.account import Account, new_records, settle
from tests.faults.kills import fork
from tests.faults.life import LOG, Life, Place
from tests.faults.reports import HARM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KILLS = 30


# Newer Pythons warn of forking a process with threads; a child that ends at once is no matter.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.mark.slow
def test_no_kill_loses_doubles_or_reorders_what_was_acknowledged(tmp_path: Path, root: Path) -> None:
    words = ["kills", "kills-test", "--folder", str(tmp_path / "homes"), "--number", str(KILLS), "--seed", "1"]
    command = [sys.executable, "-m", "tests.faults", "--out", str(tmp_path), *words]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    counts = Counter(json.loads((tmp_path / "kills-test.json").read_text())["counts"])
    assert {name: counts[name] for name in HARM} == dict.fromkeys(HARM, 0)
    assert counts["kills"] == KILLS
    assert counts["acknowledged"] > KILLS
    assert counts["executed"] > 0


# The account itself: one honest life, then harm of every kind.


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place.make(tmp_path_factory.mktemp("life") / "place")
    life = Life.begin(place, 0)
    for number in range(6):
        life.story(0, number)
    life.end()
    return place


def account_of(place: Place, alter: Callable[[list[StoredRecord]], list[StoredRecord]], journal: str = "") -> Account:
    account = Account(LOG)
    account.read(alter(new_records(place.home / "ledger.db", 0)))
    account.hear(place.journal.read_text() + journal)
    return account


def found(account: Account) -> list[str]:
    return [name for name, some in account.faults.items() if some]


def test_an_honest_life_has_nothing_against_it(lived: Place) -> None:
    account = Account(LOG)
    settle(account, lived.home / "ledger.db", lived.journal.read_text())
    assert account.faults == {}
    assert account.counts() == {
        "acknowledged": 17, "executed": 4, "unavailable": 0, "lost": 0, "duplicated": 0, "reordered": 0, "unallowed": 0,
    }  # fmt: skip


def test_a_tail_that_is_gone_is_lost(lived: Place) -> None:
    # What the gate records by itself when it closes was acknowledged to nobody.
    acknowledged = int(own(lived, "red")[-1][3])
    assert found(account_of(lived, lambda records: records[: acknowledged + 2])) == []
    assert "lost" in found(account_of(lived, lambda records: records[: acknowledged + 1]))


@pytest.mark.parametrize(
    "alter",
    [
        lambda records: [*records[:5], *records[6:]],
        lambda records: [*records[:5], records[6], records[5], *records[7:]],
        lambda records: [*records[:5], records[4], *records[5:]],
    ],
)
def test_records_missing_swapped_or_twice_break_the_chain(
    lived: Place, alter: Callable[[list[StoredRecord]], list[StoredRecord]]
) -> None:
    assert "lost" in found(account_of(lived, alter))


def own(place: Place, kind: str) -> list[list[str]]:
    return [words for line in place.journal.read_text().splitlines() if (words := line.split())[0] == kind]


def test_an_answer_with_another_content_is_lost(lived: Place) -> None:
    line = " ".join(["ans", "0.0.9.erase.0", "0", own(lived, "ans")[0][3], "allow", "-"])
    assert "lost" in found(account_of(lived, list, f"{line}\n"))


def test_a_second_answer_to_one_request_is_a_duplicate(lived: Place) -> None:
    first, second = own(lived, "ans")[:2]
    line = " ".join([*second[:1], first[1], *second[2:]])
    assert found(account_of(lived, list, f"{line}\n")) == ["duplicated"]


def test_an_execution_without_an_allow_or_a_second_one_is_found(lived: Place) -> None:
    assert found(account_of(lived, list, "exe 00ff\n")) == ["unallowed"]
    assert found(account_of(lived, list, f"exe {own(lived, 'exe')[0][1]}\n")) == ["duplicated"]
    revoked = own(lived, "rev")[0][1]
    assert found(account_of(lived, list, f"exe {revoked}\n")) == ["unallowed"]


def test_an_answer_below_one_that_was_given_before_is_out_of_order(lived: Place) -> None:
    name, grant, _, sequence = own(lived, "red")[0]
    account = account_of(lived, list)
    account.hear(f"{name} {grant} {sequence} {sequence}\n")
    assert found(account) == ["reordered"]


def test_a_redemption_completion_ruling_or_revocation_that_is_not_there_is_lost(lived: Place) -> None:
    for line in ("red 00ff 0 3", "com 00ff 0", "rul 00ff 0 approved", "rev 00ff 0"):
        assert found(account_of(lived, list, f"{line}\n")) == ["lost"]


def test_a_line_cut_off_by_the_end_acknowledged_nothing(lived: Place) -> None:
    assert found(account_of(lived, list, "exe 00f")) == []


def test_two_decisions_for_one_request_are_found_in_the_rows(lived: Place, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    source, copy = sqlite3.connect(lived.home / "ledger.db"), sqlite3.connect(ledger)
    source.backup(copy)
    source.close()
    copy.execute("DELETE FROM requests WHERE sequence = (SELECT max(sequence) FROM requests)")
    copy.commit()
    copy.close()
    account = Account(LOG)
    settle(account, ledger, lived.journal.read_text())
    assert found(account) == ["duplicated"]


def test_a_grant_redeemed_twice_is_a_duplicate() -> None:
    account = Account(LOG)
    for sequence in (0, 1):
        leaf = json.dumps({"type": "grant_redeemed", "sequence": sequence, "grant": "g"}).encode()
        account.take(leaf)
    assert found(account) == ["duplicated"]


def test_a_life_that_fails_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(fork(lambda: int("x")), 0)[1]) == 3
    assert "ValueError" in capfd.readouterr().err
