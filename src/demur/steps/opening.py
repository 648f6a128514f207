"""How a review is opened: once for an action that waits, however often that is asked for.

- What is at stake is assessed from the facts that the decision saw; how new it is for the agent, and how long reviews
  of this kind take, from a bounded number of the last ones. All of it happens under the append lock.
- A review that the policies turn away, since too many wait, is not opened: the deferral becomes a deny, recorded as
  such, with the time to ask again. It never becomes an allow. The count is exact: what is due to expire is expired
  first, and two deferrals never take the same last place.

Clauses: S3.3, S5.1, S7.1, S7.3.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from demur.core import review as reviews
from demur.core.desk import novelty, reading, shedding, timing
from demur.core.desk.risk import UNDECLARED, Assessment, Level, Risk, assess
from demur.core.desk.shedding import Overload
from demur.core.panel import Panel
from demur.core.policy import patterns
from demur.core.resolution import stated
from demur.ports import ReviewRow
from demur.steps import approving, precedents, queue, ruling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demur.core.desk.kind import Kind
    from demur.core.desk.plan import Mark
    from demur.core.policy.document import Rule
    from demur.core.record import Entry
    from demur.core.review import Review
    from demur.core.terms import State
    from demur.steps.session import Judged, Session

_ARGUMENT = "action."
_SEVERITY = {risk.value: Level(risk.rank, f"the rule says {risk.value} risk") for risk in Risk}
_REVERSIBLE = {
    True: Level(0, "the rule says that it can be undone"),
    False: Level(3, "the rule says that it cannot be undone"),
    None: UNDECLARED,
}
_encode = msgspec.msgpack.Encoder().encode


def review(session: Session, judged: Judged) -> tuple[Review, bool] | Overload:
    """The review that this action waits for, and whether it was open already; or why none is opened."""
    decision, tx = judged.decision, session.tx
    rules = [session.active.policies.rule(name) for name in decision.reviews if name not in decision.satisfied]
    for review in approving.matching(session, judged.facts):
        if review.state_at(tx.now).is_open and reviews.covers(review, rules):
            return review, True
    kind = queue.look(session, precedents.topic(session.world.vault, judged.facts.request))
    assessment = _assess(session, judged, rules, kind)
    waiting = queue.waiting(tx)
    if (full := _overload(session, assessment.overall, waiting, kind)) is not None:
        return full
    return _open(session, judged, rules, assessment, kind, waiting), False


def put(session: Session, judged: Judged, review: Review, entry: Entry) -> None:
    """The row of a review that the decision `entry` opened."""
    match = approving.match(session, judged.facts)
    session.tx.put_review(
        ReviewRow(
            review.id,
            entry.sequence,
            match,
            review.state.value,
            review.deadline,
            _encode(review),
            precedents.topic(session.world.vault, judged.facts.request),
        )
    )


def _open(
    session: Session, judged: Judged, rules: Sequence[Rule], assessment: Assessment, kind: Kind, waiting: int
) -> Review:
    request, tx, desk = judged.facts.request, session.tx, session.active.policies.desk
    opened = reviews.open_review(secrets.token_hex(8), rules, now=tx.now)
    times = timing.times(
        desk,
        risk=assessment.overall,
        within=(opened.deadline.nanos - opened.opened_at.nanos) // 1_000_000_000,
        ahead=waiting,
        service=kind.service,
        now=tx.now,
        offset=session.world.zones.offset,
    )
    return msgspec.structs.replace(
        opened,
        panels=tuple(_panel(rule) for rule in rules if rule.panel is not None),
        deadline=times.deadline,
        risk=assessment.overall.value,
        assessment=assessment,
        estimated=times.estimated,
        action=request.action,
        resource_type=request.resource.type,
        asked_by=session.world.mark(request.actor.name, "actor"),
    )


def _panel(rule: Rule) -> Panel:
    asked = rule.panel
    assert asked is not None
    return Panel(
        rule.id, rule.digest, asked.role, asked.quorum, asked.group, asked.language, asked.rota, levels=asked.levels
    )


def _overload(session: Session, risk: Risk, waiting: int, kind: Kind) -> Overload | None:
    desk, tx = session.active.policies.desk, session.tx
    line = shedding.find(desk, risk, waiting)
    if line is not None and ruling.expire_due(session):
        waiting = queue.waiting(tx)
        line = shedding.find(desk, risk, waiting)
    if line is None:
        return None
    again = shedding.again(desk, line, waiting, kind.service, tx.now, session.world.zones.offset)
    return Overload(waiting, line.over, risk, again)


def _assess(session: Session, judged: Judged, rules: Sequence[Rule], kind: Kind) -> Assessment:
    declared = session.active.policies.desk.risk
    asked = [rule.panel for rule in rules if rule.panel is not None]
    floor = max((Risk(panel.risk) for panel in asked), key=lambda risk: risk.rank, default=Risk.MEDIUM)
    undone = [_REVERSIBLE[panel.reversible] for panel in asked]
    read = partial(reading.read, value_of=partial(_state, session, judged), holds=partial(_holds, session, judged))
    actor = session.world.mark(judged.facts.request.actor.name, "actor")
    return assess(
        floor=floor,
        severity=read(declared.severity) or _SEVERITY[floor.value],
        reversibility=read(declared.reversibility) or max(undone, key=lambda item: item.level, default=UNDECLARED),
        blast_radius=read(declared.blast_radius) or UNDECLARED,
        novelty=read(declared.novelty) or novelty.of(actor, kind.past),
    )


def _state(session: Session, judged: Judged, path: str) -> State:
    """A fact of the decision. An argument has one slot for each of its types, so it is read from the request."""
    if path.startswith(_ARGUMENT):
        return stated(judged.facts.request, path)
    return judged.facts.values[session.active.slots[path]]


def _holds(session: Session, judged: Judged, mark: Mark) -> bool | None:
    """Whether a condition of the desk holds; `None` where that is not known, or it failed."""
    policies = session.active.policies
    if not any(patterns.matches(pattern, judged.facts.request.action) for pattern in mark.actions):
        return False
    found = policies.link(mark.node)(judged.facts.values)
    return found if isinstance(found, bool) else None
