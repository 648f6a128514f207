"""Claims: what came of a review, for whoever asked for the action: the grant of an approval, or what stands in its way.

1. The request is taken out of the vault and read as if this caller had sent it just now. It must be the very action
   that was deferred, and theirs.
2. Its facts are learned anew, before the lock is taken.
3. Under the append lock: what is open or has ended is told as it is, and nothing is judged.
4. A grant that was given for it and still lives is given again: an answer that was lost costs no approval.
5. Otherwise the request is judged again, and the approval is one fact among others (S7.2).

Clauses: S1.4, S7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence
from demur.core import grant as grants
from demur.core.grant import Grant, GrantState
from demur.core.refusal import Refusal
from demur.core.review import Deferral, Review, ReviewState, Verdict
from demur.core.terms import Bar, Category, Disposition
from demur.errors import ForgottenError, IntakeError, LedgerError, RulingError
from demur.ports import RequestRow
from demur.steps import approving, deciding, recalling, ruling

if TYPE_CHECKING:
    from demur.core.evidence import Answer
    from demur.core.intake import Caller
    from demur.ports import GrantRow, ReviewRow, Transaction
    from demur.steps.deciding import Asked
    from demur.steps.session import Prepared, Session
    from demur.steps.world import Active, World

MAX_ID = 64
_reviews = msgspec.msgpack.Decoder(Review)


@dataclass(frozen=True, slots=True)
class Claim:
    """A review of this caller's own, with the request that waits for it."""

    row: ReviewRow
    deferral: Deferral
    asked: Asked
    caller: str


def find(world: World, active: Active, tx: Transaction, review_id: str, caller: Caller) -> Claim:
    """Step 1. Raises `RulingError` where there is no such review of this caller, `IntakeError` where its request
    cannot be put together again, and `LedgerError` where it cannot be read.
    """
    try:
        row, deferral, plain = _opened(world, tx, review_id, caller.id)
    except ForgottenError as error:
        message = "whoever this action is for, or acted, was erased, so nothing may be carried out on it"
        raise RulingError(message) from error
    kept = {name: value for name, value in plain.items() if name not in {"caller", "request_id"}}
    asked = deciding.ask(active, kept, caller)
    if world.vault.blind_for(asked.request.subject.name, "match", asked.request.digest) != row.match:
        raise IntakeError(
            "/action",
            expected="an action that can be put together again as it was deferred",
            found="one with secret arguments, which are not kept, or of another schema",
            hint="ask for the action again, with the same arguments",
        )
    return Claim(row, deferral, asked, caller.id)


def claim(session: Session, found: Claim, prepared: Prepared) -> Answer:
    """Steps 3 to 5, within one transaction."""
    tx = session.tx
    row = tx.find_review(found.row.id) or found.row
    review = _reviews.decode(row.body)
    state = review.state_at(tx.now)
    if review.state.is_open and state is ReviewState.EXPIRED:
        ruling.expire_due(session)
    match state:
        case ReviewState.PENDING | ReviewState.ASSIGNED:
            return found.deferral
        case ReviewState.APPROVED | ReviewState.RESERVED:
            return _granted(session, found, review, prepared)
        case ReviewState.DENIED:
            return _ended(session, found, Bar.REVIEW_DENIED, review)
        case ReviewState.EXPIRED:
            return _ended(session, found, Bar.REVIEW_EXPIRED, review)
        case ReviewState.CANCELLED | ReviewState.SUPERSEDED:
            return _ended(session, found, Bar.REVIEW_ENDED, review)
        case ReviewState.EXECUTED:
            return _ended(session, found, Bar.APPROVAL_USED, review)


def is_judged(answer: Answer, found: Claim) -> bool:
    """Whether this answer to a claim is a decision, and not what a review is told to be."""
    is_end = isinstance(answer, Refusal) and answer.bar in _ADVICE
    return answer.audit_id != found.deferral.audit_id and not is_end


def reason(world: World, tx: Transaction, review: Review) -> str:
    """What those wrote who decided a review, a line for each; "" while it is open, and where that was erased."""
    if review.state_at(tx.now).is_open:
        return ""
    refused = [one for one in review.rulings if one.verdict is Verdict.REJECT]
    told = (_said(world, tx, one.sequence) for one in refused or review.rulings)
    return "\n".join(text for text in told if text)


