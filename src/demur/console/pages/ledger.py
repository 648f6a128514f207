"""The ledger: how far it is signed and held elsewhere, a proof of one record, and verifying it here and now.

Whoever runs the gate has its keys, so a verdict on this page rests on them; the page says how to get one that does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.console.pages.decisions import MAX_SEQUENCE
from demur.core.access import Act
from demur.core.ledger import note
from demur.errors import IntakeError, LedgerError
from demur.server.routes import ledger as routes
from demur.steps import verifying

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.steps.verifying import Checked

HOME = "/desk/ledger"


async def ledger(visit: Visit) -> Response:
    """The newest checkpoint and where it is held."""
    return await _shown(visit)


async def verify(visit: Visit) -> Response:
    """The page with what verifying the next records gave."""
    text, store = visit.field("first") or "0", visit.parts.world.store
    size = await visit.run(lambda: store.read(lambda tx: tx.head.size))
    if not (text.isascii() and text.isdecimal() and len(text) < 17) or int(text) >= max(size, 1):
        raise IntakeError("/first", expected=f"the number of a record below {size}", found=f"`{text[:40]}`")
    try:
        checked = await visit.run(lambda: verifying.verify(store, int(text)))
    except LedgerError as error:
        return await _shown(visit, failure=str(error), first=int(text))
    return await _shown(visit, checked=checked, first=int(text))


async def proof(visit: Visit) -> Response:
    """The proof of one record, to take away (c2sp.org/tlog-proof@v1)."""
    sequence = visit.number("sequence", 0, most=MAX_SEQUENCE)
    response = await routes.proof(visit)
    assert hasattr(response, "headers")
    name = f"{visit.parts.world.log}-{sequence}.proof"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response  # type: ignore[return-value]  # a response, as asserted


async def _shown(visit: Visit, *, checked: Checked | None = None, failure: str = "", first: int = 0) -> Response:
    state = await visit.run(visit.gate.ledger_state)
    return visit.show(
        "ledger.html",
        state=state,
        signatures=_signatures(state.checkpoint),
        checked=checked,
        failure=failure,
        first=first,
        may_read=visit.may(Act.LEDGER_READ),
        most=verifying.MAX_CHECKED,
        log=visit.parts.world.log,
    )


def _signatures(text: str) -> list[str]:
    """By whom the checkpoint is signed; nothing vouches for a name but the key that belongs to it."""
    if not text:
        return []
    return [one.name for one in note.parse(text.encode()).signatures]


PAGES = (
    Page(HOME, Act.CHECKPOINT_READ, ledger, title="Ledger", group="Record"),
    Page(HOME + "/verify", Act.LEDGER_READ, verify, method="POST"),
    Page(HOME + "/proof", Act.LEDGER_READ, proof),
)
