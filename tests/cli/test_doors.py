"""The command line beside a running service: the same words and exit codes, through the socket in the home (S11.1)."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demur.wiring import local, open_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not local.is_offered(), reason="the kernel names no peers")]

DEMUR = str(Path(sys.executable).with_name("demur"))
POLICIES = """
demur: 1
namespace: till
owner: shop
actions:
  open: {resources: [drawer]}
  pay: {resources: [drawer]}
rules:
  - {id: all-open, effect: permit, actions: [open]}
  - {id: ask-to-pay, effect: review, actions: [pay], review: {role: supervisor, within: 1h, risk: high}}
"""
PAY = {
    "subject": {"type": "user", "id": "ana"},
    "action": {"name": "pay"},
    "resource": {"type": "drawer", "id": "1"},
    "context": {},
}


@dataclass
class Served:
    """A service in a process of its own, and the command line on its home."""

    popen: subprocess.Popen[str]
    home: Path
    url: str
    key: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(self.home, *words)

    def ask(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/access/v1/evaluation", json.dumps(PAY).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEMUR, *words, "--home", str(home)], capture_output=True, text=True, check=False, timeout=120
    )


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    (folder / "policies" / "till.yaml").write_text(POLICIES, encoding="utf-8")
    home = folder / "home"
    command = [DEMUR, "serve", "--policies", str(folder / "policies"), "--home", str(home), "--bind", "127.0.0.1:0"]
    popen = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert popen.stdout is not None
        line = popen.stdout.readline()
        assert line, popen.communicate()[1]
        started = json.loads(line)
        yield Served(popen, home, started["url"], started["first_keys"].get("default", ""))
    finally:
        popen.kill()
        popen.communicate()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("door")) as running:
        yield running


@pytest.fixture(scope="module")
def vera(served: Served) -> str:
    """The file with the credential of a supervisor who is an operator too."""
    file = served.home.parent / "vera"
    added = served.run(
        "reviewer", "add", "vera", "--role", "supervisor", "--role", "operator", "--credential-file", str(file)
    )
    assert added.returncode == 0, added.stderr
    return str(file)


def test_only_the_owner_can_reach_the_socket(served: Served) -> None:
    found = (served.home / local.NAME).lstat()

    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.geteuid()


def test_a_review_is_ruled_on_while_the_service_runs(served: Served, vera: str) -> None:
    review = served.ask()["context"]["deferral"]["review_id"]
    ruled = served.run("review", "approve", review, "--reason", "It is due.", "--credential-file", vera, "--json")

    assert ruled.returncode == 0, ruled.stderr
    assert json.loads(ruled.stdout)["status"] == "approved"
    assert served.ask()["decision"] is True


def test_a_ruling_needs_a_reviewers_credential_here_too(served: Served, vera: str) -> None:
    """S7.4"""
    del vera
    review = served.ask()["context"]["deferral"]["review_id"]
    wrong = served.home.parent / "wrong"
    wrong.write_text("demur-reviewer-nobody", encoding="utf-8")
    ruled = served.run("review", "approve", review, "--reason", "Why not.", "--credential-file", str(wrong))

    assert ruled.returncode == 16
    assert "expected the credential of a reviewer" in ruled.stderr


def test_programs_and_people_are_managed_while_the_service_runs(served: Served) -> None:
    program = served.run("caller", "add", "shop", "--subject", "user:*", "--days", "3", "--json")
    rotated = served.run("caller", "rotate", "shop", "--json")
    person = served.run("person", "add", "ann", "--role", "auditor", "--json")
    people = served.run("person", "list", "--json")

    assert [one.returncode for one in (program, rotated, person, people)] == [0, 0, 0, 0]
    assert json.loads(program.stdout)["key"] != json.loads(rotated.stdout)["key"]
    assert "ann" in {json.loads(line)["name"] for line in people.stdout.splitlines()}
    assert served.run("person", "remove", "ann").returncode == 0
    assert served.run("caller", "remove", "shop").returncode == 0
    with closing(open_reader(served.home)) as reader:
        leaves = [json.loads(record.leaf) for record in reader.records()]
    # The first API key was made by the service as `local`, and so is all that comes through the socket.
    assert len({leaf["by"] for leaf in leaves if leaf["type"].startswith("identity_")}) == 1


def test_what_is_wrong_is_told_as_it_is_without_a_service(served: Served, tmp_path: Path, vera: str) -> None:
    with serving(tmp_path):
        pass  # a home of its own, that nobody serves any more
    (tmp_path / "home" / "reviewers.json").write_bytes((served.home / "reviewers.json").read_bytes())
    (tmp_path / "home" / "reviewers.json").chmod(0o600)
    for words in (
        ("caller", "remove", "nobody"),
        ("caller", "add", "Not a name"),
        ("lever", "release", "none", "--reason", "Over.", "--credential-file", vera),
        ("subject", "erase", "user:nobody", "--reason", "Asked for.", "--credential-file", vera),
        ("review", "approve", "none", "--reason", "Why not.", "--credential-file", vera),
    ):
        alone, beside = run(tmp_path / "home", *words), served.run(*words)
        assert (beside.returncode, beside.stdout, beside.stderr) == (alone.returncode, alone.stdout, alone.stderr)
        assert beside.returncode != 0


def test_levers_are_moved_while_the_service_runs(served: Served, vera: str) -> None:
    by = ("--reason", "It is on fire.", "--credential-file", vera)
    stopped = served.run("lever", "kill", "--action", "pay", *by, "--json")
    assert stopped.returncode == 0, stopped.stderr
    assert served.ask()["context"]["refusal"]["refusal_reason"]["category"] == "state_conflict"

    assert served.run("lever", "release", json.loads(stopped.stdout)["stop"], *by).returncode == 0
    glass = served.run("lever", "break-glass", "--subject", "user:bo", "--action", "open", *by, "--json")
    assert glass.returncode == 0, glass.stderr
    assert served.run("lever", "end", json.loads(glass.stdout)["break_glass"], *by).returncode == 0


def test_a_second_service_is_kept_out_and_the_first_goes_on(served: Served) -> None:
    command = [DEMUR, "serve", "--policies", str(served.home.parent / "policies"), "--home", str(served.home)]
    second = subprocess.run(
        [*command, "--bind", "127.0.0.1:0"], capture_output=True, text=True, check=False, timeout=120
    )

    assert second.returncode == 12
    assert "owned by process" in second.stderr
    assert served.run("person", "list").returncode == 0


@pytest.mark.parametrize("name", ["a", "a" * 150])
def test_a_killed_service_leaves_a_socket_that_is_in_nobodys_way(tmp_path: Path, name: str) -> None:
    """Also where the path of the socket is longer than an address may be."""
    with serving(tmp_path / name) as first:
        assert first.run("caller", "add", "one").returncode == 0
        first.popen.kill()
        first.popen.wait()
    assert (first.home / local.NAME).is_socket()
    assert run(first.home, "caller", "add", "two").returncode == 0  # by the lease, since nobody has it
    with serving(tmp_path / name) as second:
        assert second.run("caller", "add", "three").returncode == 0
    listed = run(first.home, "caller", "list", "--json").stdout.splitlines()

    assert {"one", "two", "three"} <= {json.loads(line)["name"] for line in listed}


def test_a_service_that_ends_in_order_takes_its_socket_along(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        running.popen.terminate()
        assert running.popen.wait(60) == 0

        assert not (running.home / local.NAME).exists()


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_home_that_others_may_write_to_has_no_such_way_in(tmp_path: Path, mode: int) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home").chmod(mode)
    with serving(tmp_path) as running:
        told = running.run("caller", "add", "one")

        assert not (running.home / local.NAME).exists()
    assert told.returncode == 2
    assert "writable by nobody else" in told.stderr


@pytest.mark.parametrize("sent", [b"", b"\xff\xff\xff\xff", b"\0\0\0\4none", b"\0\0\0\1\xc0", b"\0\0\1\0half"])
def test_whatever_is_sent_the_service_goes_on(served: Served, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as line, local.address(served.home) as address:
        line.connect(address)
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        while line.recv(4_096):  # ends: the other side closes
            pass

    assert served.run("person", "list").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_cut_off_before_anything_is_read(tmp_path: Path) -> None:
    """Not by the rights of files alone: the kernel says who is on the other side."""
    with serving(tmp_path) as running:
        for folder in (running.home, *running.home.parents):
            if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o055)
        (running.home / local.NAME).chmod(0o666)
        program = (
            "import socket, sys\n"
            "line = socket.socket(socket.AF_UNIX)\n"
            "line.connect(sys.argv[1])\n"
            "line.settimeout(60)\n"
            "print(line.recv(100))\n"
        )
        other = subprocess.run(
            ["/usr/bin/env", "python3", "-c", program, str(running.home / local.NAME)],
            capture_output=True,
            text=True,
            check=False,
            user=65_534,
            timeout=120,
        )

        assert (other.stdout, other.returncode) == ("b''\n", 0), other.stderr
        assert running.run("person", "list").returncode == 0
