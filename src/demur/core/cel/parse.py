"""Tokens -> syntax tree: CEL's grammar, with every nesting capped.

Precedence from loose to tight: `?:`, `||`, `&&`, relations, `+ -`, `* / %`, `! -`, selection. Brackets and the height
of the tree are both capped at 64, so neither this parser nor anything that walks its trees can be driven deeper by
input; chains of `&&` and of `||` are flat and count once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel.syntax import Apply, Field, ListOf, Literal, Logic, MapOf, Path, Syntax, Ternary
from demur.core.cel.tokens import END, Token, read_double, read_int, refuse, tokenize

if TYPE_CHECKING:
    from demur.errors import ConditionError

MAX_DEPTH = 64

RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
})  # fmt: skip
"""Words that CEL keeps for itself: no names, but allowed after a dot."""

_RANK = {
    "||": 1, "&&": 2,
    "<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "in": 3,
    "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_LOGIC = 2
"""The highest rank of the flat operators."""
_NAMES = {op: "@in" if op == "in" else f"_{op}_" for op in _RANK}
_WORDS: dict[str, None | bool] = {"true": True, "false": False, "null": None}
_HINTS = {"and": "write `&&`", "or": "write `||`", "not": "write `!`", "=": "write `==`", "is": "write `==`"}


def parse(text: str) -> Syntax:
    """The syntax tree of a whole condition; raises `ConditionError`."""
    parser = _Parser(text)
    tree = parser.expression()
    if parser.kind != END:
        raise parser.unexpected("an operator or the end")
    return tree


class _Parser:
    __slots__ = ("kind", "nesting", "position", "text", "tokens")

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = tokenize(text)
        self.position = 0
        self.nesting = 0
        self.kind = self.tokens[0][0]

    def expression(self) -> Syntax:
        """`or ? or : expression`."""
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise self.too_deep(self.tokens[self.position][2])
        condition = self.operators()
        if self.kind == "?":
            at = self.advance()[2]
            yes = self.operators()
            self.expect(":", "`:` of the choice")
            no = self.expression()
            condition = Ternary(at, self.height(at, condition, yes, no), condition, yes, no)
        self.nesting -= 1
        return condition

    def operators(self) -> Syntax:
        """A run of infix operators, by precedence, without recursion."""
        operands = [self.unary()]
        pending: list[tuple[int, str, int]] = []
        while True:
            op = self.kind
            rank = _RANK.get(op, 0)
            while pending and (pending[-1][0] > rank or pending[-1][0] == rank > _LOGIC):
                self.combine(operands, pending)
            if not rank:
                return operands[0]
            pending.append((rank, op, self.advance()[2]))
            operands.append(self.unary())

    def combine(self, operands: list[Syntax], pending: list[tuple[int, str, int]]) -> None:
        """Replace the last operands by the operator over them; a chain of `&&` or `||` becomes one node."""
        rank, op, at = pending.pop()
        count = 2
        while rank <= _LOGIC and pending and pending[-1][0] == rank:
            at = pending.pop()[2]
            count += 1
        args = tuple(operands[-count:])
        del operands[-count:]
        height = self.height(at, *args)
        if rank <= _LOGIC:
            operands.append(Logic(at, height, op, args))
        else:
            operands.append(Apply(at, height, _NAMES[op], args, "operator"))

    def unary(self) -> Syntax:
        op = self.kind
        if op not in ("!", "-"):
            return self.member()
        at, count = self.tokens[self.position][2], 0
        while self.kind == op:
            self.advance()
            count += 1
        if op == "-" and self.kind in ("int", "double"):
            operand, count = self.member(negative=True), count - 1
        else:
            operand = self.member()
        for _ in range(count):
            operand = Apply(at, self.height(at, operand), f"{op}_", (operand,), "operator")
        return operand

    def member(self, *, negative: bool = False) -> Syntax:
        node = self.primary(negative=negative)
        while True:
            if self.kind == ".":
                node = self.selection(node)
            elif self.kind == "[":
                at = self.advance()[2]
                index = self.expression()
                self.expect("]", "`]`")
                node = Apply(at, self.height(at, node, index), "_[_]", (node, index), "operator")
            else:
                return node

    def selection(self, operand: Syntax) -> Syntax:
        self.advance()
        kind, name, at = self.tokens[self.position]
        if kind not in ("name", "quoted"):
            raise self.unexpected("the name of a field or function")
        self.advance()
        if kind == "name" and self.kind == "(":
            args = (operand, *self.arguments())
            return Apply(at, self.height(at, *args), name, args, "method")
        if kind == "name" and type(operand) is Path:
            parts = (*operand.parts, name)
            if len(parts) > MAX_DEPTH:
                raise self.too_deep(at)
            return Path(operand.at, len(parts), parts, operand.rooted)
        return Field(at, self.height(at, operand), operand, name)

    def primary(self, *, negative: bool) -> Syntax:
        match self.kind:
            case "name" | ".":
                return self.name()
            case "(":
                return self.bracketed()
            case "[":
                return self.list_literal()
            case "{":
                return self.map_literal()
            case "int" | "double" | "string" | "true" | "false" | "null":
                return self.literal(negative=negative)
            case _:
                raise self.unexpected("a value")

    def literal(self, *, negative: bool) -> Syntax:
        kind, word, at = self.advance()
        match kind:
            case "int":
                return Literal(at, 1, read_int(self.text, word, at, negative=negative))
            case "double":
                value = read_double(self.text, word, at)
                return Literal(at, 1, -value if negative else value)
            case "string":
                return Literal(at, 1, word)
            case _:
                return Literal(at, 1, _WORDS[kind])

    def bracketed(self) -> Syntax:
        self.advance()
        inner = self.expression()
        self.expect(")", "`)`")
        return inner

    def name(self) -> Syntax:
        rooted = self.kind == "."
        if rooted:
            self.advance()
        kind, word, at = self.tokens[self.position]
        if kind != "name":
            raise self.unexpected("a name")
        if word in RESERVED:
            raise refuse(self.text, at, f"`{word}` is a reserved word", expected="a name", found=word)
        self.advance()
        if self.kind == "(":
            args = self.arguments()
            return Apply(at, self.height(at, *args), word, args, "function")
        return Path(at, 1, (word,), rooted)

    def arguments(self) -> tuple[Syntax, ...]:
        self.advance()
        args: list[Syntax] = []
        if self.kind != ")":
            args.append(self.expression())
            while self.kind == ",":
                self.advance()
                args.append(self.expression())
        self.expect(")", "`)` or `,`")
        return tuple(args)

    def list_literal(self) -> Syntax:
        at = self.advance()[2]
        items: list[Syntax] = []
        while self.kind != "]":
            items.append(self.expression())
            if self.kind != ",":
                break
            self.advance()
        self.expect("]", "`]` or `,`")
        return ListOf(at, self.height(at, *items), tuple(items))

    def map_literal(self) -> Syntax:
        at = self.advance()[2]
        keys: list[Syntax] = []
        values: list[Syntax] = []
        while self.kind != "}":
            keys.append(self.expression())
            self.expect(":", "`:` after the key")
            values.append(self.expression())
            if self.kind != ",":
                break
            self.advance()
        self.expect("}", "`}` or `,`")
        return MapOf(at, self.height(at, *keys, *values), tuple(keys), tuple(values))

    def advance(self) -> Token:
        token = self.tokens[self.position]
        self.position += 1
        self.kind = self.tokens[self.position][0]
        return token

    def expect(self, kind: str, expected: str) -> None:
        if self.kind != kind:
            raise self.unexpected(expected)
        self.advance()

    def height(self, at: int, *parts: Syntax) -> int:
        depth = 1 + max([part.depth for part in parts], default=0)
        if depth > MAX_DEPTH:
            raise self.too_deep(at)
        return depth

    def too_deep(self, at: int) -> ConditionError:
        message = f"the condition is nested more than {MAX_DEPTH} deep"
        hint = "split it into several conditions"
        return refuse(self.text, at, message, hint=hint, expected=f"at most {MAX_DEPTH} levels", found="more")

    def unexpected(self, expected: str) -> ConditionError:
        kind, word, at = self.tokens[self.position]
        if kind == END:
            found = "the end"
        elif kind == "string":
            found = "a text"
        else:
            found = f"`{word[:40]}`"
        return refuse(
            self.text,
            at,
            f"expected {expected}, found {found}",
            expected=expected,
            found=found,
            hint=_HINTS.get(word, ""),
        )
