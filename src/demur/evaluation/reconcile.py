"""A ledger compared with its meters: reads a home, checks the chain on the way, and reports (S5, S6).

Nothing is kept in memory but what is still open; what is known of each grant is spilled into a file that is deleted at
the end, so that a ledger of any length can be compared.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from demur.core.ledger import chain
from demur.core.reconciliation import Report, Run
from demur.errors import ConfigurationError, StoreError
from demur.meter import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from demur.core.reconciliation import Limits
    from demur.core.terms import Timestamp
    from demur.ports import StoredRecord
    from demur.wiring import Reader

MAX_CACHED = 50_000
"""Grants that are held in memory before they are spilled."""


class Spilled:
    """Byte strings by name, most of them in a file. `close` deletes it."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "lives.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("CREATE TABLE lives (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        self._cache: dict[str, bytes] = {}

    def get(self, name: str, /) -> bytes | None:
        found = self._cache.get(name)
        if found is not None:
            return found
        row = self._connection.execute("SELECT value FROM lives WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def __setitem__(self, name: str, value: bytes, /) -> None:
        self._cache[name] = value
        if len(self._cache) >= MAX_CACHED:
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT OR REPLACE INTO lives VALUES (?, ?)", self._cache.items())
            self._connection.execute("COMMIT")
            self._cache.clear()

    def close(self) -> None:
        self._connection.close()


def reconcile(
    reader: Reader,
    *,
    files: Sequence[Path] = (),
    since: Timestamp | None = None,
    until: Timestamp | None = None,
    limits: Limits | None = None,
    watch: Iterable[StoredRecord] | None = None,
) -> Report:
    """The report on a home, with the statements of its ledger and of `files`.

    `until` is the time up to which silence is judged, now where left out. Raises `LedgerError` where the chain is
    broken or a statement cannot be read, `ConfigurationError` for a file that cannot, and `StoreError`.
    """
    with tempfile.TemporaryDirectory(prefix="demur-") as folder:
        lives = Spilled(Path(folder))
        try:
            run = Run(lives=lives, statements=_statements(reader), verify=verify, limits=limits, since=since)
            size = reader.head().size
            chain.check(_taken(run, watch if watch is not None else reader.records(0, size)), log=reader.log)
            for path in files:
                run.take_statements(_lines(path))
            return run.finish(until or reader.now(), declared=_declared(reader))
        except sqlite3.Error as error:
            raise StoreError(f"what is known of grants could not be spilled: {error}") from error
        finally:
            lives.close()


def _statements(reader: Reader) -> Callable[[str], bytes | None]:
    return lambda digest: reader.store.read(lambda tx: tx.find_blob(f"statement:{digest}"))


def _taken(run: Run, records: Iterable[StoredRecord]) -> Iterator[StoredRecord]:
    """Each record after the chain has accepted the one before it."""
    for record in records:
        yield record
        run.take(record)


def _declared(reader: Reader) -> tuple[str, ...]:
    try:
        return tuple(reader.policies_in_force().schema.actions)
    except StoreError:
        return ()


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise ConfigurationError(f"the statements `{path}` cannot be read: {error.strerror}") from error
