"""Several reviews ruled on together: only such as are alike, of low or medium risk, and few enough to be looked at.

- Alike are reviews of one action that wait because of the very same rules. What differs between them is shown.
- Each is ruled on by itself, with the same reason; what is refused for one stays open, and is told.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.console import case
from demur.console.page import Page
from demur.core.access import Act
from demur.core.refusal import wanted as words_of
from demur.core.review import Verdict
from demur.errors import IntakeError, RulingError
from demur.steps.ruling import check_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from demur.console.case import Case
    from demur.console.page import Visit

MOST = 20
"""Reviews that one reason can be good enough for."""
MILD = frozenset({"low", "medium"})


class Outcome(msgspec.Struct, frozen=True):
    """What came of one of them; `why` is empty where it was ruled on."""

    review_id: str
    why: str = ""


async def show(visit: Visit) -> Response:
    """The group, what differs within it, and one reason for all."""
    return await _page(visit, _chosen(visit.request.query_params.getlist("review")))


async def rule(visit: Visit) -> Response:
    """Rule on each of them."""
    chosen, credential = _chosen(list(visit.every("review"))), visit.credential
    try:
        said = Verdict(visit.field("verdict"))
        reason = check_reason(visit.field("reason"))
    except ValueError as error:
        raise IntakeError("/verdict", expected="`approve` or `reject`", found="something else") from error
    except RulingError as error:
        return await _page(visit, chosen, refused=str(error), status=409)
    cases = await visit.run(lambda: _cases(visit, chosen))
    if _objection(chosen, cases) or visit.field("sure") != "yes":
        return await _page(visit, chosen, refused="the tick that you looked at all of them is missing", status=422)
    outcomes: list[Outcome] = []
    for one in cases:
        named = one.review.id
        try:
            await visit.run(
                lambda named=named: visit.gate.rule(named, verdict=said.value, reason=reason, credential=credential)  # type: ignore[misc]  # bound in each turn
            )
            outcomes.append(Outcome(named))
        except RulingError as error:
            outcomes.append(Outcome(named, str(error)))
    if not any(one.why for one in outcomes):
        return visit.back("/desk", did="bulk")
    return visit.show("bulk_done.html", status=409, title="Not all were ruled on", outcomes=outcomes)


async def _page(visit: Visit, chosen: Sequence[str], *, refused: str = "", status: int = 200) -> Response:
    cases = await visit.run(lambda: _cases(visit, chosen))
    objection = _objection(chosen, cases)
    told = [case.arguments(one, None) for one in cases]
    names = list(dict.fromkeys(str(item["name"]) for arguments in told for item in arguments))
    rows = [{str(item["name"]): item["here"] for item in arguments} for arguments in told]
    action = cases[0].review.action if cases else ""
    return visit.show(
        "bulk.html",
        status=status if not objection else 422,
        title="Rule on several together",
        what=words_of(action, visit.gate.policies.schema) if action else "",
        cases=cases,
        rows=rows,
        names=[(name, _differs(name, cases)) for name in names],
        objection=objection,
        refused=refused,
        typed=visit.field,
        most=MOST,
    )


def _chosen(ids: Sequence[str]) -> list[str]:
    return [name[:64] for name in dict.fromkeys(ids)][: MOST + 1]


def _cases(visit: Visit, chosen: Sequence[str]) -> list[Case]:
    found = (case.read(visit, name) for name in chosen[:MOST])
    return [one for one in found if one is not None]


def _differs(name: str, cases: Sequence[Case]) -> bool:
    """Whether an argument is not the same in all of them; told of masked values too, since it tells none."""
    asked = [one.opened.kept.request.arguments.get(name) for one in cases if one.opened]
    return any(value != asked[0] for value in asked)


def _objection(chosen: Sequence[str], cases: Sequence[Case]) -> str:
    """Why these cannot be ruled on together, "" where they can."""
    if len(chosen) < 2 or len(chosen) > MOST:
        return f"Together from 2 to {MOST} reviews can be ruled on. Of more nobody looks at each."
    if len(cases) < len(chosen):
        return "Some of them are not there any more."
    kinds = {(one.review.action, tuple((panel.rule, panel.digest) for panel in one.review.panels)) for one in cases}
    if len(kinds) > 1:
        return "They are not alike: they are about different actions, or wait because of different rules."
    if any(one.review.risk not in MILD or one.review.opened_by for one in cases):
        return "Only reviews of low or medium risk are ruled on together. The others are looked at one by one."
    barred = next((one for one in cases if one.objection), None)
    if barred is not None and barred.objection is not None:
        return f"You cannot rule on {barred.review.id}. {barred.objection.why}"
    return ""


PAGES = (
    Page("/desk/bulk", Act.REVIEW_RULE, show, title="Several together"),
    Page("/desk/bulk", Act.REVIEW_RULE, rule, method="POST"),
)
