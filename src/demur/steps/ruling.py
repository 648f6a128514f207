"""Reviews: list them, show one with what lies in the vault, rule on it by a person's credential.

- A ruling needs a credential that names a person; there is no ambient default (S7.4).
- A verdict after the deadline is refused, and the expiry recorded once (S7.3). Looking at the reviews records every
  expiry that is due, and so does opening the gate. The same goes for the time of whoever held a review.
- The reason is free text and goes to the vault, under the reviewer's own key.
- Somebody rules in their own right where they can, else in the place of whoever lent them the role.

Clauses: S7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence, review
from demur.core.panel import Authority
from demur.core.record import Draft
from demur.core.refusal import Refusal
from demur.core.review import OPEN, Deferral, Review, ReviewState, Ruling, Verdict
from demur.core.terms import Audience, Duration
from demur.errors import ForgottenError, LedgerError, RulingError
from demur.steps import approving, attributing, delegating, precedents
from demur.steps.precedents import Precedent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from demur.core.delegation import Loan
    from demur.core.policy.document import Narrowing
    from demur.core.policy.index import PolicySet
    from demur.core.record import Json
    from demur.core.review import Reviewer
    from demur.core.schema import Schema
    from demur.core.terms import Timestamp
    from demur.ports import ReviewRow, Transaction, Vault
    from demur.steps.session import Session
    from demur.steps.world import World

MAX_REASON = 4_000
"""Longest reason, in characters."""
MAX_LISTED = 1_000
_LOOKED_AT = 16
"""Reviews that are looked at for one that is due: they come in the order of their deadlines."""
_reviews = msgspec.msgpack.Decoder(Review)
_BEFOREHAND = ("asked again, the action is judged again and, if still right, allowed once", "the action stays refused")
_AFTERWARDS = ("nothing is undone; the use was right", "nothing is undone; the use was wrong")


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict as somebody gives it. `on_behalf` names in whose place, "" for whatever fits."""

    verdict: Verdict
    reason: str
    narrows: tuple[Narrowing, ...] = ()
    grant_seconds: int | None = None
    on_behalf: str = ""


class Spoken(msgspec.Struct, frozen=True):
    """What the vault says of one verdict: who gave it, in whose place, and why; "" where that was erased."""

    reviewer: str = ""
    on_behalf: str = ""
    reason: str = ""


class ReviewRequest(msgspec.Struct, frozen=True):
    """One review as a reviewer sees it, with the decision it came from; `state` is that of the moment it was read."""

    review: Review
    state: ReviewState
    audit_id: str
    deferral: Deferral
    holder: str = ""
    """The name of whoever holds it."""
    spoken: tuple[Spoken, ...] = ()
    """What was said with each ruling."""
    precedents: tuple[Precedent, ...] = ()

    def to_dict(self, *, locale: str = "en") -> dict[str, object]:
        """The review request of wire.md."""
        told = self.deferral.refusal
        span = Duration(self.review.deadline.nanos - self.review.opened_at.nanos)
        return {
            "review_id": self.review.id,
            "audit_id": self.audit_id,
            "status": self.state.value,
            "action_intent": told.action,
            "governance_decision": self.deferral.to_dict(audience=Audience.OPERATOR, locale=locale),
            "why_deferred": told.explain(audience=Audience.OPERATOR, locale=locale),
            "risk_assessment": self._risk(),
            "similar_past_decisions": [one.to_dict() for one in self.precedents],
            "approval_action": _AFTERWARDS[0] if self.review.opened_by else _BEFOREHAND[0],
            "denial_action": _AFTERWARDS[1] if self.review.opened_by else _BEFOREHAND[1],
            "opened_at": str(self.review.opened_at),
            "deadline": str(self.review.deadline),
            "estimated_resolution": str(self.review.estimated) if self.review.estimated else None,
            "timeout_duration": str(span),
            "timeout_action": "deny",
            "needed": [panel.to_dict() for panel in self.review.panels],
            "holder": self.holder,
            "held_until": str(self.review.held_until or "") if self.holder else "",
            "level": self.review.level,
            "rulings": self._rulings(),
            "narrows": [narrowing_to_dict(item) for item in self.review.narrows],
            "grant_seconds": self.review.grant_seconds,
        }

    def _risk(self) -> dict[str, object]:
        """What was assessed when it was opened; of a review afterwards, only that it is critical."""
        found = self.review.assessment
        return {"overall": self.review.risk} if found is None else found.to_dict()

    def _rulings(self) -> list[dict[str, object]]:
        said = (*self.spoken, *(Spoken() for _ in self.review.rulings[len(self.spoken) :]))
        return [
            {
                "verdict": ruling.verdict.value,
                "at": str(ruling.at),
                "reviewer": words.reviewer,
                "on_behalf": words.on_behalf,
                "reason": words.reason,
            }
            for ruling, words in zip(self.review.rulings, said, strict=True)
        ]


