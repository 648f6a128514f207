"""A recorded decision, opened again: its record, what it was judged by, and the truth of every rule of then.

- It is judged with the very policies and facts that were kept, so what is told is what happened, not what would now.
- Secret values were never kept. Conditions that read one are told as such, since nobody can judge them again (S1.5).

Clauses: S1.5, S3.7, S5.4, S10.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from demur.core import evidence, resolution
from demur.core.decision import decide, explain
from demur.core.ledger import chain
from demur.core.policy.compiled import CompiledError, decode_compiled
from demur.core.policy.index import PolicySet
from demur.core.resolution import Layout
from demur.core.schema import argument_path
from demur.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.decision import Decision
    from demur.core.evidence import Answer, Kept
    from demur.core.policy.document import Documents
    from demur.core.policy.explanation import Explanation
    from demur.core.resolution import Facts
    from demur.ports import StoredRecord, Transaction, Zones
    from demur.steps.world import World

DECISION = "decision"


@dataclass(frozen=True, slots=True)
class Opened:
    """One decision with everything that was kept of it. `withheld` are the paths of values that were not."""

    record: StoredRecord
    leaf: Mapping[str, object]
    kept: Kept
    policies: PolicySet
    facts: Facts
    decision: Decision
    explanation: Explanation
    answer: Answer
    withheld: frozenset[str]


def leaf_of(tx: Transaction, sequence: int) -> tuple[StoredRecord, Mapping[str, object]] | None:
    """The record of a decision and its members; `None` where there is no such record or it is another."""
    record = tx.find_record(sequence)
    if record is None:
        return None
    leaf = chain.read_leaf(record.leaf)
    return (record, leaf) if leaf.get("type") == DECISION else None


def read(world: World, tx: Transaction, sequence: int) -> tuple[Kept, PolicySet] | None:
    """What is kept of a decision, and the policies of then; `None` where there is no such decision.

    Raises `ForgottenError` where its values were erased or their time was over, and `LedgerError` where they cannot
    be read.
    """
    found = leaf_of(tx, sequence)
    sealed = tx.find_sealed(sequence) if found else None
    if found is None:
        return None
    if sealed is None:
        raise LedgerError(f"record {sequence}: its sealed values are gone")
    policies = policies_of(world, tx, str(found[1].get("policy_version", "")))
    return evidence.restore(world.vault.unseal(sealed), policies.schema), policies


def open_decision(world: World, tx: Transaction, sequence: int) -> Opened | None:
    """A decision with the truth of every rule that covers its action; `None` and errors as `read`."""
    found, inside = leaf_of(tx, sequence), read(world, tx, sequence)
    if found is None or inside is None:
        return None
    kept, policies = inside
    facts = resolution.fill(kept.request, Layout.of(policies.schema), kept.learned, kept.now)
    facts = resolution.with_approvals(resolution.with_understood(facts, kept.understands), kept.approvals)
    decision = decide(facts, policies)
    return Opened(
        record=found[0],
        leaf=found[1],
        kept=kept,
        policies=policies,
        facts=facts,
        decision=decision,
        explanation=explain(facts, policies, decision),
        answer=evidence.stamped(kept.answer, f"{tx.log}/{sequence}", ""),
        withheld=frozenset({*kept.withheld, *(argument_path(name) for name in kept.withheld)}),
    )


def policies_of(world: World, tx: Transaction, digest: str) -> PolicySet:
    """The policies with this digest, as they were kept; raises `LedgerError` where they are not."""
    raw = tx.find_blob(digest)
    if raw is None:
        raise LedgerError(f"the policies `{digest[:80]}` were not kept")
    return _built(raw, world.zones)  # type: ignore[arg-type]  # zones are compared by identity


@lru_cache(maxsize=4)
def documents_of(raw: bytes) -> Documents:
    """Policies as they were kept, compiled; raises `LedgerError` where they cannot be read."""
    try:
        return decode_compiled(raw)
    except CompiledError as error:
        raise LedgerError(f"policies that were kept cannot be read: {error}") from error


@lru_cache(maxsize=4)
def _built(raw: bytes, zones: Zones) -> PolicySet:
    return PolicySet.build(documents_of(raw), zones)
