"""Precedents: what people ruled on cases like the one that waits, found, unsealed, compared and explained.

1. Reviews of the same action on the same type of resource on which people ruled, the newest first, and beside them the
   newest that were denied: a run of approvals pushes no denial out of sight.
2. Each is unsealed. Whoever was erased is in none of this: a case that cannot be opened is no precedent (S5.5).
3. Compared are the arguments, what is known of the subject, and the facts that the review's rules read; never what
   usage or the desk itself counts. Secret arguments were not kept (S1.5).
4. The most alike are shown with the reviewers' reasons, as far as the reviewers were not erased.

Nothing of it is remembered from one call to the next, so that nothing outlives an erasure.

Clauses: S1.5, S5.5, S7, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core import evidence, precedent
from demur.core.personal import MASK
from demur.core.precedent import Candidate, Case, Difference, Ruled
from demur.core.review import Review, ReviewState
from demur.core.schema import BUILT_IN, DESK, Kind, Type, argument_path
from demur.core.terms import Missing, State, Timestamp, Value, parse_duration, parse_timestamp
from demur.errors import LedgerError
from demur.ports import ReviewRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demur.core.policy.index import PolicySet
    from demur.core.record import Sealed
    from demur.core.schema import Schema
    from demur.core.terms import Request
    from demur.ports import Transaction, Vault

MAX_COMPARED, MAX_DENIED = 120, 40
"""Cases that are opened for one answer: the newest of all, and the newest that were denied."""
MAX_SHOWN = 20
_reviews = msgspec.msgpack.Decoder(Review)
_learned = msgspec.json.Decoder(dict[str, object])


class Precedent(msgspec.Struct, frozen=True):
    """One decided case beside one that waits. `reason` is the last reviewer's, "" where that person was erased.

    `plain` are the paths of what is about nobody; both values of everything else are masked in `to_dict` (S10).
    """

    review_id: str
    audit_id: str
    outcome: Ruled
    similarity: float
    explanation: str
    reason: str
    decided_at: Timestamp | None
    compared: tuple[Difference, ...]
    plain: frozenset[str] = frozenset()

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs, in order of path."""
        return tuple(one for one in self.compared if one.alike < 1)

    def to_dict(self) -> dict[str, object]:
        """An item of `similar_past_decisions` of wire.md."""
        return {
            "review_id": self.review_id,
            "audit_id": self.audit_id,
            "outcome": self.outcome.value,
            "similarity": round(self.similarity, 4),
            "explanation": self.explanation,
            "reason": self.reason,
            "decided_at": str(self.decided_at) if self.decided_at else None,
            "differences": [self._told(one) for one in self.differences],
        }

    def _told(self, one: Difference) -> dict[str, object]:
        told = one.to_dict()
        if one.path not in self.plain:
            told |= {side: MASK for side in ("here", "there") if told[side] is not None}
        return told


def topic(vault: Vault, request: Request) -> bytes:
    """By which reviews of the same action on the same type of resource are found: `ReviewRow.topic`."""
    return vault.blind("topic", request.action, request.resource.type)


class Decided(msgspec.Struct, frozen=True):
    """One case on which people ruled."""

    row: ReviewRow
    review: Review
    case: Case

    @property
    def ruled(self) -> Ruled:
        """What they decided."""
        return Ruled.DENIED if self.review.state is ReviewState.DENIED else Ruled.APPROVED


class Found(msgspec.Struct, frozen=True):
    """A review with its case, subject and actor by name, and the cases that people ruled on, in no order."""

    review: Review
    case: Case
    people: tuple[str, str]
    plain: frozenset[str]
    decided: tuple[Decided, ...]


def look(tx: Transaction, vault: Vault, policies: PolicySet, review_id: str) -> Found | None:
    """A review among those like it; `None` where there is no such review or it is sealed for ever."""
    row = tx.find_review(review_id)
    if row is None or not row.topic:
        return None
    reader, waiting = _Reader(tx, vault, policies), _reviews.decode(row.body)
    case = reader.read(row, waiting)
    if case is None:
        return None
    people = _people(evidence.request_of(_open(vault, tx.find_sealed(row.sequence))))
    rows = {found.id: found for found in _ended(tx, row)}
    decided: list[Decided] = []
    for found in rows.values():
        review = _reviews.decode(found.body)
        if (other := reader.read(found, review)) is not None:
            decided.append(Decided(found, review, other))
    return Found(waiting, case, people, _plain(policies.schema, case.action), tuple(decided))


def find(
    tx: Transaction, vault: Vault, policies: PolicySet, review_id: str, *, limit: int = 3
) -> tuple[Precedent, ...]:
    """At most `limit` precedents of a review, the most alike first; none where there is no such review or it is sealed
    for ever. Raises `StoreError`.
    """
    found = look(tx, vault, policies, review_id)
    if found is None:
        return ()
    decided = {one.row.id: one for one in found.decided}
    candidates = [
        Candidate(name, one.row.sequence, one.ruled, precedent.compare(found.case, one.case))
        for name, one in decided.items()
    ]
    chosen = precedent.rank(candidates, min(limit, MAX_SHOWN))
    return tuple(_precedent(tx, vault, decided[one.id], one, found.plain) for one in chosen)


def _ended(tx: Transaction, row: ReviewRow) -> Iterator[ReviewRow]:
    denied = (ReviewState.DENIED.value,)
    for found in (
        *tx.ended_reviews(row.topic, limit=MAX_COMPARED),
        *tx.ended_reviews(row.topic, limit=MAX_DENIED, states=denied),
    ):
        if found.id != row.id:
            yield found


