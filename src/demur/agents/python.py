"""Puts the gate in front of a Python function: nothing runs without a grant for exactly these arguments.

    @guard(gate, subject={"type": "user", "id": "ann"}, resource=lambda arguments: invoice(arguments["invoice"]))
    def refund(invoice: str, amount: int) -> None: ...

    with permit(gate, request) as permitted:
        refund(**permitted.arguments)

For every call, in this order:

1. decide     a refusal or a deferral raises `RefusedError`, or is handed back as data; the function does not run
2. redeem     with the arguments that the function is about to get, as the policy narrowed them; a refusal stops it too
3. carry out  the obligations of the grant that were handed over as callables
4. run        with these arguments
5. complete   `success`, or `failure` where the function raised, or `unknown` where it was interrupted (S6.3)

An exception of the function is passed on after it was recorded. What the gate cannot know is how far a function got:
after `failure` or `unknown` a second execution needs a decision of its own.

Clauses: S6.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, Union, cast

from demur.carried import CURRENT, Carried
from demur.core.grant import Completion, Grant, Redemption
from demur.core.intake import Caller
from demur.core.refusal import Refusal
from demur.core.review import Deferral
from demur.core.terms import Audience
from demur.errors import ConfigurationError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from concurrent.futures import Future
    from types import TracebackType

    from demur.core.evidence import Answer
    from demur.core.policy.document import Obligation
    from demur.core.terms import Value

__all__ = ["Gate", "Permitted", "guard", "permit"]

P = ParamSpec("P")
R = TypeVar("R")
Arguments: TypeAlias = Mapping[str, object]
Part: TypeAlias = Union[Mapping[str, object], "Callable[[Arguments], Mapping[str, object]]"]
"""A part of the request, or a function of the arguments that makes it."""
OnRefusal: TypeAlias = Union[Literal["raise", "return"], "Callable[[Refusal | Deferral], object]"]
CarryOut: TypeAlias = "Mapping[str, Callable[[Obligation, Permitted], object]]"
"""By obligation type, what carries it out before the action."""
_Ask: TypeAlias = "Callable[[inspect.BoundArguments], permit]"

_LOCAL = Caller()
_log = logging.getLogger("demur")


class Gate(Protocol):
    """What stands in front of a function: `demur.open(...)` or `demur.connect(...)`."""

    def submit(self, request: bytes | str | Mapping[str, object], *, caller: Caller = ...) -> Future[Answer]: ...
    def decide(self, request: bytes | str | Mapping[str, object], *, caller: Caller = ...) -> Answer: ...
    def redeem(
        self, token: str, arguments: Mapping[str, Value], *, understands: Collection[str] = ...
    ) -> Redemption | Refusal: ...
    def complete(self, grant_id: str, status: str) -> Refusal | None: ...


@dataclass(frozen=True, slots=True)
class Permitted:
    """An action that may be carried out now, once, with exactly these arguments."""

    grant_id: str
    arguments: dict[str, Value]
    constraints: dict[str, object]
    obligations: tuple[Obligation, ...]
    mark_key: str = field(default="", repr=False)
    """For a meter beside the resource, where another process runs it (`demur.meter.Carried`)."""


def guard(  # noqa: PLR0913  (each is a part of the request or of its execution)
    gate: Gate,
    action: str | None = None,
    *,
    subject: Part,
    resource: Part,
    actor: Part | None = None,
    context: Part | None = None,
    caller: Caller = _LOCAL,
    understands: Collection[str] = (),
    carry_out: CarryOut | None = None,
    leave_out: Collection[str] = ("self", "cls"),
    on_refusal: OnRefusal = "raise",
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that lets a plain or a coroutine function run only with a grant.

    `action` is the name of the action, by default the function's. Its arguments are the function's, defaults filled
    in; one that is `None` by default and in the call is left out of the request. `leave_out` names parameters that are
    no arguments of the action (a connection, `self`): they are not judged.

    `understands` are the obligation types that the function carries out itself; `carry_out` maps others to callables
    that are called with the obligation and the `Permitted` action before the function runs. Where one of them raises,
    the function does not run. A grant with any other obligation is not redeemed (S6.4).

    With `on_refusal="return"` a refused or deferred call returns the answer as the calling agent may read it, the
    object of wire.md, whose `decision` is false; `demur.agents.advice` applies what it offers. A callable answers for
    the function.

    Raises `ConfigurationError` at decoration for a function whose arguments have no names (`*args`) or which goes on
    after it returned (a generator). Calls raise `RefusedError`, which carries the answer, and `IntakeError`.
    """
    parts = {"subject": subject, "resource": resource, "actor": actor, "context": context}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        tool = _Tool(action or function.__name__, function, frozenset(leave_out), parts)

        def ask(bound: inspect.BoundArguments) -> permit:
            asked = permit(gate, tool.request(bound), caller=caller, understands=understands, carry_out=carry_out)
            asked.actual = lambda grant: tool.narrow(bound, grant)
            return asked

        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", _guarded_async(function, tool, ask, on_refusal))
        return _guarded(function, tool, ask, on_refusal)

    return decorate


