"""Replicas of the service on one PostgreSQL, ended with SIGKILL and SIGTERM at random while callers ask them.

python -m tests.faults.fleet [SECONDS] [SEED]

Every question is asked, under one request id, of whichever replica answers, until one does; some are asked again of
another one. At the end the ledger is checked and compared with what was answered: nothing lost, no two answers to one
question, no grant redeemed twice. The counts are printed; exits with 1 where anything of that is not so.
"""

from __future__ import annotations

import contextlib
import json
import queue
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import stamina.instrumentation

import demur
from demur.adapters.postgres import PostgresReader
from demur.core.ledger import chain
from demur.core.terms import Outcome
from tests import postgres

if TYPE_CHECKING:
    from demur.client import Client
    from demur.core.evidence import Answer
    from tests.postgres import Server

REPLICAS = 3
CALLERS = 6
WAIT = 40
"""Seconds after which an answer, a start or an end counts as lost."""
LOG = "clinic"
PROGRAM = str(Path(sys.executable).with_name("demur"))
POLICY = """
demur: 1
namespace: clinic
actions:
  refund: {arguments: {amount: {type: int, change: true}}}
rules:
  - id: small
    effect: permit
    actions: [refund]
    when: [{name: small, expr: action.amount <= 500, explain: the amount is at most 5 EUR}]
  - id: large
    effect: review
    actions: [refund]
    when: [{name: large, expr: action.amount > 500 && action.amount <= 900, explain: the amount is above 5 EUR}]
    review: {role: manager, quorum: 1, within: 1h, risk: high}
"""


@dataclass
class Replica:
    """One process of `demur serve`, on an address that it keeps over its lives."""

    config: Path
    url: str
    process: subprocess.Popen[str] | None = None
    is_ready: threading.Event = field(default_factory=threading.Event)
    keys: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Begin a life; `is_ready` is set once it answers."""
        self.is_ready = threading.Event()
        command = [PROGRAM, "serve", "--config", str(self.config), "--json"]
        with self.config.with_suffix(".log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        threading.Thread(target=self._listen, args=(self.process, self.is_ready), daemon=True).start()

    def end(self, how: signal.Signals) -> int:
        """End its life; how it exited."""
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(WAIT)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def said(self) -> str:
        return self.config.with_suffix(".log").read_text()[-2_000:]

    def _listen(self, process: subprocess.Popen[str], is_ready: threading.Event) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):
            told = process.stdout.readline()
            if told:
                self.keys |= json.loads(told)["first_keys"]
                is_ready.set()


@dataclass
class Journal:
    """What callers were told."""

    counts: Counter[str] = field(default_factory=Counter)
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By request id: the audit id and the outcome."""
    redeemed: dict[str, str] = field(default_factory=dict)
    """By grant: the audit id of its redemption, as acknowledged."""
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, kind: str, text: str) -> None:
        with self.lock:
            self.counts[kind] += 1
            self.faults.append(f"{kind}: {text}")


