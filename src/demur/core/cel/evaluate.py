"""A typed node -> a program: nested closures that read the row and give a value, Unknown or a Fault.

- Strict operators evaluate all operands; Unknown decides before Fault (S2.1, S3.2).
- `&&`, `||` and `?:` evaluate no more than they need; a deciding operand wins over Unknown, Unknown over Fault.
- Nothing is compiled to text and nothing is looked up by name while a program runs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from demur.core.cel import comprehend, shortcuts
from demur.core.cel.containers import MISSING, no_key
from demur.core.cel.ir import And, Call, Choose, Const, FactRef, HasFact, Local, Macro, MakeList, MakeMap, Node, Not, Or, Select
from demur.core.cel.library import DYNAMIC, STATIC
from demur.core.cel.meter import MAX_STEPS, Closure, Env, ExhaustedError, Meter, meter_of
from demur.core.cel.overload import Overload, Zones, kind_of, no_overload
from demur.core.cel.text import Pattern, compile_pattern
from demur.core.cel.truth import STOPS, Fault, Result, Unknown, stop, undecided
from demur.core.schema import Kind
from demur.core.terms import Duration, Missing, State, Timestamp, Value

if TYPE_CHECKING:
    from demur.core.cel.meter import Cell

Program: TypeAlias = Callable[[Sequence[State]], Result]
"""A linked condition: the row of facts to a value, Unknown or a Fault."""

_UNMETERED_NODES = 256
"""A condition of at most so many nodes, without macros and without text or lists to build, cannot cost much."""
_SCALARS = frozenset({Kind.BOOL, Kind.INT, Kind.STRING, Kind.TIMESTAMP, Kind.DURATION, Kind.DOUBLE, Kind.NULL})
_LEVELS = 4
_SPENT = Fault(f"the condition costs more than {MAX_STEPS} steps")
_KEYS = (Kind.BOOL, Kind.INT, Kind.STRING)


def link(node: Node, zones: Zones) -> Program:
    """The program of a checked condition; linking the same node twice gives programs that agree."""
    metered = _is_metered(node)
    run = _Linker(zones, metered=metered).link(node)
    if not metered:
        return cast("Program", run)

    def program(row: Sequence[State]) -> Result:
        env: list[Cell] = [*row, *[None] * _LEVELS, Meter()]
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
    return node.value


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below a node, in reading order."""
    match node:
        case Call(_, args) | And(args) | Or(args):
            return args
        case Select(operand):
            return (operand,)
        case Not(arg):
            return (arg,)
        case MakeList(items):
            return items
        case MakeMap(keys, values):
            return (*keys, *values)
        case Choose(condition, yes, no):
            return (condition, yes, no)
        case Macro(_, range_, _, body, filter_body):
            return (range_, body) if filter_body is None else (range_, filter_body, body)
        case _:
            return ()


def weight(node: Node) -> int:
    """The number of nodes of a part."""
    count, pending = 0, [node]
    while pending:
        count += 1
        pending.extend(children(pending.pop()))
    return count


def _is_metered(node: Node) -> bool:
    count, pending = 0, [node]
    while pending:
        part = pending.pop()
        count += 1
        if count > _UNMETERED_NODES or isinstance(part, Macro) or (isinstance(part, Call) and _builds(part)):
            return True
        pending.extend(children(part))
    return False


def _builds(call: Call) -> bool:
    """Whether a call makes something as large as its operands, or runs a pattern that nobody has seen."""
    if call.op == "_+_":
        return call.type.kind in (Kind.STRING, Kind.LIST, Kind.DYN)
    return call.op == "matches" and not isinstance(call.args[1], Const)


