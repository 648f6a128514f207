"""Which optional facts a condition makes sure of before it reads them (S2.1).

For every part of a condition: the paths without which it cannot be true, and those without which it cannot be false;
only `has(...)` brings them about. An operand of `&&` is read under what all its siblings need to be true, one of `||`
under what they need to be false, whatever their order: the operators are commutative, so the sibling decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from demur.core.cel.ir import And, Call, Choose, Const, FactRef, HasFact, Local, Macro, Node, Not, Or, Select
from demur.core.cel.walk import children

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LOCAL = "@"
"""Begins the key of a macro variable, which no fact's path does."""

Paths: TypeAlias = frozenset[str] | None
"""A set of paths; None is every path, for a condition that cannot have that truth at all."""

_NO_PATHS: frozenset[str] = frozenset()


class Analysis(NamedTuple):
    """Reads of optional facts as path, offset and whether guarded; and the paths present when the whole is true."""

    uses: tuple[tuple[str, int, bool], ...]
    when_true: frozenset[str]


class Sure(NamedTuple):
    """Paths that are present when a part is true, and when it is false."""

    true: Paths
    false: Paths


class Present(NamedTuple):
    """What is sure to be present at a place: the `paths` that siblings here need, and those that hold further out."""

    paths: frozenset[str]
    outer: Present | None

    def holds(self, path: str) -> bool:
        """Whether a sibling, here or further out, makes sure of the path."""
        place: Present | None = self
        while place is not None:
            if path in place.paths:
                return True
            place = place.outer
        return False


_NOWHERE = Present(_NO_PATHS, None)


def analyse(node: Node, reads: Mapping[int, tuple[Node, int]]) -> Analysis:
    """Follow a whole condition; `reads` are the reads of optional facts by identity of the node, with their offset."""
    walk = _Walk(reads)
    walk.visit(node, _NOWHERE, 0)
    sure = walk.sure(node, 0).true or _NO_PATHS
    uses = sorted(walk.uses, key=lambda use: use[1])
    return Analysis(tuple(uses), frozenset(path for path in sure if not path.startswith(_LOCAL)))


class _Walk:
    """Visits every read with the paths that are sure to be present there."""

    def __init__(self, reads: Mapping[int, tuple[Node, int]]) -> None:
        self.reads = reads
        self.uses: list[tuple[str, int, bool]] = []
        self.known: dict[int, Sure] = {}

    def visit(self, node: Node, present: Present, level: int) -> None:
        read = self.reads.get(id(node))
        if read is not None:
            key = key_of(node, level)
            self.uses.append((_shown(node), read[1], key is not None and present.holds(key)))
        match node:
            case And() | Or():
                self.siblings(node, present, level)
            case Choose(condition, yes, no):
                sure = self.sure(condition, level)
                self.visit(condition, present, level)
                self.visit(yes, _under(present, sure.true), level)
                self.visit(no, _under(present, sure.false), level)
            case Macro(_, range_, _, body, filter_body):
                self.visit(range_, present, level)
                if filter_body is not None:
                    self.visit(filter_body, present, level + 1)
                    present = _under(present, self.sure(filter_body, level + 1).true)
                self.visit(body, present, level + 1)
            case _:
                for part in children(node):
                    self.visit(part, present, level)

    def siblings(self, node: And | Or, present: Present, level: int) -> None:
        sures = [self.sure(arg, level) for arg in node.args]
        sides = [(sure.true if isinstance(node, And) else sure.false) or _NO_PATHS for sure in sures]
        # A path that an operand itself needs is read within it only under that need, or `learn_choice` left it out.
        here = Present(_NO_PATHS.union(*sides), present)
        for arg in node.args:
            self.visit(arg, here, level)

    def sure(self, node: Node, level: int) -> Sure:
        """What the truth of a part says about presence, worked out once for each part."""
        found = self.known.get(id(node))
        if found is None:
            found = self.known[id(node)] = self.learn(node, level)
        return found

    def learn(self, node: Node, level: int) -> Sure:
        match node:
            case HasFact(path):
                return Sure(frozenset({path}), _NO_PATHS)
            case Select(operand, field, True):
                base = key_of(operand, level)
                return Sure(frozenset({f"{base}.{field}"}) if base else _NO_PATHS, _NO_PATHS)
            case Const(value) if isinstance(value, bool):
                return Sure(_NO_PATHS, None) if value else Sure(None, _NO_PATHS)
            case Not(arg):
                inner = self.sure(arg, level)
                return Sure(inner.false, inner.true)
            case And(args):
                parts = [self.sure(arg, level) for arg in args]
                return Sure(_union(part.true for part in parts), _meet(part.false for part in parts))
            case Or(args):
                parts = [self.sure(arg, level) for arg in args]
                return Sure(_meet(part.true for part in parts), _union(part.false for part in parts))
            case Choose():
                return self.learn_choice(node, level)
            case _:
                return Sure(_NO_PATHS, _NO_PATHS)

    def learn_choice(self, node: Choose, level: int) -> Sure:
        test, yes, no = self.sure(node.condition, level), self.sure(node.yes, level), self.sure(node.no, level)
        true = _meet((_union((test.true, yes.true)), _union((test.false, no.true))))
        false = _meet((_union((test.true, yes.false)), _union((test.false, no.false))))
        # A condition that itself reads a path fails where it is absent, before a branch can make sure of it.
        read: set[str] = set()
        _collect_reads(node.condition, level, read)
        return Sure(true - read if true else true, false - read if false else false)


def _collect_reads(node: Node, level: int, read: set[str]) -> None:
    key = key_of(node, level)
    if key is not None:
        read.add(key)
    for part in children(node):
        # Within a macro the variables of those around it are one level further away.
        is_within = isinstance(node, Macro) and part is not node.range
        _collect_reads(part, level + 1 if is_within else level, read)


def key_of(node: Node, level: int) -> str | None:
    """A name for what is read, equal for equal reads; None for what no guard can name."""
    match node:
        case FactRef(path):
            return path
        case Local(_, depth):
            return f"{_LOCAL}{level - 1 - depth}"
        case Select(operand, field, False):
            base = key_of(operand, level)
            return None if base is None else f"{base}.{field}"
        case Call("_[_]", (operand, Const(value))):
            base = key_of(operand, level)
            return None if base is None else f"{base}[{value!r}]"
        case _:
            return None


def _shown(node: Node) -> str:
    match node:
        case FactRef(path):
            return path
        case Local(name):
            return name
        case Select(operand, field):
            return f"{_shown(operand)}.{field}"
        case Call("_[_]", (operand, _)):
            return f"{_shown(operand)}[]"
        case _:
            return "()"


def _under(present: Present, more: Paths) -> Present:
    return Present(more, present) if more else present


def _union(sets: Iterable[Paths]) -> Paths:
    joined: frozenset[str] = _NO_PATHS
    for paths in sets:
        if paths is None:
            return None
        joined = joined | paths
    return joined


def _meet(sets: Iterable[Paths]) -> Paths:
    common: Paths = None
    for paths in sets:
        if paths is not None:
            common = paths if common is None else common & paths
    return common
