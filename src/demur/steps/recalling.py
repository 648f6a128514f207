"""A decision, told again to those who may read it: whoever asked for it, or those who read every record.

A grant's token is kept nowhere and is not told again; asking again with the same request id gives it (S1.4).

Clauses: S5.4, S10.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence
from demur.core.policy.compiled import CompiledError, decode_compiled
from demur.errors import LedgerError

if TYPE_CHECKING:
    from demur.core.evidence import Answer
    from demur.core.schema import Schema
    from demur.ports import Transaction
    from demur.steps.world import World


class _People(msgspec.Struct):
    caller: str = ""


class _Leaf(msgspec.Struct):
    type: str
    policy_version: str = ""
    requesting_entity: _People = msgspec.field(default_factory=_People)


_leaves = msgspec.json.Decoder(_Leaf)


def recall(world: World, tx: Transaction, sequence: int, *, caller: str | None = None) -> Answer | None:
    """The answer of a decision; of a `caller` where one is named, and None where there is no such decision.

    Raises `ForgottenError` where its values were erased, and `LedgerError` where they cannot be read.
    """
    record = tx.find_record(sequence)
    if record is None:
        return None
    leaf = _leaves.decode(record.leaf)
    is_theirs = caller is None or leaf.requesting_entity.caller == world.pseudonym("caller", caller)
    sealed = tx.find_sealed(sequence)
    if leaf.type != "decision" or not is_theirs or sealed is None:
        return None
    raw = tx.find_blob(leaf.policy_version)
    if raw is None:
        raise LedgerError(f"the policies `{leaf.policy_version}` were not kept")
    answer = evidence.answer_of(world.vault.unseal(sealed), _schema(raw))
    return evidence.stamped(answer, f"{tx.log}/{sequence}", "")


@lru_cache(maxsize=4)
def _schema(raw: bytes) -> Schema:
    try:
        return decode_compiled(raw).schema
    except CompiledError as error:
        raise LedgerError(f"policies that were kept cannot be read: {error}") from error
