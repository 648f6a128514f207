"""The core takes values and gives values: nothing in it can read the clock, a file, the environment or chance."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.architecture.sources import CORE, PACKAGE, imported_roots, modules, relative, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALLOWED_IN_CORE = {
    *("__future__", "base64", "binascii", "bisect", "collections", "dataclasses", "datetime", "enum", "functools"),
    *("hashlib", "hmac", "itertools", "json", "math", "operator", "re", "string", "struct", "types", "typing"),
    *("unicodedata", "difflib", "heapq", "textwrap"),
    *("demur", "msgspec", "re2"),
}
IMPURE_CALLS = {"open", "print", "input", "breakpoint", "globals", "__import__"}
CLOCK_READS = {"now", "utcnow", "today", "localtime"}
TEXT_AS_CODE = {"eval", "exec", "compile"}


def names_used(path: Path) -> Iterator[tuple[str, int]]:
    """Every name that the type checker sees, with its line: not the run-time side of `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [tree(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.body
        else:
            waiting += ast.iter_child_nodes(node)


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Every called name and, for a method of the standard library's dates, its last part, with its line."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno
        elif isinstance(node.func, ast.Attribute) and "date" in ast.unparse(node.func.value):
            yield node.func.attr, node.lineno


@pytest.mark.parametrize("path", modules(CORE), ids=relative)
def test_core_imports_only_what_cannot_touch_the_world(path: Path) -> None:
    assert [(root, line) for root, line in imported_roots(path) if root not in ALLOWED_IN_CORE] == []


@pytest.mark.parametrize("path", modules(CORE), ids=relative)
def test_core_calls_nothing_that_touches_the_world(path: Path) -> None:
    assert [(name, line) for name, line in calls(path) if name in IMPURE_CALLS | CLOCK_READS] == []


@pytest.mark.parametrize("path", modules(CORE), ids=relative)
def test_core_says_what_it_takes_and_gives(path: Path) -> None:
    assert [line for name, line in names_used(path) if name == "Any"] == []


@pytest.mark.parametrize("path", modules(CORE), ids=relative)
def test_core_keeps_no_state_of_its_own(path: Path) -> None:
    assert [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Global)] == []


@pytest.mark.parametrize("path", modules(PACKAGE), ids=relative)
def test_no_text_becomes_code(path: Path) -> None:
    assert [(name, line) for name, line in calls(path) if name in TEXT_AS_CODE] == []
