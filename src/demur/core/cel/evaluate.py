"""A typed node -> a program: nested closures that read the row and give a value, Unknown or a Fault.

- Strict operators evaluate all operands; Unknown decides before Fault (S2.1, S3.2).
- `&&`, `||` and `?:` evaluate no more than they need; a deciding operand wins over Unknown, Unknown over Fault.
- Nothing is compiled to text and nothing is looked up by name while a program runs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from demur.core.cel import closures, comprehend, containers, shortcuts, text
from demur.core.cel.ir import (
    And,
    Call,
    Choose,
    Const,
    FactRef,
    HasFact,
    Local,
    Macro,
    MakeList,
    MakeMap,
    Node,
    Not,
    Or,
    Select,
)
from demur.core.cel.library import DYNAMIC, STATIC
from demur.core.cel.meter import MAX_STEPS, Closure, ExhaustedError, Meter
from demur.core.cel.overload import Overload, Zones, kind_of, no_overload
from demur.core.cel.truth import Fault, Result
from demur.core.cel.walk import nodes, weight
from demur.core.schema import Kind
from demur.core.terms import Duration, State, Timestamp, Value

if TYPE_CHECKING:
    from demur.core.cel.closures import Cost, Operation
    from demur.core.cel.meter import Cell

Program: TypeAlias = Callable[[Sequence[State]], Result]
"""A linked condition: the row of facts to a value, Unknown or a Fault. It may run in many threads at once."""

MAX_MACROS = 4
"""How deep macros may nest; each level has a cell."""

_UNMETERED_NODES = 256
"""A condition of at most so many nodes, without macros and without text or lists to build, cannot cost much."""
_MEMBERS_PER_STEP = 8
_BUILT = frozenset({Kind.STRING, Kind.LIST, Kind.DYN})
_COMPARED_AT_ONCE = frozenset({Kind.NULL, Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.TIMESTAMP, Kind.DURATION})
_SPENT = Fault(f"the condition costs more than {MAX_STEPS} steps")


def link(node: Node, zones: Zones) -> Program:
    """The program of a checked condition; linking the same node twice gives programs that agree."""
    metered = _is_metered(node)
    run = _Linker(zones, metered=metered).link(node)
    if not metered:
        return cast("Program", run)

    def program(row: Sequence[State]) -> Result:
        env: list[Cell] = [*row, *[None] * MAX_MACROS, Meter()]
        try:
            return run(env)
        except ExhaustedError:
            return _SPENT

    return program


def constant(node: Const) -> Value:
    """The value of a literal."""
    if isinstance(node.value, int):
        match node.type.kind:
            case Kind.TIMESTAMP:
                return Timestamp(node.value)
            case Kind.DURATION:
                return Duration(node.value)
            case Kind.DOUBLE:
                return float(node.value)
            case _:
                return node.value
    return node.value


def _is_metered(node: Node) -> bool:
    for count, part in enumerate(nodes(node)):
        if count >= _UNMETERED_NODES or isinstance(part, Macro) or (isinstance(part, Call) and _builds(part)):
            return True
    return False


def _builds(call: Call) -> bool:
    """Whether a call takes time in proportion to more than one text: it builds, compares containers, runs a pattern."""
    match call.op:
        case "_+_":
            return call.type.kind in _BUILT
        case "_==_" | "_!=_":
            return call.args[0].type.kind not in _COMPARED_AT_ONCE
        case "@in":
            return not _is_searchable(call)
        case op:
            return op == "matches"


def _is_searchable(call: Call) -> bool:
    """Whether `in` looks for a scalar in a list of its kind."""
    kind, members = call.args[0].type.kind, call.args[1].type
    return (
        members.kind is Kind.LIST
        and members.element is not None
        and members.element.kind is kind
        and kind in shortcuts.SEARCHED
    )


def _search_cost(_: object, members: Sequence[object]) -> int:
    return 1 + len(members) // _MEMBERS_PER_STEP


class _Linker:
    __slots__ = ("level", "metered", "zones")

    def __init__(self, zones: Zones, *, metered: bool) -> None:
        self.zones = zones
        self.metered = metered
        self.level = 0

    def link(self, node: Node) -> Closure:  # noqa: C901  (one case for each kind of node)
        match node:
            case Const():
                return closures.give(constant(node))
            case FactRef(path, slot):
                return shortcuts.read(path, slot)
            case HasFact(path, slot):
                return shortcuts.has(path, slot)
            case Local(_, depth):
                return shortcuts.local(self.cell(depth))
            case Select(operand, name, test):
                return (closures.has_field if test else closures.field)(self.link(operand), name)
            case Call():
                return self.call(node)
            case And(args):
                return closures.junction(self.link_all(args), deciding=False)
            case Or(args):
                return closures.junction(self.link_all(args), deciding=True)
            case Not(arg):
                return closures.negation(self.link(arg))
            case Choose(condition, yes, no):
                return closures.choice(self.link(condition), self.link(yes), self.link(no))
            case MakeList(items):
                return self.make_list(items)
            case MakeMap(keys, values):
                return closures.make_map(self.link_all(keys), self.link_all(values))
            case Macro():
                return self.macro(node)

    def link_all(self, parts: Sequence[Node]) -> list[Closure]:
        return [self.link(part) for part in parts]

    def cell(self, depth: int) -> int:
        """Where the variable of a macro stands: below the meter, one cell for each level."""
        return -2 - (self.level - 1 - depth)

    def make_list(self, items: tuple[Node, ...]) -> Closure:
        constants = [constant(item) for item in items if isinstance(item, Const)]
        if len(constants) == len(items):
            return closures.give(tuple(constants))
        return closures.make_list(self.link_all(items))

    def macro(self, node: Macro) -> Closure:
        range_ = self.link(node.range)
        self.level += 1
        cell = self.cell(0)
        body = self.link(node.body)
        filter_body = None if node.filter_body is None else self.link(node.filter_body)
        self.level -= 1
        steps = weight(node.body) + (0 if node.filter_body is None else weight(node.filter_body))
        loop = comprehend.Loop(range_, cell, steps)
        match node.name:
            case "all":
                return comprehend.quantify(loop, body, deciding=False)
            case "exists":
                return comprehend.quantify(loop, body, deciding=True)
            case "exists_one":
                return comprehend.count_one(loop, body)
            case "filter":
                return comprehend.keep(loop, body)
            case _:
                return comprehend.transform(loop, body, filter_body)

    def call(self, node: Call) -> Closure:
        short = shortcuts.comparison(node, constant) or shortcuts.membership(node, constant)
        if short is None and not self.metered:
            short = shortcuts.holding(node, constant)
        if short is not None:
            return short
        if node.op == "matches" and isinstance(node.args[1], Const):
            return self.search(node.args[0], str(node.args[1].value))
        kinds = tuple([arg.type.kind for arg in node.args])
        if node.op in ("_==_", "_!=_") and kinds[0] is kinds[1] and kinds[0] in _COMPARED_AT_ONCE:
            return closures.strict(operator.eq if node.op == "_==_" else operator.ne, self.link_all(node.args), None)
        if node.op == "@in" and _is_searchable(node):
            return closures.strict(
                containers.is_member, self.link_all(node.args), _search_cost if self.metered else None
            )
        overload = None if Kind.DYN in kinds else STATIC[node.op].get(kinds)
        call, cost = self.dispatched(node.op) if overload is None else (self.bound(overload), overload.cost)
        return closures.strict(call, self.link_all(node.args), cost if self.metered else None)

    def search(self, operand: Node, pattern: str) -> Closure:
        """`matches` with a pattern that is written out: compiled once, here."""
        try:
            compiled = text.compile_pattern(pattern)
        except ValueError as error:
            return closures.give(Fault(str(error)))

        def found(value: object) -> Result:
            return text.is_found(compiled, value) if isinstance(value, str) else no_overload("matches", (value, ""))

        def cost(value: object) -> int:
            return text.search_cost(value, compiled.programsize) if isinstance(value, str) else 1

        return closures.strict(found, [self.link(operand)], cost if self.metered else None)

    def bound(self, overload: Overload) -> Operation:
        return partial(overload.call, self.zones) if overload.zoned else overload.call

    def dispatched(self, op: str) -> tuple[Operation, Cost]:
        """The operation on values whose kinds are known only when they are read."""
        table, bound = DYNAMIC[op], self.bound

        def call(*values: object) -> Result:
            overload = table.get(tuple([kind_of(value) for value in values]))
            return no_overload(op, values) if overload is None else bound(overload)(*values)

        def cost(*values: object) -> int:
            overload = table.get(tuple([kind_of(value) for value in values]))
            return 1 if overload is None or overload.cost is None else overload.cost(*values)

        return call, cost
