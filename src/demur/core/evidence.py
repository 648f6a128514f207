"""What is kept of one decision: the members of its record, and the sealed fields from which it can be judged again.

- The record says what was decided and by which rules, in tokens, hashes and pseudonyms (S5.4, S5.5).
- The sealed fields hold the request, the learned facts, the approvals and the answer, for the reviewer, for an
  idempotent repetition (S1.4) and for replay (S3.7).
- Secret arguments and secret facts are in neither. A decision that had some cannot be judged again; it says so (S1.5).

Clauses: S1.4, S1.5, S3.7, S5.4, S5.5.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

from demur.core import intake
from demur.core.conform import conform
from demur.core.grant import Grant
from demur.core.refusal import Refusal, secrets
from demur.core.resolution import Approval, Facts, Learned
from demur.core.review import Deferral
from demur.core.terms import Entity, Missing, Outcome, Request, Timestamp, Value, parse_timestamp, to_json
from demur.errors import ForgottenError, IntakeError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.decision import Decision
    from demur.core.record import Json
    from demur.core.schema import Schema

Answer: TypeAlias = Union[Grant, Refusal, Deferral]
"""Exactly one of these leaves the gate."""

ACTOR = "actor"
"""The sealed field of whoever acted, where that is not the subject: of another person, so under another key."""
MAX_NAMED = 32
"""How many determining rules a record names; it always says how many there were."""

_TOKEN = re.compile(r"[a-z0-9_.-]{1,64}(?:[/:][a-z0-9_.-]{1,64}){0,7}", re.ASCII)
_TRACE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_json = msgspec.json.Encoder().encode
_encode = msgspec.msgpack.Encoder().encode
_raw = msgspec.Raw


class _Answered(msgspec.Struct, frozen=True, array_like=True):
    """An answer as sealed: its kind, itself, and the granted arguments as JSON."""

    outcome: Outcome
    answer: msgspec.Raw
    granted: bytes


class _Id(msgspec.Struct):
    id: str


class _People(msgspec.Struct):
    subject: _Id
    actor: _Id
    caller: str


_answers = msgspec.msgpack.Decoder(_Answered)
# What a type looks like is worked out once, here, before threads could do it at the same moment.
msgspec.json.Decoder(_People)
_DECODERS: dict[
    Outcome, msgspec.msgpack.Decoder[Grant] | msgspec.msgpack.Decoder[Refusal] | msgspec.msgpack.Decoder[Deferral]
] = {
    Outcome.ALLOW: msgspec.msgpack.Decoder(Grant),
    Outcome.DENY: msgspec.msgpack.Decoder(Refusal),
    Outcome.DEFER: msgspec.msgpack.Decoder(Deferral),
}


class Pseudonyms(msgspec.Struct, frozen=True):
    """Whom a record names without naming anybody."""

    subject: str
    actor: str
    caller: str
    session: str = ""


class Kept(msgspec.Struct, frozen=True):
    """A decision, read back from its sealed fields."""

    request: Request
    learned: dict[str, Learned]
    approvals: tuple[Approval, ...]
    now: Timestamp
    withheld: tuple[str, ...]
    """Names of secret arguments and facts that were judged but not kept."""
    answer: Answer
    understands: frozenset[str] | None = None
    """The obligation types that the caller was registered for (S6.4)."""


def body(facts: Facts, decision: Decision, answer: Answer, schema: Schema, people: Pseudonyms) -> dict[str, Json]:
    """The members of a decision's record under the names of S5.4."""
    request = facts.request
    members: dict[str, Json] = {
        "action_intent": {"action": token(request.action) if request.action in schema.actions else "undeclared"},
        "requesting_entity": {"subject": people.subject, "actor": people.actor, "caller": people.caller},
        "outcome": (answer.outcome if isinstance(answer, Refusal) else decision.outcome).value,
        "policies_evaluated": {
            "count": len(decision.determining),
            "determining": [token(rule) for rule in decision.determining[:MAX_NAMED]],
        },
        "policy_version": decision.policy_digest,
        "decision_reasoning": _reasoning(decision),
        "remediation_offered": _has_offer(answer),
        "escalation_triggered": isinstance(answer, Deferral),
        "as_of": str(decision.as_of),
    }
    optional: dict[str, str] = {
        "trace_id": request.trace_id if _TRACE.fullmatch(request.trace_id) else "",
        "session_context": people.session,
        "triggering_policy": token(decision.trigger) if decision.trigger else "",
        "refusal_category": decision.category.value if decision.category else "",
        "grant": answer.id if isinstance(answer, Grant) else "",
        "grant_expires_at": str(answer.expires_at) if isinstance(answer, Grant) else "",
        "review": answer.review_id if isinstance(answer, Deferral) else "",
    }
    return members | {name: text for name, text in optional.items() if text}


