"""Draft -> leaf: the exact bytes of one record, the only bytes of the ledger that are hashed.

- A leaf is canonical JSON: RFC 8785 within a profile that every JSON writer can produce. Member names and strings are
  ASCII without escapes, numbers are integers within +-(2^53-1), nothing is null, at most 16 KiB.
- Every string in a leaf is a token, tokens joined by `/` or `:`, lower-case hex, or an RFC 3339 time in UTC. Free text
  and everything that could identify a person goes to the vault; the leaf holds commitments to it (S5.4, S5.5).
- `previous_hash` stands inside the leaf, so each leaf fixes all before it. The record's own hash is the RFC 6962 hash
  of the leaf and stands beside it, never inside.

    {"action_commitment":"<64 hex>","commit_root":"<64 hex>","log":"clinic","outcome":"deny","previous_hash":"<64 hex>",
     "sequence":41,"timestamp":"2026-11-20T09:00:00Z","type":"decision","v":1,"writer":{"epoch":3,"id":"<hex>","n":7}}

Clauses: S5.4, S5.5, S5.6. Byte format: docs/spec/ledger.md.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

from demur.core.terms import MAX_INT, Timestamp
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = 1
"""The member `v` of every leaf written by this module."""
MAX_LEAF_BYTES = 16 * 1024
MAX_DEPTH = 8
"""How deep objects and arrays of a body may nest."""
RESERVED = frozenset(
    {
        "v",
        "type",
        "log",
        "sequence",
        "previous_hash",
        "timestamp",
        "writer",
        "record_hash",
        "commit_root",
        "action_commitment",
    }
)
"""Members that this module writes; a body may not bring its own."""

Json: TypeAlias = Union[bool, int, str, "Sequence[Json]", "Mapping[str, Json]"]
"""What a body may hold: JSON without null and without fractions."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_LOG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_TEXT = re.compile(
    r"[a-z0-9_.-]{1,64}(?:[/:][a-z0-9_.-]{1,64}){0,7}"
    r"|[0-9a-f]{1,512}"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z",
    re.ASCII,
)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WRITER = re.compile(r"[0-9a-f]{8,32}", re.ASCII)
_ENCODE = msgspec.json.Encoder(order="sorted").encode


class Sealed(msgspec.Struct, frozen=True):
    """The encrypted values of one record and the commitments to them (S5.4, S5.5).

    `key_id` is the pseudonym of the person's key, `wrapped_key` the record's key under it. `commit_root` (hex) fixes
    every field with its salt; `action_commitment` (hex) is a keyed digest of the action digest.
    """

    key_id: str
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes
    commit_root: str
    action_commitment: str


class Draft(msgspec.Struct, frozen=True):
    """A record before it has a place: its `kind` (the leaf's `type`), the leaf's own members, the sealed values."""

    kind: str
    body: dict[str, Json]
    sealed: Sealed | None = None


class WriterStamp(msgspec.Struct, frozen=True):
    """Which writer appended a record, and as its how many-th: what was taken out of the middle leaves a gap.

    `id` is 8 to 32 hex digits, one for each store or replica; `epoch` grows by one with every opening; `n` counts the
    records of the epoch from 0, without gaps.
    """

    id: str
    epoch: int
    n: int


class Entry(msgspec.Struct, frozen=True):
    """The place a record was given: sequence from 0, its hash, and the store's time."""

    sequence: int
    record_hash: bytes
    timestamp: Timestamp


