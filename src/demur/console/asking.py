"""What the form of a review asks for beside the verdict: bounds that an approval sets, and a tick.

Clauses: S3.5, S5.5, S7.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from demur.core import personal
from demur.core.personal import Protection
from demur.core.policy.document import Narrowing
from demur.core.schema import Kind, argument_name, argument_path
from demur.core.terms import Audience
from demur.errors import IntakeError

if TYPE_CHECKING:
    from demur.console.case import Case
    from demur.console.page import Visit
    from demur.core.refusal import Refusal
    from demur.steps.explaining import Opened

UNSURE = "an approval of this risk needs the tick beside it"
_PREFIX = "at_most."
_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
MAX_SECONDS = 366 * 86_400


def narrowable(case: Case) -> list[dict[str, object]]:
    """The arguments that an approval can bound: numbers that are shown, each with its value as asked."""
    opened = case.opened
    action = opened.policies.schema.actions.get(opened.kept.request.action) if opened else None
    if opened is None or action is None or case.review.opened_by:
        return []
    found: list[dict[str, object]] = []
    for fact in action.arguments:
        name = argument_name(fact.path)
        value = opened.kept.request.arguments.get(name)
        is_number = fact.type.kind in {Kind.INT, Kind.DOUBLE} and isinstance(value, (int, float))
        kind = personal.protection(argument_path(name), opened.kept.request, opened.policies.schema)
        if is_number and kind is Protection.NONE:
            found.append({"field": _PREFIX + name, "name": name, "value": value, "unit": fact.unit})
    return found


def narrowing(visit: Visit, case: Case) -> tuple[tuple[Narrowing, ...], int | None]:
    """The bounds that were typed, as far as they change anything, and how long a grant may live; `IntakeError`."""
    bounds: list[Narrowing] = []
    for one in narrowable(case):
        text, value = visit.field(str(one["field"])).strip(), one["value"]
        if not text:
            continue
        bound = _number(str(one["name"]), text, is_whole=isinstance(value, int))
        if bound != value:
            bounds.append(Narrowing(argument=str(one["name"]), at_most=bound))
    minutes = visit.field("minutes").strip()
    if not minutes:
        return tuple(bounds), None
    seconds = round(float(_number("minutes", minutes, is_whole=False)) * 60)
    if not 0 < seconds <= MAX_SECONDS:
        raise IntakeError("/minutes", expected="a time within a year", found=f"`{minutes[:20]}`")
    return tuple(bounds), seconds


def masked(refusal: Refusal, opened: Opened | None) -> str:
    """Why it was deferred, in words for people who run the gate, without personal values."""
    words = refusal.why(audience=Audience.OPERATOR)
    if opened is None:
        return words
    return str(personal.masked(words, opened.kept.request, opened.policies.schema, opened.kept.learned))


def _number(name: str, text: str, *, is_whole: bool) -> int | float:
    # A comma counts between groups of three digits alone: in half of the world `1,5` is one and a half.
    plain = text.replace(",", "") if _GROUPED.fullmatch(text) else re.sub(r"[_\s]", "", text)
    try:
        found = int(plain) if is_whole else float(plain)
    except ValueError as error:
        wanted = "a whole number" if is_whole else "a number"
        raise IntakeError(f"/{name}", expected=wanted, found=f"`{text[:40]}`") from error
    if not math.isfinite(found):
        raise IntakeError(f"/{name}", expected="a number", found=f"`{text[:40]}`")
    return found
