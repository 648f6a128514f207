"""Syntax tree + declared facts -> a typed node, or a refusal that says where and why.

- Every name is declared, every operator has an overload for its operands; integers and doubles do not mix.
- A name is the longest declared dotted prefix; a macro's variable hides facts, a leading dot looks past it.
- What is constant is checked here and not when a request waits: times, durations, regular expressions, zones.
- Macros nest at most 4 deep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel import complaints, guards, lattice, text, times
from demur.core.cel.arithmetic import fit
from demur.core.cel.evaluate import MAX_MACROS
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
from demur.core.cel.lattice import BOOL, DYN, SIMPLE, STRING, element_of, join, key_of
from demur.core.cel.library import DYNAMIC, FUNCTIONS, MACROS, METHODS, STATIC
from demur.core.cel.parse import parse
from demur.core.cel.scope import Checked, Scope, Use
from demur.core.cel.syntax import Apply, Field, ListOf, Literal, Logic, MapOf, Path, Syntax, Ternary
from demur.core.cel.tokens import place, refuse
from demur.core.cel.truth import Fault
from demur.core.schema import Kind, Type

if TYPE_CHECKING:
    from demur.errors import ConditionError

_ITEMS = frozenset({Kind.LIST, Kind.MAP, Kind.DYN})
_KEYS = frozenset({Kind.STRING, Kind.INT, Kind.BOOL, Kind.DYN})
_LITERALS: dict[type, Type] = {
    type(None): lattice.NULL,
    bool: BOOL,
    int: lattice.INT,
    float: lattice.DOUBLE,
    str: STRING,
}
_ARGUMENTS = {"map": (3, 4)}


def check(source: str, scope: Scope, expected: Type | None = None) -> Checked:
    """The typed form of a condition; raises `ConditionError` with line, column, expected, found and a hint."""
    checker = _Checker(source, scope)
    tree = parse(source)
    node = checker.visit(tree)
    if expected is not None and (
        join(expected, node.type) is None or (node.type.kind is Kind.DYN and not scope.dynamic)
    ):
        message = f"a condition of type {expected} is expected, this one is {node.type}"
        hint = complaints.COMPARE if expected == BOOL else ""
        raise refuse(source, tree.at, message, expected=str(expected), found=str(node.type), hint=hint)
    if not checker.reads and not checker.has_guards:
        return Checked(node, node.type, (), frozenset())
    found = guards.analyse(node, checker.reads)
    uses = tuple(Use(path, *place(source, at), guarded) for path, at, guarded in found.uses)
    return Checked(node, node.type, uses, found.when_true)


class _Checker:
    __slots__ = ("has_guards", "locals", "reads", "scope", "source")

    def __init__(self, source: str, scope: Scope) -> None:
        self.source = source
        self.scope = scope
        self.locals: list[tuple[str, Type]] = []
        self.reads: dict[int, tuple[Node, int]] = {}
        self.has_guards = False

    def visit(self, tree: Syntax) -> Node:  # noqa: C901  (one case for each kind of node)
        match tree:
            case Path():
                return self.path(tree)
            case Literal():
                return Const(tree.value, _LITERALS[type(tree.value)])
            case Apply():
                return self.apply(tree)
            case Logic():
                return self.logic(tree)
            case ListOf():
                return self.list_of(tree)
            case Field():
                return self.select(self.visit(tree.operand), tree.name, tree.at)
            case Ternary():
                return self.ternary(tree)
            case MapOf():
                return self.map_of(tree)

    def logic(self, tree: Logic) -> Node:
        args = tuple([self.truth(arg, tree.name) for arg in tree.args])
        return And(args) if tree.name == "&&" else Or(args)

    def truth(self, tree: Syntax, op: str) -> Node:
        node = self.visit(tree)
        if node.type.kind not in (Kind.BOOL, Kind.DYN):
            message = f"`{op}` needs bool, found {node.type}"
            raise refuse(self.source, tree.at, message, expected="bool", found=str(node.type), hint=complaints.COMPARE)
        return node

    def ternary(self, tree: Ternary) -> Node:
        condition = self.truth(tree.condition, "?:")
        yes, no = self.visit(tree.yes), self.visit(tree.no)
        type_ = join(yes.type, no.type)
        if type_ is None:
            message = f"both branches of `?:` have one type, found {complaints.listing([yes.type, no.type])}"
            hint = complaints.mismatch_hint("?:", (yes, no))
            raise refuse(self.source, tree.at, message, expected=str(yes.type), found=str(no.type), hint=hint)
        return Choose(condition, yes, no, type_)

    def list_of(self, tree: ListOf) -> Node:
        items = tuple([self.visit(item) for item in tree.items])
        return MakeList(items, lattice.list_of(self.uniform(items, tree.items, "items of a list")))

    def map_of(self, tree: MapOf) -> Node:
        keys = tuple([self.visit(key) for key in tree.keys])
        values = tuple([self.visit(value) for value in tree.values])
        for key, syntax in zip(keys, tree.keys, strict=True):
            if key.type.kind not in _KEYS:
                message = f"a key of a map is bool, int or string, found {key.type}"
                raise refuse(self.source, syntax.at, message, expected="bool, int or string", found=str(key.type))
        key_type = self.uniform(keys, tree.keys, "keys of a map")
        return MakeMap(keys, values, lattice.map_of(key_type, self.uniform(values, tree.values, "values of a map")))

    def uniform(self, nodes: tuple[Node, ...], trees: tuple[Syntax, ...], what: str) -> Type:
        joined = lattice.NOTHING
        for node, tree in zip(nodes, trees, strict=True):
            merged = join(joined, node.type)
            if merged is None:
                if self.scope.dynamic:
                    return DYN
                message = f"the {what} have one type, found {complaints.listing([joined, node.type])}"
                hint = complaints.mismatch_hint("[,]", (nodes[0], node))
                raise refuse(self.source, tree.at, message, expected=str(joined), found=str(node.type), hint=hint)
            joined = merged
        return joined

    def path(self, tree: Path) -> Node:
        parts = tree.parts
        if self.locals and not tree.rooted:
            for depth, (name, type_) in enumerate(reversed(self.locals)):
                if name == parts[0]:
                    return self.selects(Local(name, depth, type_), parts[1:], tree.at)
        found = self.fact(tree)
        if found is None:
            path = ".".join(parts)
            known = (*self.scope.variables, *(name for name, _ in self.locals))
            hint = complaints.unknown_fact(path, known)
            raise refuse(
                self.source,
                tree.at,
                f"`{path[:80]}` is not declared",
                expected="a declared fact",
                found=path[:80],
                hint=hint,
            )
        node, used = found
        return self.selects(node, parts[used:], tree.at)

    def fact(self, tree: Path) -> tuple[Node, int] | None:
        """The longest declared prefix, and how many names it has."""
        variables, parts = self.scope.variables, tree.parts
        for used in range(len(parts), 0, -1):
            path = ".".join(parts[:used])
            variable = variables.get(path)
            if variable is not None:
                node = FactRef(path, variable.slot, variable.type)
                if variable.optional:
                    self.reads[id(node)] = (node, tree.at)
                return node, used
        return None

    def selects(self, node: Node, names: tuple[str, ...], at: int) -> Node:
        for name in names:
            node = self.select(node, name, at)
        return node

    def select(self, operand: Node, name: str, at: int, *, test: bool = False) -> Node:
        type_ = operand.type
        match type_.kind:
            case Kind.MAP if key_of(type_).kind in (Kind.STRING, Kind.DYN):
                return Select(operand, name, test, BOOL if test else element_of(type_))
            case Kind.DYN:
                return Select(operand, name, test, BOOL if test else DYN)
            case Kind.OBJECT:
                return self.object_field(operand, name, at, test=test)
            case _:
                message = f"`.{name[:80]}` needs a map or an object, found {type_}"
                raise refuse(self.source, at, message, expected="a map or an object", found=str(type_))

    def object_field(self, operand: Node, name: str, at: int, *, test: bool) -> Node:
        for field in operand.type.fields:
            if field.name == name:
                node = Select(operand, name, test, BOOL if test else field.type)
                if field.optional and not test:
                    self.reads[id(node)] = (node, at)
                return node
        names = [field.name for field in operand.type.fields]
        hint = complaints.nearest(name, names) or f"its fields are {', '.join(f'`{known}`' for known in names)}"
        message = f"there is no field `{name[:80]}`"
        raise refuse(self.source, at, message, expected="one of the declared fields", found=name[:80], hint=hint)

    def apply(self, tree: Apply) -> Node:
        name, style = tree.name, tree.style
        if style == "method" and name in MACROS:
            return self.macro(tree)
        if style == "function" and name == "has":
            return self.has(tree)
        if style != "operator" and name not in (METHODS if style == "method" else FUNCTIONS):
            kind = "method" if style == "method" else "function"
            message = f"there is no {kind} `{name[:80]}`"
            hint = complaints.unknown_call(name, style)
            raise refuse(self.source, tree.at, message, expected=f"a {kind}", found=name[:80], hint=hint)
        if name == "!_":
            return Not(self.truth(tree.args[0], "!"))
        args = tuple([self.visit(arg) for arg in tree.args])
        type_ = self.result(name, args)
        if type_ is None:
            raise self.mismatch(tree, args)
        return self.constant(tree, args, type_)

    def result(self, name: str, args: tuple[Node, ...]) -> Type | None:
        """The type of a call, or None where no overload fits."""
        types = [arg.type for arg in args]
        match name:
            case "_==_" | "_!=_":
                return BOOL if join(types[0], types[1]) is not None else None
            case "@in" | "_[_]" if len(types) == 2 and types[name == "@in"].kind in _ITEMS:
                return _member(name, *types)
            case "_+_" if types[0].kind is Kind.LIST and types[1].kind is Kind.LIST:
                return join(types[0], types[1])
        kinds = tuple([type_.kind for type_ in types])
        overload = STATIC[name].get(kinds)
        if overload is not None:
            return SIMPLE[overload.result]
        if Kind.DYN not in kinds:
            return None
        return _dynamic_result(name, kinds)

    def mismatch(self, tree: Apply, args: tuple[Node, ...]) -> ConditionError:
        found = complaints.listing([arg.type for arg in args]) or "nothing"
        message = f"`{complaints.describe(tree.name)}` does not take {found}"
        expected = complaints.combinations(tree.name)
        return refuse(
            self.source,
            tree.at,
            message,
            expected=expected,
            found=found,
            hint=complaints.mismatch_hint(tree.name, args),
        )

    def constant(self, tree: Apply, args: tuple[Node, ...], type_: Type) -> Node:
        """The call, after checking what is constant in it; a time that is written out becomes a constant."""
        name, last = tree.name, args[-1]
        if isinstance(last, Const):
            if name in ("timestamp", "duration") and last.type.kind in (Kind.STRING, Kind.INT):
                return self.time(tree, last, type_)
            if name == "matches":
                self.pattern(tree.args[-1], last)
            elif name.startswith("get") and len(args) > 1:
                self.zone(tree.args[-1], last)
        return Call(name, args, type_)

    def time(self, tree: Apply, text_: Const, type_: Type) -> Node:
        call = STATIC[tree.name][(text_.type.kind,)].call
        value = call(text_.value)
        if isinstance(value, Fault):
            raise refuse(
                self.source, tree.args[0].at, value.message, expected=f"a {tree.name}", found=str(text_.value)[:40]
            )
        nanos = value.nanos  # type: ignore[union-attr]  # both conversions give nanoseconds
        # A constant fits into 64 bits, so that every codec can carry it; the far ends of the calendar stay calls.
        return Const(nanos, type_) if isinstance(fit(nanos), int) else Call(tree.name, (text_,), type_)

    def pattern(self, tree: Syntax, pattern: Const) -> None:
        try:
            text.compile_pattern(str(pattern.value))
        except ValueError as error:
            hint = "the syntax is RE2's: no look-around and no back references"
            raise refuse(self.source, tree.at, str(error), expected="a regular expression", hint=hint) from error

    def zone(self, tree: Syntax, zone: Const) -> None:
        name = str(zone.value)
        if not times.is_fixed_offset(name) and not (times.is_zone_name(name) and self.scope.is_zone(name)):
            hint = "write a name of the tz database such as `Europe/Berlin`, or an offset such as `+01:00`"
            raise refuse(
                self.source,
                tree.at,
                f"`{name[:64]}` is not a time zone",
                expected="a time zone",
                found=name[:64],
                hint=hint,
            )

    def has(self, tree: Apply) -> Node:
        self.has_guards = True
        operand = tree.args[0] if len(tree.args) == 1 else None
        if isinstance(operand, Field):
            return self.select(self.visit(operand.operand), operand.name, operand.at, test=True)
        if isinstance(operand, Path) and len(operand.parts) > 1:
            hidden = not operand.rooted and any(name == operand.parts[0] for name, _ in self.locals)
            found = None if hidden else self.fact(operand)
            if found is not None and found[1] == len(operand.parts) and isinstance(found[0], FactRef):
                return HasFact(found[0].path, found[0].slot)
            if found is None and not hidden:
                return self.path(operand)  # Refuses the whole path, not the part of it that would have to be a map.
            parent = Path(operand.at, operand.depth, operand.parts[:-1], operand.rooted)
            return self.select(self.visit(parent), operand.parts[-1], operand.at, test=True)
        message = "`has` takes one path, such as `has(resource.owner)`"
        raise refuse(self.source, tree.at, message, expected="a path with a dot")

    def macro(self, tree: Apply) -> Node:
        name = tree.name
        if len(tree.args) not in _ARGUMENTS.get(name, (3,)):
            message = f"`{name}` takes a variable and a condition: `x.{name}(item, ...)`"
            raise refuse(self.source, tree.at, message, expected="2 arguments", found=str(len(tree.args) - 1))
        variable = tree.args[1]
        if not isinstance(variable, Path) or len(variable.parts) != 1 or variable.rooted:
            message = f"the first argument of `{name}` is a name, which stands for each member"
            raise refuse(self.source, variable.at, message, expected="a name")
        range_ = self.visit(tree.args[0])
        if range_.type.kind not in _ITEMS:
            message = f"`{name}` needs a list or a map, found {range_.type}"
            raise refuse(self.source, tree.at, message, expected="a list or a map", found=str(range_.type))
        if len(self.locals) >= MAX_MACROS:
            message = f"macros nest at most {MAX_MACROS} deep"
            raise refuse(self.source, tree.at, message, expected=f"at most {MAX_MACROS} levels", found="more")
        item = element_of(range_.type) if range_.type.kind is Kind.LIST else key_of(range_.type)
        self.locals.append((variable.parts[0], item))
        filter_body = self.truth(tree.args[2], name) if len(tree.args) == 4 else None
        body = self.visit(tree.args[-1]) if name == "map" else self.truth(tree.args[-1], name)
        self.locals.pop()
        type_ = BOOL
        if name in ("filter", "map"):
            type_ = lattice.list_of(item if name == "filter" else body.type)
        return Macro(name, range_, variable.parts[0], body, filter_body, type_)


def _member(name: str, left: Type, right: Type) -> Type | None:
    """The type of `left in right` or of `left[right]`."""
    if name == "@in":
        if right.kind is Kind.DYN:
            return BOOL
        inner = element_of(right) if right.kind is Kind.LIST else key_of(right)
        return BOOL if join(left, inner) is not None else None
    if left.kind is Kind.DYN:
        return DYN
    if left.kind is Kind.LIST:
        return element_of(left) if right.kind in (Kind.INT, Kind.DYN) else None
    return element_of(left) if join(right, key_of(left)) is not None else None


def _dynamic_result(name: str, kinds: tuple[Kind, ...]) -> Type | None:
    """The type of a call with operands whose kind is not known yet; None where no kind would do."""
    results = {
        overload.result
        for candidate, overload in DYNAMIC[name].items()
        if len(candidate) == len(kinds)
        and all(kind in (Kind.DYN, wanted) for kind, wanted in zip(kinds, candidate, strict=True))
    }
    if not results:
        return None
    only = results.pop()
    return SIMPLE.get(only, DYN) if not results else DYN
