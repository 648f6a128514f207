"""NATS JetStream as a sink: stored once however often it is sent, and waited for while it is not there."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import nats
import pytest

from demur.adapters.nats_sink import NatsSink
from demur.adapters.outbox import UnreachableError
from demur.adapters.outbox_events import Event
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = shutil.which("nats-server", path="/usr/sbin:/usr/local/bin:/usr/bin:/usr/local/sbin")
START_SECONDS = 30
needs_server = pytest.mark.skipif(
    SERVER is None, reason="nats-server is not installed; Debian has it as `nats-server`, .ci/run fetches it"
)


def event(number: int) -> Event:
    return Event(f"clinic.a/{number}", "urn:demur:log:clinic.a", "governance.refusal", b'{"a":"\xc3\xbc"}')


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    assert SERVER is not None
    port = free_port()
    command = [SERVER, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(tmp_path), "--auth", "s3cret"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def in_stream(url: str, *, make: bool = False) -> list[Any]:
    """What the stream holds; makes it first."""

    async def look() -> list[Any]:
        connection = await nats.connect(url, token="s3cret")
        stream = connection.jetstream()
        if make:
            await stream.add_stream(name="DEMUR", subjects=["demur.>"])
        state = (await stream.stream_info("DEMUR")).state
        held = [await stream.get_msg("DEMUR", number) for number in range(1, state.messages + 1)]
        await connection.close()
        return held

    return asyncio.run(look())


@needs_server
def test_an_event_that_is_sent_again_is_stored_once(url: str) -> None:
    in_stream(url, make=True)
    sink = NatsSink(url, token="s3cret")
    for number in (1, 2, 2, 1, 3):
        sink.send(event(number))
    sink.close()
    held = in_stream(url)
    assert [item.headers["Nats-Msg-Id"] for item in held] == [
        f"urn:demur:log:clinic.a#clinic.a/{number}" for number in (1, 2, 3)
    ]
    assert {item.subject for item in held} == {"demur.clinic_a.governance.refusal"}
    assert held[0].data == event(1).body


@needs_server
def test_without_a_stream_or_with_another_token_nothing_counts_as_taken(url: str) -> None:
    sink = NatsSink(url, token="s3cret")
    with pytest.raises(UnreachableError):
        sink.send(event(1))
    in_stream(url, make=True)
    sink.send(event(1))
    sink.close()
    other = NatsSink(url, token="guessed")
    with pytest.raises(UnreachableError) as caught:
        other.send(event(2))
    assert "guessed" not in str(caught.value)
    other.close()
    assert len(in_stream(url)) == 1


def test_a_server_that_is_not_there_is_waited_for() -> None:
    sink = NatsSink(f"nats://127.0.0.1:{free_port()}")
    for _ in range(2):
        with pytest.raises(UnreachableError):
            sink.send(event(1))
    sink.close()


@pytest.mark.parametrize("prefix", ["", "a..b", "a b", "a.*", ">", "a\r\nPUB"])
def test_a_prefix_that_is_no_subject_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a subject"):
        NatsSink("nats://127.0.0.1", prefix=prefix)
