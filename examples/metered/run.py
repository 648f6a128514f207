"""A table that counts who writes to it, beside a gate that does not see everything: `python examples/metered/run.py`.

Refunds go through the gate. Then somebody writes to the table directly: the ledger knows nothing of it, and the meter
that stands next to the table does.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import demur
import demur.meter
from demur import wiring
from demur.evaluation.reconcile import reconcile

HERE = Path(__file__).parent
ANN = {"type": "user", "id": "ann"}


def main(folder: Path) -> None:
    shop = sqlite3.connect(folder / "shop.db")
    shop.execute("CREATE TABLE refunds (order_id TEXT, amount INTEGER)")
    till = demur.meter.open(folder / "till", name="till-1", resource="shop")
    refunds = till.tables(shop, {"refunds": "refund"})
    with demur.open(HERE, home=folder / "home") as gate:
        operator = wiring.open_reviewers(folder / "home").add("otto", ["operator"])
        gate.register_meter(
            "till-1",
            resource="shop",
            key=till.meter.public_key,
            actions=["refund"],
            credential=operator,
            reason="stands next to the table of refunds",
        )

        @demur.guard(gate, subject=ANN, resource=lambda arguments: {"type": "order", "id": arguments["order"]})
        def refund(order: str, amount: int) -> None:
            with till.transaction(refunds, "refund", {"order": order, "amount": amount}) as table:
                table.execute("INSERT INTO refunds VALUES (?, ?)", (order, amount))

        refund("o-1", 1200)
        try:
            refund("o-2", 900_000)
        except demur.RefusedError as error:
            print(f"refused: {error}")
        report(gate, till, folder, "through the gate")

        stranger = sqlite3.connect(folder / "shop.db")
        stranger.execute("INSERT INTO refunds VALUES ('o-2', 900000)")
        stranger.commit()
        report(gate, till, folder, "behind its back")
    till.close()


def report(gate: demur.Gateway, till: demur.meter.Metered, folder: Path, when: str) -> None:
    for line in till.state():
        gate.submit_meter(line)
    reader = wiring.open_reader(folder / "home")
    found = reconcile(reader)
    reader.close()
    print(f"{when}: {found.verdict}, {found.totals['operations']} operations seen")
    for finding in found.findings:
        print(f"  {finding.severity}: {finding.kind} ({finding.action}), statement {finding.statement}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
