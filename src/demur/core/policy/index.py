"""Documents -> PolicySet: rules found by action and resource type, and their truth as bitmasks.

- A bucket holds the rules that cover one action on one type of resource. Buckets are made when first asked for, and
  actions with the same rules share one.
- Names that nothing declares never make a bucket of their own, and few of them are remembered: however many a caller
  invents, memory does not grow.
- Order of documents and duplicates of a rule never matter (S3.3).

Clauses: S2.2, S3.3, S3.6, S3.7.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from demur.core import cel
from demur.core.policy import atoms, needs
from demur.core.policy.bucket import Bucket, bits
from demur.core.policy.coverage import Coverage
from demur.core.schema import DESK, REQUEST
from demur.errors import PolicyError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demur.core.cel import Program
    from demur.core.cel.ir import Node
    from demur.core.cel.overload import Zones
    from demur.core.desk.plan import Desk
    from demur.core.policy.atoms import Piece
    from demur.core.policy.document import Clause, Condition, Documents, Rule
    from demur.core.schema import Schema

MAX_BUCKETS = 4_096
"""Buckets kept at once. Beyond it all are dropped and made again when asked for."""
MAX_NAMES = 65_536
"""Pairs of declared names whose bucket is remembered."""
MAX_FOREIGN = 1_024
"""Pairs with a name that nothing declares whose bucket is remembered."""
MAX_BUCKET_BYTES = 256 * 1024 * 1024
"""Estimated size of all tables kept at once."""


class Prepared(NamedTuple):
    """A clause, whether it is an `unless`, and each of its conditions with its program and the facts it reads."""

    clause: Clause
    is_unless: bool
    members: tuple[tuple[Condition, Program, tuple[str, ...]], ...]


class PolicySet:
    """All rules in force, named by one digest (S3.7). Immutable but for what it remembers to be fast."""

    def __init__(self, documents: Documents, zones: Zones) -> None:
        self.documents = documents
        self._zones = zones
        self._by_id = _by_id(documents.rules)
        self._rules = tuple(self._by_id.values())
        self._coverage = Coverage(documents, self._rules)
        self._slots = {slot.path: index for index, slot in enumerate(documents.schema.slots)}
        self._pieces: dict[int, tuple[Piece, ...]] = {}
        self._programs: dict[bytes, Program] = {}
        self._prepared: dict[str, tuple[Prepared, ...]] = {}
        self._reads: dict[str, frozenset[int]] = {}
        self._named: dict[tuple[str | None, str | None], tuple[Bucket, int]] = {}
        self._foreign: dict[tuple[str, str], tuple[Bucket, int]] = {}
        self._shared: dict[int, Bucket] = {}
        self._needs: dict[Bucket, Mapping[str, tuple[str, ...]]] = {}
        self._bytes = 0
        self._risk_slots = needs.risk_slots(documents.desk.risk, self._slots)

    @classmethod
    def build(cls, documents: Documents, zones: Zones) -> PolicySet:
        """The set of these documents, in time proportional to the number of rules; see `warm`.

        Raises `PolicyError` where two different rules have one id.
        """
        return cls(documents, zones)

    @property
    def digest(self) -> str:
        """The policy version (S3.7)."""
        return self.documents.digest

    @property
    def schema(self) -> Schema:
        """What is declared."""
        return self.documents.schema

    @property
    def desk(self) -> Desk:
        """The review desk as declared."""
        return self.documents.desk

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule, sorted by id."""
        return self._rules

    @property
    def zones(self) -> Zones:
        """The time zones that conditions are evaluated in (S2.4)."""
        return self._zones

    def rule(self, rule_id: str) -> Rule:
        """The rule of that id; raises `KeyError`."""
        return self._by_id[rule_id]

    def slot(self, path: str) -> int:
        """The slot of a declared fact; raises `KeyError`."""
        return self._slots[path]

    def bucket(self, action: str, resource_type: str) -> tuple[Bucket, int]:
        """The bucket to judge in, and which of its rules cover this action on this type of resource."""
        name = (action, resource_type)
        return self._named.get(name) or self._foreign.get(name) or self._find(action, resource_type)

    def candidates(self, action: str, resource_type: str) -> tuple[Rule, ...]:
        """The rules that cover the action, sorted by id."""
        bucket, covering = self.bucket(action, resource_type)
        return bucket.rules if covering == bucket.everything else tuple(bucket.chosen(covering))

    def columns(self, action: str, resource_type: str) -> tuple[str, ...]:
        """The facts that the candidates read, in the order of their slots."""
        bucket, _ = self.bucket(action, resource_type)
        return tuple(self.schema.slots[slot].path for slot in sorted(bucket.slots))

    def needs(self, action: str, resource_type: str) -> Mapping[str, tuple[str, ...]]:
        """Source -> the paths that candidates read from it, and the desk, where one of them may ask people.

        Claims and built-in facts are left out.
        """
        bucket, _ = self.bucket(action, resource_type)
        found = self._needs.get(bucket)
        if found is None:
            found = self._needs[bucket] = self._needs_of(bucket)
        return found

    def history(self, bucket: Bucket) -> tuple[str, ...]:
        """The facts that the rules of a bucket read of what Demur counts itself (S4.2)."""
        counters, slots = self.schema.counters, self.schema.slots
        read = (slots[index] for index in sorted(bucket.slots))
        return tuple(slot.path for slot in read if slot.path in counters or slot.source == DESK)

    def _needs_of(self, bucket: Bucket) -> Mapping[str, tuple[str, ...]]:
        wanted: dict[str, list[str]] = {}
        read = bucket.slots | self._risk_slots if bucket.reviews else bucket.slots
        for index in sorted(read):
            slot = self.schema.slots[index]
            if slot.source not in {REQUEST, ""}:
                wanted.setdefault(slot.source, []).append(slot.path)
        return MappingProxyType({source: tuple(paths) for source, paths in wanted.items()})

    def warm(self) -> None:
        """Make the buckets of all declared actions now, so that no request waits for one."""
        others = (*sorted(self._coverage.types.known), "")
        for name, action in self.schema.actions.items():
            for resource_type in action.resource_types or others:
                self.bucket(name, resource_type)

    def link(self, node: Node) -> Program:
        """The program of a condition, remembered."""
        form = atoms.form(node)
        program = self._programs.get(form)
        if program is None:
            program = self._programs[form] = cel.link(node, self._zones)
        return program

    def prepared(self, rule: Rule) -> tuple[Prepared, ...]:
        """The clauses of a rule, `when` before `unless`, with the programs of their conditions, remembered."""
        found = self._prepared.get(rule.id)
        if found is None:
            found = tuple(
                Prepared(clause, is_unless, tuple(map(self._prepare, needs.members(clause))))
                for clauses, is_unless in ((rule.when, False), (rule.unless, True))
                for clause in clauses
            )
            self._prepared[rule.id] = found
        return found

    def _prepare(self, condition: Condition) -> tuple[Condition, Program, tuple[str, ...]]:
        slots = sorted(needs.slots_read(condition.node))
        return condition, self.link(condition.node), tuple(self.schema.slots[slot].path for slot in slots)

    def reads(self, rule_id: str) -> frozenset[int]:
        """The slots that the rule reads, remembered."""
        slots = self._reads.get(rule_id)
        if slots is None:
            slots = self._reads[rule_id] = needs.rule_slots(self._by_id[rule_id])
        return slots

    def _find(self, action: str, resource_type: str) -> tuple[Bucket, int]:
        """By known names; a name that nothing mentions shares the bucket of all rules with patterns."""
        actions, types = self._coverage.actions, self._coverage.types
        is_known = action in actions.known, resource_type in types.known
        if all(is_known):
            return self._remember((action, resource_type), self._coverage.covering(action, resource_type))
        name = (action if is_known[0] else None, resource_type if is_known[1] else None)
        found = self._named.get(name)
        if found is None:
            wide = actions.covering(action) if is_known[0] else actions.foreign
            wide &= types.covering(resource_type) if is_known[1] else types.foreign
            found = self._remember(name, wide)
        found = found[0], self._narrowed(found[0], action, resource_type)
        if len(self._foreign) >= MAX_FOREIGN:
            self._foreign.clear()
        self._foreign[action, resource_type] = found
        return found

    def _narrowed(self, bucket: Bucket, action: str, resource_type: str) -> int:
        covering = self._coverage.covering(action, resource_type)
        if covering == bucket.members:
            return bucket.everything
        return bits(bucket.places[self._rules[index].id] for index in _places(covering))

    def _remember(self, name: tuple[str | None, str | None], rules: int) -> tuple[Bucket, int]:
        bucket = self._shared.get(rules)
        if bucket is None:
            indexes = _places(rules)
            chosen = tuple(self._rules[index] for index in indexes)
            bucket = Bucket(rules, chosen, [self._parts(index) for index in indexes], self.link)
            if len(self._shared) >= MAX_BUCKETS or self._bytes + bucket.size > MAX_BUCKET_BYTES:
                self._forget()
            self._shared[rules] = bucket
            self._bytes += bucket.size
        if len(self._named) >= MAX_NAMES:
            self._named.clear()
        self._named[name] = found = (bucket, bucket.everything)
        return found

    def _forget(self) -> None:
        self._named.clear()
        self._foreign.clear()
        self._shared.clear()
        self._needs.clear()
        self._bytes = 0

    def _parts(self, index: int) -> tuple[Piece, ...]:
        parts = self._pieces.get(index)
        if parts is None:
            parts = self._pieces[index] = atoms.pieces(self._rules[index])
        return parts


def _by_id(rules: Iterable[Rule]) -> dict[str, Rule]:
    """The rules in the order of their ids, each once."""
    known: dict[str, Rule] = {}
    for rule in rules:
        if known.setdefault(rule.id, rule) != rule:
            message = f"expected one rule `{rule.id}`, found two that differ"
            raise PolicyError([Problem(rule.file, rule.line, 0, message)])
    return dict(sorted(known.items()))


def _places(mask: int) -> list[int]:
    """The places of the set bits, ascending."""
    return [index for index, digit in enumerate(reversed(bin(mask))) if digit == "1"]
