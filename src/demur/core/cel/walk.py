"""Walking over nodes without recursion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel.ir import And, Call, Choose, Macro, MakeList, MakeMap, Node, Not, Or, Select

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def nodes(root: Node) -> Iterator[Node]:
    """The node and everything below it, in no particular order."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(children(node))


def weight(root: Node) -> int:
    """The number of nodes."""
    return sum(1 for _ in nodes(root))
