"""The demonstration: it happens as told, every line comes from the run, and tampering never goes unnoticed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from demur import wiring
from demur.cli import tampering
from demur.core.ledger import chain
from demur.errors import LedgerError
from demur.evaluation import replay

pytestmark = pytest.mark.slow
DEMUR = str(Path(sys.executable).parent / "demur")
TOLD, INVITED = 26, 1
"""Records of the story, and of the account that can open the desk."""
VARYING = re.compile(r"demur-demo-\w+|demur-link-[\w-]+|[0-9a-f]{16}")
"""What is another in every run: the folder, the link, the review."""
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", **environment}
    told = {name: value for name, value in told.items() if value}
    return subprocess.run(
        [DEMUR, "demo", *arguments], capture_output=True, text=True, check=False, timeout=120, env=told
    )


@pytest.fixture(scope="module")
def told() -> str:
    ended = demo()
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "home"
    assert demo("--home", str(folder)).returncode == 0
    return folder


def verify(folder: Path) -> chain.Chain:
    with closing(wiring.open_reader(folder)) as reader:
        return chain.check(reader.records(), log=reader.log)


def different(folder: Path) -> list[int]:
    with closing(wiring.open_reader(folder)) as reader:
        findings = list(replay.replay(reader.records(), reader, reader.vault))
    return [finding.sequence for finding in findings if finding.status is not replay.Status.SAME]


def leaves(folder: Path) -> list[dict[str, object]]:
    with closing(wiring.open_reader(folder)) as reader:
        return [chain.read_leaf(record.leaf) for record in reader.records()]


def test_the_story_is_told_in_order(told: str) -> None:
    outcomes = re.findall(r"^   \S.*? {2,}(allow|deny|defer|unavailable)  ", told, re.MULTILINE)

    day = ["allow", "deny", "allow", "deny", "allow", "deny"]
    assert outcomes == [*day, "defer", "allow", "defer", "deny", "unavailable", "allow"]
    assert re.findall(r"tool runs: (\d)", told) == ["1", "0", "1", "0", "1", "0", "0", "1", "0", "0", "0", "1"]


def test_what_is_offered_is_done_and_allowed(told: str) -> None:
    assert "offered: instead send_consent_form; leads to allow" in told
    assert re.search(r"^   send_consent_form r-2 +allow ", told, re.MULTILINE)
    assert "offered: action.days = 14; leads to allow" in told
    assert re.search(r"^   lend_device d-4 14 +allow ", told, re.MULTILINE)
    assert re.search(r"offered: from \d{4}-\d\d-\d\dT2[23]:00:00Z, other facts unchanged", told)


def test_the_end_user_reads_no_limit_that_the_operator_reads(told: str) -> None:
    block = told.partition("END USER")[2].partition("\n\n")[0].splitlines()[1:]
    left, right = " ".join(line[:63] for line in block), " ".join(line[63:] for line in block)

    assert "14" not in left
    assert "action.days: lower; leads to allow" in left
    assert "action.days = 14; leads to allow" in right
    assert "desk/lend" in right


def test_the_story_fits_on_a_screen_and_says_nothing_on_standard_error() -> None:
    ended = demo()

    assert len(ended.stdout.splitlines()) <= 90
    assert max(map(len, ended.stdout.splitlines())) <= 100
    assert ended.stderr == ""


def test_colour_repeats_what_the_words_say(told: str) -> None:
    coloured = demo(NO_COLOR="", TERM="xterm-256color", FORCE_COLOR="1").stdout

    assert ANSI.search(coloured)
    assert VARYING.sub("", ANSI.sub("", coloured)) == VARYING.sub("", told)


def test_the_last_lines_open_the_desk_on_what_the_demo_left_waiting(told: str) -> None:
    """The commands and addresses as they are printed, but for a port that is free."""
    serve, welcome, review = (line.strip() for line in told.rstrip().splitlines()[-3:])
    assert ". The desk" in told
    command = [DEMUR, *shlex.split(serve)[1:], "--bind", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            link = welcome.partition("link=")[2]
            with httpx2.Client(base_url=url, timeout=60) as browser:
                chosen = {"tenant": "default", "link": link, "password": "a long enough password"}
                assert browser.post("/welcome", json=chosen).status_code == 200
                assert browser.post("/welcome", json=chosen).status_code == 403
                known = {"tenant": "default", "name": "vera", "password": chosen["password"]}
                credential = browser.post("/login", json=known).json()["credential"]
                page = browser.get(urlsplit(review).path, headers={"Cookie": f"demur={credential}"})
                assert page.status_code == 200
                assert "Pay money back" in page.text
                assert "i-9" in page.text
                waiting = browser.get("/reviews", headers={"Authorization": f"Bearer {credential}"}).json()["reviews"]
            assert [one["review_id"] for one in waiting] == [review.rpartition("/")[2]]
        finally:
            process.terminate()


def test_the_ledger_that_is_kept_holds_what_was_told(home: Path) -> None:
    decisions = [leaf["outcome"] for leaf in leaves(home) if leaf["type"] == "decision"]
    gaps = [leaf["count"] for leaf in leaves(home) if leaf["type"] == "gap"]

    day = ["allow", "deny", "allow", "deny", "allow", "deny"]
    assert decisions == [*day, "defer", "allow", "defer", "deny", "allow"]
    assert gaps == [1]
    assert verify(home).end.size == len(leaves(home))
    assert different(home) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    ended = demo("--home", str(tmp_path))

    assert ended.returncode == 2
    assert "expected an empty folder" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_full_disk_does_not_reach_where_the_story_is_printed(tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    with printed.open("w") as file:
        ended = subprocess.run([DEMUR, "demo"], stdout=file, check=False, timeout=120)

    assert ended.returncode == 0
    assert "unavailable" in printed.read_text()


@pytest.mark.parametrize("sequence", range(TOLD + INVITED))
def test_a_bit_flipped_in_any_record_is_found_there(home: Path, tmp_path: Path, sequence: int) -> None:
    tampering.flip_bit(home, tmp_path / "copy", sequence)

    with pytest.raises(LedgerError, match=rf"^record {sequence}: the leaf was altered"):
        verify(tmp_path / "copy")
    assert verify(home).end.size == TOLD + INVITED


@pytest.mark.parametrize("outcome", ["allow", "deny", "defer"])
def test_an_altered_outcome_verifies_and_is_named_by_replay(home: Path, tmp_path: Path, outcome: str) -> None:
    for sequence, leaf in enumerate(leaves(home)):
        if leaf["type"] == "decision" and leaf["outcome"] != outcome:
            tampering.alter_outcome(home, tmp_path / "copy", sequence, outcome)
            assert verify(tmp_path / "copy").end.size == TOLD + INVITED
            assert different(tmp_path / "copy") == [sequence]
            shutil.rmtree(tmp_path / "copy")
