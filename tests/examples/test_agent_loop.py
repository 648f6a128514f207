"""The agent loop: a scripted agent does what refusals offer, and a model behind an endpoint can take its place."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LOOP = Path(__file__).resolve().parents[2] / "examples" / "agent_loop"
pytestmark = pytest.mark.slow


def run(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    return subprocess.run(
        [sys.executable, str(LOOP / "run.py"), str(home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=clean | environment,
    )


def test_the_scripted_agent_finds_its_way_after_each_no(tmp_path: Path) -> None:
    ended = run(tmp_path / "home")
    calls = [line.strip() for line in ended.stdout.splitlines() if line.startswith("  call: ")]

    assert ended.returncode == 0, ended.stderr
    assert calls == [
        'call: pay_supplier {"supplier": "acme", "amount": 400000}',
        'call: pay_supplier {"supplier": "acme", "amount": 250000}',
        'call: delete_account {"account": "a-7"}',
        'call: close_account {"account": "a-7"}',
        'call: send_newsletter {"newsletter": "n-3"}',
        'call: wait_until {"instant": "2026-11-21T07:00:00Z"}',
        'call: send_newsletter {"newsletter": "n-3"}',
    ]
    assert ended.stdout.split("what happened:\n  ")[1].split("\n  ") == [
        "paid 2500.00 EUR to acme",
        "closed a-7",
        "sent n-3\n",
    ]


class Model(http.server.BaseHTTPRequestHandler):
    """A stand-in for a model: pays too much, then what it read that it may set; calls nonsense in other tasks."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], asked))  # type: ignore[attr-defined]
        reply = json.dumps({"choices": [{"message": next_message(asked["messages"])}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the standard library)
        """Nothing: a test's output is its own."""


def next_message(messages: list[dict[str, Any]]) -> dict[str, Any]:
    last = messages[-1]
    if last["role"] == "user":
        is_payment = last["content"].startswith("Pay")
        return (
            call("pay_supplier", '{"supplier": "acme", "amount": 400000}') if is_payment else call("format_disk", "[")
        )
    told = json.loads(last["content"])
    if "context" not in told:
        return {"role": "assistant", "content": last["content"]}
    (offer,) = told["context"]["refusal"]["remediation"]["suggested_modifications"]
    return call("pay_supplier", json.dumps({"supplier": "acme", "amount": offer["set"]["action.amount"]}))


def call(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


@pytest.fixture
def model() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_model_behind_an_endpoint_takes_its_place(tmp_path: Path, model: Any) -> None:
    url = f"http://127.0.0.1:{model.server_port}/v1"
    ended = run(tmp_path / "home", OPENAI_BASE_URL=url, OPENAI_MODEL="stand-in", OPENAI_API_KEY="k", NO_PROXY="*")
    path, key, first = model.asked[0]

    assert ended.returncode == 0, ended.stderr
    assert (path, key, first["model"]) == ("/v1/chat/completions", "Bearer k", "stand-in")
    assert {tool["function"]["name"] for tool in first["tools"]} >= {"pay_supplier", "wait_until"}
    assert ended.stdout.endswith("what happened:\n  paid 2500.00 EUR to acme\n")
    assert "expected the arguments as a JSON object" in ended.stdout


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1:9/v1"])
def test_an_endpoint_that_gives_no_message_ends_the_run_with_a_reason(tmp_path: Path, url: str) -> None:
    ended = run(tmp_path / "home", OPENAI_BASE_URL=url, NO_PROXY="*")

    assert ended.returncode == 1
    assert "EndpointError: expected" in ended.stderr
