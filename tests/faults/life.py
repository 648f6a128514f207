"""One life of a gate in a process of its own: clients act through it, and a journal tells what they were answered.

The journal is a file that is appended to, one line for each thing, written only after the answer came:

    open CLEAN LIFE                            the gate is ready; CLEAN is 1 where it was closed in order before
    ask REQUEST                                about to ask; an answer may never come
    ans REQUEST FLOOR SEQUENCE OUTCOME ID      a durable answer; ID is its grant, its review or -
    una REQUEST                                the answer was `unavailable`
    red GRANT FLOOR SEQUENCE                   redeemed
    exe GRANT                                  about to act, synced to the disk before acting
    com GRANT FLOOR                            the end of the execution was recorded
    rul REVIEW FLOOR STATE                     a ruling was recorded
    rev GRANT FLOOR                            revoked
    end                                        closed in order

FLOOR is the newest sequence that anybody had been answered when the call began: what came of it must lie above.
A request is rebuilt from its id, so that a later life can ask it again.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import demur
from demur.errors import DemurError
from demur.wiring import Settings, load_policies, open_gate, open_reviewers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from demur.core.evidence import Answer
    from demur.core.policy.document import Documents
    from demur.wiring import Parts

LOG = "default"
POLICY = """
demur: 1
namespace: shop
zone: Europe/Berlin
usage:
  refunds_today: {actions: [refund], by: [resource.id], window: {calendar: day}}
actions:
  refund:
    arguments:
      amount: {type: int, change: true}
  erase: {}
rules:
  - id: small-refund
    effect: permit
    actions: [refund]
    when: [{name: small, expr: action.amount <= 50000, explain: the amount is at most 500 EUR}]
  - id: quota
    effect: forbid
    category: quota_exceeded
    actions: [refund]
    when: [{name: used-up, expr: usage.refunds_today >= 1000000, explain: a million refunds were made}]
  - id: large-refund
    effect: review
    actions: [refund]
    when: [{name: large, expr: action.amount > 50000, explain: the amount is above 500 EUR}]
    review: {role: manager, quorum: 1, within: 1h, risk: high}
  - id: never-erase
    effect: forbid
    category: categorical
    actions: [erase]
