"""A file tells one story and a function fits on a screen. (Complexity is limited by ruff, C901.)"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.architecture.sources import PACKAGE, ROOT, Function, functions, modules, relative, tree

if TYPE_CHECKING:
    from pathlib import Path

MAX_MODULE_LINES = 400
MAX_TEST_LINES = 600
MAX_FUNCTION_LINES = 40
PROGRAM = PACKAGE / "verifier" / "verify.py"
MAX_PROGRAM_LINES = 800
"""The verifier is one file so that auditors can keep, read and hand on just it: lines of code, without documentation."""


def body_lines(function: Function) -> int:
    """The lines of a function from its `def` to its end, without the docstring."""
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    has_docstring = bool(function.body) and getattr(getattr(first, "value", None), "value", None).__class__ is str
    return length - ((first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0)


@pytest.mark.parametrize("path", [path for path in modules(PACKAGE) if path != PROGRAM], ids=relative)
def test_a_module_tells_one_story(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


def test_the_verifier_can_be_read_in_an_evening() -> None:
    documented: set[int] = set()
    for node in ast.walk(tree(PROGRAM)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            documented |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(PROGRAM.read_text(encoding="utf-8").splitlines(), 1)
    code = [
        text for line, text in lines if line not in documented and text.strip() and not text.strip().startswith("#")
    ]

    assert len(code) <= MAX_PROGRAM_LINES


@pytest.mark.parametrize("path", [*modules(ROOT / "tests"), *modules(ROOT / "bench")], ids=relative)
def test_a_test_file_is_not_a_book(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_TEST_LINES


@pytest.mark.parametrize("path", modules(PACKAGE), ids=relative)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    assert [f"{f.name}: {body_lines(f)} lines" for f in functions(path) if body_lines(f) > MAX_FUNCTION_LINES] == []
