"""Decisions: looked for in the ledger, the newest first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.core.access import Act
from demur.core.terms import Category, Outcome, Timestamp, parse_timestamp
from demur.errors import IntakeError
from demur.steps import searching
from demur.steps.searching import Wanted

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit

HOME = "/desk/decisions"
SHOWN = 25
MAX_SEQUENCE = 2**53 - 1
FILTERS = ("outcome", "category", "action", "rule", "subject", "since", "until")
MINUTE, DAY = 60, 86_400
_PSEUDONYM = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?", re.ASCII)


async def decisions(visit: Visit) -> Response:
    """The decisions that were looked for."""
    wanted = _wanted(visit)
    before = visit.number("before", 0, most=MAX_SEQUENCE) or None
    store = visit.parts.world.store
    page = await visit.run(lambda: searching.search(store, wanted, before=before, most=SHOWN))
    given = {name: visit.query(name) for name in FILTERS if visit.query(name)}
    return visit.show(
        "decisions.html",
        page=page,
        given={name: visit.query(name) for name in FILTERS},
        is_filtered=bool(given),
        query=given,
        before=before,
        outcomes=[str(one) for one in Outcome if one is not Outcome.UNAVAILABLE],
        categories=[str(one) for one in Category if one is not Category.UNAVAILABLE],
        actions=visit.gate.listed("action.name"),
        log=visit.parts.world.log,
    )


async def find(visit: Visit) -> Response:
    """On to what was looked for: one decision by its audit id, or decisions about somebody by pseudonym.

    The name of a person is sent as a form and never stands in an address, where logs and histories would keep it.
    """
    given = {name: visit.field(name).strip() for name in FILTERS if visit.field(name).strip()}
    sequence = _sequence_of(visit.field("audit_id").strip(), visit.parts.world.log)
    if sequence:
        return visit.back(f"{HOME}/{sequence}")
    if (subject := given.get("subject", "")) and not all(_PSEUDONYM.fullmatch(part) for part in subject.split()):
        if ":" not in subject:
            found = f"`{subject[:40]}`"
            raise IntakeError("/subject", expected="a pseudonym, or `type:id` such as `user:ann`", found=found)
        keys = await visit.run(lambda: visit.parts.world.vault.key_ids(subject))
        # Of somebody about whom nothing was ever sealed, nothing is found; that is not told apart from other reasons.
        given["subject"] = " ".join(keys) or "00000000"
    return visit.back(HOME, **given)


def _wanted(visit: Visit) -> Wanted:
    subjects = visit.query("subject").split()
    if any(not _PSEUDONYM.fullmatch(part) for part in subjects):
        raise IntakeError("?subject", expected="a pseudonym", found="something else")
    return Wanted(
        outcome=_one_of("outcome", visit.query("outcome"), Outcome),
        category=_one_of("category", visit.query("category"), Category),
        action=visit.query("action").strip(),
        rule=visit.query("rule").strip(),
        subjects=frozenset(subjects) if subjects else None,
        since=_instant("since", visit.query("since")),
        until=_instant("until", visit.query("until")),
    )


def _one_of(name: str, text: str, known: type[Outcome | Category]) -> str:
    if text and text not in set(known):
        raise IntakeError(f"?{name}", expected=f"a known {name}", found=f"`{text[:40]}`")
    return text


def _instant(name: str, text: str) -> Timestamp | None:
    """An instant as RFC 3339 writes it, or as a browser's field does, which is meant as UTC."""
    if not text:
        return None
    try:
        return parse_timestamp(f"{text}:00"[: len("2026-11-20T09:00:00")] + "Z" if _LOCAL.fullmatch(text) else text)
    except ValueError as error:
        raise IntakeError(f"?{name}", expected="a time such as `2026-11-20T09:00`", found=f"`{text[:40]}`") from error


def _sequence_of(text: str, log: str) -> str:
    if not text:
        return ""
    name, _, number = text.rpartition("/")
    if name not in {"", log} or not (number.isascii() and number.isdecimal() and len(number) < 17):
        raise IntakeError("/audit_id", expected=f"an audit id such as `{log}/41`", found=f"`{text[:40]}`")
    return number


PAGES = (
    Page(HOME, Act.DECISION_READ, decisions, title="Decisions", group="Record"),
    Page(HOME, Act.DECISION_READ, find, method="POST"),
)