"""
SUBJECTS = 12
"""How many people there are at first; now and then one more comes, whose key must be durable before the record."""
STORIES = 6


@dataclass(frozen=True, slots=True)
class Place:
    """A home with what was loaded for it beforehand, so that a life starts at once."""

    home: Path
    policies: Path
    journal: Path
    documents: Documents
    credential: str

    @classmethod
    def make(cls, folder: Path) -> Place:
        """A new home in `folder`, with one reviewer."""
        policies = folder / "policies"
        policies.mkdir(parents=True)
        (policies / "shop.yaml").write_text(POLICY)
        home = folder / "home"
        home.mkdir(mode=0o700)
        credential = open_reviewers(home).add("mara", ["manager"])
        return cls(home, policies, folder / "journal", load_policies(policies), credential)

    def open(self) -> Parts:
        """The gate; raises as `open_gate`."""
        return open_gate(Settings(self.policies, self.home, LOG), self.documents)


def request(name: str) -> dict[str, object]:
    """The request with this id: `LIFE.THREAD.NUMBER.ACTION.AMOUNT`, and anything after that."""
    _, thread, number, action, amount = name.split(".")[:5]
    subject = f"s{int(thread) % SUBJECTS}" if int(number) % 50 else f"new-{name}"
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": action, "properties": {"amount": int(amount)} if action == "refund" else {}},
        "resource": {"type": "invoice", "id": f"i-{int(thread) % 3}"},
        "request_id": name,
    }


def open_journal(place: Place) -> int:
    """The journal's descriptor."""
    return os.open(place.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


@dataclass
class Life:
    """What one process does with the gate. Safe to use from several threads."""

    place: Place
    number: int
    parts: Parts
    journal: int
    newest: int = -1
    unavailable: int = 0
    """Calls that could not be answered."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def begin(cls, place: Place, number: int, journal: int = -1) -> Life:
        """Open the gate and say so; raises as `open_gate`. `journal` is the journal where it is open already."""
        journal = open_journal(place) if journal < 0 else journal
        parts = place.open()
        life = cls(place, number, parts, journal)
        store = parts.world.store
        try:
            life.newest = store.read(lambda tx: tx.head.size) - 1
        except DemurError:
            parts.gate.close()
            raise
        life.note(f"open {store.was_clean:d} {number}")
        return life

    def end(self) -> None:
        """Close in order."""
        self.parts.gate.close()
        self.note("end")

    def note(self, line: str) -> None:
        """One line, whole or not at all as far as other threads can see."""
        # A call of its own, so that a fault in `write` strikes what the gate writes and not what is said about it.
        os.writev(self.journal, [f"{line}\n".encode()])

    def live(self, threads: int) -> None:
        """Act from several threads until the process ends."""
        clients = [threading.Thread(target=self._client, args=(thread,)) for thread in range(threads)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def repeat(self, requests: Sequence[str]) -> None:
        """Ask again what an earlier life may or may not have been answered, and use what is granted."""
        for name in requests:
            answer = self.ask(name)
            if isinstance(answer, demur.Grant):
                self.use(answer)
                self.use(self.ask(name))

    def story(self, thread: int, number: int) -> None:
        """One of the stories: refused, allowed and executed, taken back, or deferred, approved and executed."""
        name = f"{self.number}.{thread}.{number}"
        match number % STORIES:
            case 0:
                self.ask(f"{name}.erase.0")
            case 1:
                self.revoke(self.ask(f"{name}.refund.{number % 50_000}"))
            case 2:
                self.escalate(f"{name}.refund.{60_000 + number}")
            case _:
                self.use(self.ask(f"{name}.refund.{number % 50_000}"))

    def ask(self, name: str) -> Answer | None:
        """The answer to the request of this name; `None` where it is unavailable."""
        self.note(f"ask {name}")
        floor = self.newest
        answer = self.parts.gate.decide(request(name))
        if self._is_unavailable(answer, name):
            return None
        own = answer.id if isinstance(answer, demur.Grant) else getattr(answer, "review_id", "-")
        sequence = self._sequence(answer.audit_id)
        self.note(f"ans {name} {floor} {sequence} {answer.outcome} {own}")
        return answer

    def use(self, grant: Answer | None) -> bool:
        """Redeem, act, complete; whether it came to acting."""
        if not isinstance(grant, demur.Grant):
            return False
        floor = self.newest
        redeemed = self.parts.gate.redeem(grant.token, grant.arguments)
        if not isinstance(redeemed, demur.Redemption):
            self._is_unavailable(redeemed, grant.id)
            return False
        self.note(f"red {grant.id} {floor} {self._sequence(redeemed.audit_id)}")
        self.note(f"exe {grant.id}")
        os.fsync(self.journal)  # another call than SQLite makes, so that faults in those leave it alone
        floor = self.newest
        refused = self.parts.gate.complete(grant.id, "success")
        if refused is None:
            self.note(f"com {grant.id} {floor}")
        else:
            self._is_unavailable(refused, grant.id)
        return True

    def revoke(self, grant: Answer | None) -> None:
        """Take a grant back, and try to redeem it all the same."""
        if not isinstance(grant, demur.Grant):
            return
        floor = self.newest
        refused = self.parts.gate.revoke(grant.id)
        if refused is None:
            self.note(f"rev {grant.id} {floor}")
            self.use(grant)
        else:
            self._is_unavailable(refused, grant.id)

    def escalate(self, name: str) -> None:
        """Ask for what a person must approve, approve it, ask again and act."""
        deferral = self.ask(name)
        if not isinstance(deferral, demur.Deferral):
            return
        floor, credential = self.newest, self.place.credential
        try:
            after = self.parts.gate.rule(deferral.review_id, verdict="approve", reason="checked", credential=credential)
        except DemurError:
            self.unavailable += 1
            self.note(f"una {deferral.review_id}")
            return
        self.note(f"rul {after.id} {floor} {after.state.value}")
        self.use(self.ask(f"{name}.again"))

    def _is_unavailable(self, answer: Answer, name: str) -> bool:
        if answer.outcome != "unavailable":
            return False
        self.unavailable += 1
        self.note(f"una {name}")
        return True

    def _client(self, thread: int) -> None:
        number = 0
        while True:
            self.story(thread, number + thread)
            number += 1

    def _sequence(self, audit_id: str) -> int:
        sequence = int(audit_id.rpartition("/")[2])
        with self._lock:
            self.newest = max(self.newest, sequence)
        return sequence
