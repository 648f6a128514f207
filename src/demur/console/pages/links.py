"""Where the link leads that one person was sent for one review: what it is about, and the verdict.

- Opening it changes nothing, since those who look into mails open every link; it takes a login first, and says nothing
  personal: what exactly was asked, and for whom, is one step further, on the page of the review.
- The verdict is that of whoever is logged in, with a reason, and uses the link up (docs/decisions/0018).
- A link that is forged, used, over or somebody else's leads to one and the same page.

Clauses: S7.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console import asking
from demur.console.page import Page
from demur.core.access import Act
from demur.core.refusal import wanted as words_of
from demur.core.review import Verdict
from demur.errors import IntakeError, RulingError
from demur.steps import linking

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.core.review import Review
    from demur.errors import DemurError

GRAVE = frozenset({"high", "critical"})
"""Risks whose approval needs a tick."""
_DID = {Verdict.APPROVE: "approved", Verdict.REJECT: "rejected"}


async def look(visit: Visit) -> Response:
    """What the link is about."""
    found = await _find(visit)
    return _page(visit, found) if found is not None else _nothing(visit)


async def rule(visit: Visit) -> Response:
    """Approve or deny it, as whoever is logged in, where the link is theirs."""
    credential, said = visit.credential, visit.field("verdict")
    found = await _find(visit)
    if found is None:
        return _nothing(visit)
    if said not in set(Verdict):
        return _page(visit, found, refused=IntakeError("/verdict", expected="a verdict", found="none"), status=422)
    if said == Verdict.APPROVE and found.risk in GRAVE and visit.field("sure") != "yes":
        return _page(visit, found, refused=RulingError(asking.UNSURE), status=422)
    why = visit.field("reason")
    try:
        await visit.run(lambda: visit.gate.rule(found.id, verdict=said, reason=why, credential=credential))
    except RulingError as error:
        return _page(visit, found, refused=error, status=409)
    return visit.back(f"/desk/reviews/{found.id}", did=_DID[Verdict(said)])


async def _find(visit: Visit) -> Review | None:
    world, token, name = visit.parts.world, visit.path("link"), visit.identity.name
    return await visit.run(lambda: world.store.read(lambda tx: linking.find(world, tx, token, name)))


def _page(visit: Visit, found: Review, *, refused: DemurError | None = None, status: int = 200) -> Response:
    return visit.show(
        "links.html",
        status=status,
        title="A review for you",
        review=found,
        what=words_of(found.action, visit.gate.policies.schema) if found.action else "an action",
        state=found.state_at(visit.service.clock.now()).value,
        refused=refused,
        typed=visit.field,
        is_grave=found.risk in GRAVE,
    )


def _nothing(visit: Visit) -> Response:
    return visit.show("links.html", status=404, title="This link leads nowhere", review=None)


_ONE = "/desk/links/{link}"
PAGES = (
    Page(_ONE, Act.REVIEW_RULE, look, title="Link"),
    Page(_ONE, Act.REVIEW_RULE, rule, method="POST"),
)
