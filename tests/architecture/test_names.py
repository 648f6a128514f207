"""Names say what a thing is; public names are few, sorted and there; every module says what it tells."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING

import pytest

import demur
from tests.architecture.sources import PACKAGE, modules, relative, tree

if TYPE_CHECKING:
    from pathlib import Path

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "manager", "handler", "processor", "base", "misc"}
MAX_PUBLIC_NAMES = 16
IMPORTABLE = [path for path in modules(PACKAGE) if "migrations" not in path.parts]
"""Migrations are programs that Alembic runs."""


def words(name: str) -> set[str]:
    """The words of a name in either style: `read_base` and `ReadBase` give `read` and `base`."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def defined_names(path: Path) -> list[str]:
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [path.stem, *(node.name for node in ast.walk(tree(path)) if isinstance(node, kinds))]


@pytest.mark.parametrize("path", modules(PACKAGE), ids=relative)
def test_a_name_says_what_the_thing_does(path: Path) -> None:
    assert [name for name in defined_names(path) if words(name) & EMPTY_WORDS] == []


@pytest.mark.parametrize("path", modules(PACKAGE), ids=relative)
def test_a_module_begins_by_saying_what_it_tells(path: Path) -> None:
    docstring = ast.get_docstring(tree(path)) or ""

    assert len(docstring.split()) >= 4


@pytest.mark.parametrize("path", IMPORTABLE, ids=relative)
def test_listed_names_are_importable(path: Path) -> None:
    """That they are sorted is ruff's rule RUF022."""
    module = importlib.import_module(module_name(path))

    assert [name for name in getattr(module, "__all__", []) if not hasattr(module, name)] == []


def test_the_public_interface_is_about_a_dozen_names() -> None:
    assert 0 < len(demur.__all__) <= MAX_PUBLIC_NAMES
