"""Random well-typed conditions with values for their variables: the same sequence for the same seed.

The generator knows the language, not the code: it writes text. Every operator, function and macro of the profile
occurs, and so do operands that make them fail: division by zero, overflow, missing keys, texts that do not convert.
What fails is always a variable's value, never a constant, because a constant that cannot work is refused at load.
"""

from __future__ import annotations

import datetime as _dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

INTS = [0, 1, -1, 2, 3, 5, 7, 10, 100, -17, 2**31, 2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 1.0, -1.5, 0.1, 2.5, 1e6, 123456.75, 1e-7, 1e16, 1e300, -1e300, 5e-324]
STRINGS = [
    "", "a", "ab", "abc", "b", "ba", "é", "e\u0301", "ß", "\U0001f600", "a\U0001f600b", "\uffff", "1", "-7", "3.5",
    "true",
    "TRUE",
    "x y", 'quote"', "back\\slash", "new\nline",
    "9223372036854775808", "2020-02-30T00:00:00Z", "1e3", "inf", "90s",
    "2021-03-04T05:06:07Z", "1h30m", "[", "a.b", "(a|b)+", "^a", "Europe/Berlin", "+05:30",
]  # fmt: skip
TIMES = [
    "1970-01-01T00:00:00Z", "2009-02-13T23:31:30Z", "2024-02-29T12:00:00.5Z", "2020-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2021-06-30T22:15:00+05:30",
]  # fmt: skip
SPANS = ["0s", "1s", "-1s", "90s", "1h30m", "-1.5h", "0.000001s", "36h", "9223372036s", "-9223372036s"]
PATTERNS = ["a", "^a", "b$", "^(a|b)+$", "[^a-z]", "é|ß", "\\\\d+", ".", "^.$", "(?i)AB", "a{2,3}", ""]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "+05:30", "-02:30", "02:00"]
PARTS = [
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
    "getSeconds", "getMilliseconds",
]  # fmt: skip

VARIABLES: dict[str, str] = {
    "f.flag": "bool", "f.other": "bool", "f.i": "int", "f.j": "int", "f.d": "double", "f.e": "double", "f.s": "string",
    "f.t": "string", "g.time": "timestamp", "g.span": "duration", "g.names": "list<string>", "g.numbers": "list<int>",
    "g.table": "map<string, int>",
}  # fmt: skip
SCALARS = ["bool", "int", "double", "string", "timestamp", "duration"]
ORDERED = SCALARS
LISTS = ["list<int>", "list<string>", "list<bool>", "list<double>"]


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def values(rng: Random) -> dict[str, Any]:
    """A value for every variable, as Python has them: instants as datetime, spans as timedelta."""
    epoch = _dt.datetime(1970, 1, 1, tzinfo=_dt.UTC)
    return {
        "f.flag": rng.random() < 0.5,
        "f.other": rng.random() < 0.5,
        "f.i": rng.choice(INTS),
        "f.j": rng.choice(INTS),
        "f.d": rng.choice(DOUBLES),
        "f.e": rng.choice(DOUBLES),
        "f.s": rng.choice(STRINGS),
        "f.t": rng.choice(STRINGS),
        "g.time": epoch + _dt.timedelta(seconds=rng.randint(0, 2_000_000_000), microseconds=rng.randint(0, 999_999)),
        "g.span": _dt.timedelta(seconds=rng.randint(-(10**6), 10**6), microseconds=rng.randint(0, 999_999)),
        "g.names": [rng.choice(STRINGS) for _ in range(rng.randint(0, 4))],
        "g.numbers": [rng.choice(INTS) for _ in range(rng.randint(0, 4))],
        "g.table": {rng.choice(["a", "b", "ab", "k"]): rng.choice(INTS) for _ in range(rng.randint(0, 3))},
    }


