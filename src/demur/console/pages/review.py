"""One review on one screen: what will happen, why it waits, what is known, what others decided, and the verdict.

- A verdict needs a reason; approving something of high or critical risk needs an explicit tick beside it.
- What was refused is told on the same page with everything that was typed still there (409).

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console import asking, case, values
from demur.console.page import Page
from demur.core.access import Act
from demur.core.refusal import wanted as words_of
from demur.core.review import Verdict
from demur.errors import DemurError, IntakeError, RulingError
from demur.server.problems import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from demur.console.case import Case
    from demur.console.page import Visit
    from demur.steps.revealing import Revealed

GRAVE = frozenset({"high", "critical"})
"""Risks whose approval needs a tick."""
_DID = {Verdict.APPROVE: "approved", Verdict.REJECT: "rejected"}


async def review(visit: Visit) -> Response:
    """What waits, why, and what a verdict does."""
    return await _page(visit)


async def rule(visit: Visit) -> Response:
    """Approve or deny it, as whoever is logged in."""
    named, credential = visit.path("review"), visit.credential
    try:
        said = Verdict(visit.field("verdict"))
    except ValueError as error:
        raise IntakeError(
            "/verdict", expected="`approve` or `reject`", found=f"`{visit.field('verdict')[:40]}`"
        ) from error
    found = await visit.run(lambda: case.read(visit, named))
    if found is None:
        raise _none()
    if said is Verdict.APPROVE and found.review.risk in GRAVE and visit.field("sure") != "yes":
        return await _page(visit, refused=RulingError(asking.UNSURE), status=422)
    try:
        narrows, seconds = asking.narrowing(visit, found) if said is Verdict.APPROVE else ((), None)
        await visit.run(
            lambda: visit.gate.rule(
                named,
                verdict=said.value,
                reason=visit.field("reason"),
                credential=credential,
                narrows=narrows,
                grant_seconds=seconds,
            )
        )
    except (RulingError, IntakeError) as error:
        return await _page(visit, refused=error, status=409 if isinstance(error, RulingError) else 422)
    return visit.back(f"/desk/reviews/{named}", did=_DID[said])


async def take(visit: Visit) -> Response:
    """Hold it for a while."""
    named, credential = visit.path("review"), visit.credential
    return await _moved(visit, lambda: visit.gate.take(named, credential=credential), "taken")


async def release(visit: Visit) -> Response:
    """Give it back."""
    named, credential = visit.path("review"), visit.credential
    return await _moved(visit, lambda: visit.gate.give_back(named, credential=credential), "released")


async def assign(visit: Visit) -> Response:
    """Give it to somebody else."""
    named, credential, to, why = visit.path("review"), visit.credential, visit.field("to").strip(), visit.field("why")
    return await _moved(visit, lambda: visit.gate.assign(named, to=to, credential=credential, reason=why), "assigned")


async def reveal(visit: Visit) -> Response:
    """The page with one personal value on it, once that was recorded."""
    named, credential = visit.path("review"), visit.credential
    found = await visit.run(lambda: visit.gate.review(named))
    if found is None:
        raise _none()
    path, why = visit.field("path"), visit.field("why")
    try:
        told = await visit.run(lambda: visit.gate.reveal(found.audit_id, path, credential=credential, reason=why))
    except RulingError as error:
        return await _page(visit, refused=error, status=409)
    return await _page(visit, revealed=told)


async def _moved(visit: Visit, move: Callable[[], object], did: str) -> Response:
    try:
        await visit.run(move)
    except RulingError as error:
        return await _page(visit, refused=error, status=409)
    return visit.back(f"/desk/reviews/{visit.path('review')}", did=did)


async def _page(
    visit: Visit, *, refused: DemurError | None = None, revealed: Revealed | None = None, status: int = 200
) -> Response:
    named = visit.path("review")
    found = await visit.run(lambda: case.read(visit, named, precedents=case.PRECEDENTS))
    if found is None:
        raise _none()
    all_open = await visit.run(lambda: visit.lines.open(visit.parts.world.store))
    before, after = case.neighbours(all_open, found.review)
    doing = visit.query("do")
    return visit.show(
        "review.html",
        status=status,
        **_told(visit, found),
        who=case.who_asks(found, revealed),
        arguments=case.arguments(found, revealed),
        facts=values.facts(found.opened, revealed) if found.opened else [],
        before=before,
        after=after,
        refused=refused,
        revealed=revealed,
        typed=visit.field,
        doing=doing if doing in {"approve", "reject"} else "",
        may_rule=visit.may(Act.REVIEW_RULE),
        may_assign=visit.may(Act.REVIEW_ASSIGN),
        may_reveal=visit.may(Act.REVEAL),
        may_see_decision=visit.may(Act.DECISION_READ),
    )


def _told(visit: Visit, found: Case) -> dict[str, object]:
    """What the review itself tells, whoever looks."""
    request = found.opened.kept.request if found.opened else None
    name = request.action if request else found.review.action
    what = words_of(name, visit.gate.policies.schema) if name else "An action that was erased"
    return {
        "title": f"{what}, {found.review.risk} risk",
        "case": found,
        "review": found.review,
        "state": found.request.state.value,
        "told": found.request.to_dict(),
        "why": asking.masked(found.request.deferral.refusal, found.opened),
        "what": what,
        "resource": request.resource if request else None,
        "quorum": case.quorum(found),
        "kinds": case.KNOWN_KINDS,
        "log": visit.parts.world.log,
        "narrowable": asking.narrowable(found),
        "is_grave": found.review.risk in GRAVE,
    }


def _none() -> NotFoundError:
    # The same words whether there is none or it is not theirs.
    return NotFoundError("expected the id of a review that this caller may see, found another")


_ONE = "/desk/reviews/{review}"
PAGES = (
    Page(_ONE, Act.REVIEW_READ, review, title="Review"),
    Page(_ONE + "/rule", Act.REVIEW_RULE, rule, method="POST"),
    Page(_ONE + "/take", Act.REVIEW_ASSIGN, take, method="POST"),
    Page(_ONE + "/release", Act.REVIEW_ASSIGN, release, method="POST"),
    Page(_ONE + "/assign", Act.REVIEW_ASSIGN, assign, method="POST"),
    Page(_ONE + "/reveal", Act.REVEAL, reveal, method="POST"),
)