def list_reviews(
    session: Session, *, states: tuple[ReviewState, ...], limit: int, after: tuple[Timestamp, str] | None = None
) -> tuple[Review, ...]:
    """The reviews in these states, the earliest deadline first, after recording every expiry that is due.

    Those that come after this deadline and id, so that the last of one page begins the next.
    """
    expire_due(session)
    return find(session.tx, states=states, limit=limit, after=after)


def find(
    tx: Transaction, *, states: tuple[ReviewState, ...], limit: int, after: tuple[Timestamp, str] | None = None
) -> tuple[Review, ...]:
    """As `list_reviews`, for those who only read a home: what is overdue is still stored as open."""
    names = tuple(state.value for state in states)
    rows = tx.list_reviews(states=names, limit=min(limit, MAX_LISTED), after=after)
    return tuple(_reviews.decode(row.body) for row in rows)


def expire_due(session: Session) -> int:
    """Record the reviews that silence has denied, each once, and what ended by itself; how many were denied."""
    tx, count = session.tx, 0
    delegating.end_due(tx)
    while count < MAX_LISTED:
        rows = tx.list_reviews(states=tuple(state.value for state in OPEN), limit=_LOOKED_AT)
        due = [row for row in rows if row.deadline <= tx.now]
        for row in due:
            _expire(tx, row)
        count += len(due)
        if len(due) < _LOOKED_AT:
            break
    return count


def lapse_due(session: Session) -> int:
    """Record the reviews whose holder's time is over, each once; how many there were."""
    tx = session.tx
    rows = tx.list_reviews(states=(ReviewState.ASSIGNED.value,), limit=MAX_LISTED)
    lapsed = [row for row in rows if _reviews.decode(row.body).is_lapsed(tx.now)]
    for row in lapsed:
        lapse(tx, row, _reviews.decode(row.body))
    return len(lapsed)


def find_open(session: Session, review_id: str) -> tuple[ReviewRow, Review] | RulingError:
    """An open review as it stands now, or why it waits for nobody; what has ended by itself is recorded on the way."""
    tx = session.tx
    row = tx.find_review(review_id)
    if row is None:
        return RulingError(f"there is no review `{review_id[:64]}`")
    found = _reviews.decode(row.body)
    if found.state.is_open and found.state_at(tx.now) is ReviewState.EXPIRED:
        _expire(tx, row)
    try:
        review.check_open(found, tx.now)
    except RulingError as error:
        return error
    return lapse(tx, row, found)


def rule(
    session: Session,
    reviewer: Reviewer,
    review_id: str,
    said: Said,
    lent: Collection[Loan] = (),
    judge: Callable[[Session, Review], RulingError | None] | None = None,
) -> Review | RulingError:
    """The review after the verdict, recorded; or the error that says why it does not count.

    `judge` says why what an approval leaves is not allowed. An error is returned, not raised, so that an expiry found
    on the way is recorded with it.
    """
    found = find_open(session, review_id)
    if isinstance(found, RulingError):
        return found
    row, before = found[0], attributing.attributable(session.tx, session.world.vault, found[1])
    try:
        authority, after = _ruled(session, row, before, reviewer, said, lent)
    except RulingError as error:
        return error
    if judge is not None and (objection := judge(session, before)) is not None:
        return objection
    sequence = _record(session, row, after, authority, said)
    last = msgspec.structs.replace(after.rulings[-1], sequence=sequence)
    after = msgspec.structs.replace(after, rulings=(*after.rulings[:-1], last))
    approving.put_review(session.tx, row, after)
    return after


