"""Show one personal value of a decision to a person who may see it, and record that they saw it.

1. who asks is known by a credential, may reveal, and says why; there is no ambient default
2. under the append lock: the value is unsealed, and `value_revealed` is appended, with the reason sealed
3. once that is durable, and only then, the value is handed out; whatever fails on the way, nothing is shown

Secret values were never kept and are revealed to nobody (S1.5). Of a person who was erased nothing can be revealed.

Clauses: S1.5, S5.5, S10, S12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from demur.core import evidence, personal
from demur.core.personal import Protection
from demur.core.record import Draft
from demur.core.terms import to_json
from demur.errors import RulingError
from demur.steps import explaining

if TYPE_CHECKING:
    from demur.core.record import Json
    from demur.core.review import Reviewer
    from demur.core.schema import Fact, Schema
    from demur.ports import Transaction
    from demur.steps.world import World

REVEALED = "value_revealed"
UNDECLARED = "undeclared"
"""Stands in a record for a path that the schema does not declare, since whoever asked chose its name."""


class Revealed(msgspec.Struct, frozen=True):
    """A value that was shown, as JSON, and the audit id of the record that says so."""

    path: str
    value: Any
    audit_id: str


@dataclass(frozen=True, slots=True)
class Curious:
    """A person who wants to see a value, and why."""

    person: Reviewer
    reason: str


def who(world: World, credential: str, reason: str) -> Curious:
    """Who asks; raises `RulingError` for a credential that nobody holds, or whose holder may not."""
    person = world.reviewers.identify(credential)
    if not person.may_reveal:
        message = f"expected a person who may see personal values, found `{person.name}`, who may not"
        raise RulingError(message, hint="reviewers, operators and auditors may")
    return Curious(person, reason)


def sequence_of(log: str, audit_id: str) -> int:
    """The number of the record with this audit id; raises `RulingError` where it is none of this log."""
    name, _, number = audit_id.rpartition("/")
    if name != log or not (number.isascii() and number.isdecimal() and len(number) < 17):
        raise RulingError(f"expected the audit id of a decision of this log, found `{audit_id[:80]}`")
    return int(number)


def reveal(world: World, tx: Transaction, asked: Curious, sequence: int, path: str) -> Revealed:
    """The value, with its record appended.

    Raises `RulingError` where there is no such value or it is secret, `ForgottenError` where it was erased, and
    `LedgerError` where it cannot be read.
    """
    found = explaining.read(world, tx, sequence)
    if found is None:
        raise RulingError(f"expected the audit id of a decision, found record {sequence}")
    kept, policies = found
    if path in kept.withheld or personal.protection(path, kept.request, policies.schema) is Protection.SECRET:
        raise RulingError("expected a value that is kept, found a secret one", hint="secret values are never kept")
    known = personal.values(kept.request, kept.learned)
    if path not in known:
        raise RulingError(f"expected the path of a value of this decision, found `{path[:80]}`")
    name, reason = asked.person.name, asked.reason
    fields = {"reviewer": name, "reason": reason, "path": path}
    sealed = world.vault.seal(
        f"reviewer:{name}", "", {key: text.encode("utf-8", "replace") for key, text in fields.items()}
    )
    members: dict[str, Json] = {
        "decision": sequence,
        "path": _told(path, kept.request.action, policies.schema),
        "reviewer": world.mark(f"reviewer:{name}", "reviewer"),
    }
    entry = tx.append(Draft(REVEALED, members, sealed))
    return Revealed(path, to_json(known[path]), f"{tx.log}/{entry.sequence}")


def _told(path: str, action: str, schema: Schema) -> str:
    declared = {slot.path for slot in schema.slots} | {fact.path for fact in _arguments(action, schema)}
    return evidence.token(path) if path in declared else UNDECLARED


def _arguments(action: str, schema: Schema) -> tuple[Fact, ...]:
    known = schema.actions.get(action)
    return known.arguments if known else ()
