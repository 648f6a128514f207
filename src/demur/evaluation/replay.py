"""Judge recorded decisions again, with the very policies and facts of then, and name every one that differs.

- A chain that verifies shows that nobody changed a record without recomputing all that follow. Whoever could do that
  could change an outcome too; the sealed facts and the kept policies then contradict it (S3.7).
- A decision whose rules read secret arguments or facts cannot be judged again, since those were never kept (S1.5). It
  is counted as `withheld`, never as right. One whose person was erased is counted as `erased`.
- What was sealed is checked against the commitments in the record while it is opened.

Clauses: S1.5, S3.7, S5.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from demur.core import evidence, resolution, retention
from demur.core.decision import decide
from demur.core.ledger import chain
from demur.core.resolution import Layout
from demur.core.schema import argument_path
from demur.core.terms import Outcome
from demur.errors import DemurError, ForgottenError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from demur.core.decision import Decision
    from demur.core.policy.index import PolicySet
    from demur.core.record import Sealed
    from demur.ports import StoredRecord, Vault


class Status(StrEnum):
    """How a recorded decision compares with the same one judged again."""

    SAME = "same"
    DIFFERS = "differs"
    WITHHELD = "withheld"
    ERASED = "erased"
    UNDECIDABLE = "undecidable"


class Finding(msgspec.Struct, frozen=True):
    """One record: for `differs`, what it says (`recorded`) and what judging again gives (`judged`)."""

    sequence: int
    status: Status
    recorded: str = ""
    judged: str = ""
    detail: str = ""


class Archive(Protocol):
    """Where the sealed values and the policies of the records lie."""

    def find_sealed(self, sequence: int) -> Sealed | None:
        """The sealed values of a record."""

    def find_policies(self, digest: str) -> PolicySet | None:
        """The policies with this digest."""


def replay(records: Iterable[StoredRecord], archive: Archive, vault: Vault) -> Iterator[Finding]:
    """One finding for each decision among the records, in order; other records are passed over."""
    for record in records:
        leaf = chain.read_leaf(record.leaf)
        if leaf.get("type") == "decision":
            yield _judge(record.sequence, leaf, archive, vault)


class Opened(msgspec.Struct, frozen=True):
    """How many records have sealed values, and for how many of them a record tells why they cannot be opened."""

    sealed: int
    forgotten: int


def check_sealed(records: Iterable[StoredRecord], archive: Archive, vault: Vault) -> Opened:
    """Check that what is sealed fits the commitments in the records, or was destroyed by an erasure or at its end.

    Raises `LedgerError`, also where nothing among the records tells why values are gone.
    """
    count, told = 0, _Told(set(), [])
    gone: list[tuple[Mapping[str, object], str]] = []
    for record in records:
        leaf = chain.read_leaf(record.leaf)
        told.note(leaf)
        if "commit_root" in leaf:
            count += 1
            try:
                _unseal(record.sequence, leaf, archive, vault)
            except ForgottenError:
                sealed = archive.find_sealed(record.sequence)
                gone.append((leaf, sealed.key_id if sealed and sealed.ciphertext else ""))
    for members, key_id in gone:
        if not told.explains(members, key_id):
            message = f"record {members.get('sequence')}: its sealed values cannot be opened, and no record tells why"
            raise LedgerError(message, hint="put back the store of keys; without it nothing about its persons opens")
    return Opened(count, len(gone))


@dataclass(frozen=True, slots=True)
class _Told:
    """The keys that were erased and the periods that ended, as the records tell."""

    keys: set[object]
    periods: list[Mapping[str, object]]

    def note(self, leaf: Mapping[str, object]) -> None:
        if leaf.get("type") == "erasure" and isinstance(keys := leaf.get("keys"), list):
            self.keys.update(keys)
        if leaf.get("type") == "retention":
            self.periods.append(leaf)

    def explains(self, leaf: Mapping[str, object], key_id: str) -> bool:
        """`key_id` is "" where the values themselves are gone."""
        return key_id in self.keys if key_id else any(retention.explains(leaf, period) for period in self.periods)


def _judge(sequence: int, leaf: Mapping[str, object], archive: Archive, vault: Vault) -> Finding:
    try:
        policies = archive.find_policies(str(leaf.get("policy_version", "")))
        if policies is None:
            return Finding(sequence, Status.UNDECIDABLE, detail="its policies were not kept")
        kept = evidence.restore(_unseal(sequence, leaf, archive, vault), policies.schema)
    except ForgottenError as error:
        return Finding(sequence, Status.ERASED, detail=str(error))
    except DemurError as error:
        return Finding(sequence, Status.UNDECIDABLE, detail=str(error))
    read = policies.columns(kept.request.action, kept.request.resource.type)
    if not {*kept.withheld, *(argument_path(name) for name in kept.withheld)}.isdisjoint(read):
        return Finding(sequence, Status.WITHHELD, detail="secret values were judged and not kept")
    facts = resolution.fill(kept.request, Layout.of(policies.schema), kept.learned, kept.now)
    facts = resolution.with_understood(facts, kept.understands)
    decision = decide(resolution.with_approvals(facts, kept.approvals), policies)
    recorded, judged = _recorded(leaf), _told(decision)
    if recorded != judged:
        return Finding(sequence, Status.DIFFERS, recorded, judged)
    return Finding(sequence, Status.SAME, recorded, judged)


def _unseal(sequence: int, leaf: Mapping[str, object], archive: Archive, vault: Vault) -> dict[str, bytes]:
    sealed = archive.find_sealed(sequence)
    if sealed is None:
        message = f"record {sequence}: its sealed values are gone"
        raise LedgerError(message)
    if sealed.commit_root != leaf.get("commit_root") or sealed.action_commitment != leaf.get("action_commitment"):
        message = f"record {sequence}: the sealed values are not those that the record commits to"
        raise LedgerError(message)
    try:
        return vault.unseal(sealed)
    except LedgerError as error:
        message = f"record {sequence}: {error}"
        raise type(error)(message) from error


def _recorded(leaf: Mapping[str, object]) -> str:
    """What the policies came to; a deferral for which people had no room was answered with a deny."""
    outcome = Outcome.DEFER.value if "shed" in leaf else leaf.get("outcome")
    return _line(outcome, leaf.get("refusal_category", ""), leaf.get("triggering_policy", ""))


def _told(decision: Decision) -> str:
    trigger = evidence.token(decision.trigger) if decision.trigger else ""
    return _line(decision.outcome.value, decision.category.value if decision.category else "", trigger)


def _line(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part)


__all__ = ["Archive", "Finding", "Opened", "Status", "check_sealed", "replay"]
