"""A meter next to a resource: it counts every operation there, with a grant or behind the gate's back.

    import demur.meter

    payments = demur.meter.open("/var/lib/payments-meter", name="payments-1", resource="payments")

    @payments.counting("refund")
    def refund(invoice: str, amount: int) -> None: ...

    payments.state()        # signed lines, for `gate.submit_meter` or `demur meter submit`

It knows nothing of policies and needs no gate: run it where the resource is, under an account that the agent does not
have. What it adds, and what it cannot show: docs/spec/completeness.md.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from demur.adapters.ed25519 import verify
from demur.adapters.metering import Meter
from demur.adapters.metering_sqlite import Tables
from demur.carried import CURRENT, Carried
from demur.core.evidence import token
from demur.core.meter import Cause, mark

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from demur.ports import Clock

__all__ = ["Carried", "Metered", "open", "verify"]

P = ParamSpec("P")
R = TypeVar("R")
_LEFT_OUT = frozenset({"self", "cls"})
_UNREADABLE = "00"
"""The mark of arguments that have no canonical form: equal to none that a gate made."""


class Metered:
    """A resource with its meter. With `is_required`, what comes without a grant is turned away, not only counted."""

    def __init__(self, meter: Meter, *, is_required: bool = False) -> None:
        self.meter = meter
        self._is_required = is_required
        self._tables: list[Tables] = []

    @contextmanager
    def operation(
        self, action: str, arguments: Mapping[str, object], *, carried: Carried | None = None
    ) -> Iterator[None]:
        """Count one operation, then let the body carry it out.

        The grant is `carried`, or that of the surrounding `demur.permit` or guarded function. Raises `RefusedError`
        where it was used here before, or is required and missing, and `StoreError` where it cannot be counted; the
        body then does not run.
        """
        self.count(action, arguments, carried=carried)
        yield

    def count(self, action: str, arguments: Mapping[str, object], *, carried: Carried | None = None) -> None:
        """As `operation`, for an operation that follows."""
        on = carried or CURRENT.get()
        if on is not None:
            self.meter.redeem(token(action), on.grant_id, marked(on, action, arguments))
        elif self._is_required:
            self.meter.refuse(token(action), Cause.MISSING)
        else:
            self.meter.count(token(action))

    def counting(self, action: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator that counts every call of a plain or a coroutine function as one operation.

        Put it on the function itself, below `demur.guard`: then who calls the function otherwise is counted too. The
        arguments are the function's by name; one that is `None` by default and in the call is left out.
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            signature = inspect.signature(function)

            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
                    # A thread, since a count waits for the disk; it sees the grant that this task carries.
                    await asyncio.to_thread(self.count, action, named(signature, args, kwargs))
                    return await function(*args, **kwargs)

                return cast("Callable[P, R]", call_async)

            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> R:
                self.count(action, named(signature, args, kwargs))
                return function(*args, **kwargs)

            return call

        return decorate

    def tables(self, connection: sqlite3.Connection, actions: Mapping[str, str]) -> Tables:
        """Count every row that anybody writes to tables of an SQLite database; see `Tables`."""
        tables = Tables(self.meter, connection, actions)
        self._tables.append(tables)
        return tables

    @contextmanager
    def transaction(
        self, tables: Tables, action: str, arguments: Mapping[str, object], *, carried: Carried | None = None
    ) -> Iterator[sqlite3.Connection]:
        """One transaction on counted tables, on the grant that this execution stands on; raises as `operation`."""
        on = carried or CURRENT.get()
        if on is None and self._is_required:
            self.meter.refuse(token(action), Cause.MISSING)
        proof = (on.grant_id, marked(on, action, arguments)) if on else ("", "")
        with tables.transaction(token(action), *proof) as connection:
            yield connection

    def state(self) -> tuple[bytes, ...]:
        """Sign what was counted since the last time, rows of tables included; lines for `gate.submit_meter`.

        Raises `StoreError`.
        """
        for tables in self._tables:
            tables.collect()
        return self.meter.state()

    def close(self) -> None:
        """Let go of the meter; what was counted and not yet stated waits for the next opening."""
        self.meter.close()


def open(  # noqa: A001  (reads as `demur.meter.open`)
    folder: str | Path, *, name: str, resource: str, is_required: bool = False, clock: Clock | None = None
) -> Metered:
    """The meter in `folder`, made where there is none; raises as `Meter`."""
    return Metered(Meter(folder, name=name, resource=resource, clock=clock), is_required=is_required)


def marked(carried: Carried, action: str, arguments: Mapping[str, object]) -> str:
    """The mark of what is about to be carried out, "" where no key was handed over."""
    if not carried.mark_key:
        return ""
    try:
        return mark(carried.mark_key, action, arguments)
    except ValueError:
        return _UNREADABLE


def named(signature: inspect.Signature, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
    """The arguments of a call by name, as `demur.guard` names them."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    arguments: dict[str, object] = {}
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= value
        elif name not in _LEFT_OUT and not (value is None and parameter.default is None):
            arguments[name] = value
    return arguments
