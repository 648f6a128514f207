"""The rules that cover one action on one type of resource, and their truth as bitmasks.

- Rules are sorted by id: bit `i` is rule `i`, so the lowest set bit is the lowest id (S3.4).
- Truth has four values per rule. Each fact gives, by one lookup, the rules that it does not make false; what no table
  can answer is evaluated as a program, only for rules still alive. False wins, then unknown, then failure (S3.1).

Clauses: S2.1, S3.1, S3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from demur.core import cel
from demur.core.policy import atoms, duties, needs, tables
from demur.core.policy.atoms import Computed, OnFact, OnList
from demur.core.terms import Category, Effect, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from demur.core.cel import Program
    from demur.core.cel.ir import Node
    from demur.core.policy.atoms import Piece
    from demur.core.policy.document import Rule
    from demur.core.policy.tables import Lookup
    from demur.core.terms import State

PRECEDENCE = (
    Category.CATEGORICAL,
    Category.POLICY_VIOLATION,
    Category.SCOPE_EXCEEDED,
    Category.STATE_CONFLICT,
    Category.QUOTA_EXCEEDED,
    Category.TEMPORAL,
    Category.INSUFFICIENT_CONTEXT,
    Category.INDETERMINATE,
)
"""The order of S3.4."""

_UNKNOWN, _ABSENT = Missing.UNKNOWN, Missing.ABSENT


class Column(NamedTuple):
    """One fact and the rules that test it."""

    slot: int
    lookup: Lookup
    mask: int
    alive_when_absent: int
    failed_when_absent: int


class Residue(NamedTuple):
    """One condition that is evaluated as a program, and the rules that need it."""

    program: Program
    mask: int


class Bucket:
    """The rules that cover one action on one type of resource, indexed."""

    __slots__ = (
        "_columns",
        "_needs_programs",
        "_programs_of",
        "_residues",
        "categories",
        "everything",
        "forbids",
        "members",
        "permits",
        "places",
        "reviews",
        "rules",
        "size",
        "slots",
        "strict",
        "with_duties",
    )

    def __init__(
        self,
        members: int,
        rules: tuple[Rule, ...],
        parts: Sequence[tuple[Piece, ...]],
        link: Callable[[Node], Program],
    ) -> None:
        """`members` are the rules as bits of the whole set; `rules` are sorted by id; `parts[i]` is of rule `i`."""
        self.members = members
        self.rules = rules
        self.everything = (1 << len(rules)) - 1
        self.places = {rule.id: index for index, rule in enumerate(rules)}
        self.forbids = _mask(rule.effect is Effect.FORBID for rule in rules)
        self.reviews = _mask(rule.effect is Effect.REVIEW for rule in rules)
        self.permits = _mask(rule.effect is Effect.PERMIT for rule in rules)
        self.strict = self.forbids | self.reviews
        self.with_duties = _mask(duties.has_duties(rule) for rule in rules)
        self.categories = _categories(rules)
        self.slots: frozenset[int] = frozenset().union(*map(needs.rule_slots, rules))
        sorting = _Sorting(parts, self.everything)
        self._columns = sorting.columns()
        self._residues, self._programs_of, self._needs_programs = sorting.residues(link)
        self.size = sorting.bytes

    def judge(self, values: Sequence[State], covering: int) -> tuple[int, int, int]:
        """The rules in `covering` that are true, unknown and failed over one row of facts; the others are false."""
        alive, unknown, failed = covering, 0, 0
        for slot, lookup, mask, alive_when_absent, failed_when_absent in self._columns:
            value = values[slot]
            if value is _UNKNOWN:
                unknown |= mask
            elif value is _ABSENT:
                alive &= alive_when_absent
                failed |= failed_when_absent
            else:
                kept = lookup(value)  # type: ignore[arg-type]  # neither of the two `Missing`, so a value
                if kept is None:
                    failed |= mask
                else:
                    alive &= kept
                    if not alive:
                        return 0, 0, 0
        if alive & self._needs_programs:
            alive, more_unknown, more_failed = self._run(values, alive)
            unknown |= more_unknown
            failed |= more_failed
        if not unknown and not failed:
            return alive, 0, 0
        unknown &= alive
        failed &= alive & ~unknown
        return alive ^ unknown ^ failed, unknown, failed

    def unknown_slots(self, values: Sequence[State], deciding: int) -> set[int]:
        """The slots of unknown facts that conditions of the rules `deciding` compare with constants."""
        return {column.slot for column in self._columns if column.mask & deciding and values[column.slot] is _UNKNOWN}

    def mistyped(self, values: Sequence[State], rules: int) -> int | None:
        """The slot of a value that is not of its declared kind and that made one of `rules` fail; `None` if none is."""
        for column in self._columns:
            value = values[column.slot]
            if column.mask & rules and not isinstance(value, Missing) and column.lookup(value) is None:
                return column.slot
        return None

    def unknown_paths(self, values: Sequence[State], deciding: int) -> set[str]:
        """The paths that the programs of the rules `deciding` could not read."""
        paths: set[str] = set()
        for program, mask in self._residues:
            if mask & deciding:
                result = program(values)
                if isinstance(result, cel.Unknown):
                    paths.update(result.paths)
        return paths

    def chosen(self, mask: int) -> Iterator[Rule]:
        """The rules of the set bits, in the order of their ids."""
        while mask:
            lowest = mask & -mask
            yield self.rules[lowest.bit_length() - 1]
            mask ^= lowest

    def ids(self, mask: int) -> tuple[str, ...]:
        """The ids of the set bits, in order."""
        if not mask:
            return ()
        return tuple(rule.id for rule in self.chosen(mask))

    def _run(self, values: Sequence[State], alive: int) -> tuple[int, int, int]:
        unknown, failed = 0, 0
        done: set[int] = set()
        waiting = alive & self._needs_programs
        while waiting:
            lowest = waiting & -waiting
            for index in self._programs_of[lowest.bit_length() - 1]:
                if index in done:
                    continue
                done.add(index)
                program, mask = self._residues[index]
                result = program(values)
                if result is False:
                    alive &= ~mask
                elif isinstance(result, cel.Unknown):
                    unknown |= mask
                elif result is not True:
                    failed |= mask
                if not alive & lowest:
                    break
            waiting = (waiting ^ lowest) & alive
        return alive, unknown, failed


class _Sorting:
    """Sorts the pieces of all rules of a bucket into tables and programs."""

    def __init__(self, parts: Sequence[tuple[Piece, ...]], full: int) -> None:
        self._full = full
        self._width = len(parts)
        self._facts: dict[tuple[int, atoms.Family], dict[int, list[OnFact]]] = {}
        self._wanted: dict[tuple[int, int], dict[int, frozenset[str]]] = {}
        self._banned: dict[int, dict[int, frozenset[str]]] = {}
        self._computed: dict[bytes, tuple[Node, set[int]]] = {}
        self.bytes = 0
        for bit, pieces in enumerate(parts):
            for piece in pieces:
                self._place(bit, piece)

    def _place(self, bit: int, piece: Piece) -> None:
        match piece:
            case OnFact():
                self._facts.setdefault((piece.slot, piece.family), {}).setdefault(bit, []).append(piece)
            case OnList(is_inverted=True):
                banned = self._banned.setdefault(piece.slot, {})
                banned[bit] = banned.get(bit, frozenset()) | piece.members
            case OnList():
                layer = 0
                while bit in self._wanted.setdefault((piece.slot, layer), {}):
                    layer += 1
                self._wanted[piece.slot, layer][bit] = piece.members
            case Computed():
                self._compute(bit, piece.node)

    def _compute(self, bit: int, node: Node) -> None:
        self._computed.setdefault(atoms.form(node), (node, set()))[1].add(bit)

    def columns(self) -> tuple[Column, ...]:
        """One column per fact; a table that would grow too large becomes programs instead."""
        columns = []
        for (slot, family), by_rule in self._facts.items():
            tests = {bit: [piece.test for piece in pieces] for bit, pieces in by_rule.items()}
            size = tables.size(family, tests, self._width)
            if size > tables.MAX_TABLE_BYTES or not tables.is_quick(tests):
                for bit, pieces in by_rule.items():
                    for piece in pieces:
                        self._compute(bit, piece.node)
                continue
            alive, failed = tables.when_absent(tests, self._full)
            lookup = tables.facts_lookup(family, tests, self._full)
            columns.append(Column(slot, lookup, bits(tests), alive, failed))
            self.bytes += size
        for slot, layer in self._list_columns():
            wanted = self._wanted.get((slot, layer), {})
            banned = self._banned.get(slot, {}) if layer == 0 else {}
            mask = bits(wanted) | bits(banned)
            columns.append(Column(slot, tables.list_lookup(wanted, banned, self._full), mask, self._full, mask))
            self.bytes += sum(map(len, (*wanted.values(), *banned.values()))) * (self._width // 8 + 28)
        return tuple(columns)

    def _list_columns(self) -> list[tuple[int, int]]:
        return sorted({*self._wanted, *((slot, 0) for slot in self._banned)})

    def residues(self, link: Callable[[Node], Program]) -> tuple[tuple[Residue, ...], dict[int, tuple[int, ...]], int]:
        """The programs, each once; which of them each rule needs; and the rules that need any."""
        residues: list[Residue] = []
        by_rule: dict[int, list[int]] = {}
        for node, rules in self._computed.values():
            for bit in rules:
                by_rule.setdefault(bit, []).append(len(residues))
            residues.append(Residue(link(node), bits(rules)))
        return tuple(residues), {bit: tuple(found) for bit, found in by_rule.items()}, bits(by_rule)


def bits(places: Iterable[int]) -> int:
    """The mask with these places set."""
    return sum(1 << place for place in places)


def _mask(flags: Iterable[bool]) -> int:
    return bits(index for index, is_set in enumerate(flags) if is_set)


def _categories(rules: Sequence[Rule]) -> tuple[tuple[Category, int], ...]:
    """The forbids of each category, in the order of precedence."""
    masks = {
        category: _mask(rule.effect is Effect.FORBID and category_of(rule) is category for rule in rules)
        for category in PRECEDENCE
    }
    return tuple((category, mask) for category, mask in masks.items() if mask)


def category_of(forbid: Rule) -> Category:
    """The category of a forbid; one outside S3.4, or none, counts as a policy violation."""
    return forbid.category if forbid.category in PRECEDENCE and forbid.category else Category.POLICY_VIOLATION
