"""Tables in files and in the policies: rows by key, read again when they change, unknown while they cannot be read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from demur.adapters.sources import DeclaredSources, open_sources
from demur.adapters.static_tables import StaticOpener
from demur.core.resolution import Learned
from demur.core.schema import Fact, Kind, Schema, Source, Type
from demur.core.terms import Missing, Request, Value
from demur.errors import ConfigurationError
from tests.adapters.facts import BOOL, INT, NOW, STRING, request, schema

if TYPE_CHECKING:
    from pathlib import Path

WARDS = "i-1: {beds: 20, open: true, name: A3}\ni-2: {beds: many}\n"
TYPES = {"resource.beds": INT, "resource.open": BOOL, "resource.name": STRING}


def opened(folder: Path, look_seconds: float = 0.0, /, **settings: Value) -> DeclaredSources:
    source = Source(name="wards", kind="static", settings=settings)
    declared = schema(source, TYPES, optional=frozenset({"resource.name"}))
    return open_sources(declared, {"static": StaticOpener(folder, look_seconds=look_seconds)})


def learn(sources: DeclaredSources, path: str, asked: Request | None = None) -> Learned:
    return sources.learn(asked or request(), {"wards": (path,)}, NOW)[path]


@pytest.fixture
def wards(tmp_path: Path) -> DeclaredSources:
    (tmp_path / "wards.yaml").write_text(WARDS)
    return opened(tmp_path, file="wards.yaml", key="resource.id")


def test_a_row_is_found_by_its_key(wards: DeclaredSources) -> None:
    assert learn(wards, "resource.beds") == Learned(20, NOW)
    assert learn(wards, "resource.open") == Learned(True, NOW)


def test_a_missing_row_is_absent_where_the_fact_is_optional_and_else_unknown(wards: DeclaredSources) -> None:
    other = request(resource="i-9")

    assert learn(wards, "resource.name", other) == Learned(Missing.ABSENT, NOW)
    assert learn(wards, "resource.beds", other).state is Missing.UNKNOWN


def test_a_missing_column_is_as_a_missing_row(wards: DeclaredSources) -> None:
    other = request(resource="i-2")

    assert learn(wards, "resource.name", other).state is Missing.ABSENT
    assert learn(wards, "resource.open", other).state is Missing.UNKNOWN


def test_a_value_of_another_type_is_unknown(wards: DeclaredSources) -> None:
    item = learn(wards, "resource.beds", request(resource="i-2"))

    assert item.state is Missing.UNKNOWN
    assert item.why == "the source gave a wrong value: expected an int within +-(2^53-1), found a string"


def test_without_a_key_the_file_is_the_one_row(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("beds: 7\n")

    assert learn(opened(tmp_path, file="one.yaml"), "resource.beds").state == 7


def test_a_table_may_stand_in_the_policies(tmp_path: Path) -> None:
    rows: Value = {"gold": {"beds": 3}}

    assert learn(opened(tmp_path, table=rows, key="subject.plan"), "resource.beds").state == 3


def test_a_whole_number_may_be_a_key(tmp_path: Path) -> None:
    rows: Value = {"3": {"beds": 9}}

    assert learn(opened(tmp_path, table=rows, key="subject.level"), "resource.beds").state == 9


def test_a_column_may_have_the_whole_path_as_its_name(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(json.dumps({"i-1": {"resource.beds": 4, "beds": 5}}))

    assert learn(opened(tmp_path, file="w.json", key="resource.id"), "resource.beds").state == 4


def test_a_changed_file_is_read_again(tmp_path: Path, wards: DeclaredSources) -> None:
    assert learn(wards, "resource.beds").state == 20
    (tmp_path / "next.yaml").write_text("i-1: {beds: 21}\n")
    os.replace(tmp_path / "next.yaml", tmp_path / "wards.yaml")  # noqa: PTH105  (the system call that editors make)

    assert learn(wards, "resource.beds").state == 21


def test_a_file_that_breaks_is_unknown_until_it_is_mended(tmp_path: Path, wards: DeclaredSources) -> None:
    file = tmp_path / "wards.yaml"
    file.write_text("i-1: {beds: [\n")
    broken = learn(wards, "resource.beds")
    file.unlink()
    gone = learn(wards, "resource.beds")
    file.write_text(WARDS)

    assert broken.state is gone.state is Missing.UNKNOWN
    assert "wards.yaml" in broken.why
    assert "No such file" in gone.why
    assert learn(wards, "resource.beds").state == 20


def test_yaml_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("i-1: {name: NO, open: yes}\n")
    sources = opened(tmp_path, file="w.yaml", key="resource.id")

    assert learn(sources, "resource.name").state == "NO"
    assert learn(sources, "resource.open").state is Missing.UNKNOWN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "source `wards`: expected either `file` or `table`"),
        ({"file": "w.yaml", "table": {}}, "expected either `file` or `table`"),
        ({"file": "w.yaml", "colour": "red"}, "expected file, table or key, found `colour`"),
        ({"file": "../secret.yaml"}, r"expected a file within the policy folder, found `\.\./secret\.yaml`"),
        ({"file": "/etc/passwd"}, "expected a file within the policy folder, found `/etc/passwd`"),
        ({"file": "..\\secret.yaml"}, "expected a file within the policy folder"),
        ({"file": "none.yaml"}, "cannot be read: No such file"),
        ({"file": "list.yaml"}, "expected a table, found a list or a single value"),
        ({"file": "twice.json"}, "expected each name once in an object, found one twice"),
        ({"file": "bad.json"}, "is not JSON"),
        ({"file": "latin.yaml"}, "is not UTF-8 text"),
        ({"file": "w.yaml", "key": "account.id"}, r"`account\.id` is no part of the request"),
        ({"file": "w.yaml", "key": 5}, "expected the path of a fact as key"),
    ],
)
def test_a_table_that_cannot_work_does_not_open(tmp_path: Path, settings: dict[str, Value], message: str) -> None:
    (tmp_path / "w.yaml").write_text("{}")
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "twice.json").write_text('{"a": 1, "a": 2}')
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")

    with pytest.raises(ConfigurationError, match=message):
        opened(tmp_path, **settings)


def test_a_claim_cannot_choose_the_row(tmp_path: Path) -> None:
    """`subject.plan` is resolved elsewhere, so what the caller claims about it must not be the key (S2.2)."""
    source = Source(name="limits", kind="static", settings={"table": {}, "key": "subject.plan"})
    plan = Fact(path="subject.plan", type=Type(Kind.STRING), source="crm")
    declared = Schema(facts={plan.path: plan}, sources={"limits": source})

    with pytest.raises(ConfigurationError, match=r"source `limits`: `subject\.plan` is no part of the request"):
        open_sources(declared, {"static": StaticOpener(tmp_path)})


def test_a_file_is_not_looked_at_for_every_question(tmp_path: Path) -> None:
    (tmp_path / "wards.yaml").write_text(WARDS)
    seldom = opened(tmp_path, 3_600, file="wards.yaml", key="resource.id")
    learn(seldom, "resource.beds")
    (tmp_path / "wards.yaml").write_text("i-1: {beds: 21}\n")

    assert learn(seldom, "resource.beds").state == 20
