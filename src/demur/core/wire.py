"""The shapes of answers on the wire, as JSON has them: which members there are, of which type, and which must be there.

What they mean together is read in `told`. Members that are not listed here are ignored.

Names: wire.md.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from demur.core.obstacles import Standing
from demur.core.remedy import NoRemedy
from demur.core.remedy.chart import Kind
from demur.core.remedy.offers import Direction
from demur.core.terms import Category, Disposition, Outcome

_Name = Annotated[str, msgspec.Meta(min_length=1)]
Json = dict[str, object]


class Obligation(msgspec.Struct, frozen=True):
    """What must be carried out, with the limits that a `show_limit` shows."""

    id: str
    type: _Name
    properties: Json = {}
    limits: tuple[Limit, ...] = ()


class Limit(msgspec.Struct, frozen=True):
    """A limit as shown."""

    fact: str
    value: object
    unit: str = ""


class Grant(msgspec.Struct, frozen=True):
    """The member `grant`: the proof, without the action that was asked for."""

    id: _Name
    token: _Name
    expires_at: str
    constraints: Json
    obligations: tuple[Obligation, ...]


class Reason(msgspec.Struct, frozen=True):
    """Why not."""

    category: Category
    disposition: Disposition
    explanation: str
    policy_reference: str | None = None


class Condition(msgspec.Struct, frozen=True):
    """What stands in the way."""

    condition: str
    explanation: str
    facts: tuple[str, ...]
    state: Standing
    rule: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What somebody else brings about, or what comes about by itself."""

    fact: str
    how: str = ""
    by: str = ""
    event: str = ""
    value: object = None


class Modification(msgspec.Struct, frozen=True):
    """A repair."""

    kind: Kind
    direction: dict[str, Direction]
    leads_to: Outcome
    cost: float
    as_of: str
    set: Json = {}
    supply: tuple[str, ...] = ()
    other_than: dict[str, tuple[str, ...]] = {}
    leave_out: tuple[str, ...] = ()
    obtain: tuple[Asked, ...] = ()
    await_: tuple[Asked, ...] = msgspec.field(name="await", default=())
    earliest: str | None = None


class Alternative(msgspec.Struct, frozen=True):
    """Another action."""

    action: _Name
    leads_to: Outcome
    as_of: str
    arguments: Json = {}
    explanation: str = ""


class Remediation(msgspec.Struct, frozen=True):
    """What leads out of it."""

    remediable: bool
    next_step: str
    missing_conditions: tuple[Condition, ...]
    suggested_modifications: tuple[Modification, ...]
    compliant_alternatives: tuple[Alternative, ...]
    reason: NoRemedy | None = None
    earliest: str = ""


class Escalation(msgspec.Struct, frozen=True):
    """Whom a review would go to."""

    roles: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """The member `refusal`."""

    refused_action: Json
    refusal_reason: Reason
    remediation: Remediation
    escalation_available: bool
    obligations: tuple[Obligation, ...]
    escalation_context: Escalation = Escalation()
    repeat_of: str | None = None
    repeats: int = 0
    determining_policies: tuple[str, ...] = ()


class Deferral(msgspec.Struct, frozen=True):
    """The member `deferral`."""

    review_id: _Name
    deadline: str
    estimated_resolution: str | None = None


class Context(msgspec.Struct, frozen=True):
    """The member `context`."""

    outcome: Outcome
    as_of: str
    audit_id: str | None = None
    policy_version: str | None = None
    trace_id: str | None = None
    request_id: str | None = None
    checkpoint: str = ""
    grant: Grant | None = None
    refusal: Refusal | None = None
    deferral: Deferral | None = None


class Answer(msgspec.Struct, frozen=True):
    """The whole response."""

    decision: bool
    context: Context


class Redemption(msgspec.Struct, frozen=True):
    """A grant that was redeemed. What there is none of is left out."""

    redeemed: bool
    grant_id: _Name
    audit_id: str = ""
    arguments: Json = {}
    obligations: tuple[Obligation, ...] = ()
    mark_key: str = ""
