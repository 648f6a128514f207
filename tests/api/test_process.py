"""The service as a process of its own: its start, slow clients, and its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demur.wiring import open_reader

from .serving import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
DEMUR = str(Path(sys.executable).with_name("demur"))
ASKED: dict[str, Any] = {
    "subject": {"type": "user", "id": "alice"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "record-1"},
}
SETTINGS = f"""
bind = "127.0.0.1:0"
[tenants.clinic]
policies = "{HERE / "authzen_fixture"}"
home = "home"
[limits]
read_seconds = 1.0
"""


@dataclass
class Process:
    """A running service."""

    popen: subprocess.Popen[str]
    url: str
    key: str

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def ask(self) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/access/v1/evaluation", json.dumps(ASKED).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@contextmanager
def process(folder: Path) -> Iterator[Process]:
    (folder / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    command = [DEMUR, "serve", "--config", str(folder / "settings.toml"), "--json"]
    popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert popen.stdout is not None
        line = popen.stdout.readline()
        assert line, popen.communicate()[1]
        started = json.loads(line)
        yield Process(popen, started["url"], started["first_keys"].get("clinic", ""))
    finally:
        popen.kill()
        popen.communicate()


def test_what_is_in_flight_at_the_end_is_answered_and_recorded(tmp_path: Path) -> None:
    """Everything that got an answer stands in the ledger, and everything else got none that says allow."""
    answers: list[tuple[int, dict[str, Any]]] = []
    with process(tmp_path) as running:
        assert running.ask()[0] == 200

        def client() -> None:
            try:
                while True:
                    answers.append(running.ask())
            except (OSError, urllib.error.URLError):
                return  # it takes nothing more

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(answers) < 20:
            time.sleep(0.01)
        running.popen.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert running.popen.wait(30) == 0
    subprocess.run([DEMUR, "ledger", "verify", "--home", str(tmp_path / "home")], check=True, capture_output=True)
    with closing(open_reader(tmp_path / "home")) as reader:
        kinds = {record.sequence: json.loads(record.leaf)["type"] for record in reader.records()}
    told = [int(answer["context"]["audit_id"].partition("/")[2]) for _, answer in answers]

    assert {status for status, _ in answers} == {200}
    assert len(told) == len(set(told))
    assert {kinds[sequence] for sequence in told} == {"decision"}


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing at all"),
        pytest.param(b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\n", id="half of the headers"),
        pytest.param(
            b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", id="some of the body"
        ),
    ],
)
def test_whoever_sends_too_slowly_is_cut_off(sent: bytes, tmp_path: Path) -> None:
    with process(tmp_path) as running, socket.create_connection(running.address) as slow:
        slow.sendall(sent)
        slow.settimeout(30)
        received = b""
        while piece := slow.recv(4_096):  # ends: the other side closes
            received += piece

        assert b"200 OK" not in received
        assert running.ask()[0] == 200


def test_a_second_one_on_the_same_home_is_told_who_owns_it(tmp_path: Path) -> None:
    """S11.1"""
    with process(tmp_path) as running:
        command = [DEMUR, "serve", "--config", str(tmp_path / "settings.toml")]
        second = subprocess.run(command, capture_output=True, text=True, check=False)

        assert second.returncode != 0
        assert str(running.popen.pid) in second.stderr


def test_a_taken_address_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        policies = str(HERE / "authzen_fixture")
        command = [DEMUR, "serve", "--policies", policies, "--home", str(tmp_path / "home"), "--bind", bind]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert f"`{bind}` cannot be listened on" in ended.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ImportError('No module named uvicorn')\n", encoding="utf-8")
    command = [sys.executable, "-c", "from demur.cli.main import app; app()", "serve", "--config", "x"]
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})

    assert ended.returncode == 2
    assert "the extra `server`" in ended.stderr
