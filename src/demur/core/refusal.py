"""Decision -> Refusal: a "no" that says why, what is missing, and what to do next.

- Category and disposition come from the rules that decided; the rest is words for an audience (S10).
- `missing_conditions` is complete: every condition that stands in the way, with the facts that it reads.
- What reads a confidential fact leaves no trace below operator: not in text, not in the conditions, not in the
  category. Such an answer then reads like the refusal of the ordinary rule that the policy names (`stands_for`) or,
  where it names none, like the one that nothing permits the action (S2.3).
- Where an ordinary refusal is one that a confidential one may read like, neither offers a remedy below operator:
  those of the one would tell it from the other.
- Secret arguments are never part of a refusal (S1.5).
- `unavailable` is a refusal but no decision: Demur could not decide or could not record (S5.2).

Clauses: S2.3, S3.4, S5.2, S10; names: wire.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import disclosure, duty, obstacles, wording
from demur.core.disclosure import Reason
from demur.core.duty import Limit
from demur.core.obstacles import Obstacle
from demur.core.policy.document import Obligation
from demur.core.remedy import NoRemedy, Remedies
from demur.core.schema import Fact, Visibility, argument_name
from demur.core.terms import Audience, Bar, Category, Disposition, Outcome, Request, Timestamp, to_json
from demur.core.wording import TRUSTED, Marks, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demur.core.decision import Decision
    from demur.core.schema import Schema

__all__ = [
    "PROBLEM_TYPE",
    "Reason",
    "Refusal",
    "barred",
    "describe",
    "refuse",
    "secrets",
    "turned_away",
    "unavailable",
    "wanted",
]

PROBLEM_TYPE = "urn:demur:refusal:"
"""Prefix of the problem type of RFC 9457; the category follows."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A deny, or `unavailable`: nothing may be carried out. `shown` is the reason for those below operator."""

    outcome: Outcome = Outcome.DENY
    reason: Reason
    shown: Reason
    audit_id: str = ""
    as_of: Timestamp
    checkpoint: str = ""
    """The newest signed checkpoint of the ledger when this left, to be kept by whoever gets it; "" where none."""
    policy_version: str = ""
    trace_id: str = ""
    request_id: str = ""
    action: dict[str, object] = {}
    hidden_arguments: dict[Audience, tuple[str, ...]] = {}
    missing_conditions: tuple[Obstacle, ...] = ()
    messages: dict[Audience, dict[str, str]] = {}
    shown_messages: dict[Audience, dict[str, str]] = {}
    confidential: tuple[str, ...] = ()
    """The deciding rules that may not be told below operator."""
    stand_ins: tuple[Obstacle, ...] = ()
    """What is told below operator in the place of the conditions of those."""
    shown_obligations: tuple[Obligation, ...] = ()
    is_withheld: bool = False
    """No remedy is offered below operator, since this reads like what is confidential, or the other way round."""
    wanted: str = ""
    """The action in plain words: its declared description, else its name."""
    locale: str = "en"
    """The locale that the policies declare, whose words serve where the asked one has none."""
    marks: Marks = {}
    """By fact: how much of it the audiences may see that may not see it all."""
    is_remediable: bool = False
    shown_is_remediable: bool = False
    remedies: Remedies | None = None
    """What was found to lead to an allow, each judged again before it is offered (S9); `None` where nobody looked."""
    determining: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    limits: tuple[Limit, ...] = ()
    """What obligations of the type `show_limit` show, each to the audiences that may see it (S3.5)."""
    not_understood: tuple[str, ...] = ()
    """The obligation types that an allow would oblige to and whoever asks is not registered to carry out (S6.4)."""
    escalation_available: bool = False
    escalation_roles: tuple[str, ...] = ()
    repeat_of: str = ""
    """The audit id of the first attempt that this one is linked to (S8.2); empty for a first one."""
    repeats: int = 0
    """How many of the linked attempts went against advice (S8.1)."""
    bar: Bar | None = None
    """What stands before any judging: a stop, a quarantine, a review that ended. There are words for it everywhere."""
    said: str = ""
    """What the person wrote who refused in a review. It is for the requester, in whatever language it was written."""
    again: Timestamp | None = None
    """Not before this instant does it make sense to ask again, where that is known without another judging."""
    detail: str = ""
    """Words of Demur itself about this one refusal, where no rule decided (a grant that may not be redeemed)."""

    def explain(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> str:
        """What was wanted, why not, and what is possible, in one to three sentences for this audience.

        What the rule's author wrote is said as it stands.
        """
        reader = self._reader(audience, locale)
        why, is_ours = self._why(reader)
        return reader.sentences(why, self._next_step(reader)) if is_ours else why

    def reason_for(self, audience: Audience) -> Reason:
        """The reason as this audience may know it."""
        return self.reason if audience in TRUSTED else self.shown

    def why(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> str:
        """What was wanted and why not; how to proceed is told apart from it (S10)."""
        return self._why(self._reader(audience, locale))[0]

    def next_step(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> str:
        """How to proceed, in one sentence: a remedy where one may be told, else what the disposition advises."""
        return self._next_step(self._reader(audience, locale))

    def to_dict(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> dict[str, object]:
        """The AuthZEN evaluation response of wire.md for this audience."""
        context: dict[str, object] = {
            "outcome": self.outcome.value,
            "audit_id": self.audit_id or None,
            "confidence": "definite",
            "policy_version": self.policy_version or None,
            "trace_id": self.trace_id or None,
            "request_id": self.request_id or None,
            "as_of": str(self.as_of),
            "refusal": self._refusal(audience, locale),
        }
        if self.checkpoint:
            context["checkpoint"] = self.checkpoint
        return {"decision": False, "context": context}

    def to_problem(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> dict[str, object]:
        """The refusal as an RFC 9457 problem document."""
        category = self.reason_for(audience).category
        return {
            "type": PROBLEM_TYPE + category.value,
            "title": wording.title(self._reader(audience, locale), category, self._wanted()),
            "status": 503 if self.outcome is Outcome.UNAVAILABLE else 403,
            "detail": self.explain(audience=audience, locale=locale),
            "instance": f"urn:demur:record:{self.audit_id}" if self.audit_id else None,
            "refusal": self._refusal(audience, locale),
        }

    def _refusal(self, audience: Audience, locale: str) -> dict[str, object]:
        reason = self.reason_for(audience)
        refusal: dict[str, object] = {
            "refused_action": self._action(audience),
            "refusal_reason": {
                "category": reason.category.value,
                "disposition": reason.disposition.value,
                "policy_reference": None if audience is Audience.END_USER else reason.policy_reference or None,
                "explanation": self.why(audience=audience, locale=locale),
            },
            "remediation": self._remediation(audience, locale),
            "escalation_available": bool(self.escalation_roles) and reason.category is not Category.CATEGORICAL,
            "escalation_context": {"roles": list(self.escalation_roles)} if self.escalation_roles else {},
            "obligations": self._obligations(audience),
            "repeat_of": self.repeat_of or None,
            "repeats": self.repeats,
        }
        if self._not_understood(audience):
            refusal["missing_obligations"] = list(self.not_understood)
        if audience in TRUSTED:
            refusal["determining_policies"] = list(self.determining)
        return refusal

    def _not_understood(self, audience: Audience) -> tuple[str, ...]:
        return self.not_understood if audience in TRUSTED or not self.confidential else ()

    def _reader(self, audience: Audience, locale: str) -> Reader:
        return Reader(audience, locale, self.locale)

    def _wanted(self) -> str:
        return self.wanted or str(self.action.get("name", ""))

    def _why(self, reader: Reader) -> tuple[str, bool]:
        """The words, and whether they are Demur's own composition."""
        is_trusted = reader.audience in TRUSTED
        if types := self._not_understood(reader.audience):
            return reader.say("not_understood", wanted=self._wanted(), types=types), True
        if said := wording.authored(reader, self.messages if is_trusted else self.shown_messages):
            return said, False
        if self.bar is not None and self._wanted():
            quoted = reader.say("reviewer_said", said=self.said) if self.said else ""
            return reader.sentences(reader.say(self.bar.value, wanted=self._wanted()), quoted), True
        # What failed inside Demur (a path, a host) is for those who run it.
        if self.detail and (is_trusted or self.outcome is not Outcome.UNAVAILABLE):
            return self.detail, False
        category, conditions = self.reason_for(reader.audience).category, self._conditions(reader.audience)
        return wording.why(reader, category, self._wanted(), conditions, self.marks), True

    def _next_step(self, reader: Reader) -> str:
        if self.again is not None:
            return reader.say("earliest", time=str(self.again))
        if self.bar is not None:
            return reader.say(f"{self.bar.value}_next")
        offered = self.offered(reader.audience)
        actions = tuple(item.action for item in offered.alternatives if item.to_dict(reader.audience) is not None)
        return wording.next_step(reader, self.reason_for(reader.audience).disposition, offered.repairs, actions)

    def offered(self, audience: Audience) -> Remedies:
        """What leads out of it, for this audience: nothing where that is withheld."""
        if self.remedies is None or (self.is_withheld and audience not in TRUSTED):
            return Remedies(reason=NoRemedy.NONE_FOUND, as_of=self.as_of)
        return self.remedies

    def _remediation(self, audience: Audience, locale: str) -> dict[str, object]:
        conditions = self._conditions(audience)
        offered = self.offered(audience).to_dict(audience)
        has_offer = bool(offered["suggested_modifications"] or offered["compliant_alternatives"])
        is_shown = audience is not Audience.END_USER
        could = self.is_remediable if audience in TRUSTED else self.shown_is_remediable
        told = (wording.plain(item, audience, self.marks) for item in conditions)
        return {
            "remediable": has_offer or (could and bool(conditions)),
            "next_step": self.next_step(audience=audience, locale=locale),
            "missing_conditions": [item for item in told if item is not None] if is_shown else [],
            **offered,
            **({} if self.again is None else {"earliest": str(self.again)}),
        }

    def _conditions(self, audience: Audience) -> Sequence[Obstacle]:
        if audience in TRUSTED:
            return self.missing_conditions
        told = [item for item in self.missing_conditions if item.rule not in self.confidential]
        return sorted((*told, *self.stand_ins), key=lambda item: item.rule) if self.stand_ins else told

    def _obligations(self, audience: Audience) -> list[dict[str, object]]:
        told = self.obligations if audience in TRUSTED else self.shown_obligations
        shown = (duty.shown(item, self.limits, audience) for item in told)
        return [item for item in shown if item is not None]

    def _action(self, audience: Audience) -> dict[str, object]:
        hidden = self.hidden_arguments.get(audience, ())
        action = dict(self.action)
        arguments = action.get("properties")
        if isinstance(arguments, dict):
            action["properties"] = {name: value for name, value in arguments.items() if name not in hidden}
        return action


def refuse(decision: Decision, remedies: Remedies | None = None) -> Refusal:
    """The refusal of a decision that is a deny, or the standing "no" of one that defers, with what leads out of it."""
    schema, request = decision.policy_set.schema, decision.facts.request
    found = obstacles.find(decision)
    whole = disclosure.of_all(decision, found)
    told = disclosure.below_operator(decision, found, whole)
    beyond = decision.beyond if decision.category is Category.POLICY_VIOLATION else ()
    return Refusal(
        outcome=decision.outcome,
        reason=_advised(whole.reason, beyond),
        shown=told.reason if told.confidential else _advised(told.reason, beyond),
        as_of=decision.as_of,
        policy_version=decision.policy_digest,
        trace_id=request.trace_id,
        request_id=request.request_id,
        action=describe(request, schema),
        hidden_arguments=_hidden(request, schema),
        missing_conditions=found.conditions,
        messages=whole.messages,
        shown_messages=told.messages,
        confidential=told.confidential,
        stand_ins=told.stand_ins,
        shown_obligations=told.obligations,
        is_withheld=told.is_withheld,
        wanted=wanted(request.action, schema),
        locale=decision.policy_set.documents.locale,
        marks=disclosure.marks(schema, request.action, (*found.conditions, *told.stand_ins)),
        is_remediable=whole.is_remediable,
        shown_is_remediable=told.is_remediable,
        remedies=remedies,
        determining=tuple(rule.id for rule in found.rules),
        obligations=decision.obligations,
        limits=duty.limits(decision),
        not_understood=beyond,
        escalation_available=bool(found.escalation_roles) and whole.reason.category is not Category.CATEGORICAL,
        escalation_roles=found.escalation_roles,
    )


def _advised(reason: Reason, beyond: Sequence[str]) -> Reason:
    """Where the caller cannot carry out what the action obliges to, no change of the request helps (S6.4)."""
    return msgspec.structs.replace(reason, disposition=Disposition.SEEK_AUTHORITY) if beyond else reason


def unavailable(detail: str, *, now: Timestamp, request: Request | None = None) -> Refusal:
    """The refusal given when Demur cannot decide or cannot record; nothing executes on it (S5.2)."""
    reason = Reason(Category.UNAVAILABLE, Disposition.RETRY_AFTER)
    return Refusal(
        outcome=Outcome.UNAVAILABLE,
        reason=reason,
        shown=reason,
        as_of=now,
        trace_id=request.trace_id if request else "",
        request_id=request.request_id if request else "",
        detail=detail,
    )


def barred(
    bar: Bar, reason: Reason, request: Request, schema: Schema, *, locale: str, policy_version: str, as_of: Timestamp
) -> Refusal:
    """The refusal of a request that is not judged at all, because a stop or a quarantine covers it (S8.3, S12)."""
    return Refusal(
        reason=reason,
        shown=reason,
        as_of=as_of,
        policy_version=policy_version,
        trace_id=request.trace_id,
        request_id=request.request_id,
        action=describe(request, schema),
        hidden_arguments=_hidden(request, schema),
        wanted=wanted(request.action, schema),
        locale=locale,
        bar=bar,
    )


def turned_away(refused: Refusal, again: Timestamp) -> Refusal:
    """The deny in the place of a deferral for which people have no room now: what to wait for, and nothing to change.

    What the rule's author wrote is about a review that is not opened, so it is not said.
    """
    return msgspec.structs.replace(
        refused,
        outcome=Outcome.DENY,
        reason=msgspec.structs.replace(refused.reason, disposition=Disposition.RETRY_AFTER),
        shown=msgspec.structs.replace(refused.shown, disposition=Disposition.RETRY_AFTER),
        messages={},
        shown_messages={},
        bar=Bar.OVERLOADED,
        again=again,
        escalation_available=False,
        escalation_roles=(),
    )


def wanted(action: str, schema: Schema) -> str:
    """The action in plain words: its declared description, else its name."""
    declared = schema.actions.get(action)
    return declared.description if declared and declared.description else action


def describe(request: Request, schema: Schema) -> dict[str, object]:
    """The action as asked, as JSON, without secret arguments."""
    secret = secrets(request, schema)
    return {
        "subject": {"type": request.subject.type, "id": request.subject.id},
        "actor": {"type": request.actor.type, "id": request.actor.id},
        "name": request.action,
        "properties": {name: to_json(value) for name, value in request.arguments.items() if name not in secret},
        "resource": {"type": request.resource.type, "id": request.resource.id},
    }


def secrets(request: Request, schema: Schema) -> tuple[str, ...]:
    """The names of the arguments that are never stored, shown or logged (S1.5)."""
    return tuple(name for name in _arguments(request, schema, lambda fact: fact.secret) if name in request.arguments)


def _hidden(request: Request, schema: Schema) -> dict[Audience, tuple[str, ...]]:
    action = schema.actions.get(request.action)
    if action is None or not any(fact.visible for fact in action.arguments):
        return {}

    def hides(audience: Audience) -> Callable[[Fact], bool]:
        return lambda fact: fact.visible.get(audience) is Visibility.HIDE

    hidden = {audience: _arguments(request, schema, hides(audience)) for audience in Audience}
    return {audience: names for audience, names in hidden.items() if names}


def _arguments(request: Request, schema: Schema, wanted: Callable[[Fact], bool]) -> tuple[str, ...]:
    action = schema.actions.get(request.action)
    if action is None:
        return ()
    return tuple(argument_name(fact.path) for fact in action.arguments if wanted(fact))
