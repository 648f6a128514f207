"""What observers learn, after it is durable: one CloudEvent for each answer, ruling, lever and change of policies.

- Denials and deferrals are both `governance.refusal`; `escalation_triggered` tells them apart.
- An event carries the operator's view. It is made only when somebody listens, and whoever listens changes no answer.

Names: wire.md; form: CloudEvents 1.0.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, NamedTuple

from demur.core.terms import Audience, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.evidence import Answer
    from demur.core.record import Json
    from demur.core.review import Review
    from demur.core.terms import Request
    from demur.steps.world import World


class News(NamedTuple):
    """What a step wrote and somebody may want to know once it is durable. It names nobody but by pseudonym."""

    kind: str
    subject: str
    data: dict[str, Json]


_logger = logging.getLogger("demur")


def tell(world: World, answer: Answer, request: Request | None) -> None:
    """One answer."""
    if not world.observer.is_listening:
        return
    # The observer guard: the answer is durable and on its way, so nothing here may reach whoever waits for it.
    try:
        is_grant = answer.outcome is Outcome.ALLOW
        data = answer.to_dict(audience=Audience.OPERATOR)
        data["escalation_triggered"] = answer.outcome is Outcome.DEFER
        data["entity"] = world.pseudonym("caller", request.caller) if request else ""
        _notify(world, "governance.allow" if is_grant else "governance.refusal", answer.audit_id, data)
    except Exception:
        _logger.exception("an event could not be told")


def tell_ruling(world: World, review: Review) -> None:
    """One verdict on a review."""
    if world.observer.is_listening:
        data: dict[str, object] = {"review_id": review.id, "status": review.state.value, "risk": review.risk}
        _notify(world, f"governance.review.{review.state.value}", review.id, data)


def tell_news(world: World, news: Iterable[News]) -> None:
    """What operators and the gate itself did: quarantines, stops, broken glass."""
    if world.observer.is_listening:
        for item in news:
            _notify(world, item.kind, item.subject, dict(item.data))


def tell_activation(world: World, digest: str) -> None:
    """Other policies are in force."""
    if world.observer.is_listening:
        _notify(world, "governance.policy.activated", digest, {"policy_version": digest})


def _notify(world: World, kind: str, subject: str, data: dict[str, object]) -> None:
    world.observer.notify(
        {
            "specversion": "1.0",
            "id": secrets.token_hex(16),
            "source": f"urn:demur:log:{world.log}",
            "type": kind,
            "subject": subject,
            "time": str(world.clock.now()),
            "datacontenttype": "application/json",
            "data": data,
        }
    )
