"""Meters count what happens, whoever does it, and forget nothing when they are killed (S6.1)."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import demur.meter
from demur.adapters import ed25519
from demur.carried import Carried
from demur.core import meter
from demur.errors import ConfigurationError, OwnedElsewhereError, RefusedError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from demur.meter import Metered

KEY = "00" * 16


def opened(folder: Path, **more: Any) -> Metered:
    return demur.meter.open(folder / "meter", name="till-1", resource="till", **more)


def said(metered: Metered) -> list[meter.Statement]:
    return [meter.read(line).statement for line in metered.state()]


def test_operations_are_counted_with_and_without_a_grant(tmp_path: Path) -> None:
    till = opened(tmp_path)
    till.count("pay", {"amount": 1}, carried=Carried("g1", KEY))
    till.count("pay", {"amount": 2})
    till.count("pay", {"amount": 3})
    [statement] = said(till)

    assert [(item.grant, item.mark) for item in statement.granted] == [("g1", meter.mark(KEY, "pay", {"amount": 1}))]
    assert [(item.action, item.count) for item in statement.ungranted] == [("pay", 2)]
    assert statement.operations == 3
    assert said(till)[0].operations == 0


def test_a_grant_is_used_once_by_any_number_of_threads(tmp_path: Path) -> None:
    till = opened(tmp_path)
    ran: list[int] = []

    def pay(number: int) -> None:
        try:
            with till.operation("pay", {}, carried=Carried("g1", KEY)):
                ran.append(number)
        except RefusedError:
            return

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(pay, range(64)))
    [statement] = said(till)

    assert len(ran) == 1
    assert [(item.cause, item.count) for item in statement.refused] == [("used", 63)]


def test_a_meter_that_requires_grants_turns_away_what_has_none(tmp_path: Path) -> None:
    till = opened(tmp_path, is_required=True)
    with pytest.raises(RefusedError, match="it came without a grant"), till.operation("pay", {}):
        pytest.fail("it ran")

    assert said(till)[0].refused[0].cause == "missing"


def test_every_call_of_a_counted_function_is_counted(tmp_path: Path) -> None:
    till = opened(tmp_path)

    @till.counting("pay")
    def pay(amount: int, note: str | None = None) -> int:
        return amount

    @till.counting("ship")
    async def ship(amount: int) -> int:
        return amount

    assert pay(3) == 3
    assert asyncio.run(ship(4)) == 4
    assert [(item.action, item.count) for item in said(till)[0].ungranted] == [("pay", 1), ("ship", 1)]


def test_statements_are_signed_and_go_on_after_a_restart(tmp_path: Path) -> None:
    till = opened(tmp_path)
    till.count("pay", {})
    first = meter.read(till.state()[0])
    till.close()
    again = opened(tmp_path)
    second = meter.read(again.state()[0])
    key = bytes.fromhex(again.meter.public_key)

    assert isinstance(meter.follow(meter.Trail(0, first.digest, 1, first.statement.until), second), meter.Trail)
    assert (second.statement.epoch, second.statement.operations) == (2, 0)
    assert ed25519.verify(key, meter.to_sign(second.body), second.signature)
    assert not ed25519.verify(key, meter.to_sign(second.body + b" "), second.signature)
    assert again.meter.statements() == (
        meter.line(first.body, first.signature),
        meter.line(second.body, second.signature),
    )


def test_more_operations_than_a_statement_holds_make_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "MAX_OPERATIONS", 3)
    till = opened(tmp_path)
    for number in range(7):
        till.count("pay", {}, carried=Carried(f"g{number}"))
    statements = said(till)

    assert [len(item.granted) for item in statements] == [3, 3, 1]
    assert [item.grant for each in statements for item in each.granted] == [f"g{n}" for n in range(7)]
    assert statements[0].until == statements[0].granted[-1].at


def test_one_process_owns_a_meter_and_a_meter_keeps_its_name(tmp_path: Path) -> None:
    till = opened(tmp_path)
    with pytest.raises(OwnedElsewhereError):
        opened(tmp_path)
    till.close()
    with pytest.raises(ConfigurationError, match="expected the meter `till-1`"):
        demur.meter.open(tmp_path / "meter", name="other", resource="till")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "meter" / "meter.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match="readable by its owner only"):
        opened(tmp_path)


def test_what_cannot_be_counted_does_not_run(tmp_path: Path) -> None:
    till = opened(tmp_path)
    till.meter._connection.execute("DROP TABLE granted")
    with pytest.raises(StoreError, match="could not write the meter"):
        till.count("pay", {}, carried=Carried("g1"))


COUNTING = """
import sys, demur.meter
from demur.carried import Carried
till = demur.meter.open(sys.argv[1], name="till-1", resource="till")
n = 0
while True:
    till.count("pay", {}, carried=Carried(f"{sys.argv[2]}-{n}"))
    print(n, flush=True)
    n += 1
    if n % 5 == 0:
        till.state()
