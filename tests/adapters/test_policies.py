"""The cache by content, the child process, and what a set that does not load leaves alone (S3.7)."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from typing import TYPE_CHECKING

import msgspec
import pytest

from demur.adapters import policies
from demur.adapters.policies import compile_in_child, load_folder
from demur.core.policy import compiled
from demur.core.policy.compiled import decode_compiled, encode_compiled
from demur.errors import ConfigurationError, PolicyError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "demur: 1\nnamespace: a\nrules:\n  - {id: r, effect: permit, actions: [x]}\n"
BAD = "demur: 1\nnamespace: a\nrulez: []\nfacts: {subject.x: strng}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "policies"
    path.mkdir()
    (path / "a.yaml").write_text(GOOD, encoding="utf-8")
    return path


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def test_the_second_time_a_set_comes_from_the_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = load_folder(folder, cache=cache)
    assert len(entries(cache)) == 1
    monkeypatch.setattr(policies, "load", None)
    assert load_folder(folder, cache=cache) == first


@pytest.mark.parametrize("change", ["content", "name", "new file"])
def test_whatever_changes_the_source_misses_the_cache(folder: Path, tmp_path: Path, change: str) -> None:
    cache = tmp_path / "cache"
    load_folder(folder, cache=cache)
    match change:
        case "content":
            (folder / "a.yaml").write_text(GOOD.replace("[x]", "[y]"), encoding="utf-8")
        case "name":
            (folder / "a.yaml").rename(folder / "b.yaml")
        case _:
            (folder / "b.yaml").write_text("demur: 1\nnamespace: a\n", encoding="utf-8")
    load_folder(folder, cache=cache)
    assert len(entries(cache)) == 2


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_entry_is_compiled_again(folder: Path, tmp_path: Path, damage: bytes | None) -> None:
    """An entry that still decodes, but to another policy, counts as damaged too."""
    cache = tmp_path / "cache"
    first = load_folder(folder, cache=cache)
    entry = entries(cache)[0]
    whole = entry.read_bytes()
    entry.write_bytes(whole.replace(b"permit", b"forbid") if damage is None else damage)
    assert load_folder(folder, cache=cache) == first
    assert entry.read_bytes() == whole


def test_an_entry_of_another_version_is_compiled_again(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = load_folder(folder, cache=cache)
    entry = entries(cache)[0]
    old = msgspec.msgpack.encode({"version": 1, "head": None, "rules": []})
    entry.write_bytes(hashlib.sha256(old).digest() + old)
    assert load_folder(folder, cache=cache) == first


def test_a_cache_that_others_can_write_to_is_refused(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(ConfigurationError, match="that only its owner can write to"):
        load_folder(folder, cache=cache)


def test_a_new_cache_belongs_to_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    load_folder(folder, cache=tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert entries(tmp_path / "cache")[0].stat().st_mode & 0o777 == 0o600


def test_a_cache_that_cannot_be_written_is_done_without(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    assert load_folder(folder, cache=tmp_path / "cache").rules[0].id == "a/r"
    assert entries(tmp_path / "cache") == []


def test_the_entries_used_longest_ago_are_removed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "MAX_CACHED", 2)
    cache = tmp_path / "cache"
    for number in range(4):
        (folder / "a.yaml").write_text(f"{GOOD}# {number}\n", encoding="utf-8")
        load_folder(folder, cache=cache)
        for place, entry in enumerate(entries(cache)):
            os.utime(entry, ns=(place, place))
    assert len(entries(cache)) == 2


def test_problems_name_the_file_as_reached_from_here(folder: Path) -> None:
    (folder / "b.yaml").write_text(BAD, encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_folder(folder)
    places = [(problem.file, problem.line, problem.column) for problem in caught.value.problems]
    assert places == [(str(folder / "b.yaml"), 3, 1), (str(folder / "b.yaml"), 4, 20)]


@pytest.mark.slow
def test_a_child_compiles_what_this_process_would(folder: Path) -> None:
    assert decode_compiled(compile_in_child(folder)) == load_folder(folder)


@pytest.mark.slow
def test_a_child_hands_back_every_problem(folder: Path) -> None:
    (folder / "b.yaml").write_text(BAD, encoding="utf-8")
    with pytest.raises(PolicyError) as here:
        load_folder(folder)
    with pytest.raises(PolicyError) as there:
        compile_in_child(folder)
    assert there.value.problems == here.value.problems


@pytest.mark.slow
def test_a_child_that_takes_too_long_is_a_problem(folder: Path) -> None:
    with pytest.raises(PolicyError, match=r"compiling did not end within 0.01 s"):
        compile_in_child(folder, timeout_seconds=0.01)


@pytest.mark.slow
def test_a_child_that_dies_is_a_problem(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho killed >&2\nexit 9\n", encoding="utf-8")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(PolicyError, match="compiling ended with code 9: killed"):
        compile_in_child(folder)


def test_without_an_interpreter_the_error_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ConfigurationError, match="expected a Python interpreter"):
        compile_in_child(folder)


def large(rules: int) -> str:
    lines = ["demur: 1", "namespace: bench", "facts: {subject.role: string, subject.minute: int}", "actions:"]
    lines += [f"  act{number}: {{arguments: {{amount: int, country: string}}}}" for number in range(50)]
    lines += ["rules:"]
    for number in range(rules):
        lines += [
            f"  - id: rule-{number}",
            f"    effect: {'permit' if number % 10 else 'forbid'}",
            f"    actions: [act{number % 50}]",
            "    when:",
            f"      - {{name: a, expr: action.amount <= {number}, explain: at most {number}}}",
            f'      - {{name: b, expr: \'subject.role in ["clerk", "role{number}"]\', explain: role {number}}}',
            f"      - {{name: c, expr: subject.minute >= {number} && subject.minute < {number + 600}, explain: hours}}",
            f"      - {{name: d, expr: 'action.country != \"X{number}\"', explain: country {number}}}",
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.slow
def test_five_thousand_rules_come_from_the_cache_as_they_were_compiled(tmp_path: Path) -> None:
    """20,000 conditions, no two alike. How long it takes is measured by `make bench`."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(large(5_000), encoding="utf-8")
    cold = load_folder(tmp_path / "p", cache=tmp_path / "cache")
    warm = load_folder(tmp_path / "p", cache=tmp_path / "cache")
    assert len(cold.rules) == 5_000
    assert warm == cold


def test_rules_are_decoded_one_at_a_time(tmp_path: Path) -> None:
    """A reload lets decisions go on between two rules."""
    (tmp_path / "a.yaml").write_text(large(20), encoding="utf-8")
    envelope = compiled._decode_envelope(encode_compiled(load_folder(tmp_path)))
    assert [compiled._decode_rule(rule).id for rule in envelope.rules] == [
        f"bench/rule-{n}" for n in sorted(map(str, range(20)))
    ]
