"""Standing approvals: granted by people, used under the append lock, given back, revoked and ended.

- They are one value of the store, read where an action would be deferred. What covers it joins the approvals by which
  it is judged again (S7.2).
- A use is counted in the transaction that writes the grant, as quotas are: no race uses one too often, and a grant that
  expires unredeemed or is revoked gives its use back (S4.2, S7.1).
- Each step is a record: `standing_opened`, `standing_agreed` for each further person of a quorum, `standing_used`,
  `standing_revoked`, `standing_expired`. Whom it is for, who granted it and why are sealed.
- Nothing here is made without a person's credential and reason (S7.4).

Clauses: S4.2, S5.5, S7.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence, lever, proposing, standing
from demur.core.precedent import Ruled
from demur.core.record import Draft
from demur.core.resolution import Approval
from demur.core.scope import ANY, Scope, check_scope, id_of, read_scope
from demur.core.standing import Book, Signer, Standing, StandingState
from demur.core.terms import NANOS, Timestamp
from demur.errors import ForgottenError, RulingError
from demur.ports import SpendRow
from demur.steps import precedents
from demur.steps.telling import News

if TYPE_CHECKING:
    from demur.core.grant import Grant
    from demur.core.policy.document import Rule
    from demur.core.policy.index import PolicySet
    from demur.core.record import Entry, Json, Sealed
    from demur.core.resolution import Facts
    from demur.core.review import Reviewer
    from demur.ports import Transaction, Vault
    from demur.steps.session import Judged, Session
    from demur.steps.world import World

META = "standing"
PROPOSED_DAYS, MOST_PROPOSED_USES = 30, 20
COUNTER = "standing.uses"
PREFIX = "standing/"
"""How the id of a standing approval is told from that of a review, where approvals are kept with a decision."""
_encode = msgspec.msgpack.Encoder().encode
_decode = lru_cache(maxsize=8)(msgspec.msgpack.Decoder(Book).decode)
_scopes = msgspec.json.Decoder(dict[str, object])


@dataclass(frozen=True, slots=True)
class Marks:
    """`standing.Marker` by the keys of the log and of subjects."""

    vault: Vault

    def subject(self, name: str) -> str:
        return self.vault.blind_for(name, META).hex()

    def text(self, kind: str, text: str) -> str:
        return self.vault.blind(META, kind, text).hex()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One standing approval for those who may see it; `scope` is `None` where the subject or a granter was erased."""

    standing: Standing
    state: StandingState
    used: int
    scope: Scope | None
    granted_by: tuple[str, ...]
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """For the CLI, HTTP and consoles."""
        one = self.standing
        return {
            "standing_id": one.id,
            "status": self.state.value,
            "policy": one.rule,
            "scope": None if self.scope is None else self.scope.to_dict(),
            "uses": one.uses,
            "used": self.used,
            "needed": {"role": one.role, "quorum": one.quorum},
            "granted_by": list(self.granted_by),
            "reasons": list(self.reasons),
            "opened_at": str(one.opened_at),
            "expires_at": str(one.expires_at),
        }


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A standing approval that a person might grant, derived from precedents. Nothing was made by proposing it."""

    scope: Scope
    words: dict[str, str]
    """Why each argument is bounded so, by path."""
    approved: int
    denied: int
    """Cases within that people approved, and that they denied."""
    covers_review: bool
    """Whether the review that was asked about lies within."""

    def to_dict(self) -> dict[str, object]:
        """For the CLI, HTTP and consoles."""
        return {
            "scope": self.scope.to_dict(),
            "explanations": dict(self.words),
            "approved_within": self.approved,
            "denied_within": self.denied,
            "covers_review": self.covers_review,
        }


def read(tx: Transaction) -> Book:
    """All standing approvals, those included that have ended by themselves since anybody looked."""
    raw = tx.find_meta(META)
    return standing.NONE if raw is None else _decode(raw)


def open_(session: Session, reviewer: Reviewer, scope: Scope, reason: str) -> Standing:
    """Open one, granted by its first person; raises `RulingError` where it is unsound or that person may not."""
    tx, world, schema = session.tx, session.world, session.active.policies.schema
    end_due(tx)
    book = read(tx)
    if len(book.items) >= standing.MAX_LIVE:
        raise RulingError(f"expected at most {standing.MAX_LIVE} standing approvals, found as many")
    rule = _rule(session.active.policies, scope.rule)
    if rule is None:
        raise RulingError(f"expected a rule that is in force, found `{scope.rule[:80]}`")
    panel = check_scope(scope, schema, rule, tx.now)
    marks = Marks(world.vault)
    opened = standing.close(scope, rule, panel, marks, standing_id=secrets.token_hex(8), now=tx.now)
    people = {id_of(name) for name in (scope.subject, scope.actor)}
    signed = standing.sign(opened, _signer(session, reviewer), reviewer, barred=people, now=tx.now)
    about = scope.subject if not scope.subject.endswith(ANY) else f"reviewer:{reviewer.name}"
    told = msgspec.json.encode(scope.to_dict())
    members: dict[str, Json] = {"rule": evidence.token(rule.id), "digest": rule.digest, "uses": scope.uses}
    members |= {"action": evidence.token(scope.action), "until": str(scope.expires_at)}
    _sign_record(session, "standing_opened", signed, members, _seal(world, reviewer, reason, {"scope": (about, told)}))
    _put(tx, book.with_(signed))
    return signed


def agree(session: Session, reviewer: Reviewer, standing_id: str, reason: str) -> Standing:
    """Grant one that somebody else opened; raises `RulingError` where that person may not, or not any more."""
    tx, world, policies = session.tx, session.world, session.active.policies
    end_due(tx)
    book = read(tx)
    found = book.find(standing_id)
    rule = _rule(policies, found.rule)
    if found.state_at(tx.now, digest=rule.digest if rule else None) is StandingState.VOID:
        raise RulingError(f"the rule `{found.rule}` has changed, so this is worth nothing", hint="open another")
    scope = _scope(world.vault, tx, found)
    if scope is None:
        raise RulingError("expected to know whom this is for, found that it was erased, so nobody may grant it")
    people = {id_of(name) for name in (scope.subject, scope.actor)}
    signed = standing.sign(found, _signer(session, reviewer), reviewer, barred=people, now=tx.now)
    _sign_record(session, "standing_agreed", signed, {}, _seal(world, reviewer, reason, {}))
    _put(tx, book.with_(signed))
    return signed


def revoke(session: Session, reviewer: Reviewer, standing_id: str, reason: str) -> Standing:
    """End one before its time; anybody who could grant it may, and so may an operator. Raises `RulingError`.

    A grant that was given on it stands for the seconds that it lives.
    """
    tx = session.tx
    end_due(tx)
    book = read(tx)
    found = book.find(standing_id)
    if reviewer.roles.isdisjoint({found.role, lever.ROLE}):
        raise RulingError(f"expected the role `{found.role}` or `{lever.ROLE}`, found `{reviewer.name}` without it")
    ended = msgspec.structs.replace(found, state=StandingState.REVOKED)
    members: dict[str, Json] = {"standing": found.id, "reviewer": _pseudonym(session.world, reviewer)}
    members["used"] = used(tx, found)
    tx.append(Draft("standing_revoked", members, _seal(session.world, reviewer, reason, {})))
    _put(tx, book.without(ended))
    session.news.append(News("governance.standing.revoked", found.id, dict(members)))
    return ended


def end_due(tx: Transaction) -> int:
    """Record those that have ended by themselves, each once; how many there were."""
    book = read(tx)
    due = [one for one in book.items if tx.now >= one.expires_at]
    for one in due:
        members: dict[str, Json] = {"standing": one.id, "until": str(one.expires_at), "used": used(tx, one)}
        tx.append(Draft("standing_expired", members))
        book = book.without(msgspec.structs.replace(one, state=StandingState.EXPIRED))
    if due:
        _put(tx, book)
    return len(due)


def propose(tx: Transaction, vault: Vault, policies: PolicySet, review_id: str) -> Proposal:
    """What could be approved in advance, going by what people approved of cases like this one.

    For the review's own subject and actor alone. Raises `RulingError` where there is no such review, its rule has
    changed, or too little was approved.
    """
    found = precedents.look(tx, vault, policies, review_id)
    if found is None:
        raise RulingError(f"there is no review `{review_id[:64]}` that can be read")
    rules = (_rule(policies, panel.rule) for panel in found.review.panels)
    asked = {(panel.rule, panel.digest) for panel in found.review.panels}
    rule = next((one for one in rules if one is not None and (one.id, one.digest) in asked), None)
    if rule is None or rule.panel is None:
        raise RulingError("expected a review of a rule that is in force, found one whose rule has changed")
    same = [one for one in found.decided if any(panel.rule == rule.id for panel in one.review.panels)]
    approved = [one.case for one in same if one.ruled is Ruled.APPROVED]
    if len(approved) < proposing.LEAST:
        raise RulingError(
            f"expected at least {proposing.LEAST} cases like this that were approved, found {len(approved)}",
            hint="a standing approval can still be granted with bounds of your own",
        )
    declared = policies.schema.actions.get(found.case.action)
    secret = [fact.path for fact in (declared.arguments if declared else ()) if fact.secret]
    bounds = proposing.propose(approved, [one.case for one in same if one.ruled is Ruled.DENIED], secret)
    subject, actor = found.people
    scope = Scope(
        rule=rule.id,
        action=found.case.action,
        resource_type=found.case.resource_type,
        subject=subject,
        actor=actor,
        arguments=bounds.arguments,
        uses=min(bounds.approved, MOST_PROPOSED_USES) or 1,
        expires_at=Timestamp(tx.now.plus(PROPOSED_DAYS * 86_400).seconds * NANOS),
    )
    is_covered = proposing.is_within(bounds.arguments, found.case)
    return Proposal(
        scope=scope, words=bounds.words, approved=bounds.approved, denied=bounds.denied, covers_review=is_covered
    )


def approvals(session: Session, facts: Facts) -> tuple[Approval, ...]:
    """The standing approvals that cover this request and can be used now, each as the approval of one rule."""
    book = read(session.tx)
    if not book.items:
        return ()
    marks, policies = Marks(session.world.vault), session.active.policies
    return tuple(
        Approval(f"{PREFIX}{one.id}", ((one.rule, one.digest),))
        for one in book.items
        if (rule := _rule(policies, one.rule)) is not None
        and one.state_at(session.tx.now, digest=rule.digest) is StandingState.LIVE
        and standing.covers(one, facts.request, marks)
        and used(session.tx, one) < one.uses
    )


def use(session: Session, judged: Judged, grant: Grant, entry: Entry) -> None:
    """Count the standing approvals that this grant stands on, and record each use; part of the grant's transaction.

    One is used for each rule that no approval of the very action satisfies.
    """
    given = judged.facts.approvals
    if not any(one.review_id.startswith(PREFIX) for one in given):
        return
    exact = {rule for one in given if not one.review_id.startswith(PREFIX) for rule, _ in one.rules}
    open_rules = set(judged.decision.satisfied) - exact
    tx = session.tx
    for approval in given:
        (rule, _), *_ = approval.rules
        if approval.review_id.startswith(PREFIX) and rule in open_rules:
            open_rules.discard(rule)
            found = read(tx).find(approval.review_id.removeprefix(PREFIX))
            count = used(tx, found) + 1
            tx.spend(SpendRow(COUNTER, found.id.encode(), judged.facts.now, 1, grant.id, grant.expires_at))
            members: dict[str, Json] = {"standing": found.id, "decision": entry.sequence, "grant": grant.id}
            tx.append(Draft("standing_used", {**members, "use": count, "uses": found.uses}))
            session.news.append(News("governance.standing.used", found.id, {**members, "use": count}))


def used(tx: Transaction, one: Standing) -> int:
    """How many grants stand on it that were redeemed or still live."""
    return tx.usage(COUNTER, one.id.encode(), one.opened_at).count


def describe(tx: Transaction, vault: Vault, policies: PolicySet) -> tuple[Told, ...]:
    """All that are kept, the oldest first, then those that ended last, with names as far as they can be unsealed."""
    told = []
    for one in (*(book := read(tx)).items, *book.ended):
        rule, count = _rule(policies, one.rule), used(tx, one)
        signed = [_unsealed(vault, tx, signer.sequence) for signer in one.signers]
        told.append(
            Told(
                standing=one,
                state=one.state_at(tx.now, used=count, digest=rule.digest if rule else None),
                used=count,
                scope=_scope(vault, tx, one),
                granted_by=tuple(fields.get("reviewer", b"").decode(errors="replace") for fields in signed),
                reasons=tuple(fields.get("reason", b"").decode(errors="replace") for fields in signed),
            )
        )
    return tuple(told)


def _rule(policies: PolicySet, name: str) -> Rule | None:
    try:
        return policies.rule(name)
    except KeyError:
        return None


def _signer(session: Session, reviewer: Reviewer) -> Signer:
    world = session.world
    own = Marks(world.vault).text("own", reviewer.name)
    return Signer(_pseudonym(world, reviewer), own, session.tx.now, session.tx.head.size)


def _pseudonym(world: World, reviewer: Reviewer) -> str:
    return world.mark(f"reviewer:{reviewer.name}", "reviewer")


def _seal(world: World, reviewer: Reviewer, reason: str, others: dict[str, tuple[str, bytes]]) -> Sealed:
    fields = {"reviewer": reviewer.name.encode(), "reason": reason.encode()}
    return world.vault.seal(f"reviewer:{reviewer.name}", "", fields, others)


def _sign_record(session: Session, kind: str, signed: Standing, members: dict[str, Json], sealed: Sealed) -> None:
    told: dict[str, Json] = {
        "standing": signed.id,
        **members,
        "reviewer": signed.signers[-1].person,
        "granted": len(signed.signers),
        "quorum": signed.quorum,
        "state": signed.state.value,
    }
    session.tx.append(Draft(kind, told, sealed))
    session.news.append(News(f"governance.{kind.replace('_', '.')}", signed.id, dict(told)))


def _put(tx: Transaction, book: Book) -> None:
    tx.put_meta(META, _encode(book))


def _scope(vault: Vault, tx: Transaction, one: Standing) -> Scope | None:
    """What it is about, in words; `None` where that was destroyed."""
    fields = _unsealed(vault, tx, one.sequence)
    if "scope" not in fields:
        return None
    return read_scope(_scopes.decode(fields["scope"]))


def _unsealed(vault: Vault, tx: Transaction, sequence: int) -> dict[str, bytes]:
    sealed = tx.find_sealed(sequence)
    try:
        return vault.unseal(sealed) if sealed else {}
    except ForgottenError:
        return {}
