"""Ten times the load that a service takes on: who was let in is answered in time, the rest is told to come back.

python -m tests.faults.overload [SECONDS]

Three phases on one process of `demur serve`: as many callers as it lets in at a time; ten times as many; as many as at
first. Counted for each phase: what was answered, what was told `unavailable` with `Retry-After`, how long it took, and how much
memory the process holds. Prints the counts; exits with 1 where an answer was neither, where those who were let in waited
longer than the service promises, where memory grew on, or where it did not answer everybody again afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_FLIGHT = 32
TIMES = 10
ANSWER_SECONDS = 10.0
GROWTH = 64 << 20
"""Bytes that the process may hold more after the overload than before it: connections, buffers, records of gaps."""
PROGRAM = str(Path(sys.executable).with_name("demur"))
POLICY = "demur: 1\nnamespace: door\nactions: {open: {}}\nrules:\n  - {id: all, effect: permit, actions: [open]}\n"
BODY = b'{"subject":{"type":"user","id":"ana"},"action":{"name":"open"},"resource":{"type":"door","id":"1"}}'


@dataclass
class Phase:
    """What callers were told in one phase; times in seconds."""

    answered: list[float] = field(default_factory=list)
    turned_away: list[float] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    memory: int = 0

    def told(self, name: str) -> str:
        def tail(times: list[float]) -> str:
            ordered = sorted(times)
            return f"p99 {1_000 * ordered[int(len(ordered) * 0.99)]:.0f} ms" if ordered else "none"

        return (
            f"{name}: answered {len(self.answered):,} ({tail(self.answered)}), turned away {len(self.turned_away):,} "
            f"({tail(self.turned_away)}), strange {len(self.strange)}, memory {self.memory >> 20} MiB"
        )


@dataclass(frozen=True)
class Serving:
    """A service in a process of its own."""

    url: str
    key: str
    pid: int

    @property
    def memory(self) -> int:
        """Bytes that it holds (Linux)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    (folder / "policies").mkdir()
    (folder / "policies" / "door.yaml").write_text(POLICY)
    config = folder / "demur.toml"
    config.write_text(
        'bind = "127.0.0.1:0"\n[tenants.door]\npolicies = "policies"\nhome = "home"\n'
        f"[limits]\nmax_in_flight = {IN_FLIGHT}\nanswer_seconds = {ANSWER_SECONDS}\n"
        "per_caller_per_second = 1000000\nper_caller_burst = 1000000\n"
    )
    process = subprocess.Popen(
        [PROGRAM, "serve", "--config", str(config), "--json"], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield Serving(told["url"], told["first_keys"]["door"], process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()


def run(seconds: float) -> tuple[dict[str, Phase], list[str]]:
    """The phases by name, each of so many seconds, and what was wrong."""
    phases: dict[str, Phase] = {}
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as service:
        for name, callers in (("before", IN_FLIGHT), ("overload", TIMES * IN_FLIGHT), ("after", IN_FLIGHT)):
            phases[name] = phase = asyncio.run(_ask_all(service, callers, seconds))
            phase.memory = service.memory
    return phases, [*_wrong(phases)]


def _wrong(phases: dict[str, Phase]) -> Iterator[str]:
    for name, phase in phases.items():
        yield from (f"{name}: {text}" for text in phase.strange[:5])
        if max(phase.answered, default=0.0) > ANSWER_SECONDS:
            yield f"{name}: an answer took {max(phase.answered):.1f} s"
        if not phase.answered:
            yield f"{name}: nobody was answered"
    if not phases["overload"].turned_away:
        yield "overload: nobody was turned away"
    for name in ("before", "after"):
        if phases[name].turned_away:
            yield f"{name}: {len(phases[name].turned_away)} were turned away"
    if phases["after"].memory - phases["before"].memory > GROWTH:
        yield f"memory grew from {phases['before'].memory:,} to {phases['after'].memory:,} bytes"


async def _ask_all(service: Serving, callers: int, seconds: float) -> Phase:
    phase = Phase()
    place = urlsplit(service.url)
    request = (
        f"POST /access/v1/evaluation HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {service.key}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    end = time.perf_counter() + seconds

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while time.perf_counter() < end:
            began = time.perf_counter()
            writer.write(request)
            status, headers, body = await _response(reader)
            _note(phase, status, headers, body, time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(caller() for _ in range(callers)))
    return phase


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split(b" ")[1]), head, await reader.readexactly(length)


def _note(phase: Phase, status: int, headers: bytes, body: bytes, took: float) -> None:
    if status == 200 and body.startswith(b'{"decision":true'):
        phase.answered.append(took)
    elif status == 503 and b"\r\nretry-after:" in headers and json.loads(body).get("decision", False) is False:
        phase.turned_away.append(took)
    else:
        phase.strange.append(f"{status}: {body[:200]!r}")


def main(seconds: float = 60) -> int:
    """Print the counts; 1 where anything is wrong."""
    phases, wrong = run(seconds)
    sys.stdout.writelines(f"{phase.told(name)}\n" for name, phase in phases.items())
    sys.stdout.writelines(f"  {text}\n" for text in wrong)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])))
