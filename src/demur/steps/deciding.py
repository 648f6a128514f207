"""Request to answer: prepare outside the lock, judge and write within it.

- `prepare` does everything that needs no history: intake, the facts that candidate rules read, one instant.
- `judge` runs under the append lock. It answers an id seen before with its stored answer (S1.4), reads usage facts
  there, so that quotas are exact under any concurrency (S4.2), and writes record, grant or review together (S5.1).
- An approval is looked up only for an action that would be deferred, and is judged again as a fact (S7.2).
- What a stop covers, and whoever is quarantined, is refused before anything else. What is denied behind broken glass is
  granted beside its denial.
- A "no" learns what it repeats before its record is written, and is remembered after it.

Clauses: S1.4, S3, S4, S5.1, S6.1, S7.1, S8, S12.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from demur import noise
from demur.core import evidence, intake, lever, resolution, usage
from demur.core import grant as grants
from demur.core import review as reviews
from demur.core.decision import Decision, decide
from demur.core.desk.shedding import Overload
from demur.core.grant import Binding, Grant, GrantState
from demur.core.policy.duties import NONE
from demur.core.record import Draft
from demur.core.refusal import refuse, turned_away
from demur.core.resolution import Facts, Learned
from demur.core.review import Deferral, Review
from demur.core.schema import DESK
from demur.core.terms import Missing, Outcome, Request, to_json
from demur.errors import IntakeError
from demur.ports import GrantRow, RequestRow, ReviewRow, SpendRow
from demur.steps import approving, denials, levers, mending, opening, queue, standing, superseding
from demur.steps.session import Judged, Prepared
from demur.steps.telling import News

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.evidence import Answer
    from demur.core.intake import Caller
    from demur.core.lever import Opening
    from demur.core.policy.duties import Duties
    from demur.core.record import Entry, Json
    from demur.core.refusal import Refusal
    from demur.core.terms import Timestamp
    from demur.steps.denials import Recalled
    from demur.steps.session import Session
    from demur.steps.world import Active, World

USAGE = "usage"
"""The source name of the facts that Demur counts itself."""
_OURS = (USAGE, DESK)
_encode = msgspec.msgpack.Encoder().encode
_reviews = msgspec.msgpack.Decoder(Review)


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed request, and the paths that its candidate rules need, by source."""

    request: Request
    wanted: dict[str, tuple[str, ...]]
    history: tuple[str, ...]
    is_slow: bool
    """Some of these sources may keep a caller waiting."""
    understands: frozenset[str] | None = None
    """The obligation types that the caller is registered for (S6.4)."""


def ask(active: Active, raw: bytes | str | Mapping[str, object], caller: Caller) -> Asked:
    """Step 1; raises `IntakeError`."""
    request = intake.read(raw, active.policies.schema, caller=caller)
    return about(active, request, caller.understands)


def about(active: Active, request: Request, understands: frozenset[str] | None) -> Asked:
    """The same for a request that was read before."""
    needs = active.policies.needs(request.action, request.resource.type)
    wanted = {source: tuple(paths) for source, paths in needs.items() if source not in _OURS}
    is_slow = not active.slow.isdisjoint(wanted)
    history = tuple(path for source in _OURS for path in needs.get(source, ()))
    return Asked(request, wanted, history, is_slow, understands)


def prepare(world: World, active: Active, asked: Asked) -> Prepared:
    """Step 2. Sources that fail or are slow leave their facts unknown."""
    now = world.clock.now()
    learned = dict(active.sources.learn(asked.request, asked.wanted, now)) if asked.wanted else {}
    facts = resolution.fill(asked.request, active.layout, learned, now)
    facts = resolution.with_understood(facts, asked.understands)
    if asked.history:
        return Prepared(asked.request, facts, learned, asked.history)
    decision = decide(facts, active.policies)
    return Prepared(asked.request, facts, learned, (), mending.mend(active, decision), decision)


