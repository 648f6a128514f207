"""Columns of rows as PostgreSQL's binary arrays, so that one statement writes a whole group.

    ndim=1 (4) || has-null=0 (4) || element type (4) || count (4) || lower bound=1 (4) || count x (length (4) || value)

All numbers are big-endian (PostgreSQL, `array_recv`). The driver can write lists too, at about five times the cost for
each value, which is most of what a group costs under the append lock.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg.abc import AdaptContext

_HEADER = struct.Struct(">iiIii")
_BYTEA, _INT8, _TEXT = 17, 20, 25


class Column:
    """The values of one column, ready to be sent."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Bytes(Column):
    """A `bytea[]`."""

    def __init__(self, values: Collection[bytes]) -> None:
        super().__init__(_joined(_BYTEA, values))


class Texts(Column):
    """A `text[]`."""

    def __init__(self, values: Collection[str]) -> None:
        super().__init__(_joined(_TEXT, [value.encode() for value in values]))


class Numbers(Column):
    """A `bigint[]`."""

    def __init__(self, values: Collection[int]) -> None:
        flat: list[int] = []
        for value in values:
            flat += (8, value)
        super().__init__(_header(_INT8, len(values)) + struct.pack(">" + "iq" * len(values), *flat))


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> bytes:
        return obj.data


class _BytesDumper(_ColumnDumper):
    oid = 1001


class _TextsDumper(_ColumnDumper):
    oid = 1009


class _NumbersDumper(_ColumnDumper):
    oid = 1016


def register(context: AdaptContext) -> None:
    """Let a connection send columns."""
    context.adapters.register_dumper(Bytes, _BytesDumper)
    context.adapters.register_dumper(Texts, _TextsDumper)
    context.adapters.register_dumper(Numbers, _NumbersDumper)


def _header(element: int, count: int) -> bytes:
    return _HEADER.pack(1 if count else 0, 0, element, count, 1) if count else struct.pack(">iiI", 0, 0, element)


def _joined(element: int, values: Collection[bytes]) -> bytes:
    parts = [_header(element, len(values))]
    for value in values:
        parts += (len(value).to_bytes(4, "big"), value)
    return b"".join(parts)
