"""YAML 1.2 scalars with their places, and what a folder of policies is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from demur.adapters import documents
from demur.adapters.documents import parse, read_folder, read_tests
from demur.core.policy.located import Scalar, Table, place, plain
from demur.errors import ConfigurationError, PolicyError

if TYPE_CHECKING:
    from pathlib import Path

# JSON writes characters beyond U+FFFF as two escapes, which YAML does not know.
TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def value(text: str) -> object:
    found = parse(f"x: {text}\n".encode(), "f.yaml")
    assert found.problems == ()
    assert isinstance(found.root, Table)
    return plain(found.root.entries[0].value)


def scalar(text: str) -> Scalar:
    root = parse(text.encode(), "f.yaml").root
    assert isinstance(root, Table)
    found = root.entries[-1].value
    assert isinstance(found, Scalar)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("y", "y"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("<<", "<<"),
        ("=", "="),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("-12", -12),
        ("+12", 12),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1_000.0),
        ("-1.5E-2", -0.015),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ('"1"', "1"),
        ('"null"', "null"),
        ('"\\u00e9\\n"', "é\n"),
        ("１２", "１２"),
    ],
)
def test_scalars_are_those_of_the_core_schema_of_yaml_1_2(text: str, expected: object) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@given(VALUES)
def test_json_is_read_as_json(data: object) -> None:
    found = parse(json.dumps({"x": data}).encode(), "f.yaml")
    assert found.problems == ()
    assert found.root is not None
    assert plain(found.root) == {"x": data}


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_document_or_a_problem(raw: bytes) -> None:
    found = parse(raw, "f.yaml")
    assert found.root is not None or found.problems


@given(st.text(alphabet="ab:-[]{}'\"|>&*!#%@`,?\n\t \\0~é", max_size=60))
def test_any_text_ends_in_a_document_or_a_problem(text: str) -> None:
    found = parse(text.encode(), "f.yaml")
    assert found.root is not None or found.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in found.problems)


def test_every_value_and_key_has_its_place() -> None:
    root = parse("a: 1\nb:\n  - x\n  - {c: é, d: ä}\n".encode(), "f.yaml").root
    assert isinstance(root, Table)
    assert [(entry.key, entry.line, entry.column) for entry in root.entries] == [("a", 1, 1), ("b", 2, 1)]
    items = root.entries[1].value
    assert (items.line, items.column) == (3, 3)
    inner = items.items[1]  # type: ignore[union-attr]  # a list, as written
    assert isinstance(inner, Table)
    assert [(e.key, e.column, e.value.column) for e in inner.entries] == [("c", 6, 9), ("d", 12, 15)]


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("x: abc def", "def", (1, 8)),
        ("x: 'abc def'", "def", (1, 9)),
        ("x: |\n  abc\n    def\n", "def", (3, 5)),
        ("x: |2\n   abc\n  def\n", "def", (3, 3)),
        ("x: >-\n  abc\n  def\n\n  ghi", "ghi", (5, 3)),
        ("x: abc\n  def\n   ghi", "ghi", (3, 4)),
        ("x: 'abc\n  def'", "def", (2, 3)),
        ('x: "abc\n  def"', "def", (2, 3)),
        ("x: |\n\n\n  abc def", "def", (4, 7)),
        ("x: |\r\n  abc\r\n  def\r\n", "def", (3, 3)),
    ],
)
def test_a_place_within_a_text_is_found_in_the_file(text: str, wanted: str, expected: tuple[int, int]) -> None:
    found = scalar(text)
    before = str(found.value)[: str(found.value).index(wanted)]
    assert place(found, before.count("\n") + 1, len(before) - before.rfind("\n")) == expected


def test_of_equal_lines_each_has_its_own_place() -> None:
    found = scalar("x: |\n  ab\n  ab\n  ab\n")
    assert [place(found, line, 2) for line in (1, 2, 3)] == [(2, 4), (3, 4), (4, 4)]


def test_a_byte_order_mark_is_left_out() -> None:
    assert parse("\ufeffx: 1".encode(), "f.yaml").root == parse(b"x: 1", "f.yaml").root


def test_bytes_that_are_no_utf_8_are_refused_with_their_place() -> None:
    found = parse("a: é\nb: é".encode() + b"\xff", "f.yaml")
    assert [str(problem) for problem in found.problems] == ["f.yaml:2:5: expected UTF-8 text, found the byte `0xff`"]


def test_a_file_beyond_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 10)
    found = parse(b"x: " + b"a" * 8, "f.yaml")
    assert [problem.message for problem in found.problems] == ["expected at most 10 bytes in a file, found 11"]


def test_without_libyaml_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    with pytest.raises(ConfigurationError, match="expected PyYAML built with libyaml"):
        parse(b"x: 1", "f.yaml")


def test_deep_nesting_is_refused_without_exhausting_anything() -> None:
    for text in ("[" * 200_000, "{a: " * 50_000, "- " * 200_000):
        assert "nesting of at most 32" in parse(text.encode(), "f.yaml").problems[0].message


def test_a_pair_of_surrogates_is_told_how_to_be_written() -> None:
    (problem,) = parse(rb'x: "\ud83d\ude00"', "f.json").problems
    assert problem.hint == "write the character itself, or as `\\U0001F600`"
    assert value('"\\U0001F600"') == "\U0001f600"


# ---------------------------------------------------------------- folders


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("demur: 1\nnamespace: a\n", encoding="utf-8")


def test_a_folder_is_read_in_name_order_without_tests_data_and_hidden_names(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml", "a.yaml", "sub/c.yaml", "a.test.yaml", "data/t.yaml", "sub/data/t.yaml", ".git/d.yaml")
    write(tmp_path, "..2026/e.yaml", ".f.yaml", "notes.txt", "database/g.yaml")
    found = [document.file for document in read_folder(tmp_path)]
    assert found == ["a.yaml", "b.yaml", "database/g.yaml", "sub/c.yaml"]


def test_a_file_that_would_be_left_out_by_its_suffix_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "forbids.yml")
    with pytest.raises(PolicyError, match=r"forbids.yml: expected the suffix `.yaml`, found `.yml`"):
        read_folder(tmp_path)


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.test.yaml")
    with pytest.raises(PolicyError, match=r"expected at least one `\*.yaml` file, found none"):
        read_folder(tmp_path)
    with pytest.raises(PolicyError, match="expected a folder of policies, found none"):
        read_folder(tmp_path / "nowhere")


def test_a_file_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(PolicyError, match=r"b.yaml: cannot be read: No such file"):
        read_folder(tmp_path)


def test_a_loop_of_folders_ends(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert [document.file for document in read_folder(tmp_path)] == ["a.yaml"]


def test_the_sizes_of_files_are_capped_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.yaml", "b.yaml")
    monkeypatch.setattr(documents, "MAX_TOTAL_BYTES", 30)
    with pytest.raises(PolicyError, match="and 30 bytes, found more"):
        read_folder(tmp_path)


def test_tests_are_found_in_subfolders_and_named_as_reached_from_here(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "z.test.yaml", "sub/b.test.yaml")
    assert [document.file for document in read_tests(tmp_path)] == [
        str(tmp_path / "sub/b.test.yaml"),
        str(tmp_path / "z.test.yaml"),
    ]
    assert [document.file for document in read_tests(tmp_path / "z.test.yaml")] == [str(tmp_path / "z.test.yaml")]