def judge(session: Session, prepared: Prepared) -> Answer:
    """Steps 3 to 5, within one transaction; raises `IntakeError` where the request id was used for another action."""
    request, vault, tx = prepared.request, session.world.vault, session.tx
    for bar in (levers.block, denials.block):
        if (blocked := bar(session.world, session.active, tx, prepared.facts)) is not None:
            return blocked
    if not request.request_id:
        answer, _ = _write(session, judged(session, prepared))
        return answer
    key = vault.blind("request", request.caller, request.request_id)
    mark = vault.blind_for(request.subject.name, "digest", request.digest)
    row = tx.find_request(key)
    if row is not None:
        return _repeated(session, row, mark, prepared.facts.understands)
    answer, entry = _write(session, judged(session, prepared))
    tx.put_request(RequestRow(key, mark, entry.sequence))
    return answer


def token_of(world: World, grant_id: str) -> str:
    """The proof that goes with a grant. It is derived, so that it is stored nowhere and can still be given again."""
    return f"{grant_id}.{world.vault.blind('grant-token', grant_id).hex()}"


def _repeated(session: Session, row: RequestRow, mark: bytes, understands: frozenset[str] | None) -> Answer:
    sealed = session.tx.find_sealed(row.sequence)
    if sealed is None or not sealed.ciphertext or not session.world.vault.holds_key(sealed.key_id):
        raise IntakeError("/request_id", expected="an id whose answer is still kept", found="one that was erased")
    if row.digest != mark:
        raise IntakeError(
            "/request_id",
            expected="the action that this id was first used for",
            found="another action",
            hint="use a fresh request id for every new action",
        )
    answer = evidence.answer_of(session.world.vault.unseal(sealed), session.active.policies.schema)
    if isinstance(answer, Grant):
        grants.check_repeated(answer, understands)
    token = token_of(session.world, answer.id) if isinstance(answer, Grant) else ""
    return evidence.stamped(answer, f"{session.tx.log}/{row.sequence}", token)


def judged(session: Session, prepared: Prepared) -> Judged:
    """The decision, with the history that stands under the lock, and with approvals where it would be deferred."""
    facts, learned = prepared.facts, prepared.learned
    if prepared.history:
        counted = {path: Learned(_count(session, path, facts), facts.now) for path in prepared.history}
        learned = learned | counted
        facts = resolution.with_learned(facts, session.active.layout, counted)
    first, policies, narrowed = prepared.decision, session.active.policies, NONE
    is_same = first is not None and first.facts is facts and first.policy_set is policies
    decision = first if first is not None and is_same else decide(facts, policies)
    if decision.outcome is Outcome.DEFER:
        rejudge = partial(_rejudge, session, learned)
        if (standing := approving.stand(session, facts, rejudge, tuple(learned))) is not None:
            facts, decision, narrowed = standing
    if decision.outcome is Outcome.ALLOW or facts is prepared.facts:
        return Judged(facts, decision, learned, prepared.remedies, narrowed)
    return Judged(facts, decision, learned, mending.mend(session.active, decision, partial(_recount, session, facts)))


def _rejudge(session: Session, learned: Mapping[str, Learned], facts: Facts, request: Request) -> Decision:
    """The decision about a changed request, by the same facts and approvals, its history counted again."""
    changed = resolution.fill(request, session.active.layout, learned, facts.now)
    counters = session.active.policies.schema.counters
    counted = {path: Learned(_count(session, path, changed), facts.now) for path in learned if path in counters}
    changed = resolution.with_learned(changed, session.active.layout, counted)
    changed = resolution.with_approvals(resolution.with_understood(changed, facts.understands), facts.approvals)
    return decide(changed, session.active.policies)


def _recount(session: Session, facts: Facts, path: str, request: Request) -> int | Missing:
    """A counter for a changed request, which may name another whom it counts."""
    changed = resolution.fill(request, session.active.layout, {}, facts.now)
    return _count(session, path, changed)


