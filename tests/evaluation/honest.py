"""Honest histories through a real gate, with a meter that sees what is carried out; and a way to tamper with copies."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import demur
from demur.adapters import ed25519
from demur.adapters.clock import ManualClock
from demur.core import meter
from demur.core.ledger import merkle
from demur.core.meter import Granted, Refused, Statement, Ungranted
from demur.core.reconciliation import Limits, Report, Run
from demur.core.terms import Timestamp, parse_timestamp
from demur.ports import StoredRecord
from demur.steps import attesting
from demur.steps.attesting import Rhythm
from demur.wiring import Settings, open_gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLICY = """
demur: 1
namespace: till
actions:
  pay: {arguments: {amount: int, note: {type: string, optional: true}}}
  ship: {arguments: {amount: int}}
  erase: {}
facts:
  subject.role: string
rules:
  - id: small
    effect: permit
    actions: [pay, ship]
    when: [{name: small, expr: 'action.amount <= 100', explain: the amount is small}]
  - id: never
    effect: forbid
    category: categorical
    actions: [erase]
"""
START = parse_timestamp("2026-11-20T09:00:00Z")
ERASE = {
    "subject": {"type": "user", "id": "canary"},
    "action": {"name": "erase"},
    "resource": {"type": "till", "id": "1"},
}
RHYTHM = Rhythm(60, 600, ("erase",))


@dataclass
class FakeMeter:
    """A meter in memory: signs what it is told to have seen."""

    clock: ManualClock
    name: str = "till-1"
    resource: str = "till"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    n: int = 0
    previous: str = meter.FIRST
    since: str = ""
    granted: list[Granted] = field(default_factory=list)
    ungranted: list[Ungranted] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def public(self) -> str:
        return ed25519.public_hex(self.key)

    def see(self, action: str, grant: str, mark: str) -> None:
        self.granted.append(Granted(action, str(self.clock.now()), grant, mark))

    def count(self, action: str, number: int = 1) -> None:
        at = str(self.clock.now())
        self.ungranted.append(Ungranted(action, number, at, at))

    def state(self, **changed: Any) -> bytes:
        until = str(self.clock.now())
        seen = len(self.granted) + sum(item.count for item in self.ungranted)
        members: dict[str, Any] = {
            "meter": self.name,
            "resource": self.resource,
            "epoch": 1,
            "n": self.n,
            "previous": self.previous,
            "since": self.since or until,
            "until": until,
            "operations": seen,
            "granted": tuple(self.granted),
            "ungranted": tuple(self.ungranted),
            "refused": tuple(self.refused),
        }
        body = meter.encode(Statement(**(members | changed)))
        line = meter.line(body, self.key.sign(meter.to_sign(body)))
        signed = meter.read(line)
        self.n, self.previous, self.since = signed.statement.n + 1, signed.digest, until
        self.granted, self.ungranted, self.refused = [], [], []
        return line


@dataclass
class History:
    """What is compared: leaves, statements by digest, and the meter that could say more."""

    leaves: list[dict[str, Any]]
    statements: dict[str, bytes]
    meter: FakeMeter
    now: Timestamp
    files: list[bytes] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)

    def copy(self) -> History:
        own = copy.copy(self.meter)
        own.clock = ManualClock(self.now)
        own.granted, own.ungranted, own.refused = [], [], []
        return History(copy.deepcopy(self.leaves), dict(self.statements), own, self.now, list(self.files), self.limits)

    def find(self, kind: str, **members: Any) -> dict[str, Any]:
        """The last leaf of this type with these members."""
        return next(
            leaf
            for leaf in reversed(self.leaves)
            if leaf["type"] == kind and all(leaf.get(name) == value for name, value in members.items())
        )

    def wait(self, seconds: float) -> None:
        self.now = self.now.plus(seconds)
        self.meter.clock.advance(seconds)

    def add(self, kind: str, **members: Any) -> dict[str, Any]:
        """One more record, as a writer would append it."""
        last = self.leaves[-1]
        self.wait(0.5)
        leaf = {**members, "type": kind, "log": last["log"], "v": 1, "timestamp": str(self.now)}
        leaf["sequence"] = len(self.leaves)
        if "writer" in last:
            leaf["writer"] = {**last["writer"], "n": last["writer"]["n"] + 1}
        self.leaves.append(leaf)
        return leaf

    def blank(self, leaf: dict[str, Any]) -> None:
        """Put a record that says nothing in the place of this one, so that every number stays."""
        kept: dict[str, Any] = {
            name: leaf[name] for name in ("log", "v", "timestamp", "sequence", "writer") if name in leaf
        }
        leaf.clear()
        leaf.update(kept, type="note")

    def state(self, **changed: Any) -> dict[str, Any]:
        """Let the meter say what it saw, and the gate record it."""
        self.wait(0.5)
        line = self.meter.state(**changed)
        signed = meter.read(line)
        self.statements[signed.digest] = line
        return self.add("meter", **attesting.statement_members(signed))

    def records(self) -> Iterator[StoredRecord]:
        for leaf in self.leaves:
            data = json.dumps(leaf, sort_keys=True, separators=(",", ":")).encode()
            yield StoredRecord(leaf["sequence"], data, merkle.leaf_hash(data))

    def compare(self) -> Report:
        lives: dict[str, bytes] = {}
        run = Run(lives=lives, statements=self.statements.get, verify=ed25519.verify, limits=self.limits)
        for record in self.records():
            run.take(record)
        run.take_statements(self.files)
        return run.finish(self.now, declared=["pay", "ship", "erase"])

    def kinds(self) -> set[str]:
        return {finding.kind.value for finding in self.compare().findings}


class Story:
    """A gate in use by several actors, chosen by chance; everything it does is as it should be."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "till.yaml").write_text(POLICY)
        self.chance = random.Random(seed)
        self.clock = ManualClock(START)
        self.parts = open_gate(Settings(folder, clock=self.clock, received=("ship",)))
        self.gate: Any = self.parts.gate
        self.gate.begin(was_clean=True, rhythm=RHYTHM)
        self.operator = self.parts.book.add("otto", ["operator"])
        self.meter = FakeMeter(self.clock)
        self.gate.register_meter(
            "till-1",
            resource="till",
            key=self.meter.public,
            actions=["pay"],
            credential=self.operator,
            reason="the till",
        )
        self.is_stopped = ""
        self.unended: set[str] = set()
        self.executions = 0
        self._said = self._beat = self._sung = START

    def run(self, steps: int) -> History:
        for _ in range(steps):
            self.chance.choice(self.acts)(self)
            self.pass_time(self.chance.choice([0.01, 0.2, 3, 20]))
        return self.history()

    def history(self) -> History:
        if self.is_stopped:
            self.move_stop()
        self.pass_time(1)
        self.execute()
        self.refuse()
        self.say()
        self.gate.heartbeat()
        leaves = [json.loads(record.leaf) for record in self.parts.world.store.records()]
        store = self.parts.world.store
        said = [leaf["statement"] for leaf in leaves if leaf["type"] == "meter"]
        found = store.read(lambda tx: {name: tx.find_blob(f"statement:{name}") or b"" for name in said})
        return History(leaves, found, self.meter, self.clock.now())

    def close(self) -> None:
        self.gate.close()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        now = self.clock.now()
        if now >= self._beat.plus(60):
            self.gate.heartbeat()
            self._beat = now
        if now >= self._sung.plus(600):
            assert self.gate.canary("erase", ERASE) == "deny"
            self._sung = now
        if now >= self._said.plus(60):
            self.say()

    def say(self) -> None:
        self.gate.submit_meter(self.meter.state())
        self._said = self.clock.now()

    def ask(self, action: str, amount: int, **more: Any) -> Any:
        actor = self.chance.choice(["bot-1", "bot-2", "бот"])
        request = {
            "subject": {"type": "user", "id": self.chance.choice(["ann", "李", "eda"])},
            "actor": {"type": "agent", "id": actor},
            "action": {"name": action, "properties": {"amount": amount} | more},
            "resource": {"type": "till", "id": "1"},
        }
        return self.gate.decide(request)

    def execute(self, action: str = "pay", *, ends: str = "success") -> None:
        """Ask, redeem, carry out under the eyes of the meter, report the end."""
        arguments: dict[str, Any] = {"amount": self.chance.randrange(100)} | self.chance.choice(
            [{}, {"note": "für Zoë"}]
        )
        if action == "ship":
            arguments.pop("note", None)
        given = self.ask(action, **arguments)
        if isinstance(given, demur.Refusal):
            assert self.is_stopped
            return
        redeemed = self.gate.redeem(given.token, arguments)
        assert isinstance(redeemed, demur.Redemption), redeemed
        self.executions += 1
        if self.chance.random() < 0.2:
            self.gate.started(given.id)
        if action == "pay":
            self.meter.see("pay", given.id, meter.mark(redeemed.mark_key, "pay", arguments))
        if ends:
            assert self.gate.complete(given.id, ends) is None
        else:
            self.unended.add(given.id)

    def ship(self) -> None:
        self.execute("ship")

    def fail(self) -> None:
        self.execute(ends=self.chance.choice(["failure", "unknown"]))

    def crash(self) -> None:
        self.execute(ends="")

    def refuse(self) -> None:
        assert self.ask("pay", 1_000 + self.chance.randrange(100)).outcome == "deny"

    def let_expire(self) -> None:
        given = self.ask("pay", 5)
        if isinstance(given, demur.Grant) and self.chance.random() < 0.5:
            self.pass_time(31)
            assert isinstance(self.gate.redeem(given.token, {"amount": 5}), demur.Refusal)

    def revoke(self) -> None:
        given = self.ask("pay", 5)
        if isinstance(given, demur.Grant):
            assert self.gate.revoke(given.id) is None
            assert isinstance(self.gate.redeem(given.token, {"amount": 5}), demur.Refusal)

    def repeat(self) -> None:
        request = {
            "subject": {"type": "user", "id": "ann"},
            "action": {"name": "ship", "properties": {"amount": self.chance.choice([5, 500])}},
            "resource": {"type": "till", "id": "1"},
            "request_id": f"r-{self.chance.randrange(4)}",
        }
        try:
            self.gate.decide(request)
        except demur.DemurError:
            return

    def move_stop(self) -> None:
        if self.is_stopped:
            self.gate.release(self.is_stopped, credential=self.operator, reason="over")
            self.is_stopped = ""
        else:
            # What is under way ends first: the clocks of gate and meter may differ by some seconds.
            self.pass_time(20)
            stop = self.gate.kill(actions=["pa*"], credential=self.operator, reason="look")
            self.is_stopped = stop.id
        self.pass_time(20)

    acts = (execute, execute, execute, ship, fail, refuse, let_expire, revoke, repeat, move_stop, crash)


def grant_of(history: History, number: str = "f" * 32, **changed: Any) -> dict[str, Any]:
    """A decision that allows, as the gate would have recorded it."""
    decision = history.find("decision", outcome="allow")
    members = {**decision, "grant": number, "grant_expires_at": str(history.now.plus(30)), **changed}
    return history.add(**rest(members), kind="decision")


def redeem(history: History, granted: dict[str, Any], /, **changed: Any) -> dict[str, Any]:
    members = {
        "grant": granted["grant"],
        "decision": granted["sequence"],
        "policy_version": granted["policy_version"],
        "mark": "ab" * 16,
    }
    return history.add("grant_redeemed", **(members | changed))


def rest(leaf: dict[str, Any]) -> dict[str, Any]:
    own = {"type", "log", "v", "timestamp", "sequence", "writer", "previous_hash"}
    return {name: value for name, value in leaf.items() if name not in own}
