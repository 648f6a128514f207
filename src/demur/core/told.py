"""Wire JSON -> Grant, Refusal or Deferral: what another process was answered, as the values that a gate gives.

    {"decision": true, "context": {"outcome": "allow", "grant": {...}}}       a Grant
    {"decision": false, "context": {"outcome": "deny", "refusal": {...}}}     a Refusal, also for `unavailable`
    {"decision": false, "context": {"outcome": "defer", "refusal": {...}, "deferral": {...}}}

- Members that are not known are ignored. One that is missing, of another type or of another vocabulary is an
  `AnswerError`, and so is an answer that contradicts itself: `true` without a grant, a grant beside a refusal.
- What is read back says the same again: `to_dict` for the audience to which it was told gives what was told.
- It was told to one audience. Less trusted ones get of it what holds for everybody: no condition, argument, number or
  sentence that was meant for others (S10).

Clauses: S5.2, S6, S7, S10; names: wire.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from demur.core import wire
from demur.core.disclosure import Reason
from demur.core.duty import Limit
from demur.core.grant import Grant, Redemption
from demur.core.obstacles import Obstacle
from demur.core.policy.document import Obligation
from demur.core.refusal import Refusal
from demur.core.remedy import Remedies
from demur.core.remedy.chart import Kind
from demur.core.remedy.offers import OtherAction, Part, Repair
from demur.core.review import Deferral
from demur.core.schema import Visibility
from demur.core.terms import Audience, Category, Entity, Outcome, Timestamp, Value, parse_timestamp
from demur.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from demur.core.evidence import Answer
    from demur.core.wording import Reader

T = TypeVar("T")

_ORDER = tuple(Audience)


class Relayed(Refusal, frozen=True, kw_only=True):
    """A refusal that was told by another process, in its words and its language, to the audience `told_to`."""

    told_to: Audience
    said_why: str
    said_next: str
    said_remediable: bool

    def _why(self, reader: Reader) -> tuple[str, bool]:
        return (self.said_why, True) if self._reaches(reader.audience) else super()._why(reader)

    def _next_step(self, reader: Reader) -> str:
        return self.said_next if self._reaches(reader.audience) else super()._next_step(reader)

    def _remediation(self, audience: Audience, locale: str) -> dict[str, object]:
        told = super()._remediation(audience, locale)
        return {**told, "remediable": self.said_remediable} if self._reaches(audience) else told

    def _reaches(self, audience: Audience) -> bool:
        return _ORDER.index(audience) >= _ORDER.index(self.told_to)


class Wanted(msgspec.Struct, frozen=True):
    """The action that was asked for: a grant on the wire names only what it changed of it."""

    action: str
    arguments: dict[str, Value]
    resource: Entity


def read(told: Mapping[str, object], wanted: Wanted, *, audience: Audience = Audience.AGENT) -> Answer:
    """The answer that this evaluation response is, told to `audience`; raises `AnswerError`."""
    answer = _shaped(told, wire.Answer)
    context = answer.context
    match context.outcome:
        case Outcome.ALLOW:
            if answer.decision and context.grant and context.refusal is None and context.deferral is None:
                return _grant(context, context.grant, wanted)
        case Outcome.DENY | Outcome.UNAVAILABLE:
            if not answer.decision and context.refusal and context.grant is None and context.deferral is None:
                return _refusal(context, context.refusal, audience)
        case Outcome.DEFER:
            if not answer.decision and context.refusal and context.deferral and context.grant is None:
                refusal = _refusal(context, context.refusal, audience)
                return _deferral(context.deferral, refusal)
    message = f"expected an answer that agrees with itself, found one with `decision` {answer.decision} and the outcome"
    raise AnswerError(f"{message} `{context.outcome}`")


def _deferral(found: wire.Deferral, refusal: Refusal) -> Deferral:
    estimated = found.estimated_resolution
    return Deferral(
        review_id=found.review_id,
        deadline=_time(found.deadline),
        estimated=_time(estimated) if estimated else None,
        refusal=refusal,
    )


def read_refusal(told: Mapping[str, object], *, audience: Audience = Audience.AGENT) -> Refusal:
    """The refusal that this is; raises `AnswerError` for every other answer."""
    found = read(told, Wanted("", {}, Entity(type="", id="")), audience=audience)
    if not isinstance(found, Refusal):
        raise AnswerError(f"expected a refusal, found the outcome `{found.outcome}`")
    return found


def read_redemption(told: Mapping[str, object]) -> Redemption:
    """The redemption that this is; raises `AnswerError`."""
    found = _shaped(told, wire.Redemption)
    if not found.redeemed:
        raise AnswerError("expected a redemption, found a grant that was not redeemed")
    return Redemption(
        grant_id=found.grant_id,
        audit_id=found.audit_id,
        arguments=found.arguments,  # type: ignore[arg-type]  # JSON values are values
        obligations=_obligations(found.obligations),
        mark_key=found.mark_key,
    )


# Made here and not used: threads that convert into a type for the first time at the same moment crash the library.
_KNOWN = msgspec.json.Decoder(wire.Answer), msgspec.json.Decoder(wire.Redemption)


def _shaped(told: object, shape: type[T]) -> T:
    try:
        return msgspec.convert(told, shape)
    except msgspec.ValidationError as error:
        text = str(error)
        raise AnswerError(f"expected an answer as wire formats have it: {text[:1].lower()}{text[1:]}") from error


def _time(text: str) -> Timestamp:
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise AnswerError(str(error)) from error


def _grant(context: wire.Context, found: wire.Grant, wanted: Wanted) -> Grant:
    return Grant(
        id=found.id,
        token=found.token,
        audit_id=context.audit_id or "",
        action=wanted.action,
        arguments={**wanted.arguments, **found.constraints},  # type: ignore[dict-item]  # JSON values are values
        resource=wanted.resource,
        expires_at=_time(found.expires_at),
        constraints=found.constraints,
        obligations=_obligations(found.obligations),
        policy_version=context.policy_version or "",
        trace_id=context.trace_id or "",
        request_id=context.request_id or "",
        as_of=_time(context.as_of),
        checkpoint=context.checkpoint,
    )


def _refusal(context: wire.Context, found: wire.Refusal, audience: Audience) -> Refusal:
    told = found.refusal_reason
    reason = Reason(told.category, told.disposition, told.policy_reference or "")
    if (context.outcome is Outcome.UNAVAILABLE) is not (reason.category is Category.UNAVAILABLE):
        raise AnswerError(f"expected a category of `{context.outcome}`, found `{reason.category}`")
    obligations = _obligations(found.obligations)
    return Relayed(
        outcome=context.outcome,
        reason=reason,
        shown=reason,
        audit_id=context.audit_id or "",
        as_of=_time(context.as_of),
        checkpoint=context.checkpoint,
        policy_version=context.policy_version or "",
        trace_id=context.trace_id or "",
        request_id=context.request_id or "",
        action=found.refused_action,
        hidden_arguments=_hidden(found.refused_action, audience),
        missing_conditions=tuple(map(_obstacle, found.remediation.missing_conditions)),
        shown_obligations=obligations,
        is_remediable=found.remediation.remediable,
        shown_is_remediable=found.remediation.remediable,
        remedies=_remedies(found.remediation, _time(context.as_of), audience),
        determining=found.determining_policies,
        obligations=obligations,
        limits=tuple(_limits(found.obligations, audience)),
        escalation_available=found.escalation_available,
        escalation_roles=found.escalation_context.roles,
        repeat_of=found.repeat_of or "",
        repeats=found.repeats,
        again=_time(found.remediation.earliest) if found.remediation.earliest else None,
        told_to=audience,
        said_why=told.explanation,
        said_next=found.remediation.next_step,
        said_remediable=found.remediation.remediable,
    )


def _below(audience: Audience) -> tuple[Audience, ...]:
    return _ORDER[: _ORDER.index(audience)]


def _hidden(action: wire.Json, audience: Audience) -> dict[Audience, tuple[str, ...]]:
    properties = action.get("properties", {})
    if not isinstance(properties, dict):
        raise AnswerError("expected an object as the arguments of the refused action, found something else")
    return {other: tuple(properties) for other in _below(audience)} if properties else {}


def _obligations(found: Iterable[wire.Obligation]) -> tuple[Obligation, ...]:
    return tuple(Obligation(id=item.id, type=item.type, properties=item.properties) for item in found)  # type: ignore[arg-type]  # JSON values are values


def _limits(found: Iterable[wire.Obligation], audience: Audience) -> Iterator[Limit]:
    audiences = _ORDER[_ORDER.index(audience) :]
    for item in found:
        for limit in item.limits:
            yield Limit(duty=item.id, fact=limit.fact, value=limit.value, unit=limit.unit, audiences=audiences)


def _obstacle(found: wire.Condition) -> Obstacle:
    return Obstacle(
        rule=found.rule,
        condition=found.condition,
        explanation=found.explanation,
        facts=found.facts,
        state=found.state,
        reads=found.facts,
    )


def _remedies(found: wire.Remediation, as_of: Timestamp, audience: Audience) -> Remedies:
    repairs = [_repair(item, audience) for item in found.suggested_modifications]
    return Remedies(
        modifications=tuple(item for item in repairs if item.kind is Kind.CHANGE),
        obtains=tuple(item for item in repairs if item.kind is Kind.OBTAIN),
        awaits=tuple(item for item in repairs if item.kind is Kind.AWAIT),
        alternatives=tuple(_alternative(item) for item in found.compliant_alternatives),
        reason=found.reason,
        as_of=as_of,
    )


def _alternative(found: wire.Alternative) -> OtherAction:
    return OtherAction(
        action=found.action,
        arguments=found.arguments,
        leads_to=found.leads_to,
        as_of=_time(found.as_of),
        explanation=found.explanation,
    )


def _repair(found: wire.Modification, audience: Audience) -> Repair:
    if not found.direction:
        raise AnswerError("expected a modification of at least one fact, found none")
    return Repair(
        parts=tuple(_part(path, found, audience) for path in found.direction),
        leads_to=found.leads_to,
        cost=found.cost,
        as_of=_time(found.as_of),
        earliest=None if found.earliest is None else _time(found.earliest),
    )


def _part(path: str, found: wire.Modification, audience: Audience) -> Part:
    """A fact of a repair. How much of it the audience saw is how much of it there is."""
    visible = dict.fromkeys(_below(audience), Visibility.HIDE)
    for kind, listed in ((Kind.OBTAIN, found.obtain), (Kind.AWAIT, found.await_)):
        for item in listed:
            if item.fact == path:
                return Part(
                    kind=kind,
                    path=path,
                    value=item.value,
                    direction=found.direction[path],
                    how=item.how,
                    by=item.by,
                    event=item.event,
                    visible=visible,
                )
    if path not in {*found.set, *found.supply, *found.leave_out}:
        visible |= {other: Visibility.DIRECTION for other in _ORDER if other not in visible}
    return Part(
        kind=Kind.CHANGE,
        path=path,
        value=found.set.get(path),
        is_left_out=path in found.leave_out,
        is_any=path in found.supply,
        other_than=found.other_than.get(path, ()),
        direction=found.direction[path],
        visible=visible,
    )