def _count(session: Session, path: str, facts: Facts) -> int | Missing:
    counters = session.active.policies.schema.counters
    if path not in counters:
        return queue.fact(session, path)
    world, counter = session.world, counters[path]
    whom = usage.key(counter, facts, session.active.slots)
    if whom is None:
        return Missing.UNKNOWN
    start = usage.since(counter.window, facts.now, world.zones.offset)
    found = session.tx.usage(path, world.vault.blind(USAGE, path, *whom), start)
    return found.total if counter.adds else found.count


def _write(session: Session, judged: Judged) -> tuple[Answer, Entry]:
    """The answer, its record and its row: one transaction."""
    match judged.decision.outcome:
        case Outcome.ALLOW:
            ties = approving.ties_of(judged.decision, judged.narrowed)
            grant = _grant(judged, ties)
            entry = _record(session, judged, grant)
            token = token_of(session.world, grant.id)
            granted = msgspec.structs.replace(grant, audit_id=_audit_id(session, entry), token=token)
            _put_grant(session, judged, granted, entry, ties)
            superseding.supersede(session, judged, entry)
            return granted, entry
        case Outcome.DEFER:
            return _defer(session, judged)
        case Outcome.DENY | Outcome.UNAVAILABLE:
            refusal, recalled = _refuse(session, judged)
            entry = _record(session, judged, refusal)
            superseding.supersede(session, judged, entry)
            glass = levers.opening_for(session.world, session.tx, judged.facts.request)
            if glass is not None and (duties := lever.duties_of(judged.decision)) is not None:
                return _break_glass(session, judged, entry, glass, duties)
            session.news.extend(denials.note(session.world, session.active, session.tx, recalled, refusal, entry))
            return evidence.stamped(refusal, _audit_id(session, entry), ""), entry


def _defer(session: Session, judged: Judged) -> tuple[Answer, Entry]:
    """The deferral and its review; or, where too many wait for people already, a deny that says when to ask again."""
    found = opening.review(session, judged)
    refused, recalled = _refuse(session, judged)
    if isinstance(found, Overload):
        refused = turned_away(refused, found.again)
        entry = _record(session, judged, refused, shed=found.to_dict())
        session.news.extend(denials.note(session.world, session.active, session.tx, recalled, refused, entry))
        return evidence.stamped(refused, _audit_id(session, entry), ""), entry
    review, is_open = found
    deferral = Deferral(review_id=review.id, deadline=review.deadline, estimated=review.estimated, refusal=refused)
    entry = _record(session, judged, deferral)
    session.news.extend(denials.note(session.world, session.active, session.tx, recalled, refused, entry))
    if not is_open:
        opening.put(session, judged, review, entry)
    superseding.supersede(session, judged, entry, kept=review.id)
    return evidence.stamped(deferral, _audit_id(session, entry), ""), entry


def _refuse(session: Session, judged: Judged) -> tuple[Refusal, Recalled]:
    """The "no", and what it repeats (S8)."""
    refused = refuse(judged.decision, judged.remedies)
    return denials.recall(session.world, session.active, session.tx, judged.facts, judged.learned, refused)


def _break_glass(
    session: Session, judged: Judged, denied: Entry, glass: Opening, duties: Duties
) -> tuple[Grant, Entry]:
    """What the policies denied, as record `denied` says, is granted; the use is a record and waits for review (S12)."""
    world, tx = session.world, session.tx
    review = reviews.open_afterwards(secrets.token_hex(8), now=tx.now, opened_by=glass.operator)
    plain = _grant(judged, duties)
    grant = msgspec.structs.replace(
        plain,
        obligations=(*plain.obligations, lever.to_review(glass.id, review.id)),
        expires_at=min(plain.expires_at, judged.facts.now.plus(lever.MAX_GRANT_SECONDS), glass.until),
    )
    request = judged.facts.request
    kept = evidence.fields(judged.facts, session.active.policies.schema, grant, judged.learned)
    sealed = world.seal(request, kept)
    members: dict[str, Json] = {
        "break_glass": glass.id,
        "decision": denied.sequence,
        "grant": grant.id,
        "grant_expires_at": str(grant.expires_at),
        "review": review.id,
    }
    entry = tx.append(Draft("glass_used", members, sealed))
    grant = msgspec.structs.replace(grant, token=token_of(world, grant.id))
    _put_grant(session, judged, grant, denied, duties, break_glass=glass.id)
    match = world.vault.blind("afterwards", review.id)  # no request finds it, so that it approves nothing
    tx.put_review(ReviewRow(review.id, denied.sequence, match, review.state.value, review.deadline, _encode(review)))
    session.news.append(
        News("governance.lever.glass_used", glass.id, {**members, "audit_id": _audit_id(session, entry)})
    )
    return msgspec.structs.replace(grant, audit_id=_audit_id(session, entry)), entry