def leaf(
    draft: Draft,
    *,
    log: str,
    sequence: int,
    previous_hash: bytes,
    timestamp: Timestamp,
    writer: WriterStamp | None = None,
) -> bytes:
    """The canonical bytes of the record; raises `LedgerError` where the draft holds what a leaf may not hold."""
    members: dict[str, Json] = dict(draft.body)
    if not RESERVED.isdisjoint(members):
        taken = "`, `".join(sorted(RESERVED.intersection(members)))
        raise LedgerError(f"expected a body without the members that every leaf has, found `{taken}`")
    _check_members(members, MAX_DEPTH)
    if _NAME.fullmatch(draft.kind) is None:
        raise LedgerError(f"expected the type of a record as a name such as `decision`, found `{draft.kind[:80]}`")
    members["v"] = VERSION
    members["type"] = draft.kind
    members["log"] = check_log(log)
    members["sequence"] = sequence
    members["previous_hash"] = previous_hash.hex()
    members["timestamp"] = str(timestamp)
    if writer is not None:
        members["writer"] = {"epoch": writer.epoch, "id": writer.id, "n": writer.n}
    if draft.sealed is not None:
        members["commit_root"] = _hash(draft.sealed.commit_root)
        members["action_commitment"] = _hash(draft.sealed.action_commitment)
    data = _ENCODE(members)
    if len(data) > MAX_LEAF_BYTES:
        message = f"expected a leaf of at most {MAX_LEAF_BYTES} bytes, found {len(data)}"
        raise LedgerError(message, hint="put what is long into the sealed fields, and its commitment into the leaf")
    return data


def check_writer_id(writer_id: str) -> str:
    """The id of a writer, unchanged; raises `LedgerError` where it is not 8 to 32 lower-case hex digits."""
    if _WRITER.fullmatch(writer_id) is None:
        raise LedgerError(f"expected a writer's id of 8 to 32 hex digits, found `{writer_id[:80]}`")
    return writer_id


def check_log(log: str) -> str:
    """The log id, unchanged; raises `LedgerError` where it is not a token that begins with a letter or digit."""
    if _LOG.fullmatch(log) is None:
        raise LedgerError(f"expected a log id of 1 to 64 characters a-z, 0-9, `_`, `.` or `-`, found `{log[:80]}`")
    return log


def is_leaf_text(text: str) -> bool:
    """Whether a leaf may hold this string: a token, joined tokens, hex, or an RFC 3339 time in UTC."""
    return _TEXT.fullmatch(text) is not None


_is_known_text = lru_cache(maxsize=8_192)(is_leaf_text)
_is_known_name = lru_cache(maxsize=1_024)(lambda name: _NAME.fullmatch(name) is not None)
"""Names of members, rules and versions come again in every record; what they are need not be asked each time."""


def _hash(text: str) -> str:
    if _HASH.fullmatch(text) is None:
        raise LedgerError(f"expected a commitment of 64 hex digits, found `{text[:80]}`")
    return text


def _check_members(members: Mapping[str, Json], depth: int) -> None:
    for name, value in members.items():
        if type(name) is not str or not _is_known_name(name):
            raise LedgerError(f"expected a member name of a-z, 0-9 and `_`, found `{str(name)[:80]}`")
        kind = type(value)
        if kind is bool or (kind is str and _is_known_text(value)):
            continue
        if isinstance(value, dict) and depth > 1:  # the way that most of a leaf goes, without the steps between
            _check_members(value, depth - 1)
        else:
            _check_value(name, value, depth)


def _check_value(name: str, value: Json, depth: int) -> None:
    if isinstance(value, str):
        if not _is_known_text(value):
            # The value is not repeated: it may be the very thing that must not be written down.
            message = f"expected a token, hex or a time in `{name}`, found other text of {len(value)} characters"
            raise LedgerError(message, hint="free text and whatever names a person belongs to the sealed fields")
    elif isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise LedgerError(f"expected an integer within +-(2^53-1) in `{name}`, found one outside")
    else:
        _check_nested(name, value, depth - 1)


def _check_nested(name: str, value: Json, depth: int) -> None:
    if depth == 0:
        raise LedgerError(f"expected at most {MAX_DEPTH} levels of nesting, found more in `{name}`")
    if isinstance(value, dict):
        _check_members(value, depth)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if type(item) is not str or not _is_known_text(item):
                _check_value(name, item, depth)
    else:
        found = "null" if value is None else "a fraction" if isinstance(value, float) else "something else"
        raise LedgerError(f"expected a string, an integer, true, false, a list or an object in `{name}`, found {found}")
