"""YAML files -> source documents: every value with its place, scalars read as YAML 1.2's core schema reads them.

- `NO`, `on`, `yes`, `0777_1` and dates stay text; only `true`/`false`, `null`/`~`, decimal, `0o` and `0x` integers and
  finite decimal numbers are something else, and only when they are not quoted.
- Anchors, aliases, tags, duplicate keys, keys that are not text and several documents in one file are refused, and so
  is what exceeds the caps. Such findings stand in the document's `problems`; reading goes on where it can.
- The tree is built from libyaml's events with a stack of our own, so nesting can exhaust nothing.
- Names that begin with a dot are left out: mounted configuration keeps its older versions there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import yaml

from demur.adapters.documents_yaml import read_tree
from demur.core.policy.located import SourceDocument
from demur.errors import ConfigurationError, PolicyError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILE_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 64 * 2**20
MAX_FILES = 10_000

SUFFIX = ".yaml"
TEST_SUFFIX = ".test.yaml"
_DATA = "data"


def read_folder(path: Path) -> tuple[SourceDocument, ...]:
    """The policy documents of a folder and its subfolders, in name order; raises `PolicyError` where there are none."""
    return tuple(parse(raw, file) for file, raw in read_bytes(path))


def read_file(path: Path, name: str) -> SourceDocument:
    """One document, known as `name` in messages; raises `PolicyError` where the file cannot be read."""
    return parse(_read(path, name), name)


def read_bytes(path: Path) -> tuple[tuple[str, bytes], ...]:
    """The policy files of a folder as (name relative to the folder, content), in name order.

    Raises `PolicyError` where the folder or one of its files cannot be read, nothing is there, or a cap is exceeded.
    """
    if not path.is_dir():
        raise _refused(str(path), "expected a folder of policies, found none", hint="create it with `demur init`")
    found: list[tuple[str, bytes]] = []
    total = 0
    for name in sorted(_names(path)):
        raw = _read(path / name, name)
        total += len(raw)
        if total > MAX_TOTAL_BYTES or len(found) >= MAX_FILES:
            raise _refused(str(path), f"expected at most {MAX_FILES} files and {MAX_TOTAL_BYTES} bytes, found more")
        found.append((name, raw))
    if not found:
        raise _refused(str(path), f"expected at least one `*{SUFFIX}` file, found none", hint="see docs/policies.md")
    return tuple(found)


def find_tests(path: Path) -> tuple[Path, ...]:
    """The `*.test.yaml` files of a folder and its subfolders, in name order."""
    return tuple(path / name for name in sorted(_walk(path)) if name.endswith(TEST_SUFFIX))


def parse(raw: bytes, name: str) -> SourceDocument:
    """One document from its bytes; findings stand in `problems`. Raises `ConfigurationError` without libyaml."""
    if not yaml.__with_libyaml__:
        message = "expected PyYAML built with libyaml, found the pure Python one"
        raise ConfigurationError(message, hint="install a wheel of `pyyaml`, or build it with libyaml present")
    if len(raw) > MAX_FILE_BYTES:
        return _unreadable(name, 0, 0, f"expected at most {MAX_FILE_BYTES} bytes in a file, found {len(raw)}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        return _unreadable(name, line, column, f"expected UTF-8 text, found the byte `0x{raw[error.start]:02x}`")
    return read_tree(text, name)


def _names(path: Path) -> Iterator[str]:
    for name in _walk(path):
        if name.endswith(".yml"):
            # A file that is left out by mistake could be the one that forbids.
            raise _refused(name, f"expected the suffix `{SUFFIX}`, found `.yml`", hint="rename the file")
        if name.endswith(SUFFIX) and not name.endswith(TEST_SUFFIX):
            yield name


def _walk(path: Path) -> Iterator[str]:
    """Names of the files, relative to the folder and with `/`, without hidden ones and without folders named `data`."""

    def refuse(error: OSError) -> None:
        raise _refused(str(error.filename), f"cannot be read: {error.strerror}") from error

    for folder, inner, files in os.walk(path, onerror=refuse):
        inner[:] = [name for name in inner if name != _DATA and not name.startswith(".")]
        at = os.path.relpath(folder, path).replace(os.sep, "/")
        for name in files:
            if not name.startswith("."):
                yield name if at == "." else f"{at}/{name}"


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _refused(name, f"cannot be read: {error.strerror}") from error


def _refused(file: str, message: str, *, hint: str = "") -> PolicyError:
    return PolicyError([Problem(file, 0, 0, message, hint)])


def _unreadable(file: str, line: int, column: int, message: str) -> SourceDocument:
    return SourceDocument(file, None, (Problem(file, line, column, message),))


def read_tests(path: Path) -> tuple[SourceDocument, ...]:
    """The test documents of a folder and its subfolders, or the one file; files are named as reached from here."""
    files = find_tests(path) if path.is_dir() else (path,)
    return tuple(read_file(file, str(file)) for file in files)
