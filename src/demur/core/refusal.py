"""Decision -> Refusal: a "no" that says why, what is missing, and what to do next.

- Category and disposition come from the rules that decided; the rest is words for an audience (S10).
- `missing_conditions` is complete: every condition that stands in the way, with the facts that it reads.
- What reads a confidential fact leaves no trace below operator: not in text, not in the conditions, not in the
  category. Such an answer then reads like the ordinary one that nothing permits the action (S2.3).
- Secret arguments are never part of a refusal (S1.5).
- `unavailable` is a refusal but no decision: Demur could not decide or could not record (S5.2).

Clauses: S2.3, S3.4, S5.2, S10; names: wire.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import duty, obstacles
from demur.core.duty import Limit
from demur.core.obstacles import Obstacle, Standing
from demur.core.phrases import phrase
from demur.core.policy.document import Obligation
from demur.core.remedy import NoRemedy, Remedies
from demur.core.schema import Fact, Visibility, argument_name
from demur.core.terms import Audience, Category, Disposition, Outcome, Request, Timestamp, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from demur.core.decision import Decision
    from demur.core.policy.document import Rule
    from demur.core.schema import Schema

PROBLEM_TYPE = "urn:demur:refusal:"
"""Prefix of the problem type of RFC 9457; the category follows."""

_TRUSTED = frozenset({Audience.OPERATOR, Audience.AUDITOR})
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
    is_remediable: bool = False
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
        """Why not, in one or two sentences for this audience."""
        messages = self.messages if audience in _TRUSTED else self.shown_messages
        if said := _message(messages, audience, locale):
            return said
        # What failed inside Demur (a path, a host) is for those who run it.
        if self.detail and (audience in _TRUSTED or self.outcome is not Outcome.UNAVAILABLE):
            return self.detail
        text = phrase(self.reason_for(audience).category, locale)
        if audience is Audience.END_USER:
            return text
        reasons = dict.fromkeys(_because(item, locale) for item in self._conditions(audience))
        return f"{text} ({'; '.join(reasons)})" if reasons else text

    def reason_for(self, audience: Audience) -> Reason:
        """The reason as this audience may know it."""
        return self.reason if audience in _TRUSTED else self.shown

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
            "title": phrase(category, locale),
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
                "explanation": self.explain(audience=audience, locale=locale),
            },
            "remediation": self._remediation(audience),
            "escalation_available": self.escalation_available,
            "escalation_context": {"roles": list(self.escalation_roles)} if self.escalation_roles else {},
            "obligations": self._obligations(audience),
            "repeat_of": None,
            "repeats": 0,
        }
        if audience in _TRUSTED:
            refusal["determining_policies"] = list(self.determining)
        return refusal

    def _remediation(self, audience: Audience) -> dict[str, object]:
        conditions = self._conditions(audience)
        offered = (self.remedies or Remedies(reason=NoRemedy.NONE_FOUND, as_of=self.as_of)).to_dict(audience)
        has_offer = bool(offered["suggested_modifications"] or offered["compliant_alternatives"])
        is_shown = audience is not Audience.END_USER
        return {
            "remediable": has_offer or (self.is_remediable and bool(conditions)),
            "missing_conditions": [_plain(item, audience) for item in conditions] if is_shown else [],
            **offered,
        }

    def _conditions(self, audience: Audience) -> Sequence[Obstacle]:
        if audience in _TRUSTED:
            return self.missing_conditions
        return [item for item in self.missing_conditions if item.rule not in self.confidential]

    def _obligations(self, audience: Audience) -> list[dict[str, object]]:
        told = self.obligations if audience in _TRUSTED or not self.confidential else ()
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


def _message(messages: Mapping[Audience, Mapping[str, str]], audience: Audience, locale: str) -> str:
    """What the rule's author wrote for this audience, or for the next less trusted one that has words."""
    order = tuple(Audience)
    for reader in reversed(order[: order.index(audience) + 1]):
        texts = messages.get(reader, {})
        found = texts.get(locale) or texts.get(locale.partition("-")[0]) or texts.get("en")
        if found or texts:
            return found or next(iter(texts.values()))
    return ""


def _because(item: Obstacle, locale: str) -> str:
    told = ", ".join(item.facts) if item.state is Standing.UNKNOWN else item.explanation or item.condition
    return phrase(item.state, locale).format(told)


def _plain(item: Obstacle, audience: Audience) -> dict[str, object]:
    shown: dict[str, object] = {
        "condition": item.condition,
        "explanation": item.explanation,
        "facts": list(item.facts),
        "state": item.state.value,
    }
    if audience in _TRUSTED:
        shown["rule"] = item.rule
    return shown


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
