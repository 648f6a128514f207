"""The service over HTTP: durable answers with authentication and one resolved fact, beside a plain service.

One worker process each, 64 connections that are kept open. The load comes from `wrk` where it is installed, and from a
program of ours otherwise (`bench/http_load.py`); the notes say which. Both share the machine with the service.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import http_load
from bench.table import Table, verdict
from bench.timing import fsync_p50

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 64
TARGET, GOAL = 3_000, 4_000
PATH = "/access/v1/evaluation"
ROOT = Path(__file__).resolve().parents[1]
POLICIES = """
demur: 1
namespace: bench
owner: bench
sources:
  people: {kind: static, file: data/people.json, key: subject.id}
facts:
  person.role: {type: string, source: people}
actions:
  read_document: {description: Read a document, resources: [document]}
rules:
  - id: editors-read
    effect: permit
    actions: [read_document]
    when:
      - {name: editor, expr: person.role == "editor", explain: the requester is an editor}
  - id: suspended
    effect: forbid
    category: policy_violation
    actions: [read_document]
    when:
      - {name: suspended, expr: person.role == "suspended", explain: the requester is suspended}
"""
BODY = {
    "subject": {"type": "user", "id": "user-7"},
    "action": {"name": "read_document"},
    "resource": {"type": "document", "id": "handbook"},
    "context": {},
}
SETTINGS = """
bind = "127.0.0.1:0"
[tenants.bench]
policies = "policies"
home = "home"
[limits]
per_caller_per_second = 1000000
per_caller_burst = 1000000
"""
SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = {authorization}
"""


@dataclass(frozen=True)
class Service:
    """Where it listens, what it is called with, and its process."""

    url: str
    key: str
    pid: int

    def cpu_seconds(self) -> float:
        """What the process took of the processors so far (proc(5): utime and stime)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """One load on one service, and what an answer took of its process's processor time."""

    load: http_load.Load
    cpu_us: float


def table(*, seconds: float, rounds: int = 3, folder: str | None = None) -> Table:
    """Both services in turn, `rounds` times, each for `seconds`; medians."""
    made = Table(
        "HTTP evaluation, one worker, 64 clients", ["answers / s", "p50 ms", "p99 ms", "CPU us each", "target"]
    )
    with tempfile.TemporaryDirectory(dir=folder) as place:
        flush = fsync_p50(place)
        with _demur(Path(place)) as demur, _peer() as peer:
            found: dict[str, list[Round]] = {"demur": [], "peer": []}
            for service in (demur, peer):
                _round(service, 1.0, Path(place))
            for _ in range(rounds):
                for name, service in (("demur", demur), ("peer", peer)):
                    found[name].append(_round(service, seconds, Path(place)))
    ours, theirs = _median(found["demur"]), _median(found["peer"])
    made.add(
        "demur serve: key, one fact, recorded before the answer", *ours, verdict(ours[0], TARGET, "/s", at_least=True)
    )
    made.add("FastAPI + cedarpy: key, one fact, nothing recorded", *theirs, "")
    made.add("ratio", ours[0] / theirs[0], ours[1] / theirs[1], ours[2] / theirs[2], ours[3] / theirs[3], "")
    made.notes.append(f"load by {found['demur'][0].load.by}, on the same cores; goal {GOAL:,}/s")
    made.notes.append(
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores: all but CPU us share them with others"
    )
    made.notes.append(f"fdatasync of 4 KiB in the same folder: p50 {flush:.3f} ms, before the run")
    return made


def _median(rounds: list[Round]) -> tuple[float, float, float, float]:
    return (
        statistics.median(one.load.per_second for one in rounds),
        statistics.median(one.load.p50_ms for one in rounds),
        statistics.median(one.load.p99_ms for one in rounds),
        statistics.median(one.cpu_us for one in rounds),
    )


def _round(service: Service, seconds: float, place: Path) -> Round:
    before, begin = service.cpu_seconds(), time.perf_counter()
    load = _load(service, seconds, place)
    answers = load.per_second * (time.perf_counter() - begin)
    return Round(load, (service.cpu_seconds() - before) / answers * 1e6)


@contextmanager
def _demur(place: Path) -> Iterator[Service]:
    (place / "policies" / "data").mkdir(parents=True)
    (place / "policies" / "policies.yaml").write_text(POLICIES, encoding="utf-8")
    people = {f"user-{number}": {"role": "editor"} for number in range(100)}
    (place / "policies" / "data" / "people.json").write_text(json.dumps(people), encoding="utf-8")
    (place / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    program = Path(sys.executable).with_name("demur")
    command = [str(program), "serve", "--config", str(place / "settings.toml"), "--json"]
    with _running(command) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        yield Service(started["url"], started["first_keys"]["bench"], process.pid)


@contextmanager
def _peer() -> Iterator[Service]:
    from bench.http_peer import KEY

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        number = listening.fileno()
        command = [sys.executable, "-m", "bench.http_peer", str(number)]
        with _running(command, pass_fds=(number,)) as process:
            service = Service(f"http://127.0.0.1:{listening.getsockname()[1]}", KEY, process.pid)
            _await(service)
            yield service


@contextmanager
def _running(command: list[str], pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=pass_fds, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _await(service: Service) -> None:
    request = urllib.request.Request(  # noqa: S310  (our own service)
        service.url + PATH,
        json.dumps(BODY).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {service.key}"},
    )
    for _ in range(100):
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310  (our own service)
                assert json.load(answer)["decision"] is True
                return
        except OSError:
            time.sleep(0.1)
    message = "the other service does not answer"
    raise RuntimeError(message)


def _load(service: Service, seconds: float, place: Path) -> http_load.Load:
    program = shutil.which("wrk")
    body, authorization = json.dumps(BODY), f"Bearer {service.key}"
    if program is None:
        return http_load.run(service.url + PATH, body, authorization, clients=CLIENTS, seconds=seconds)
    script = place / "wrk.lua"
    script.write_text(SCRIPT.format(body=f"[==[{body}]==]", authorization=json.dumps(authorization)), encoding="utf-8")
    length = f"{max(1, round(seconds))}s"
    command = [program, "-t1", f"-c{CLIENTS}", f"-d{length}", "--latency", "-s", str(script), service.url + PATH]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert rate is not None, told
    return http_load.Load(float(rate[1]), _milliseconds(told, "50%"), _milliseconds(told, "99%"), "wrk")


def _milliseconds(told: str, percentile: str) -> float:
    found = re.search(rf"^\s+{percentile}\s+([\d.]+)(us|ms|s)$", told, re.MULTILINE)
    assert found is not None, told
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1_000.0}[found[2]]