def fields(facts: Facts, schema: Schema, answer: Answer, learned: Mapping[str, Learned]) -> dict[str, bytes]:
    """What is sealed with a decision. The grant's token is in none of it."""
    granted = _visible(answer.arguments, secrets(facts.request, schema)) if isinstance(answer, Grant) else {}
    answered = _Answered(answer.outcome, _raw(_encode(_strip(answer))), _json(granted))
    return judged_from(facts, schema, learned) | {"answer": _encode(answered)}


def judged_from(facts: Facts, schema: Schema, learned: Mapping[str, Learned]) -> dict[str, bytes]:
    """The request and everything it was judged by, without what was answered."""
    request = facts.request
    secret = secrets(request, schema)
    secret_facts = tuple(path for path in learned if path in schema.facts and schema.facts[path].secret)
    kept = {path: _learned(item) for path, item in learned.items() if path not in secret_facts}
    approvals = [[item.review_id, [list(rule) for rule in item.rules]] for item in facts.approvals]
    understood = {} if facts.understands is None else {"understands": sorted(facts.understands)}
    acting = {} if request.actor == request.subject else {ACTOR: _json(_entity(request.actor))}
    return acting | {
        "request": _json(_request(request, secret)),
        "facts": _json(
            {"now": str(facts.now), "learned": kept, "approvals": approvals, "withheld": [*secret, *secret_facts]}
            | understood
        ),
    }


def restore(sealed: Mapping[str, bytes], schema: Schema) -> Kept:
    """The decision again; raises `LedgerError` where the fields do not fit the schema that they were judged under."""
    try:
        plain = request_of(sealed)
        facts = msgspec.json.decode(sealed["facts"])
        withheld = tuple(facts["withheld"])
        understands = frozenset(facts["understands"]) if "understands" in facts else None
        request = _restore_request(plain, schema)
        learned = {path: _restore_learned(path, item, schema) for path, item in facts["learned"].items()}
        answer = answer_of(sealed, schema)
        now = parse_timestamp(facts["now"])
    except (KeyError, TypeError, ValueError, msgspec.DecodeError, IntakeError) as error:
        message = f"the sealed fields of a decision cannot be read: {error}"
        raise LedgerError(message) from error
    approvals = tuple(
        Approval(review_id, tuple((rule, mark) for rule, mark in rules)) for review_id, rules in facts["approvals"]
    )
    return Kept(request, learned, approvals, now, withheld, answer, understands)


@lru_cache(maxsize=4_096)
def token(name: str) -> str:
    """The name where it is a token, else a digest of it: what policies declare is nobody's personal data."""
    return name if _TOKEN.fullmatch(name) else "x:" + hashlib.sha256(name.encode()).hexdigest()[:32]


def _has_offer(answer: Answer) -> bool:
    refused = answer.refusal if isinstance(answer, Deferral) else answer
    remedies = refused.remedies if isinstance(refused, Refusal) else None
    return remedies is not None and bool(remedies.repairs or remedies.alternatives)


def _reasoning(decision: Decision) -> dict[str, Json]:
    beyond: dict[str, Json] = {"not_understood": [token(name) for name in decision.beyond[:MAX_NAMED]]}
    return (beyond if decision.beyond else {}) | {
        "permits": [token(rule) for rule in decision.permits[:MAX_NAMED]],
        "reviews": [token(rule) for rule in decision.reviews[:MAX_NAMED]],
        "satisfied": [token(rule) for rule in decision.satisfied[:MAX_NAMED]],
        "missing": [token(path) for path in decision.missing[:MAX_NAMED]],
        "faults": [token(rule) for rule, _ in decision.faults[:MAX_NAMED]],
    }


def _request(request: Request, secret: tuple[str, ...]) -> dict[str, object]:
    model = request.model
    return {
        "subject": _entity(request.subject),
        **({ACTOR: _entity(request.actor)} if request.actor == request.subject else {}),
        "action": {"name": request.action, "properties": to_json(_visible(request.arguments, secret))},
        "resource": _entity(request.resource),
        "context": to_json(request.context),
        "caller": request.caller,
        **{
            name: value
            for name, value in (
                ("session", request.session),
                ("trace_id", request.trace_id),
                ("request_id", request.request_id),
                ("model", {"name": model.name, "version": model.version or "-"} if model else ""),
            )
            if value
        },
    }