"""


@pytest.mark.slow
def test_kills_lose_and_double_nothing_that_was_counted(tmp_path: Path) -> None:
    counted: list[str] = []
    for life in range(5):
        command = [sys.executable, "-c", COUNTING, str(tmp_path / "meter"), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                counted.append(f"{life}-{line.strip()}")
                if line.strip() == str(7 + life):
                    break
            os.kill(process.pid, signal.SIGKILL)
            counted += [f"{life}-{line.strip()}" for line in process.stdout if line.endswith("\n")]
    till = opened(tmp_path)
    till.state()
    trail: Any = meter.Trail()
    grants: list[str] = []
    for statement in till.meter.statements():
        signed = meter.read(statement)
        trail = meter.follow(trail, signed)
        assert isinstance(trail, meter.Trail)
        grants += [item.grant for item in signed.statement.granted]

    assert len(set(grants)) == len(grants)
    assert set(counted) <= set(grants)
    assert len(set(grants) - set(counted)) <= 5


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER)")
    return connection


def test_rows_are_counted_whoever_writes_them(tmp_path: Path, database: sqlite3.Connection) -> None:
    till = opened(tmp_path)
    orders = till.tables(database, {"orders": "order.change"})
    with orders.transaction("order.create", "g1", "ab") as connection:
        connection.execute("INSERT INTO orders (total) VALUES (5)")
        connection.execute("INSERT INTO orders (total) VALUES (6)")
    stranger = sqlite3.connect(tmp_path / "shop.db")
    stranger.execute("UPDATE orders SET total = 500 WHERE id = 1")
    stranger.execute("DELETE FROM orders WHERE id = 2")
    stranger.commit()
    [statement] = said(till)

    assert [(item.action, item.grant, item.mark) for item in statement.granted] == [("order.create", "g1", "ab")]
    assert [(item.action, item.count) for item in statement.ungranted] == [("order.change", 2)]


def test_what_was_rolled_back_is_not_counted_and_its_grant_is_free(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    till = opened(tmp_path)
    orders = till.tables(database, {"orders": "order.change"})

    def fail() -> None:
        with orders.transaction("order.create", "g1") as connection:
            connection.execute("INSERT INTO orders (total) VALUES (5)")
            connection.execute("INSERT INTO nowhere (total) VALUES (5)")

    with pytest.raises(sqlite3.OperationalError):
        fail()
    with orders.transaction("order.create", "g1"):
        pass

    assert [len(item.granted) for item in said(till)] == [1]


def test_a_grant_is_used_once_by_tables_too(tmp_path: Path, database: sqlite3.Connection) -> None:
    till = opened(tmp_path)
    orders = till.tables(database, {"orders": "order.change"})
    with orders.transaction("order.create", "g1"):
        pass
    with pytest.raises(RefusedError), orders.transaction("order.create", "g1"):
        pytest.fail("it ran")


def test_rows_taken_from_the_counter_and_grants_that_were_made_up_show(
    tmp_path: Path, database: sqlite3.Connection
) -> None:
    till = opened(tmp_path)
    till.tables(database, {"orders": "order.change"})
    database.execute("INSERT INTO demur_now VALUES ('made-up')")
    database.execute("INSERT INTO orders (total) VALUES (5)")
    database.execute("INSERT INTO orders (total) VALUES (6)")
    database.execute("DELETE FROM demur_seen WHERE id = 2")
    database.commit()
    [statement] = said(till)

    assert [(item.action, item.count) for item in statement.ungranted] == [("demur.lost", 1), ("order.change", 1)]


def test_what_was_handed_over_twice_is_counted_once(tmp_path: Path, database: sqlite3.Connection) -> None:
    till = opened(tmp_path)
    orders = till.tables(database, {"orders": "order.change"})
    with orders.transaction("order.create", "g1", "ab"):
        pass
    orders.collect()
    database.execute("UPDATE demur_grants SET taken = 0")
    database.commit()
    [statement] = said(till)

    assert (len(statement.granted), statement.ungranted) == (1, ())