def _plain(schema: Schema, action: str) -> frozenset[str]:
    """The paths of what is declared to be about nobody; what nobody declared is taken to be about somebody."""
    declared = schema.actions[action].arguments if action in schema.actions else ()
    return frozenset(fact.path for fact in (*declared, *schema.facts.values()) if not fact.personal)


def _precedent(tx: Transaction, vault: Vault, decided: Decided, one: Candidate, plain: frozenset[str]) -> Precedent:
    rulings = decided.review.rulings
    last = rulings[-1] if rulings else None
    return Precedent(
        review_id=one.id,
        audit_id=f"{tx.log}/{decided.row.sequence}",
        outcome=one.ruled,
        similarity=one.likeness.similarity,
        explanation=one.likeness.explanation,
        reason=_reason(tx, vault, last.sequence) if last else "",
        decided_at=last.at if last else None,
        compared=one.likeness.compared,
        plain=plain,
    )


def _reason(tx: Transaction, vault: Vault, sequence: int) -> str:
    """What the reviewer wrote; "" where that was destroyed, or the ruling is of a time that kept no place of it."""
    fields = _open(vault, tx.find_sealed(sequence)) if sequence else {}
    return fields.get("reason", b"").decode(errors="replace")


def _open(vault: Vault, sealed: Sealed | None) -> dict[str, bytes]:
    """The fields; none where they were destroyed or altered. What was altered is for verifiers to tell."""
    try:
        return vault.unseal(sealed) if sealed is not None else {}
    except LedgerError:
        return {}


class _Reader:
    """Reads cases of one call: which facts count is looked up once."""

    def __init__(self, tx: Transaction, vault: Vault, policies: PolicySet) -> None:
        self._tx = tx
        self._vault = vault
        self._policies = policies
        self._facts: dict[str, Type] | None = None
        self._arguments: dict[str, dict[str, Type]] = {}
        schema = policies.schema
        declared = [fact for action in schema.actions.values() for fact in action.arguments]
        self._units = {fact.path: fact.unit for fact in (*declared, *schema.facts.values()) if fact.unit}

    def read(self, row: ReviewRow, review: Review) -> Case | None:
        """The case that a review is about; the first one that is read says which facts count."""
        fields = _open(self._vault, self._tx.find_sealed(row.sequence))
        try:
            request, facts = evidence.request_of(fields), _learned.decode(fields["facts"])
            action, resource = _part(request, "action"), _part(request, "resource")
            name, kind = str(action["name"]), str(resource["type"])
            if self._facts is None:
                self._facts = self._counting(name, kind, review)
            found = {path: _state(path, request, facts, self._facts[path]) for path in self._facts}
            types = self._types(name)
            arguments: dict[str, State] = {
                argument_path(key): _typed(item, types.get(argument_path(key)))
                for key, item in _part(action, "properties").items()
            }
        except (KeyError, TypeError, ValueError, msgspec.DecodeError, LedgerError):
            return None
        return Case(name, kind, arguments, found, self._units)

    def _types(self, action: str) -> dict[str, Type]:
        if action not in self._arguments:
            declared = self._policies.schema.actions.get(action)
            self._arguments[action] = {fact.path: fact.type for fact in (declared.arguments if declared else ())}
        return self._arguments[action]

    def _counting(self, action: str, resource_type: str, review: Review) -> dict[str, Type]:
        """The facts that the review's rules read, and what any rule of the action reads of the subject."""
        policies, slots = self._policies, self._policies.schema.slots
        known = {rule.id for rule in policies.candidates(action, resource_type)}
        read = {slot for panel in review.panels if panel.rule in known for slot in policies.reads(panel.rule)}
        paths = {slots[slot].path for slot in read}
        paths |= {path for path in policies.columns(action, resource_type) if path.startswith("subject.")}
        own = {*BUILT_IN, *policies.schema.counters}
        return {
            slot.path: slot.type
            for slot in slots
            if slot.path in paths - own and slot.source != DESK and not slot.path.startswith("action.")
        }


def _people(request: Mapping[str, object]) -> tuple[str, str]:
    subject, actor = _part(request, "subject"), _part(request, "actor")
    return f"{subject['type']}:{subject['id']}", f"{actor['type']}:{actor['id']}"


def _part(whole: Mapping[str, object], name: str) -> dict[str, object]:
    return msgspec.convert(whole.get(name, {}), dict[str, object])


def _state(path: str, request: dict[str, object], facts: dict[str, object], kind: Type) -> State:
    """What the decision knew at this path: what a source said, else what the caller claimed."""
    learned = _part(facts, "learned").get(path)
    if isinstance(learned, dict):
        return Missing(learned["state"]) if "state" in learned else _typed(learned["value"], kind)
    root, *names = path.split(".")
    inner: object = _part(request, root)
    if root in {"subject", "actor", "resource"}:
        inner = _part(_part(request, root), "properties")
    for name in names:
        if not isinstance(inner, dict) or name not in inner:
            return Missing.ABSENT
        inner = inner[name]
    return _typed(inner, kind)


def _typed(value: object, kind: Type | None) -> Value:
    """The value as its declared type says it; raises `ValueError` where it is not one."""
    match kind.kind if kind is not None and isinstance(value, str) else None:
        case Kind.TIMESTAMP:
            return parse_timestamp(str(value))
        case Kind.DURATION:
            return parse_duration(str(value))
        case _:
            return value  # type: ignore[return-value]  # JSON as it was sealed
