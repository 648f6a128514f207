"""Condition -> pieces that a table of values can answer at once, and the rest.

A rule holds when all of its pieces hold. A piece is one of three:

    OnFact    a test of one fact against constants:  action.amount <= 500,  subject.role in ["a", "b"],  !has(x) || x
    OnList    constants in one list of text:         "clinician" in subject.roles
    Computed  everything else, evaluated as a program

- Conjunctions are taken apart and negations moved inward (De Morgan). Both are exact in the four-valued logic of S3,
  in which false wins, then unknown, then failure.
- Only what is compared with a constant of its own kind becomes a test; what is doubtful stays `Computed`.

Clauses: S2.1, S3.1.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

from demur.core.cel.ir import And, Call, Const, FactRef, HasFact, MakeList, Node, Not, Or
from demur.core.policy import predicates
from demur.core.policy.document import AnyOf, Clause, Condition
from demur.core.policy.predicates import Compare, Every, Given, Inverse, Key, Test
from demur.core.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.core.policy.document import Rule


class Family(Enum):
    """Which table answers a test."""

    TEXT = "text"
    FLAG = "flag"
    NUMBER = "number"
    INSTANT = "instant"
    SPAN = "span"
    PRESENCE = "presence"


_FAMILY = {
    Kind.STRING: Family.TEXT,
    Kind.BOOL: Family.FLAG,
    Kind.INT: Family.NUMBER,
    Kind.DOUBLE: Family.NUMBER,
    Kind.TIMESTAMP: Family.INSTANT,
    Kind.DURATION: Family.SPAN,
}
_MIRROR = {"_==_": "_==_", "_!=_": "_!=_", "_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_EQUALITY = frozenset({"_==_", "_!=_"})
_UNORDERED = frozenset({Family.TEXT, Family.FLAG})


class OnFact(msgspec.Struct, frozen=True):
    """A test of one fact; `node` says the same as a condition."""

    slot: int
    family: Family
    test: Test
    node: Node


class OnList(msgspec.Struct, frozen=True):
    """One of `members` (or, inverted, none of them) is in a list of text."""

    slot: int
    members: frozenset[str]
    is_inverted: bool
    node: Node


class Computed(msgspec.Struct, frozen=True):
    """A condition that no table answers."""

    node: Node


Piece: TypeAlias = Union[OnFact, OnList, Computed]


def pieces(rule: Rule) -> tuple[Piece, ...]:
    """What must all hold for the rule to hold."""
    parts = [part for clause in rule.when for part in _conjuncts(clause_node(clause), is_negated=False)]
    parts += [part for clause in rule.unless for part in _conjuncts(clause_node(clause), is_negated=True)]
    return tuple(_piece(node, is_negated=is_negated) for node, is_negated in parts)


def clause_node(clause: Clause) -> Node:
    """The condition that a clause stands for; an any-of group is the disjunction of its members."""
    match clause:
        case Condition():
            return clause.node
        case AnyOf(conditions=(only,)):
            return only.node
        case AnyOf():
            return Or(tuple(condition.node for condition in clause.conditions))


def form(node: Node) -> bytes:
    """The same bytes for the same condition and for no other."""
    try:
        return msgspec.msgpack.encode(node)
    except OverflowError:  # MessagePack ends at 64 bits, instants in nanoseconds do not
        return repr(node).encode()


def _conjuncts(node: Node, *, is_negated: bool) -> Iterator[tuple[Node, bool]]:
    match node:
        case Not():
            yield from _conjuncts(node.arg, is_negated=not is_negated)
        case And() if not is_negated:
            for part in node.args:
                yield from _conjuncts(part, is_negated=False)
        case Or() if is_negated:
            for part in node.args:
                yield from _conjuncts(part, is_negated=True)
        case _:
            yield node, is_negated


def _piece(node: Node, *, is_negated: bool) -> Piece:
    whole = Not(node) if is_negated else node
    found = _test(node)
    if found is not None:
        test = Inverse(found.test) if is_negated else found.test
        return OnFact(found.slot, found.family, test, whole)
    membership = _membership(node)
    if membership is not None:
        slot, members = membership
        return OnList(slot, members, is_negated, whole)
    return Computed(whole)


class _Found(msgspec.Struct, frozen=True):
    slot: int
    family: Family
    test: Test


def _test(node: Node) -> _Found | None:
    """The node as a test of exactly one fact."""
    match node:
        case FactRef() if node.type.kind is Kind.BOOL:
            return _Found(node.slot, Family.FLAG, Compare("_==_", constant=True))
        case HasFact():
            return _Found(node.slot, Family.PRESENCE, Given())
        case Call(op="@in", args=(FactRef() as fact, MakeList() as options)):
            return _one_of(fact, options)
        case Call(args=(FactRef() as fact, Const() as constant)):
            return _comparison(fact, node.op, constant)
        case Call(args=(Const() as constant, FactRef() as fact)):
            return _comparison(fact, _MIRROR.get(node.op, ""), constant)
        case Not():
            inner = _test(node.arg)
            return inner and _Found(inner.slot, inner.family, Inverse(inner.test))
        case And() | Or():
            return _together(node)
        case _:
            return None


def _comparison(fact: FactRef, op: str, constant: Const) -> _Found | None:
    family = _FAMILY.get(fact.type.kind)
    key = _key(constant)
    if family is None or key is None or _FAMILY.get(constant.type.kind) is not family or op not in _MIRROR:
        return None
    if family in _UNORDERED and op not in _EQUALITY:
        return None
    return _Found(fact.slot, family, Compare(op, key))


def _key(constant: Const) -> Key | None:
    value = constant.value
    if constant.type.kind is Kind.DOUBLE and isinstance(value, int | float):
        return None if math.isnan(value) else float(value)  # a NaN equals nothing, so no table holds it
    return value


def _one_of(fact: FactRef, options: MakeList) -> _Found | None:
    found = [_comparison(fact, "_==_", item) for item in options.items if isinstance(item, Const)]
    tests = tuple(item.test for item in found if item is not None)
    if not tests or len(tests) != len(options.items):
        return None
    return _Found(fact.slot, _FAMILY[fact.type.kind], predicates.either(tests))


def _together(node: And | Or) -> _Found | None:
    found = [_test(part) for part in node.args]
    known = [item for item in found if item is not None]
    if not known or len(known) != len(found) or len({item.slot for item in known}) != 1:
        return None
    families = {item.family for item in known} - {Family.PRESENCE}
    if len(families) > 1:
        return None
    tests = tuple(item.test for item in known)
    family = families.pop() if families else Family.PRESENCE
    return _Found(known[0].slot, family, Every(tests) if isinstance(node, And) else predicates.either(tests))


def _membership(node: Node) -> tuple[int, frozenset[str]] | None:
    """`"a" in list`, or a disjunction of such about one list of text."""
    match node:
        case Call(op="@in", args=(Const(value=str() as member), FactRef() as fact)):
            element = fact.type.element
            is_text = fact.type.kind is Kind.LIST and element is not None and element.kind is Kind.STRING
            return (fact.slot, frozenset({member})) if is_text else None
        case Or():
            found = [_membership(part) for part in node.args]
            known = [item for item in found if item is not None]
            if not known or len(known) != len(found) or len({slot for slot, _ in known}) != 1:
                return None
            return known[0][0], frozenset().union(*(members for _, members in known))
        case _:
            return None