def _opened(
    world: World, tx: Transaction, review_id: str, caller: str
) -> tuple[ReviewRow, Deferral, dict[str, object]]:
    """The review, what its requester was told, and the request; raises `ForgottenError` where that was erased."""
    row = tx.find_review(review_id) if review_id.isascii() and len(review_id) <= MAX_ID else None
    answer = recalling.recall(world, tx, row.sequence, caller=caller) if row is not None else None
    sealed = tx.find_sealed(row.sequence) if row is not None else None
    if row is None or sealed is None or not isinstance(answer, Deferral):
        # The same words whether there is none or it is not theirs.
        raise RulingError(f"expected the id of a review that was opened for this caller, found `{review_id[:64]}`")
    return row, answer, evidence.request_of(world.vault.unseal(sealed))


def _granted(session: Session, found: Claim, review: Review, prepared: Prepared) -> Answer:
    tx, vault = session.tx, session.world.vault
    key = vault.blind("claim", found.caller, review.id)
    known = tx.find_request(key)
    held = tx.find_grant(review.grant_id) if review.grant_id else None
    for sequence in (known.sequence if known else None, held.sequence if held else None):
        if sequence is not None and (grant := _standing(session, found, sequence, prepared)) is not None:
            return grant
    if not approving.is_free(review, tx):
        is_used = held is not None and not _is_over(held, tx)
        return _ended(session, found, Bar.APPROVAL_USED if is_used else Bar.REVIEW_EXPIRED, review)
    answer = deciding.judge(session, prepared)
    if isinstance(answer, Grant):
        tx.put_request(RequestRow(key, found.row.match, int(answer.audit_id.rpartition("/")[2])))
    return answer


def _standing(session: Session, found: Claim, sequence: int, prepared: Prepared) -> Grant | None:
    """The grant of an earlier claim, or of asking again, that this caller was given and that can still be redeemed."""
    world, tx = session.world, session.tx
    answer = recalling.recall(world, tx, sequence, caller=found.caller)
    row = tx.find_grant(answer.id) if isinstance(answer, Grant) else None
    if row is None or not isinstance(answer, Grant) or row.state != GrantState.LIVE or _is_over(row, tx):
        return None
    grants.check_repeated(answer, prepared.facts.understands)
    return msgspec.structs.replace(answer, token=deciding.token_of(world, answer.id))


def _is_over(row: GrantRow, tx: Transaction) -> bool:
    return row.state == GrantState.REVOKED or (row.state == GrantState.LIVE and tx.now >= row.expires_at)


_ADVICE = {
    Bar.REVIEW_DENIED: (Category.REQUIRES_HUMAN, Disposition.MODIFY),
    Bar.REVIEW_EXPIRED: (Category.REQUIRES_HUMAN, Disposition.RETRY_AFTER),
    Bar.REVIEW_ENDED: (Category.REQUIRES_HUMAN, Disposition.RETRY_AFTER),
    Bar.APPROVAL_USED: (Category.STATE_CONFLICT, Disposition.RETRY_AFTER),
}


def _ended(session: Session, found: Claim, bar: Bar, review: Review) -> Refusal:
    """What a review that grants nothing any more is to its requester. Nothing is judged; its end is in the record."""
    told = found.deferral.refusal
    category, disposition = _ADVICE[bar]
    is_denied = bar is Bar.REVIEW_DENIED and bool(review.rulings)
    sequence = review.rulings[-1].sequence if is_denied else found.row.sequence
    return Refusal(
        reason=msgspec.structs.replace(told.reason, category=category, disposition=disposition),
        shown=msgspec.structs.replace(told.shown, category=category, disposition=disposition),
        audit_id=f"{session.tx.log}/{sequence or found.row.sequence}",
        as_of=session.tx.now,
        policy_version=told.policy_version,
        trace_id=told.trace_id,
        action=told.action,
        hidden_arguments=told.hidden_arguments,
        wanted=told.wanted,
        locale=told.locale,
        bar=bar,
        said=reason(session.world, session.tx, review) if is_denied else "",
    )


def _said(world: World, tx: Transaction, sequence: int) -> str:
    sealed = tx.find_sealed(sequence) if sequence else None
    try:
        return world.vault.unseal(sealed)["reason"].decode("utf-8", "replace") if sealed is not None else ""
    except (LedgerError, KeyError):
        return ""
