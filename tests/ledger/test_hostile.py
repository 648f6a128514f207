"""Whatever an export, a policy or a proof holds, the verifier answers: one of its verdicts, never a traceback."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import subprocess
import sys
import tracemalloc
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest

from demur.core.ledger import merkle
from demur.verifier import verify
from tests.ledger import attacks, exports
from tests.ledger.exports import LOG_KEY, WITNESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 10_000 if os.environ.get("DEMUR_TEST_PROFILE") == "thorough" else 600
CODES = {0, 20, 21, 22, 23, 24}


def told(*arguments: object) -> tuple[int, str]:
    """The exit code and what the command prints."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = verify.main([str(argument) for argument in arguments])
    return code, output.getvalue()


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a piece altered, cut, doubled, or put in from elsewhere."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(changed))
        end = min(len(changed), at + chance.choice((0, 1, 1, 2, 8, 64)))
        piece = chance.choice((
            b"", bytes([chance.randrange(256)]), bytes(changed[at:end]) * 2, b"\n\n", b"\0", b"9" * 30, b"-1", b"{}",
            b"[" * 40, b'"', b"\xff\xfe", "— ".encode(), b"1e9", b"NaN", b"../../etc/passwd", b"\\u0000",
        ))  # fmt: skip
        changed[at:end] = piece
    return bytes(changed)


def test_random_exports_are_answered(tmp_path: Path) -> None:
    attacks.remember_signatures()
    export = exports.whole(exports.leaves(5), 4, earlier=(2,))
    attacks.disclosure(disclosed := exports.Export(exports.leaves(20)))
    export.files["disclosures/3.json"] = disclosed.files["disclosures/5.json"]
    folder = export.write(tmp_path / "export")
    policy = tmp_path / "policy"
    policy.write_text(exports.POLICY, encoding="utf-8")
    chance = random.Random(7)
    names = sorted(export.files)

    for _ in range(ROUNDS):
        name = chance.choice(names)
        (folder / name).write_bytes(mutated(export.files[name], chance))
        code, output = told(folder, "--policy", policy)
        (folder / name).write_bytes(export.files[name])
        assert code in CODES, output
        assert "Traceback" not in output


@pytest.mark.parametrize("what", ["policy", "proof", "leaf", "checkpoint"])
def test_random_texts_are_answered(tmp_path: Path, what: str) -> None:
    attacks.remember_signatures()
    export = exports.whole(exports.leaves(5))
    texts = {
        "policy": f"# sizes from 0 to 900\n{exports.POLICY}".encode(),
        "proof": proof(export, 3),
        "leaf": export.leaves[3],
        "checkpoint": export.files["checkpoint"],
    }
    folder = export.write(tmp_path / "export")
    chance = random.Random(11)
    for _ in range(ROUNDS // 10):
        for name, data in texts.items():
            (tmp_path / name).write_bytes(mutated(data, chance) if name == what else data)
        for arguments in (
            (folder, "--checkpoint", tmp_path / "checkpoint"),
            ("--proof", tmp_path / "proof", "--leaf", tmp_path / "leaf"),
        ):
            code, output = told(*arguments, "--policy", tmp_path / "policy", "--json")
            assert json.loads(output)["exit_code"] == code
            assert code in CODES


def proof(export: exports.Export, index: int, newest: str = "") -> bytes:
    """The `.tlog-proof` of a record."""
    hashes = export.hashes
    lines = [base64.b64encode(sibling).decode() for sibling in merkle.prove_inclusion(hashes, index)]
    note = newest or exports.checkpoint(hashes, len(hashes), LOG_KEY, WITNESS)
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {index}", *lines, "", note]).encode()


def link_to_itself(folder: Path) -> None:
    (folder / "loop").symlink_to(folder)


def nested(folder: Path) -> None:
    (folder / "/".join(["d"] * 60)).mkdir(parents=True)


def folder_for_a_file(folder: Path) -> None:
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").mkdir()


def unreadable_name(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\x1b[31m")).write_text("", encoding="utf-8")


def stray_disclosure(folder: Path) -> None:
    (folder / "disclosures").mkdir()
    (folder / "disclosures" / "2").write_bytes(b"{}")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (link_to_itself, 23),
        (nested, 23),
        (folder_for_a_file, 24),
        (unreadable_name, 0),
        (stray_disclosure, 23),
        (lambda folder: (folder / "manifest.json").unlink(), 24),
        (lambda folder: (folder / "tile" / "9").mkdir(), 0),
        (lambda folder: (folder / "tile" / "0" / "x00").mkdir(), 0),
        (lambda folder: (folder / "tile" / "0" / "001").write_bytes(b""), 23),
        (lambda folder: (folder / "manifest.json").write_bytes(b"[" * 100_000), 23),
        (lambda folder: (folder / "manifest.json").write_bytes(b'{"first":' + b"9" * 9_000 + b"}\n"), 23),
    ],
)
def test_strange_folders_are_answered(
    tmp_path: Path, policy: Path, change: Callable[[Path], object], code: int
) -> None:
    folder = exports.whole(exports.leaves(3)).write(tmp_path / "export")
    change(folder)

    found, output = told(folder, "--policy", policy)

    assert found == code, output
    assert output.isascii()
    assert "\x1b" not in output


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_what_is_no_export_is_undecidable(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    assert told(tmp_path / name)[0] == 24


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "--proof", "b", "--leaf", "c"],
        ["--proof", "b"],
        ["--consistency", "p"],
        ["a", "--head", "x"],
        ["a", "b"],
    ],
)
def test_a_wrong_command_line_is_an_error_of_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        told(*arguments)

    assert ended.value.code == 2


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    """Ten times the records, the same memory, but for the counts of the tree."""
    found = exports.leaves(30_000)
    peaks = []
    for size in (3_000, 30_000):
        folder = exports.whole(found[:size]).write(tmp_path / str(size))
        tracemalloc.start()
        verify.verify_export(str(folder), None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] * 1.5


@pytest.mark.slow
def test_a_directory_that_cannot_be_read_is_undecidable(tmp_path: Path, policy: Path) -> None:
    """As another user; root reads everything, so the program runs without that right."""
    folder = exports.whole(exports.leaves(3)).write(tmp_path / "export")
    (folder / "tile").chmod(0)
    try:
        ended = subprocess.run(
            [sys.executable, "-I", verify.__file__, folder, "--policy", policy],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (folder / "tile").chmod(0o755)

    assert ended.returncode == (24 if os.geteuid() else 0)
    assert ended.stderr == ""