def authorities(session: Session, found: Review, person: Reviewer, lent: Collection[Loan]) -> tuple[Authority, ...]:
    """As whom this person may rule on the review: in their own right first, then in the place of who lent them a role.

    Never empty: where no role fits, in their own right, which will be refused.
    """
    mine = pseudonym(session.world, person.name)
    own = Authority(name=person.name, pseudonym=mine, roles=person.roles)
    borrowed = [
        Authority(name=person.name, pseudonym=mine, roles=one.roles, lender=one.lender, lender_pseudonym=one.pseudonym)
        for one in delegating.usable(session.tx, lent)
    ]
    wanted = {panel.role for panel in found.panels}
    return tuple(one for one in (own, *borrowed) if not wanted.isdisjoint(one.roles)) or (own,)


def pseudonym(world: World, name: str) -> str:
    """How records name a reviewer."""
    return world.mark(f"reviewer:{name}", "reviewer")


def decode(row: ReviewRow) -> Review:
    """The review as it is stored."""
    return _reviews.decode(row.body)


def lapse(tx: Transaction, row: ReviewRow, found: Review) -> tuple[ReviewRow, Review]:
    """The review as it stands now: where the time of whoever held it is over, that is recorded first."""
    if not found.is_lapsed(tx.now) or found.state_at(tx.now) is ReviewState.EXPIRED:
        return row, found
    after = review.lapse(found)
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "holder": found.holder,
        "cause": "time",
        "state": after.state.value,
    }
    tx.append(Draft("review_released", members))
    approving.put_review(tx, row, after)
    return tx.find_review(row.id) or row, after


def narrowing_to_dict(item: Narrowing) -> dict[str, object]:
    """A narrowing as it is told: the argument and what holds of it."""
    bounds = {"at_most": item.at_most, "at_least": item.at_least, "set": item.set}
    return {"argument": item.argument, **{name: bound for name, bound in bounds.items() if bound is not None}}


def check_reason(reason: str) -> str:
    """The reason as it will be kept; raises `RulingError` where there is none."""
    text = reason.strip()
    if not text:
        message = "expected a reason, found none"
        raise RulingError(message, hint="say in a sentence why; the requester and the auditor will read it")
    if len(text) > MAX_REASON:
        message = f"expected a reason of at most {MAX_REASON} characters, found {len(text)}"
        raise RulingError(message)
    return text


def show(session: Session, review_id: str) -> ReviewRequest | None:
    """One review with its decision; `None` where there is none. Raises `LedgerError` where it cannot be unsealed."""
    return consult(session.tx, session.world.vault, session.active.policies, review_id)


def consult(tx: Transaction, vault: Vault, policies: PolicySet, review_id: str) -> ReviewRequest | None:
    """One review with its precedents, for those who only read a home. `policies` are those in force."""
    found = read(tx, vault, policies.schema, review_id)
    if found is None:
        return None
    return msgspec.structs.replace(found, precedents=precedents.find(tx, vault, policies, review_id))


