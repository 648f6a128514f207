"""An approval of less than was asked, judged before it counts: as an inquiry about what is left, with the approval.

1. Outside the lock: the request as it was sealed, made narrower, with every fact that rules read about it.
2. Under the lock: judged by the policies in force, with this review's approval and those that stand as facts, and
   recorded as an inquiry.
3. Where that is no allow, the approval is refused with the explanation; the inquiry stays.

Clauses: S3.5, S5.3, S7.1, S7.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demur.core import evidence, narrowing, resolution
from demur.core.terms import Audience
from demur.errors import ForgottenError, LedgerError, RulingError
from demur.steps import approving, deciding, inquiring
from demur.steps import ruling as rulings
from demur.steps.inquiring import Purpose

if TYPE_CHECKING:
    from demur.core.evidence import Kept
    from demur.core.policy.document import Narrowing
    from demur.core.record import Sealed
    from demur.core.review import Review
    from demur.core.schema import Schema
    from demur.ports import Transaction
    from demur.steps.ruling import Said
    from demur.steps.session import Prepared, Session
    from demur.steps.world import Active, World


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What an approval would leave of a request, with its facts, and what the review was narrowed to before."""

    prepared: Prepared
    before: tuple[Narrowing, ...]


def prepare(world: World, active: Active, review_id: str, said: Said) -> Narrowed | None:
    """Step 1; `None` where there is no such review. Raises `RulingError` where the bounds are none on this request."""
    schema = active.policies.schema
    found = world.store.read(lambda tx: rulings.read(tx, world.vault, schema, review_id))
    if found is None or not found.state.is_open:
        return None
    kept = _kept(world, schema, found.review.id)
    narrowing.check(said.narrows, kept.request, schema)
    before = found.review.narrows
    left = narrowing.apply(kept.request, (*before, *said.narrows), schema)
    return Narrowed(deciding.prepare(world, active, deciding.about(active, left, kept.understands)), before)


def object_to(session: Session, narrowed: Narrowed, review: Review) -> RulingError | None:
    """Steps 2 and 3; `None` where what is left is allowed."""
    if review.narrows != narrowed.before:
        message = "somebody else narrowed this action meanwhile"
        return RulingError(message, hint="look at the review again")
    row, prepared = session.tx.find_review(review.id), narrowed.prepared
    others = approving.given(session.tx, row.match) if row else ()
    facts = resolution.with_approvals(prepared.facts, (*others, approving.of(review)))
    (found,) = inquiring.inquire(session, [replace(prepared, facts=facts)], Purpose.NARROWING)
    if found.refusal is None:
        return None
    message = f"what the approval leaves is not allowed: {found.refusal.explain(audience=Audience.OPERATOR)}"
    return RulingError(message, hint=f"the inquiry is record {found.audit_id}")


def _kept(world: World, schema: Schema, review_id: str) -> Kept:
    """The request that waits, as it was sealed, whole; raises `RulingError` where it is not."""

    def query(tx: Transaction) -> Sealed | None:
        row = tx.find_review(review_id)
        return tx.find_sealed(row.sequence) if row else None

    sealed = world.store.read(query)
    try:
        kept = None if sealed is None else evidence.restore(world.vault.unseal(sealed), schema)
    except (ForgottenError, LedgerError) as error:
        message = "the action cannot be judged again, so it cannot be narrowed"
        raise RulingError(message, hint=str(error)) from error
    if kept is None or any(name not in schema.facts for name in kept.withheld):
        message = "expected an action whose arguments are all kept, found one with secret arguments"
        raise RulingError(message, hint="what is left cannot be judged again: approve it as it was asked, or deny")
    return kept
