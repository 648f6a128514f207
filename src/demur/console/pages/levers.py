"""The operator's levers: what is stopped, whose glass is broken, and moving either, by a person and for a reason.

Clauses: S12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.console.page import Page
from demur.core import lever
from demur.core.access import Act
from demur.errors import IntakeError, RulingError
from demur.steps import levers as steps

if TYPE_CHECKING:
    from starlette.responses import Response

    from demur.console.page import Visit

HOME = "/desk/levers"


async def levers(visit: Visit) -> Response:
    """What is on and open."""
    world = visit.parts.world
    await visit.run(visit.gate.levers)  # what ended by itself is recorded on the way
    found = await visit.run(lambda: world.store.read(lambda tx: steps.describe(tx, world.vault)))
    return visit.show(
        "levers.html",
        stops=[one for one in found if one["lever"] == "stop"],
        openings=[one for one in found if one["lever"] != "stop"],
        actions=visit.gate.listed("action.name"),
        may_move=visit.may(Act.LEVER_MOVE),
        may_revoke=visit.may(Act.GRANT_REVOKE),
        most_minutes=lever.MAX_SECONDS // 60,
        minutes=lever.DEFAULT_SECONDS // 60,
    )


async def stop(visit: Visit) -> Response:
    """Stop everything, some actions, or one actor."""
    actor = visit.field("actor").strip()
    actions = visit.field("actions").replace(",", " ").split()
    if not actions and not actor and visit.field("everything") != "yes":
        raise IntakeError("/everything", expected="actions, an actor, or `everything` ticked", found="none of them")
    reason, credential = visit.field("reason"), visit.credential
    whom = _entity("/actor", actor) if actor else None
    await visit.run(lambda: visit.gate.kill(actions=actions, actor=whom, credential=credential, reason=reason))
    return visit.back(HOME, did="stopped")


async def release(visit: Visit) -> Response:
    """Turn a stop off."""
    name, reason, credential = visit.path("stop_id"), visit.field("reason"), visit.credential
    await visit.run(lambda: visit.gate.release(name, credential=credential, reason=reason))
    return visit.back(HOME, did="stop_off")


async def break_glass(visit: Visit) -> Response:
    """Let one subject do for a while what the policies deny."""
    subject = _entity("/subject", visit.field("subject").strip())
    actions = visit.field("actions").replace(",", " ").split()
    text = visit.field("minutes") or str(lever.DEFAULT_SECONDS // 60)
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 5):
        raise IntakeError("/minutes", expected="whole minutes", found=f"`{text[:20]}`")
    reason, credential = visit.field("reason"), visit.credential
    await visit.run(
        lambda: visit.gate.break_glass(
            subject=subject, actions=actions, seconds=int(text) * 60, credential=credential, reason=reason
        )
    )
    return visit.back(HOME, did="glass_opened")


async def end_glass(visit: Visit) -> Response:
    """End an opening before its time."""
    name, reason, credential = visit.path("opening_id"), visit.field("reason"), visit.credential
    await visit.run(lambda: visit.gate.end_glass(name, credential=credential, reason=reason))
    return visit.back(HOME, did="glass_ended")


async def revoke(visit: Visit) -> Response:
    """Take back a grant that was not redeemed."""
    grant, reason, credential = visit.field("grant").strip(), visit.field("reason"), visit.credential
    refused = await visit.run(lambda: visit.gate.revoke(grant, credential=credential, reason=reason))
    if refused is not None:
        raise RulingError(refused.detail or "the grant cannot be taken back any more")
    return visit.back(HOME, did="revoked")


def _entity(place: str, text: str) -> dict[str, str]:
    kind, colon, own = text.partition(":")
    if not colon or not kind or not own:
        raise IntakeError(place, expected="a type and an id such as `user:ann`", found=f"`{text[:40]}`")
    return {"type": kind, "id": own}


PAGES = (
    Page(HOME, Act.LEVER_READ, levers, title="Levers", group="Control"),
    Page(HOME + "/stops", Act.LEVER_MOVE, stop, method="POST"),
    Page(HOME + "/stops/{stop_id}/release", Act.LEVER_MOVE, release, method="POST"),
    Page(HOME + "/glass", Act.LEVER_MOVE, break_glass, method="POST"),
    Page(HOME + "/glass/{opening_id}/end", Act.LEVER_MOVE, end_glass, method="POST"),
    Page(HOME + "/grants/revoke", Act.GRANT_REVOKE, revoke, method="POST"),
)
