"""Grant to execution and back: redeem with the actual arguments, complete with how it ended.

1. Find the grant by its id and prove its token; an unknown one is refused without telling which was wrong.
2. Take the digest of the actual arguments, in the request that was granted.
3. Judge again where a fact is marked `recheck_at_redeem`, with that fact learned afresh (S6.2).
4. Under the append lock, where nobody else can redeem it meanwhile: state, expiry, policies, digest, obligations.
5. The record and the used grant are one transaction; only then may the executor act.

A refused redemption is recorded too. Whatever goes wrong on the way, the executor gets no `Redemption`.

Clauses: S6.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence, grant, intake, lever, meter, resolution, review
from demur.core.decision import decide
from demur.core.grant import Binding, Completion, GrantState, Objection, Redemption
from demur.core.record import Draft
from demur.core.refusal import Reason, Refusal, wanted
from demur.core.review import Review
from demur.core.terms import Category, Disposition, Outcome, to_json
from demur.errors import ForgottenError, IntakeError, LedgerError
from demur.steps import approving, denials, levers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demur.core.decision import Decision
    from demur.core.evidence import Kept
    from demur.core.record import Json, Sealed
    from demur.core.terms import Request, Timestamp, Value
    from demur.ports import GrantRow, Transaction
    from demur.steps.levers import Act
    from demur.steps.session import Session
    from demur.steps.world import Active, World

_bindings = msgspec.msgpack.Decoder(Binding)
_reviews = msgspec.msgpack.Decoder(Review)
_LASTS = {
    Completion.SUCCESS: GrantState.COMPLETED,
    Completion.FAILURE: GrantState.FAILED,
    Completion.UNKNOWN: GrantState.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt to redeem, as far as it can be examined outside the lock. `objection` is what was found so far."""

    grant_id: str
    arguments: dict[str, Value]
    action: bytes
    understands: frozenset[str]
    said: dict[str, object]
    """The arguments as the executor said them, which a meter sees too."""
    objection: Objection | None = None
    name: str = ""
    actor: str = ""
    """The action's name and the actor's pseudonym, by which stops cover it (S12)."""
    key: str = ""
    """The key of caller, subject and session, which may be quarantined (S6.2)."""
    key_id: str = ""
    """The key that the granted action is sealed under; erased in between, it is granted no more."""


def examine(
    world: World, active: Active, token: str, arguments: Mapping[str, Value], understands: Collection[str]
) -> Claim:
    """Steps 1 to 3. Never raises for what the executor brings; objections travel to the record."""
    grant_id = token.partition(".")[0][:64]
    row, sealed = world.store.read(lambda tx: _find(tx, grant_id))
    understood = frozenset(understands)
    if row is None or sealed is None or not _proves(row, token):
        return Claim("", {}, b"", understood, {}, grant.unknown_grant())
    binding = _bindings.decode(row.body)
    objection = grant.object_to(
        GrantState(row.state),
        row.expires_at,
        binding,
        now=world.clock.now(),
        action=binding.action,
        policy=active.digest,
    )
    if objection is not None:
        return Claim(grant_id, {}, b"", understood, {}, objection)
    try:
        kept = evidence.restore(world.vault.unseal(sealed), active.policies.schema)
        actual = msgspec.structs.replace(
            kept.request, arguments=intake.retype(kept.request.action, arguments, active.policies.schema)
        )
        digest = intake.digest(actual, active.policies.schema)
    except ForgottenError:
        return Claim(grant_id, {}, binding.action, understood, {}, grant.erased())
    except (IntakeError, LedgerError):
        return Claim(grant_id, {}, b"", understood, {})
    objection = _recheck(world, active, kept, actual, is_glass=bool(binding.break_glass))
    mark, actor = world.vault.blind_for(actual.subject.name, "action", digest), levers.actor_of(world, actual)
    key = denials.key_of(world, actual)
    said = {name: to_json(value) for name, value in arguments.items()}
    whose = sealed.key_id
    return Claim(grant_id, actual.arguments, mark, understood, said, objection, actual.action, actor, key, whose)


def redeem(session: Session, claim: Claim) -> Redemption | Refusal:
    """Steps 4 and 5, within one transaction."""
    tx = session.tx
    row = tx.find_grant(claim.grant_id) if claim.grant_id else None
    if row is None:
        return _refuse(session, claim.grant_id, claim.objection or grant.unknown_grant())
    binding = _bindings.decode(row.body)
    objection = (
        grant.object_to(
            GrantState(row.state),
            row.expires_at,
            binding,
            now=tx.now,
            action=claim.action,
            policy=session.active.digest,
        )
        or _object_to_levers(tx, claim, binding)
        or claim.objection
        or (grant.erased() if not session.world.vault.holds_key(claim.key_id) else None)
        or grant.object_to_obligations(binding.obligations, claim.understands)
    )
    if objection is not None:
        return _refuse(session, row.id, objection, action=claim.name)
    key = secrets.token_hex(meter.MARK_BYTES)
    members: dict[str, Json] = {
        "grant": row.id,
        "decision": row.sequence,
        "policy_version": session.active.digest,
        "mark": meter.mark(key, claim.name, claim.said),
        **({"key": claim.key} if claim.key else {}),
    }
    entry = tx.append(Draft("grant_redeemed", members))
    tx.put_grant(msgspec.structs.replace(row, state=GrantState.REDEEMED))
    tx.settle(row.id)
    _use_up(tx, binding)
    audit_id = f"{tx.log}/{entry.sequence}"
    return Redemption(grant_id=row.id, audit_id=audit_id, arguments=claim.arguments, mark_key=key)