class Writer:
    """Writes one expression of a wanted type; `depth` bounds how deep it may still go."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.locals: list[tuple[str, str]] = []
        self.rules: dict[str, list[Callable[[int], str]]] = {
            "bool": [
                self.comparison, self.comparison, self.equality, self.logic, self.logic, self.negation, self.membership,
                self.key_membership, self.text_test, self.pattern, self.quantifier, self.quantifier, self.presence,
                self.to_bool,
            ],
            "int": [self.int_math, self.int_math, self.size, self.to_int, self.int_index, self.entry, self.part,
                self.span_part,
            ],
            "double": [self.double_math, self.to_double],
            "string": [self.concatenation, self.to_string, self.string_index],
            "timestamp": [self.shifted, self.to_timestamp],
            "duration": [self.between, self.span_math, self.to_duration],
            "map<string, int>": [self.map_literal],
        }  # fmt: skip

    def write(self, type_: str, depth: int) -> str:
        if depth <= 0 or self.rng.random() < 0.12:
            return self.leaf(type_)
        if self.rng.random() < 0.08:
            return (
                f"({self.write('bool', depth - 1)} ? {self.write(type_, depth - 1)} : {self.write(type_, depth - 1)})"
            )
        if type_.startswith("list<"):
            return self.list_of(type_, depth - 1)
        return self.rng.choice(self.rules[type_])(depth - 1)

    def leaf(self, type_: str) -> str:
        names = [self.fact(name) for name, known in VARIABLES.items() if known == type_]
        names += [name for name, known in self.locals if known == type_]
        if names and self.rng.random() < 0.6:
            return self.rng.choice(names)
        return self.literal(type_)

    def literal(self, type_: str) -> str:
        rng = self.rng
        if type_.startswith("list<"):
            inner = type_[5:-1]
            # `[]` has no type of its own, and the two implementations name the type of what is made of it differently.
            return "[" + ", ".join(self.literal(inner) for _ in range(rng.randint(1, 3))) + "]"
        match type_:
            case "bool":
                return rng.choice(["true", "false"])
            case "int":
                return str(rng.choice(INTS))
            case "double":
                number = repr(rng.choice(DOUBLES))
                return number if "." in number or "e" in number else number + ".0"
            case "string":
                return quote(rng.choice(STRINGS))
            case "timestamp":
                return f"timestamp({quote(rng.choice(TIMES))})"
            case "duration":
                return f"duration({quote(rng.choice(SPANS))})"
            case _:
                return '{"a": 1, "b": 2}'

    def comparison(self, depth: int) -> str:
        type_ = self.rng.choice(ORDERED)
        op = self.rng.choice(["<", "<=", ">", ">="])
        return f"({self.write(type_, depth)} {op} {self.write(type_, depth)})"

    def equality(self, depth: int) -> str:
        type_ = self.rng.choice([*SCALARS, *LISTS, "map<string, int>"])
        if type_ in LISTS and self.rng.random() < 0.2:
            return f"({self.write(type_, depth)} != [])"
        return f"({self.write(type_, depth)} {self.rng.choice(['==', '!='])} {self.write(type_, depth)})"

    def logic(self, depth: int) -> str:
        op = self.rng.choice([" && ", " || "])
        return "(" + op.join(self.write("bool", depth) for _ in range(self.rng.randint(2, 3))) + ")"

    def negation(self, depth: int) -> str:
        return f"!{self.write('bool', depth)}" if self.rng.random() < 0.5 else f"!!({self.write('bool', depth)})"

    def membership(self, depth: int) -> str:
        type_ = self.rng.choice(LISTS)
        return f"({self.write(type_[5:-1], depth)} in {self.write(type_, depth)})"

    def key_membership(self, depth: int) -> str:
        return f"({self.write('string', depth)} in {self.write('map<string, int>', depth)})"

    def text_test(self, depth: int) -> str:
        name = self.rng.choice(["contains", "startsWith", "endsWith"])
        return f"{self.bracketed('string', depth)}.{name}({self.write('string', depth)})"

    def pattern(self, depth: int) -> str:
        pattern = self.fact("f.t") if self.rng.random() < 0.2 else f'"{self.rng.choice(PATTERNS)}"'
        target = self.bracketed("string", depth)
        return f"matches({target}, {pattern})" if self.rng.random() < 0.3 else f"{target}.matches({pattern})"

    def quantifier(self, depth: int) -> str:
        name = self.rng.choice(["all", "exists", "exists_one"])
        type_ = self.rng.choice([*LISTS, "map<string, int>"])
        item = "string" if type_.startswith("map") else type_[5:-1]
        variable = self.rng.choice(["x", "y", "f"])
        target = self.bracketed(type_, depth)
        body = self.within(variable, item, "bool", depth)
        return f"{target}.{name}({variable}, {body})"

    def within(self, variable: str, item: str, type_: str, depth: int) -> str:
        """The body of a macro; its variable hides an outer one of the same name."""
        hidden = [name for name in self.locals if name[0] == variable]
        self.locals = [name for name in self.locals if name[0] != variable] + [(variable, item)]
        body = self.write(type_, depth)
        self.locals = [name for name in self.locals if name[0] != variable] + hidden
        return body

    def fact(self, path: str) -> str:
        """A fact by its path, with a leading dot where a macro's variable hides it."""
        return "." + path if any(path.startswith(name + ".") for name, _ in self.locals) else path

    def presence(self, depth: int) -> str:
        return f"has({self.bracketed('map<string, int>', depth)}.{self.rng.choice(['a', 'b', 'zz'])})"

    def to_bool(self, depth: int) -> str:
        return self.rng.choice([f"bool({self.fact('f.s')})", f"bool({self.write('bool', depth)})"])

    def int_math(self, depth: int) -> str:
        if self.rng.random() < 0.1:
            return f"-({self.write('int', depth)})"
        return f"({self.write('int', depth)} {self.rng.choice('+-*/%')} {self.write('int', depth)})"

    def size(self, depth: int) -> str:
        type_ = self.rng.choice(["string", *LISTS, "map<string, int>"])
        if self.rng.random() < 0.5:
            return f"size({self.write(type_, depth)})"
        return f"{self.bracketed(type_, depth)}.size()"

    def to_int(self, depth: int) -> str:
        type_ = self.rng.choice(["int", "double", "timestamp"])
        return self.rng.choice([f"int({self.fact('f.s')})", f"int({self.write(type_, depth)})"])

    def int_index(self, depth: int) -> str:
        return f"{self.bracketed('list<int>', depth)}[{self.write('int', 0)}]"

    def string_index(self, depth: int) -> str:
        return f"{self.bracketed('list<string>', depth)}[{self.rng.choice(['0', '1', self.fact('f.i')])}]"

    def entry(self, depth: int) -> str:
        target = self.bracketed("map<string, int>", depth)
        return self.rng.choice([f"{target}.a", f"{target}.zz", f"{target}[{self.write('string', 0)}]"])

    def part(self, depth: int) -> str:
        zone = "" if self.rng.random() < 0.5 else quote(self.rng.choice(ZONES))
        if zone:
            return f"g.time.{self.rng.choice(PARTS)}({zone})"
        return f"{self.bracketed('timestamp', depth)}.{self.rng.choice(PARTS)}()"

    def span_part(self, depth: int) -> str:
        return f"{self.bracketed('duration', depth)}.{self.rng.choice(['getHours', 'getMinutes', 'getSeconds'])}()"

    def double_math(self, depth: int) -> str:
        if self.rng.random() < 0.1:
            return f"-({self.write('double', depth)})"
        return f"({self.write('double', depth)} {self.rng.choice('+-*/')} {self.write('double', depth)})"

    def to_double(self, depth: int) -> str:
        return self.rng.choice([f"double({self.fact('f.s')})", f"double({self.write('int', depth)})"])

    def concatenation(self, depth: int) -> str:
        return f"({self.write('string', depth)} + {self.write('string', depth)})"

    def to_string(self, depth: int) -> str:
        # The sign of a NaN shows in the other implementation's text, so that doubles come from variables.
        type_ = self.rng.choice(["bool", "int", "string", "timestamp", "duration", "double"])
        return (
            f"string({self.fact(self.rng.choice(['f.d', 'f.e'])) if type_ == 'double' else self.write(type_, depth)})"
        )

    def shifted(self, depth: int) -> str:
        time, span = self.write("timestamp", depth), self.write("duration", depth)
        return self.rng.choice([f"({time} + {span})", f"({span} + {time})", f"({time} - {span})"])

    def to_timestamp(self, depth: int) -> str:
        text, number = self.fact("f.s"), self.fact("f.i")
        return self.rng.choice(
            [f"timestamp({text})", f"timestamp({number})", f"timestamp({self.write('timestamp', depth)})"]
        )

    def between(self, depth: int) -> str:
        return f"({self.write('timestamp', depth)} - {self.write('timestamp', depth)})"

    def span_math(self, depth: int) -> str:
        return f"({self.write('duration', depth)} {self.rng.choice('+-')} {self.write('duration', depth)})"

    def to_duration(self, depth: int) -> str:
        return self.rng.choice([f"duration({self.fact('f.s')})", f"duration({self.write('duration', depth)})"])

    def map_literal(self, depth: int) -> str:
        # A key that stands twice ends the other implementation's whole evaluation, whatever `||` would make of it.
        if self.rng.random() < 0.3:
            return f"{{{self.write('string', min(depth, 1))}: {self.write('int', depth)}}}"
        keys = self.rng.sample(["a", "b", "ab", "é", "\U0001f600"], self.rng.randint(0, 3))
        return "{" + ", ".join(f"{quote(key)}: {self.write('int', depth)}" for key in keys) + "}"

    def list_of(self, type_: str, depth: int) -> str:
        inner = type_[5:-1]
        variable = self.rng.choice(["x", "y"])
        match self.rng.randint(0, 4):
            case 0:
                return f"({self.write(type_, depth)} + {self.write(type_, depth)})"
            case 1:
                target = self.bracketed(type_, depth)
                return f"{target}.filter({variable}, {self.within(variable, inner, 'bool', depth)})"
            case 2:
                source = self.rng.choice(LISTS)
                target = self.bracketed(source, depth)
                return f"{target}.map({variable}, {self.within(variable, source[5:-1], inner, depth)})"
            case 3:
                source = self.rng.choice(LISTS)
                target = self.bracketed(source, depth)
                keep = self.within(variable, source[5:-1], "bool", depth)
                return f"{target}.map({variable}, {keep}, {self.within(variable, source[5:-1], inner, depth)})"
            case _:
                return "[" + ", ".join(self.write(inner, depth) for _ in range(self.rng.randint(1, 3))) + "]"

    def bracketed(self, type_: str, depth: int) -> str:
        text = self.write(type_, depth)
        return f"({text})" if text[0] in "-!" else text
