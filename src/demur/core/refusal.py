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

from demur.core import duty, obstacles, wording
from demur.core.duty import Limit
from demur.core.obstacles import Obstacle
from demur.core.policy.document import Obligation
from demur.core.remedy import NoRemedy, Remedies
from demur.core.schema import Fact, Visibility, argument_name
from demur.core.terms import Audience, Category, Disposition, Outcome, Request, Timestamp, to_json
from demur.core.wording import TRUSTED, Marks, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from demur.core.decision import Decision
    from demur.core.policy.document import Rule
    from demur.core.schema import Schema

PROBLEM_TYPE = "urn:demur:refusal:"
"""Prefix of the problem type of RFC 9457; the category follows."""

_PRECEDENCE = tuple(Category)
_DEFAULT = {
    Category.CATEGORICAL: Disposition.NEVER_RETRY,
    Category.INSUFFICIENT_CONTEXT: Disposition.SUPPLY_CONTEXT,
    Category.TEMPORAL: Disposition.RETRY_AFTER,
    Category.QUOTA_EXCEEDED: Disposition.RETRY_AFTER,
    Category.STATE_CONFLICT: Disposition.WAIT,
    Category.INDETERMINATE: Disposition.SEEK_AUTHORITY,
    Category.REQUIRES_HUMAN: Disposition.AWAIT_REVIEW,
    Category.UNAVAILABLE: Disposition.RETRY_AFTER,
}


class Reason(msgspec.Struct, frozen=True):
    """Why not, in closed words; `policy_reference` is the triggering rule, empty where no rule is."""

    category: Category
    disposition: Disposition
    policy_reference: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A deny, or `unavailable`: nothing may be carried out. `shown` is the reason for those below operator."""

    outcome: Outcome = Outcome.DENY
    reason: Reason
    shown: Reason
    audit_id: str = ""
    as_of: Timestamp
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
    escalation_available: bool = False
    escalation_roles: tuple[str, ...] = ()
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
        return {"decision": False, "context": context}

    def to_problem(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> dict[str, object]:
        """The refusal as an RFC 9457 problem document."""
        category = self.reason_for(audience).category
        return {
            "type": PROBLEM_TYPE + category.value,
            "title": wording.title(self._reader(audience, locale), category, self.wanted),
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
            "repeat_of": None,
            "repeats": 0,
        }
        if audience in TRUSTED:
            refusal["determining_policies"] = list(self.determining)
        return refusal

    def _reader(self, audience: Audience, locale: str) -> Reader:
        return Reader(audience, locale, self.locale)

    def _why(self, reader: Reader) -> tuple[str, bool]:
        """The words, and whether they are Demur's own composition."""
        is_trusted = reader.audience in TRUSTED
        if said := wording.authored(reader, self.messages if is_trusted else self.shown_messages):
            return said, False
        # What failed inside Demur (a path, a host) is for those who run it.
        if self.detail and (is_trusted or self.outcome is not Outcome.UNAVAILABLE):
            return self.detail, False
        category, conditions = self.reason_for(reader.audience).category, self._conditions(reader.audience)
        return wording.why(reader, category, self.wanted, conditions, self.marks), True

    def _next_step(self, reader: Reader) -> str:
        offered, actions = self._offered(reader.audience), ()
        if first := offered.to_dict(reader.audience)["compliant_alternatives"]:
            actions = tuple(str(item["action"]) for item in first)
        return wording.next_step(reader, self.reason_for(reader.audience).disposition, offered.repairs, actions)

    def _offered(self, audience: Audience) -> Remedies:
        is_told = self.remedies is not None and (audience in TRUSTED or not self.is_withheld)
        return self.remedies if is_told else Remedies(reason=NoRemedy.NONE_FOUND, as_of=self.as_of)

    def _remediation(self, audience: Audience, locale: str) -> dict[str, object]:
        conditions = self._conditions(audience)
        offered = self._offered(audience).to_dict(audience)
        has_offer = bool(offered["suggested_modifications"] or offered["compliant_alternatives"])
        is_shown = audience is not Audience.END_USER
        could = self.is_remediable if audience in TRUSTED else self.shown_is_remediable
        told = (wording.plain(item, audience, self.marks) for item in conditions)
        return {
            "remediable": has_offer or (could and bool(conditions)),
            "next_step": self.next_step(audience=audience, locale=locale),
            "missing_conditions": [item for item in told if item is not None] if is_shown else [],
            **offered,
        }

    def _conditions(self, audience: Audience) -> Sequence[Obstacle]:
        if audience in TRUSTED:
            return self.missing_conditions
        return [item for item in self.missing_conditions if item.rule not in self.confidential] + list(self.stand_ins)

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
    confidential = {rule.id for rule in found.rules if obstacles.is_confidential(rule, decision)}
    told = [rule for rule in found.rules if rule.id not in confidential]
    paths = {path for item in found.conditions for path in item.facts}
    is_changeable = any(can_change(schema, path) for path in paths)
    category = decision.category or Category.INDETERMINATE
    trigger = _trigger(decision, found.rules)
    # An author's words are true where the rule holds. Where facts are missing nobody knows whether it does (S2.1).
    speaker = None if decision.missing else trigger
    reason = Reason(
        category, disposition(category, speaker, is_changeable=is_changeable), trigger.id if trigger else ""
    )
    shown = _shown(reason, told, is_changeable=is_changeable) if confidential else reason
    words = next((rule for rule in found.rules if rule.id == shown.policy_reference), None) if confidential else speaker
    return Refusal(
        outcome=decision.outcome,
        reason=reason,
        shown=shown,
        as_of=decision.as_of,
        policy_version=decision.policy_digest,
        trace_id=request.trace_id,
        request_id=request.request_id,
        action=describe(request, schema),
        hidden_arguments=_hidden(request, schema),
        missing_conditions=found.conditions,
        messages=speaker.messages if speaker else {},
        shown_messages=words.messages if words and speaker else {},
        is_remediable=category is not Category.CATEGORICAL and any(can_differ(schema, path) for path in paths),
        remedies=remedies,
        confidential=tuple(sorted(confidential)),
        determining=tuple(rule.id for rule in found.rules),
        obligations=decision.obligations,
        limits=duty.limits(decision),
        escalation_available=bool(found.escalation_roles) and category is not Category.CATEGORICAL,
        escalation_roles=found.escalation_roles,
    )


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


