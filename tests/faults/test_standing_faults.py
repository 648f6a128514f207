"""Standing approvals while something fails, and while many ask at once on two replicas."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.scope import Bound, Scope
from demur.errors import DemurError
from demur.wiring import Parts, Settings, open_gate
from tests.faults.test_gateway_dependencies import ERRORS, MAX_CALLS, Failing, FailingStore, Tool, broken
from tests.flows.shop import START, Shop, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from demur.core.terms import Timestamp
    from tests.postgres import Server

USES = 2


def scope(now: Timestamp = START, uses: int = USES) -> Scope:
    return Scope(
        rule="shop/large-refund",
        action="refund",
        resource_type="invoice",
        subject="user:b*",
        uses=uses,
        expires_at=now.plus(3_600),
        arguments={"action.amount": Bound(at_most=80_000)},
    )


def story(gate: Any, credential: str, tool: Tool) -> bool:
    """Approve in advance, and ask and act three times; whether the approval was acknowledged."""
    try:
        gate.standing_grant(scope(), credential=credential, reason="checked")
        is_granted = True
    except (DemurError, OSError):
        is_granted = False
    for _ in range(USES + 1):
        tool.run(gate, gate.decide(refund(60_000, subject="bob")), {"amount": 60_000})
    return is_granted


def leaves(parts: Parts, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(record.leaf) for record in parts.world.store.records()]
    return [leaf for leaf in found if leaf["type"] == kind]


def fail(shop: Shop, port: str, at: int, *, is_lasting: bool) -> tuple[bool, Tool]:
    """The story with this port failing at that call; whether it got so far. What the ledger says must bear it out."""
    real = shop.gate._active.sources if port == "sources" else getattr(shop.parts.world, port)
    kind = FailingStore if port == "store" else Failing
    failing, tool = kind(real, at, ERRORS[at % len(ERRORS)], is_lasting=is_lasting), Tool()
    is_granted = story(broken(shop, port, failing), shop.manager, tool)
    used = {leaf["grant"] for leaf in leaves(shop.parts, "standing_used")}
    assert set(tool.executed) <= used
    assert len(tool.executed) <= USES
    assert not is_granted or len(leaves(shop.parts, "standing_opened")) == 1
    return failing.calls >= at, tool


@pytest.mark.parametrize("is_lasting", [True, False], ids=["for-good", "once"])
@pytest.mark.parametrize("port", ["store", "vault", "reviewers", "clock"])
def test_a_port_that_fails_at_any_call_leads_to_no_use_too_many(tmp_path: Path, port: str, *, is_lasting: bool) -> None:
    reached, at = True, 0
    while reached and at < MAX_CALLS:
        at += 1
        (tmp_path / f"{at}").mkdir()
        shop = open_shop(tmp_path / f"{at}")
        reached, first = fail(shop, port, at, is_lasting=is_lasting)
        # Whatever was written of it holds afterwards, too: nothing is granted beyond the uses, by whoever asks.
        again = Tool()
        for _ in range(USES + 1):
            again.run(shop.gate, shop.gate.decide(refund(60_000, subject="bob")), {"amount": 60_000})
        assert len(first.executed) + len(again.executed) <= USES
        shop.gate.close()
    assert 0 < at < MAX_CALLS


def test_without_a_fault_it_is_used_as_often_as_was_said(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    _, tool = fail(shop, "store", 10**6, is_lasting=True)
    assert len(tool.executed) == USES
    shop.gate.close()


# Two replicas on one database.


@pytest.fixture
def replicas(tmp_path: Path, postgres: Server) -> Iterator[list[Parts]]:
    policy = tmp_path / "policies"
    policy.mkdir()
    (policy / "shop.yaml").write_text(
        "demur: 1\nnamespace: shop\nactions: {refund: {arguments: {amount: int}}}\n"
        "rules:\n  - {id: large-refund, effect: review, actions: [refund], review: {role: manager, within: 1h}}\n"
    )
    store, keys = postgres.new_database(), postgres.keys_database()
    settings = Settings(policy, tmp_path / "home", store=store, keys=keys, desk_seconds=0, heartbeat_seconds=0)
    opened = [open_gate(settings) for _ in range(2)]
    yield opened
    for parts in opened:
        parts.gate.close()


def test_racing_replicas_use_the_last_of_it_once(replicas: list[Parts]) -> None:
    credential = replicas[0].book.add("mara", ["manager"])
    wanted = scope(replicas[0].world.clock.now(), uses=7)
    replicas[0].gate.standing_grant(wanted, credential=credential, reason="checked")

    def ask(number: int) -> Any:
        return replicas[number % 2].gate.decide(refund(60_000, subject=f"b{number}"))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(64)))
    assert sum(isinstance(answer, demur.Grant) for answer in answers) == 7
    assert sum(isinstance(answer, demur.Deferral) for answer in answers) == 57
    assert sorted(leaf["use"] for leaf in leaves(replicas[1], "standing_used")) == list(range(1, 8))
    assert [told.used for told in replicas[1].gate.standing()] == [7]
