"""Claims and links over several replicas on one database: one grant, one verdict, whoever is asked (S6.1, S7)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.access import Role
from demur.core.intake import Caller
from demur.errors import RulingError
from demur.steps import linking, ruling
from demur.steps.enrolling import LOCAL
from demur.wiring import Parts, Settings, callers, open_gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Server

POLICY = """
demur: 1
namespace: shop
actions: {pay: {arguments: {amount: int}}}
rules:
  - id: pay
    effect: review
    actions: [pay]
    review: {role: clerk, within: 1h, quorum: 1}
"""
BOT = Caller("bot")


@pytest.fixture
def replicas(tmp_path: Path, postgres: Server) -> Iterator[list[Parts]]:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "shop.yaml").write_text(POLICY, encoding="utf-8")
    store, keys = postgres.new_database(), postgres.keys_database()
    settings = Settings(
        tmp_path / "policies", tmp_path / "home", store=store, keys=keys, desk_seconds=0, heartbeat_seconds=0
    )
    opened = [open_gate(settings) for _ in range(2)]
    yield opened
    for parts in opened:
        parts.gate.close()


def defer(parts: Parts, amount: int) -> str:
    answer: Any = parts.gate.decide(
        {
            "subject": {"type": "user", "id": "ann"},
            "action": {"name": "pay", "properties": {"amount": amount}},
            "resource": {"type": "invoice", "id": "i-1"},
        },
        caller=BOT,
    )
    review: str = answer.review_id
    return review


def login(parts: Parts, name: str) -> str:
    people = callers.people(parts)
    people.add(name, by=LOCAL, roles=[Role.REVIEWER], panels=["clerk"])
    return people.log_in(people.id_of(name))


def test_racing_claims_at_two_replicas_get_one_grant_that_either_redeems(replicas: list[Parts]) -> None:
    review = defer(replicas[0], 700)
    replicas[1].gate.rule(review, verdict="approve", reason="checked", credential=login(replicas[0], "mara"))
    with ThreadPoolExecutor(8) as pool:
        found: list[Any] = list(pool.map(lambda n: replicas[n % 2].gate.claim(review, caller=BOT), range(8)))
    assert {grant.token for grant in found} == {found[0].token}
    decisions = [json.loads(record.leaf) for record in replicas[0].world.store.records()]
    assert [leaf["outcome"] for leaf in decisions if leaf["type"] == "decision"] == ["defer", "allow"]
    assert isinstance(replicas[1].gate.redeem(found[0].token, {"amount": 700}), demur.Redemption)
    assert isinstance(replicas[0].gate.claim(review, caller=BOT), demur.Refusal)


def test_a_link_made_at_one_replica_is_used_once_at_any(replicas: list[Parts]) -> None:
    review, credential = defer(replicas[0], 701), login(replicas[0], "mara")
    worlds = [parts.world for parts in replicas]
    token = worlds[0].store.read(
        lambda tx: linking.issue(worlds[0], ruling.decode(tx.find_review(review)), "mara", tx.now)  # type: ignore[arg-type]  # it is there
    )

    def use(number: int) -> bool:
        parts, world = replicas[number % 2], worlds[number % 2]
        if world.store.read(lambda tx: linking.find(world, tx, token, "mara")) is None:
            return False
        try:
            parts.gate.rule(review, verdict="reject", reason="no", credential=credential)
        except RulingError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        used = list(pool.map(use, range(8)))
    assert used.count(True) == 1
    assert [use(0), use(1)] == [False, False]
    rulings = [json.loads(record.leaf)["type"] for record in worlds[0].store.records()].count("review_ruled")
    assert rulings == 1
