"""The ledger for those who check it: checkpoint, tiles, records, proofs, in the forms of C2SP.

Whoever has these needs not trust this service: `demur ledger` and the verifier of the standard library check them.

Source: C2SP tlog-tiles, tlog-checkpoint, tlog-proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from demur.core.access import Act
from demur.core.ledger import note, tile
from demur.core.ledger.proof import Proof
from demur.errors import LedgerError
from demur.server.problems import NotFoundError
from demur.server.route import Call, Route
from demur.server.routes.decisions import MAX_SEQUENCE
from demur.steps import proving

if TYPE_CHECKING:
    from demur.core.ledger.tile import Place
    from demur.ports import Transaction

MAX_RECORDS = 1_000
"""Records of one page."""
TEXT, BYTES, LINES = "text/plain; charset=utf-8", "application/octet-stream", "application/x-ndjson"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far the ledger is signed, and how far others hold it; sizes count records."""

    size: int
    checkpoint_size: int
    unsigned: int
    anchored_size: int
    signing_error: str


async def state(call: Call) -> object:
    """How far the ledger is signed, and how far others hold it."""
    found = await call.run(call.gate.ledger_state)
    return State(
        size=found.size,
        checkpoint_size=found.checkpoint_size,
        unsigned=found.unsigned,
        anchored_size=found.anchored_size,
        signing_error=found.signing_error,
    )


async def checkpoint(call: Call) -> object:
    """The newest signed checkpoint, a C2SP signed note."""
    found = (await call.run(call.gate.ledger_state)).checkpoint
    if not found:
        raise NotFoundError("expected a signed checkpoint, found none yet", hint="one is signed within a second")
    return Response(found, media_type=TEXT)


async def tiles(call: Call) -> object:
    """A tile of hashes, or a bundle of leaves: `tile/0/x001/067`, `tile/entries/004.p/5`."""
    try:
        place = tile.parse_path("tile/" + call.path("place"))
    except LedgerError as error:
        raise NotFoundError(str(error)) from error
    store = call.parts.world.store
    found = await call.run(lambda: store.read(lambda tx: _tile(tx, place)))
    if not found:
        raise NotFoundError("expected a tile that the tree has, found one beyond its end")
    return Response(found, media_type=BYTES)


async def records(call: Call) -> object:
    """Records from `first` on, at most `limit`: one leaf per line, exactly as it is hashed."""
    first = call.number("first", 0, most=MAX_SEQUENCE)
    limit = call.number("limit", MAX_RECORDS, most=MAX_RECORDS)
    store = call.parts.world.store
    leaves = await call.run(lambda: [record.leaf for record in store.records(first, first + limit)])
    return Response(b"".join(leaf + b"\n" for leaf in leaves), media_type=LINES)


async def proof(call: Call) -> object:
    """The proof that a record stands in the ledger under the newest checkpoint (c2sp.org/tlog-proof@v1)."""
    sequence = call.number("sequence", 0, most=MAX_SEQUENCE)
    store = call.parts.world.store
    return Response(await call.run(lambda: store.read(lambda tx: _proof(tx, sequence))), media_type=TEXT)


def _tile(tx: Transaction, place: Place) -> bytes:
    if place.level is not None:
        return tx.find_tile(place.level, place.number, place.width) or b""
    begin = place.number * tile.WIDTH
    found = [tx.find_record(sequence) for sequence in range(begin, begin + place.width)]
    leaves = [record.leaf for record in found if record is not None]
    return tile.bundle(leaves) if len(leaves) == place.width else b""


def _proof(tx: Transaction, sequence: int) -> str:
    row = tx.find_checkpoint()
    if row is None or sequence >= row.size:
        size = row.size if row else 0
        raise NotFoundError(f"expected a record below {size}, the size of the newest checkpoint, found {sequence}")
    return Proof(sequence, proving.prove(tx, sequence, row.size).hashes, note.parse(row.note)).text


ROUTES = (
    Route("GET", "/ledger", Act.CHECKPOINT_READ, state, answers=State),
    Route("GET", "/ledger/checkpoint", Act.CHECKPOINT_READ, checkpoint, media_type=TEXT),
    Route("GET", "/ledger/tile/{place:path}", Act.LEDGER_READ, tiles, media_type=BYTES),
    Route(
        "GET",
        "/ledger/records",
        Act.LEDGER_READ,
        records,
        media_type=LINES,
        query={"first": "the number of the first record", "limit": f"how many, at most {MAX_RECORDS}"},
    ),
    Route(
        "GET", "/ledger/proof", Act.LEDGER_READ, proof, media_type=TEXT, query={"sequence": "the number of the record"}
    ),
)
