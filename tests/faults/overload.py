"""Ten times the load that a service takes on: who was let in is answered in time, the rest is told to come back.

python -m tests.faults.overload [SECONDS]

Three phases on one process of `demur serve`: as many callers as it lets in at a time; ten times as many; as many as at
first. None of them waits as `Retry-After` says. Counted for each phase: what was answered, what was told `unavailable` with
`Retry-After`, how long it took, and how much memory the process held meanwhile.

Prints the counts; exits with 1 where an answer was neither, where those who were let in waited longer than the service
promises, where memory grew on, where it did not answer everybody again afterwards, or where the ledger does not tell of
exactly as many who were turned away as were.
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

from demur import wiring

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
    memory: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def goodput(self) -> float:
        """Answers in a second."""
        return len(self.answered) / self.seconds

    def told(self, name: str) -> str:
        def spread(times: list[float]) -> str:
            ordered = [1_000 * one for one in sorted(times)]
            half, most = (ordered[int(len(ordered) * part)] for part in (0.5, 0.99)) if ordered else (0.0, 0.0)
            return f"p50 {half:.0f} ms, p99 {most:.0f} ms"

        held = [one >> 20 for one in self.memory]
        return (
            f"{name}: answered {len(self.answered):,}, {self.goodput:,.0f} a second ({spread(self.answered)}); "
            f"turned away {len(self.turned_away):,} ({spread(self.turned_away)}); strange {len(self.strange)}; "
            f"memory {held[0]} MiB at first, {max(held)} at most, {held[-1]} at last"
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
    with tempfile.TemporaryDirectory() as folder:
        with serving(Path(folder)) as service:
            for name, callers in (("before", IN_FLIGHT), ("overload", TIMES * IN_FLIGHT), ("after", IN_FLIGHT)):
                phases[name] = asyncio.run(_ask_all(service, callers, seconds))
        counted = _counted(Path(folder) / "home")
    return phases, [*_wrong(phases), *_miscounted(phases, counted)]


def _counted(home: Path) -> int:
    """How many the ledger tells of who were answered `unavailable`."""
    with contextlib.closing(wiring.open_reader(home)) as reader:
        leaves = [json.loads(record.leaf) for record in reader.records()]
    return sum(leaf["count"] for leaf in leaves if leaf["type"] == "gap" and leaf["is_count_known"])


def _miscounted(phases: dict[str, Phase], counted: int) -> Iterator[str]:
    told = sum(len(phase.turned_away) for phase in phases.values())
    if counted != told:
        yield f"{told:,} were turned away, and the ledger tells of {counted:,}"


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
    before, after = max(phases["before"].memory), phases["after"].memory[-1]
    if after - before > GROWTH:
        yield f"memory grew from {before:,} to {after:,} bytes"


async def _ask_all(service: Serving, callers: int, seconds: float) -> Phase:
    phase = Phase(seconds=seconds)
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

    async def watcher() -> None:
        while time.perf_counter() < end:
            phase.memory.append(service.memory)
            await asyncio.sleep(seconds / 20)
        phase.memory.append(service.memory)

    await asyncio.gather(watcher(), *(caller() for _ in range(callers)))
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
    before, after = phases["before"].goodput, phases["after"].goodput
    during = phases["overload"].goodput
    sys.stdout.write(f"answers a second, as parts of those before: {during / before:.2f} under ten times the load, ")
    sys.stdout.write(f"{after / before:.2f} after it\n")
    sys.stdout.writelines(f"  {text}\n" for text in wrong)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])))
