"""Replicas on one database decide by the policies that the store names, wherever they were put in force (S3.7)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import demur
from demur.core.terms import Outcome
from demur.errors import LedgerError, StoreError
from demur.wiring import Parts, Settings, open_gate, reload_policies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Server

WAIT = 30
OPEN = "demur: 1\nnamespace: door\nactions: {open: {}}\nrules:\n  - {id: rule, effect: permit, actions: [open]}\n"
SHUT = OPEN.replace("permit", "forbid")
ASKED: dict[str, Any] = {
    "subject": {"type": "user", "id": "zoë"},
    "action": {"name": "open"},
    "resource": {"type": "door", "id": "1"},
}


class Fleet:
    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.store, self.keys = server.new_database(), server.keys_database()
        self.opened: list[Parts] = []

    def policies(self, name: str, text: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "door.yaml").write_text(text)
        return folder

    def open(self, policies: Path) -> Parts:
        settings = Settings(policies, self.folder / "home", store=self.store, keys=self.keys)
        self.opened.append(open_gate(settings))
        return self.opened[-1]


@pytest.fixture
def fleet(tmp_path: Path, postgres: Server) -> Iterator[Fleet]:
    made = Fleet(tmp_path, postgres)
    yield made
    for parts in made.opened:
        parts.gate.close()


def until_decides_by(parts: Parts, digest: str) -> None:
    end = time.monotonic() + WAIT
    while parts.gate.policy_version != digest:
        assert time.monotonic() < end, "the policies were not followed"
        time.sleep(0.01)


def kinds(parts: Parts) -> list[str]:
    return [msgspec.json.decode(record.leaf)["type"] for record in parts.world.store.records()]


def test_what_one_replica_puts_in_force_all_decide_by(fleet: Fleet) -> None:
    one, other = (fleet.open(fleet.policies("first", OPEN)) for _ in range(2))
    granted = other.gate.decide(ASKED)
    assert isinstance(granted, demur.Grant)
    digest = reload_policies(one, fleet.policies("second", SHUT), by="ana")
    until_decides_by(other, digest)
    refused = other.gate.decide(ASKED)
    assert isinstance(refused, demur.Refusal)
    assert (refused.outcome, refused.policy_version) == (Outcome.DENY, digest)
    assert not isinstance(other.gate.redeem(granted.token, {}), demur.Redemption)
    assert kinds(one).count("policy_activated") == 2


def test_a_replica_that_opens_with_another_folder_decides_by_the_store(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    one = fleet.open(fleet.policies("first", SHUT))
    other = fleet.open(fleet.policies("second", OPEN))
    assert other.gate.policy_version == one.gate.policy_version
    assert other.gate.decide(ASKED).outcome is Outcome.DENY
    assert "are in force, not the folder's" in caplog.text
    assert kinds(one).count("policy_activated") == 1


def test_a_replica_that_cannot_load_what_is_in_force_does_not_open(fleet: Fleet, postgres: Server) -> None:
    fleet.open(fleet.policies("first", SHUT))
    database = fleet.store.partition("?")[0].rpartition("/")[2]
    postgres.execute("UPDATE blobs SET data = 'nonsense'", database)
    with pytest.raises(LedgerError, match="cannot be read"):
        fleet.open(fleet.policies("second", OPEN))


def test_a_gate_that_may_be_outdated_neither_decides_nor_redeems(fleet: Fleet) -> None:
    parts = fleet.open(fleet.policies("first", OPEN))
    granted = parts.gate.decide(ASKED)
    assert isinstance(granted, demur.Grant)
    assert parts.gate.impediment == ""

    def outdated() -> None:
        raise StoreError("others are in force")

    parts.gate.follow(outdated)
    assert parts.gate.impediment == "others are in force"
    assert parts.gate.decide(ASKED).outcome is Outcome.UNAVAILABLE
    assert parts.gate.submit(ASKED).result(WAIT).outcome is Outcome.UNAVAILABLE
    assert not isinstance(parts.gate.redeem(granted.token, {}), demur.Redemption)
    with pytest.raises(StoreError, match="others are in force"):
        parts.gate.inquire([ASKED])