def _audit_id(session: Session, entry: Entry) -> str:
    return f"{session.tx.log}/{entry.sequence}"


def _grant(judged: Judged, ties: Decision | Duties) -> Grant:
    facts, request = judged.facts, judged.facts.request
    granted = grants.narrow(grants.narrow(request.arguments, judged.narrowed.narrows), ties.narrows)
    return Grant(
        id=_grant_id(facts.now),
        token="",
        audit_id="",
        action=request.action,
        arguments=granted,
        resource=request.resource,
        expires_at=facts.now.plus(ties.grant_seconds or grants.DEFAULT_SECONDS),
        constraints={name: to_json(item) for name, item in granted.items() if request.arguments.get(name) != item},
        obligations=ties.obligations,
        policy_version=judged.decision.policy_digest,
        trace_id=request.trace_id,
        request_id=request.request_id,
        as_of=facts.now,
    )


def _grant_id(now: Timestamp) -> str:
    """Beginning with the time, so that the rows of a store grow at one end; the rest cannot be guessed."""
    return f"{now.nanos // 1_000_000:012x}{noise.take(10).hex()}"


def _record(session: Session, judged: Judged, answer: Answer, **more: Json) -> Entry:
    facts, world, schema = judged.facts, session.world, session.active.policies.schema
    request = facts.request
    sealed = world.seal(request, evidence.fields(facts, schema, answer, judged.learned))
    people = evidence.Pseudonyms(
        subject=sealed.key_id,
        actor=world.mark(request.actor.name, "actor"),
        caller=world.pseudonym("caller", request.caller),
        session=world.mark(request.subject.name, "session", request.session) if request.session else "",
    )
    members = evidence.body(judged.facts, judged.decision, answer, schema, people)
    gate = {"build": world.build, "tzdata": world.zones.version}
    return session.tx.append(Draft("decision", {**members, **more, "gate": gate}, sealed))


def _put_grant(
    session: Session, judged: Judged, grant: Grant, entry: Entry, ties: Decision | Duties, *, break_glass: str = ""
) -> None:
    world, tx, facts = session.world, session.tx, judged.facts
    digest = facts.request.digest
    if grant.constraints:
        narrowed = msgspec.structs.replace(facts.request, arguments=grant.arguments)
        digest = intake.digest(narrowed, session.active.policies.schema)
    used = approving.reserve(session, judged, grant.id)
    binding = Binding(
        action=world.vault.blind_for(facts.request.subject.name, "action", digest),
        policy=judged.decision.policy_digest,
        obligations=tuple(item.type for item in ties.obligations),
        reviews=used,
        break_glass=break_glass,
    )
    if not break_glass:
        standing.use(session, judged, grant, entry)
    proof = hashlib.sha256(grant.token.encode()).digest()
    tx.put_grant(GrantRow(grant.id, proof, entry.sequence, GrantState.LIVE, grant.expires_at, _encode(binding)))
    for counter in session.active.counted(grant.action):
        whom = usage.key(counter, facts, session.active.slots) or ("",)
        key = world.vault.blind(USAGE, counter.path, *whom)
        spent = usage.amount(counter, grant.arguments)
        tx.spend(SpendRow(counter.path, key, facts.now, spent, grant.id, grant.expires_at))