def _entity(entity: Entity) -> dict[str, object]:
    return {"type": entity.type, "id": entity.id, "properties": to_json(entity.properties)}


def _visible(arguments: Mapping[str, Value], secret: tuple[str, ...]) -> dict[str, Value]:
    return {name: value for name, value in arguments.items() if name not in secret} if secret else dict(arguments)


def _learned(item: Learned) -> dict[str, object]:
    known: dict[str, object] = {"at": str(item.at)}
    if isinstance(item.state, Missing):
        known["state"] = item.state.value
    else:
        known["value"] = to_json(item.state)
    return known | ({"why": item.why} if item.why else {})


def _restore_request(plain: dict[str, object], schema: Schema) -> Request:
    caller = str(plain["caller"])
    return intake.read(plain, schema, caller=intake.Caller(caller), complete=False)


def _restore_learned(path: str, item: dict[str, object], schema: Schema) -> Learned:
    at, why = parse_timestamp(str(item["at"])), str(item.get("why", ""))
    if "state" in item:
        return Learned(Missing(item["state"]), at, why)
    slot = next((slot for slot in schema.slots if slot.path == path), None)
    if slot is None:
        message = f"the fact `{path}` is not declared"
        raise ValueError(message)
    return Learned(conform(item["value"], slot.type), at, why)


def _strip(answer: Answer) -> Answer:
    """The answer without what is not known yet, derived again, or kept apart: audit id, token, arguments."""
    match answer:
        case Grant():
            return msgspec.structs.replace(answer, token="", audit_id="", arguments={})
        case Refusal():
            return msgspec.structs.replace(answer, audit_id="")
        case Deferral():
            return msgspec.structs.replace(answer, refusal=msgspec.structs.replace(answer.refusal, audit_id=""))


def stamped(answer: Answer, audit_id: str, token_text: str) -> Answer:
    """The answer with the place of its record, and a grant with its token."""
    match answer:
        case Grant():
            return msgspec.structs.replace(answer, audit_id=audit_id, token=token_text)
        case Refusal():
            return msgspec.structs.replace(answer, audit_id=audit_id)
        case Deferral():
            return msgspec.structs.replace(answer, refusal=msgspec.structs.replace(answer.refusal, audit_id=audit_id))


def with_checkpoint(answer: Answer, checkpoint: str) -> Answer:
    """The answer with the newest checkpoint, as it leaves: neither kept with the record nor compared (S1.4)."""
    match answer:
        case Grant() | Refusal():
            return msgspec.structs.replace(answer, checkpoint=checkpoint)
        case Deferral():
            refused = msgspec.structs.replace(answer.refusal, checkpoint=checkpoint)
            return msgspec.structs.replace(answer, refusal=refused)


def answer_of(sealed: Mapping[str, bytes], schema: Schema) -> Answer:
    """The answer again, for an idempotent repetition; raises `LedgerError` where it cannot be read."""
    try:
        stored = _answers.decode(sealed["answer"])
        answer = _DECODERS[stored.outcome].decode(stored.answer)
        if isinstance(answer, Grant):
            granted = intake.retype(answer.action, msgspec.json.decode(stored.granted), schema)
            return msgspec.structs.replace(answer, arguments=granted)
    except (KeyError, ValueError, msgspec.DecodeError, IntakeError) as error:
        message = f"the sealed answer of a decision cannot be read: {error}"
        raise LedgerError(message) from error
    return answer


def people_of(sealed: Mapping[str, bytes]) -> frozenset[str]:
    """The ids of everybody who asked for an action or is acted for, none of whom may rule on it (S7.2)."""
    people = msgspec.convert(request_of(sealed), _People)
    return frozenset({people.subject.id, people.actor.id, people.caller})


def request_of(sealed: Mapping[str, bytes]) -> dict[str, object]:
    """The request as kept, with whoever acted; raises `ForgottenError` where that person was erased."""
    request = msgspec.json.decode(sealed["request"], type=dict[str, object])
    if ACTOR in sealed:
        return request | {ACTOR: msgspec.json.decode(sealed[ACTOR])}
    if ACTOR not in request:
        raise ForgottenError("whoever acted was erased")
    return request
