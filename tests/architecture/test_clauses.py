"""The specification and the tests speak of the same clauses."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import PACKAGE, ROOT, relative

SPEC = ROOT / "docs" / "spec"
CITATION = re.compile(r"\bS(\d{1,2})(?:\.(\d{1,2}))?\b(?!\d)")
HEADING = re.compile(r"## S(\d+) .*?(\(reserved\))?$")
CITING = {".py", ".yaml", ".txt", ".md"}


def clauses() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The clauses in force (`S3.2`), the sections, and those sections whose numbers are only reserved."""
    in_force: set[str] = set()
    sections: set[str] = set()
    reserved: set[str] = set()
    section = ""
    for line in (SPEC / "semantics.md").read_text(encoding="utf-8").splitlines():
        if heading := HEADING.match(line):
            section = f"S{heading[1]}"
            (reserved if heading[2] else sections).add(section)
        elif item := re.match(r"(\d+)\. ", line):
            in_force.add(f"{section}.{item[1]}")
    return frozenset(in_force), frozenset(sections), frozenset(reserved)


def citations(*folders: str) -> dict[str, set[str]]:
    """Each cited clause with the files that cite it."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in CITING or "__pycache__" in path.parts or "architecture" in path.parts:
                continue
            for match in CITATION.finditer(path.read_text(encoding="utf-8")):
                found.setdefault(match[0], set()).add(relative(path))
    return found


IN_FORCE, SECTIONS, RESERVED = clauses()


def exists(clause: str) -> bool:
    return clause in IN_FORCE | SECTIONS or clause.partition(".")[0] in RESERVED


def test_the_specification_has_its_clauses() -> None:
    assert len(IN_FORCE) == 46
    assert {f"S{number}" for number in range(1, 13)} == SECTIONS
    assert frozenset() == RESERVED


@pytest.mark.parametrize("clause", sorted(IN_FORCE))
def test_every_clause_in_force_is_held_by_a_test(clause: str) -> None:
    assert citations("tests").get(clause, set()) != set()


def test_every_cited_clause_exists() -> None:
    unknown = {clause: files for clause, files in citations("src", "tests", "docs").items() if not exists(clause)}

    assert unknown == {}


def test_the_package_cites_its_clauses() -> None:
    assert PACKAGE.is_dir()
    assert {clause.partition(".")[0] for clause in citations("src")} >= {"S1", "S2", "S3", "S5"}
