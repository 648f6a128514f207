"""Records -> one Parquet file for analysis, from which the root of the tree can be computed again.

    index            int64                the record's number
    leaf             binary               the exact bytes that are hashed
    leaf_hash        fixed_size_binary    SHA-256(0x00 || leaf), 32 bytes: `record_hash`
    timestamp        timestamp[ns, UTC]
    type, outcome .. dictionary<string>   members of the leaf that stand in many records, null where there is none

The decoded columns are a view; what counts is `leaf`. This module needs `pyarrow`, which the extra `analysis` brings.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow
from pyarrow import parquet

from demur.core.ledger import merkle
from demur.core.terms import parse_timestamp
from demur.errors import StoreError
from demur.evaluation import folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from demur.ports import StoredRecord

DECODED = ("type", "log", "outcome", "refusal_category", "triggering_policy", "policy_version", "trace_id", "v")
"""Members that have a column of their own, as text."""
GROUP = 8_192
"""Records in a row group: what is held in memory."""


class Table:
    """Takes records one by one and writes them in groups."""

    def __init__(self, writer: parquet.ParquetWriter, schema: pyarrow.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._rows: list[dict[str, object]] = []

    def write(self, record: StoredRecord, members: Mapping[str, object]) -> None:
        """Add a record; raises `OSError`."""
        row: dict[str, object] = {
            "index": record.sequence,
            "leaf": record.leaf,
            "leaf_hash": merkle.leaf_hash(record.leaf),
            "timestamp": parse_timestamp(str(members["timestamp"])).nanos,
        }
        self._rows.append(row | {name: str(members[name]) if name in members else None for name in DECODED})
        if len(self._rows) >= GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
            self._rows = []


@contextmanager
def writing(path: Path) -> Iterator[Table]:
    """A table in the file `path`, which appears when the block ends without an exception.

    Raises `ConfigurationError` where there is something of that name, `StoreError` where it cannot be written.
    """
    folders.check_free(path)
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    schema = _schema()
    try:
        with parquet.ParquetWriter(draft, schema, compression="zstd") as writer:
            table = Table(writer, schema)
            yield table
            table.flush()
        folders.settle(draft, path)
    except (OSError, pyarrow.ArrowException) as error:
        raise StoreError(f"the file `{path}` cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _schema() -> pyarrow.Schema:
    texts = [(name, pyarrow.dictionary(pyarrow.int32(), pyarrow.string())) for name in DECODED]
    first = [("index", pyarrow.int64()), ("leaf", pyarrow.binary()), ("leaf_hash", pyarrow.binary(32))]
    return pyarrow.schema([*first, ("timestamp", pyarrow.timestamp("ns", "UTC")), *texts])