def _guarded(function: Callable[P, R], tool: _Tool, ask: _Ask, on_refusal: OnRefusal) -> Callable[P, R]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = tool.bind(args, kwargs)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(ask(bound))
            except RefusedError as error:
                return cast("R", _answer(error, on_refusal))
            return function(*bound.args, **bound.kwargs)

    return call


def _guarded_async(
    function: Callable[P, Awaitable[R]], tool: _Tool, ask: _Ask, on_refusal: OnRefusal
) -> Callable[P, Awaitable[R]]:
    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = tool.bind(args, kwargs)
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(ask(bound))
            except RefusedError as error:
                return cast("R", _answer(error, on_refusal))
            return await function(*bound.args, **bound.kwargs)

    return call


class permit:  # noqa: N801  (reads as a verb: `with permit(gate, request) as permitted`)
    """A context, plain or asynchronous, whose body runs only with a redeemed grant.

    The body must carry out exactly `permitted.arguments`, once. Entering raises `RefusedError` for a refusal or a
    deferral, and `IntakeError` for a malformed request. What the body raises is recorded and passed on.
    """

    def __init__(
        self,
        gate: Gate,
        request: Mapping[str, object],
        *,
        caller: Caller = _LOCAL,
        understands: Collection[str] = (),
        carry_out: CarryOut | None = None,
    ) -> None:
        self._gate = gate
        self._request = request
        self._caller = caller
        self._carry_out = _plain(carry_out or {})
        self._understands = (*understands, *self._carry_out)
        self._grant_id = ""
        self._outer: Carried | None = None
        self.actual: Callable[[Grant], Mapping[str, object]] = lambda grant: grant.arguments
        """What will be carried out on a grant; redeeming refuses anything but what was granted."""

    def __enter__(self) -> Permitted:
        grant = _granted(self._gate.decide(self._request, caller=self._caller))
        permitted = self._permitted(grant, self._redeem(grant))
        self._oblige(permitted)
        self._carry(permitted)
        return permitted

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        CURRENT.set(self._outer)
        self._complete(_ending(error))

    async def __aenter__(self) -> Permitted:
        grant = _granted(await asyncio.wrap_future(self._gate.submit(self._request, caller=self._caller)))
        redeeming = asyncio.get_running_loop().run_in_executor(None, self._redeem, grant)
        try:
            permitted = self._permitted(grant, await asyncio.shield(redeeming))
        except asyncio.CancelledError:
            # The grant may be used up by now, but nothing was carried out on it.
            redeeming.add_done_callback(lambda done: self._forgo(grant, done))
            raise
        if self._carry_out:
            # Cancelled meanwhile, the action does not run; what became of the obligations cannot be known.
            obliging = asyncio.get_running_loop().run_in_executor(None, self._oblige, permitted)
            try:
                await asyncio.shield(obliging)
            except asyncio.CancelledError:
                obliging.add_done_callback(self._abandon)
                raise
        self._carry(permitted)
        return permitted

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        CURRENT.set(self._outer)
        completing = asyncio.get_running_loop().run_in_executor(None, self._complete, _ending(error))
        await asyncio.shield(completing)

    def _redeem(self, grant: Grant) -> Redemption | Refusal:
        actual = cast("Mapping[str, Value]", self.actual(grant))
        return self._gate.redeem(grant.token, actual, understands=self._understands)

    def _permitted(self, grant: Grant, redeemed: Redemption | Refusal) -> Permitted:
        if isinstance(redeemed, Refusal):
            raise RefusedError(redeemed.explain(), redeemed)
        self._grant_id = redeemed.grant_id
        return Permitted(redeemed.grant_id, grant.arguments, grant.constraints, grant.obligations, redeemed.mark_key)

    def _carry(self, permitted: Permitted) -> None:
        """From here to the end of the body, meters in this thread or task learn which grant it stands on."""
        self._outer = CURRENT.get()
        CURRENT.set(Carried(permitted.grant_id, permitted.mark_key))

    def _oblige(self, permitted: Permitted) -> None:
        """Carry out the obligations handed over as callables; where one fails, so has the action."""
        is_done = False
        try:
            for item in permitted.obligations:
                if item.type in self._carry_out:
                    self._carry_out[item.type](item, permitted)
            is_done = True
        finally:
            if not is_done:
                self._complete(Completion.FAILURE)

    def _abandon(self, obliging: asyncio.Future[None]) -> None:
        if not obliging.cancelled() and obliging.exception() is None:
            asyncio.get_running_loop().run_in_executor(None, self._complete, Completion.FAILURE)

    def _complete(self, ending: Completion) -> None:
        refused = self._gate.complete(self._grant_id, ending.value)
        if refused is not None:
            # The action is over, so raising would only hide how it ended; the grant stays redeemed and unreported.
            _log.error("the end of grant %s (%s) could not be recorded", self._grant_id, ending.value)

    def _forgo(self, grant: Grant, redeeming: asyncio.Future[Redemption | Refusal]) -> None:
        if redeeming.cancelled() or redeeming.exception() is not None or isinstance(redeeming.result(), Refusal):
            return
        self._grant_id = grant.id
        asyncio.get_running_loop().run_in_executor(None, self._complete, Completion.FAILURE)


