"""The general closures: strict operators, Kleene's connectives, selection, lists and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from demur.core.cel.containers import MISSING, no_key
from demur.core.cel.meter import Closure, Env, meter_of
from demur.core.cel.overload import kind_of, no_overload
from demur.core.cel.truth import STOPS, Fault, Result, Unknown, stop, undecided
from demur.core.schema import Kind

if TYPE_CHECKING:
    from demur.core.terms import Value

Operation: TypeAlias = Callable[..., Result]
"""What a strict operator does with values of the right kinds."""
Cost: TypeAlias = Callable[..., int]
"""What it is worth, from the same values."""

_KEYS = (Kind.BOOL, Kind.INT, Kind.STRING)


def give(result: Result) -> Closure:
    """A constant."""
    return lambda _: result


def strict(call: Operation, args: Sequence[Closure], cost: Cost | None) -> Closure:
    """An operator that needs all its operands; with a cost it charges the meter before it is carried out."""
    if cost is not None:
        return _strict_metered(call, args, cost)
    if len(args) == 1:
        return _strict_one(call, args[0])
    if len(args) == 2:
        return _strict_two(call, args[0], args[1])

    def run(env: Env) -> Result:
        values = [arg(env) for arg in args]
        return stop(values) if _has_stop(values) else call(*values)

    return run


def junction(args: Sequence[Closure], *, deciding: bool) -> Closure:
    """Kleene's `&&` (false decides) or `||` (true decides)."""
    if len(args) == 2:
        return _junction_of_two(args[0], args[1], deciding=deciding)
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

    return run


def negation(arg: Closure) -> Closure:
    """`!`: unknown stays unknown."""

    def run(env: Env) -> Result:
        value = arg(env)
        if value is True:
            return False
        if value is False:
            return True
        return _not_bool("!", value)

    return run


def choice(condition: Closure, yes: Closure, no: Closure) -> Closure:
    """`?:`: only the chosen branch is evaluated."""

    def run(env: Env) -> Result:
        value = condition(env)
        if value is True:
            return yes(env)
        if value is False:
            return no(env)
        return _not_bool("?:", value)

    return run


def field(operand: Closure, name: str) -> Closure:
    """`operand.name` of a map or object."""
    absent = no_key(name)

    def run(env: Env) -> Result:
        value = operand(env)
        if isinstance(value, Mapping):
            found = cast("Mapping[str, object]", value).get(name, MISSING)
            return absent if found is MISSING else cast("Value", found)
        return _not_map(f".{name}", value)

    return run


def has_field(operand: Closure, name: str) -> Closure:
    """`has(operand.name)` of a map or object."""

    def run(env: Env) -> Result:
        value = operand(env)
        return name in value if isinstance(value, Mapping) else _not_map("has", value)

    return run


def make_list(items: Sequence[Closure]) -> Closure:
    """A list literal."""

    def run(env: Env) -> Result:
        values = [item(env) for item in items]
        return stop(values) if _has_stop(values) else cast("Value", values)

    return run


def make_map(keys: Sequence[Closure], values: Sequence[Closure]) -> Closure:
    """A map literal; a key that stands twice is a fault."""

    def run(env: Env) -> Result:
        names = [key(env) for key in keys]
        contents = [value(env) for value in values]
        if _has_stop(names) or _has_stop(contents):
            return stop((*names, *contents))
        made: dict[Value, Value] = {}
        for name, content in zip(cast("list[Value]", names), cast("list[Value]", contents), strict=True):
            if kind_of(name) not in _KEYS:
                return no_overload("{:}", (name,))
            # `1` and `true` would be one key of a dictionary; nobody has a use for such a map.
            if name in made:
                return Fault(f"the key `{str(name)[:64]}` stands twice in a map")
            made[name] = content
        return made

    return run


def _strict_one(call: Operation, arg: Closure) -> Closure:
    def run(env: Env) -> Result:
        value = arg(env)
        return value if value.__class__ in STOPS else call(value)

    return run


def _strict_two(call: Operation, left: Closure, right: Closure) -> Closure:
    def run(env: Env) -> Result:
        one, other = left(env), right(env)
        if one.__class__ in STOPS or other.__class__ in STOPS:
            return stop((one, other))
        return call(one, other)

    return run


def _strict_metered(call: Operation, args: Sequence[Closure], cost: Cost) -> Closure:
    def run(env: Env) -> Result:
        values = [arg(env) for arg in args]
        if _has_stop(values):
            return stop(values)
        meter_of(env).charge(cost(*values))
        return call(*values)

    return run


def _junction_of_two(left: Closure, right: Closure, *, deciding: bool) -> Closure:
    neutral = not deciding

    def run(env: Env) -> Result:
        one = left(env)
        if one is deciding:
            return deciding
        other = right(env)
        if other is deciding:
            return deciding
        if one is neutral:
            return neutral if other is neutral else undecided(None, other)
        worst = undecided(None, one)
        return worst if other is neutral else undecided(worst, other)

    return run


def _has_stop(values: Sequence[object]) -> bool:
    return any(value.__class__ in STOPS for value in values)


def _not_bool(op: str, value: Result) -> Unknown | Fault:
    return value if isinstance(value, (Unknown, Fault)) else no_overload(op, (value,))


def _not_map(op: str, value: object) -> Unknown | Fault:
    return value if isinstance(value, (Unknown, Fault)) else no_overload(op, (value,))