def read(tx: Transaction, vault: Vault, schema: Schema, review_id: str) -> ReviewRequest | None:
    """One review without its precedents. `schema` is that of the policies in force."""
    row = tx.find_review(review_id)
    sealed = tx.find_sealed(row.sequence) if row else None
    if row is None or sealed is None:
        return None
    answer = evidence.answer_of(vault.unseal(sealed), schema)
    if isinstance(answer, Refusal):  # What was granted behind broken glass is reviewed as what the policies denied.
        answer = Deferral(review_id=row.id, deadline=row.deadline, refusal=answer)
    if not isinstance(answer, Deferral):
        message = f"expected record {row.sequence} to be a deferral, found another answer"
        raise LedgerError(message)
    found = _reviews.decode(row.body)
    holder = _told(tx, vault, found.holding) if found.holder_at(tx.now) else {}
    said = [_told(tx, vault, ruling.sequence) for ruling in found.rulings]
    return ReviewRequest(
        found,
        found.state_at(tx.now),
        f"{tx.log}/{row.sequence}",
        answer,
        holder.get("about") or holder.get("reviewer", ""),
        tuple(Spoken(one.get("reviewer", ""), one.get("about", ""), one.get("reason", "")) for one in said),
    )


def barred(world: World, tx: Transaction, row: ReviewRow) -> frozenset[str]:
    """The names that a conflict of interest excludes; raises `RulingError` where they are not known any more (S7.2)."""
    sealed = tx.find_sealed(row.sequence)
    if sealed is None:
        message = "expected to know who asked for this action, found that it was erased, so nobody may rule on it"
        raise RulingError(message)
    try:
        return evidence.people_of(world.vault.unseal(sealed))
    except ForgottenError as error:
        message = "the person whom this action is for was erased, so nobody may rule on it"
        raise RulingError(message, hint="it stays refused; at its deadline it is denied") from error


def _expire(tx: Transaction, row: ReviewRow) -> None:
    tx.append(Draft("review_expired", {"review": row.id, "decision": row.sequence, "deadline": str(row.deadline)}))
    approving.put_review(tx, row, review.expire(_reviews.decode(row.body)))


def _ruled(
    session: Session, row: ReviewRow, before: Review, reviewer: Reviewer, said: Said, lent: Collection[Loan]
) -> tuple[Authority, Review]:
    """The review after the verdict, by the first authority that reaches; raises the error of the first otherwise."""
    tx, world = session.tx, session.world
    excluded = barred(world, tx, row)
    first: RulingError | None = None
    for who in authorities(session, before, reviewer, lent):
        if said.on_behalf and who.lender != said.on_behalf:
            continue
        ruling = Ruling(who.pseudonym, tuple(sorted(who.roles)), said.verdict, tx.now, on_behalf=who.lender_pseudonym)
        try:
            return who, review.rule(
                before,
                ruling,
                reviewer=reviewer,
                barred=excluded,
                now=tx.now,
                lender=who.lender,
                narrows=said.narrows,
                grant_seconds=said.grant_seconds,
            )
        except RulingError as error:
            first = first or error
    raise first or RulingError(f"expected somebody who lent a role to `{reviewer.name}`, found `{said.on_behalf[:64]}`")


def _record(session: Session, row: ReviewRow, after: Review, who: Authority, said: Said) -> int:
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "verdict": said.verdict.value,
        "reviewer": who.pseudonym,
        "state": after.state.value,
    }
    if who.lender:
        members["on_behalf"] = who.lender_pseudonym
    fields = {"reviewer": who.name.encode(), "reason": said.reason.encode("utf-8", "replace")}
    if said.narrows or said.grant_seconds is not None:
        members["is_narrowed"] = True
        told = {"narrows": [narrowing_to_dict(item) for item in said.narrows], "grant_seconds": said.grant_seconds}
        fields["narrows"] = msgspec.json.encode(told)
    about = {"about": (f"reviewer:{who.lender}", who.lender.encode())} if who.lender else {}
    sealed = session.world.vault.seal(f"reviewer:{who.name}", "", fields, about)
    return session.tx.append(Draft("review_ruled", members, sealed)).sequence


def _told(tx: Transaction, vault: Vault, sequence: int) -> dict[str, str]:
    """What the vault says of an act on a review, as far as it can be unsealed."""
    sealed = tx.find_sealed(sequence) if sequence else None
    try:
        fields = vault.unseal(sealed) if sealed else {}
    except LedgerError:
        fields = {}
    return {name: fields[name].decode("utf-8", "replace") for name in ("reviewer", "about", "reason") if name in fields}