class Caller(threading.Thread):
    """Asks one question after the other until it is told to stop."""

    def __init__(
        self, number: int, fleet: list[Replica], key: str, journal: Journal, stop: threading.Event, seed: int
    ) -> None:
        super().__init__(name=f"caller-{number}")
        self._number = number
        self._chance = random.Random(seed * 1_000 + number)
        self._fleet = fleet
        self._clients = [demur.connect(one.url, credential=key, timeout_seconds=5) for one in fleet]
        self._journal = journal
        self._stop_asking = stop
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            asked = 0
            while not self._stop_asking.is_set():
                self._ask(f"{self._number}-{asked}")
                asked += 1
        except BaseException as error:  # noqa: BLE001  (a caller that broke is a finding, told by the main thread)
            self.failure = error
        finally:
            for client in self._clients:
                client.close()

    def _ask(self, name: str) -> None:
        amount = self._chance.randrange(1, 1_000)
        request: dict[str, Any] = {
            "subject": {"type": "user", "id": f"zoë-{self._number}"},
            "action": {"name": "refund", "properties": {"amount": amount}},
            "resource": {"type": "invoice", "id": name},
            "request_id": name,
        }
        answer = self._answered(request, self._client())
        if answer is None:
            self._journal.fault("lost", name)
            return
        with self._journal.lock:
            self._journal.counts["answered"] += 1
            self._journal.answers[name] = (answer.audit_id, answer.outcome.value)
        if self._chance.random() < 0.3:
            self._compare(answer, self._answered(request, self._client()), name)
        if isinstance(answer, demur.Grant):
            self._redeem(answer)

    def _answered(self, request: dict[str, Any], client: Client) -> Answer | None:
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            answer = client.decide(request)
            if answer.outcome is not Outcome.UNAVAILABLE:
                return answer
            with self._journal.lock:
                self._journal.counts["unavailable"] += 1
            time.sleep(0.05)
            client = self._client()
        return None

    def _compare(self, answer: Answer, again: Answer | None, name: str) -> None:
        if again is None:
            self._journal.fault("lost", f"{name}, asked again")
            return
        tokens = [one.token if isinstance(one, demur.Grant) else "" for one in (answer, again)]
        if (again.audit_id, again.outcome) != (answer.audit_id, answer.outcome) or tokens[0] != tokens[1]:
            self._journal.fault("contradictory", f"{name}: {answer.audit_id} and {again.audit_id}")
        with self._journal.lock:
            self._journal.counts["compared"] += 1

    def _redeem(self, grant: demur.Grant) -> None:
        """Every grant is tried at two replicas; one of them may have done it without being able to say so."""
        done = [
            found.audit_id
            for found in (self._client().redeem(grant.token, grant.arguments) for _ in range(2))
            if isinstance(found, demur.Redemption)
        ]
        if len(done) > 1:
            self._journal.fault("redeemed twice", grant.id)
        with self._journal.lock:
            self._journal.counts["granted"] += 1
            self._journal.redeemed.update((grant.id, audit_id) for audit_id in done)

    def _client(self) -> Client:
        """Mostly one that is ready, as a balancer would have it; now and then one that may not be."""
        client = self._chance.randrange(len(self._clients))
        while self._chance.random() < 0.9 and not self._fleet[client].is_ready.is_set():
            client = self._chance.randrange(len(self._clients))
        return self._clients[client]


