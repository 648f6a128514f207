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

from demur.core.phrases import phrase
from demur.core.policy.document import Obligation
from demur.core.schema import Fact, Visibility
from demur.core.terms import Audience, Category, Disposition, Outcome, Request, Timestamp, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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


class MissingCondition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that stands in the way, the rule it belongs to and the facts it reads."""

    rule: str
    condition: str
    explanation: str
    facts: tuple[str, ...]
    truth: str
    is_confidential: bool = False


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
    missing_conditions: tuple[MissingCondition, ...] = ()
    messages: dict[Audience, dict[str, str]] = {}
    is_confidential: bool = False
    is_remediable: bool = False
    determining: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    escalation_available: bool = False
    escalation_roles: tuple[str, ...] = ()
    detail: str = ""
    """Words of Demur itself about this one refusal, where no rule decided (a grant that may not be redeemed)."""

    def explain(self, *, audience: Audience = Audience.AGENT, locale: str = "en") -> str:
        """Why not, in one or two sentences for this audience."""
        said = _message(self.messages, audience, locale)
        if said and (audience in _TRUSTED or not self.is_confidential):
            return said
        if self.detail:
            return self.detail
        text = phrase(self.reason_for(audience).category, locale)
        reasons = [item.explanation for item in self._conditions(audience) if item.explanation]
        if audience is Audience.END_USER or not reasons:
            return text
        return f"{text} ({'; '.join(dict.fromkeys(reasons))})"

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
            "trace_id": self.trace_id,
            "request_id": self.request_id,
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
        conditions = self._conditions(audience)
        refusal: dict[str, object] = {
            "refused_action": self._action(audience),
            "refusal_reason": {
                "category": reason.category.value,
                "disposition": reason.disposition.value,
                "policy_reference": reason.policy_reference or None,
                "explanation": self.explain(audience=audience, locale=locale),
            },
            "remediation": {
                "remediable": self.is_remediable and bool(conditions),
                "reason": None if self.is_remediable and conditions else phrase("not_remediable", locale),
                "missing_conditions": [_plain(item, audience) for item in conditions],
                "suggested_modifications": [],
                "compliant_alternatives": [],
            },
            "escalation_available": self.escalation_available,
            "escalation_context": {"roles": list(self.escalation_roles)} if self.escalation_roles else {},
            "obligations": [msgspec.to_builtins(item) for item in self._obligations(audience)],
            "repeat_of": None,
            "repeats": 0,
        }
        if audience in _TRUSTED:
            refusal["determining_policies"] = list(self.determining)
        return refusal

    def _conditions(self, audience: Audience) -> Sequence[MissingCondition]:
        if audience in _TRUSTED:
            return self.missing_conditions
        return [item for item in self.missing_conditions if not item.is_confidential]

    def _obligations(self, audience: Audience) -> Sequence[Obligation]:
        return self.obligations if audience in _TRUSTED or not self.is_confidential else ()

    def _action(self, audience: Audience) -> dict[str, object]:
        hidden = self.hidden_arguments.get(audience, ())
        action = dict(self.action)
        arguments = action.get("properties")
        if isinstance(arguments, dict):
            action["properties"] = {name: value for name, value in arguments.items() if name not in hidden}
        return action


def refuse(
    reason: Reason,
    *,
    request: Request,
    schema: Schema,
    rules: Sequence[Rule],
    conditions: Sequence[MissingCondition],
    obligations: tuple[Obligation, ...],
    policy_version: str,
    now: Timestamp,
) -> Refusal:
    """The refusal that `rules` decided; `conditions` are all that stand in the way."""
    confidential = {item.rule for item in conditions if item.is_confidential}
    open_rules = [rule for rule in rules if rule.id not in confidential]
    is_confidential = bool(confidential) and not open_rules
    is_changeable = any(can_change(schema, path) for item in conditions for path in item.facts)
    reason = msgspec.structs.replace(
        reason, disposition=disposition(reason.category, rules, is_changeable=is_changeable)
    )
    trigger = next((rule for rule in rules if rule.id == reason.policy_reference), None)
    return Refusal(
        reason=reason,
        shown=_shown(reason, open_rules, is_changeable=is_changeable, has_confidential=bool(confidential)),
        as_of=now,
        policy_version=policy_version,
        trace_id=request.trace_id,
        request_id=request.request_id,
        action=describe(request, schema),
        hidden_arguments=_hidden(request, schema),
        missing_conditions=tuple(conditions),
        messages=trigger.messages if trigger else {},
        is_confidential=is_confidential or (trigger is not None and trigger.id in confidential),
        is_remediable=reason.category is not Category.CATEGORICAL and bool(conditions),
        determining=tuple(rule.id for rule in rules),
        obligations=obligations,
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


def disposition(category: Category, rules: Iterable[Rule], *, is_changeable: bool) -> Disposition:
    """What the caller should do: what a deciding rule of this category says, else the category's default."""
    said = next((rule.disposition for rule in rules if rule.disposition and rule.category in {category, None}), None)
    if said is not None:
        return said
    fallback = Disposition.MODIFY if is_changeable else Disposition.SEEK_AUTHORITY
    return _DEFAULT.get(category, fallback)


def can_change(schema: Schema, path: str) -> bool:
    """Whether the requester may change this fact in a further request (S9.2)."""
    return any(fact.change is not None for fact in declarations(schema, path))


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
    return _arguments(request, schema, lambda fact: fact.secret)


def _shown(reason: Reason, rules: Sequence[Rule], *, is_changeable: bool, has_confidential: bool) -> Reason:
    if not has_confidential:
        return reason
    if not rules:
        return Reason(Category.SCOPE_EXCEEDED, Disposition.SEEK_AUTHORITY)
    category = min((rule.category or Category.POLICY_VIOLATION for rule in rules), key=_PRECEDENCE.index)
    trigger = min(rule.id for rule in rules if (rule.category or Category.POLICY_VIOLATION) is category)
    return Reason(category, disposition(category, rules, is_changeable=is_changeable), trigger)


def _message(messages: Mapping[Audience, Mapping[str, str]], audience: Audience, locale: str) -> str:
    """What the rule's author wrote for this audience, or for the next less trusted one that has words."""
    order = tuple(Audience)
    for reader in reversed(order[: order.index(audience) + 1]):
        texts = messages.get(reader, {})
        found = texts.get(locale) or texts.get(locale.partition("-")[0]) or texts.get("en")
        if found or texts:
            return found or next(iter(texts.values()))
    return ""


def _plain(item: MissingCondition, audience: Audience) -> dict[str, object]:
    shown: dict[str, object] = {"condition": item.condition, "explanation": item.explanation, "facts": list(item.facts)}
    if audience is Audience.END_USER:
        return {"condition": item.condition, "facts": []}
    if audience in _TRUSTED:
        shown |= {"rule": item.rule, "truth": item.truth}
    return shown


def _hidden(request: Request, schema: Schema) -> dict[Audience, tuple[str, ...]]:
    return {
        audience: names
        for audience in Audience
        if (names := _arguments(request, schema, lambda fact, who=audience: fact.visible.get(who) is Visibility.HIDE))
    }


def _arguments(request: Request, schema: Schema, wanted: Callable[[Fact], bool]) -> tuple[str, ...]:
    action = schema.actions.get(request.action)
    if action is None:
        return ()
    return tuple(fact.path.removeprefix("action.") for fact in action.arguments if wanted(fact))
