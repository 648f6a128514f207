"""Facts from a table in a YAML or JSON file, or written into the policies themselves.

    wards:    {kind: static, file: data/wards.yaml, key: resource.id}     # rows by key
    calendar: {kind: static, file: data/calendar.yaml}                    # without a key, the file is the one row
    limits:   {kind: static, table: {gold: {limit: 500}}, key: subject.plan}

- The key is read from the request itself. A column is named by the fact's whole path, or by what follows its first
  name: `resource.consent` is the column `consent`.
- No row, no column or a null: the fact is absent. The caller makes that unknown where the fact is not optional (S2.1).
- A file is read again within 20 ms after it changed. While it cannot be read, nothing is known: yesterday's table is
  not used on.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from demur.adapters.documents_yaml import read_tree
from demur.core import resolution
from demur.core.policy.located import plain
from demur.core.terms import Missing, Request, State
from demur.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from demur.core.schema import Fact, Source

KIND = "static"
MAX_FILE_BYTES = 16 * 2**20

LOOK_SECONDS = 0.02
"""How often a file is looked at. Each look lets go of the interpreter, which under load takes longer than an answer."""

_SETTINGS = {"file", "table", "key"}
_Read = tuple[tuple[int, ...], Mapping[str, object] | ConfigurationError]


class StaticSource:
    """`ports.FactSource` over one table."""

    is_local = True

    def __init__(self, name: str, table: TableFile | InlineTable, key: str) -> None:
        self._name = name
        self._table = table
        self._key = key

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        row = self._row(request)
        if row is Missing.ABSENT:
            return dict.fromkeys(paths, Missing.ABSENT)
        if not isinstance(row, Mapping):
            raise ConfigurationError(f"source `{self._name}`: expected a table as row, found a list or a single value")
        return {path: column(row, path) for path in paths}

    def keys(self, path: str) -> tuple[str, ...]:
        """The keys of the rows where the table is looked up by this part of a request, and none otherwise."""
        return tuple(self._table.rows()) if path == self._key else ()

    def _row(self, request: Request) -> object:
        rows = self._table.rows()
        if not self._key:
            return rows
        key = resolution.stated(request, self._key)
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            return Missing.ABSENT
        return rows.get(str(key), Missing.ABSENT)


class InlineTable:
    """A table that is part of the policies."""

    def __init__(self, rows: Mapping[str, object]) -> None:
        self._rows = rows

    def rows(self) -> Mapping[str, object]:
        return self._rows


class TableFile:
    """A table in a file, read again when the file changed. Safe to use from any thread."""

    def __init__(self, path: Path, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._path = path
        self._name = str(path)
        self._look_nanos = round(look_seconds * 1e9)
        self._looked_at = -self._look_nanos
        self._lock = threading.Lock()
        self._read: _Read | None = None

    def rows(self) -> Mapping[str, object]:
        """The table as it stands in the file now; raises `ConfigurationError` while it cannot be read."""
        read, now = self._read, time.monotonic_ns()
        if read is None or now - self._looked_at >= self._look_nanos:
            read = self._look()
            self._looked_at = now
        if isinstance(read[1], ConfigurationError):
            raise ConfigurationError(str(read[1]), hint=read[1].hint)
        return read[1]

    def _look(self) -> _Read:
        try:
            state = os.stat(self._name)  # noqa: PTH116  (as fast as it goes: this stands in the way of every answer)
        except OSError as error:
            self._read = None
            raise ConfigurationError(f"`{self._path}` cannot be read: {error.strerror}") from error
        identity = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        read = self._read
        if read is None or read[0] != identity:
            with self._lock:
                read = self._read
                if read is None or read[0] != identity:
                    read = self._read = identity, self._load()
        return read

    def _load(self) -> Mapping[str, object] | ConfigurationError:
        try:
            return _parse(self._path)
        except ConfigurationError as error:
            return error


class StaticOpener:
    """Opens sources of kind `static`; files are named relative to `folder`."""

    def __init__(self, folder: Path, *, look_seconds: float = LOOK_SECONDS) -> None:
        """Tables in files are looked at no oftener than every `look_seconds`."""
        self._folder = folder
        self._look_seconds = look_seconds

    def __call__(self, source: Source, facts: Sequence[Fact]) -> StaticSource:
        del facts
        unknown = sorted(set(source.settings) - _SETTINGS)
        if unknown:
            raise ConfigurationError(f"source `{source.name}`: expected file, table or key, found `{unknown[0]}`")
        key = source.settings.get("key", "")
        if not isinstance(key, str):
            raise ConfigurationError(f"source `{source.name}`: expected the path of a fact as key")
        table = self._table(source)
        table.rows()
        return StaticSource(source.name, table, key)

    def _table(self, source: Source) -> TableFile | InlineTable:
        file, rows = source.settings.get("file"), source.settings.get("table")
        if isinstance(file, str) and rows is None:
            return TableFile(self._folder / _inside(source.name, file), look_seconds=self._look_seconds)
        if isinstance(rows, Mapping) and file is None:
            return InlineTable({str(name): row for name, row in rows.items()})
        hint = "see docs/guides/facts.md"
        raise ConfigurationError(f"source `{source.name}`: expected either `file` or `table`", hint=hint)


def _inside(name: str, file: str) -> PurePosixPath:
    path = PurePosixPath(file.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ConfigurationError(f"source `{name}`: expected a file within the policy folder, found `{file}`")
    return path


def column(row: Mapping[str, object], path: str) -> State:
    """A value of the row; the caller conforms it to the fact's type."""
    for name in (path, path.partition(".")[2]):
        if name in row:
            value = row[name]
            return Missing.ABSENT if value is None else value  # type: ignore[return-value]  # conformed by the caller
    return Missing.ABSENT


def _parse(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"`{path}` is not UTF-8 text") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigurationError(f"`{path}`: expected at most {MAX_FILE_BYTES} bytes, found more")
    rows = _from_json(path, text) if path.suffix == ".json" else _from_yaml(path, text)
    if not isinstance(rows, Mapping):
        raise ConfigurationError(f"`{path}`: expected a table, found a list or a single value")
    return rows


def _from_yaml(path: Path, text: str) -> object:
    document = read_tree(text, path.name)
    problems = [problem for problem in document.problems if problem.severity == "error"]
    if problems:
        raise ConfigurationError(_first(problems))
    return {} if document.root is None else plain(document.root)


def _from_json(path: Path, text: str) -> object:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ConfigurationError(f"`{path}`: expected each name once in an object, found one twice")
        return table

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"`{path}` is not JSON: {error}") from error


def _first(problems: Sequence[Problem]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"