def run(seconds: float, *, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Act for so long; the counts, and what was found wrong."""
    with postgres.running() as server, tempfile.TemporaryDirectory() as folder:
        fleet = _replicas(Path(folder), server)
        journal = Journal()
        try:
            _start(fleet)
            stop = threading.Event()
            key = fleet[0].keys[LOG]
            callers = [Caller(n, fleet, key, journal, stop, seed) for n in range(CALLERS)]
            for caller in callers:
                caller.start()
            _disturb(fleet, journal, seconds, random.Random(seed))
            stop.set()
            for caller in callers:
                caller.join()
                if caller.failure is not None:
                    journal.fault("broken", repr(caller.failure))
            for one in fleet:
                _end(one, signal.SIGTERM, journal)
        finally:
            for one in fleet:
                if one.process is not None and one.process.poll() is None:
                    one.end(signal.SIGKILL)
        _check(server, journal)
        return journal.counts, journal.faults


def _replicas(folder: Path, server: Server) -> list[Replica]:
    (folder / "policies").mkdir()
    (folder / "policies" / "clinic.yaml").write_text(POLICY)
    store, keys = server.new_database(), server.keys_database()
    made = []
    for number in range(REPLICAS):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        config = folder / f"replica-{number}.toml"
        config.write_text(
            f'bind = "{address}"\ndrain_seconds = 0.2\n[tenants.{LOG}]\npolicies = "policies"\nhome = "home"\n'
            f'store = "{store}"\nkeys = "{keys}"\n'
        )
        made.append(Replica(config, f"http://{address}"))
    return made


def _start(fleet: list[Replica]) -> None:
    """The first one makes the key files and the first caller; the others find them."""
    for some in (fleet[:1], fleet[1:]):
        for one in some:
            one.start()
        for one in some:
            if not one.is_ready.wait(WAIT):
                raise RuntimeError(one.said())


def _disturb(fleet: list[Replica], journal: Journal, seconds: float, chance: random.Random) -> None:
    """End one replica after the other, at random moments, while another one is ready."""
    end = time.monotonic() + seconds
    starting: queue.SimpleQueue[Replica] = queue.SimpleQueue()
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.1, 2.0))
        ready = [one for one in fleet if one.is_ready.is_set()]
        if len(ready) > 1:
            one = chance.choice(ready)
            one.is_ready.clear()
            _end(one, chance.choice((signal.SIGKILL, signal.SIGTERM)), journal)
            one.start()
            starting.put(one)
    while not starting.empty():
        one = starting.get()
        if not one.is_ready.wait(WAIT):
            journal.fault("did not start", one.said())


def _end(one: Replica, how: signal.Signals, journal: Journal) -> None:
    code = one.end(how)
    journal.counts[how.name] += 1
    if code != (0 if how is signal.SIGTERM else -how):
        journal.fault("did not end in order", f"{how.name}, {code}: {one.said()}")


def _check(server: Server, journal: Journal) -> None:
    """Compare the ledger with what was answered."""
    database = server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test_%' ORDER BY oid LIMIT 1")[0][0]
    reader = PostgresReader(server.url(database), LOG)
    chain.check(reader.records(), log=LOG)
    outcomes, redemptions = _read(reader, journal)
    reader.close()
    for name, (audit_id, outcome) in journal.answers.items():
        if outcomes.get(audit_id) != outcome:
            journal.fault("lost", f"{name} was answered by {audit_id}, {outcome}, which is not in the ledger")
    for grant, audit_id in journal.redeemed.items():
        if redemptions.get(audit_id) != grant:
            journal.fault("lost", f"the redemption {audit_id} of {grant} is not in the ledger")
    for grant in (grant for grant, times in Counter(redemptions.values()).items() if times > 1):
        journal.fault("redeemed twice", grant)
    questions = server.execute("SELECT count(*) FROM requests", database)[0][0]
    if questions != len(outcomes):
        journal.fault("contradictory", f"{questions} questions have {len(outcomes)} decisions")
    journal.counts |= Counter(redeemed=len(redemptions), decisions=len(outcomes))


def _read(reader: PostgresReader, journal: Journal) -> tuple[dict[str, str], dict[str, str]]:
    """Outcomes of decisions and grants of redemptions, by audit id."""
    outcomes: dict[str, str] = {}
    redemptions: dict[str, str] = {}
    for record in reader.records():
        leaf = msgspec.json.decode(record.leaf)
        audit_id = f"{LOG}/{record.sequence}"
        journal.counts["records"] += 1
        if leaf["type"] == "decision":
            outcomes[audit_id] = leaf["outcome"]
        elif leaf["type"] == "grant_redeemed":
            redemptions[audit_id] = leaf["grant"]
    return outcomes, redemptions


HARM = ("lost", "contradictory", "redeemed twice")


def main(seconds: float = 300, seed: int = 0) -> int:
    """Print the counts; 1 where anything is wrong."""
    stamina.instrumentation.set_on_retry_hooks([])  # it would print each of a thousand retries
    began = time.monotonic()
    counts, faults = run(seconds, seed=seed)
    shown = {**dict.fromkeys(HARM, 0), **counts}
    told = ", ".join(f"{name} {number:,}" for name, number in sorted(shown.items()))
    sys.stdout.write(f"fleet, {REPLICAS} replicas, {time.monotonic() - began:.0f} s: {told}\n")
    sys.stdout.writelines(f"  {fault}\n" for fault in faults[:20])
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
