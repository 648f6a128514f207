"""Facts from Python functions that the host registers under the name of a source.

Either one function for the source, which takes the request and returns the facts it knows by path, or a mapping of
path to a function that takes the request and returns that one fact. A path left out, or a function that raises, makes
the fact unknown; `demur.ABSENT` says that there is none (S2.1).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from demur.core.terms import Request, State
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.core.schema import Fact, Source

KIND = "python"

Whole: TypeAlias = Callable[[Request], Mapping[str, object]]
Single: TypeAlias = Callable[[Request], object]
Registered: TypeAlias = "Whole | Mapping[str, Single]"

_NOT_REGISTERED = "no function is registered under `{name}`"


class CallableSource:
    """`ports.FactSource` over what the host registered."""

    is_local = False

    def __init__(self, registered: Registered) -> None:
        self._registered = registered

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        registered = self._registered
        if isinstance(registered, Mapping):
            return {path: registered[path](request) for path in paths if path in registered}  # type: ignore[misc]  # conformed by the caller
        return registered(request)  # type: ignore[return-value]  # conformed by the caller


class UnregisteredSource:
    """Stands for a source that nobody registered: it never learns anything."""

    is_local = True

    def __init__(self, name: str) -> None:
        self._why = _NOT_REGISTERED.format(name=name)

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        del request, paths
        raise ConfigurationError(self._why)


class CallableOpener:
    """Opens sources of kind `python` over what is registered.

    With `must_exist` a source without a function raises `ConfigurationError` when it is opened; otherwise its facts
    are unknown, as when policies are tested apart from their host.
    """

    def __init__(self, registered: Mapping[str, Registered], *, must_exist: bool = True) -> None:
        self._registered = dict(registered)
        self._must_exist = must_exist

    def __call__(self, source: Source, facts: Sequence[Fact]) -> CallableSource | UnregisteredSource:
        registered = self._registered.get(source.name)
        if registered is None:
            if self._must_exist:
                hint = f"pass `sources={{'{source.name}': function}}` when opening the gate"
                raise ConfigurationError(_NOT_REGISTERED.format(name=source.name), hint=hint)
            return UnregisteredSource(source.name)
        _check(source.name, registered, facts)
        return CallableSource(registered)


def _check(name: str, registered: Registered, facts: Sequence[Fact]) -> None:
    if isinstance(registered, Mapping):
        for fact in facts:
            if fact.path not in registered:
                raise ConfigurationError(f"the source `{name}` has no function for `{fact.path}`")
        for path, function in registered.items():
            _check_function(f"{name}: {path}", function)
    else:
        _check_function(name, registered)


def _check_function(name: str, function: object) -> None:
    if not callable(function):
        raise ConfigurationError(f"expected a function for `{name}`, found something that cannot be called")
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004  (an object may be called through a coroutine method)
        hint = "sources run in threads of their own; use a blocking client"
        raise ConfigurationError(f"expected a plain function for `{name}`, found a coroutine function", hint=hint)
