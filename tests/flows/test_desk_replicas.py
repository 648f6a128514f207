"""The desk of several replicas on one database: the queue is exact, and what time does is done once."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.wiring import Parts, Settings, open_gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Server

POLICY = """
demur: 1
namespace: desk
desk:
  assign: automatic
  shed: {over: 5, up_to: medium, again: 1m}
actions: {pay: {arguments: {amount: int}}}
rules:
  - id: pay
    effect: review
    actions: [pay]
    review: {role: clerk, within: 1h, escalate: [{after: 1s, role: head}]}
"""


@pytest.fixture
def replicas(tmp_path: Path, postgres: Server) -> Iterator[list[Parts]]:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desk.yaml").write_text(POLICY, encoding="utf-8")
    store, keys = postgres.new_database(), postgres.keys_database()
    settings = Settings(
        tmp_path / "policies", tmp_path / "home", store=store, keys=keys, desk_seconds=0, heartbeat_seconds=0
    )
    opened = [open_gate(settings) for _ in range(2)]
    yield opened
    for parts in opened:
        parts.gate.close()


def pay(parts: Parts, amount: int) -> Any:
    return parts.gate.decide(
        {
            "subject": {"type": "user", "id": "zoë"},
            "action": {"name": "pay", "properties": {"amount": amount}},
            "resource": {"type": "account", "id": "a"},
        }
    )


def records(parts: Parts, kind: str) -> list[dict[str, Any]]:
    leaves = [json.loads(record.leaf) for record in parts.world.store.records()]
    return [leaf for leaf in leaves if leaf["type"] == kind]


def test_racing_replicas_fill_the_queue_to_its_limit_and_no_further(replicas: list[Parts]) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: pay(replicas[number % 2], number), range(60)))
    assert sum(isinstance(answer, demur.Deferral) for answer in answers) == 5
    assert sum(isinstance(answer, demur.Refusal) for answer in answers) == 55
    assert len([leaf for leaf in records(replicas[0], "decision") if "shed" in leaf]) == 55


def test_a_level_is_reached_and_a_review_assigned_once_however_many_replicas_look(replicas: list[Parts]) -> None:
    replicas[0].book.add("mara", ["head"])
    for amount in range(5):
        pay(replicas[0], amount)
    time.sleep(1.1)
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda parts: parts.gate.route(), replicas * 2))
    assert len(records(replicas[0], "review_escalated")) == 5
    assert len(records(replicas[0], "review_assigned")) == 5
