"""Ledger -> a folder that strangers can verify without Demur: docs/spec/ledger.md, section 7.

    manifest.json               what the export holds; every member of it can be checked
    checkpoint                  the newest signed checkpoint, where there is one
    checkpoints/<size>          earlier ones that witnesses cosigned
    tile/<level>/<n>            hashes of the tree, as C2SP tlog-tiles lays them out
    tile/entries/<n>            records, 256 in a bundle
    picked/<n>                  the records of a bundle of which not all are exported
    disclosures/<sequence>.json single sealed fields with their salts and proofs

- A range of records is provably complete: of the tiles of level 0 those over its records are there, of every other
  level all, so that the root can be computed.
- A choice of records by type or time says so, counts what the range held by type, and claims no completeness.
- The folder appears at once and whole, or not at all; nothing is overwritten. A gate may go on working: what was
  appended after the export began is not in it.

Clauses: S5.4, S5.6.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from demur.core.ledger import chain, checkpoint, note, tile
from demur.core.terms import parse_timestamp
from demur.errors import ConfigurationError, LedgerError
from demur.evaluation import folders

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from demur.core.terms import Timestamp
    from demur.evaluation.folders import Draft
    from demur.ports import CheckpointRow, StoredRecord
    from demur.wiring import Reader

FORMAT = "demur-ledger-export/1"
MAX_CHECKPOINTS = 16
"""Earlier checkpoints that an export carries: the newest ones that witnesses cosigned."""
PAGE = 1_000


class Sink(Protocol):
    """Takes every exported record too, such as a Parquet file."""

    def write(self, record: StoredRecord, members: Mapping[str, object]) -> None: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records of the range are exported. Without types and times: all, and only then is it provably complete."""

    types: frozenset[str] = frozenset()
    since: Timestamp | None = None
    until: Timestamp | None = None
    """The first instant that is not wanted any more."""

    def __bool__(self) -> bool:
        return bool(self.types or self.since or self.until)

    def takes(self, members: Mapping[str, object]) -> bool:
        """Whether a record with these members is exported."""
        at = parse_timestamp(str(members["timestamp"]))
        is_in_time = (self.since is None or self.since <= at) and (self.until is None or at < self.until)
        return is_in_time and (not self.types or members["type"] in self.types)

    def document(self) -> dict[str, object]:
        """The choice as the manifest tells it."""
        times = {"since": self.since, "until": self.until}
        told: dict[str, object] = {name: str(at) for name, at in times.items() if at is not None}
        return told | ({"types": sorted(self.types)} if self.types else {})


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: records `first` up to, not including, `last` of a tree of `size`, or a choice of them."""

    log: str
    kind: str
    first: int
    last: int
    size: int
    records: int
    counts: dict[str, int]
    signed: int | None
    """The size of the newest checkpoint, `None` without one."""
    disclosed: int


@dataclass
class _Plan:
    """What is written, decided before the first record is read, and what was counted on the way."""

    reader: Reader
    first: int
    last: int
    size: int
    newest: CheckpointRow | None
    earlier: tuple[CheckpointRow, ...]
    choice: Choice
    sink: Sink | None
    wanted: set[int] = field(default_factory=set)
    """The tiles of level 0 that are needed beside those over exported records."""
    counts: Counter[str] = field(default_factory=Counter)
    of: Counter[str] = field(default_factory=Counter)


def export(
    reader: Reader,
    to: Path,
    *,
    first: int = 0,
    last: int | None = None,
    choice: Choice | None = None,
    fields: Mapping[int, Collection[str]] | None = None,
    sink: Sink | None = None,
) -> Exported:
    """Write the records from `first` up to, not including, `last` into the folder `to`.

    `fields` names sealed fields to disclose, by record. Raises `ConfigurationError` where `to` exists or the range is
    not in the ledger, `LedgerError` where the ledger contradicts itself, `ForgottenError` where a field was erased, and
    `StoreError` where the store cannot be read or the folder cannot be written.
    """
    plan = _plan(reader, first, last, choice or Choice(), sink)
    with folders.appearing(to) as draft:
        _write_records(plan, draft)
        _write_tiles(plan, draft)
        _write_checkpoints(plan, draft)
        disclosed = _write_disclosures(plan, draft, fields or {})
        manifest = _manifest(plan)
        draft.write("manifest.json", _canonical(manifest))
    kind = str(manifest["kind"])
    signed = plan.newest.size if plan.newest else None
    records = sum(plan.counts.values())
    return Exported(reader.log, kind, first, plan.last, plan.size, records, dict(plan.counts), signed, disclosed)


def _plan(reader: Reader, first: int, last: int | None, choice: Choice, sink: Sink | None) -> _Plan:
    # The checkpoint first: the ledger may grow in between, and is then larger than what was signed, never smaller.
    newest, earlier = reader.store.read(lambda tx: tx.find_checkpoint()), _cosigned(reader)
    head = reader.head().size
    end = head if last is None else last
    if not 0 <= first <= end <= head:
        raise ConfigurationError(f"expected a range within the {head} records of the ledger, found {first} to {end}")
    # A part ends at the newest checkpoint where it can: then the whole tree of the export is signed.
    size = newest.size if newest is not None and end <= newest.size and (first, end) != (0, head) else head
    # After an accepted rollback the log goes on under another origin; what was signed before is of another ledger.
    origin = _origin(newest)
    earlier = tuple(row for row in earlier if newest and row.size < min(newest.size, size) and _origin(row) == origin)
    plan = _Plan(reader, first, end, size, newest, earlier, choice, sink)
    rows = [*earlier, *([newest] if newest else [])]
    plan.wanted = {row.size // tile.WIDTH for row in rows if row.size % tile.WIDTH} | {size // tile.WIDTH}
    return plan


def _cosigned(reader: Reader) -> tuple[CheckpointRow, ...]:
    """The newest checkpoints that bear more than one signature, the smallest first."""
    found: deque[CheckpointRow] = deque(maxlen=MAX_CHECKPOINTS)
    at = 0
    while True:
        rows = reader.store.read(lambda tx, since=at: tx.list_checkpoints(since, limit=PAGE))  # type: ignore[misc]
        found.extend(row for row in rows if len(note.parse(row.note).signatures) > 1)
        if len(rows) < PAGE:
            return tuple(found)
        at = rows[-1].size + 1


def _write_records(plan: _Plan, draft: Draft) -> None:
    """The bundles of records, whole or picked, and the level 0 of the tree that they need."""
    for number in range(plan.first // tile.WIDTH, -(-plan.last // tile.WIDTH)):
        start = number * tile.WIDTH
        width = min(tile.WIDTH, plan.size - start)
        low, high = max(plan.first, start), min(plan.last, start + width)
        chosen = list(_chosen(plan, low, high))
        if not chosen:
            continue
        plan.wanted |= {number} | ({number - 1} if chosen[0].sequence == start and number else set())
        if len(chosen) == width:
            draft.write(tile.entries_path(number, width), tile.bundle(record.leaf for record in chosen))
            _write_early_bundle(plan, draft, number, chosen)
        else:
            draft.write(_picked_path(number), _picked(chosen, start))


def _chosen(plan: _Plan, low: int, high: int) -> Iterator[StoredRecord]:
    """The records to export, read from the store in one short snapshot; raises `LedgerError` for a missing one."""
    records = list(plan.reader.records(low, high))
    if [record.sequence for record in records] != list(range(low, high)):
        raise LedgerError(f"expected the records {low} to {high - 1} in the ledger, found {len(records)} of them")
    for record in records:
        members = chain.read_leaf(record.leaf)
        kind = str(members["type"])
        plan.of[kind] += 1
        if not plan.choice or plan.choice.takes(members):
            plan.counts[kind] += 1
            if plan.sink is not None:
                plan.sink.write(record, members)
            yield record


def _write_early_bundle(plan: _Plan, draft: Draft, number: int, records: Sequence[StoredRecord]) -> None:
    """The partial bundle that readers of the newest checkpoint ask for, where records came after it."""
    end = plan.newest.size if plan.newest is not None else 0
    if end < plan.size and end // tile.WIDTH == number and end % tile.WIDTH:
        early = tile.bundle(record.leaf for record in records[: end % tile.WIDTH])
        draft.write(tile.entries_path(number, end % tile.WIDTH), early)


def _write_tiles(plan: _Plan, draft: Draft) -> None:
    places = [*_tiles(plan), *(tile.edge(plan.newest.size) if plan.newest else ())]
    for place in dict.fromkeys(places):
        level = place.level or 0
        data = plan.reader.store.read(lambda tx, at=place: tx.find_tile(at.level or 0, at.number, at.width))  # type: ignore[misc]
        name = tile.path(level, place.number, place.width)
        if data is None:
            raise LedgerError(f"expected `{name}` in the store, found none")
        draft.write(name, data)


def _tiles(plan: _Plan) -> Iterator[tile.Place]:
    for number in sorted(plan.wanted):
        if width := tile.width(0, number, plan.size):
            yield tile.Place(0, number, width)
    level = 1
    while plan.size >> tile.HEIGHT * level:
        for number in itertools.count():
            width = tile.width(level, number, plan.size)
            if not width:
                break
            yield tile.Place(level, number, width)
        level += 1


def _write_checkpoints(plan: _Plan, draft: Draft) -> None:
    if plan.newest is not None:
        draft.write("checkpoint", plan.newest.note)
    for row in plan.earlier:
        draft.write(f"checkpoints/{row.size}", row.note)


def _write_disclosures(plan: _Plan, draft: Draft, fields: Mapping[int, Collection[str]]) -> int:
    for sequence, names in sorted(fields.items()):
        if not plan.first <= sequence < plan.last:
            raise ConfigurationError(f"expected fields of records that are exported, found record {sequence}")
        items = [
            {
                "name": item.name,
                "salt": item.salt.hex(),
                "value": base64.urlsafe_b64encode(item.value).rstrip(b"=").decode(),
                "index": item.index,
                "size": item.size,
                "proof": [sibling.hex() for sibling in item.proof],
            }
            for item in plan.reader.disclose(sequence, names)
        ]
        draft.write(f"disclosures/{sequence}.json", _canonical({"sequence": sequence, "fields": items}))
    return len(fields)


def _manifest(plan: _Plan) -> dict[str, object]:
    manifest: dict[str, object] = {
        "format": FORMAT,
        "log": plan.reader.log,
        "origin": _origin(plan.newest),
        "kind": "filter" if plan.choice else "range",
        "first": plan.first,
        "last": plan.last,
        "size": plan.size,
        "counts": dict(plan.counts),
    }
    return manifest | ({"filter": plan.choice.document(), "of": dict(plan.of)} if plan.choice else {})


def _origin(row: CheckpointRow | None) -> str:
    return checkpoint.parse(note.parse(row.note).text).origin if row is not None else ""


def _canonical(value: object) -> bytes:
    return json.dumps(msgspec.to_builtins(value), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _picked_path(number: int) -> str:
    return tile.entries_path(number).replace("tile/entries", "picked", 1)


def _picked(records: Sequence[StoredRecord], start: int) -> bytes:
    """Each record after its place in the bundle, one byte, and its length, two."""
    framed = ((record.sequence - start).to_bytes(1) + len(record.leaf).to_bytes(2) + record.leaf for record in records)
    return b"".join(framed)
