"""A gate that ends and begins again: nothing is forgotten, nobody is let in twice (S5, S7.3, S11)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import demur
from demur.errors import OwnedElsewhereError, StoreError
from demur.wiring import Settings, open_gate, open_reader

from .shop import Shop, open_shop, refund, said

if TYPE_CHECKING:
    from pathlib import Path


def reopened(shop: Shop) -> Shop:
    shop.gate.close()
    parts = open_gate(shop.parts.settings)
    return Shop(parts, shop.clock, shop.account, shop.manager, shop.clerk)


@pytest.fixture
def kept(tmp_path: Path) -> Shop:
    return open_shop(tmp_path, home=tmp_path / "home")


def test_a_grant_survives_a_restart_and_is_still_used_once(kept: Shop) -> None:
    given = kept.gate.decide(refund(100))
    again = reopened(kept)
    assert isinstance(again.gate.redeem(given.token, {"amount": 100}), demur.Redemption)
    once_more = reopened(again)
    assert isinstance(once_more.gate.redeem(given.token, {"amount": 100}), demur.Refusal)
    once_more.gate.close()


def test_quota_review_and_request_id_survive_a_restart(kept: Shop) -> None:
    first = kept.gate.decide(refund(100, request_id="r-1"))
    kept.gate.decide(refund(100))
    kept.gate.decide(refund(100))
    review = kept.gate.decide(refund(60_000, subject="bob")).review_id
    again = reopened(kept)
    assert said(again.gate.decide(refund(100, request_id="r-1"))) == said(first)
    assert again.gate.decide(refund(100)).outcome == "deny"
    assert [item.id for item in again.gate.reviews()] == [review]
    again.gate.close()


def test_a_deadline_that_passed_while_the_gate_was_closed_is_recorded_when_it_opens(kept: Shop) -> None:
    kept.gate.decide(refund(60_000))
    kept.gate.close()
    kept.clock.advance(4_000)
    parts = open_gate(kept.parts.settings)
    assert json.loads(list(parts.world.store.records())[-1].leaf)["type"] == "review_expired"
    assert parts.gate.reviews() == ()
    parts.gate.close()


def test_the_same_policies_are_activated_once(kept: Shop) -> None:
    again = reopened(kept)
    kinds = [json.loads(record.leaf)["type"] for record in again.parts.world.store.records()]
    assert kinds.count("policy_activated") == 1
    again.gate.close()


def test_a_second_owner_is_refused_and_told_the_pid(kept: Shop) -> None:
    with pytest.raises(OwnedElsewhereError, match=str(os.getpid())):
        open_gate(kept.parts.settings)
    kept.gate.close()


def test_a_reader_sees_the_ledger_while_the_gate_runs(kept: Shop) -> None:
    kept.gate.decide(refund(100))
    assert kept.parts.settings.home is not None
    reader = open_reader(kept.parts.settings.home)
    kinds = [json.loads(record.leaf)["type"] for record in reader.records()]
    assert kinds == ["epoch_start", "policy_activated", "decision"]
    reader.close()
    kept.gate.close()


CRASHING = """
import os, pathlib, sys
from demur.wiring import Settings, open_gate
home, policies = map(pathlib.Path, sys.argv[1:])
parts = open_gate(Settings(policies, home, sources={"account": lambda request: {"account.frozen": False}}))
parts.gate.decide({"subject": {"type": "user", "id": "ann", "properties": {"role": "clerk"}},
                   "action": {"name": "refund", "properties": {"amount": 1}},
                   "resource": {"type": "invoice", "id": "i-1"}})
os._exit(9)
"""


def test_a_crash_leaves_a_gap_record_of_unknown_size(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    shop.gate.close()
    home, policies = tmp_path / "home", tmp_path / "policies"
    crashed = subprocess.run([sys.executable, "-c", CRASHING, str(home), str(policies)], check=False)
    assert crashed.returncode == 9
    parts = open_gate(Settings(policies, home, sources={"account": shop.account}))
    leaves = [json.loads(record.leaf) for record in parts.world.store.records()]
    assert [leaf["type"] for leaf in leaves] == [
        *("epoch_start", "policy_activated", "decision"),
        *("epoch_start", "gap"),
    ]
    assert leaves[-1]["is_count_known"] is False
    parts.gate.close()


def test_after_a_fork_the_gate_of_the_parent_answers_nothing_in_the_child(kept: Shop) -> None:
    pid = os.fork()
    if pid == 0:
        answer = kept.gate.decide(refund(100))
        os._exit(0 if answer.outcome == "unavailable" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert kept.gate.decide(refund(100)).outcome == "allow"
    kept.gate.close()


def test_a_closed_gate_refuses(kept: Shop) -> None:
    kept.gate.close()
    assert kept.gate.decide(refund(100)).outcome == "unavailable"
    with pytest.raises(StoreError):
        kept.gate.reviews()
