"""The review desk with many reviews: a page of the queue, and the precedents of one review.

Half of the reviews wait and half were ruled on, all of one action on one type of resource, so that every one of those
that were ruled on could be a precedent of every one that waits.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.table import Table, verdict
from demur.wiring import Settings, open_gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.wiring import Parts

POLICY = """
demur: 1
namespace: bank
facts:
  subject.role: string
actions:
  pay:
    arguments:
      amount: {type: int, unit: EUR cent, change: true}
      currency: {type: string, one_of: [EUR, USD, CHF]}
      purpose: string
      recipients: {type: list<string>}
rules:
  - id: large
    effect: review
    actions: [pay]
    when:
      - {name: large, expr: action.amount > 0, explain: it is large}
      - {name: clerk, expr: 'subject.role != "robot"', explain: a person asks}
    review: {role: supervisor, within: 48h, risk: high}
"""
UNDER_WAY = 64
CALLS = 200


def table(*, reviews: int, folder: str | None = None) -> Table:
    """`reviews` that wait and as many that were ruled on, on SQLite."""
    made = Table(
        f"desk: {reviews:,} reviews wait, {reviews:,} were ruled on; SQLite", ["p50", "p99", "CPU p50", "target"]
    )
    with tempfile.TemporaryDirectory(dir=folder) as place:
        parts, waiting = _fill(Path(place), reviews)
        gate = parts.gate
        dice = random.Random(2)
        deep = gate.reviews(limit=reviews // 2)[-1]
        after = deep.deadline, deep.id
        _add(made, "precedents of one review, 3, ms", lambda: gate.precedents(dice.choice(waiting)), 50)
        _add(made, "one review with its precedents, ms", lambda: gate.review(dice.choice(waiting)), None)
        _add(made, "first 100 of the queue, ms", lambda: gate.reviews(limit=100), 200)
        _add(made, "100 from the middle of the queue, ms", lambda: gate.reviews(limit=100, after=after), 200)
        store = parts.world.store
        states = ("pending_review", "assigned")
        _add(made, "how many wait, ms", lambda: store.read(lambda tx: tx.count_reviews(states)), None)
        gate.close()
    made.notes.append(f"{CALLS} calls each, one after the other, reviews drawn at random")
    return made


def _fill(place: Path, count: int) -> tuple[Parts, list[str]]:
    policies = place / "policies"
    policies.mkdir()
    (policies / "bank.yaml").write_text(POLICY, encoding="utf-8")
    parts = open_gate(Settings(policies, place / "home", heartbeat_seconds=0))
    credential = parts.book.add("mara", ["supervisor"])
    dice = random.Random(1)
    opened: list[str] = []
    for _ in range(0, 2 * count, UNDER_WAY):
        batch = [parts.gate.submit(_request(dice)) for _ in range(min(UNDER_WAY, 2 * count - len(opened)))]
        opened += [_review(future.result()) for future in batch]

    def rule(index: int) -> None:
        said = "reject" if index % 5 == 0 else "approve"
        parts.gate.rule(opened[index], verdict=said, reason=f"case {index} was checked", credential=credential)

    with ThreadPoolExecutor(UNDER_WAY) as pool:
        list(pool.map(rule, range(count)))
    return parts, opened[count:]


def _request(dice: random.Random) -> dict[str, Any]:
    arguments = {
        "amount": dice.randrange(1, 10_000_000),
        "currency": dice.choice(["EUR", "USD", "CHF"]),
        "purpose": " ".join(dice.choices(["rent", "invoice", "refund", "salary", "gift"], k=4)),
        "recipients": dice.choices(["ann", "bob", "cid", "dee", "eve"], k=dice.randrange(1, 4)),
    }
    return {
        "subject": {"type": "user", "id": f"u{dice.randrange(500)}", "properties": {"role": dice.choice("abc")}},
        "action": {"name": "pay", "properties": arguments},
        "resource": {"type": "account", "id": f"a{dice.randrange(1_000)}"},
    }


def _review(answer: Any) -> str:
    return str(answer.review_id)


def _add(made: Table, name: str, call: Callable[[], object], target: float | None) -> None:
    call()
    wall, cpu = [], []
    for _ in range(CALLS):
        began, thread = time.perf_counter(), time.thread_time()
        call()
        wall.append((time.perf_counter() - began) * 1_000)
        cpu.append((time.thread_time() - thread) * 1_000)
    wall.sort()
    p50, p99 = statistics.median(wall), wall[int(len(wall) * 0.99)]
    made.add(name, p50, p99, statistics.median(cpu), verdict(p50, target, "ms") if target else None)