def started(session: Session, grant_id: str) -> Refusal | None:
    """Record that an execution begins. `None` when done; a refusal where this grant has none to begin."""
    tx = session.tx
    row = tx.find_grant(grant_id)
    if row is None:
        return _refuse(session, "", grant.unknown_grant())
    objection = grant.object_to_start(GrantState(row.state))
    if objection is not None:
        return _refuse(session, row.id, objection)
    tx.append(Draft("grant_started", {"grant": row.id, "decision": row.sequence}))
    tx.put_grant(msgspec.structs.replace(row, state=GrantState.STARTED))
    return None


def complete(session: Session, grant_id: str, how: Completion) -> Refusal | None:
    """Record how an execution ended. `None` when done; a refusal where this grant has no execution to end (S6.3)."""
    tx = session.tx
    row = tx.find_grant(grant_id)
    if row is None:
        return _refuse(session, "", grant.unknown_grant())
    objection = grant.object_to_completion(GrantState(row.state))
    if objection is not None:
        return _refuse(session, row.id, objection)
    tx.append(Draft("grant_completed", {"grant": row.id, "decision": row.sequence, "status": how.value}))
    tx.put_grant(msgspec.structs.replace(row, state=_LASTS[how]))
    return None


def revoke(session: Session, grant_id: str, who: Act | None = None) -> Refusal | None:
    """Take back a grant that was not redeemed yet; its usage and its approvals are free again (S6.1)."""
    tx = session.tx
    row = tx.find_grant(grant_id)
    if row is None:
        return _refuse(session, "", grant.unknown_grant())
    if row.state != GrantState.LIVE:
        return _refuse(session, row.id, grant.object_to_revocation(GrantState(row.state)))
    by: dict[str, Json] = {"operator": who.operator} if who else {}
    tx.append(Draft("grant_revoked", {"grant": row.id, "decision": row.sequence, **by}, who.seal() if who else None))
    tx.put_grant(msgspec.structs.replace(row, state=GrantState.REVOKED))
    tx.release(row.id)
    return None


def _find(tx: Transaction, grant_id: str) -> tuple[GrantRow | None, Sealed | None]:
    row = tx.find_grant(grant_id)
    return row, tx.find_sealed(row.sequence) if row else None


def _proves(row: GrantRow, token: str) -> bool:
    return hmac.compare_digest(row.token_hash, hashlib.sha256(token.encode("utf-8", "replace")).digest())


def _object_to_levers(tx: Transaction, claim: Claim, binding: Binding) -> Objection | None:
    """Why an operator's lever keeps this grant from being redeemed now; `None` if none does (S12)."""
    standing = levers.current(tx)
    if standing.stop_of(claim.name, claim.actor) is not None:
        return lever.stopped()
    if claim.key and denials.is_held(tx, claim.key):
        return lever.quarantined()
    if binding.break_glass and not standing.is_open(binding.break_glass, tx.now):
        return lever.glass_ended()
    return None


def _recheck(world: World, active: Active, kept: Kept, actual: Request, *, is_glass: bool) -> Objection | None:
    """Judge the granted action again where the policies ask for it (S6.2)."""
    schema = active.policies.schema
    needs = active.policies.needs(actual.action, actual.resource.type)
    marked = {
        source: paths
        for source, wanted in needs.items()
        if (paths := tuple(path for path in wanted if path in schema.facts and schema.facts[path].recheck_at_redeem))
    }
    if not marked:
        return None
    now = world.clock.now()
    learned = kept.learned | dict(active.sources.learn(actual, marked, now))
    facts = resolution.fill(actual, active.layout, learned, now)
    decision = decide(resolution.with_approvals(facts, kept.approvals), active.policies)
    if decision.outcome is Outcome.ALLOW or (is_glass and lever.duties_of(decision) is not None):
        return None
    return _changed(decision, now)


def _changed(decision: Decision, now: Timestamp) -> Objection:
    return Objection(
        code="facts_changed",
        category=decision.category or Category.STATE_CONFLICT,
        disposition=Disposition.RETRY_AFTER,
        explanation=f"what this grant stood on no longer holds at {now}; ask again",
    )


def _use_up(tx: Transaction, binding: Binding) -> None:
    for review_id in binding.reviews:
        row = tx.find_review(review_id)
        if row is not None:
            approving.put_review(tx, row, review.execute(_reviews.decode(row.body)))


def _refuse(session: Session, grant_id: str, objection: Objection, *, action: str = "") -> Refusal:
    members: dict[str, Json] = {"code": objection.code, "refusal_category": objection.category.value}
    if grant_id:
        members["grant"] = grant_id
    entry = session.tx.append(Draft("grant_refused", members))
    reason, policies = Reason(objection.category, objection.disposition), session.active.policies
    return Refusal(
        reason=reason,
        shown=reason,
        audit_id=f"{session.tx.log}/{entry.sequence}",
        as_of=session.tx.now,
        policy_version=session.active.digest,
        detail=objection.explanation,
        bar=objection.bar,
        wanted=wanted(action, policies.schema) if action else "",
        locale=policies.documents.locale,
    )
