"""A load generator in Python, for machines without `wrk`: kept connections, one request at a time on each.

It is slower than `wrk` and takes more of the machine, so its figures are lower; tables name it.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

NAME = "bench/http_load.py (Python)"


@dataclass(frozen=True)
class Load:
    """What came back: answers in a second, latencies, and who asked."""

    per_second: float
    p50_ms: float
    p99_ms: float
    by: str


def run(url: str, body: str, authorization: str, *, clients: int, seconds: float) -> Load:
    """Ask in a process of its own."""
    command = [sys.executable, __file__, url, body, authorization, str(clients), str(seconds)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    rate, p50, p99 = map(float, told)
    return Load(rate, p50, p99, NAME)


async def _ask_all(url: str, body: str, authorization: str, clients: int, seconds: float) -> list[float]:
    place = urlsplit(url)
    request = (
        f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: {authorization}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    ).encode()
    samples: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            samples.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return samples


if __name__ == "__main__":
    asked, text, credential, width, duration = sys.argv[1:]
    found = sorted(asyncio.run(_ask_all(asked, text, credential, int(width), float(duration))))
    print(len(found) / float(duration), statistics.median(found) * 1_000, found[int(len(found) * 0.99)] * 1_000)