class _Linker:
    __slots__ = ("level", "metered", "zones")

    def __init__(self, zones: Zones, *, metered: bool) -> None:
        self.zones = zones
        self.metered = metered
        self.level = 0

    def link(self, node: Node) -> Closure:
        match node:
            case FactRef(path, slot):
                return shortcuts.read(path, slot)
            case Const():
                return _give(constant(node))
            case Call():
                return self.call(node)
            case And(args):
                return _junction([self.link(arg) for arg in args], deciding=False)
            case Or(args):
                return _junction([self.link(arg) for arg in args], deciding=True)
            case Not(arg):
                return _negation(self.link(arg))
            case HasFact(path, slot):
                return shortcuts.has(path, slot)
            case Select(operand, field, test):
                return (_has_field if test else _field)(self.link(operand), field)
            case Choose(condition, yes, no):
                return _choice(self.link(condition), self.link(yes), self.link(no))
            case Local(_, depth):
                return shortcuts.local(self.cell(depth))
            case MakeList(items):
                return self.make_list(items)
            case MakeMap(keys, values):
                return _make_map([self.link(key) for key in keys], [self.link(value) for value in values])
            case Macro():
                return self.macro(node)

    def cell(self, depth: int) -> int:
        """Where the variable of a macro stands: below the meter, one cell for each level."""
        return -2 - (self.level - 1 - depth)

    def make_list(self, items: tuple[Node, ...]) -> Closure:
        constants = [item for item in items if isinstance(item, Const)]
        if len(constants) == len(items):
            return _give(tuple(constant(item) for item in constants))
        return _make_list([self.link(item) for item in items])

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
        found = shortcuts.comparison(node, constant) or shortcuts.membership(node, constant)
        if found is not None:
            return found
        if node.op == "matches" and isinstance(node.args[1], Const):
            return self.search(node.args[0], str(node.args[1].value))
        kinds = tuple([arg.type.kind for arg in node.args])
        args = [self.link(arg) for arg in node.args]
        overload = None if Kind.DYN in kinds else STATIC[node.op].get(kinds)
        if overload is None:
            return _strict(self.dispatched(node.op), args)
        if node.op in ("_==_", "_!=_") and kinds[0] in _SCALARS and kinds[0] is kinds[1]:
            return _strict(operator.eq if node.op == "_==_" else operator.ne, args)
        return _strict(self.bound(overload), args, overload.cost if self.metered else None)

    def search(self, text: Node, pattern: str) -> Closure:
        """`matches` with a pattern that is written out: compiled once, here."""
        overload = STATIC["matches"][(Kind.STRING, Kind.STRING)]
        try:
            compiled: Pattern = compile_pattern(pattern)
        except ValueError as error:
            return _give_fault(Fault(str(error)))

        def found(value: object) -> Value | Fault:
            return compiled.search(value) is not None if isinstance(value, str) else no_overload("matches", (value, ""))

        def cost(value: object) -> int:
            return overload.cost(value, pattern) if overload.cost and isinstance(value, str) else 1

        return _strict(found, [self.link(text)], cost if self.metered else None)

    def bound(self, overload: Overload) -> Callable[..., Value | Fault]:
        return partial(overload.call, self.zones) if overload.zoned else overload.call

    def dispatched(self, op: str) -> Callable[..., Result]:
        """The operation on values whose kinds are known only now."""
        table, bound, metered = DYNAMIC[op], self.bound, self.metered

        def call(*values: object) -> Result:
            overload = table.get(tuple([kind_of(value) for value in values]))
            return no_overload(op, values) if overload is None else bound(overload)(*values)

        def cost(*values: object) -> int:
            overload = table.get(tuple([kind_of(value) for value in values]))
            return 1 if overload is None or overload.cost is None else overload.cost(*values)

        return _Charged(call, cost) if metered else call


class _Charged:
    """An operation with its cost beside it."""

    __slots__ = ("call", "cost")

    def __init__(self, call: Callable[..., Result], cost: Callable[..., int]) -> None:
        self.call = call
        self.cost = cost

    def __call__(self, *values: object) -> Result:
        return self.call(*values)


def _give(value: Value) -> Closure:
    return lambda _: value


def _give_fault(fault: Fault) -> Closure:
    return lambda _: fault


def _strict(
    call: Callable[..., Result], args: Sequence[Closure], cost: Callable[..., int] | None = None
) -> Closure:
    if isinstance(call, _Charged):
        call, cost = call.call, call.cost
    if cost is not None:
        return _strict_metered(call, args, cost)
    if len(args) == 1:
        return _strict_one(call, args[0])
    if len(args) == 2:  # noqa: PLR2004  (most operators take two)
        return _strict_two(call, args[0], args[1])

    def run(env: Env) -> Result:
        values = [arg(env) for arg in args]
        for value in values:
            if value.__class__ in STOPS:
                return stop(values)
        return call(*values)

    return run


