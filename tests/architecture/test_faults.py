"""A fault of any kind is held back only where a caller must get an answer whatever happens; docs/architecture.md."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.architecture.sources import PACKAGE, modules, relative, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GUARDS = {
    "src/demur/observability/events.py",  # what a subscriber does changes no answer
    "src/demur/steps/telling.py",  # an event that cannot be made changes no answer
    "src/demur/adapters/writer.py",  # no Future is left hanging
    "src/demur/adapters/workers.py",  # as above, for sources that run in a pool
    "src/demur/server/app.py",  # the HTTP edge: nobody is left without an answer, and none of it is an allow
    "src/demur/adapters/sources.py",  # a source that fails leaves its facts unknown
}
EVERYTHING = {"Exception", "BaseException"}


def held_back(module: ast.Module) -> Iterator[int]:
    """The lines of handlers that catch everything and do not end by raising."""
    for node in ast.walk(module):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else EVERYTHING
        if caught & EVERYTHING and not isinstance(node.body[-1], ast.Raise):
            yield node.lineno


@pytest.mark.parametrize("path", modules(PACKAGE), ids=relative)
def test_a_fault_rises_everywhere_else(path: Path) -> None:
    assert relative(path) in GUARDS or list(held_back(tree(path))) == []


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_every_guard_is_one(guard: str) -> None:
    path = PACKAGE.parents[1] / guard

    assert list(held_back(tree(path))) != []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("try: f()\nexcept Exception: pass", [2]),
        ("try: f()\nexcept: log()", [2]),
        ("try: f()\nexcept (ValueError, BaseException) as e: x = e", [2]),
        ("try: f()\nexcept BaseException:\n    close()\n    raise", []),
        ("try: f()\nexcept ValueError: pass", []),
    ],
)
def test_the_check_finds_what_holds_everything_back(text: str, lines: list[int]) -> None:
    assert list(held_back(ast.parse(text))) == lines
