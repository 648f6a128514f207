"""Histories in which a grant stands on a standing approval that it cannot stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .honest import grant_of, redeem

if TYPE_CHECKING:
    from .honest import History


def standing(history: History, **changes: Any) -> dict[str, Any]:
    until = str(history.now.plus(60))
    plain = {"standing": "c" * 16, "uses": 1, "until": until, "state": "live", "reviewer": "a" * 32}
    return history.add("standing_opened", **{**plain, **changes})


def granted_on(history: History, use: int = 1, number: str = "f" * 32) -> dict[str, Any]:
    decision = grant_of(history, number)
    members = {"standing": "c" * 16, "decision": decision["sequence"], "grant": decision["grant"]}
    history.add("standing_used", **members, use=use, uses=1)
    return decision


def granted_on_a_standing_approval_that_nobody_opened(history: History) -> None:
    granted_on(history)


def granted_on_one_that_waits_for_people(history: History) -> None:
    standing(history, state="waiting")
    granted_on(history)


def granted_on_one_that_was_revoked(history: History) -> None:
    standing(history)
    history.add("standing_revoked", standing="c" * 16, used=0)
    granted_on(history)


def granted_on_one_past_its_end(history: History) -> None:
    standing(history)
    history.wait(61)
    granted_on(history)


def granted_once_too_often(history: History) -> None:
    standing(history)
    granted_on(history, use=2)


def redeemed_once_too_often(history: History) -> None:
    standing(history)
    redeem(history, granted_on(history))
    redeem(history, granted_on(history, number="e" * 32))


SCENES = (
    granted_on_a_standing_approval_that_nobody_opened,
    granted_on_one_that_waits_for_people,
    granted_on_one_that_was_revoked,
    granted_on_one_past_its_end,
    granted_once_too_often,
    redeemed_once_too_often,
)
