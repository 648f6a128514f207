"""An approval of less than was asked: which arguments it may make narrower, and what is left of the request.

- A bound must be stricter than what was asked: `at_most` below it, `at_least` above it. An argument left out has no
  bound, so either is stricter. `set` fixes a truth value, a number, or one of the values that the policies list.
- A counted amount is never raised.
- What is left is another action, which the policies judge in full before anybody approves it, and again before it is
  granted. Nothing here says that it is allowed.
- Text that nobody declared is never set: whoever approves does not write the request, and names would be kept (S5.5).

Clauses: S3.5, S7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import msgspec

from demur.core import grant, intake, usage
from demur.core.schema import Fact, argument_name
from demur.core.terms import Missing, Request, Value
from demur.errors import IntakeError, RulingError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from demur.core.policy.document import Narrowing
    from demur.core.schema import Schema

MAX_NARROWED = 16
"""Arguments that one approval makes narrower."""


def check(narrows: Sequence[Narrowing], request: Request, schema: Schema) -> None:
    """Raises `RulingError` for a bound that is no bound on this request, or is not stricter than it."""
    if len(narrows) > MAX_NARROWED:
        message = f"expected at most {MAX_NARROWED} narrowed arguments, found {len(narrows)}"
        raise RulingError(message)
    declared = schema.actions.get(request.action)
    facts = {argument_name(fact.path): fact for fact in declared.arguments} if declared else {}
    summed = {counter.adds for counter in usage.counted(schema.counters, request.action)}
    for item in narrows:
        fact = facts.get(item.argument)
        if fact is None or fact.secret:
            known = ", ".join(f"`{name}`" for name, one in sorted(facts.items()) if not one.secret) or "none"
            message = f"expected an argument that `{request.action}` declares, found `{item.argument[:64]}`"
            raise RulingError(message, hint=f"these can be narrowed: {known}")
        asked = request.arguments.get(item.argument, Missing.ABSENT)
        if item.set is not None:
            _check_fixed(item, fact)
        else:
            _check_bounds(item, asked)
        left = grant.narrow(request.arguments, (item,))[item.argument]
        if item.argument in summed and _is_number(asked) and _is_number(left) and left > asked:
            message = f"expected at most `{asked}` of `{item.argument}`, which is counted, found `{left}`"
            raise RulingError(message)


def apply(request: Request, narrows: Sequence[Narrowing], schema: Schema) -> Request:
    """What is left of the request; raises `RulingError` where an argument cannot have such a value."""
    try:
        arguments = intake.retype(request.action, grant.narrow(request.arguments, narrows), schema)
    except IntakeError as error:
        message = f"what the approval leaves cannot be asked: {error}"
        raise RulingError(message) from error
    narrowed = msgspec.structs.replace(request, arguments=arguments)
    return msgspec.structs.replace(narrowed, digest=intake.digest(narrowed, schema))


def is_looked_up(narrows: Sequence[Narrowing], paths: Collection[str], schema: Schema) -> bool:
    """Whether one of these facts hangs on a narrowed argument, so that it is not known of what is left."""
    wanted = [f"action.{item.argument}" for item in narrows]
    facts = [schema.facts[path] for path in paths if path in schema.facts]
    looked = [fact.detect.of for fact in facts if fact.detect is not None]
    settings = [schema.sources[name].settings for name in {fact.source for fact in facts} if name in schema.sources]
    return any(path in looked or any(_mentions(one, path) for one in settings) for path in wanted)


def _check_fixed(item: Narrowing, fact: Fact) -> None:
    if item.at_most is not None or item.at_least is not None:
        message = f"expected bounds of `{item.argument}` or a value, found both"
        raise RulingError(message)
    if isinstance(item.set, (bool, int, float)) or item.set in fact.one_of:
        return
    message = f"expected a number, true, false or a value that the policies list for `{item.argument}`, found another"
    raise RulingError(message, hint="deny, so that the requester can ask for something else")


def _check_bounds(item: Narrowing, asked: Value | Missing) -> None:
    if item.at_most is None and item.at_least is None:
        message = f"expected `at_most`, `at_least` or `set` for `{item.argument}`, found none"
        raise RulingError(message)
    if asked is Missing.ABSENT:
        return
    if not _is_number(asked):
        message = f"expected a number to bound, found that `{item.argument}` is none"
        raise RulingError(message)
    if item.at_most is not None and item.at_most >= asked:
        message = f"expected `{item.argument}` to become less than the `{asked}` asked for, found `{item.at_most}`"
        raise RulingError(message, hint="approve it as it was asked, or less of it")
    if item.at_least is not None and item.at_least <= asked:
        message = f"expected `{item.argument}` to become more than the `{asked}` asked for, found `{item.at_least}`"
        raise RulingError(message, hint="approve it as it was asked, or deny it")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _mentions(value: object, path: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(one, path) for one in value.values())
    if isinstance(value, (list, tuple)):
        return any(_mentions(one, path) for one in value)
    return isinstance(value, str) and path in value