def _strict_one(call: Callable[..., Result], arg: Closure) -> Closure:
    def run(env: Env) -> Result:
        value = arg(env)
        return value if value.__class__ in STOPS else call(value)

    return run


def _strict_two(call: Callable[..., Result], left: Closure, right: Closure) -> Closure:
    def run(env: Env) -> Result:
        one, other = left(env), right(env)
        if one.__class__ in STOPS or other.__class__ in STOPS:
            return stop((one, other))
        return call(one, other)

    return run


def _strict_metered(call: Callable[..., Result], args: Sequence[Closure], cost: Callable[..., int]) -> Closure:
    def run(env: Env) -> Result:
        values = [arg(env) for arg in args]
        for value in values:
            if value.__class__ in STOPS:
                return stop(values)
        meter_of(env).charge(cost(*values))
        return call(*values)

    return run


def _junction(args: Sequence[Closure], *, deciding: bool) -> Closure:
    """Kleene's `&&` (false decides) or `||` (true decides)."""
    neutral = not deciding

    def run(env: Env) -> Result:
        worst: Unknown | Fault | None = None
        for arg in args:
            result = arg(env)
            if result is deciding:
                return deciding
            if result is not neutral:
                worst = undecided(worst, result)
        return neutral if worst is None else worst

    def run_two(env: Env) -> Result:
        one = left(env)
        if one is deciding:
            return deciding
        other = right(env)
        if other is deciding:
            return deciding
        if one is neutral:
            return neutral if other is neutral else undecided(None, other)
        return undecided(undecided(None, one), other) if other is not neutral else undecided(None, one)

    if len(args) != 2:  # noqa: PLR2004  (most chains have two operands)
        return run
    left, right = args
    return run_two


def _negation(arg: Closure) -> Closure:
    def run(env: Env) -> Result:
        value = arg(env)
        if value is True:
            return False
        if value is False:
            return True
        return _not_bool("!", value)

    return run


def _choice(condition: Closure, yes: Closure, no: Closure) -> Closure:
    def run(env: Env) -> Result:
        value = condition(env)
        if value is True:
            return yes(env)
        if value is False:
            return no(env)
        return _not_bool("?:", value)

    return run


def _not_bool(op: str, value: Result) -> Unknown | Fault:
    return value if isinstance(value, Unknown | Fault) else no_overload(op, (value,))


def _field(operand: Closure, field: str) -> Closure:
    absent = no_key(field)

    def run(env: Env) -> Result:
        value = operand(env)
        if isinstance(value, Mapping):
            found = value.get(field, MISSING)  # type: ignore[call-overload]  # MISSING is no value, so it is told apart
            return absent if found is MISSING else cast("Value", found)
        return value if isinstance(value, Unknown | Fault) else no_overload(f".{field}", (value,))

    return run


def _has_field(operand: Closure, field: str) -> Closure:
    def run(env: Env) -> Result:
        value = operand(env)
        if isinstance(value, Mapping):
            return field in value
        return value if isinstance(value, Unknown | Fault) else no_overload("has", (value,))

    return run


def _make_list(items: Sequence[Closure]) -> Closure:
    def run(env: Env) -> Result:
        values = [item(env) for item in items]
        for value in values:
            if value.__class__ in STOPS:
                return stop(values)
        return cast("Value", values)

    return run


def _make_map(keys: Sequence[Closure], values: Sequence[Closure]) -> Closure:
    def run(env: Env) -> Result:
        names = [key(env) for key in keys]
        contents = [value(env) for value in values]
        for part in (*names, *contents):
            if part.__class__ in STOPS:
                return stop((*names, *contents))
        made: dict[Value, Value] = {}
        for name, content in zip(names, contents, strict=True):
            if kind_of(name) not in _KEYS:
                return no_overload("{:}", (name,))
            # `1` and `true` would be one key of a dictionary; nobody has a use for such a map.
            if name in made:
                return Fault(f"the key `{str(name)[:64]}` stands twice in a map")
            made[cast("Value", name)] = cast("Value", content)
        return made

    return run


__all__ = ["Missing", "Program", "children", "constant", "link", "weight"]