class _Tool:
    """A guarded function: what its calls ask for."""

    def __init__(
        self, action: str, function: Callable[..., object], leave_out: frozenset[str], parts: Mapping[str, Part | None]
    ) -> None:
        self.action = action
        self._signature = _signature(function, action)
        self._leave_out = leave_out
        self._parts = parts

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> inspect.BoundArguments:
        """The call's arguments by name; raises `TypeError` as the call itself would."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound

    def request(self, bound: inspect.BoundArguments) -> dict[str, object]:
        """What the call asks for."""
        arguments = self._arguments(bound)
        request: dict[str, object] = {"action": {"name": self.action, "properties": arguments}}
        for name, part in self._parts.items():
            if part is not None:
                request[name] = part(dict(arguments)) if callable(part) else part
        return request

    def narrow(self, bound: inspect.BoundArguments, grant: Grant) -> dict[str, object]:
        """Put the narrowed arguments in place, and what the function is about to get.

        Raises `ConfigurationError` where the function cannot take a narrowed one.
        """
        rest = self._rest()
        for name in grant.constraints:
            if name in self._named():
                bound.arguments[name] = grant.arguments[name]
            elif rest:
                bound.arguments[rest] = {**bound.arguments.get(rest, {}), name: grant.arguments[name]}
            else:
                hint = f"give the function a parameter `{name}`"
                raise ConfigurationError(f"`{self.action}` was narrowed by `{name}`, which it does not take", hint=hint)
        return self._arguments(bound)

    def _arguments(self, bound: inspect.BoundArguments) -> dict[str, object]:
        arguments = {name: bound.arguments[name] for name in self._named() if not self._is_left_out(name, bound)}
        rest = self._rest()
        return {**arguments, **bound.arguments.get(rest, {})} if rest else arguments

    def _is_left_out(self, name: str, bound: inspect.BoundArguments) -> bool:
        return bound.arguments[name] is None and self._signature.parameters[name].default is None

    def _named(self) -> tuple[str, ...]:
        parameters = self._signature.parameters.values()
        return tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in self._leave_out)

    def _rest(self) -> str:
        """The name of `**rest`, or an empty text."""
        return next((p.name for p in self._signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")


def _signature(function: Callable[..., object], action: str) -> inspect.Signature:
    signature = inspect.signature(function)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        hint = "name every parameter, or take `**arguments`"
        raise ConfigurationError(f"`{action}`: expected named parameters, found `*args`", hint=hint)
    if inspect.Parameter.POSITIONAL_ONLY in kinds and inspect.Parameter.VAR_KEYWORD in kinds:
        hint = "a keyword argument could have the name of a positional one"
        raise ConfigurationError(f"`{action}`: expected no positional-only parameters beside `**arguments`", hint=hint)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        hint = "guard the function that is called for each step"
        message = f"`{action}`: expected a function that is over when it returns, found a generator"
        raise ConfigurationError(message, hint=hint)
    return signature


def _granted(answer: Answer) -> Grant:
    match answer:
        case Grant():
            return answer
        case Refusal():
            raise RefusedError(answer.explain(), answer)
        case Deferral():
            raise RefusedError(f"{answer.refusal.explain()} (review `{answer.review_id}`)", answer)


def _ending(error: BaseException | None) -> Completion:
    """An exception is a failure; an interruption (cancellation, exit) leaves open how far the function got."""
    if error is None:
        return Completion.SUCCESS
    return Completion.FAILURE if isinstance(error, Exception) else Completion.UNKNOWN


def _plain(carry_out: CarryOut) -> CarryOut:
    for kind, duty in carry_out.items():
        if inspect.iscoroutinefunction(duty):
            hint = "it runs in a thread of its own where the guarded function is a coroutine"
            message = f"expected a plain function to carry out `{kind}`, found a coroutine function"
            raise ConfigurationError(message, hint=hint)
    return carry_out


def _answer(error: RefusedError, on_refusal: OnRefusal) -> object:
    if not isinstance(error.answer, Refusal | Deferral) or on_refusal == "raise":
        raise error
    return error.answer.to_dict(audience=Audience.AGENT) if on_refusal == "return" else on_refusal(error.answer)
