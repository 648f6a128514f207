"""Policies put in force at one replica, over HTTP, by another person than their author: when the others decide by them.

python -m tests.faults.propagation [ROUNDS]

Each round proposes other policies, activates them at one of three replicas on one PostgreSQL, and asks the others until
they name the new version, in what they tell of themselves and in a decision. Prints how long that took; exits with 1
where a replica never followed or a decision named another version than the one that was in force.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import postgres
from tests.faults import fleet

if TYPE_CHECKING:
    from tests.faults.fleet import Replica

ASKED = {
    "subject": {"type": "user", "id": "zoë"},
    "action": {"name": "refund", "properties": {"amount": 10}},
    "resource": {"type": "invoice", "id": "1"},
    "context": {},
}


def run(rounds: int) -> list[float]:
    """For each round and each other replica, the seconds until it decided by what was activated elsewhere."""
    with postgres.running() as server, tempfile.TemporaryDirectory() as folder:
        replicas = fleet._replicas(Path(folder), server)
        try:
            fleet._start(replicas)
            author, approver = (_add(Path(folder), replicas[0], role) for role in ("author", "approver"))
            caller = replicas[0].keys[fleet.LOG]
            return [
                seconds
                for number in range(rounds)
                for seconds in _round(replicas, number, author=author, approver=approver, caller=caller)
            ]
        finally:
            for one in replicas:
                if one.process is not None and one.process.poll() is None:
                    one.end(signal.SIGTERM)


def _round(replicas: list[Replica], number: int, *, author: str, approver: str, caller: str) -> list[float]:
    first, *others = replicas[number % len(replicas) :] + replicas[: number % len(replicas)]
    text = fleet.POLICY.replace("<= 500", f"<= {499 - number}").replace("> 500", f"> {499 - number}")
    proposed = _call(first, "/policies/proposals", author, {"files": {"clinic.yaml": text}})
    _call(first, "/policies/activate", approver, {"policy_version": proposed["policy_version"]})
    began, wanted = time.monotonic(), proposed["policy_version"]
    took: list[float] = []
    waiting = list(others)
    while waiting and time.monotonic() - began < fleet.WAIT:
        for one in list(waiting):
            if _call(one, "/policies", author)["policy_version"] == wanted:
                took.append(time.monotonic() - began)
                waiting.remove(one)
        time.sleep(0.01)
    if waiting:
        raise RuntimeError(f"{len(waiting)} replicas never followed: {waiting[0].said()}")
    for one in replicas:
        decided = _call(one, "/access/v1/evaluation", caller, ASKED)["context"]["policy_version"]
        if decided != wanted:
            raise RuntimeError(f"expected a decision by `{wanted}`, found one by `{decided}`")
    return took


def _add(folder: Path, replica: Replica, role: str) -> str:
    """The API key of a program of somebody with this role, made by the command line beside the replicas."""
    config = replica.config.read_text(encoding="utf-8")
    urls = {name: config.partition(f'{name} = "')[2].partition('"')[0] for name in ("store", "keys")}
    told = subprocess.run(
        [
            fleet.PROGRAM,
            "caller",
            "add",
            role,
            "--role",
            role,
            "--owner",
            role,
            "--home",
            str(folder / "home"),
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DEMUR_STORE": urls["store"], "DEMUR_KEYS": urls["keys"]},
    )
    return str(json.loads(told.stdout)["key"])


def _call(replica: Replica, path: str, key: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(replica.url + path, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=fleet.WAIT) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def main(rounds: int = 10) -> int:
    """Print the times; 1 where a replica did not follow."""
    try:
        took = run(rounds)
    except RuntimeError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(
        f"{rounds} activations, {fleet.REPLICAS} replicas: the others followed after {statistics.median(took):.2f} s "
        f"(median), {max(took):.2f} s at most\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