def disposition(category: Category, rule: Rule | None, *, is_changeable: bool) -> Disposition:
    """What the caller should do: what the triggering rule says, else the default of the category."""
    if rule is not None and rule.disposition is not None:
        return rule.disposition
    fallback = Disposition.MODIFY if is_changeable else Disposition.SEEK_AUTHORITY
    return _DEFAULT.get(category, fallback)


def _trigger(decision: Decision, rules: Sequence[Rule]) -> Rule | None:
    """The triggering rule (S3.4); where nothing permits, the first of the permits that do not hold."""
    return next((rule for rule in rules if rule.id == decision.trigger), rules[0] if rules else None)


def can_change(schema: Schema, path: str) -> bool:
    """Whether the requester may change this fact in a further request (S9.2)."""
    return any(fact.change is not None for fact in declarations(schema, path))


def can_differ(schema: Schema, path: str) -> bool:
    """Whether this fact can come to be different: changed, obtained, awaited, or by the passing of time (S9.2)."""
    if path == "time.now" or path in schema.counters:
        return True
    return any(fact.change or fact.obtain or fact.awaits for fact in declarations(schema, path))


def declarations(schema: Schema, path: str) -> list[Fact]:
    """All declarations of a path: one for a fact, one for each action that has an argument of this name."""
    if path in schema.facts:
        return [schema.facts[path]]
    return [fact for action in schema.actions.values() for fact in action.arguments if fact.path == path]


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


def _shown(reason: Reason, rules: Sequence[Rule], *, is_changeable: bool) -> Reason:
    """The reason with the confidential rules left out. Where none is left, it is the one of a default deny."""
    if not rules:
        return Reason(Category.SCOPE_EXCEEDED, Disposition.SEEK_AUTHORITY)
    if reason.category in {Category.INSUFFICIENT_CONTEXT, Category.INDETERMINATE, Category.REQUIRES_HUMAN}:
        return msgspec.structs.replace(reason, policy_reference=rules[0].id)
    category = min((rule.category or reason.category for rule in rules), key=_PRECEDENCE.index)
    trigger = min((rule for rule in rules if (rule.category or reason.category) is category), key=lambda rule: rule.id)
    return Reason(category, disposition(category, trigger, is_changeable=is_changeable), trigger.id)


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
